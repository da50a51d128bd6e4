package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
	"nbuild/internal/storepath"
)

// exported returns a store with some objects: one that refers to two others and to itself, and a symlink. It is closed at
// the end of the test.
func exported(t *testing.T) (from *Store, closure []Object) {
	t.Helper()
	from = newStore(t)
	leaf := mustBuild(t, from, "leaf", "leaf", nil, files{"data": "leaf", "empty/": ""})
	middle := mustBuild(t, from, "middle", "middle", []Object{leaf}, files{"bin/program": "x run " + string(leaf.Path), "link": "-> " + string(leaf.Path)})
	top, err := build(t, from, "top", "top", []Object{leaf, middle}, func(self storepath.Path) files {
		return files{"self": "at " + string(self), "other": "-> " + string(self) + "/self", "needs": string(middle.Path) + " " + string(leaf.Path)}
	})
	if err != nil {
		t.Fatal(err)
	}
	closure, err = from.Closure(t.Context(), top.Path)
	if err != nil {
		t.Fatal(err)
	}
	return from, closure
}

// copying returns an Extractor that copies out of a store, and changes what it copied.
func copying(from *Store, change func(o Object, file string) error) Extractor {
	return func(_ context.Context, o Object, file string) error {
		if err := fsx.Copy(from.ObjectFile(o.Path), file); err != nil || change == nil {
			return err
		}
		return change(o, file)
	}
}

func TestImport(t *testing.T) {
	from, closure := exported(t)
	to := newStore(t)
	added, err := to.Import(t.Context(), closure, copying(from, nil))
	if err != nil || added != len(closure) {
		t.Fatalf("Import = %d, %v; want %d", added, err, len(closure))
	}
	for _, want := range closure {
		got, err := to.Object(t.Context(), want.Path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("imported object (-want +got):\n%s", diff)
		}
	}
	wantClean(t, to)
	never := func(_ context.Context, o Object, _ string) error { return fmt.Errorf("%s is asked for again", o.Path) }
	if added, err := to.Import(t.Context(), closure, never); err != nil || added != 0 {
		t.Errorf("Import again = %d, %v", added, err)
	}
}

// TestImportOfTheRest: what is in the store already need not come along.
func TestImportOfTheRest(t *testing.T) {
	from, closure := exported(t)
	to := newStore(t)
	i := indexOf(closure, "leaf")
	if added, err := to.Import(t.Context(), closure[i:i+1], copying(from, nil)); err != nil || added != 1 {
		t.Fatalf("Import(leaf) = %d, %v", added, err)
	}
	if added, err := to.Import(t.Context(), closure, copying(from, nil)); err != nil || added != len(closure)-1 {
		t.Fatalf("Import(all) = %d, %v", added, err)
	}
	wantClean(t, to)
}

func indexOf(objects []Object, name string) int {
	for i, o := range objects {
		if o.Path.Name() == name {
			return i
		}
	}
	panic("there is no object " + name)
}

// TestImportRefuses: nothing of a set gets into the store if anything of it is wrong.
func TestImportRefuses(t *testing.T) {
	from, closure := exported(t)
	leaf, middle := closure[indexOf(closure, "leaf")], closure[indexOf(closure, "middle")]
	inFile := func(name, file, content string) func(Object, string) error {
		return func(o Object, at string) error {
			if o.Path.Name() != name {
				return nil
			}
			return os.WriteFile(at+"/"+file, []byte(content), 0o644)
		}
	}
	for _, test := range []struct {
		name   string
		claim  func(o *Object)
		change func(o Object, file string) error
		want   string
	}{
		{"other content", nil, inFile("leaf", "data", "LEAF"), "its content belongs to the store path /nbuild/store/"},
		{"more", nil, inFile("middle", "more", "x"), "its content belongs to the store path /nbuild/store/"},
		{"pipe", nil, func(o Object, file string) error {
			return syscall.Mkfifo(file+"/pipe", 0o644)
		}, "pipe: is a named pipe; a store object holds files, folders and links only"},
		{"other mode", nil, func(o Object, file string) error {
			if o.Path.Name() != "leaf" {
				return nil
			}
			return os.Chmod(file+"/data", 0o755)
		}, "its content belongs to the store path /nbuild/store/"},
		{"digest", func(o *Object) { o.Digest[0]++ }, nil, "has digest "},
		{"size", func(o *Object) {
			if o.Path == leaf.Path {
				o.Size++
			}
		}, nil, "it has 4 bytes, but is said to have 5"},
		{"missing", func(o *Object) {
			if o.Path == leaf.Path {
				o.References = []storepath.Path{"/nbuild/store/00000000000000000000000000000000-x"}
			}
		}, nil, "it refers to /nbuild/store/00000000000000000000000000000000-x, which is neither with it nor in the store"},
		{"reference that isn't one", func(o *Object) {
			if o.Path == leaf.Path {
				o.References = []storepath.Path{middle.Path}
			}
		}, nil, "it is said to refer to " + string(middle.Path) + ", but does not"},
		{"reference left out", func(o *Object) {
			if o.Path == middle.Path {
				o.References = nil
			}
		}, nil, "its content belongs to the store path /nbuild/store/"},
		{"negative size", func(o *Object) { o.Size = -1 }, nil, "no disk has room for it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			to := newStore(t)
			claimed := make([]Object, len(closure))
			for i, o := range closure {
				claimed[i] = o
				if test.claim != nil {
					test.claim(&claimed[i])
				}
			}
			_, err := to.Import(t.Context(), claimed, copying(from, test.change))
			var wrong *ImportError
			if !errors.As(err, &wrong) || !strings.HasPrefix(wrong.Reason, test.want) || !wrong.IsInput() {
				t.Fatalf("Import: %v, want an *ImportError: %s", err, test.want)
			}
			wantNothing(t, to)
		})
	}
}

// wantNothing fails if a store has an object, named or not, or something that is being made.
func wantNothing(t *testing.T, s *Store) {
	t.Helper()
	if objects, err := s.Objects(t.Context()); err != nil || len(objects) > 0 {
		t.Errorf("the store has %v, %v", objects, err)
	}
	dir, err := s.processFolder()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{s.dir + "/objects", dir} {
		if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
			t.Errorf("%s has %v, %v", folder, entries, err)
		}
	}
}

func TestImportWithAnotherDigestThanThere(t *testing.T) {
	from, closure := exported(t)
	to := newStore(t)
	if _, err := to.Import(t.Context(), closure, copying(from, nil)); err != nil {
		t.Fatal(err)
	}
	closure[0].Digest = digest.Digest{}
	_, err := to.Import(t.Context(), closure, copying(from, nil))
	var wrong *ImportError
	if !errors.As(err, &wrong) || wrong.Path != closure[0].Path {
		t.Errorf("Import: %v, want an *ImportError", err)
	}
}

func TestImportWithoutRoom(t *testing.T) {
	from, closure := exported(t)
	to := newStore(t)
	closure[0].Size = 1 << 60
	_, err := to.Import(t.Context(), closure, copying(from, nil))
	if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "import: it needs 1099511627776 MiB on /") {
		t.Errorf("Import: %v, want that there is no room", err)
	}
	wantNothing(t, to)
}

func TestImportThatBreaksOff(t *testing.T) {
	from, closure := exported(t)
	to := newStore(t)
	count := 0
	broken := errors.New("broken")
	_, err := to.Import(t.Context(), closure, copying(from, func(Object, string) error {
		if count++; count == len(closure) {
			return broken
		}
		return nil
	}))
	if !errors.Is(err, broken) {
		t.Errorf("Import: %v", err)
	}
	wantNothing(t, to)
}
