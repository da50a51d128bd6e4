package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"nbuild/internal/lock"
)

// collectTask collects garbage, and is killed when it looks for the n-th time whether it should go on.
func collectTask(dir string) error {
	n, err := strconv.Atoi(os.Getenv(fuseVariable))
	if err != nil {
		return err
	}
	_, err = Collect(&fuse{Context: context.Background(), left: int64(n)}, dir, CollectOptions{})
	return err
}

const fuseVariable = "NBUILD_STORE_TEST_FUSE"

// A fuse is a context that kills the process when it is asked once too often.
type fuse struct {
	context.Context
	left int64
}

// Err is what everything calls that takes several steps.
func (f *fuse) Err() error {
	if atomic.AddInt64(&f.left, -1) < 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // It can't fail for oneself.
		select {}
	}
	return nil
}

// Killed at any step, a collection must leave a store that is whole, and whose garbage the next collection removes.
func TestKillCollect(t *testing.T) {
	for step := 0; ; step++ {
		g := newGarden(t)
		g.plant("a", "")
		g.plant("b", "a")
		g.act("make b", "a", "b")
		for i, name := range []string{"v", "w", "x", "y", "z"} {
			g.plant(name, "vwxyz"[:i])
			g.act("make "+name, "a", name)
		}
		g.root("l", "b")
		g.root("dead", "z")
		if err := os.Remove(g.links + "/dead"); err != nil {
			t.Fatal(err)
		}
		g.close()
		t.Setenv(fuseVariable, strconv.Itoa(step))
		err := startChild(t, "collect", g.dir, nil).cmd.Wait()
		g.store = openStore(t, g.dir)
		wantClean(t, g.store)
		wantForeignKeys(t, g.store)
		for _, name := range []string{"a", "b"} {
			if _, err := g.store.Object(t.Context(), g.objects[name].Path); err != nil {
				t.Errorf("step %d: %v", step, err)
			}
		}
		g.collect(CollectOptions{})
		g.checkLeft("ab")
		if left := countFiles(t, g.dir+"/pool"); left != 2 {
			t.Errorf("step %d: %d files are in the pool, want those of two objects", step, left)
		}
		if t.Failed() {
			return
		}
		if err == nil {
			if step < 40 {
				t.Errorf("the collection had only %d steps", step)
			}
			return
		}
	}
}

// Interrupted at any step, a collection must say so, and leave what one that was killed leaves.
func TestInterruptCollect(t *testing.T) {
	for step := int64(1); ; step++ {
		g := newGarden(t)
		g.plant("a", "")
		g.plant("b", "a")
		g.plant("x", "")
		g.root("l", "b")
		g.close()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Collect(&trigger{ctx, step, cancel}, g.dir, CollectOptions{})
		ended := ctx.Err() == nil
		cancel()
		if ended {
			if err != nil || step < 10 {
				t.Errorf("it ended after %d steps, %v", step, err)
			}
			g.checkLeft("ab")
			return
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("step %d: got error %v, want context.Canceled", step, err)
		}
		g.store = openStore(t, g.dir)
		wantClean(t, g.store)
		g.collect(CollectOptions{})
		g.checkLeft("ab")
		if t.Failed() {
			t.Fatalf("interrupted at step %d", step)
		}
	}
}

