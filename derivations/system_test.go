package derivations

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// testPackage returns a package that is like one of Debian's in all that derivations look at.
func testPackage(name string) PackageFile {
	return PackageFile{
		Name: name, Version: "1:2.3-4+deb13u1", Architecture: "amd64", Archive: "debian",
		Path: "pool/main/" + name[:1] + "/" + name + "/" + name + "_2.3-4+deb13u1_amd64.deb", Size: 1234,
		SHA256: fmt.Sprintf("%064x", len(name)),
	}
}

func testPackages(names ...string) []PackageFile {
	files := make([]PackageFile, len(names))
	for i, name := range names {
		files[i] = testPackage(name)
	}
	return files
}

func testSpec(t *testing.T, p *Packages) SystemSpec {
	t.Helper()
	image, err := p.ToolTree("image-tools", testPackages("mawk", "kmod"))
	if err != nil {
		t.Fatal(err)
	}
	machine, err := p.ToolTree("vm-tools", testPackages("qemu-system-x86"))
	if err != nil {
		t.Fatal(err)
	}
	return SystemSpec{
		HostName:     "web",
		Suite:        "trixie",
		Packages:     testPackages("systemd", "openssh-server", "sudo", "dbus-system-bus-common"),
		Kernel:       testPackages("linux-image-6.12.1-cloud-amd64", "linux-image-cloud-amd64", "linux-base"),
		KernelParams: []string{"panic=5"},
		Files: []SystemFile{
			{Path: "/etc/motd", Content: "hello\n"},
			{Path: "/etc/secret", Content: "x", Mode: 0o600, User: "alice", Group: "42"},
			{Path: "/srv/data", Source: Input{Derivation: MustNew(Spec{Name: "data", Builder: "text", Args: []string{"d"}})}},
			{Path: "/etc/localtime", Link: "../usr/share/zoneinfo/UTC"},
		},
		Users: []User{
			{Name: "root", HashedPassword: "$6$salt$hash"},
			{Name: "alice", Gecos: "Alice", AuthorizedKeys: []string{"ssh-ed25519 AAAA a"}, Groups: []string{"video"}},
			{Name: "bob", UID: 1000},
		},
		Groups:   []Group{{Name: "devs", Members: []string{"bob", "alice"}}, {Name: "bob"}, {Name: "video", GID: 44}},
		Pinned:   []string{"/etc/shadow", "/etc/passwd"},
		Label:    "first",
		Manifest: map[string]string{"commit": "1234"},
		Enabled:  []string{"nginx.service"},
		Masked:   []string{"tmp.mount"},
		Programs: []*Derivation{MustNew(Spec{Name: "hello", Builder: "sandbox", Args: []string{"/bin/true"}})},
		Tools:    Toolset{Image: image, VM: machine},
	}
}

func newTestSystem(t *testing.T, change func(*SystemSpec)) *System {
	t.Helper()
	var p Packages
	spec := testSpec(t, &p)
	if change != nil {
		change(&spec)
	}
	s, err := p.NewSystem(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSystemGolden shows what each step of a system is given, scripts and ids left out.
func TestSystemGolden(t *testing.T) {
	compareGolden(t, "testdata/system.golden", renderAll(newTestSystem(t, nil).VM))
}

// compareGolden compares a text with the one in a file, or writes it there.
func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); go test -update writes it:\n%s", file, diff)
	}
}

// renderAll returns a text of a derivation and all it needs, each once, inputs first.
func renderAll(top *Derivation) string {
	var b strings.Builder
	seen := map[*Derivation]bool{}
	var visit func(*Derivation)
	visit = func(d *Derivation) {
		if seen[d] {
			return
		}
		seen[d] = true
		for _, slot := range slices.Sorted(maps.Keys(d.spec.Inputs)) {
			if in := d.spec.Inputs[slot]; in.Derivation != nil {
				visit(in.Derivation)
			}
		}
		render(&b, d)
	}
	visit(top)
	return b.String()
}

func render(b *strings.Builder, d *Derivation) {
	var names []string
	for _, in := range d.spec.Inputs {
		if in.Derivation != nil {
			names = append(names, in.Derivation.Placeholder(in.Output), "{"+in.Derivation.Name()+"."+in.Output+"}")
		}
	}
	readable := strings.NewReplacer(names...).Replace
	fmt.Fprintf(b, "== %s (%s) -> %s\n", d.Name(), d.Builder(), strings.Join(d.Outputs(), " "))
	if f := d.Fixed(); f != nil {
		fmt.Fprintf(b, "fixed %s %s\n", f.Algorithm, f.Digest)
	}
	for _, arg := range d.spec.Args {
		fmt.Fprintf(b, "arg %s\n", readable(arg))
	}
	for _, key := range slices.Sorted(maps.Keys(d.spec.Env)) {
		fmt.Fprintf(b, "env %s=%s\n", key, readable(d.spec.Env[key]))
	}
	for _, slot := range slices.Sorted(maps.Keys(d.spec.Inputs)) {
		in := d.spec.Inputs[slot]
		fmt.Fprintf(b, "input %s = %s.%s\n", slot, in.Derivation.Name(), in.Output)
	}
	for _, name := range slices.Sorted(maps.Keys(d.spec.Files)) {
		content := readable(d.spec.Files[name])
		if isScript(name) {
			content = "(a script)\n"
		}
		fmt.Fprintf(b, "file %s\n%s", name, indent(content))
	}
}

