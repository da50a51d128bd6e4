//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// closedProject has a system whose own SSH server lets nobody in: not root, not without a key, and not from outside.
const closedProject = `
box = system(
    name = "box",
    modules = [{
        "networking.host_name": "webhost",
        "services.openssh": {"enable": True, "permit_root_login": "no", "ports": [2222], "listen_addresses": ["127.0.0.1"], "open_firewall": False},
        "virtualisation.disk_size": 256,
    }],
)
`

// TestLogin logs in to a machine without a key, a port or a network, and without any privilege.
func TestLogin(t *testing.T) {
	t.Parallel()
	u := unprivileged()
	p := newPlace(t, u) // Who names no machine gets the store's only one.
	p.write("nbuild.star", closedProject)
	p.nbuild("vm")
	g := launch(t, p.runner("webhost"))

	until(t, "the machine has a process", func() bool { return p.machineProcess() != 0 })
	// The guest has hardly begun to start.
	stdout, stderr, code := p.login("", "box", "--", "echo out; echo err >&2; exit 7")
	if stdout != "out\n" || stderr != "err\n" || code != 7 {
		t.Fatalf("got %q, %q, exit status %d; want out, err, 7", stdout, stderr, code)
	}
	t.Run("input", func(t *testing.T) {
		text := strings.Repeat("all bytes \x00\xff\r\n", 100_000)
		stdout, stderr, code := p.login(text, "--", "cat")
		if stdout != text || stderr != "" || code != 0 {
			t.Errorf("%d of %d bytes came back; %q, exit status %d", len(stdout), len(text), stderr, code)
		}
	})
	t.Run("words", func(t *testing.T) {
		stdout, _, _ := p.login("", "box", "--", "id", "-un;", "hostname", "| tr a-z A-Z")
		if want := "root\nWEBHOST\n"; stdout != want {
			t.Errorf("got %q, want %q", stdout, want)
		}
	})
	t.Run("two at once", func(t *testing.T) {
		done := make(chan string)
		go func() {
			stdout, _, _ := p.login("", "--", "mkfifo -m 600 /run/fifo; cat /run/fifo")
			done <- stdout
		}()
		p.login("", "--", "until [ -p /run/fifo ]; do sleep 0.1; done; echo from the other >/run/fifo")
		if got := <-done; got != "from the other\n" {
			t.Errorf("the first login got %q", got)
		}
	})
	t.Run("terminal", func(t *testing.T) { testLoginTerminal(t, p) })
	t.Run("killed client", func(t *testing.T) {
		// All logins have their connection from the first one's client.
		for _, process := range p.connections() {
			if err := syscall.Kill(process, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		if stdout, stderr, code := p.login("", "--", "echo again; exit 3"); stdout != "again\n" || code != 3 {
			t.Errorf("the next login got %q, %q, exit status %d", stdout, stderr, code)
		}
	})
	t.Run("system", func(t *testing.T) {
		stdout, _, _ := p.login("", "--", "systemctl is-system-running --wait; systemctl --failed --no-legend; ss -Htln")
		if got, want := strings.Fields(stdout), "127.0.0.1:2222"; got[0] != "running" || !strings.Contains(stdout, want) {
			t.Errorf("the system is %q; want it running and to listen on %s", stdout, want)
		}
	})
	// The lines before are the same in all keys.
	secret, _, _ := p.login("", "--", "sed -n 4p /run/credentials/@system/nbuild.key; sync")
	before := p.machineProcess()
	if secret = strings.TrimSpace(secret); len(secret) < 40 || before == 0 {
		t.Fatalf("the key is %q, the machine's process %d", secret, before)
	}
	namespace := readLink(t, before, "ns/mnt")
	public := readText(t, before, "root/nbuild/run/login.key.pub")

	t.Run("killed", func(t *testing.T) {
		ended := make(chan int)
		go func() {
			_, _, code := p.login("", "--", "touch /run/waiting; sleep 1000")
			ended <- code
		}()
		p.login("", "--", "until [ -e /run/waiting ]; do sleep 0.1; done")
		g.kill(t)
		if code := <-ended; code != 255 {
			t.Errorf("the login ended with exit status %d, want 255", code)
		}
		until(t, "no process is in the machine's namespace", func() bool { return len(sharing(t, namespace)) == 0 })
		checkNothingLeft(t, p)
		image, err := os.ReadFile(filepath.Join(p.dir, "webhost.qcow2"))
		if err != nil || bytes.Contains(image, []byte(secret)) {
			t.Errorf("the disk has the key, or %v", err)
		}
		if _, stderr, code := p.login(""); code != 255 || !strings.Contains(stderr, "no virtual machine is running") {
			t.Errorf("exit status %d, %s", code, stderr)
		}
	})
	t.Run("next start", func(t *testing.T) {
		g := launch(t, p.runner("webhost"))
		until(t, "the machine has a process", func() bool { return p.machineProcess() != 0 })
		ended := make(chan string)
		go func() {
			_, stderr, code := p.login("", "--", "true")
			ended <- fmt.Sprintf("%s%d", stderr, code)
		}()
		var again string
		until(t, "the machine has a key", func() bool {
			process := p.machineProcess()
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/nbuild/run/login.config", process))
			if err != nil || len(text) == 0 {
				return false
			}
			again = readText(t, process, "root/nbuild/run/login.key.pub")
			return true
		})
		if again == public {
			t.Error("it has the key of the start before")
		}
		until(t, "a login waits", func() bool { return len(processes(t, "/nbuild/run/login.config")) > 0 })
		g.kill(t)
		if got, want := <-ended, "run-webhost-vm: the machine has ended\n255"; got != want {
			t.Errorf("the login that waited got %q, want %q", got, want)
		}
		checkNothingLeft(t, p)
	})
}

// login runs "nbuild vm ssh".
func (p *place) login(input string, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	cmd := p.command(binary(p.t), append([]string{"vm", "ssh"}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Errorf("nbuild vm ssh: %v", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// connections returns the clients that the place's machine has a connection with.
func (p *place) connections() (found []int) {
	p.t.Helper()
	namespace := readLink(p.t, p.machineProcess(), "ns/mnt")
	for _, file := range sharing(p.t, namespace) {
		dir := filepath.Dir(filepath.Dir(file))
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		var process int
		_, scanErr := fmt.Sscanf(filepath.Base(dir), "%d", &process)
		if err == nil && scanErr == nil && bytes.HasPrefix(line, []byte("/usr/bin/ssh\x00")) {
			found = append(found, process)
		}
	}
	if len(found) == 0 {
		p.t.Fatal("there is no connection")
	}
	return found
}

// testLoginTerminal logs in from a terminal, which programs in the guest then have too.
func testLoginTerminal(t *testing.T, p *place) {
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("NOT TESTED: a login from a terminal, because this machine has no script(1) to make one")
	}
	command := "stty cols 91; exec " + binary(t) + " vm ssh box -- 'test -t 0 && stty size; exit 3'"
	cmd := p.command(script, "-qec", command, "/dev/null")
	cmd.Env = append(cmd.Env, "PATH=/usr/bin:/bin", "SHELL=/bin/sh")
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), " 91\r\n") || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("%v, want exit status 3; the terminal shows %q", err, out)
	}
}

// kill kills the runner as nothing else can.
func (g *guest) kill(t *testing.T) {
	t.Helper()
	if err := g.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	g.in(t, func() { g.wait(commandTimeout) })
}

// machineProcess returns the process that prepares and starts the place's machine, 0 when there is none.
func (p *place) machineProcess() int {
	p.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err != nil || !bytes.Contains(line, []byte("\x00prepare\x00"+p.store())) || !bytes.Contains(line, []byte("\x00"+p.dir+"\x00")) {
			continue
		}
		status, err := os.ReadFile(file)
		var process int
		if _, scanErr := fmt.Sscanf(filepath.Base(filepath.Dir(file)), "%d", &process); err == nil && scanErr == nil && bytes.Contains(status, []byte("\t1\nNSpgid")) {
			return process
		}
	}
	return 0
}

func readLink(t *testing.T, process int, name string) string {
	t.Helper()
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", process, name))
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func readText(t *testing.T, process int, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", process, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sharing returns the processes in a mount namespace.
func sharing(t *testing.T, namespace string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil && target == namespace {
			found = append(found, file)
		}
	}
	return found
}

// until waits until something is so.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(commandTimeout)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if <-tick.C; time.Now().After(deadline) {
			t.Fatalf("within %s it never was so that %s", commandTimeout, what)
		}
	}
}
