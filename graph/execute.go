package graph

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"nbuild/builders"
	"nbuild/internal/digest"
)

// Options say how a plan is executed.
type Options struct {
	Jobs      int         // actions at once, at least 1
	Downloads int         // downloads at once, on top of Jobs, at least 1
	Cores     int         // processors that the actions share, at least 1
	Tokens    Tokens      // what Jobs and Cores are bounded by besides; nil when they alone count
	KeepGoing bool        // after a failure go on with what doesn't depend on it
	Events    func(Event) // the one reader of events, called from one goroutine at a time; may be nil
}

// A Realiser makes the outputs of one step valid, or finds that they are. Realise is called from many goroutines.
// lookup knows the outputs of everything the step depends on; emit sends an event about the step.
type Realiser interface {
	Realise(ctx context.Context, step *Step, lookup func(digest.DerivationID) Outputs, emit func(Event)) (Result, error)
}

// A Result is what came of a step.
type Result struct {
	Outputs Outputs
	Cached  bool   // nothing had to run
	Log     string // file with the whole output of the run, if there is one
}

// A Summary counts what an execution did.
type Summary struct {
	Built, Fetched, Cached, Failed, Skipped int
}

// A StepError is the failure of one step.
type StepError struct {
	Step *Step
	Log  string // file with the whole output of the run, if there is one
	Err  error
}

// Error names the step, which a *builders.Failure does by itself.
func (e *StepError) Error() string {
	var failure *builders.Failure
	if errors.As(e.Err, &failure) {
		return e.Err.Error()
	}
	return "build " + e.Step.Name() + ": " + e.Err.Error()
}

// Unwrap returns the step's own error: a *builders.Failure if the action's content is to blame.
func (e *StepError) Unwrap() error { return e.Err }

// Execute runs the steps of a plan, up to opts.Jobs at once, the longest path first. It returns when nothing runs any
// more. The error joins one *StepError for each step that failed; if ctx ended it is context.Cause(ctx).
// Afterwards p.Known has the outputs of all that succeeded.
func Execute(ctx context.Context, p *Plan, realiser Realiser, opts Options) (Summary, error) {
	e := &execution{
		plan:     p,
		realiser: realiser,
		opts:     opts,
		events:   &stream{reader: opts.Events},
		states:   map[*Step]State{},
		waits:    map[*Step]int{},
		finished: make(chan ending),
		slots:    map[bool]int{false: max(1, opts.Jobs), true: max(1, opts.Downloads)},
		ready:    map[bool]*readyQueue{false: {}, true: {}},
		leaves:   map[*Step]leave{},
	}
	return e.run(ctx)
}

// State is where a step stands; it only ever grows.
type State int

// The states of a step, in order.
const (
	Blocked State = iota // something it needs is not done
	Ready                // could start
	Running
	Done
	Broken // failed, or can't run because something it needs failed
)

// An execution is the state of Execute. Only the goroutine in run touches it; workers get copies of what they need and
// answer through finished.
type execution struct {
	plan     *Plan
	realiser Realiser
	opts     Options
	events   *stream
	states   map[*Step]State
	waits    map[*Step]int // how many steps a blocked one waits for
	ready    map[bool]*readyQueue
	slots    map[bool]int // free ones; true: of downloads
	leaves   map[*Step]leave
	ownInUse bool // an action runs with the process's own leave
	running  int
	finished chan ending
	summary  Summary
	errs     []error
	stopping bool // nothing new starts
}

// An ending is what a worker says of its step.
type ending struct {
	step   *Step
	result Result
	err    error
}

func (e *execution) run(ctx context.Context) (Summary, error) {
	e.events.send(Event{Kind: Planned, Total: int64(len(e.plan.Steps))})
	for _, s := range e.plan.Steps {
		e.waits[s] = len(s.needs)
		if len(s.needs) == 0 {
			e.setReady(s)
		}
	}
	var group errgroup.Group
	for {
		if ctx.Err() != nil {
			e.stopping = true
		}
		e.startReady(ctx, &group)
		if e.running == 0 {
			break
		}
		select {
		case end := <-e.finished:
			e.finish(ctx, end)
		case <-e.retry():
		}
	}
	_ = group.Wait() // Workers return their errors as endings.
	if ctx.Err() != nil {
		return e.summary, context.Cause(ctx)
	}
	return e.summary, errors.Join(e.errs...)
}

