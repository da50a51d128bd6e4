package builders

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A watchLog is a build's log that tells when a text has come.
type watchLog struct {
	lockedBuffer
	text string
	seen chan struct{} // closed then
}

func (w *watchLog) Write(p []byte) (int, error) {
	n, err := w.lockedBuffer.Write(p)
	select {
	case <-w.seen:
	default:
		if strings.Contains(w.String(), w.text) {
			close(w.seen)
		}
	}
	return n, err
}

// processesWith returns the processes of this machine that have marker among their arguments.
func processesWith(t testing.TB, marker string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, file := range files {
		b, err := os.ReadFile(file) // A process that is gone by now is none.
		if pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() && bytes.Contains(b, []byte(marker)) {
			found = append(found, pid)
		}
	}
	return found
}

// newMarker returns a text that occurs in the arguments of no other process.
func newMarker(t testing.TB) string {
	return "marker-" + strconv.Itoa(os.Getpid()) + "-" + strings.ReplaceAll(t.Name(), "/", "-")
}

func TestSandboxCancel(t *testing.T) {
	for _, test := range []struct {
		name, before string // what the program does before it waits
		grace        time.Duration
		atLeast      time.Duration
	}{
		{"cooperative", "echo cooperative", time.Hour, 0},
		{"stubborn", "ignore", 50 * time.Millisecond, 50 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			marker := newMarker(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			log := &watchLog{text: "waiting", seen: make(chan struct{})}
			r := sandboxTest{operations: []string{"spawn stubborn " + marker, test.before, "echo waiting", "wait " + marker}}.request(t)
			r.Log = log
			done := make(chan error, 1)
			go func() { done <- (&Sandbox{grace: test.grace}).Build(ctx, r) }()
			<-log.seen
			if len(processesWith(t, marker)) == 0 {
				t.Fatalf("the build's processes are not to be seen, so their end would not be either; log:\n%s", log)
			}
			start, cause := time.Now(), errors.New("enough")
			cancel(cause)
			if err := <-done; !errors.Is(err, cause) {
				t.Errorf("Build = %v, want %v", err, cause)
			}
			if took := time.Since(start); took < test.atLeast {
				t.Errorf("killed after %v, want %v of grace", took, test.atLeast)
			}
			if left := processesWith(t, marker); len(left) > 0 {
				t.Errorf("processes %v are left", left)
			}
		})
	}
}

func TestSandboxCancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := (sandboxTest{operations: []string{"write $out x"}}).runContext(t, ctx); !errors.Is(r.err, context.Canceled) {
		t.Errorf("Build = %v, want %v", r.err, context.Canceled)
	}
}

// TestSandboxEndsWithItsProgram: what the program leaves running is killed, and can't hold the log open.
func TestSandboxEndsWithItsProgram(t *testing.T) {
	marker := newMarker(t)
	_, log := sandboxTest{operations: []string{"spawn wait " + marker, "spawn stubborn " + marker, "write $out x", "echo end"}}.mustRun(t)
	if !strings.Contains(log, "end\n") {
		t.Errorf("log %q", log)
	}
	if left := processesWith(t, marker); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// victimVariable makes the test binary run a build that never ends, for others to kill.
const victimVariable = "NBUILD_TEST_VICTIM"

// TestSandboxVictim is no test but the process that TestSandboxDiesWithNbuild kills.
func TestSandboxVictim(t *testing.T) {
	marker := os.Getenv(victimVariable)
	if marker == "" {
		t.Skip("only run by TestSandboxDiesWithNbuild")
	}
	r := sandboxTest{operations: []string{"spawn stubborn " + marker, "stubborn " + marker}}.request(t)
	r.Log = os.Stdout
	fmt.Println("starting")
	_ = NewSandbox().Build(t.Context(), r)
}

// TestSandboxDiesWithNbuild kills nbuild while a build runs, and at moments while one starts.
func TestSandboxDiesWithNbuild(t *testing.T) {
	probe, err := compileProbe()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		marker := newMarker(t) + "-" + strconv.Itoa(i) + "-"
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestSandboxVictim$")
		// Killed, it can't remove what it has made.
		cmd.Env = append(os.Environ(), victimVariable+"="+marker, "NBUILD_TEST_PROBE="+probe, "TMPDIR="+t.TempDir())
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(stdout)
		awaitLine(t, lines, "starting")
		if i == 0 {
			awaitLine(t, lines, "ready")
			if len(processesWith(t, marker)) < 2 { // the victim's environment is not searched
				t.Fatal("the build's processes are not to be seen")
			}
		} else {
			time.Sleep(time.Duration(i) * 700 * time.Microsecond) // not to wait for something, but to hit another moment
		}
		inits := childrenOf(t, cmd.Process.Pid)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, lines) // ends when all that hold the pipe are gone
		_ = cmd.Wait()
		awaitGone(t, marker, inits)
	}
}

func awaitLine(t testing.TB, lines *bufio.Reader, want string) {
	t.Helper()
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("wait for %q: %v", want, err)
		}
		if strings.TrimSpace(line) == want {
			return
		}
	}
}

func childrenOf(t testing.TB, pid int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var children []int
	for _, file := range files {
		b, _ := os.ReadFile(file) // A thread that is gone has none.
		for _, word := range strings.Fields(string(b)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			children = append(children, child)
		}
	}
	return children
}

