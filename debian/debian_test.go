package debian

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Sets of packages of the size that nbuild resolves: the tools of a VM, and a system.
const (
	toolNames   = "qemu-system-x86 virtiofsd qemu-utils e2fsprogs"
	systemNames = "systemd systemd-sysv udev dbus iproute2 openssh-server login passwd kmod libpam-systemd iputils-ping less procps zstd sudo"
)

// loadTrixie loads Debian's own trixie from this machine's mirror, or skips the test when there is none.
func loadTrixie(tb testing.TB, cacheDir string) (*Client, *universe) {
	tb.Helper()
	s, err := FindSources(SourceOptions{})
	if err != nil {
		tb.Skipf("NOT TESTED with Debian's archive: %v", err)
	}
	c, err := NewClient(Options{Sources: s, CacheDir: cacheDir})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	u, _, err := c.load(ctx, "trixie")
	if err != nil {
		tb.Skipf("NOT TESTED with Debian's archive: %v", err)
	}
	return c, u
}

// TestResolveLikeAPT compares with what apt-get would install on an empty machine.
func TestResolveLikeAPT(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED with Debian's archive: -short")
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("NOT TESTED beside APT: there is no apt-get")
	}
	c, u := loadTrixie(t, "")
	apt := newAPT(t, c)
	tests := []struct {
		names      string
		essential  bool
		recommends bool
	}{
		{names: toolNames},
		{names: systemNames, essential: true},
		{names: "gcc libc6-dev make"},
		{names: "squashfs-tools xorriso mtools grub-pc-bin grub-efi-amd64-bin erofs-utils ovmf"},
		{names: "curl git python3 nginx postgresql"},
		{names: "openssh-server curl", recommends: true},
	}
	for _, test := range tests {
		got, err := u.resolve(Request{Suite: "trixie", Packages: strings.Fields(test.names), Essential: test.essential, Recommends: test.recommends}, nil)
		if err != nil {
			t.Errorf("resolve %s: %v", test.names, err)
			continue
		}
		names := strings.Fields(test.names)
		if test.essential {
			names = append(names, u.essentials()...) // '?essential' would add apt itself.
		}
		var files []string
		for _, i := range got {
			p, err := u.records[i].asPackage()
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, p.Path+" "+p.SHA256)
		}
		slices.Sort(files)
		if diff := cmp.Diff(apt.install(t, names, test.recommends), files); diff != "" {
			t.Errorf("resolve %s (-apt +nbuild):\n%s", test.names, diff)
		}
	}
}

// An apt is a configuration of APT that knows the archive and a machine on which nothing is installed.
type apt struct{ config string }

func newAPT(t *testing.T, c *Client) apt {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"lists/partial", "cache/archives/partial", "keys"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	var sources, keyrings bytes.Buffer
	for _, key := range c.options.Sources.Keyring {
		if filepath.IsAbs(key.Origin) {
			fmt.Fprintf(&keyrings, " %s", key.Origin)
		}
	}
	for _, p := range pockets("trixie") {
		fmt.Fprintf(&sources, "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By:%s\n\n", c.Mirrors().URLs(p.archive)[0], p.suite, &keyrings)
	}
	config := fmt.Sprintf(`Dir %q; Dir::State %q; Dir::State::lists "lists"; Dir::State::status "status"; Dir::Cache %q;
Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts %q; Dir::Etc::preferencesparts "/dev/null"; Dir::Etc::preferences "/dev/null";
Dir::Bin::Methods "/usr/lib/apt/methods"; APT::Architecture "amd64"; APT::Architectures { "amd64"; }; APT::Sandbox::User "";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false"; Acquire::Languages "none"; Acquire::ForceHash "SHA256"; Debug::NoLocking "true";
`, dir, dir, filepath.Join(dir, "cache"), dir)
	for name, content := range map[string]string{"status": "", "apt.conf": config, "debian.sources": sources.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	a := apt{filepath.Join(dir, "apt.conf")}
	if out, err := a.command(t, "update", "-qq"); err != nil {
		t.Skipf("NOT TESTED beside APT: apt-get update: %v\n%s", err, out)
	}
	return a
}

func (a apt) command(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "apt-get", args...)
	cmd.Env = append(os.Environ(), "APT_CONFIG="+a.config, "LC_ALL=C")
	return cmd.CombinedOutput()
}

// install returns "pool/… digest" of each package that apt-get would install.
func (a apt) install(t *testing.T, names []string, recommends bool) []string {
	t.Helper()
	out, err := a.command(t, append([]string{"install", "-y", "--print-uris", "-o", fmt.Sprintf("APT::Install-Recommends=%t", recommends)}, names...)...)
	if err != nil {
		t.Fatalf("apt-get install %v: %v\n%s", names, err, out)
	}
	var files []string
	for _, m := range regexp.MustCompile(`(?m)^'.*/(pool/[^']*)' .* SHA256:([0-9a-f]{64})$`).FindAllSubmatch(out, -1) {
		path, err := url.PathUnescape(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, path+" "+string(m[2]))
	}
	slices.Sort(files)
	return files
}

// BenchmarkLoadTrixie reads the indices of trixie from the cache and resolves a set, as a run does whose lock lacks one.
// It includes fetching three Release files.
func BenchmarkLoadTrixie(b *testing.B) {
	cache := b.TempDir()
	loadTrixie(b, cache)
	b.ReportAllocs()
	for b.Loop() {
		_, u := loadTrixie(b, cache)
		if _, err := u.resolve(Request{Suite: "trixie", Packages: strings.Fields(systemNames), Essential: true}, nil); err != nil {
			b.Fatal(err)
		}
	}
	_, u := loadTrixie(b, cache)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/1e6, "MB-live")
	b.ReportMetric(float64(m.Sys)/1e6, "MB-sys")
	runtime.KeepAlive(u)
}

// BenchmarkResolveTrixie resolves a set when the indices are in memory.
func BenchmarkResolveTrixie(b *testing.B) {
	_, u := loadTrixie(b, "")
	for name, r := range map[string]Request{
		"tools":  {Packages: strings.Fields(toolNames)},
		"system": {Packages: strings.Fields(systemNames), Essential: true},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := u.resolve(r, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
