package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMachine(t *testing.T) {
	line := func(words ...string) string { return strings.Join(words, "\x00") + "\x00" }
	const inside = "/s/objects/x-vm-web/libexec/run-vm-inside"
	web := machine{system: "web", object: "x-vm-web", folder: "/a b", objects: "/s/objects"}
	tests := []struct {
		name, cmdline string
		want          machine
		ok            bool
	}{
		{"prepares", line("/t/busybox", "sh", inside, "prepare", "/s/objects", "/s/objects/x-vm-web", "/a b", "17", "-m", "2G"), web, true},
		{"started anew", line("/usr/bin/busybox", "sh", "/nbuild/run-vm-inside", "start", "/s/objects", "/s/objects/x-vm-web", "/a b"), web, true},
		{
			"a name like a runner's", line("b", "sh", inside, "start", "/s/objects", "/s/objects/x-vm-a-vm-b", "/", ""),
			machine{system: "a-vm-b", object: "x-vm-a-vm-b", folder: "/", objects: "/s/objects"},
			true,
		},
		{name: "supervises", cmdline: line("/t/busybox", "sh", inside, "supervise", "/s/objects", "/s/objects/x-vm-web", "/a b")},
		{name: "logs in", cmdline: line("/usr/bin/busybox", "sh", "/nbuild/run-vm-inside", "login", "/s/objects", "/s/objects/x-vm-web", "/a b")},
		{name: "an editor", cmdline: line("vi", "sh", "run-vm-inside.sh", "start", "a", "b", "c")},
		{name: "short", cmdline: line("b", "sh", inside, "start")},
		{name: "kernel thread"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := parseMachine(test.cmdline)
			if ok != test.ok {
				t.Fatalf("it is a machine: %v", ok)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(machine{})); ok && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRunningMachines finds a process that looks like a machine's, the first one of a pid namespace, until it ends.
func TestRunningMachines(t *testing.T) {
	objects, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sh"), []byte("echo ready; read -r line"), 0o644); err != nil {
		t.Fatal(err)
	}
	running := func() []machine {
		t.Helper()
		found, err := runningMachines(objects)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	start := func(flags uintptr) (process int, end func()) {
		t.Helper()
		cmd := exec.Command("/bin/sh")
		cmd.Dir = dir
		cmd.Args = []string{"/usr/bin/busybox", "sh", "/nbuild/run-vm-inside", "start", objects, objects + "/x-vm-web", "/folder"}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  flags,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		input, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		output, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Skipf("NOT TESTED: how running machines are found, because there are no namespaces here: %v", err)
		}
		if _, err := output.Read(make([]byte, len("ready"))); err != nil {
			t.Fatal(err)
		}
		return cmd.Process.Pid, func() {
			input.Close()
			_ = cmd.Wait() // The shell ends with the status of read.
		}
	}
	_, endOther := start(syscall.CLONE_NEWUSER)
	defer endOther()
	process, end := start(syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID)
	want := []machine{{process: process, system: "web", object: "x-vm-web", folder: "/folder", objects: objects}}
	if diff := cmp.Diff(want, running(), cmp.AllowUnexported(machine{})); diff != "" {
		t.Errorf("one is running (-want +got):\n%s", diff)
	}
	end()
	if found := running(); len(found) > 0 {
		t.Errorf("none is running, found %v", found)
	}
}

func TestChooseMachine(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	there := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(there, link); err != nil {
		t.Fatal(err)
	}
	at := func(process int, system, folder string) machine {
		return machine{process: process, system: system, folder: folder}
	}
	both := []machine{at(1, "web", here), at(2, "web", there), at(3, "db", there)}
	tests := []struct {
		name         string
		running      []machine
		system       string
		folder       string
		want         int // the process
		fault, hints string
	}{
		{name: "the only one", running: []machine{at(1, "web", there)}, want: 1},
		{name: "the one of this folder", running: both, want: 1},
		{name: "by name, in this folder", running: both, system: "web", want: 1},
		{name: "by name, elsewhere", running: both, system: "db", want: 3},
		{name: "by folder", running: both, system: "web", folder: link, want: 2},
		{
			name: "two in the folder", running: both, folder: there,
			fault: "vm ssh: 2 virtual machines are running: web in " + there + ", db in " + there,
			hints: "name the system, or the folder where it was started: nbuild -C FOLDER vm ssh NAME",
		},
		{name: "none", fault: "vm ssh: no virtual machine is running", hints: "start it: nbuild vm --run"},
		{name: "none of the name", system: "web", fault: "vm ssh: no virtual machine of web is running", hints: "start it: nbuild vm --run web"},
		{
			name: "another's name", running: both[2:], system: "web",
			fault: "vm ssh: no virtual machine of web is running; there is db in " + there,
		},
		{
			name: "another folder", running: both[2:], folder: here,
			fault: "vm ssh: no virtual machine is running that was started in " + here + "; there is db in " + there,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := chooseMachine(test.running, test.system, test.folder)
			if test.fault == "" {
				if err != nil || got.process != test.want {
					t.Errorf("got %d, %v; want %d", got.process, err, test.want)
				}
				return
			}
			if err == nil || err.Error() != test.fault || hintFor(err) != test.hints {
				t.Errorf("got %v (%s)\nwant %s (%s)", err, hintFor(err), test.fault, test.hints)
			}
			if code := exitCode(&loginError{err}); code != 255 {
				t.Errorf("the exit code is %d, want ssh's 255", code)
			}
		})
	}
}
