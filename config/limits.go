package config

import (
	"fmt"
	"runtime/metrics"
	"sync"
	"time"

	"go.starlark.net/starlark"
)

// The limits of an evaluation. They are far beyond what projects need, and stop one that would never end or eat the
// machine's memory.
const (
	maxSteps  = 50_000_000 // about a second; a project with 1,001 derivations takes some 30,000
	maxMemory = 1 << 30    // bytes more than before
	maxFile   = 4 << 20    // bytes of a file of the project
	maxText   = 16 << 20   // bytes of the texts of a derivation, all of which the store keeps
)

// limit makes the evaluation end, with a fault, when it goes beyond the limits or the context ends.
// The function it returns must be called when the evaluation is over.
//
// The interpreter counts steps but not bytes, and 40 steps can double a text 40 times. So somebody has to look from
// outside: between two looks a single step at most doubles what there is.
func (ev *evaluator) limit() (stop func()) {
	ev.thread.SetMaxExecutionSteps(maxSteps)
	ev.thread.OnMaxSteps = func(t *starlark.Thread) {
		t.Cancel(fmt.Sprintf("the evaluation takes more than %d million steps; is there a loop that never ends?", maxSteps/1_000_000))
	}
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

// watch cancels the interpreter's thread, which is safe from another goroutine, until done is closed.
func (ev *evaluator) watch(done <-chan struct{}) {
	start := heap()
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
			if heap() > start+maxMemory {
				ev.thread.Cancel(fmt.Sprintf("the evaluation needs more than %d MiB of memory; is there a text or list that only grows?", maxMemory>>20))
				return
			}
		}
	}
}

// heap returns how many bytes the program's objects take. It costs about a microsecond.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
