package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nbuild/derivations"
	"nbuild/graph"
)

func testStep(t *testing.T, name string) *graph.Step {
	t.Helper()
	drv, err := derivations.New(derivations.Spec{Name: name, Builder: "text"})
	if err != nil {
		t.Fatal(err)
	}
	return &graph.Step{Derivation: drv, Cores: 1}
}

// Of a step's progress the first record counts, then one each tenth of a second, and the last.
func TestProgressIsThinnedOut(t *testing.T) {
	var out bytes.Buffer
	j, a, b := newJSONEvents(&out), testStep(t, "a"), testStep(t, "b")
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for ms := range int64(1001) {
		for _, step := range []*graph.Step{a, b} {
			total := int64(1000)
			if step == b {
				total = -1
			}
			j.event(graph.Event{Kind: graph.Progress, Step: step, Time: start.Add(time.Duration(ms) * time.Millisecond), Done: ms, Total: total})
		}
	}
	done := map[string][]int64{}
	for line := range strings.Lines(out.String()) {
		var r eventRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if (r.Total != nil) != (r.Name == "a") {
			t.Errorf("%q: a total only if it is known", line)
		}
		done[r.Name] = append(done[r.Name], *r.Done)
	}
	each := []int64{0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000}
	if diff := cmp.Diff(map[string][]int64{"a": each, "b": each}, done); diff != "" {
		t.Errorf("bytes told (-want +got):\n%s", diff)
	}
}

func TestEventsThatCanNotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	j := newJSONEvents(full)
	j.event(graph.Event{Kind: graph.Planned})
	if want := "write events: write /dev/full: no space left on device"; j.err == nil || j.err.Error() != want {
		t.Errorf("error %v, want %s", j.err, want)
	}
}

// Steps that run at once have lanes of their own, and a lane that is free is used again.
func TestTimeline(t *testing.T) {
	l, start := newTimeline(), time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	steps := map[string]*graph.Step{}
	for i, e := range []struct {
		kind graph.Kind
		name string
	}{
		{graph.Planned, ""},
		{graph.Started, "a"},
		{graph.Started, "b"},
		{graph.Failed, "never"},
		{graph.Finished, "a"},
		{graph.Cached, "cached"},
		{graph.Started, "c"},
		{graph.Canceled, "b"},
		{graph.Failed, "c"},
		{graph.Skipped, "skipped"},
	} {
		if steps[e.name] == nil && e.name != "" {
			steps[e.name] = testStep(t, e.name)
		}
		l.event(graph.Event{Kind: e.kind, Step: steps[e.name], Time: start.Add(time.Duration(i) * time.Millisecond)})
	}
	span := func(name string, from, to int64, lane int, ended graph.Kind) traceSpan {
		id := steps[name].Derivation.ID().String()
		return traceSpan{name, "build", "X", from * 1000, (to - from) * 1000, 1, lane, traceArgs{string(ended), id, 1}}
	}
	want := []traceSpan{span("a", 1, 4, 1, graph.Finished), span("b", 2, 7, 2, graph.Canceled), span("c", 6, 8, 1, graph.Failed)}
	if diff := cmp.Diff(want, l.spans); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	file := filepath.Join(t.TempDir(), "trace.json")
	if err := l.write(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ TraceEvents []traceSpan }
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.TraceEvents); diff != "" {
		t.Errorf("what was written (-want +got):\n%s", diff)
	}
}
