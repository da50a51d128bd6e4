package derivations

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnpack(t *testing.T) {
	var p Packages
	file := testPackage("bash")
	drv, err := p.Unpack(file)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.Unpack(file); again != drv || err != nil {
		t.Errorf("second time = %v, %v, want the same derivation", again, err)
	}
	if got, want := drv.Name(), "bash-1_2.3-4+deb13u1"; got != want {
		t.Errorf("name = %q, want %q", got, want)
	}
	deb := drv.Inputs()["src"].Derivation
	if diff := cmp.Diff([]string{"mirror:debian/pool/main/b/bash/bash_2.3-4+deb13u1_amd64.deb"}, deb.spec.Args); diff != "" {
		t.Errorf("locations (-want +got):\n%s", diff)
	}
	file.SHA256 = "beef"
	if _, err := p.Unpack(file); err == nil || !strings.Contains(err.Error(), "package bash 1:2.3-4+deb13u1: ") {
		t.Errorf("bad digest: error = %v, want one that names the package", err)
	}
}

func TestToolTreeLinks(t *testing.T) {
	tests := []struct {
		packages []string
		want     map[string]string // without the link: before the names
	}{
		{[]string{"sed"}, map[string]string{}},
		{[]string{"gcc"}, map[string]string{"usr/bin/cc": "gcc", "usr/bin/c89": "c89-gcc", "usr/bin/c99": "c99-gcc"}},
		{[]string{"clang", "gcc"}, map[string]string{
			"usr/bin/cc": "gcc", "usr/bin/c89": "c89-gcc", "usr/bin/c99": "c99-gcc", "usr/bin/c++": "clang++",
		}},
		{[]string{"mawk"}, map[string]string{"usr/bin/awk": "mawk", "usr/bin/nawk": "mawk"}},
		{[]string{"mawk", "gawk"}, map[string]string{"usr/bin/awk": "gawk", "usr/bin/nawk": "gawk"}},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.packages, "+"), func(t *testing.T) {
			var p Packages
			drv, err := p.ToolTree("tools", testPackages(test.packages...))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for key, target := range drv.spec.Env {
				if link, ok := strings.CutPrefix(key, "link:"); ok {
					got[link] = target
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKernelImage(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		want  string // or empty for an error
	}{
		{"one", []string{"linux-base", "linux-image-cloud-amd64", "linux-image-6.12.1+deb13-cloud-amd64"}, "linux-image-6.12.1+deb13-cloud-amd64"},
		{"none", []string{"linux-base", "linux-image-cloud-amd64"}, ""},
		{"two", []string{"linux-image-6.1-amd64", "linux-image-6.2-amd64"}, ""},
		{"same twice", []string{"linux-image-6.1-amd64", "linux-image-6.1-amd64"}, "linux-image-6.1-amd64"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := KernelImage(testPackages(test.files...))
			if got.Name != test.want || (err == nil) != (test.want != "") {
				t.Errorf("KernelImage = %q, %v, want %q", got.Name, err, test.want)
			}
		})
	}
}

// TestStaticIDs holds the table of ids to its own rules: two names with one id would be one user on a disk.
func TestStaticIDs(t *testing.T) {
	ids := map[int]string{}
	check := func(name string, id int) {
		if id < 400 || id > 599 {
			t.Errorf("%s has id %d, outside 400 to 599", name, id)
		}
		if other, taken := ids[id]; taken && other != name {
			t.Errorf("%s and %s have the same id %d", name, other, id)
		}
		ids[id] = name
	}
	groups := map[string]bool{"": true, "nogroup": true}
	for _, u := range sysusers() {
		check(u.name, u.id)
		if u.group == "" {
			groups[u.name] = true
		}
	}
	for _, u := range sysusers() {
		if !groups[u.group] {
			t.Errorf("user %s: group %s is not in the table", u.name, u.group)
		}
		if id, ok := pooledNames()[u.name]; ok && id != u.id {
			t.Errorf("%s has id %d here and %d in the pool", u.name, u.id, id)
		}
	}
	for name, id := range pooledNames() {
		check(name, id)
	}
}

func TestSeedFiles(t *testing.T) {
	got := seedFiles(testPackages("openssh-server", "systemd", "varnish"))
	wantNames := []string{"gid-pool", "group", "passwd", "uid-pool"}
	if diff := cmp.Diff(wantNames, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Fatalf("files (-want +got):\n%s", diff)
	}
	wantPasswd := `sshd:!*:401:65534:sshd user:/run/sshd:/usr/sbin/nologin
systemd-network:!*:403:403:systemd Network Management:/:/usr/sbin/nologin
varnish:!*:422:422:Varnish Cache:/nonexistent:/usr/sbin/nologin
vcache:!*:423:422:Varnish Cache daemon:/nonexistent:/usr/sbin/nologin
varnishlog:!*:424:422:Varnish Cache logs:/nonexistent:/usr/sbin/nologin
`
	if diff := cmp.Diff(wantPasswd, got["passwd"]); diff != "" {
		t.Errorf("passwd (-want +got):\n%s", diff)
	}
	wantGroup := "systemd-journal:!*:402:\nsystemd-network:!*:403:\nvarnish:!*:422:\n"
	if diff := cmp.Diff(wantGroup, got["group"]); diff != "" {
		t.Errorf("group (-want +got):\n%s", diff)
	}
}
