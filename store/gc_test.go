package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"zombiezen.com/go/sqlite"

	"nbuild/internal/lock"
	"nbuild/internal/storepath"
)

// A garden is a store in which objects, called by one letter each, are planted. They refer to each other, and actions make
// them.
type garden struct {
	t       *testing.T
	dir     string // of the store
	links   string // folder for links
	store   *Store // nil when closed
	objects map[string]Object
}

func newGarden(t *testing.T) *garden {
	g := &garden{t: t, dir: newDir(t), links: newDir(t), objects: map[string]Object{}}
	g.store = openStore(t, g.dir)
	t.Cleanup(func() {
		if g.store != nil {
			g.close()
		}
	})
	return g
}

func (g *garden) close() {
	g.t.Helper()
	if err := g.store.Close(); err != nil {
		g.t.Fatal(err)
	}
	g.store = nil
}

// plant adds an object that refers to others: plant("a", "bc").
func (g *garden) plant(name, references string) {
	g.t.Helper()
	var others []Object
	content := files{"name": name}
	for _, r := range references {
		o := g.objects[string(r)]
		others = append(others, o)
		content["to-"+string(r)] = "-> " + string(o.Path)
	}
	g.objects[name] = mustBuild(g.t, g.store, name, name, others, content)
}

// act records an action with these inputs and outputs: act("x", "ab", "c").
func (g *garden) act(key, inputs, outputs string) {
	g.t.Helper()
	text := "nbuild-action 1\nname \"x\"\n"
	for _, in := range inputs {
		text += fmt.Sprintf("input \"slot\" \"path\" \"%s\"\n", g.objects[string(in)].Path)
	}
	r := Realisation{Key: keyOf(key), Name: "x", Text: []byte(text), Outputs: map[string]storepath.Path{}}
	for _, out := range outputs {
		r.Outputs[string(out)] = g.objects[string(out)].Path
	}
	err := errors.Join(g.store.AddRealisation(g.t.Context(), r, nil), g.store.AddDerivation(g.t.Context(), idOf(key), r.Key))
	if err == nil {
		err = os.WriteFile(g.store.LogFile(r.Key), []byte(key), 0o644)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// root makes a link to an object.
func (g *garden) root(link, name string) {
	g.t.Helper()
	if err := g.store.AddRoot(g.t.Context(), g.links+"/"+link, g.objects[name].Path); err != nil {
		g.t.Fatal(err)
	}
}

// hold holds an object, as a program does that runs from it, until the test ends.
func (g *garden) hold(name string) {
	g.t.Helper()
	lease, err := g.store.Hold(g.t.Context(), g.objects[name].Path)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		if err := lease.Close(); err != nil {
			g.t.Error(err)
		}
	})
}

