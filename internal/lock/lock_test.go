package lock

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func open(t *testing.T, name string) *File {
	t.Helper()
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestSharedAndExclusive(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	a, b, c := open(t, name), open(t, name), open(t, name)
	steps := []struct {
		name string
		try  func() (bool, error)
		want bool
	}{
		{"first shares", a.TryShared, true},
		{"second shares", b.TryShared, true},
		{"third wants it alone", c.TryExclusive, false},
		{"first gives up", func() (bool, error) { return true, a.Close() }, true},
		{"third wants it alone, still", c.TryExclusive, false},
		{"second is the only one now", b.TryExclusive, true},
		{"third wants to share", c.TryShared, false},
		{"second shares again", b.TryShared, true},
		{"third shares", c.TryShared, true},
	}
	for _, step := range steps {
		got, err := step.try()
		if err != nil || got != step.want {
			t.Fatalf("%s: got %v, %v, want %v", step.name, got, err, step.want)
		}
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	a, b := open(t, name), open(t, name)
	if err := a.Exclusive(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Shared(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
}

func TestClosed(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "lock"))
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.TryShared(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got error %v, want one that matches os.ErrClosed", err)
	}
}

// Many goroutines take one lock: only one may ever be inside. Another byte of the same file is another lock.
func TestRangeExcludes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	other, err := Range(t.Context(), name, 8, nil)
	if err != nil {
		t.Fatal(err)
	}
	var inside, entered atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				f, err := Range(t.Context(), name, 7, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				entered.Add(1)
				inside.Add(-1)
				if err := errors.Join(f.Close(), f.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if entered.Load() != 400 {
		t.Errorf("the lock was taken %d times, want 400", entered.Load())
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}

func TestRangeSaysOnceThatItWaits(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	held, err := Range(t.Context(), name, math.MaxInt64-1, func() { t.Error("waits for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	waits := 0
	second, err := Range(t.Context(), name, math.MaxInt64-1, func() {
		waits++
		if err := held.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if waits != 1 {
		t.Errorf("told %d times that it waits, want 1", waits)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestRangeEndsWithTheContext(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	held, err := Range(t.Context(), name, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Range(ctx, name, 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
}
