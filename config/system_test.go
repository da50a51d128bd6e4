package config_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
	"nbuild/debian"
	"nbuild/internal/storepath"
)

const webSystem = `
app = derivation("app", script = "true")
_data = text_file("data", "see %s/share" % app)
web = system(
    name = "web",
    modules = [{
        "networking.host_name": "www",
        "environment.packages": ["nginx", app],
        "environment.files": {
            "/etc/app.conf": {"text": "run %s/bin/app" % app, "mode": "0600", "user": "www-data"},
            "/etc/data": {"source": _data},
            "/srv/site": {"source": source("src")},
            "/etc/link": {"link": app + "/share"},
        },
        "environment.etc.motd.text": "hello\n",
        "users.users": {
            "ann": {"uid": 1005, "description": "Ann", "sudo": True, "authorized_keys": ["ssh-ed25519 AAAA ann@x"], "groups": ["adm"]},
            "root": {"hashed_password": "$6$salt$hash"},
        },
        "systemd.enabled_units": ["nginx.service"],
        "systemd.masked_units": ["apt-daily.timer"],
        "boot.kernel_params": ["panic=1"],
        "virtualisation.memory_size": 2048,
    }],
)
`

func TestSystem(t *testing.T) {
	p := project(t, map[string]string{"nbuild.star": webSystem, "src/index.html": "<p>"})
	r, err := config.Evaluate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, tg := range r.Targets {
		got = append(got, fmt.Sprintf("%s %s %s", tg.Name, tg.Kind, tg.Derivation.Name()))
	}
	want := []string{"app derivation app", "web system system-web", "web.iso iso web.iso", "web.squashfs squashfs web.squashfs", "web.vm vm " + target(t, r, "web.vm").Derivation.Name(), "web.vm_with_bootloader vm vm-web"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"web"}, systemNames(r)); diff != "" {
		t.Errorf("systems (-want +got):\n%s", diff)
	}
	for _, alias := range []string{"vm", "web.vm"} {
		if target(t, r, alias).Kind != config.KindVM {
			t.Errorf("%s is no VM", alias)
		}
	}
	for _, alias := range []string{"system", "web.system", "web"} {
		if target(t, r, alias).Kind != config.KindSystem {
			t.Errorf("%s is no system", alias)
		}
	}
	for _, tg := range r.Targets {
		if _, err := tg.Derivation.Resolve(anyPath); err != nil {
			t.Errorf("resolve %s: %v", tg.Name, err)
		}
	}
}

func systemNames(r *config.Result) []string {
	var names []string
	for _, s := range r.Systems {
		names = append(names, s.Name)
	}
	return names
}

// What the system's texts mention has to be among the inputs of the system itself, or it would be missing in its closure.
func TestSystemRefersToWhatItsFilesMention(t *testing.T) {
	r := evaluate(t, map[string]string{"nbuild.star": webSystem, "src/index.html": "<p>"})
	app := target(t, r, "app").Derivation
	var derivations, sources int
	for _, in := range target(t, r, "web").Derivation.Inputs() {
		if in.Derivation != nil && in.Derivation.ID() == app.ID() {
			derivations++
		}
		if in.Source != "" {
			sources++
		}
	}
	if derivations == 0 || sources == 0 {
		t.Errorf("the system has app %d times and sources %d times among its inputs", derivations, sources)
	}
}