func countFiles(t *testing.T, dir string) (count int) {
	t.Helper()
	folders, err := os.ReadDir(dir)
	for _, folder := range folders {
		entries, entriesErr := os.ReadDir(dir + "/" + folder.Name())
		count, err = count+len(entries), errors.Join(err, entriesErr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// visitTask opens the store again and again, each time to add something, and keeps it by a link.
func visitTask(dir string) error {
	for i := range numbered {
		s, err := Open(context.Background(), dir, Options{})
		if err != nil {
			return err
		}
		err = addOnce(s, i)
		r, ok, realisedErr := s.Realisation(context.Background(), keyOf(fmt.Sprint("numbered ", i)))
		if err = errors.Join(err, realisedErr); err == nil && !ok {
			err = errors.New("what was just made is not there")
		}
		for _, p := range r.Outputs {
			err = errors.Join(err, s.AddRoot(context.Background(), fmt.Sprintf("%s-link-%d", dir, i), p))
		}
		if err := errors.Join(err, s.Close()); err != nil {
			return err
		}
		fmt.Println(i)
	}
	return nil
}

// Processes that build and those that collect garbage must not be in each other's way: what was made and has got its link
// stays.
func TestCollectBesideBuilds(t *testing.T) {
	dir := newDir(t) + "/store"
	a, b := startChild(t, "visit", dir, nil), startChild(t, "visit", dir, nil)
	for range 20 {
		if _, err := a.lines.ReadString('\n'); err != nil {
			break // It has ended.
		}
		second := make(chan error, 1)
		go func() {
			_, err := Collect(t.Context(), dir, CollectOptions{})
			second <- err
		}()
		_, err := Collect(t.Context(), dir, CollectOptions{})
		if err := errors.Join(err, <-second); err != nil {
			t.Fatal(err)
		}
	}
	a.wait(t)
	b.wait(t)
	if _, err := Collect(t.Context(), dir, CollectOptions{}); err != nil {
		t.Fatal(err)
	}
	wantNumbered(t, dir)
}

// take takes a lease as a program without nbuild does, which has only the object's path. It returns nil if the object is
// gone.
func (g *garden) take(name string) (*lock.File, error) {
	folder, err := lock.OpenExisting(g.dir + "/objects")
	if err != nil {
		return nil, err
	}
	defer folder.Close() // It is only a lock.
	if err := folder.Shared(g.t.Context()); err != nil {
		return nil, err
	}
	lease, err := lock.OpenExisting(g.dir + "/objects/" + g.objects[name].Path.Base())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return lease, lease.Shared(g.t.Context())
}

// A trigger is a context that does something when it is asked for the n-th time.
type trigger struct {
	context.Context
	left int64
	do   func()
}

// Err is what everything calls that takes several steps.
func (c *trigger) Err() error {
	if atomic.AddInt64(&c.left, -1) == 0 {
		c.do()
	}
	return c.Context.Err()
}

// Whoever wants a lease while garbage is collected, at whatever step, gets it together with all that the object refers to,
// or finds no object.
func TestLeaseAgainstCollect(t *testing.T) {
	outcomes := map[string]int{}
	for step := range int64(20) {
		g := newGarden(t)
		g.plant("a", "")
		g.plant("b", "a")
		g.plant("c", "b")
		g.close()
		var lease *lock.File
		taken := make(chan error, 1)
		take := func() {
			var err error
			lease, err = g.take("c")
			taken <- err
		}
		if step == 0 {
			take()
		}
		_, err := Collect(&trigger{t.Context(), step, func() { go take() }}, g.dir, CollectOptions{})
		if err := errors.Join(err, <-taken); err != nil {
			t.Fatal(err)
		}
		want := ""
		if lease != nil {
			want = "abc"
		}
		outcomes[want]++
		g.checkLeft(want)
		if lease == nil {
			continue
		}
		if err := lease.Close(); err != nil {
			t.Fatal(err)
		}
		g.collect(CollectOptions{})
		g.checkLeft("")
	}
	if outcomes["abc"] == 0 || outcomes[""] == 0 {
		t.Errorf("the outcomes were %v, want some of each", outcomes)
	}
}

// Whoever opens the store while another process has it for itself waits, and says so.
func TestOpenWaits(t *testing.T) {
	g := newGarden(t)
	g.close()
	alone, err := lock.OpenExisting(g.dir + "/lock")
	if err == nil {
		err = alone.Exclusive(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	s, err := Open(t.Context(), g.dir, Options{Notice: func(text string) {
		said++
		if !strings.HasPrefix(text, "waiting for another nbuild") {
			t.Errorf("it says %q", text)
		}
		if err := alone.Close(); err != nil {
			t.Error(err)
		}
	}})
	if err != nil || said != 1 {
		t.Fatalf("it was said %d times, %v", said, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
