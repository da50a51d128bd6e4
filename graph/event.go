package graph

import (
	"bytes"
	"sync"
	"time"
)

// A Kind says what an Event tells.
type Kind string

// The kinds of events. Each step that is started ends in exactly one of Finished, Failed and Canceled; a step that
// needs no run is Cached; one that can't run because something below it failed is Skipped.
const (
	Planned  Kind = "planned"  // once, first: Total steps have to be looked at
	Started  Kind = "started"  // a builder runs
	Waiting  Kind = "waiting"  // another process runs the same action
	Output   Kind = "output"   // a line of what runs, in Line
	Progress Kind = "progress" // Done of Total bytes
	Finished Kind = "finished" // Outputs are valid
	Cached   Kind = "cached"   // Outputs were valid already
	Failed   Kind = "failed"   // Err says why, Log where the whole output is
	Canceled Kind = "canceled"
	Skipped  Kind = "skipped"
)

// An Event is something that happened to a step.
type Event struct {
	Kind     Kind
	Step     *Step // nil for Planned
	Time     time.Time
	Duration time.Duration // of a step that has ended
	Line     string        // without newline
	Done     int64
	Total    int64 // -1 when unknown
	Outputs  Outputs
	Log      string // file with the step's whole output, if there is one
	Err      error
}

// A stream hands events to one reader, one at a time.
type stream struct {
	mu     sync.Mutex
	reader func(Event)
}

func (s *stream) send(e Event) {
	if s.reader == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Time = time.Now()
	s.reader(e)
}

// maxLine is where an overlong line of output is cut into two events, so that a build can't fill the memory.
const maxLine = 64 << 10

// A lineWriter hands what is written to it to emit, a line each. It is safe for concurrent use.
type lineWriter struct {
	mu   sync.Mutex
	rest []byte
	emit func(line string)
}

// Write never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		end := bytes.IndexByte(w.rest, '\n')
		switch {
		case end >= 0:
			w.send(w.rest[:end])
			w.rest = w.rest[end+1:]
		case len(w.rest) > maxLine:
			w.send(w.rest)
			w.rest = w.rest[:0]
			return len(p), nil
		default:
			return len(p), nil
		}
	}
}

// flush emits the last line if it had no newline.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.send(w.rest)
		w.rest = nil
	}
}

func (w *lineWriter) send(line []byte) { w.emit(string(bytes.TrimSuffix(line, []byte("\r")))) }
