package derivations

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

func sourcePath(name string) storepath.Path { return storepath.New(digest.Sum([]byte(name)), name) }

var zeros = strings.Repeat("0", 64)

func TestText(t *testing.T) {
	leaf := MustNew(Spec{Name: "leaf", Builder: "text", Args: []string{"hi\n"}})
	top := MustNew(Spec{
		Name:    "top",
		Builder: "sandbox",
		Args:    []string{"/bin/sh", "a \"b\" \\ \t\x7f é"},
		Env:     map[string]string{"Z": "1", "A": leaf.Placeholder("out") + "/x"},
		Files:   map[string]string{"script": "echo\n"},
		Inputs:  map[string]Input{"leaf": {Derivation: leaf}, "src": {Source: sourcePath("src")}},
		Outputs: []string{"out", "doc"},
	})
	want := `nbuild-derivation 1
name "top"
builder "sandbox"
arg "/bin/sh"
arg "a \"b\" \\ \x09\x7f é"
env "A" "` + leaf.Placeholder("out") + `/x"
env "Z" "1"
file "script" "echo\n"
input "leaf" "derivation" "` + leaf.ID().String() + `" "out"
input "src" "path" "` + string(sourcePath("src")) + `"
output "doc"
output "out"
`
	if diff := cmp.Diff(want, string(top.Text())); diff != "" {
		t.Errorf("derivation text (-want +got):\n%s", diff)
	}
	path := sourcePath("leaf")
	action, err := top.Resolve(func(Input) (storepath.Path, error) { return path, nil })
	if err != nil {
		t.Fatal(err)
	}
	want = strings.NewReplacer(
		"nbuild-derivation", "nbuild-action",
		leaf.Placeholder("out"), string(path),
		`"derivation" "`+leaf.ID().String()+`" "out"`, `"path" "`+string(path)+`"`,
	).Replace(want)
	if diff := cmp.Diff(want, string(action.Text())); diff != "" {
		t.Errorf("action text (-want +got):\n%s", diff)
	}
}

// Whatever is part of a derivation is part of its id; a second look at the same parts gives the same id.
func TestIDDependsOnEveryPart(t *testing.T) {
	leaf := MustNew(Spec{Name: "leaf", Builder: "text", Outputs: []string{"a", "b"}})
	changes := map[string]func(*Spec){
		"nothing":        func(*Spec) {},
		"name":           func(s *Spec) { s.Name = "other" },
		"builder":        func(s *Spec) { s.Builder = "text" },
		"argument":       func(s *Spec) { s.Args = []string{"x", "z"} },
		"argument order": func(s *Spec) { s.Args = []string{"y", "x"} },
		"joined":         func(s *Spec) { s.Args = []string{"x\" \"y"} },
		"variable":       func(s *Spec) { s.Env = map[string]string{"K": "w"} },
		"variable name":  func(s *Spec) { s.Env = map[string]string{"L": "v"} },
		"file":           func(s *Spec) { s.Files = map[string]string{"K": "v"} },
		"output":         func(s *Spec) { s.Outputs = []string{"out", "more"} },
		"slot":           func(s *Spec) { s.Inputs = map[string]Input{"j": {Derivation: leaf, Output: "a"}} },
		"input's output": func(s *Spec) { s.Inputs = map[string]Input{"i": {Derivation: leaf, Output: "b"}} },
		"input kind":     func(s *Spec) { s.Inputs = map[string]Input{"i": {Source: sourcePath("leaf")}} },
		"fixed":          func(s *Spec) { s.Fixed = &Fixed{"sha256", zeros} },
		"algorithm":      func(s *Spec) { s.Fixed = &Fixed{"blake3", zeros} },
	}
	seen := map[digest.DerivationID]string{}
	for what, change := range changes {
		spec := Spec{
			Name: "n", Builder: "b", Args: []string{"x", "y"},
			Env: map[string]string{"K": "v"}, Inputs: map[string]Input{"i": {Derivation: leaf, Output: "a"}},
		}
		change(&spec)
		id := MustNew(spec).ID()
		if other, ok := seen[id]; ok {
			t.Errorf("changing %s and changing %s give the same id", what, other)
		}
		seen[id] = what
		if id != MustNew(spec).ID() {
			t.Errorf("changing %s: the id differs at the second time", what)
		}
	}
}

