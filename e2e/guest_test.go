//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bootTimeout is how long a guest may take to reach a shell. Without KVM a boot takes 25 to 40 s on two processors; a
// machine that is busy with other tests besides takes a multiple.
const bootTimeout = 5 * time.Minute

// commandTimeout is how long a command in the guest may take. The longest is the first start of a database: 15 s, and 90 s
// on a machine that is busy.
const commandTimeout = 5 * time.Minute

// A guest is a running virtual machine with a root shell on its serial console.
type guest struct {
	t       *testing.T
	cmd     *exec.Cmd
	console *console
	stdin   io.WriteCloser
	exited  chan error
	serial  int
}

// A console keeps all that a machine prints, and wakes who waits for more.
type console struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and replaced at every write
}

func newConsole() *console { return &console{more: make(chan struct{})} }

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(p)
	close(c.more)
	c.more = make(chan struct{})
	return len(p), nil
}

// after returns what was printed from an offset on, and a channel that is closed when there is more.
func (c *console) after(offset int) (string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text.Bytes()[offset:]), c.more
}

func (c *console) length() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Len()
}

// startGuest starts a runner and waits for the shell of root on the serial console.
func startGuest(t *testing.T, cmd *exec.Cmd) *guest {
	t.Helper()
	g := launch(t, cmd)
	g.login()
	return g
}

// login waits for the shell of root.
func (g *guest) login() {
	g.t.Helper()
	// The first prompt tells that the shell reads; what the shell echoes of our own text is no proof.
	g.expect(":~# ", bootTimeout)
	g.send("stty -echo; PS1=; PS2=; export SYSTEMD_PAGER=cat; bind 'set enable-bracketed-paste off' 2>/dev/null; echo shell-$((40+2))-ready\n")
	g.expect("shell-42-ready", commandTimeout)
}

// launch starts a runner and waits for nothing.
func launch(t *testing.T, cmd *exec.Cmd) *guest {
	t.Helper()
	g := &guest{t: t, cmd: cmd, console: newConsole(), exited: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = g.console, g.console
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	g.stdin = stdin
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { g.exited <- cmd.Wait() }()
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Signal(syscall.SIGKILL)
		}
		if t.Failed() {
			text, _ := g.console.after(0)
			t.Logf("the console of the guest:\n%s", text)
		}
	})
	return g
}

func (g *guest) send(text string) {
	g.t.Helper()
	if _, err := io.WriteString(g.stdin, text); err != nil {
		g.t.Fatalf("write to the console: %v", err)
	}
}

// expect waits until the console shows text and returns all it showed before, from the call on.
func (g *guest) expect(text string, timeout time.Duration) string {
	g.t.Helper()
	return g.expectFrom(0, text, timeout)
}

func (g *guest) expectFrom(offset int, text string, timeout time.Duration) string {
	g.t.Helper()
	deadline := time.After(timeout)
	for {
		seen, more := g.console.after(offset)
		if before, _, ok := strings.Cut(seen, text); ok {
			return before
		}
		select {
		case <-more:
		case err := <-g.exited:
			g.exited <- err
			g.t.Fatalf("the machine ended (%v) before it showed %q", err, text)
		case <-deadline:
			g.t.Fatalf("the console did not show %q within %s", text, timeout)
		}
	}
}

// run runs a shell command as root in the guest and returns what it printed and its exit status.
func (g *guest) run(command string) (string, int) {
	g.t.Helper()
	g.serial++
	begin, end := fmt.Sprintf("<begin-%d>", g.serial), fmt.Sprintf("<end-%d-", g.serial)
	offset := g.console.length()
	// The marks are put together by the guest's shell, so that an echo of this line doesn't contain them.
	g.send(fmt.Sprintf("printf '<%%s>\\n' begin-%d; { %s\n} 2>&1; printf '<%%s-%%s>\\n' end-%d $?\n", g.serial, command, g.serial))
	before := g.expectFrom(offset, end, commandTimeout)
	_, output, _ := strings.Cut(before, begin)
	tail, _ := g.console.after(offset + len(before) + len(end))
	status := g.expectFrom(offset+len(before)+len(end), ">", commandTimeout)
	code, err := strconv.Atoi(status)
	if err != nil {
		g.t.Fatalf("%s: exit status in %q: %v", command, tail, err)
	}
	return strings.Trim(strings.ReplaceAll(output, "\r", ""), "\n"), code
}

// check runs a command and compares what it prints; it must succeed.
func (g *guest) check(command, want string) {
	g.t.Helper()
	got, code := g.run(command)
	if code != 0 || got != want {
		g.t.Errorf("%s:\n got %q, exit status %d\nwant %q", command, got, code, want)
	}
}

// wait waits for the end of the machine and returns the runner's exit status.
func (g *guest) wait(timeout time.Duration) int {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), timeout)
	defer cancel()
	select {
	case err := <-g.exited:
		g.exited <- err
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			g.t.Fatalf("wait for the machine: %v", err)
		}
		return g.cmd.ProcessState.ExitCode()
	case <-ctx.Done():
		g.t.Fatalf("the machine did not end within %s", timeout)
		return -1
	}
}

// poweroff ends the machine as its user would.
func (g *guest) poweroff() {
	g.t.Helper()
	offset := g.console.length()
	g.send("poweroff\n")
	if code := g.wait(commandTimeout); code != 0 {
		g.t.Errorf("the runner ended with exit status %d", code)
	}
	for _, complaint := range []string{"Failed to unmount", "Could not detach", "Unable to finalize"} {
		if text, _ := g.console.after(offset); strings.Contains(text, complaint) {
			g.t.Errorf("the machine says at its end:\n%s", text)
			break
		}
	}
}
