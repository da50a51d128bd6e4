package config

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
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

// limit makes the evaluation end, with a fault, when it goes beyond the limits or the context ends.
// The function it returns must be called when the evaluation is over.
//
// The interpreter counts steps but not bytes, and 40 steps can double a text 40 times. So somebody has to look from
// outside: between two looks a single step at most doubles what there is.
func (ev *evaluator) limit() (stop func()) {
	ev.thread.SetMaxExecutionSteps(checkSteps)
	ev.thread.OnMaxSteps = checkProgress
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { ev.watch(done) })
	return func() {
		close(done)
		watcher.Wait()
		if err := ev.ctx.Err(); err != nil {
			_ = ev.abort(err)
		}
	}
}

// checkProgress is called by the interpreter every checkSteps steps.
func checkProgress(t *starlark.Thread) {
	t.SetMaxExecutionSteps(t.ExecutionSteps() + checkSteps)
	if t.ExecutionSteps() >= maxSteps {
		t.Cancel(fmt.Sprintf("the evaluation takes more than %d million steps; is there a loop that never ends?", maxSteps/1_000_000))
		return
	}
	if name := variableTooDeep(t); name != "" {
		t.Cancel(tooDeepValue(name))
	}
}

// watch cancels the interpreter's thread, which is safe from another goroutine, until done is closed.
func (ev *evaluator) watch(done <-chan struct{}) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ev.ctx.Done():
			ev.thread.Cancel(ev.ctx.Err().Error())
			return
		case <-ticker.C:
			if heap() <= maxMemory {
				continue
			}
			// Much of it may be garbage, when a Packages has just read an archive's index.
			if runtime.GC(); heap() > maxMemory {
				ev.thread.Cancel(fmt.Sprintf("the evaluation needs more than %d MiB of memory; is there a text or list that only grows?", maxMemory>>20))
				return
			}
		}
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
