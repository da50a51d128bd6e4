package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nbuild/internal/storepath"
)

// The test binary is its own child: with this variable set, it runs the task of that name instead of the tests.
const taskVariable = "NBUILD_STORE_TEST_TASK"

// tasks are what children do; dir is a store's folder. They tell their progress on stdout, a line a step.
var tasks = map[string]func(dir string) error{
	"add":     addTask,
	"lock":    lockTask,
	"full":    fullTask,
	"collect": collectTask,
	"visit":   visitTask,
}

func TestMain(m *testing.M) {
	name := os.Getenv(taskVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := tasks[name](os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A child runs a task in a process of its own.
type child struct {
	cmd    *exec.Cmd
	lines  *bufio.Reader // its stdout
	stderr *strings.Builder
}

func startChild(t *testing.T, task, dir string, attributes *syscall.SysProcAttr) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0], dir), stderr: &strings.Builder{}}
	c.cmd.Env = append(os.Environ(), taskVariable+"="+task)
	c.cmd.Stderr = c.stderr
	c.cmd.SysProcAttr = attributes
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewReader(stdout)
	if err := c.cmd.Start(); errors.Is(err, syscall.EPERM) && attributes != nil {
		t.Skipf("NOT TESTED: a full disk, because namespaces are forbidden: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	return c
}

// wait reads the rest of what the child says and fails the test if it failed.
func (c *child) wait(t *testing.T) {
	t.Helper()
	_, readErr := io.Copy(io.Discard, c.lines)
	if err := errors.Join(readErr, c.cmd.Wait()); err != nil {
		t.Fatalf("child: %v\n%s", err, c.stderr)
	}
}

const numbered = 40 // objects that addTask adds

// addTask adds the numbered objects that are not in the store yet.
func addTask(dir string) error {
	s, err := Open(context.Background(), dir, Options{})
	if err != nil {
		return err
	}
	for i := range numbered {
		if err := addOnce(s, i); err != nil {
			return err
		}
		fmt.Println(i)
	}
	return s.Close()
}

// addOnce does what the executor does for an action: look up, lock, look up again, build, record.
func addOnce(s *Store, i int) error {
	ctx := context.Background()
	key := keyOf(fmt.Sprint("numbered ", i))
	lock, err := s.LockAction(ctx, key, nil)
	if err != nil {
		return err
	}
	defer lock.Release() // Each of these locks is wanted by other processes only.
	if _, ok, err := s.Realisation(ctx, key); ok || err != nil {
		return err
	}
	if err := addNumbered(s, i); err != nil {
		return err
	}
	if i%10 == 0 {
		return s.Flush(ctx)
	}
	return nil
}

// wantNumbered checks that all of addTask is there, and nothing else.
func wantNumbered(t *testing.T, dir string) {
	t.Helper()
	s := openStore(t, dir)
	defer s.Close() // Only read.
	wantClean(t, s)
	for i := range numbered {
		if _, ok, err := s.Realisation(t.Context(), keyOf(fmt.Sprint("numbered ", i))); !ok || err != nil {
			t.Errorf("realisation %d: %v, %v", i, ok, err)
		}
	}
	objects, err := s.Objects(t.Context())
	if err != nil || len(objects) != numbered {
		t.Errorf("%d objects, %v; want %d", len(objects), err, numbered)
	}
	if left, err := os.ReadDir(dir + "/tmp"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A process that is killed at any moment must leave a store that the next one finds clean and can complete.
func TestKill(t *testing.T) {
	dir := newDir(t)
	kills := 0
	// Each run is killed after so many steps from its start; how far it got meanwhile is chance. What was recorded
	// stays, so later runs get further.
	for round := range 40 {
		c := startChild(t, "add", dir, nil)
		for range round%(numbered-1) + 1 {
			if _, err := c.lines.ReadString('\n'); err != nil {
				break // It has ended.
			}
		}
		if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		if err := c.cmd.Wait(); err != nil {
			kills++
		}
		s := openStore(t, dir)
		wantClean(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if round%8 == 7 { // Begin again, lest there is nothing left to do.
			forget(t, dir)
		}
	}
	if kills < 20 {
		t.Errorf("only %d of 40 runs were killed before their end", kills)
	}
	startChild(t, "add", dir, nil).wait(t)
	wantNumbered(t, dir)
}

// forget empties a store but for its pool.
func forget(t *testing.T, dir string) {
	t.Helper()
	if err := errors.Join(removeEntries(dir+"/objects"), os.Remove(dir+"/index.sqlite")); err != nil {
		t.Fatal(err)
	}
}

// Processes that add the same at once must each succeed, and each action be run by one.
func TestProcessesAtOnce(t *testing.T) {
	dir := newDir(t)
	var children []*child
	for range 3 {
		children = append(children, startChild(t, "add", dir, nil))
	}
	for _, c := range children {
		c.wait(t)
	}
	wantNumbered(t, dir)
}

// A killed process's rubbish is removed, but not while another that is alive has the store open: that one's unfinished
// work looks the same.
func TestRubbishIsRemovedWhenAlone(t *testing.T) {
	dir := newDir(t)
	alive := openStore(t, dir)
	unfinished, err := alive.NewScratch(keyOf("unfinished"))
	if err != nil {
		t.Fatal(err)
	}
	files{"f": "rubbish"}.write(t, dir+"/objects/.new-123")
	files{"f": "rubbish"}.write(t, dir+"/tmp/123")
	second := openStore(t, dir)
	if _, err := os.Lstat(unfinished.Work()); err != nil {
		t.Errorf("the work of a living process was removed: %v", err)
	}
	if err := errors.Join(second.Close(), alive.Close()); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir)
	defer s.Close() // Only read.
	wantClean(t, s)
	if left, err := os.ReadDir(dir + "/tmp"); err != nil || len(left) > 0 {
		t.Errorf("left behind in tmp: %v, %v", left, err)
	}
}

// lockTask takes the lock of one action again and again, and fails if another process is inside.
func lockTask(dir string) error {
	s, err := Open(context.Background(), dir, Options{})
	if err != nil {
		return err
	}
	inside := dir + "/inside"
	for range 50 {
		lock, err := s.LockAction(context.Background(), keyOf("one"), nil)
		if err != nil {
			return err
		}
		// Another process that is inside has made this folder.
		if err := errors.Join(os.Mkdir(inside, 0o700), os.Remove(inside), lock.Release()); err != nil {
			return err
		}
	}
	return s.Close()
}

func TestActionLockExcludesProcesses(t *testing.T) {
	dir := newDir(t)
	a, b := startChild(t, "lock", dir, nil), startChild(t, "lock", dir, nil)
	a.wait(t)
	b.wait(t)
}

// fullTask fills a small file system of its own with objects until it is full. What is in the index then must be whole.
func fullTask(dir string) error {
	// Else the file system would be mounted for everybody, where mounts propagate.
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=2m,mode=700"); err != nil {
		return err
	}
	s, err := Open(context.Background(), dir+"/store", Options{})
	if err != nil {
		return err
	}
	added := 0
	for err == nil && added < 100 {
		err = addLarge(s, added)
		added++
	}
	err = errors.Join(err, s.Close())
	if !errors.Is(err, syscall.ENOSPC) && !strings.Contains(fmt.Sprint(err), "full") {
		return fmt.Errorf("after %d objects: got error %v, want one about the full disk", added, err)
	}
	return reopenAndVerify(dir + "/store")
}

func addLarge(s *Store, i int) error {
	file, err := s.temporary()
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(strings.Repeat(fmt.Sprint(i, "."), 40000)), 0o600); err != nil {
		return err
	}
	source, err := s.AddSource(context.Background(), "large", file)
	if err != nil {
		return err
	}
	if err := os.Remove(file); err != nil {
		return err
	}
	r := Realisation{Key: keyOf(fmt.Sprint(i)), Name: "large", Outputs: map[string]storepath.Path{"out": source.Path}}
	return errors.Join(s.AddRealisation(context.Background(), r, nil), s.Flush(context.Background()))
}

// reopenAndVerify opens the store on the full disk again, which removes the rubbish, and verifies it.
func reopenAndVerify(dir string) error {
	s, err := Open(context.Background(), dir, Options{})
	if err != nil {
		return err
	}
	objects, err := s.Objects(context.Background())
	if err == nil && len(objects) == 0 {
		err = errors.New("nothing was added before the disk was full")
	}
	var found []error
	verifyErr := s.Verify(context.Background(), func(p Problem) { found = append(found, errors.New(p.String())) })
	return errors.Join(err, verifyErr, errors.Join(found...), s.Close())
}

func TestFullDisk(t *testing.T) {
	attributes := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		attributes.Cloneflags |= syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	startChild(t, "full", newDir(t), attributes).wait(t)
}
