package lock

import (
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
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

func TestOpenExisting(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(dir+"/folder", 0o555), os.WriteFile(dir+"/file", nil, 0o444), os.Symlink("file", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"folder", "file"} {
		var files [2]*File
		for i := range files {
			var err error
			if files[i], err = OpenExisting(dir + "/" + name); err != nil {
				t.Fatal(err)
			}
		}
		first, err := files[0].TryShared()
		second, err2 := files[1].TryExclusive()
		if !first || second || errors.Join(err, err2) != nil {
			t.Errorf("%s: the first shares %t, %v, and the second has it alone %t, %v", name, first, err, second, err2)
		}
		if err := errors.Join(files[0].Close(), files[1].Close()); err != nil {
			t.Error(err)
		}
	}
	for name, want := range map[string]error{"link": syscall.ELOOP, "none": os.ErrNotExist} {
		if _, err := OpenExisting(dir + "/" + name); !errors.Is(err, want) {
			t.Errorf("%s: got error %v, want %v", name, err, want)
		}
	}
	if _, err := os.Lstat(dir + "/none"); err == nil {
		t.Error("what isn't there was made")
	}
}

// A lock that is bequeathed must last as long as the program that has it, and one that isn't no longer than its File.
func TestBequeath(t *testing.T) {
	for _, bequeath := range []bool{true, false} {
		name := filepath.Join(t.TempDir(), "lock")
		held, other := open(t, name), open(t, name)
		if err := held.Shared(t.Context()); err != nil {
			t.Fatal(err)
		}
		if bequeath {
			if err := held.Bequeath(); err != nil {
				t.Fatal(err)
			}
		}
		heir := exec.Command("cat") // It ends with its input.
		input, err := heir.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(heir.Start(), held.Close()); err != nil {
			t.Fatal(err)
		}
		free, err := other.TryExclusive()
		if err != nil || free == bequeath {
			t.Errorf("bequeathed %t: while the other program runs, the lock is free: %t, %v", bequeath, free, err)
		}
		if err := errors.Join(input.Close(), heir.Wait()); err != nil {
			t.Fatal(err)
		}
		if free, err := other.TryExclusive(); err != nil || !free {
			t.Errorf("bequeathed %t: when the other program has ended, the lock is free: %t, %v", bequeath, free, err)
		}
		if err := held.Bequeath(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("got error %v, want one that matches os.ErrClosed", err)
		}
	}
}
