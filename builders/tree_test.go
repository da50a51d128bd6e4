package builders

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/derivations"
)

// makeTree makes a folder of entries in the form of listTree. Files are read-only, as the store has them.
func makeTree(t testing.TB, entries map[string]string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, what := range entries {
		file := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		kind, rest, _ := strings.Cut(what, " ")
		switch {
		case err != nil:
		case kind == "dir":
			err = os.MkdirAll(file, 0o755)
		case kind == "link":
			err = os.Symlink(rest, file)
		case kind == "exec":
			err = os.WriteFile(file, []byte(rest), 0o755)
		case kind == "file":
			err = os.WriteFile(file, []byte(rest), 0o644)
		default:
			t.Fatalf("%s: no kind %q", name, kind)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

type treeOf = map[string]string

func TestTree(t *testing.T) {
	tests := []struct {
		name   string
		inputs map[string]treeOf
		spec   derivations.Spec
		want   treeOf
	}{
		{
			name: "nothing",
			want: treeOf{".": "dir"},
		},
		{
			name:   "merge",
			inputs: map[string]treeOf{"a": {"d/x": "file 1", "l": "link d"}, "b": {"d/y": "exec 2", "e": "dir"}},
			spec:   derivations.Spec{Args: []string{"a", "b"}},
			want:   treeOf{".": "dir", "d": "dir", "d/x": "file 1", "d/y": "exec 2", "e": "dir", "l": "link d"},
		},
		{
			name:   "placed, twice",
			inputs: map[string]treeOf{"a": {"x": "file 1"}},
			spec:   derivations.Spec{Args: []string{"a=one/two", "a=one"}},
			want:   treeOf{".": "dir", "one": "dir", "one/x": "file 1", "one/two": "dir", "one/two/x": "file 1"},
		},
		{
			name: "the same file twice",
			inputs: map[string]treeOf{
				"a": {"x": "file 1", "l": "link x"},
				"b": {"x": "file 1", "l": "link x"},
			},
			spec: derivations.Spec{Args: []string{"a", "b"}, Files: map[string]string{"x": "1"}, Env: map[string]string{"link:l": "x"}},
			want: treeOf{".": "dir", "x": "file 1", "l": "link x"},
		},
		{
			name: "the last wins",
			inputs: map[string]treeOf{
				"a": {"x": "file 1", "l": "link x", "y": "file 1"},
				"b": {"x": "link y", "l": "file 1", "y": "file 2"},
			},
			spec: derivations.Spec{
				Args:  []string{"a", "b"},
				Files: map[string]string{"y": "3"},
				Env:   map[string]string{"conflicts": "last", "executable": "y\n"},
			},
			want: treeOf{".": "dir", "x": "link y", "l": "file 1", "y": "exec 3"},
		},
		{
			name: "merged usr",
			inputs: map[string]treeOf{
				"a": {"bin/sh": "exec sh", "usr/bin/ls": "exec ls", "lib64/ld": "exec ld"},
				"b": {"bin": "link usr/bin", "usr/lib/x": "file x", "usr/bin/sh": "exec sh"},
			},
			spec: derivations.Spec{Args: []string{"a", "b"}, Env: map[string]string{"nbuild.usrmerge": "1"}},
			want: treeOf{
				".": "dir", "bin": "link usr/bin", "sbin": "link usr/sbin", "lib": "link usr/lib", "lib64": "link usr/lib64",
				"usr": "dir", "usr/bin": "dir", "usr/sbin": "dir", "usr/lib": "dir", "usr/lib64": "dir",
				"usr/bin/sh": "exec sh", "usr/bin/ls": "exec ls", "usr/lib64/ld": "exec ld", "usr/lib/x": "file x",
			},
		},
		{
			name:   "through an absolute link of the tree",
			inputs: map[string]treeOf{"a": {"run": "dir", "var/run": "link /run"}, "b": {"var/run/x": "file 1"}},
			spec:   derivations.Spec{Args: []string{"a", "b"}},
			want:   treeOf{".": "dir", "run": "dir", "run/x": "file 1", "var": "dir", "var/run": "link /run"},
		},
		{
			name: "files and links",
			spec: derivations.Spec{
				Files: map[string]string{"etc/a": "A", "usr/bin/b": "B"},
				Env:   map[string]string{"executable": "usr/bin/b", "link:usr/bin/cc": "gcc", "link:abs": "/etc/a"},
			},
			want: treeOf{
				".": "dir", "etc": "dir", "etc/a": "file A", "usr": "dir", "usr/bin": "dir", "usr/bin/b": "exec B",
				"usr/bin/cc": "link gcc", "abs": "link /etc/a",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.spec.Builder = "tree"
			inputs := map[string]string{}
			for slot, tree := range test.inputs {
				inputs[slot] = makeTree(t, tree)
			}
			out := mustBuild(t, Tree{}, testRequest(t, test.spec, inputs))
			if diff := cmp.Diff(test.want, listTree(t, out)); diff != "" {
				t.Errorf("out (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTreeFails(t *testing.T) {
	tests := []struct {
		name   string
		inputs map[string]treeOf
		spec   derivations.Spec
		want   []string
	}{
		{
			"other content",
			map[string]treeOf{"a": {"d/x": "file 1"}, "b": {"d/x": "file 2"}},
			derivations.Spec{Args: []string{"a", "b"}},
			[]string{"d/x is in both input-a and input-b, and not the same"},
		},
		{
			"other executable bit",
			map[string]treeOf{"a": {"x": "file 1"}, "b": {"x": "exec 1"}},
			derivations.Spec{Args: []string{"a", "b"}},
			[]string{"x is in both input-a and input-b"},
		},
		{
			"other target",
			map[string]treeOf{"a": {"x": "link 1"}, "b": {"x": "link 2"}},
			derivations.Spec{Args: []string{"a", "b"}},
			[]string{"x is in both input-a and input-b"},
		},
		{
			"conflict through a link",
			map[string]treeOf{"a": {"bin/x": "file 1"}, "b": {"usr/bin/x": "file 2"}},
			derivations.Spec{Args: []string{"a", "b"}, Env: map[string]string{"nbuild.usrmerge": "1"}},
			[]string{"usr/bin/x is in both input-a and input-b"},
		},
		{
			"several",
			map[string]treeOf{"a": {"x": "file 1", "y": "file 1"}, "b": {"x": "file 2", "y": "link x"}},
			derivations.Spec{Args: []string{"a", "b"}},
			[]string{"2 conflicts:\nx is in both", "\ny is in both"},
		},
		{
			"file where a folder is",
			map[string]treeOf{"a": {"x/y": "file 1"}, "b": {"x": "file 2"}},
			derivations.Spec{Args: []string{"a", "b"}, Env: map[string]string{"conflicts": "last"}},
			[]string{"x is in both a folder of others and input-b"},
		},
		{
			"folder where a file is",
			map[string]treeOf{"a": {"x": "file 1"}, "b": {"x/y": "file 2"}},
			derivations.Spec{Args: []string{"a", "b"}, Env: map[string]string{"conflicts": "last"}},
			[]string{"x is in both input-a and input-b"},
		},
		{
			"folder where a link to nothing is",
			map[string]treeOf{"a": {"x": "link gone"}, "b": {"x/y": "file 2"}},
			derivations.Spec{Args: []string{"a", "b"}},
			[]string{"x is in both input-a and input-b"},
		},
		{
			"file of the derivation",
			map[string]treeOf{"a": {"x": "file 1"}},
			derivations.Spec{Args: []string{"a"}, Files: map[string]string{"x": "2"}},
			[]string{"x is in both input-a and the derivation's files"},
		},
		{"no input", nil, derivations.Spec{Args: []string{"a"}}, []string{`there is no input "a"`}},
		{
			"placed outside",
			map[string]treeOf{"a": {}},
			derivations.Spec{Args: []string{"a=../x"}},
			[]string{`argument "a=../x": the name leads out of the tree`},
		},
		{"file outside", nil, derivations.Spec{Files: map[string]string{"/etc/x": ""}}, []string{"/etc/x: the name is absolute"}},
		{"link outside", nil, derivations.Spec{Env: map[string]string{"link:../x": "y"}}, []string{"../x: the name leads out of the tree"}},
		{"link to nowhere", nil, derivations.Spec{Env: map[string]string{"link:x": ""}}, []string{"link:x: the link's target is empty"}},
		{"not executable", nil, derivations.Spec{Env: map[string]string{"executable": "x"}}, []string{"executable: there is no file x"}},
		{"bad option", nil, derivations.Spec{Env: map[string]string{"conflicts": "first"}}, []string{`conflicts is "first"`}},
		{"bad flag", nil, derivations.Spec{Env: map[string]string{"nbuild.usrmerge": "yes"}}, []string{`nbuild.usrmerge is "yes", want 1 or 0`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.spec.Builder = "tree"
			inputs := map[string]string{}
			for slot, tree := range test.inputs {
				inputs[slot] = makeTree(t, tree)
			}
			wantFailure(t, Tree{}, testRequest(t, test.spec, inputs), test.want...)
		})
	}
}

// Files are the inputs' own, and merging never changes them: they are in the store.
func TestTreeLinksFiles(t *testing.T) {
	in := makeTree(t, treeOf{"x": "file 1"})
	if err := os.Chmod(in+"/x", 0o444); err != nil {
		t.Fatal(err)
	}
	before := stat(t, in+"/x")
	spec := derivations.Spec{Builder: "tree", Args: []string{"a"}, Files: map[string]string{"x": "2"}, Env: map[string]string{"conflicts": "last"}}
	r := testRequest(t, spec, map[string]string{"a": in})
	if b, err := os.ReadFile(mustBuild(t, Tree{}, r) + "/x"); err != nil || string(b) != "2" {
		t.Errorf("x is %q, %v, want the derivation's", b, err)
	}
	spec.Files = nil
	out := mustBuild(t, Tree{}, testRequest(t, spec, map[string]string{"a": in}))
	if !os.SameFile(before, stat(t, out+"/x")) {
		t.Error("x is not the input's own file")
	}
	after := stat(t, in+"/x")
	if b, err := os.ReadFile(in + "/x"); err != nil || string(b) != "1" || after.Mode() != before.Mode() || after.ModTime() != before.ModTime() {
		t.Errorf("the input is %q, %v, %v now", b, after.Mode(), after.ModTime())
	}
}

// An input may be a single file or a link, which needs a place.
func TestTreeOfFiles(t *testing.T) {
	in := makeTree(t, treeOf{"prog": "exec 1", "link": "link target"})
	inputs := map[string]string{"prog": in + "/prog", "link": in + "/link"}
	spec := derivations.Spec{Builder: "tree", Args: []string{"prog=bin/prog", "link=l"}}
	out := mustBuild(t, Tree{}, testRequest(t, spec, inputs))
	want := treeOf{".": "dir", "bin": "dir", "bin/prog": "exec 1", "l": "link target"}
	if diff := cmp.Diff(want, listTree(t, out)); diff != "" {
		t.Errorf("out (-want +got):\n%s", diff)
	}
	spec.Args = []string{"prog"}
	wantFailure(t, Tree{}, testRequest(t, spec, inputs), "input prog is not a folder: say where to put it, by prog=path")
}

// What can't be linked is copied.
func TestCopyEntry(t *testing.T) {
	in := makeTree(t, treeOf{"prog": "exec 1", "file": "file 2", "link": "link target"})
	out, err := newBeneath(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	f, err := os.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		from := side{int(f.Fd()), e.Name(), "input"}
		if err := copyEntry(from, place{out.fd, e.Name(), e.Name()}, entryKind(e)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(listTree(t, in), listTree(t, fmt.Sprintf("/proc/self/fd/%d/.", out.fd))); diff != "" {
		t.Errorf("copy (-want +got):\n%s", diff)
	}
}

// BenchmarkTree merges 7,000 entries, as many as a small Debian system has, from 100 inputs.
func BenchmarkTree(b *testing.B) {
	inputs := map[string]string{}
	var args []string
	for i := range 100 {
		slot := fmt.Sprintf("package%d", i)
		tree := treeOf{}
		for j := range 60 {
			tree[fmt.Sprintf("usr/share/package%d/%d/file%d", i, j%8, j)] = "file some"
		}
		inputs[slot] = makeTree(b, tree)
		args = append(args, slot)
	}
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		r := testRequest(b, derivations.Spec{Builder: "tree", Args: args}, inputs)
		b.StartTimer()
		mustBuild(b, Tree{}, r)
	}
}
