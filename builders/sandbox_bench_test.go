package builders

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSandbox is the whole of a trivial build with ten inputs, and the folders that its caller makes and removes.
func BenchmarkSandbox(b *testing.B) {
	for _, test := range []struct {
		name string
		env  map[string]string
	}{{"user", nil}, {"root", map[string]string{"nbuild.as_root": "1"}}} {
		b.Run(test.name, func(b *testing.B) {
			inputs := map[string]string{}
			for i := range 9 {
				folder := b.TempDir()
				inputs[fmt.Sprintf("input%d", i)] = folder
			}
			r := sandboxTest{operations: []string{"write $out x"}, inputs: inputs, env: test.env}.request(b)
			r.Log = &lockedBuffer{}
			sandbox := NewSandbox()
			before := cpuTime(b)
			for b.Loop() {
				if err := sandbox.Build(b.Context(), r); err != nil {
					b.Fatal(err)
				}
				if err := errors.Join(os.RemoveAll(r.Scratch), os.Mkdir(r.Scratch, 0o700)); err != nil {
					b.Fatal(err)
				}
				if err := os.RemoveAll(r.Outputs["out"].File); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// cpuTime returns the processor time of this process and its children: it says more than the clock on a busy machine.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if err := syscall.Getrusage(who, &usage); err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return sum
}

// BenchmarkCopyTree copies a tree of the size of a small package root: 7,000 entries, 190 MB.
func BenchmarkCopyTree(b *testing.B) {
	source := b.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef"), 2<<20/16)
	for i := range 1400 {
		folder := fmt.Sprintf("%s/%d/%d", source, i%37, i)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		for k, size := range []int{100, 3000, 12_000, 120_000} {
			if err := os.WriteFile(fmt.Sprintf("%s/%d", folder, k), content[i*7:i*7+size], 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	target := b.TempDir()
	for i := 0; b.Loop(); i++ {
		// Always a new one, removed at the end: ext4 without a journal makes new files slowly while it has deleted ones
		// that are some seconds old.
		to := filepath.Join(target, strconv.Itoa(i))
		if err := errors.Join(os.Mkdir(to, 0o755), copyTree(b.Context(), source, to, 2)); err != nil {
			b.Fatal(err)
		}
	}
}
