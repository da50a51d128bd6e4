package store

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
	"nbuild/internal/storepath"
)

// newDir returns a folder that is removed at the end even if read-only trees are in it, as t.TempDir can't.
func newDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbuild-store-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fsx.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, Options{Notice: func(text string) { t.Log(text) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newStore returns an empty store that is closed at the end.
func newStore(t testing.TB) *Store {
	t.Helper()
	s := openStore(t, newDir(t))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// files says what to write: by path below a folder, a file's content; "-> target" makes a symlink, "x content" sets the
// executable bit, a path that ends in "/" is a folder.
type files map[string]string

func (f files) write(t testing.TB, dir string) {
	t.Helper()
	for path, content := range f {
		if err := writeOne(filepath.Join(dir, path), path, content); err != nil {
			t.Fatal(err)
		}
	}
}

func writeOne(file, path, content string) error {
	if strings.HasSuffix(path, "/") {
		return os.MkdirAll(file, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if target, ok := strings.CutPrefix(content, "-> "); ok {
		return os.Symlink(target, file)
	}
	mode := os.FileMode(0o644)
	if rest, ok := strings.CutPrefix(content, "x "); ok {
		mode, content = 0o755, rest
	}
	return os.WriteFile(file, []byte(content), mode)
}

// keyOf returns an action key for tests.
func keyOf(text string) digest.ActionKey { return digest.ActionKey(digest.Sum([]byte(text))) }

func idOf(text string) digest.DerivationID { return digest.DerivationID(digest.Sum([]byte(text))) }

// build adds one object whose files tell content(scratch path) for the action called key.
func build(t testing.TB, s *Store, key, name string, inputs []Object, content func(self storepath.Path) files) (Object, error) {
	t.Helper()
	sc, err := s.NewScratch(keyOf(key))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sc.Remove(); err != nil {
			t.Error(err)
		}
	}()
	file := sc.File("out", name)
	content(sc.Path("out", name)).write(t, file)
	var may []storepath.Path
	for _, o := range inputs {
		may = append(may, o.Path)
	}
	added, err := s.Add(t.Context(), []NewObject{{Name: name, File: file, Scratch: sc.Path("out", name), MayReference: may}})
	if err != nil {
		return Object{}, err
	}
	return added[0], nil
}

func mustBuild(t testing.TB, s *Store, key, name string, inputs []Object, content files) Object {
	t.Helper()
	o, err := build(t, s, key, name, inputs, func(storepath.Path) files { return content })
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// problems returns what Verify finds, without the store's folder.
func problems(t testing.TB, s *Store) []string {
	t.Helper()
	var found []string
	err := s.Verify(context.Background(), func(p Problem) {
		found = append(found, strings.ReplaceAll(p.String(), s.Dir()+"/", ""))
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantClean(t testing.TB, s *Store) {
	t.Helper()
	if found := problems(t, s); len(found) > 0 {
		t.Errorf("the store is not clean:\n%s", strings.Join(found, "\n"))
	}
}

func TestAddIsValidAndFrozen(t *testing.T) {
	s := newStore(t)
	o := mustBuild(t, s, "k", "hello", nil, files{"bin/hello": "x #!/bin/sh\n", "share/doc": "text", "link": "-> bin/hello", "empty/": ""})
	if o.Files != 2 || o.Size != 14 {
		t.Errorf("the object has %d files with %d bytes, want 2 with 14", o.Files, o.Size)
	}
	got, err := s.Object(t.Context(), o.Path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o, got); diff != "" {
		t.Errorf("Object (-want +got):\n%s", diff)
	}
	for path, mode := range map[string]os.FileMode{"": 0o555, "bin": 0o555, "bin/hello": 0o555, "share/doc": 0o444, "empty": 0o555} {
		info, err := os.Lstat(filepath.Join(s.ObjectFile(o.Path), path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode || info.ModTime().Unix() != 1 {
			t.Errorf("%q has mode %v and time %v, want %v and 1", path, info.Mode(), info.ModTime().Unix(), mode)
		}
	}
	wantClean(t, s)
}

func TestSelfReference(t *testing.T) {
	s := newStore(t)
	content := func(self storepath.Path) files {
		return files{"bin/run": "x exec " + string(self) + "/lib " + string(self), "self": "-> " + string(self) + "/bin", "plain": "no"}
	}
	a, err := build(t, s, "first key", "tool", nil, content)
	if err != nil {
		t.Fatal(err)
	}
	b, err := build(t, s, "another key", "tool", nil, content)
	if err != nil {
		t.Fatal(err)
	}
	if a.Path != b.Path {
		t.Errorf("built under another scratch path, the same content is %s, want %s", b.Path, a.Path)
	}
	if !a.SelfReference {
		t.Error("the object does not know that it refers to itself")
	}
	got, err := os.ReadFile(s.ObjectFile(a.Path) + "/bin/run")
	if err != nil {
		t.Fatal(err)
	}
	if want := "exec " + string(a.Path) + "/lib " + string(a.Path); string(got) != want {
		t.Errorf("the file says %q, want %q", got, want)
	}
	target, err := os.Readlink(s.ObjectFile(a.Path) + "/self")
	if want := string(a.Path) + "/bin"; err != nil || target != want {
		t.Errorf("the link leads to %q (%v), want %q", target, err, want)
	}
	wantClean(t, s)
}

// TestOpenNewAtOnce opens a store that isn't there yet by several at once: whoever comes first makes its index.
func TestOpenNewAtOnce(t *testing.T) {
	for range 40 {
		dir := filepath.Join(t.TempDir(), "store")
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				s, err := Open(t.Context(), dir, Options{})
				if err == nil {
					err = s.Close()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
}
