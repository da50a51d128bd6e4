package builders

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"nbuild/internal/fsx"
)

// A build that copies wants room for its inputs, not for what they refer to; one that packs looks at what there is.
func TestSandboxLooksForRoom(t *testing.T) {
	const huge = 200 << 50
	for _, test := range []struct {
		name  string
		env   map[string]string
		large string // the slot of the input that is said to be large
		need  string // MiB, or "" if there is room
	}{
		{"copies", map[string]string{"nbuild.copies": "50"}, "contents_0", "107374182400"},
		{"copies what refers to it", map[string]string{"nbuild.copies": "50"}, "shared", ""},
		{"packs what is smaller than it is said to be", map[string]string{"nbuild.packs": "98"}, "contents_0", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := packRequest(t, test.env)
			r.Log = &lockedBuffer{}
			for i, o := range r.Closure {
				if o.Path == r.Inputs[test.large].Path {
					r.Closure[i].Size = huge
				}
			}
			err := NewSandbox().Build(t.Context(), r)
			if test.need == "" {
				if err != nil {
					t.Errorf("build: %v", err)
				}
				return
			}
			var failure *Failure
			if !errors.Is(err, syscall.ENOSPC) || errors.As(err, &failure) {
				t.Fatalf("build: %v, want an error that the disk is full, for which the action isn't to blame", err)
			}
			_, mount, _ := fsx.FreeSpace(r.Scratch)
			if want := "it needs about " + test.need + " MiB on " + mount + ", where "; !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error %q, want %q", err, want)
			}
			if entries, err := os.ReadDir(r.Scratch); err != nil || len(entries) > 1 {
				t.Errorf("the build began: %v, %v", entries, err)
			}
		})
	}
}

// TestSample compares estimates with what is known of files: that they can't be compressed, or to nothing.
func TestSample(t *testing.T) {
	const mega = 1 << 20
	random := make([]byte, 48*mega)
	for i, r := 0, rand.NewPCG(1, 2); i < len(random); i += 8 {
		for b, v := 0, r.Uint64(); b < 8; b++ {
			random[i+b] = byte(v >> (8 * b))
		}
	}
	small := map[string]string{}
	for i := range 4000 {
		small[fmt.Sprintf("%04d", i)] = string(random[i*1000 : i*1000+1000])
	}
	for _, test := range []struct {
		name    string
		files   map[string]string
		percent int
		want    float64 // MiB
	}{
		{"nothing", nil, 98, 0},
		{"random", map[string]string{"a": string(random)}, 98, 48},
		{"random, without compression", map[string]string{"a": string(random[:mega])}, 1000, 1},
		{"zeros", map[string]string{"a": strings.Repeat("\x00", 48*mega)}, 98, 0},
		{"zeros, without compression", map[string]string{"a": strings.Repeat("\x00", 3*mega)}, 1000000, 3},
		{"half of it zeros", map[string]string{"a": string(random[:24*mega]), "b": strings.Repeat("\x00", 24*mega)}, 100, 24},
		{"half of what is in small files", small, 50, 4000 * 1000.0 / mega / 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			var size int64
			for _, content := range test.files {
				size += int64(len(content))
			}
			dir := writeTree(t, test.files)
			if test.name == "random" { // Another name of the same file takes nothing.
				if err := os.Link(dir+"/a", dir+"/again"); err != nil {
					t.Fatal(err)
				}
			}
			s, err := newSample(size)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.add(dir); err != nil {
				t.Fatal(err)
			}
			if got := float64(s.estimate(test.percent)) / mega; got < test.want*0.97-0.1 || got > test.want*1.03+0.1 {
				t.Errorf("%.2f MiB, want %.2f", got, test.want)
			}
			if s.before > size || size > 2*sampleSize && s.before > 2*sampleSize {
				t.Errorf("it compressed %d bytes of %d", s.before, size)
			}
		})
	}
}
