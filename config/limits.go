package config

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"

	"go.starlark.net/starlark"
)

// The limits of an evaluation. They are far beyond what projects need, and stop one that would never end or eat the
// machine's memory.
const (
	maxSteps   = 50_000_000 // about a second; a project with 1,001 derivations takes some 200,000
	checkSteps = 250_000    // after so many more, values are checked for their depth: each step adds at most a level
	maxMemory  = 512 << 20  // bytes in use by the whole program, which has some 10 MB when it begins to evaluate
	maxRange   = 10_000_000 // elements of a range: list() makes room for all of them before anybody can look
	maxFile    = 4 << 20    // bytes of a file of the project
	maxText    = 16 << 20   // bytes of the texts of a derivation, all of which the store keeps
)

// How often an evaluation is looked at. A step at most doubles what there is, and 40 steps can double a text 40 times, so
// the looks must be close: a loop that doubles takes four steps, so between two looks memory grows fourfold. They must be
// cheap as well: a project of 1,001 derivations is looked at 25,000 times, for 50 ns each.
const (
	lookSteps = 8
	lookTime  = 200 * time.Microsecond // what takes less has not allocated much, and the heap is not worth a look
)

// A progress is what limit remembers of an evaluation.
type progress struct {
	nextDepth uint64    // the step at which values are checked for their depth
	lastHeap  time.Time // when the heap was looked at
}

// limit makes the evaluation end, with a fault, when it goes beyond the limits or the context ends.
// The function it returns must be called when the evaluation is over.
func (ev *evaluator) limit() (stop func()) {
	p := &progress{nextDepth: checkSteps, lastHeap: time.Now()}
	ev.thread.SetMaxExecutionSteps(lookSteps)
	ev.thread.OnMaxSteps = p.check
	forget := context.AfterFunc(ev.ctx, func() { ev.thread.Cancel(ev.ctx.Err().Error()) })
	return func() {
		forget()
		if err := ev.ctx.Err(); err != nil {
			_ = ev.abort(err)
		}
	}
}

// check is called by the interpreter every lookSteps steps.
func (p *progress) check(t *starlark.Thread) {
	steps := t.ExecutionSteps()
	t.SetMaxExecutionSteps(steps + lookSteps)
	if now := time.Now(); now.Sub(p.lastHeap) >= lookTime {
		p.lastHeap = now
		// Much of it may be garbage, when a Packages has just read an archive's index.
		if heap() > maxMemory {
			if runtime.GC(); heap() > maxMemory {
				t.Cancel(fmt.Sprintf("the evaluation needs more than %d MiB of memory; is there a text or list that only grows?", maxMemory>>20))
				return
			}
		}
	}
	if steps < p.nextDepth {
		return
	}
	p.nextDepth = steps + checkSteps
	if steps >= maxSteps {
		t.Cancel(fmt.Sprintf("the evaluation takes more than %d million steps; is there a loop that never ends?", maxSteps/1_000_000))
		return
	}
	if name := variableTooDeep(t); name != "" {
		t.Cancel(tooDeepValue(name))
	}
}

// heap returns how many bytes the program's objects take, garbage included. It costs about a microsecond.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// rangeFunction is Starlark's range, but for the limit.
func rangeFunction(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := starlark.Call(t, starlark.Universe["range"], args, kwargs)
	if err != nil {
		return nil, err
	}
	if n := starlark.Len(v); n < 0 || n > maxRange {
		return nil, fmt.Errorf("range: more than %d elements", maxRange)
	}
	return v, nil
}