// collect closes the store and collects its garbage.
func (g *garden) collect(options CollectOptions) Collection {
	g.t.Helper()
	g.close()
	c, err := Collect(g.t.Context(), g.dir, options)
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

// names returns the letters of objects.
func names(objects []Object) string {
	var all []string
	for _, o := range objects {
		all = append(all, o.Path.Name())
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

// checkLeft opens the store again and looks that it is clean, and who is there.
func (g *garden) checkLeft(want string) {
	g.t.Helper()
	g.store = openStore(g.t, g.dir)
	wantClean(g.t, g.store)
	wantForeignKeys(g.t, g.store)
	objects, err := g.store.Objects(g.t.Context())
	if got := names(objects); err != nil || got != want {
		g.t.Errorf("left are %q, %v; want %q", got, err, want)
	}
	if left, err := os.ReadDir(g.dir + "/tmp"); err != nil || len(left) > 0 {
		g.t.Errorf("left in tmp: %v, %v", left, err)
	}
}

// wantForeignKeys checks what SQLite does not while garbage is forgotten.
func wantForeignKeys(t testing.TB, s *Store) {
	t.Helper()
	wrong := 0
	err := s.index.query("PRAGMA foreign_key_check", nil, func(*sqlite.Stmt) error {
		wrong++
		return nil
	})
	if err != nil || wrong > 0 {
		t.Errorf("%d rows of the index refer to what isn't there, %v", wrong, err)
	}
}

func TestCollectKeeps(t *testing.T) {
	tests := []struct {
		name  string
		plant func(g *garden)
		want  string // with what objects were made of
		bare  string // without
	}{
		{name: "nothing without a root", plant: func(g *garden) { g.plant("a", "") }},
		{
			name:  "a root",
			plant: func(g *garden) { g.plant("a", ""); g.plant("b", ""); g.root("l", "a") },
			want:  "a", bare: "a",
		},
		{
			name: "what it refers to, and what that does",
			plant: func(g *garden) {
				g.plant("a", "")
				g.plant("b", "a")
				g.plant("c", "b")
				g.plant("d", "c")
				g.root("l", "c")
			},
			want: "abc", bare: "abc",
		},
		{
			name: "nothing for a link that was removed, replaced or turned into something else",
			plant: func(g *garden) {
				for _, name := range []string{"a", "b", "c", "d", "e"} {
					g.plant(name, "")
					g.root(name, name)
				}
				g.root("e", "a")
				err := errors.Join(os.Remove(g.links+"/b"), os.Remove(g.links+"/c"), os.WriteFile(g.links+"/c", nil, 0o600),
					os.Remove(g.links+"/d"), os.Symlink("/nowhere", g.links+"/d"))
				if err != nil {
					g.t.Fatal(err)
				}
			},
			want: "a", bare: "a",
		},
		{
			name: "a lease, with its closure",
			plant: func(g *garden) {
				g.plant("a", "")
				g.plant("b", "a")
				g.plant("c", "b")
				g.hold("b")
			},
			want: "ab", bare: "ab",
		},
		{
			name: "what it was made of, and what that was made of",
			plant: func(g *garden) {
				g.plant("s", "")
				g.plant("t", "")
				g.plant("m", "t")
				g.plant("o", "")
				g.act("first", "s", "m")
				g.act("second", "m", "o")
				g.plant("x", "")
				g.act("other", "s", "x")
				g.root("l", "o")
			},
			want: "most", bare: "o",
		},
		{
			name: "the inputs of the newest action only",
			plant: func(g *garden) {
				g.plant("a", "")
				g.plant("b", "")
				g.plant("o", "")
				g.act("older", "a", "o")
				g.act("newer", "b", "o")
				g.root("l", "o")
			},
			want: "bo", bare: "o",
		},
		{
			name: "all outputs of every action",
			plant: func(g *garden) {
				for _, name := range []string{"o", "p", "q", "r", "s"} {
					g.plant(name, "")
				}
				g.act("older", "", "opq")
				g.act("newer", "", "or")
				g.root("l", "q")
			},
			want: "opqr", bare: "opqr",
		},
		{
			name: "inputs that are gone already are no matter",
			plant: func(g *garden) {
				g.plant("o", "")
				g.objects["i"] = Object{Path: "/nbuild/store/00000000000000000000000000000000-i"}
				g.act("key", "i", "o")
				g.root("l", "o")
			},
			want: "o", bare: "o",
		},
		{
			name: "an object that refers to itself, while somebody needs it",
			plant: func(g *garden) {
				for _, name := range []string{"s", "x"} {
					o, err := build(g.t, g.store, name, name, nil, func(self storepath.Path) files { return files{"self": name + string(self)} })
					if err != nil {
						g.t.Fatal(err)
					}
					g.objects[name] = o
				}
				g.root("l", "s")
			},
			want: "s", bare: "s",
		},
	}
	for _, test := range tests {
		for _, options := range []CollectOptions{{}, {OutputsOnly: true}} {
			t.Run(fmt.Sprintf("%s, outputs only %t", test.name, options.OutputsOnly), func(t *testing.T) {
				g := newGarden(t)
				test.plant(g)
				want := test.want
				if options.OutputsOnly {
					want = test.bare
				}
				c := g.collect(options)
				g.checkLeft(want)
				if c.Kept != len(want) {
					t.Errorf("it says that it kept %d, want %d", c.Kept, len(want))
				}
				// Once is enough.
				if c := g.collect(options); len(c.Removed) > 0 || c.Freed > 0 {
					t.Errorf("the second time it removed %d objects and freed %d bytes", len(c.Removed), c.Freed)
				}
			})
		}
	}
}

// What names an object that is gone must be gone too, and nothing else.
func TestCollectForgetsWhatNamesGarbage(t *testing.T) {
	g := newGarden(t)
	for _, name := range []string{"a", "b", "c"} {
		g.plant(name, "")
		g.act("make "+name, "", name)
	}
	g.root("kept", "a")
	g.root("gone", "b")
	if err := os.Remove(g.links + "/gone"); err != nil {
		t.Fatal(err)
	}
	g.collect(CollectOptions{})
	g.checkLeft("a")
	for name, want := range map[string]bool{"a": true, "b": false, "c": false} {
		_, realised, err := g.store.Realisation(t.Context(), keyOf("make "+name))
		_, derived, err2 := g.store.DerivationOutputs(t.Context(), idOf("make "+name))
		_, logErr := os.Stat(g.store.LogFile(keyOf("make " + name)))
		if got := []bool{realised, derived, logErr == nil}; err != nil || err2 != nil || !slices.Equal(got, []bool{want, want, want}) {
			t.Errorf("%s: realisation, derivation and log are there: %v, %v, %v; want %t", name, got, err, err2, want)
		}
	}
	left, err := os.ReadDir(g.dir + "/roots")
	if err != nil || len(left) != 1 {
		t.Errorf("records of roots: %v, %v; want one", left, err)
	}
	// What was removed can be made again.
	g.plant("b", "")
	g.act("make b", "", "b")
	g.root("gone", "b")
	g.collect(CollectOptions{})
	g.checkLeft("ab")
}

// usage returns how many bytes of the disk a folder takes, with every file counted once.
func usage(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	seen := map[uint64]bool{}
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		if !seen[stat.Ino] {
			seen[stat.Ino] = true
			bytes += stat.Blocks * 512
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// objectsUsage is usage of what a collection may free. The folders that stay keep their sizes.
func (g *garden) objectsUsage() int64 {
	total := usage(g.t, g.dir)
	for _, other := range []string{"index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "roots", "log"} {
		if _, err := os.Lstat(g.dir + "/" + other); err == nil {
			total -= usage(g.t, g.dir+"/"+other)
		}
	}
	return total
}

// What a collection says that it frees must be what it frees: files that objects share count when the last one goes.
func TestCollectCountsBytes(t *testing.T) {
	for _, noDeduplicate := range []bool{false, true} {
		g := newGarden(t)
		g.close()
		var err error
		if g.store, err = Open(t.Context(), g.dir, Options{NoDeduplicate: noDeduplicate}); err != nil {
			t.Fatal(err)
		}
		large, shared, dead := strings.Repeat("large", 20000), strings.Repeat("shared", 9000), strings.Repeat("dead", 40000)
		kept := mustBuild(t, g.store, "k", "k", nil, files{"shared": shared, "own": "own"})
		mustBuild(t, g.store, "d", "d", nil, files{"shared": shared, "a/large": large, "b/large": large, "b/link": "-> x"})
		mustBuild(t, g.store, "e", "e", nil, files{"dead": dead, "large": "x " + large, "empty": ""})
		mustBuild(t, g.store, "f", "f", nil, files{"dead": dead})
		if err := g.store.AddRoot(t.Context(), g.links+"/l", kept.Path); err != nil {
			t.Fatal(err)
		}
		plan := g.collect(CollectOptions{DryRun: true})
		g.checkLeft("defk")
		before := g.objectsUsage()
		c := g.collect(CollectOptions{})
		freed := before - g.objectsUsage()
		if c.Freed != freed || plan.Freed != freed || freed < int64(len(large)+len(dead)) {
			t.Errorf("without sharing %t: it says %d bytes, and %d before; %d were freed", noDeduplicate, c.Freed, plan.Freed, freed)
		}
		if diff := cmp.Diff(plan.Removed, c.Removed); diff != "" {
			t.Errorf("removed (-planned +done):\n%s", diff)
		}
		if !slices.IsSortedFunc(c.Removed, func(a, b Object) int { return int(b.Size - a.Size) }) || names(c.Removed) != "def" {
			t.Errorf("removed, the largest first: %v", c.Removed)
		}
		g.checkLeft("k")
		if got, err := os.ReadFile(g.store.ObjectFile(kept.Path) + "/shared"); err != nil || string(got) != shared {
			t.Errorf("a shared file has %d bytes, %v", len(got), err)
		}
	}
}

// listing returns what a folder has, with inodes and times.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(entry.Name(), "index.sqlite-") {
			return err
		}
		info, err := entry.Info()
		if err == nil && name != dir { // The log of the index is made and removed beside it.
			fmt.Fprintln(&b, name[len(dir):], info.Sys().(*syscall.Stat_t).Ino, info.Mode(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDryRunChangesNothing(t *testing.T) {
	g := newGarden(t)
	g.plant("a", "")
	g.plant("b", "a")
	g.act("x", "a", "b")
	g.root("dead", "b")
	if err := os.Remove(g.links + "/dead"); err != nil {
		t.Fatal(err)
	}
	g.close()
	before := listing(t, g.dir)
	c, err := Collect(t.Context(), g.dir, CollectOptions{DryRun: true})
	if err != nil || names(c.Removed) != "ab" || c.Kept != 0 {
		t.Errorf("planned %q, %v", names(c.Removed), err)
	}
	if diff := cmp.Diff(before, listing(t, g.dir)); diff != "" {
		t.Errorf("the store (-before +after):\n%s", diff)
	}
}

// A link whose folder can't be entered may be alive.
func TestCollectRefusesToGuess(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("NOT TESTED: a link that can't be read, because root can read any")
	}
	g := newGarden(t)
	g.plant("a", "")
	if err := os.Mkdir(g.links+"/closed", 0o700); err != nil {
		t.Fatal(err)
	}
	g.root("closed/l", "a")
	if err := os.Chmod(g.links+"/closed", 0); err != nil {
		t.Fatal(err)
	}
	g.close()
	_, err := Collect(t.Context(), g.dir, CollectOptions{})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), g.links+"/closed/l") {
		t.Errorf("got error %v, want one about the link", err)
	}
	if err := os.Chmod(g.links+"/closed", 0o700); err != nil {
		t.Fatal(err)
	}
	g.checkLeft("a")
}

// A store may be opened by another path than that which its links have, and links may be relative.
func TestRootsByOtherPaths(t *testing.T) {
	g := newGarden(t)
	g.plant("a", "")
	g.plant("b", "")
	g.root("l", "a")
	g.root("m", "b")
	relative, err := filepath.Rel(g.links, g.store.ObjectFile(g.objects["b"].Path))
	if err == nil {
		err = errors.Join(os.Remove(g.links+"/m"), os.Symlink(relative, g.links+"/m"))
	}
	other := newDir(t) + "/store"
	if err := errors.Join(err, os.Symlink(g.dir, other)); err != nil {
		t.Fatal(err)
	}
	g.close()
	if _, err := Collect(t.Context(), other, CollectOptions{}); err != nil {
		t.Fatal(err)
	}
	g.checkLeft("ab")
}

// Objects that came from another store live as others do.
func TestCollectImported(t *testing.T) {
	g, other := newGarden(t), newGarden(t)
	other.plant("a", "")
	other.plant("b", "a")
	other.plant("c", "")
	objects, err := other.store.Objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.store.Import(t.Context(), objects, copying(other.store, nil)); err != nil {
		t.Fatal(err)
	}
	g.objects = other.objects
	g.root("l", "b")
	g.collect(CollectOptions{})
	g.checkLeft("ab")
}

// Damage that somebody did by hand is no reason to fail: an object that is gone, and rubbish.
func TestCollectOfADamagedStore(t *testing.T) {
	g := newGarden(t)
	g.plant("a", "")
	g.plant("b", "")
	if err := os.RemoveAll(g.store.ObjectFile(g.objects["b"].Path)); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	// There is no folder in tmp, which would be the mark for it.
	files{"f": "rubbish"}.write(t, g.dir+"/objects/.new-1")
	files{"f": "rubbish"}.write(t, g.dir+"/objects/00000000000000000000000000000000-x")
	if c := g.collect(CollectOptions{}); names(c.Removed) != "ab" {
		t.Errorf("removed %q", names(c.Removed))
	}
	g.checkLeft("")
}

// What was held when nbuild was killed while it collected must stay, though no index names it any more.
func TestRubbishThatIsHeldStays(t *testing.T) {
	g := newGarden(t)
	g.plant("a", "")
	g.plant("b", "a")
	g.close()
	files{"f": "rubbish"}.write(t, g.dir+"/tmp/1")
	s := openStore(t, g.dir)
	rows := []int64{1, 2}
	if err := errors.Join(s.index.forget(rows), s.Close()); err != nil {
		t.Fatal(err)
	}
	files{"f": "rubbish"}.write(t, g.dir+"/tmp/1")
	held, err := lock.OpenExisting(s.ObjectFile(g.objects["b"].Path))
	if err == nil {
		err = held.Shared(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		s := openStore(t, g.dir)
		for _, o := range g.objects {
			if _, err := os.Lstat(s.ObjectFile(o.Path)); (err == nil) != want {
				t.Errorf("while it is held %t: %s: %v", want, o.Path.Name(), err)
			}
		}
		if err := errors.Join(s.Close(), held.Close()); err != nil {
			t.Fatal(err)
		}
	}
	g.checkLeft("")
}