func TestNewReportsAllFaults(t *testing.T) {
	drv := MustNew(Spec{Name: "drv", Builder: "b"})
	for _, test := range []struct {
		spec Spec
		want []string
	}{
		{Spec{}, []string{"derivation: the name is empty", "derivation : no builder"}},
		{Spec{Name: "a/b", Builder: "b"}, []string{`derivation: the name "a/b" has the character '/'; letters, digits and any of +-._?=~ are allowed`}},
		{Spec{Name: "n", Builder: "b", Outputs: []string{"out", "a b", "out"}}, []string{
			`derivation n: output name "a b": want letters, digits and _`,
			`derivation n: output "out" is named twice`,
		}},
		{Spec{Name: "n", Builder: "b", Inputs: map[string]Input{"x": {}, "y": {Derivation: drv, Source: "z"}, "z": {Derivation: drv, Output: "no"}}}, []string{
			`derivation n: input "x" is neither a derivation's output nor a source`,
			`derivation n: input "y" is both a derivation's output and a source`,
			`derivation n: input "z": drv has no output "no"`,
		}},
		{Spec{Name: "n", Builder: "b", Inputs: map[string]Input{"out": {Derivation: drv}}}, []string{`derivation n: "out" is both an input and an output`}},
		{Spec{Name: "n", Builder: "b", Inputs: map[string]Input{"x": {Source: "/etc/passwd"}}}, []string{
			`derivation n: parse store path "/etc/passwd": does not begin with /nbuild/store/`,
		}},
		{Spec{Name: "n", Builder: "b", Fixed: &Fixed{"md5", zeros}}, []string{`derivation n: digest algorithm "md5": want sha256 or blake3`}},
		{Spec{Name: "n", Builder: "b", Fixed: &Fixed{"sha256", "12"}}, []string{`derivation n: sha256 digest "12": want 64 lower-case hexadecimal digits`}},
		{Spec{Name: "n", Builder: "b", Outputs: []string{"a"}, Fixed: &Fixed{"sha256", zeros}}, []string{
			`derivation n: a fixed-output derivation has the one output "out"`,
		}},
		{Spec{Name: "n", Builder: "b", Args: []string{"ok", "\xff"}}, []string{`derivation n: argument "1" is not valid UTF-8`}},
	} {
		_, err := New(test.spec)
		if err == nil {
			t.Errorf("New(%+v) found no fault", test.spec)
			continue
		}
		if diff := cmp.Diff(strings.Join(test.want, "\n"), err.Error()); diff != "" {
			t.Errorf("New(%+v) (-want +got):\n%s", test.spec, diff)
		}
	}
}

func TestNewCopies(t *testing.T) {
	spec := Spec{Name: "n", Builder: "b", Args: []string{"x"}, Env: map[string]string{"K": "v"}}
	drv := MustNew(spec)
	before := string(drv.Text())
	spec.Args[0], spec.Env["K"] = "changed", "changed"
	if diff := cmp.Diff(before, string(drv.Text())); diff != "" {
		t.Errorf("a derivation changed with its spec (-want +got):\n%s", diff)
	}
}

// Two derivations that differ, but whose inputs came out the same, are the same action: that is the early cutoff.
func TestKeyFollowsWhatInputsAre(t *testing.T) {
	top := func(comment string) *Derivation {
		leaf := MustNew(Spec{Name: "leaf", Builder: "text", Args: []string{comment}})
		return MustNew(Spec{
			Name: "top", Builder: "b", Args: []string{leaf.Placeholder("out")},
			Inputs: map[string]Input{"leaf": {Derivation: leaf}},
		})
	}
	key := func(d *Derivation, path storepath.Path) digest.ActionKey {
		a, err := d.Resolve(func(Input) (storepath.Path, error) { return path, nil })
		if err != nil {
			t.Fatal(err)
		}
		return a.Key()
	}
	one, two := top("one"), top("two")
	if one.ID() == two.ID() {
		t.Fatal("derivations with different inputs have the same id")
	}
	if key(one, sourcePath("same")) != key(two, sourcePath("same")) {
		t.Error("the same resolved inputs give different keys")
	}
	if key(one, sourcePath("same")) == key(one, sourcePath("other")) {
		t.Error("different resolved inputs give the same key")
	}
}