func isScript(name string) bool {
	return slices.Contains([]string{"accounts.awk", "gid-pool", "init", "inside", "run", "script", "uid-pool", "units.awk"}, name)
}

func indent(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString("\t" + line)
	}
	if s != "" && !strings.HasSuffix(s, "\n") {
		b.WriteString(" (no line end)\n")
	}
	return b.String()
}

// TestSystemChanges holds what has to be built again after a change to what depends on it.
func TestSystemChanges(t *testing.T) {
	base := newTestSystem(t, nil)
	parts := func(s *System) map[string]*Derivation {
		return map[string]*Derivation{
			"package root": s.PackageRoot, "kernel": s.Kernel, "initrd": s.Initrd, "top layer": s.TopLayer,
			"system": s.Derivation, "vm": s.VM,
		}
	}
	tests := []struct {
		name   string
		change func(*SystemSpec)
		want   []string
	}{
		{"nothing", func(*SystemSpec) {}, nil},
		{"host name", func(s *SystemSpec) { s.HostName = "db" }, []string{"system", "top layer", "vm"}},
		{"kernel parameter", func(s *SystemSpec) { s.KernelParams = nil }, []string{"system", "vm"}},
		{"memory", func(s *SystemSpec) { s.Machine.Memory = 512 }, []string{"vm"}},
		{"module of the initrd", func(s *SystemSpec) { s.InitrdModules = []string{"dm_crypt"} }, []string{"initrd", "system", "vm"}},
		{"pinned file", func(s *SystemSpec) { s.Pinned = []string{"/etc/passwd"} }, []string{"system", "vm"}},
		{"label", func(s *SystemSpec) { s.Label = "x" }, []string{"system", "vm"}},
		{"group", func(s *SystemSpec) { s.Groups = []Group{{Name: "devs"}} }, []string{"system", "top layer", "vm"}},
		{"user", func(s *SystemSpec) { s.Users = s.Users[:2] }, []string{"system", "top layer", "vm"}},
		{"package", func(s *SystemSpec) { s.Packages = s.Packages[1:] }, []string{"package root", "system", "top layer", "vm"}},
		{"order of files", func(s *SystemSpec) { slices.Reverse(s.Files) }, nil},
		{"order of packages", func(s *SystemSpec) { slices.Reverse(s.Packages) }, nil},
		{"package twice", func(s *SystemSpec) { s.Packages = append(s.Packages, s.Packages[0]) }, nil},
		{"package beside the kernel", func(s *SystemSpec) { s.Kernel = s.Kernel[:2] }, nil},
		{
			"kernel", func(s *SystemSpec) { s.Kernel = testPackages("linux-image-6.13.1-amd64") },
			[]string{"initrd", "kernel", "system", "top layer", "vm"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			changed := parts(newTestSystem(t, test.change))
			for name, drv := range parts(base) {
				if changed[name].ID() != drv.ID() {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("changed parts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewSystemFaults(t *testing.T) {
	tests := []struct {
		name   string
		change func(*SystemSpec)
		want   []string // in the error, in this order
	}{
		{"host name", func(s *SystemSpec) { s.HostName = "-web_1" }, []string{`host name "-web_1"`}},
		{"no packages", func(s *SystemSpec) { s.Packages = nil }, []string{"there are no packages"}},
		{"no kernel", func(s *SystemSpec) { s.Kernel = testPackages("linux-base") }, []string{"want one package linux-image-<version>"}},
		{"tools", func(s *SystemSpec) { s.Tools.VM = nil }, []string{"tools are missing"}},
		{"all at once", func(s *SystemSpec) {
			s.KernelParams = []string{"a b"}
			s.Users = append(s.Users, User{Name: "Bad"}, User{Name: "carl", UID: 1000}, User{Name: "carl", UID: 5})
			s.Files = append(s.Files, SystemFile{Path: "etc/x"}, SystemFile{Path: "/etc/motd"})
		}, []string{`user "Bad"`, "user carl: uid 5: want", "user carl: uid 1000 is that of bob, too", "user carl: is there twice", `file "etc/x"`, `file "/etc/motd": is there twice`, `kernel parameter "a b"`}},
		{"password", func(s *SystemSpec) { s.Users[0].HashedPassword = "secret" }, []string{"user root: the hashed password"}},
		{"root's home", func(s *SystemSpec) { s.Users[0].Home = "/home/root" }, []string{"user root: its home is /root"}},
		{"key", func(s *SystemSpec) { s.Users[1].AuthorizedKeys = []string{"a\nb"} }, []string{"user alice: authorized key"}},
		{"colon", func(s *SystemSpec) { s.Users[1].Gecos = "a:b" }, []string{"user alice: the full name"}},
		{"group", func(s *SystemSpec) { s.Users[1].Groups = []string{"a,b"} }, []string{"user alice: \"a,b\""}},
		{"dots", func(s *SystemSpec) { s.Files[0].Path = "/etc/../x" }, []string{"without . and .."}},
		{"reserved", func(s *SystemSpec) { s.Files[0].Path = "/nbuild/store/x" }, []string{"/nbuild is not the configuration's"}},
		{"mode", func(s *SystemSpec) { s.Files[0].Mode = 0o10000 }, []string{"mode 010000"}},
		{"two contents", func(s *SystemSpec) { s.Files[2].Content = "x" }, []string{"more than one of content"}},
		{"unit", func(s *SystemSpec) { s.Masked = []string{"nginx"} }, []string{`unit "nginx": want a name with its kind`}},
		{"template", func(s *SystemSpec) { s.Enabled = []string{"getty@.service"} }, []string{`unit "getty@.service": is a template; say of what it is to be started, as in "getty@tty1.service"`}},
		{"file in a file", func(s *SystemSpec) { s.Files = append(s.Files, SystemFile{Path: "/etc/motd/x"}) }, []string{`file "/etc/motd/x": /etc/motd is a file of the configuration, too`}},
		{"file in a link", func(s *SystemSpec) { s.Files = append(s.Files, SystemFile{Path: "/etc/localtime/a/b"}) }, []string{`file "/etc/localtime/a/b": /etc/localtime is a file`}},
		{"linked folder", func(s *SystemSpec) { s.Files[0].Path = "/lib/systemd/x" }, []string{`file "/lib/systemd/x": /lib is a link in Debian; write /usr/lib/systemd/x`}},
		{"linked folder of /var", func(s *SystemSpec) { s.Files[0].Path = "/var/lock" }, []string{`file "/var/lock": /var/lock is a link in Debian; write /run/lock`}},
		{"owner", func(s *SystemSpec) { s.Files[0].User, s.Files[0].Group = "a b", "-1" }, []string{`file "/etc/motd": "a b" can't be the name`, `file "/etc/motd": "-1" can't be the name`}},
		{"link's target", func(s *SystemSpec) { s.Files[3].Link = "a:b" }, []string{`file "/etc/localtime": the target "a:b"`}},
		{"pinned", func(s *SystemSpec) { s.Pinned = []string{"/", "/etc/../x", "etc", "/run/x", "/a\nb"} }, []string{
			`pinned file "/": want`, `pinned file "/etc/../x": want`, `pinned file "etc": want`, `pinned file "/run/x": /run is made`, `pinned file "/a\nb": want`,
		}},
		{"initrd module", func(s *SystemSpec) { s.InitrdModules = []string{"dm_crypt", "-a", "x/y", ""} }, []string{`initrd module "-a": want`, `initrd module "x/y": want`, `initrd module "": want`}},
		{"unit's name", func(s *SystemSpec) { s.Masked = []string{"../x.service"} }, []string{"slashes"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var p Packages
			spec := testSpec(t, &p)
			test.change(&spec)
			_, err := p.NewSystem(spec)
			if err == nil {
				t.Fatal("no error")
			}
			rest := err.Error()
			for _, want := range test.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("error lacks %q (or has it too early):\n%v", want, err)
				}
				rest = after
			}
		})
	}
}

// TestNewSystemKeepsSpec holds the promise that a caller may use its slices again.
func TestNewSystemKeepsSpec(t *testing.T) {
	var p Packages
	spec := testSpec(t, &p)
	users, files := slices.Clone(spec.Users), slices.Clone(spec.Files)
	if _, err := p.NewSystem(spec); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(users, spec.Users); diff != "" {
		t.Errorf("users changed (-before +after):\n%s", diff)
	}
	same := cmp.Comparer(func(a, b *Derivation) bool { return a == b })
	if diff := cmp.Diff(files, spec.Files, same); diff != "" {
		t.Errorf("files changed (-before +after):\n%s", diff)
	}
}
