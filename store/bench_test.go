package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
	"nbuild/internal/storepath"
)

// BenchmarkAddSmall adds 1,000 one-file objects and makes them durable; the figure is for all of them.
func BenchmarkAddSmall(b *testing.B) {
	s := newStore(b)
	for round := 0; b.Loop(); round++ {
		for i := range 1000 {
			o := mustBuild(b, s, fmt.Sprint(round, i), "small", nil, files{"out": fmt.Sprint("content ", round, i)})
			key := keyOf(fmt.Sprint(round, i))
			r := Realisation{Key: key, Name: "small", Text: make([]byte, 1000), Outputs: map[string]storepath.Path{"out": o.Path}}
			if err := s.AddRealisation(b.Context(), r, nil); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// writeRoot writes a tree of the shape of a small Debian system: 7,000 entries, 190 MB.
func writeRoot(b *testing.B, dir string, seed byte) {
	b.Helper()
	random := rand.NewChaCha8([32]byte{seed})
	for i := range 5700 {
		size := 3 << 10
		if i%20 == 0 {
			size = 600 << 10
		}
		content := make([]byte, size)
		_, _ = random.Read(content) // It never fails.
		folder := filepath.Join(dir, fmt.Sprint("d", i%130), fmt.Sprint("e", i%1300))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprint("f", i)), content, 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAddTree adds a tree of 7,000 entries and 190 MB that refers to some of 300 inputs: without flushing, as that
// is the disk's speed.
func BenchmarkAddTree(b *testing.B) {
	for _, test := range []struct {
		name    string
		options Options
	}{{"shared", Options{}}, {"not shared", Options{NoDeduplicate: true}}} {
		b.Run(test.name, func(b *testing.B) {
			s, err := Open(b.Context(), newDir(b), test.options)
			if err != nil {
				b.Fatal(err)
			}
			var inputs []Object
			for i := range 300 {
				inputs = append(inputs, mustBuild(b, s, fmt.Sprint("input", i), "input", nil, files{"f": fmt.Sprint(i)}))
			}
			var may []storepath.Path
			for _, o := range inputs {
				may = append(may, o.Path)
			}
			for seed := byte(0); b.Loop(); seed++ {
				b.StopTimer()
				file := filepath.Join(newDirOn(b, s), "root")
				writeRoot(b, file, seed)
				if err := s.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if _, err := s.Add(b.Context(), []NewObject{{Name: "root", File: file, MayReference: may}}); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// newDirOn returns a new folder on the store's file system.
func newDirOn(b *testing.B, s *Store) string {
	b.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(s.Dir()), "nbuild-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := fsx.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	})
	return dir
}

// fillStore adds objects with realisations and derivations, and returns the derivations' ids.
func fillStore(b *testing.B, s *Store, count int) []digest.DerivationID {
	b.Helper()
	var ids []digest.DerivationID
	for i := range count {
		text := fmt.Sprint("derivation ", i)
		o := mustBuild(b, s, text, "filler", nil, files{"out": text})
		r := Realisation{Key: keyOf(text), Name: "filler", Text: bytes.Repeat([]byte("x"), 1000), Outputs: map[string]storepath.Path{"out": o.Path}}
		ids = append(ids, idOf(text))
		if err := s.AddRealisation(b.Context(), r, nil); err != nil {
			b.Fatal(err)
		}
		if err := s.AddDerivation(b.Context(), idOf(text), r.Key); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	return ids
}

// BenchmarkOpen opens and closes a store with 1,000 objects: what every run pays, however little it does.
func BenchmarkOpen(b *testing.B) {
	dir := newDir(b)
	s := openStore(b, dir)
	fillStore(b, s, 1000)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(b.Context(), dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDerivationOutputs(b *testing.B) {
	s := newStore(b)
	ids := fillStore(b, s, 1000)
	for i := 0; b.Loop(); i++ {
		if _, ok, err := s.DerivationOutputs(b.Context(), ids[i%len(ids)]); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkClosure asks for the closure of ten objects again and again, as each action does.
func BenchmarkClosure(b *testing.B) {
	s := newStore(b)
	var objects []Object
	var paths []storepath.Path
	for i := range 10 {
		text := ""
		for _, p := range paths {
			text += string(p) + "\n"
		}
		o := mustBuild(b, s, fmt.Sprint(i), "chain", objects, files{"refs": text})
		objects, paths = append(objects, o), append(paths, o.Path)
	}
	for b.Loop() {
		if closure, err := s.Closure(b.Context(), paths...); err != nil || len(closure) != 10 {
			b.Fatal(len(closure), err)
		}
	}
}

// BenchmarkMark finds the garbage among 10,000 objects and as many actions, with texts of 4 kB.
func BenchmarkMark(b *testing.B) {
	batch := fakeBatch(rand.New(rand.NewPCG(1, 0)), fakePaths(10000), 10000)
	for i := range batch.realisations {
		batch.realisations[i].Text = append(batch.realisations[i].Text, bytes.Repeat([]byte("arg \"some text\"\n"), 250)...)
	}
	w := &recorder{file: b.TempDir() + "/index"}
	x, err := openIndex(w.file, "")
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(w.record(batch), w.close()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		k, err := x.readKeeping(true)
		if err != nil {
			b.Fatal(err)
		}
		k.mark(batch.objects[9999].Path)
		if n := len(k.garbage()); n == 0 || n == 10000 {
			b.Fatalf("%d of 10000 are garbage", n)
		}
	}
	if err := x.close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCollect collects 1,000 small objects out of 2,000: all that it takes, from opening to deleting.
func BenchmarkCollect(b *testing.B) {
	dir, links := newDir(b), newDir(b)
	for b.Loop() {
		b.StopTimer()
		s := openStore(b, dir)
		for i := range 2000 {
			o := mustBuild(b, s, fmt.Sprint(i), "small", nil, files{"out": fmt.Sprint("content ", i)})
			if i%2 == 1 {
				continue
			}
			if err := s.AddRoot(b.Context(), fmt.Sprint(links, "/", i), o.Path); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if c, err := Collect(b.Context(), dir, CollectOptions{}); err != nil || len(c.Removed) != 1000 {
			b.Fatal(len(c.Removed), err)
		}
	}
}
