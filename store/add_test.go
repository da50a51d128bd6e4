package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// The text that store paths are made of is a format: these values change only with its version.
func TestPathOf(t *testing.T) {
	d := digest.Sum([]byte("content"))
	self := []position{{"b", 7}, {"a \"quoted\"", 9}, {"b", 3}}
	references := []storepath.Path{"/nbuild/store/0123456789abcdfghijklmnpqrsvwxyz-a", "/nbuild/store/zyxwvsrqpnmlkjihgfdcba9876543210-b"}
	text := "nbuild store path 1\nname hello\ndigest " + d.String() + "\n" +
		"self \"a \\\"quoted\\\"\" 9\nself \"b\" 3\nself \"b\" 7\n" +
		"reference /nbuild/store/0123456789abcdfghijklmnpqrsvwxyz-a\nreference /nbuild/store/zyxwvsrqpnmlkjihgfdcba9876543210-b\n"
	want := storepath.New(digest.Derive("nbuild 2026-11 store path v1", []byte(text)), "hello")
	if got := pathOf("hello", d, self, references); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := pathOf("hello", d, nil, nil); got == want {
		t.Error("references don't count")
	}
}

func TestReferences(t *testing.T) {
	s := newStore(t)
	a := mustBuild(t, s, "a", "a", nil, files{"f": "a"})
	b := mustBuild(t, s, "b", "b", []Object{a}, files{"f": "uses " + string(a.Path) + "/f"})
	c := mustBuild(t, s, "c", "c", []Object{a, b}, files{"l": "-> " + string(b.Path) + "/f", "f": "nothing of a"})
	loose := mustBuild(t, s, "loose", "loose", nil, files{"f": "quotes " + string(a.Path)})
	for _, test := range []struct {
		object Object
		want   []storepath.Path
	}{{a, nil}, {b, []storepath.Path{a.Path}}, {c, []storepath.Path{b.Path}}, {loose, nil}} {
		if diff := cmp.Diff(test.want, test.object.References); diff != "" {
			t.Errorf("references of %s (-want +got):\n%s", test.object.Path, diff)
		}
	}
	closure, err := s.Closure(t.Context(), c.Path, a.Path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Object{a, b, c}
	slices.SortFunc(want, func(x, y Object) int { return strings.Compare(string(x.Path), string(y.Path)) })
	if diff := cmp.Diff(want, closure); diff != "" {
		t.Errorf("closure (-want +got):\n%s", diff)
	}
	wantClean(t, s)
}

func TestNotValid(t *testing.T) {
	s := newStore(t)
	p := storepath.New(digest.Sum([]byte("none")), "none")
	if _, err := s.Object(t.Context(), p); !errors.Is(err, ErrNotValid) {
		t.Errorf("Object: got error %v, want ErrNotValid", err)
	}
	if _, err := s.Closure(t.Context(), p); !errors.Is(err, ErrNotValid) {
		t.Errorf("Closure: got error %v, want ErrNotValid", err)
	}
	r := Realisation{Key: keyOf("k"), Name: "none", Outputs: map[string]storepath.Path{"out": p}}
	if err := s.AddRealisation(t.Context(), r, nil); !errors.Is(err, ErrNotValid) {
		t.Errorf("AddRealisation: got error %v, want ErrNotValid", err)
	}
	if err := s.AddRoot(t.Context(), newDir(t)+"/result", p); !errors.Is(err, ErrNotValid) {
		t.Errorf("AddRoot: got error %v, want ErrNotValid", err)
	}
}

// outputs adds objects called a, b, c of one action; content may use the scratch paths of all.
func outputs(t *testing.T, s *Store, content func(a, b, c storepath.Path) []files) ([]Object, error) {
	t.Helper()
	sc, err := s.NewScratch(keyOf("action"))
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Remove() // Only a test's folder.
	var objs []NewObject
	paths := []storepath.Path{sc.Path("a", "a"), sc.Path("b", "b"), sc.Path("c", "c")}
	for i, f := range content(paths[0], paths[1], paths[2]) {
		file := sc.File(paths[i].Name(), paths[i].Name())
		f.write(t, file)
		objs = append(objs, NewObject{Name: paths[i].Name(), File: file, Scratch: paths[i]})
	}
	return s.Add(t.Context(), objs)
}

func TestOutputsReferToEachOther(t *testing.T) {
	s := newStore(t)
	added, err := outputs(t, s, func(a, b, c storepath.Path) []files {
		return []files{
			{"f": string(b) + string(c) + string(a)},
			{"f": "-> " + string(c) + "/f"},
			{"f": "the last"},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := added[0], added[1], added[2]
	want := []storepath.Path{b.Path, c.Path}
	slices.Sort(want)
	if diff := cmp.Diff(want, a.References); diff != "" {
		t.Errorf("references of a (-want +got):\n%s", diff)
	}
	if got, err := os.ReadFile(s.ObjectFile(a.Path) + "/f"); err != nil || string(got) != string(b.Path+c.Path+a.Path) {
		t.Errorf("a/f says %q, %v", got, err)
	}
	if got, err := os.Readlink(s.ObjectFile(b.Path) + "/f"); err != nil || got != string(c.Path)+"/f" {
		t.Errorf("b/f leads to %q, %v", got, err)
	}
	wantClean(t, s)
}

func TestAddRefuses(t *testing.T) {
	s := newStore(t)
	tests := []struct {
		name    string
		content func(a, b, c storepath.Path) []files
		want    string
	}{
		{
			"a circle",
			func(a, b, c storepath.Path) []files {
				return []files{{"f": string(b)}, {"f": string(c)}, {"f": string(a)}}
			},
			"add a: the outputs refer to each other in a circle: a -> b -> c -> a",
		},
		{
			"a file name with its own path",
			func(a, b, c storepath.Path) []files { return []files{{"in/" + a.Base(): ""}} },
			"add a: in/SCRATCH: the file's name has the output's own store path in it, which is not final yet",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := outputs(t, s, test.content)
			var wrong *OutputError
			if !errors.As(err, &wrong) {
				t.Fatalf("got error %v, want an *OutputError", err)
			}
			sc := &Scratch{key: keyOf("action")}
			got := strings.ReplaceAll(err.Error(), sc.Path("a", "a").Base(), "SCRATCH")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
	if found, err := os.ReadDir(s.Dir() + "/objects"); err != nil || len(found) > 0 {
		t.Errorf("something was added: %v, %v", found, err)
	}
}

func TestAddRefusesPipe(t *testing.T) {
	s := newStore(t)
	sc, err := s.NewScratch(keyOf("k"))
	if err != nil {
		t.Fatal(err)
	}
	file := sc.File("out", "x")
	files{"run/": "", "suid": "x "}.write(t, file)
	if err := unix.Mkfifo(file+"/run/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file+"/suid", 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	_, err = s.Add(t.Context(), []NewObject{{Name: "x", File: file}})
	const want = "add x: run/pipe: is a named pipe; a store object holds files, folders and links only; suid: has the special mode 04755; a store object can't hold setuid, setgid or sticky bits"
	if err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestAddOfFileAndSymlink(t *testing.T) {
	s := newStore(t)
	dir := newDirIn(t, s)
	files{"file": "x #!/bin/sh\n", "link": "-> elsewhere"}.write(t, dir)
	for _, name := range []string{"file", "link"} {
		added, err := s.Add(t.Context(), []NewObject{{Name: name, File: dir + "/" + name}})
		if err != nil {
			t.Fatal(err)
		}
		if added[0].Path.Name() != name {
			t.Errorf("the object is called %s, want %s", added[0].Path.Name(), name)
		}
	}
	wantClean(t, s)
}

// newDirIn returns a folder on the store's file system.
func newDirIn(t testing.TB, s *Store) string {
	t.Helper()
	dir, err := s.temporary()
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func inode(t *testing.T, file string) uint64 {
	t.Helper()
	info, err := os.Lstat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

func TestIdenticalFilesAreOne(t *testing.T) {
	s := newStore(t)
	a := mustBuild(t, s, "a", "a", nil, files{"one": "same", "run": "x same"})
	same := mustBuild(t, s, "b", "b", nil, files{"two": "same"}) // not on the disk yet
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := mustBuild(t, s, "c", "c", nil, files{"three": "same", "other": "different", "run": "x same"})
	one := inode(t, s.ObjectFile(a.Path)+"/one")
	for _, file := range []string{s.ObjectFile(same.Path) + "/two", s.ObjectFile(later.Path) + "/three"} {
		if got := inode(t, file); got != one {
			t.Errorf("%s is not the same file", file)
		}
	}
	run := inode(t, s.ObjectFile(a.Path)+"/run")
	if run == one {
		t.Error("an executable file shares its mode with one that is not")
	}
	if got := inode(t, s.ObjectFile(later.Path)+"/run"); got != run {
		t.Error("executable files are not shared")
	}
	wantClean(t, s)
}

func TestNoDeduplicate(t *testing.T) {
	s, err := Open(t.Context(), newDir(t), Options{NoDeduplicate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() // A test's own.
	a := mustBuild(t, s, "a", "a", nil, files{"one": "same"})
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := mustBuild(t, s, "b", "b", nil, files{"two": "same"})
	if inode(t, s.ObjectFile(a.Path)+"/one") == inode(t, s.ObjectFile(b.Path)+"/two") {
		t.Error("the files are shared")
	}
}

// A build may hard-link files of the store into its output; rewriting must not reach through.
func TestHardLinksToTheStoreStayWhole(t *testing.T) {
	s := newStore(t)
	a := mustBuild(t, s, "a", "a", nil, files{"f": "shared"})
	sc, err := s.NewScratch(keyOf("b"))
	if err != nil {
		t.Fatal(err)
	}
	file := sc.File("out", "b")
	files{"own": string(sc.Path("out", "b"))}.write(t, file)
	if err := os.Link(s.ObjectFile(a.Path)+"/f", file+"/f"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(t.Context(), []NewObject{{Name: "b", File: file, Scratch: sc.Path("out", "b")}}); err != nil {
		t.Fatal(err)
	}
	wantClean(t, s)
}

// Nothing but a loss of power leaves a torn object under its final name; Add must not take it for good.
func TestTornObjectIsReplaced(t *testing.T) {
	dir := newDir(t)
	reference := newStore(t)
	want := mustBuild(t, reference, "a", "a", nil, files{"f": "whole"})
	s := openStore(t, dir)
	defer s.Close() // A test's own.
	files{"f": ""}.write(t, s.ObjectFile(want.Path))
	got := mustBuild(t, s, "a", "a", nil, files{"f": "whole"})
	if got.Path != want.Path {
		t.Errorf("got %s, want %s", got.Path, want.Path)
	}
	wantClean(t, s)
}

// An object that somebody removed by hand is made anew, though the index has it.
func TestRemovedObjectIsPutBack(t *testing.T) {
	s := newStore(t)
	o := mustBuild(t, s, "a", "a", nil, files{"f": "x"})
	r := Realisation{Key: keyOf("a"), Name: "a", Outputs: map[string]storepath.Path{"out": o.Path}}
	if err := s.AddRealisation(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	removeObject(t, s, o)
	if _, ok, err := s.Realisation(t.Context(), keyOf("a")); ok || err != nil {
		t.Errorf("the realisation of a removed object is still good: %v, %v", ok, err)
	}
	mustBuild(t, s, "a", "a", nil, files{"f": "x"})
	wantClean(t, s)
}

func removeObject(t *testing.T, s *Store, o Object) {
	t.Helper()
	away := newDirIn(t, s) + "/away"
	if err := os.Chmod(s.ObjectFile(o.Path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.ObjectFile(o.Path), away); err != nil {
		t.Fatal(err)
	}
}

func TestAddSource(t *testing.T) {
	s := newStore(t)
	source := filepath.Join(newDir(t), "project")
	files{"main.c": "int main;", "run": "x #!", "link": "-> main.c", "sub/f": "1"}.write(t, source)
	a, err := s.AddSource(t.Context(), "project", source)
	if err != nil {
		t.Fatal(err)
	}
	before := inode(t, s.ObjectFile(a.Path))
	if err := os.Chmod(source+"/main.c", 0o600); err != nil {
		t.Fatal(err)
	}
	same, err := s.AddSource(t.Context(), "project", source)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, same); diff != "" || inode(t, s.ObjectFile(a.Path)) != before {
		t.Errorf("the second time it is another (-first +second):\n%s", diff)
	}
	files{"sub/f": "2"}.write(t, source)
	changed, err := s.AddSource(t.Context(), "project", source)
	if err != nil {
		t.Fatal(err)
	}
	if changed.Path == a.Path {
		t.Error("a changed source has the same path")
	}
	wantClean(t, s)
}

func TestAddSourceRefuses(t *testing.T) {
	s := newStore(t)
	pipe := newDir(t) + "/pipe"
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var wrong *OutputError
	if _, err := s.AddSource(t.Context(), "pipe", pipe); !errors.As(err, &wrong) {
		t.Errorf("a pipe: got error %v, want an *OutputError", err)
	}
	if _, err := s.AddSource(t.Context(), "../x", newDir(t)); !errors.As(err, &wrong) {
		t.Errorf("a bad name: got error %v, want an *OutputError", err)
	}
	if _, err := s.AddSource(t.Context(), "none", "/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing: got error %v, want os.ErrNotExist", err)
	}
}

func TestManyAddersAtOnce(t *testing.T) {
	s := newStore(t)
	const workers = 8
	errs := make(chan error, workers)
	for range workers {
		go func() {
			for i := range 30 {
				if err := addNumbered(s, i); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range workers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	objects, err := s.Objects(t.Context())
	if err != nil || len(objects) != 30 {
		t.Errorf("%d objects, %v; want 30", len(objects), err)
	}
	wantClean(t, s)
}

// addNumbered adds object i, with several files and a self reference, and its realisation: always the same for the same i.
func addNumbered(s *Store, i int) error {
	key := keyOf(fmt.Sprint("numbered ", i))
	sc, err := s.NewScratch(key)
	if err != nil {
		return err
	}
	defer sc.Remove() // What is left is cleaned with the process's folder.
	file, path := sc.File("out", "numbered"), sc.Path("out", "numbered")
	content := map[string]string{"self": string(path), "large": strings.Repeat(fmt.Sprint(i, "."), 50000), "same": "in all", "link": "-> " + string(path)}
	for name, text := range content {
		if err := writeOne(filepath.Join(file, "in", name), name, text); err != nil {
			return err
		}
	}
	ctx := context.Background()
	added, err := s.Add(ctx, []NewObject{{Name: "numbered", File: file, Scratch: path}})
	if err != nil {
		return err
	}
	r := Realisation{Key: key, Name: fmt.Sprint("numbered ", i), Text: []byte("text"), Outputs: map[string]storepath.Path{"out": added[0].Path}}
	return s.AddRealisation(ctx, r, nil)
}
