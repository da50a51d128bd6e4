package derivations

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestMachineDefaults(t *testing.T) {
	ports := []ForwardPort{{HostPort: 1, GuestPort: 2}}
	m := Machine{ForwardPorts: ports}
	m.complete()
	want := Machine{Memory: 1024, Cores: 2, Disk: 8192, Firmware: "bios", ForwardPorts: []ForwardPort{{Protocol: "tcp", HostPort: 1, GuestPort: 2}}, StoreShare: "virtiofs"}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("complete (-want +got):\n%s", diff)
	}
	if ports[0].Protocol != "" {
		t.Error("complete changed its caller's slice")
	}
}

func TestMachineFaults(t *testing.T) {
	port := func(address string, number int) ForwardPort {
		return ForwardPort{HostAddress: address, HostPort: number, GuestPort: 80}
	}
	share := func(name, source, target string) SharedDirectory {
		return SharedDirectory{Name: name, Source: source, Target: target}
	}
	tests := []struct {
		name    string
		machine Machine
		want    []string // the beginnings of all faults
	}{
		{name: "nothing"},
		{name: "the least", machine: Machine{Memory: 128, Cores: 1, Disk: 16}},
		{
			"numbers",
			Machine{Memory: 127, Cores: 256, Disk: -1},
			[]string{"memory of 127 MiB: want at least 128", "256 cores: want 1 to 255", "disk of -1 MiB: want at least 16"},
		},
		{"memory for UEFI", Machine{Firmware: "uefi", Memory: 191}, []string{"memory of 191 MiB: want at least 192 beside UEFI"}},
		{"firmware", Machine{Firmware: "coreboot"}, []string{`firmware "coreboot": want bios or uefi`}},
		{"disk image", Machine{DiskImage: "disks/"}, []string{`disk image "disks/": want the name of a file`}},
		{"disk image of lines", Machine{DiskImage: "a\nb"}, []string{`disk image "a\nb"`}},
		{
			name: "ports side by side",
			machine: Machine{ForwardPorts: []ForwardPort{
				port("127.0.0.1", 80), port("127.0.0.2", 80), port("", 81), {Protocol: "udp", HostPort: 80, GuestPort: 80},
			}},
		},
		{
			"ports twice",
			Machine{ForwardPorts: []ForwardPort{port("127.0.0.1", 80), port("", 80), port("127.0.0.1", 80)}},
			[]string{
				"forwarded port tcp::80 is there twice: tcp:127.0.0.1:80-:80 and tcp::80-:80",
				"forwarded port tcp:127.0.0.1:80 is there twice: tcp:127.0.0.1:80-:80 and",
				"forwarded port tcp:127.0.0.1:80 is there twice: tcp::80-:80 and",
			},
		},
		{
			"ports",
			Machine{ForwardPorts: []ForwardPort{{Protocol: "sctp", HostAddress: "localhost", HostPort: 0, GuestAddress: "::1", GuestPort: 65536}}},
			[]string{
				`forwarded port sctp:localhost:0-::1:65536: protocol "sctp": want tcp or udp`, `forwarded port sctp:localhost:0-::1:65536: address "localhost": want an IPv4`,
				`forwarded port sctp:localhost:0-::1:65536: address "::1"`, "forwarded port sctp:localhost:0-::1:65536: port 0: want 1 to 65535",
				"forwarded port sctp:localhost:0-::1:65536: port 65536",
			},
		},
		{name: "shared", machine: Machine{SharedDirectories: []SharedDirectory{share("a.B_9-", "../my, 'files'", "/run/a b")}}},
		{
			"shared twice",
			Machine{SharedDirectories: []SharedDirectory{share("a", "x", "/a"), share("a", "x", "/b"), share("c", "x", "/b")}},
			[]string{"shared directory a is there twice", "shared directories a and c have the same target /b"},
		},
		{
			"shared names",
			Machine{SharedDirectories: []SharedDirectory{share("a,b", "x", "/a"), share("store", "x", "/b"), share(strings.Repeat("c", 37), "x", "/c")}},
			[]string{`shared directory "a,b": want a name of up to 36 letters`, `shared directory "store": that is the name of the store`, `shared directory "ccccc`},
		},
		{
			"shared paths",
			Machine{SharedDirectories: []SharedDirectory{
				share("a", "", "mnt"), share("b", "x\ny", "/"), share("c", "x", "/nbuild/store/x"), share("d", "x", "/tmp/shared"),
			}},
			[]string{
				`shared directory "a": source "": want a path`, `shared directory "a": target "mnt": want an absolute path`,
				`shared directory "b": source "x\ny"`, `shared directory "b": target "/"`, `shared directory "c": target "/nbuild/store/x": /nbuild is the system's own`,
				`shared directory "d": target "/tmp/shared": that is where the machine has the folder that SHARED_DIR names`,
			},
		},
		{"share of the store", Machine{StoreShare: "nfs"}, []string{`share of the store "nfs": want virtiofs or 9p`}},
		{"words", Machine{KernelParams: []string{"", "a b", `a="b"`}}, []string{`kernel parameter ""`, `kernel parameter "a b"`, `kernel parameter "a=\"b\""`}},
		{"options", Machine{QEMUOptions: []string{"", "-name a\nb"}}, []string{`option of QEMU ""`, `option of QEMU "-name a\nb"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var c specCheck
			test.machine.complete()
			test.machine.check(&c)
			match := func(want, got string) bool { return strings.HasPrefix(got, "machine: "+want) }
			if !slices.EqualFunc(test.want, c.faults, match) {
				t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(c.faults, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// TestMachineBus holds the count of shared directories that fit beside the machine's own devices.
func TestMachineBus(t *testing.T) {
	var m Machine
	for i := range mostSharedDirectories + 1 {
		m.SharedDirectories = append(m.SharedDirectories, SharedDirectory{Name: strconv.Itoa(i), Source: "x", Target: fmt.Sprintf("/%d", i)})
	}
	var c specCheck
	m.complete()
	m.check(&c)
	if len(c.faults) != 1 || !strings.Contains(c.faults[0], "21 shared directories: want at most 20") {
		t.Errorf("faults: %q", c.faults)
	}
}

// FuzzEscapeMount reads escaped texts with Go's own reader of the same escapes.
func FuzzEscapeMount(f *testing.F) {
	for _, s := range []string{"", "/mnt/a b", "a:b", `\x20"'`, `\040\\`, "ä€\x00\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			t.Skip("a derivation takes no such text")
		}
		escaped := escapeMount(s)
		if strings.ContainsAny(escaped, " \t\n") {
			t.Errorf("%q has what separates fields", escaped)
		}
		quoted := `"` + strings.ReplaceAll(escaped, `"`, `\"`) + `"`
		if got, err := strconv.Unquote(quoted); err != nil || got != s {
			t.Errorf("%q reads as %q (%v), want %q", escaped, got, err, s)
		}
	})
}
