package store

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// paths returns store paths of objects that exist in the index only.
func fakePaths(count int) []storepath.Path {
	paths := make([]storepath.Path, count)
	for i := range paths {
		paths[i] = storepath.New(digest.Sum([]byte(fmt.Sprint("fake ", i))), "fake")
	}
	return paths
}

// fakeBatch returns objects that refer to earlier ones, and actions of which each has some inputs and some outputs.
func fakeBatch(random *rand.Rand, paths []storepath.Path, actions int) *batch {
	b := &batch{}
	some := func(n, most int) (chosen []storepath.Path) {
		seen := map[int]bool{}
		for range random.IntN(most + 1) {
			if i := random.IntN(max(n, 1)); i < n && !seen[i] {
				seen[i] = true
				chosen = append(chosen, paths[i])
			}
		}
		return chosen
	}
	for i, p := range paths {
		b.objects = append(b.objects, &Object{Path: p, Size: int64(i), References: some(i, 3)})
	}
	for i := range actions {
		r := Realisation{Key: keyOf(fmt.Sprint("action ", i)), Name: "fake", Outputs: map[string]storepath.Path{}}
		text := "nbuild-action 1\n"
		for slot, p := range some(len(paths), 4) {
			text += fmt.Sprintf("input %s \"path\" \"%s\"\n", quoted(fmt.Sprint(`a "path" "`, slot)), p)
		}
		for out, p := range append(some(len(paths), 2), paths[random.IntN(len(paths))]) {
			r.Outputs[strconv.Itoa(out)] = p
		}
		r.Text = []byte(text)
		b.realisations = append(b.realisations, r)
	}
	return b
}

// naiveAlive applies the rules for what keeps what, as the comment of keeping has them, until nothing changes.
func naiveAlive(b *batch, withInputs bool, roots ...storepath.Path) map[storepath.Path]bool {
	alive := map[storepath.Path]bool{}
	for _, p := range roots {
		alive[p] = true
	}
	newest := map[storepath.Path]int{}
	for i, r := range b.realisations {
		for _, p := range r.Outputs {
			newest[p] = i
		}
	}
	for before := -1; before != len(alive); {
		before = len(alive)
		for _, o := range b.objects {
			for _, r := range o.References {
				if alive[o.Path] {
					alive[r] = true
				}
			}
		}
		for i, r := range b.realisations {
			for _, p := range r.Outputs {
				if !alive[p] {
					continue
				}
				for _, q := range r.Outputs {
					alive[q] = true
				}
				if withInputs && newest[p] == i {
					for _, in := range inputsOf(r.Text) {
						alive[in] = true
					}
				}
			}
		}
	}
	return alive
}

func TestMarkAgainstNaive(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		paths := fakePaths(1 + random.IntN(30))
		b := fakeBatch(random, paths, random.IntN(20))
		dir := t.TempDir()
		w := &recorder{file: dir + "/index"}
		x, err := openIndex(w.file, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.record(b); err != nil {
			t.Fatal(err)
		}
		for _, withInputs := range []bool{true, false} {
			k, err := x.readKeeping(withInputs)
			if err != nil {
				t.Fatal(err)
			}
			roots := []storepath.Path{paths[random.IntN(len(paths))], paths[random.IntN(len(paths))], fakePaths(100)[99]}
			got := map[storepath.Path]bool{}
			for _, p := range roots {
				k.mark(p)
			}
			for number, o := range k.objects {
				if k.alive[number] {
					got[o.Path] = true
				}
			}
			want := naiveAlive(b, withInputs, roots[:2]...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d, with inputs %t: alive (-want +got):\n%s", seed, withInputs, diff)
			}
			if len(k.garbage())+len(got) != len(paths) {
				t.Fatalf("seed %d: %d are garbage and %d alive, of %d", seed, len(k.garbage()), len(got), len(paths))
			}
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		if err := x.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInputsOf(t *testing.T) {
	path := fakePaths(2)
	line := func(slot string, p storepath.Path) string { return "input " + slot + ` "path" "` + string(p) + "\"\n" }
	text := "nbuild-action 1\nname \"x\"\n" +
		`arg "\ninput \"a\" \"path\" \"` + string(path[0]) + "\\\"\"\n" +
		line(`"plain"`, path[0]) + line(`"\" \"path\" \"`+string(path[0])+`"`, path[1]) + line(`""`, path[0]) +
		"output \"out\"\n"
	want := []storepath.Path{path[0], path[1], path[0]}
	if diff := cmp.Diff(want, inputsOf([]byte(text))); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	for _, none := range []string{"", "nbuild-fixed 1\nname \"x\"\n", "input", "input \"a\" \"path\" \"/etc\"\n"} {
		if got := inputsOf([]byte(none)); got != nil {
			t.Errorf("%q: inputs %v, want none", none, got)
		}
	}
}

// FuzzInputsOf writes lines as docs/formats.md has them, and wants the paths back that they were made of.
func FuzzInputsOf(f *testing.F) {
	f.Add("src", "-O2", uint8(3))
	f.Add("\" \"path\" \"", "\ninput \"a\" \"path\" \"/nbuild/store/0123456789abcdfghijklmnpqrsvwxyz-x\"\n", uint8(1))
	f.Add("\\", "\\\"\n", uint8(0))
	f.Fuzz(func(t *testing.T, slot, argument string, count uint8) {
		want := fakePaths(int(count % 8))
		text := "nbuild-action 1\nname \"x\"\narg " + quoted(argument) + "\n"
		for _, p := range want {
			text += "input " + quoted(slot) + " " + quoted("path") + " " + quoted(string(p)) + "\n"
		}
		text += "output \"out\"\n"
		if diff := cmp.Diff(want, inputsOf([]byte(text)), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("inputs of %q (-want +got):\n%s", text, diff)
		}
	})
}

// quoted writes a text as values of canonical texts are written.
func quoted(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '"' || c == '\\':
			b.Write([]byte{'\\', c})
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return `"` + b.String() + `"`
}
