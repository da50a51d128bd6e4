package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddRoot(t *testing.T) {
	s := newStore(t)
	dir := newDir(t)
	a := mustBuild(t, s, "a", "a", nil, files{"f": "a"})
	b := mustBuild(t, s, "b", "b", nil, files{"f": "b"})
	for _, o := range []Object{a, a, b} {
		if err := s.AddRoot(t.Context(), dir+"/result", o.Path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(dir + "/result"); err != nil || got != s.ObjectFile(o.Path) {
			t.Errorf("the link leads to %q, %v, want %q", got, err, s.ObjectFile(o.Path))
		}
	}
	if err := s.AddRoot(t.Context(), dir+"/another", a.Path); err != nil {
		t.Fatal(err)
	}
	roots, err := s.Roots(t.Context())
	want := []Root{{dir + "/another", a.Path}, {dir + "/result", b.Path}}
	if diff := cmp.Diff(want, roots); err != nil || diff != "" {
		t.Errorf("roots, %v (-want +got):\n%s", err, diff)
	}
	if err := os.Remove(dir + "/another"); err != nil {
		t.Fatal(err)
	}
	if roots, err = s.Roots(t.Context()); err != nil || len(roots) != 1 {
		t.Errorf("after one link was removed: %v, %v", roots, err)
	}
}

func TestAddRootReplacesOnlyLinksIntoAStore(t *testing.T) {
	s, other := newStore(t), newStore(t)
	o := mustBuild(t, s, "a", "a", nil, files{"f": "a"})
	dir := newDir(t)
	files{"file": "x", "folder/": "", "link": "-> /etc/passwd", "other": "-> " + other.ObjectFile(o.Path)}.write(t, dir)
	if err := s.AddRoot(t.Context(), dir+"/other", o.Path); err != nil {
		t.Errorf("a link into another store: %v", err)
	}
	for name, want := range map[string]string{
		"file":   "there is something else of that name",
		"folder": "there is something else of that name",
		"link":   "there is a link of that name to /etc/passwd, which is not in a store",
	} {
		before, err := os.Lstat(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddRoot(t.Context(), dir+"/"+name, o.Path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", name, err, want)
		}
		if after, err := os.Lstat(dir + "/" + name); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
	if roots, err := s.Roots(t.Context()); err != nil || len(roots) != 1 {
		t.Errorf("refused links count as roots: %v, %v", roots, err)
	}
}

func TestCheckLink(t *testing.T) {
	dir := newDir(t)
	files{"file": "x", "link": "-> /nbuild/store/objects/" + strings.Repeat("0", 32) + "-x"}.write(t, dir)
	for name, want := range map[string]string{
		"new":       "",
		"link":      "",
		"file":      "make link " + dir + "/file: there is something else of that name, which is not a link into a store",
		"none/new":  "make link " + dir + "/none/new: write to " + dir + "/none: no such file or directory",
		"file/new":  "make link " + dir + "/file/new: lstat " + dir + "/file/new: not a directory",
		"file/../x": "",
	} {
		got := ""
		if err := CheckLink(filepath.Join(dir, name)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: error %q, want %q", name, got, want)
		}
	}
}