func TestSystemAsksForItsPackages(t *testing.T) {
	p := project(t, map[string]string{"nbuild.star": `web = system("web", suite = "sid", modules = [{"environment.packages": ["nginx"], "nbuild.recommends": True, "boot.kernel_package": "linux-image-6.1-amd64"}])`})
	if _, err := config.Evaluate(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range p.Packages.(*archive).requests {
		got = append(got, fmt.Sprintf("%s recommends=%t essential=%t %s", r.Suite, r.Recommends, r.Essential, first(r.Packages, "nginx", "linux-image-6.1-amd64", "squashfs-tools", "qemu-system-x86", "xorriso")))
	}
	want := []string{
		"sid recommends=true essential=true nginx",
		"sid recommends=false essential=false linux-image-6.1-amd64",
		"trixie recommends=false essential=false squashfs-tools",
		"trixie recommends=false essential=false qemu-system-x86",
		"trixie recommends=false essential=false xorriso",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func first(list []string, wanted ...string) string {
	for _, w := range wanted {
		if slices.Contains(list, w) {
			return w
		}
	}
	return ""
}

// A changed host name may build the top layer, the system and the VM again, and nothing else.
func TestHostNameChangesLittle(t *testing.T) {
	inputs := func(host string) map[string]bool {
		r := evaluateFile(t, fmt.Sprintf("web = system('web', modules = [{'networking.host_name': %q}])", host))
		names := map[string]bool{}
		for _, in := range target(t, r, "web").Derivation.Inputs() {
			names[in.Derivation.Name()+" "+in.Derivation.ID().String()] = true
		}
		return names
	}
	a, b := inputs("a"), inputs("b")
	for in := range a {
		if !b[in] && !strings.HasPrefix(in, "top-layer-web ") {
			t.Errorf("another host name changes %s", in)
		}
	}
}

func TestDemo(t *testing.T) {
	p := project(t, nil)
	p.Builtin = true
	r, err := config.Evaluate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"demo"}, systemNames(r)); diff != "" {
		t.Errorf("systems (-want +got):\n%s", diff)
	}
	if at := target(t, r, "demo").Position.String(); !strings.HasPrefix(at, "demo.star:") {
		t.Errorf("the demo is at %s", at)
	}
	if len(r.Reads.Files) > 0 {
		t.Errorf("the built-in demo reads %v", r.Reads.Files)
	}
	// What is written out must be the same system.
	written := evaluateFile(t, config.Demo())
	if diff := cmp.Diff(ids(r), ids(written)); diff != "" {
		t.Errorf("the demo as a file (-built in +file):\n%s", diff)
	}
}

// unreachable is a Packages whose mirror does not answer.
type unreachable struct{ calls int }

var errUnreachable = errors.New("the mirror does not answer")

func (u *unreachable) Resolve(context.Context, debian.Request) ([]debian.Package, error) {
	u.calls++
	return nil, fmt.Errorf("fetch index: %w", errUnreachable)
}

func TestMirrorsFaultIsNotTheProjects(t *testing.T) {
	p := project(t, map[string]string{"nbuild.star": "web = system('web')\ndb = system('db')\n"})
	mirror := &unreachable{}
	p.Packages = mirror
	_, err := config.Evaluate(t.Context(), p)
	var wrong *config.Error
	if !errors.Is(err, errUnreachable) || errors.As(err, &wrong) {
		t.Errorf("error %v, want that of the mirror", err)
	}
	if mirror.calls != 1 {
		t.Errorf("the mirror was asked %d times after it had failed", mirror.calls-1)
	}
}

func TestMirrorsFaultComesBehindTheProjects(t *testing.T) {
	p := project(t, map[string]string{"nbuild.star": "a = text_file('a')\nweb = system('web')\n"})
	p.Packages = &unreachable{}
	_, err := config.Evaluate(t.Context(), p)
	var wrong *config.Error
	if !errors.Is(err, errUnreachable) || !errors.As(err, &wrong) {
		t.Errorf("error %v, want that of the mirror, and the project's", err)
	}
	if diff := cmp.Diff("nbuild.star:1:5: text_file needs the argument content\nfetch index: the mirror does not answer", fmt.Sprint(err)); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// readOnly is a Sources that takes nothing.
type readOnly struct{}

func (readOnly) AddSource(context.Context, string, string) (storepath.Path, error) {
	return "", os.ErrPermission
}

func TestSourcesFaultIsNotTheProjects(t *testing.T) {
	p := project(t, map[string]string{"nbuild.star": "a = tree('a', inputs = [source('x')])\n", "x": ""})
	p.Sources = readOnly{}
	_, err := config.Evaluate(t.Context(), p)
	var wrong *config.Error
	if !errors.Is(err, os.ErrPermission) || errors.As(err, &wrong) {
		t.Errorf("error %v, want that of the store", err)
	}
}

// A fault of one shared folder shows where that is defined.
func TestSharedDirectoryFaults(t *testing.T) {
	_, err := config.Evaluate(t.Context(), project(t, map[string]string{"nbuild.star": `
web = system("web", modules = [{"virtualisation.shared_directories": {
    "a b": {"source": "x", "target": "/a"},
    "good": {"source": "x", "target": "/b"},
    "dev": {"source": "x", "target": "/dev/x"},
}}])
`}))
	const want = `nbuild.star:3:5: machine: shared directory "a b": want a name of up to 36 letters, digits and "_.-"
nbuild.star:5:5: machine: shared directory "dev": target "/dev/x": /dev is the system's own; choose another place, as in "/mnt/x"`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}