// startReady starts what is ready while there are slots, and leaves.
func (e *execution) startReady(ctx context.Context, group *errgroup.Group) {
	for _, download := range []bool{true, false} {
		queue := e.ready[download]
		for !e.stopping && e.slots[download] > 0 && queue.Len() > 0 {
			l, ok := e.takeLeave(download)
			if !ok {
				break
			}
			step := heap.Pop(queue).(*Step)
			known := e.outputsBelow(step)
			e.states[step] = Running
			e.slots[download]--
			e.running++
			step.Cores = e.share()
			e.widen(step, l)
			group.Go(func() error {
				lookup := func(id digest.DerivationID) Outputs { return known[id] }
				emit := func(ev Event) {
					ev.Step = step
					e.events.send(ev)
				}
				result, err := e.realiser.Realise(ctx, step, lookup, emit)
				e.finished <- ending{step, result, err}
				return nil
			})
		}
	}
}

// share returns how many processors a step that starts now may use. The processors are divided by the actions that run and
// could run beside it, so that a step that is alone, as an image at the end of a build, has all of them.
func (e *execution) share() int {
	jobs := max(1, e.opts.Jobs)
	actions := jobs - e.slots[false] + min(e.slots[false], e.ready[false].Len())
	return max(1, e.opts.Cores/max(1, actions))
}

// outputsBelow copies what the step's worker has to know, so that the worker never reads the plan's map.
func (e *execution) outputsBelow(step *Step) map[digest.DerivationID]Outputs {
	known := map[digest.DerivationID]Outputs{}
	for _, drv := range inputDerivations(step.Derivation) {
		known[drv.ID()] = e.plan.Known[drv.ID()]
	}
	return known
}

// finish takes note of a worker's answer.
func (e *execution) finish(ctx context.Context, end ending) {
	step := end.step
	e.running--
	e.slots[step.IsDownload()]++
	e.giveBack(step)
	switch {
	case end.err == nil:
		e.setDone(step, end.result)
	case ctx.Err() != nil:
		e.states[step] = Broken
		e.events.send(Event{Kind: Canceled, Step: step})
	default:
		e.summary.Failed++
		e.errs = append(e.errs, &StepError{Step: step, Log: end.result.Log, Err: end.err})
		e.events.send(Event{Kind: Failed, Step: step, Log: end.result.Log, Err: end.err})
		e.setBroken(step)
		e.stopping = e.stopping || !e.opts.KeepGoing
	}
}

func (e *execution) setDone(step *Step, result Result) {
	e.states[step] = Done
	e.plan.Known[step.Derivation.ID()] = result.Outputs
	switch {
	case result.Cached:
		e.summary.Cached++
	case step.IsDownload():
		e.summary.Fetched++
	default:
		e.summary.Built++
	}
	for _, d := range step.dependents {
		if e.waits[d]--; e.waits[d] == 0 && e.states[d] == Blocked {
			e.setReady(d)
		}
	}
}

func (e *execution) setReady(step *Step) {
	e.states[step] = Ready
	heap.Push(e.ready[step.IsDownload()], step)
}

// setBroken marks all that depends on a failed step.
func (e *execution) setBroken(step *Step) {
	e.states[step] = Broken
	for _, d := range step.dependents {
		if e.states[d] != Broken {
			e.summary.Skipped++
			e.events.send(Event{Kind: Skipped, Step: d, Err: fmt.Errorf("%s failed", step.Name())})
			e.setBroken(d)
		}
	}
}

// A readyQueue has the steps that can start: the longest critical path first, then by name and id, so that the order is
// the same in every run.
type readyQueue []*Step

// Len is part of heap.Interface, as are the next four.
func (q readyQueue) Len() int { return len(q) }

func (q readyQueue) Less(i, j int) bool {
	a, b := q[i], q[j]
	idA, idB := a.Derivation.ID(), b.Derivation.ID()
	return cmp.Or(
		cmp.Compare(b.CriticalPath, a.CriticalPath),
		cmp.Compare(a.Name(), b.Name()),
		cmp.Compare(string(idA[:]), string(idB[:])),
	) < 0
}

func (q readyQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push appends a *Step.
func (q *readyQueue) Push(step any) { *q = append(*q, step.(*Step)) }

// Pop removes and returns the last *Step.
func (q *readyQueue) Pop() any {
	old := *q
	step := old[len(old)-1]
	*q = old[:len(old)-1]
	return step
}