func awaitGone(t testing.TB, marker string, inits []int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		left := processesWith(t, marker)
		for _, pid := range inits {
			if syscall.Kill(pid, 0) == nil && !isZombie(pid) {
				left = append(left, pid)
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(2 * time.Millisecond) // There is no way to wait for a process that is not one's child.
	}
	t.Errorf("nbuild was killed, and processes are left: %v %v", processesWith(t, marker), inits)
}

// isZombie reports whether a process is dead but for somebody to ask how it ended.
func isZombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err != nil || strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

// TestSandboxInNamespace runs the package's test of outputs in an outer user namespace, as in a rootless container.
func TestSandboxInNamespace(t *testing.T) {
	output, err := inNamespace(t, "^TestSandboxMakesOutputs$", "")
	if err != nil || !strings.Contains(output, "PASS") {
		t.Errorf("in a user namespace: %v\n%s", err, output)
	}
}

// TestCheckNamespaces forbids namespaces in an outer one and wants to be told so.
func TestCheckNamespaces(t *testing.T) {
	if limit := os.Getenv("NBUILD_TEST_LIMIT"); limit != "" {
		if err := os.WriteFile("/proc/sys/user/max_"+limit+"_namespaces", []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
		var refusal *EnvironmentError
		if err := CheckNamespaces(); !errors.As(err, &refusal) {
			t.Fatalf("CheckNamespaces = %v, want an *EnvironmentError", err)
		}
		fmt.Println(refusal)
		return
	}
	if err := CheckNamespaces(); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[string]string{
		"user": "user namespaces are turned off; allow them with: sysctl -w user.max_user_namespaces=15000",
		"net":  "net namespaces are turned off; allow them with: sysctl -w user.max_net_namespaces=15000",
	} {
		output, err := inNamespace(t, "^TestCheckNamespaces$", limit)
		if err != nil || !strings.Contains(output, "start sandbox: "+want+"\n") {
			t.Errorf("with %s namespaces forbidden: %v\n%s", limit, err, output)
		}
	}
}

// inNamespace runs tests of this binary in a user, PID and mount namespace of their own.
func inNamespace(t testing.TB, pattern, limit string) (string, error) {
	t.Helper()
	probe, err := compileProbe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run="+pattern)
	cmd.Env = append(os.Environ(), "NBUILD_TEST_PROBE="+probe, "NBUILD_TEST_LIMIT="+limit)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func TestRefusalReason(t *testing.T) {
	for _, test := range []struct {
		name     string
		errno    syscall.Errno
		isRoot   bool
		settings map[string]string
		want     string
	}{
		{"no support", syscall.EINVAL, false, map[string]string{"self/ns/user": ""}, "the kernel has no user namespaces; it needs CONFIG_USER_NS"},
		{
			"Debian's switch", syscall.EPERM, false,
			map[string]string{"sys/kernel/unprivileged_userns_clone": "0"},
			"user namespaces are for root only; allow them with: sysctl -w kernel.unprivileged_userns_clone=1",
		},
		{"Debian's switch and root", syscall.EPERM, true, map[string]string{"sys/kernel/unprivileged_userns_clone": "0"}, ""},
		{
			"Ubuntu's switch", syscall.EACCES, false,
			map[string]string{"sys/kernel/apparmor_restrict_unprivileged_userns": "1"},
			"AppArmor restricts user namespaces; allow them with: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
		},
		{
			"limit of another kind", syscall.ENOSPC, false,
			map[string]string{"sys/user/max_pid_namespaces": "0"},
			"pid namespaces are turned off; allow them with: sysctl -w user.max_pid_namespaces=15000",
		},
		{
			"container", syscall.EPERM, true,
			map[string]string{"self/status": "Name:\tnbuild\nSeccomp:\t2\n"},
			"this container forbids namespaces or mounts; start it with: --security-opt seccomp=unconfined --security-opt systempaths=unconfined",
		},
		{"full disk", syscall.ENOSPC, false, nil, ""},
		{"unknown", syscall.EPERM, false, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			read := func(name string) string {
				if text, ok := test.settings[name]; ok {
					return text
				}
				return map[string]string{"self/ns/user": "user:[4026531837]", "sys/user/max_user_namespaces": "96365"}[name]
			}
			wantText(t, "reason", test.want, refusalReason(test.errno, test.isRoot, read))
		})
	}
}

func TestExplainRefusal(t *testing.T) {
	for _, err := range []error{errors.New("other"), syscall.ENOMEM, syscall.ENOSPC, syscall.EACCES} {
		var refusal *EnvironmentError
		if got := explainRefusal("start", err); errors.As(got, &refusal) || !errors.Is(got, err) {
			t.Errorf("explainRefusal(%v) = %#v", err, got)
		}
	}
	got := explainRefusal("start sandbox", &os.SyscallError{Syscall: "clone", Err: syscall.EPERM})
	if refusal := (*EnvironmentError)(nil); !errors.As(got, &refusal) || !errors.Is(got, syscall.EPERM) {
		t.Errorf("explainRefusal(EPERM) = %#v, want an *EnvironmentError", got)
	}
}
