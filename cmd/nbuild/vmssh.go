package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func vmSSHCommand() command {
	return command{
		name: "vm ssh", args: "[NAME] [-- COMMAND...]",
		summary: "log in to a running virtual machine as root",
		details: `Without COMMAND that is a shell. COMMAND is what ssh makes of it: its words with blanks between them, for the guest's
shell. NAME is the system's; it may be left out when one machine is running, or one that was started in this folder.
It takes no key, no port and no network of the guest, but an SSH server: services.openssh.enable. A machine that is
still starting is waited for, up to five minutes.

The exit status is the command's, and 255 when nobody could log in.`,
		examples: []string{"nbuild vm ssh", "nbuild vm ssh web -- systemctl is-system-running", "nbuild vm ssh web -- 'cat >/tmp/x' <x"},
		dash:     true,
		run:      runVMSSH,
	}
}

func runVMSSH(ctx context.Context, o *options, args []string) error {
	var guest []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, guest = args[:i], args[i+1:]
	}
	if len(args) > 1 {
		return usagef("nbuild vm ssh "+args[0]+" -- "+strings.Join(args[1:], " "), "vm ssh: a command stands behind --")
	}
	objects, err := objectsFolder(o)
	if err != nil {
		return err
	}
	running, err := runningMachines(objects)
	if err != nil {
		return &loginError{err}
	}
	name := ""
	if len(args) == 1 {
		name = args[0]
	}
	m, err := chooseMachine(running, name, o.directory)
	if err != nil {
		return &loginError{err}
	}
	return m.login(ctx, guest)
}

// A loginError is why nobody could log in. Its exit code is that of ssh for it, as the others may be the command's.
type loginError struct{ error }

// Unwrap returns the reason.
func (e *loginError) Unwrap() error { return e.error }

// objectsFolder returns where the store's objects lie, as the runners in it find it.
func objectsFolder(o *options) (string, error) {
	dir, err := storeDirectory(o)
	if err != nil {
		return "", err
	}
	// A store that isn't there has no machines, and gets no folder by this.
	if physical, err := filepath.EvalSymlinks(dir); err == nil {
		dir = physical
	}
	return filepath.Join(dir, "objects"), nil
}

// A machine is a virtual machine that runs.
type machine struct {
	process int    // the one that all others of the machine end with
	system  string // its name
	object  string // the base name of the runner's store path
	folder  string // where it was started
	objects string // the folder of the store's objects
}

// runningMachines returns the machines of this user whose runners lie in a store, ordered by process. There is no list of
// them that could be out of date: the processes themselves are asked.
func runningMachines(objects string) ([]machine, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []machine
	for _, e := range entries {
		process, err := strconv.Atoi(e.Name())
		if err != nil || !isFirstProcess(process) {
			continue
		}
		text, err := os.ReadFile(procFile(process, "cmdline"))
		if err != nil {
			continue // It ended, or is somebody else's.
		}
		if m, ok := parseMachine(string(text)); ok && m.objects == objects {
			m.process = process
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b machine) int { return a.process - b.process })
	return found, nil
}

func procFile(process int, name string) string { return fmt.Sprintf("/proc/%d/%s", process, name) }

// isFirstProcess reports whether a process is this user's, and the first one of a pid namespace.
func isFirstProcess(process int) bool {
	var stat syscall.Stat_t
	if syscall.Stat(procFile(process, ""), &stat) != nil || stat.Uid != uint32(os.Geteuid()) {
		return false
	}
	status, err := os.ReadFile(procFile(process, "status"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if ids, found := strings.CutPrefix(line, "NSpid:"); found {
			fields := strings.Fields(ids)
			return len(fields) > 1 && fields[len(fields)-1] == "1"
		}
	}
	return false
}

// parseMachine reads the command line of the process that scripts/run-vm-inside.sh prepares and starts a machine with.
func parseMachine(cmdline string) (machine, bool) {
	args := strings.Split(cmdline, "\x00")
	if len(args) < 7 || args[1] != "sh" || args[3] != "prepare" && args[3] != "start" {
		return machine{}, false
	}
	m := machine{objects: args[4], object: filepath.Base(args[5]), folder: args[6]}
	_, system, found := strings.Cut(m.object, "-vm-")
	m.system = system
	return m, found && filepath.Base(args[2]) == "run-vm-inside"
}

// chooseMachine returns the machine of a system, or any when name is empty. A folder that was named must be the one where
// it was started; else the current folder's is preferred.
func chooseMachine(running []machine, name, folder string) (machine, error) {
	candidates := slices.DeleteFunc(slices.Clone(running), func(m machine) bool { return name != "" && m.system != name })
	here := slices.DeleteFunc(slices.Clone(candidates), func(m machine) bool { return !sameFolder(m.folder, folder) })
	if len(here) > 0 || folder != "" {
		candidates = here
	}
	switch len(candidates) {
	case 1:
		return candidates[0], nil
	case 0:
		what := "no virtual machine is running"
		if name != "" {
			what = "no virtual machine of " + name + " is running"
		}
		if folder != "" {
			what += " that was started in " + folder
		}
		if len(running) > 0 {
			return machine{}, usagef("", "vm ssh: %s; there is %s", what, listMachines(running))
		}
		return machine{}, usagef(strings.TrimSpace("start it: nbuild vm --run "+name), "vm ssh: %s", what)
	}
	return machine{}, usagef("name the system, or the folder where it was started: nbuild -C FOLDER vm ssh NAME",
		"vm ssh: %d virtual machines are running: %s", len(candidates), listMachines(candidates))
}

func listMachines(machines []machine) string {
	texts := make([]string, len(machines))
	for i, m := range machines {
		texts[i] = m.system + " in " + m.folder
	}
	return strings.Join(texts, ", ")
}

// sameFolder reports whether two names are of one folder; the empty one is the current folder's.
func sameFolder(a, b string) bool {
	if b == "" {
		b = "."
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// login becomes the machine's own SSH client, in its namespaces, where the key and the way to the guest are. So nothing of
// the host is needed for it, and signals, the terminal and the exit status are the client's.
func (m machine) login(ctx context.Context, words []string) error {
	root := procFile(m.process, "root")
	if err := m.waitForRoot(ctx, root); err != nil {
		return err
	}
	loader := root + "/usr/lib64/ld-linux-x86-64.so.2"
	args := []string{
		loader, "--inhibit-cache", "--library-path", root + "/usr/lib/x86_64-linux-gnu", root + "/usr/bin/nsenter",
		"--target", strconv.Itoa(m.process), "--user", "--preserve-credentials", "--mount", "--root", "--",
		"/usr/bin/busybox", "sh", insideScript, "login", m.objects, m.objects + "/" + m.object, m.folder,
	}
	env := []string{"PATH=/usr/bin", "SHELL=/nbuild/run/sh", "TERM=" + os.Getenv("TERM")}
	err := syscall.Exec(loader, append(args, words...), env)
	return &loginError{fmt.Errorf("vm ssh: log in to %s: %w", m.system, err)}
}

// insideScript is the runner's inner script in the machine's own root folder.
const insideScript = "/nbuild/run-vm-inside"

// waitForRoot waits until a machine that is just starting has moved to its root folder: a fraction of a second.
func (m machine) waitForRoot(ctx context.Context, root string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(root + insideScript); err == nil {
			return nil
		}
		if !isFirstProcess(m.process) {
			return &loginError{fmt.Errorf("vm ssh: the machine of %s has ended", m.system)}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
