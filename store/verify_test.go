package store

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"zombiezen.com/go/sqlite/sqlitex"

	"nbuild/internal/storepath"
)

// change makes a change in a frozen folder as root or its owner could.
func change(t *testing.T, folder string, do func() error) {
	t.Helper()
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := do(); err != nil {
		t.Fatal(err)
	}
	freeze(t, folder, 0o555)
}

func freeze(t *testing.T, file string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
}

// overwrite changes a file's content in place, and nothing else about it.
func overwrite(t *testing.T, file, content string) {
	t.Helper()
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	freeze(t, file, 0o444)
}

func execute(t *testing.T, s *Store, text string) {
	t.Helper()
	conn, err := openConn(s.indexFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sqlitex.ExecuteScript(conn, text, nil), conn.Close()); err != nil {
		t.Fatal(err)
	}
}

// Each kind of damage must be found, and each reason given.
func TestVerifyFinds(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, s *Store, file string) // file is that of an object that refers to another and to itself
		want  []string
	}{
		{"nothing", func(*testing.T, *Store, string) {}, nil},
		{"other content", func(t *testing.T, s *Store, file string) { overwrite(t, file+"/plain", "0ther") }, []string{
			"OBJECT: has digest", "OBJECT: its content belongs to the store path", "pool/", // the same file
		}},
		{"a mode", func(t *testing.T, s *Store, file string) { freeze(t, file+"/plain", 0o644) }, []string{
			"OBJECT: plain: has mode 0644 instead of 0444",
		}},
		{"a file more", func(t *testing.T, s *Store, file string) {
			change(t, file, func() error { return os.Symlink("x", file+"/more") })
		}, []string{"OBJECT: more: has modification time", "OBJECT: has digest"}},
		{"a file less", func(t *testing.T, s *Store, file string) {
			change(t, file, func() error { return os.Remove(file + "/plain") })
		}, []string{"OBJECT: has digest", "OBJECT: its content belongs to the store path"}},
		{"a missing object", func(t *testing.T, s *Store, file string) {
			if err := os.Chmod(file, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(file, newDirIn(t, s)+"/away"); err != nil {
				t.Fatal(err)
			}
		}, []string{"OBJECT: is missing"}},
		{"an object without a record", func(t *testing.T, s *Store, file string) {
			files{"f": "x"}.write(t, s.dir+"/objects/leftover")
		}, []string{"objects/leftover: is not in the index"}},
		{"a lost reference", func(t *testing.T, s *Store, file string) {
			execute(t, s, "DELETE FROM object_references")
		}, []string{"OBJECT: its content belongs to the store path"}},
		{"a wrong reference", func(t *testing.T, s *Store, file string) {
			execute(t, s, `INSERT INTO object_references SELECT a.id, b.id FROM objects a, objects b
				WHERE a.name LIKE '%-user' AND b.name LIKE '%-unused'`)
		}, []string{"OBJECT: is recorded to refer to UNUSED but does not", "OBJECT: its content belongs to the store path"}},
		{"a wrong record of itself", func(t *testing.T, s *Store, file string) {
			execute(t, s, "UPDATE objects SET self = 0")
		}, []string{"OBJECT: the record of whether it refers to itself is wrong"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t)
			input := mustBuild(t, s, "i", "input", nil, files{"f": "input"})
			unused := mustBuild(t, s, "u", "unused", nil, files{"f": "unused"})
			user, err := build(t, s, "k", "user", []Object{input, unused}, func(self storepath.Path) files {
				return files{"plain": "other", "uses": string(input.Path), "self": string(self)}
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			test.spoil(t, s, s.ObjectFile(user.Path))
			replace := strings.NewReplacer("objects/"+user.Path.Base(), "OBJECT", string(unused.Path), "UNUSED")
			var got []string
			for _, p := range problems(t, s) {
				got = append(got, replace.Replace(p))
			}
			matches := len(got) == len(test.want)
			for i := 0; matches && i < len(got); i++ {
				matches = strings.HasPrefix(got[i], test.want[i])
			}
			if !matches {
				t.Errorf("problems (-want prefixes +got):\n%s", cmp.Diff(test.want, got))
			}
		})
	}
}

// fillVariously adds objects of every kind that a rebuilt index must get right.
func fillVariously(t *testing.T, s *Store) {
	t.Helper()
	a := mustBuild(t, s, "a", "a", nil, files{"f": "a"})
	b := mustBuild(t, s, "b", "b", []Object{a}, files{"f": string(a.Path)})
	_, err := build(t, s, "c", "c", []Object{a, b}, func(self storepath.Path) files {
		return files{"f": string(self) + string(b.Path), "l": "-> " + string(self)}
	})
	if err != nil {
		t.Fatal(err)
	}
	// Quotes a and b, but only a was an input.
	mustBuild(t, s, "d", "d", []Object{a}, files{"f": string(a.Path) + " " + string(b.Path)})
	source := newDir(t)
	files{"note": "see " + string(a.Path)}.write(t, source)
	if _, err := s.AddSource(t.Context(), "source", source); err != nil {
		t.Fatal(err)
	}
}

func TestRebuildIndex(t *testing.T) {
	s := newStore(t)
	fillVariously(t, s)
	want, err := s.Objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RebuildIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := s.Objects(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("objects, %v (-before +after):\n%s", err, diff)
	}
	mustBuild(t, s, "later", "later", nil, files{"f": "later"})
	wantClean(t, s)
}

func TestRebuildIndexNeedsTheStoreAlone(t *testing.T) {
	s := newStore(t)
	other := openStore(t, s.Dir())
	if err := s.RebuildIndex(t.Context()); err == nil || !strings.Contains(err.Error(), "another nbuild uses the store") {
		t.Errorf("got error %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.RebuildIndex(t.Context()); err != nil {
		t.Error(err)
	}
}

// A lost index is rebuilt at the next Open, which says so; damaged objects don't get into it and are removed.
func TestLostIndex(t *testing.T) {
	for name, lose := range map[string]func(file string) error{
		"missing": os.Remove,
		"empty":   func(file string) error { return os.Truncate(file, 0) },
		"not an index": func(file string) error {
			return os.WriteFile(file, []byte(strings.Repeat("this is not a database. ", 500)), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newDir(t)
			s := openStore(t, dir)
			fillVariously(t, s)
			bad := mustBuild(t, s, "bad", "bad", nil, files{"f": "good"})
			above := mustBuild(t, s, "above", "above", []Object{bad}, files{"f": string(bad.Path)})
			objects, err := s.Objects(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			overwrite(t, s.ObjectFile(bad.Path)+"/f", "bad!")
			if err := lose(s.indexFile()); err != nil {
				t.Fatal(err)
			}
			var notices []string
			s, err = Open(t.Context(), dir, Options{Notice: func(text string) { notices = append(notices, text) }})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close() // A test's own.
			if len(notices) != 1 || !strings.Contains(notices[0], "rebuilding it from the objects") {
				t.Errorf("notices: %q", notices)
			}
			var want []Object
			for _, o := range objects {
				if o.Path != bad.Path && o.Path != above.Path {
					want = append(want, o)
				}
			}
			got, err := s.Objects(t.Context())
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("objects, %v (-want +got):\n%s", err, diff)
			}
			// The pool's own link to the file that was spoiled is all that is wrong.
			if found := problems(t, s); len(found) != 1 || !strings.HasPrefix(found[0], "pool/") {
				t.Errorf("problems: %q", found)
			}
		})
	}
}

func TestNewerIndex(t *testing.T) {
	dir := newDir(t)
	s := openStore(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, s, "PRAGMA user_version = 99")
	_, err := Open(t.Context(), dir, Options{})
	if err == nil || !strings.Contains(err.Error(), "the index has version 99, and this nbuild knows version 1") {
		t.Errorf("got error %v", err)
	}
}

func TestOpenRefusesAForeignStore(t *testing.T) {
	dir := "/" // root's
	if os.Geteuid() == 0 {
		dir = newDir(t)
		if err := os.Chown(dir, 12345, 12345); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Open(t.Context(), dir, Options{})
	if err == nil || !strings.Contains(err.Error(), "set NBUILD_STORE to a folder of your own") {
		t.Errorf("got error %v", err)
	}
}

func TestVerifyEndsWithTheContext(t *testing.T) {
	s := newStore(t)
	mustBuild(t, s, "a", "a", nil, files{"f": "a"})
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := s.Verify(ctx, func(p Problem) { t.Error(p) }); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
}

func TestSubsets(t *testing.T) {
	paths := []storepath.Path{"a", "b", "c"}
	var got []int
	for set := range subsets(paths) {
		got = append(got, len(set))
	}
	if diff := cmp.Diff([]int{3, 0, 1, 1, 2, 1, 2, 2}, got); diff != "" {
		t.Errorf("sizes of the subsets (-want +got):\n%s", diff)
	}
}