// A slot that begins with "_" has no meaning to the build, so what it is called is not in the key, and not its number.
func TestKeyForgetsUnnamedSlots(t *testing.T) {
	action := func(inputs map[string]string) string {
		spec := Spec{Name: "top", Builder: "b", Inputs: map[string]Input{}}
		for slot, name := range inputs {
			spec.Inputs[slot] = Input{Source: sourcePath(name)}
		}
		a, err := MustNew(spec).Resolve(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(a.Text())
	}
	one := action(map[string]string{"_x": "a", "_y": "b", "named": "c"})
	two := action(map[string]string{"_x": "b", "_z": "a", "_a": "a", "named": "c"})
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("the same paths under other unnamed slots (-one +two):\n%s", diff)
	}
	if other := action(map[string]string{"_x": "a", "_y": "b", "other": "c"}); other == one {
		t.Error("the name of a named slot is not in the text")
	}
}

func TestKeyOfFixedOutput(t *testing.T) {
	fetch := func(name, url string) digest.ActionKey {
		d := MustNew(Spec{Name: name, Builder: "fetch", Args: []string{url}, Fixed: &Fixed{"sha256", zeros}})
		a, err := d.Resolve(nil)
		if err != nil {
			t.Fatal(err)
		}
		return a.Key()
	}
	if fetch("f", "http://one") != fetch("f", "http://two") {
		t.Error("the place that a fixed output comes from is in its key")
	}
	if fetch("f", "http://one") == fetch("g", "http://one") {
		t.Error("the name of a fixed output is not in its key")
	}
}

func TestResolveRefusesAPlaceholderOfNoInput(t *testing.T) {
	other := MustNew(Spec{Name: "other", Builder: "b"})
	d := MustNew(Spec{Name: "n", Builder: "b", Env: map[string]string{"K": "x" + other.Placeholder("out")}})
	_, err := d.Resolve(nil)
	want := `derivation n: variable "K" uses an output that is not among the inputs: ` + other.Placeholder("out")
	if err == nil || err.Error() != want {
		t.Errorf("Resolve returned %v, want %s", err, want)
	}
}

func TestExplain(t *testing.T) {
	action := func(spec Spec) []byte {
		spec.Name, spec.Builder = "n", "b"
		a, err := MustNew(spec).Resolve(nil)
		if err != nil {
			t.Fatal(err)
		}
		return a.Text()
	}
	for _, test := range []struct {
		old, new Spec
		want     []string
	}{
		{Spec{Args: []string{"x"}}, Spec{Args: []string{"x"}}, nil},
		{Spec{Args: []string{"x", "y"}}, Spec{Args: []string{"x", "z"}}, []string{`-arg "y"`, `+arg "z"`}},
		{Spec{}, Spec{Env: map[string]string{"K": "v"}}, []string{`+env "K" "v"`}},
		{
			Spec{Inputs: map[string]Input{"i": {Source: sourcePath("a")}}},
			Spec{Inputs: map[string]Input{"i": {Source: sourcePath("b")}}},
			[]string{`-input "i" "path" "` + string(sourcePath("a")) + `"`, `+input "i" "path" "` + string(sourcePath("b")) + `"`},
		},
	} {
		if diff := cmp.Diff(test.want, Explain(action(test.old), action(test.new))); diff != "" {
			t.Errorf("Explain (-want +got):\n%s", diff)
		}
	}
}

// The quoted form is one that Go's own parser reads back, on one line.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "\n", "\"\\\x00\x7f\t", "é€😀", "line\r\nline"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			t.Skip()
		}
		quoted := string(appendQuoted(nil, s))
		if strings.ContainsAny(quoted, "\n\x00") {
			t.Errorf("%q is quoted as %s", s, quoted)
		}
		if got, err := strconv.Unquote(quoted); err != nil || got != s {
			t.Errorf("%q is quoted as %s, which reads as %q, %v", s, quoted, got, err)
		}
	})
}
