package config_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
	"nbuild/debian"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// archive is a Packages without dependencies: it has every package but those whose names begin with "no-such".
type archive struct {
	requests []debian.Request
	mirrors  []string
	keyrings []string
}

func (a *archive) UseArchive(mirrors, keyrings []string) error {
	a.mirrors, a.keyrings = mirrors, keyrings
	return nil
}

func (a *archive) Resolve(_ context.Context, r debian.Request) ([]debian.Package, error) {
	a.requests = append(a.requests, r)
	var found []debian.Package
	var faults []string
	for _, name := range r.Packages {
		name, version, _ := strings.Cut(name, "=")
		if strings.HasPrefix(name, "no-such") {
			faults = append(faults, fmt.Sprintf("there is no package %s", name))
			continue
		}
		if version == "" {
			version = "1.0-1"
		}
		if name == "linux-image-cloud-amd64" {
			name = "linux-image-6.12.1+deb13-cloud-amd64"
		}
		sum := sha256.Sum256([]byte(name + version))
		found = append(found, debian.Package{
			Name: name, Version: version, Architecture: "amd64", Archive: "debian", Size: 1000,
			Path:   fmt.Sprintf("pool/main/%s/%s_%s_amd64.deb", name, name, version),
			SHA256: fmt.Sprintf("%x", sum),
		})
	}
	if len(faults) > 0 {
		return nil, &debian.ResolveError{Suite: r.Suite, Faults: faults}
	}
	return found, nil
}

// sources is a Sources that names an object by what it was made of, as the store does, and keeps nothing.
type sources struct{}

func (sources) AddSource(_ context.Context, name, file string) (storepath.Path, error) {
	var text strings.Builder
	err := filepath.WalkDir(file, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(&text, "%s %q\n", strings.TrimPrefix(path, file), b)
		return err
	})
	return storepath.New(digest.Sum([]byte(text.String())), name), err
}

// project writes files, by name, to a new folder and returns the project in it.
func project(t testing.TB, files map[string]string) config.Project {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return config.Project{Dir: dir, Packages: &archive{}, Sources: sources{}}
}

