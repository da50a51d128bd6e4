package graph

import "time"

// Tokens are leaves to run actions besides the one that every process has by itself, as GNU make's jobserver hands them
// out to all that runs below one make. The methods are called from one goroutine, and never wait.
type Tokens interface {
	TryAcquire() (token byte, ok bool)
	Release(token byte) error
}

// tokenPause is between two looks whether another process gave a token back. A look takes a microsecond.
const tokenPause = 10 * time.Millisecond

// A leave is what an action runs with. A download needs none.
type leave struct {
	own    bool   // the process's own
	tokens []byte // one, if it isn't that, and one for each further processor
}

// takeLeave returns the leave for one processor, or false when there is none now.
func (e *execution) takeLeave(download bool) (leave, bool) {
	if e.opts.Tokens == nil || download {
		return leave{}, true
	}
	if !e.ownInUse {
		e.ownInUse = true
		return leave{own: true}, true
	}
	token, ok := e.opts.Tokens.TryAcquire()
	return leave{tokens: []byte{token}}, ok
}

// widen makes the step's leave one for as many processors as it may use, if there are tokens for them, else for fewer.
func (e *execution) widen(step *Step, l leave) {
	if e.opts.Tokens != nil && !step.IsDownload() {
		most := step.Cores
		for step.Cores = 1; step.Cores < most; step.Cores++ {
			token, ok := e.opts.Tokens.TryAcquire()
			if !ok {
				break
			}
			l.tokens = append(l.tokens, token)
		}
	}
	e.leaves[step] = l
}

// giveBack ends a step's leave.
func (e *execution) giveBack(step *Step) {
	l := e.leaves[step]
	delete(e.leaves, step)
	if l.own {
		e.ownInUse = false
	}
	for _, token := range l.tokens {
		if err := e.opts.Tokens.Release(token); err != nil {
			e.errs = append(e.errs, err)
		}
	}
}

// retry returns when to look for tokens again, if an action could start but for its leave. As the process has a leave of
// its own, there is an action then that runs.
func (e *execution) retry() <-chan time.Time {
	if e.opts.Tokens == nil || e.stopping || e.slots[false] == 0 || e.ready[false].Len() == 0 {
		return nil
	}
	return time.After(tokenPause)
}
