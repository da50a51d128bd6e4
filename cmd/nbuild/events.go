package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"nbuild/graph"
	"nbuild/internal/fsx"
)

// An eventRecord is a line that --json writes. docs/make.md says what its fields are.
type eventRecord struct {
	Kind       string    `json:"kind"`
	Time       time.Time `json:"time"`
	Name       string    `json:"name,omitempty"`
	Derivation string    `json:"derivation,omitempty"`
	Download   bool      `json:"download,omitempty"`

	Steps   *int64        `json:"steps,omitempty"`
	Line    *string       `json:"line,omitempty"`
	Done    *int64        `json:"done,omitempty"`
	Total   *int64        `json:"total,omitempty"`
	Seconds *float64      `json:"seconds,omitempty"`
	Outputs graph.Outputs `json:"outputs,omitempty"`
	Log     string        `json:"log,omitempty"`
	Error   string        `json:"error,omitempty"`

	Target string `json:"target,omitempty"`
	Path   string `json:"path,omitempty"`
	File   string `json:"file,omitempty"`
	Link   string `json:"link,omitempty"`

	Counts *eventCounts `json:"counts,omitempty"`
}

// An eventCounts is a graph.Summary, where what needed no look is cached, too.
type eventCounts struct {
	Built   int `json:"built"`
	Fetched int `json:"fetched"`
	Cached  int `json:"cached"`
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
}

// The kinds of records that are no event of the graph.
const (
	summaryRecord = "summary" // no step runs any more
	resultRecord  = "result"  // a target is valid, and its link is made
)

// A jsonEvents writes records, a line each.
type jsonEvents struct {
	out   *json.Encoder
	shown map[*graph.Step]time.Time // when the progress of a step was written last
	err   error                     // the first
}

// progressInterval is the least time between two records of the progress of one step: a download makes thousands.
const progressInterval = 100 * time.Millisecond

func newJSONEvents(w io.Writer) *jsonEvents {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return &jsonEvents{out: out, shown: map[*graph.Step]time.Time{}}
}

func (j *jsonEvents) event(e graph.Event) {
	r := eventRecord{Kind: string(e.Kind), Time: e.Time, Outputs: e.Outputs, Log: e.Log}
	if e.Step != nil {
		r.Name, r.Derivation, r.Download = e.Step.Name(), e.Step.Derivation.ID().String(), e.Step.IsDownload()
	}
	if e.Err != nil {
		r.Error = e.Err.Error()
	}
	switch e.Kind {
	case graph.Planned:
		r.Steps = &e.Total
	case graph.Output:
		r.Line = &e.Line
	case graph.Progress:
		if e.Done != e.Total && e.Time.Sub(j.shown[e.Step]) < progressInterval {
			return
		}
		j.shown[e.Step] = e.Time
		r.Done = &e.Done
		if e.Total >= 0 {
			r.Total = &e.Total
		}
	case graph.Finished:
		r.Seconds = seconds(e.Duration)
	}
	j.write(r)
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

func (j *jsonEvents) write(r eventRecord) {
	if err := j.out.Encode(r); err != nil && j.err == nil {
		j.err = fmt.Errorf("write events: %w", err)
	}
}

// A timeline notes when each step ran, for a viewer of Chrome's trace event format.
type timeline struct {
	start time.Time
	begun map[*graph.Step]time.Time
	lanes []*graph.Step // what runs, each in the first lane that was free
	spans []traceSpan
}

// A traceSpan is a complete event of the format.
type traceSpan struct {
	Name     string    `json:"name"`
	Category string    `json:"cat"`
	Phase    string    `json:"ph"`
	Start    int64     `json:"ts"`  // in microseconds since the first event
	Duration int64     `json:"dur"` // in microseconds
	Process  int       `json:"pid"`
	Lane     int       `json:"tid"`
	Args     traceArgs `json:"args"`
}

type traceArgs struct {
	Ended      string `json:"ended"`
	Derivation string `json:"derivation"`
	Cores      int    `json:"cores"`
}

func newTimeline() *timeline { return &timeline{begun: map[*graph.Step]time.Time{}} }

func (t *timeline) event(e graph.Event) {
	if t.start.IsZero() {
		t.start = e.Time
	}
	switch e.Kind {
	case graph.Started:
		t.begun[e.Step] = e.Time
		if free := slices.Index(t.lanes, nil); free >= 0 {
			t.lanes[free] = e.Step
		} else {
			t.lanes = append(t.lanes, e.Step)
		}
	case graph.Finished, graph.Failed, graph.Canceled:
		begun, ok := t.begun[e.Step]
		if !ok {
			return // It failed before it ran.
		}
		lane := slices.Index(t.lanes, e.Step)
		t.lanes[lane] = nil
		t.spans = append(t.spans, traceSpan{
			Name: e.Step.Name(), Category: verb(e.Step, "fetch", "build"), Phase: "X",
			Start: begun.Sub(t.start).Microseconds(), Duration: e.Time.Sub(begun).Microseconds(),
			Process: 1, Lane: lane + 1,
			Args: traceArgs{string(e.Kind), e.Step.Derivation.ID().String(), e.Step.Cores},
		})
	}
}

// write writes it to a file, all of it or nothing.
func (t *timeline) write(file string) error {
	text, err := json.Marshal(map[string]any{"displayTimeUnit": "ms", "traceEvents": append([]traceSpan{}, t.spans...)})
	if err == nil {
		err = fsx.WriteFile(file, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	return nil
}