// evaluate evaluates a project that is right.
func evaluate(t testing.TB, files map[string]string) *config.Result {
	t.Helper()
	r, err := config.Evaluate(t.Context(), project(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func evaluateFile(t testing.TB, text string) *config.Result {
	t.Helper()
	return evaluate(t, map[string]string{"nbuild.star": text, "src/hello.c": "int main(void) { return 0; }\n"})
}

func text(t *testing.T, r *config.Result, name string) string {
	t.Helper()
	target, err := r.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(target.Derivation.Text())
}

func TestTargets(t *testing.T) {
	r := evaluateFile(t, `
a = text_file("a.txt", "a")
_private = text_file("private", "p")
number = 3
def make(name):
    return derivation(name, script = "", outputs = ["out", "dev"])
b = make("bee")
c = b.dev
d = [a, b]
`)
	type target struct {
		Name, Derivation, Output, Position string
		Kind                               config.Kind
	}
	var got []target
	for _, tg := range r.Targets {
		got = append(got, target{tg.Name, tg.Derivation.Name(), tg.Output, tg.Position.String(), tg.Kind})
	}
	want := []target{
		{"a", "a.txt", "out", "nbuild.star:2:5", "derivation"},
		{"b", "bee", "out", "nbuild.star:6:12", "derivation"},
		{"c", "bee", "dev", "nbuild.star:6:12", "derivation"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
}

func TestDerivationHasWhatItsTextsMention(t *testing.T) {
	r := evaluateFile(t, `
lib = text_file("lib", "library")
conf = text_file("conf", "see %s" % lib)
src = source("src")
tool = derivation("tool", args = ["/bin/true"], outputs = ["out", "dev"])
hello = derivation(
    name = "hello",
    inputs = {"src": src},
    env = {"CONF": conf, "N": 3, "DEV": tool.dev + "/include"},
    files = {"main": "use {}".format(lib)},
    script = "cc $src " + src + "/hello.c " + str(tool) + tool,
)
`)
	lib, conf, tool := placeholder(t, r, "lib"), placeholder(t, r, "conf"), placeholder(t, r, "tool")
	dev := placeholder(t, r, "tool.dev")
	got := text(t, r, "hello")
	for _, want := range []string{
		`env "CONF" "` + conf + `"`,
		`env "N" "3"`,
		`env "DEV" "` + dev + `/include"`,
		`file "main" "use ` + lib + `"`,
		tool + tool + `"`,
		`arg "/build/script"`,
		`input "src" "path" "/nbuild/store/`,
		`input "root" "derivation"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	var slots []string
	for slot := range target(t, r, "hello").Derivation.Inputs() {
		slots = append(slots, slot)
	}
	slices.Sort(slots)
	want := []string{"_" + hash(conf), "_" + hash(dev), "_" + hash(lib), "_" + hash(tool), "root", "src"}
	slices.Sort(want)
	if diff := cmp.Diff(want, slots); diff != "" {
		t.Errorf("input slots (-want +got):\n%s", diff)
	}
}

func target(t *testing.T, r *config.Result, name string) config.Target {
	t.Helper()
	tg, err := r.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

func placeholder(t *testing.T, r *config.Result, name string) string {
	t.Helper()
	tg := target(t, r, name)
	return tg.Derivation.Placeholder(tg.Output)
}

func hash(placeholder string) string {
	rest := strings.TrimPrefix(placeholder, storepath.PlaceholderPrefix+"/")
	return rest[:digest.Base32Length]
}

// Every derivation that config makes must resolve: no placeholder may be without its input.
func TestTargetsResolve(t *testing.T) {
	r := evaluateFile(t, kitchenSink)
	for _, tg := range r.Targets {
		_, err := tg.Derivation.Resolve(anyPath)
		if err != nil {
			t.Errorf("resolve %s: %v", tg.Name, err)
		}
	}
	if len(r.Targets) < 8 {
		t.Errorf("only %d targets", len(r.Targets))
	}
}

func TestEvaluationIsDeterministic(t *testing.T) {
	want := ids(evaluateFile(t, kitchenSink))
	for range 5 {
		if diff := cmp.Diff(want, ids(evaluateFile(t, kitchenSink))); diff != "" {
			t.Fatalf("evaluating again in another folder (-first +second):\n%s", diff)
		}
	}
	if diff := cmp.Diff(want, ids(evaluateFile(t, "# a comment\n\n"+kitchenSink))); diff != "" {
		t.Errorf("with a comment more (-without +with):\n%s", diff)
	}
}

func ids(r *config.Result) map[string]string {
	ids := map[string]string{}
	for _, tg := range r.Targets {
		ids[tg.Name+"."+tg.Output] = tg.Derivation.ID().String()
	}
	return ids
}

func TestLoad(t *testing.T) {
	r := evaluate(t, map[string]string{
		"nbuild.star":  `load("lib/a.star", "make"); load("lib/b.star", x = "b"); a = make("a"); y = x`,
		"lib/a.star":   `load("lib/b.star", "b")` + "\ndef make(n):\n    return text_file(n, source('data') + b)\n",
		"lib/b.star":   `b = text_file("b", "bee")`,
		"data":         "",
		"not-loaded.s": "",
	})
	if diff := cmp.Diff([]string{"lib/a.star", "lib/b.star", "nbuild.star"}, slices.Sorted(maps.Keys(r.Reads.Files))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	var names []string
	for _, tg := range r.Targets {
		names = append(names, tg.Name)
	}
	if diff := cmp.Diff([]string{"a", "y"}, names); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if _, ok := r.Reads.Sources["data"]; !ok || len(r.Reads.Sources) != 1 {
		t.Errorf("sources read: %v", r.Reads.Sources)
	}
}

func TestEnvironmentIsRead(t *testing.T) {
	p := project(t, map[string]string{"nbuild.star": `
a = text_file("a", from_env("A"))
b = text_file("b", from_env("B", "no b"))
c = from_env("C", None)
`})
	p.Getenv = func(name string) (string, bool) { return "an " + name, name == "A" }
	r, err := config.Evaluate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]config.Environment{"A": {Value: "an A", Set: true}, "B": {Value: "an B"}, "C": {Value: "an C"}}
	if diff := cmp.Diff(want, r.Reads.Environment); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if got := text(t, r, "a"); !strings.Contains(got, `arg "an A"`) {
		t.Errorf("the set variable is not in:\n%s", got)
	}
	if got := text(t, r, "b"); !strings.Contains(got, `arg "no b"`) {
		t.Errorf("the default is not in:\n%s", got)
	}
}

func TestPrint(t *testing.T) {
	p := project(t, map[string]string{"nbuild.star": "\ndef f():\n    print('a', 1)\nf()\n"})
	var got []string
	p.Print = func(at config.Position, text string) { got = append(got, at.String()+" "+text) }
	if _, err := config.Evaluate(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"nbuild.star:3:10 a 1"}, got); diff != "" {
		t.Errorf("print (-want +got):\n%s", diff)
	}
}

func TestLookup(t *testing.T) {
	r := evaluateFile(t, `
hello = derivation("hello", script = "", outputs = ["out", "dev"])
greeting = text_file("greeting", "hi")
`)
	tests := []struct{ name, want, err string }{
		{"hello", "hello out", ""},
		{"hello.out", "hello out", ""},
		{"hello.dev", "hello dev", ""},
		{"greeting", "greeting out", ""},
		{"helo", "", `there is no target "helo"; did you mean "hello"?`},
		{"hello.doc", "", `the target "hello" has no "doc"; it has dev, out`},
		{"vm", "", `there is no target "vm", because the project declares no system; declare one: web = system(name = "web")`},
		{"", "", `there is no target ""; the project has greeting, hello`},
	}
	for _, test := range tests {
		tg, err := r.Lookup(test.name)
		if got := fmt.Sprint(err); err != nil && got != test.err || err == nil && test.err != "" {
			t.Errorf("Lookup(%q): error %v, want %q", test.name, err, test.err)
		}
		if err == nil && tg.Derivation.Name()+" "+tg.Output != test.want {
			t.Errorf("Lookup(%q) = %s %s, want %s", test.name, tg.Derivation.Name(), tg.Output, test.want)
		}
	}
}

func TestArchiveIsChosenOnce(t *testing.T) {
	p := project(t, map[string]string{"nbuild.star": `
_a = debian("trixie", mirror = "https://deb.example/debian", keyring = "keys/a.gpg")
_b = debian("sid")
a = _a.tree(["hello"])
again = _a.tree(["hello"])
b = _b.tree(["hello=2.0-1"], base = False, name = "b")
c = derivation("c", script = "true")
`})
	if _, err := config.Evaluate(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	a := p.Packages.(*archive)
	if diff := cmp.Diff([]string{"https://deb.example/debian", filepath.Join(p.Dir, "keys/a.gpg")}, slices.Concat(a.mirrors, a.keyrings)); diff != "" {
		t.Errorf("mirror and keyring (-want +got):\n%s", diff)
	}
	var got []string
	for _, r := range a.requests {
		got = append(got, fmt.Sprintf("%s hello=%t bash=%t", r.Suite, slices.Contains(r.Packages, "hello"), slices.Contains(r.Packages, "bash")))
	}
	want := []string{"trixie hello=true bash=true", "sid hello=false bash=false", "trixie hello=false bash=true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestEvaluateEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := config.Evaluate(ctx, project(t, map[string]string{"nbuild.star": "def f():\n    while True:\n        pass\nf()\n"}))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want that of the context", err)
	}
}
