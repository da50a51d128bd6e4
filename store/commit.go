package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
)

// A batch is what is made durable together.
type batch struct {
	objects      []*Object
	fresh        []freshFile
	realisations []Realisation
	derivations  map[digest.DerivationID]digest.ActionKey
	locks        []*ActionLock // released at the end

	hurry chan struct{} // closed once somebody waits for done
	done  chan struct{} // closed when durable, or when that failed
}

// A committer makes batches durable, one after another. While it is busy with one, the next gathers.
type committer struct {
	store    *Store
	recorder recorder
	wake     chan struct{} // holds a token when there is a batch
	ended    chan struct{} // closed when run returned; nil if it never started

	mu       sync.Mutex
	queued   *batch // gathers; nil if empty
	current  *batch // is being made durable
	stopping bool
	err      error // of the first batch that failed; nothing is done any more then
}

func newCommitter(s *Store) *committer {
	return &committer{store: s, recorder: recorder{file: s.indexFile()}, wake: make(chan struct{}, 1)}
}

// enqueue lets add put something into the batch that gathers.
func (c *committer) enqueue(add func(*batch)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if c.queued == nil {
		c.queued = &batch{
			derivations: map[digest.DerivationID]digest.ActionKey{},
			hurry:       make(chan struct{}),
			done:        make(chan struct{}),
		}
		c.notify()
	}
	add(c.queued)
	if c.ended == nil {
		c.ended = make(chan struct{})
		go c.run()
	}
	return nil
}

func (c *committer) notify() {
	select {
	case c.wake <- struct{}{}:
	default: // There is a token already.
	}
}

// realisation returns one that is not durable yet.
func (c *committer) realisation(key digest.ActionKey) (Realisation, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range []*batch{c.queued, c.current} {
		if b == nil {
			continue
		}
		for _, r := range b.realisations {
			if r.Key == key {
				return r, true
			}
		}
	}
	return Realisation{}, false
}

// derivation returns the action key of a derivation that is not durable yet.
func (c *committer) derivation(id digest.DerivationID) (digest.ActionKey, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range []*batch{c.queued, c.current} {
		if b == nil {
			continue
		}
		if key, ok := b.derivations[id]; ok {
			return key, true
		}
	}
	return digest.ActionKey{}, false
}

// flush waits until all that is queued now is durable.
func (c *committer) flush(ctx context.Context) error {
	c.mu.Lock()
	last := c.queued
	if last == nil {
		last = c.current
	}
	if last == nil {
		defer c.mu.Unlock()
		return c.err
	}
	closeOnce(last.hurry)
	c.mu.Unlock()
	select {
	case <-last.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// closeOnce closes a channel that may be closed already. The caller holds the mutex that guards the closing.
func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// stop makes durable what is queued and ends the goroutine.
func (c *committer) stop() error {
	err := c.flush(context.Background())
	c.mu.Lock()
	c.stopping = true
	ended := c.ended
	c.notify()
	c.mu.Unlock()
	if ended != nil {
		<-ended
	}
	return errors.Join(err, c.recorder.close())
}

// The committer lets a batch gather for as long as the one before took to become durable, so that it costs half of the
// disk's time at most, within these limits. What waits for it: other processes that want the same action, and Flush,
// which cuts it short.
const (
	shortestGathering = 5 * time.Millisecond
	longestGathering  = 250 * time.Millisecond
)

// run is the goroutine of the committer.
func (c *committer) run() {
	defer close(c.ended)
	gathering := shortestGathering
	for range c.wake {
		c.mu.Lock()
		b, stopping := c.queued, c.stopping
		c.mu.Unlock()
		if b != nil {
			select {
			case <-b.hurry:
			case <-time.After(gathering):
			}
			start := time.Now()
			c.commit()
			gathering = min(max(time.Since(start), shortestGathering), longestGathering)
		}
		if stopping {
			return
		}
	}
}

// commit makes the batch that gathered durable.
func (c *committer) commit() {
	c.mu.Lock()
	b, err := c.queued, c.err
	c.queued, c.current = nil, b
	c.mu.Unlock()
	if err == nil {
		err = c.write(b)
	}
	for _, l := range b.locks {
		err = errors.Join(err, l.Release())
	}
	c.mu.Lock()
	c.current = nil
	if c.err == nil && err != nil {
		c.err = fmt.Errorf("record in store: %w", err)
	}
	c.mu.Unlock()
	close(b.done)
}

// write flushes the objects' bytes, then shares their files, then records them: in this order, a loss of power at any
// moment leaves only whole objects in the index and whole files in the pool.
func (c *committer) write(b *batch) error {
	if len(b.objects) > 0 {
		if err := fsx.SyncFileSystem(c.store.dir); err != nil {
			return err
		}
		c.store.pool.keep(b.fresh)
	}
	return c.recorder.record(b)
}
