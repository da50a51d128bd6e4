package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		times []time.Duration
		want  time.Duration
	}{
		{nil, 0},
		{[]time.Duration{7}, 7},
		{[]time.Duration{9, 1}, 5},
		{[]time.Duration{9, 1, 2}, 2},
		{[]time.Duration{4, 9, 1, 2}, 3},
	}
	for _, tt := range tests {
		if got := median(tt.times); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.times, got, tt.want)
		}
	}
}

func TestParsePeak(t *testing.T) {
	tests := []struct {
		name, status string
		want         int64
	}{
		{"process", "Name:\tcat\nVmPeak:\t    9000 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n", 2 << 20},
		{"zombie", "Name:\tcat\nState:\tZ (zombie)\n", 0},
		{"nonsense", "VmHWM:\tmany kB\n", 0},
	}
	for _, tt := range tests {
		if got := parsePeak([]byte(tt.status)); got != tt.want {
			t.Errorf("%s: parsePeak = %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestMeasureRunsContendersInTurn(t *testing.T) {
	var order []string
	note := func(name string) func() error {
		return func() error { order = append(order, name); return nil }
	}
	results, err := measure(t.Context(), 2, []*contender{
		{name: "a", command: []string{"sh", "-c", "head -c 20000000 /dev/zero | tail -c 1"}, prepare: note("a")},
		{name: "b", command: []string{"true"}, prepare: note("b"), version: []string{"true"}},
		{name: "c", command: []string{"true"}, prepare: note("c"), version: []string{"nbuild-bench-no-such-program"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "a", "b"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	for _, m := range results[:2] {
		if len(m.times) != 2 || m.skipped != "" {
			t.Errorf("%s: %d runs, skipped %q, want 2 runs", m.contender, len(m.times), m.skipped)
		}
	}
	if got := results[2]; len(got.times) != 0 || got.skipped == "" {
		t.Errorf("c ran %d times, skipped %q; want it skipped", len(got.times), got.skipped)
	}
}

func TestMeasureReportsFailure(t *testing.T) {
	_, err := measure(t.Context(), 1, []*contender{{name: "a", command: []string{"sh", "-c", "echo why; exit 3"}}})
	if err == nil || !strings.Contains(err.Error(), "exit status 3\nwhy") {
		t.Errorf("measure: %v, want the exit status and the output", err)
	}
}

// The peak must be that of the process itself, not that of its children.
func TestPeakLeavesChildrenOut(t *testing.T) {
	if _, err := exec.LookPath("dd"); err != nil {
		t.Skip("NOT TESTED: peak memory, because dd is not installed")
	}
	c := &contender{name: "dd", command: []string{"sh", "-c", "dd if=/dev/zero of=/dev/null bs=64M count=8; :"}}
	_, parent, err := c.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c.command = []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=64"}
	_, self, err := c.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if parent >= 32<<20 || self < 64<<20 {
		t.Errorf("peak of sh around dd: %d, of dd itself: %d bytes; want less than 32 MiB and at least 64 MiB", parent, self)
	}
}

// Of a command that ends before anybody can look, the kernel knows the peak.
func TestPeakOfShortCommand(t *testing.T) {
	if _, err := exec.LookPath("dd"); err != nil {
		t.Skip("NOT TESTED: peak memory, because dd is not installed")
	}
	c := &contender{name: "dd", command: []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"}, alone: true}
	_, peak, err := c.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if peak < 64<<20 || peak > 128<<20 {
		t.Errorf("peak of dd: %d bytes, want somewhat more than 64 MiB", peak)
	}
}

func TestReport(t *testing.T) {
	var out strings.Builder
	report(&out, "case", "≤ 1 s", []measurement{
		{contender: "nbuild", times: []time.Duration{2 * time.Second}, peak: 3 << 20},
		{contender: "peer", times: []time.Duration{3 * time.Second, 5 * time.Second}, peak: 1 << 20},
		{contender: "short", times: []time.Duration{20 * time.Millisecond}, peak: 1 << 20},
		{contender: "exact", times: []time.Duration{20 * time.Millisecond}, peak: 1 << 20, exact: true},
		{contender: "absent", skipped: "not installed"},
	})
	want := `
case (to reach: ≤ 1 s)
  nbuild                                     2s   min 2s max 2s, 1 runs, 3 MiB
  peer                                       4s   min 3s max 5s, 2 runs, 1 MiB, 2.00 × nbuild
  short                                    20ms   min 20ms max 20ms, 1 runs, 0.01 × nbuild
  exact                                    20ms   min 20ms max 20ms, 1 runs, 1 MiB, 0.01 × nbuild
  absent                             NOT MEASURED: not installed
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// A contender that is flushed runs the same command in the same place, and fails as it does.
func TestFlushed(t *testing.T) {
	c := contender{name: "plain", dir: t.TempDir(), command: []string{"sh", "-c", `printf '%s' "$1" >image; exit "$2"`, "sh", "two words", "0"}}
	flushed := c.flushed("flushed", "image")
	if _, _, err := flushed.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(c.dir + "/image"); err != nil || string(got) != "two words" {
		t.Errorf("the command wrote %q, %v", got, err)
	}
	c.command[5] = "3"
	if _, _, err := c.flushed("fails", "image").run(t.Context()); err == nil {
		t.Error("a command that fails succeeds when it is flushed")
	}
	if c.name != "plain" || len(c.command) != 6 {
		t.Errorf("the contender changed: %+v", c)
	}
}
