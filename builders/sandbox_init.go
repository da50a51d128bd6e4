package builders

import (
	"math"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RunIfSandboxChild does nothing in a normal process. In one that a Sandbox started it becomes the init of that sandbox
// and does not return. Call it first thing in main, and in TestMain of tests that use a Sandbox.
func RunIfSandboxChild() {
	if len(os.Args) != 1 || os.Args[0] != initName {
		return
	}
	if seals, err := unix.FcntlInt(planFD, unix.F_GET_SEALS, 0); err != nil || seals != planSeals {
		return
	}
	plan, err := decodePlan(readMemoryFile(planFD))
	if err != nil {
		return
	}
	unix.Exit(runInit(plan)) // os.Exit has nothing to do here, and makes a program with the race detector wait a second.
}

func readMemoryFile(fd int) []byte {
	var stat unix.Stat_t
	if unix.Fstat(fd, &stat) != nil {
		return nil
	}
	b := make([]byte, stat.Size)
	n, _ := unix.Pread(fd, b, 0) // A damaged plan is noticed when it is decoded.
	return b[:max(n, 0)]
}

// runInit is process 1 of a sandbox: it makes the place, starts the program, collects orphans, and reports when the
// program has ended and everything else is dead. It returns its exit status; only the report matters.
//
// The thread that runs it gives up its capabilities before it starts the program, which so inherits none. The others
// keep theirs for the recorder. Nothing inside may look into this process: its executable and its descriptors are the
// host's.
func runInit(plan *sandboxPlan) int {
	runtime.LockOSThread()
	resetSignals()
	go watchLifeline()

	report := &sandboxReport{}
	// Also what nbuild has inherited from its own parent, and does not know of, must not get inside.
	if err := unix.CloseRange(planFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return report.fail(stageSetup, check("close descriptors", err))
	}
	if fault := mapUser(plan); fault != nil {
		return report.fail(stageSetup, fault)
	}
	if fault := setUp(plan); fault != nil {
		return report.fail(stageSetup, fault)
	}
	watch, fault := confine(plan.AsRoot)
	if fault != nil {
		return report.fail(stageSetup, fault)
	}
	pid, fault := start(plan)
	if fault != nil {
		return report.fail(stageStart, fault)
	}
	report.Stage = stageEnd
	report.Status = uint32(reap(pid))
	if watch != nil {
		report.Owners = watch.owners()
	}
	return report.send()
}

// resetSignals gives signals their default meaning again. To a process 1 that is none at all, so nobody inside can end
// this one, which the runtime's handlers would let happen. And the program does not inherit what nbuild's parent ignored.
func resetSignals() {
	// struct sigaction of the kernel, all zero: SIG_DFL.
	var action struct{ handler, flags, restorer, mask uintptr }
	for signal := uintptr(1); signal <= 64; signal++ {
		switch unix.Signal(signal) {
		case unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGURG: // the runtime's own
			continue
		}
		// It fails for SIGKILL and SIGSTOP only.
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	}
}

// A fault is an error of the init, in the form the report has for it.
type fault struct {
	doing string
	errno syscall.Errno
}

// check returns a fault if err is not nil.
func check(doing string, err error) *fault {
	if err == nil {
		return nil
	}
	errno, ok := err.(syscall.Errno)
	if !ok {
		return &fault{doing + ": " + err.Error(), 0}
	}
	return &fault{doing, errno}
}

func (report *sandboxReport) fail(s stage, f *fault) int {
	report.Stage, report.Detail, report.Errno = s, f.doing, uint32(f.errno)
	return report.send()
}

func (report *sandboxReport) send() int {
	b := report.encode()
	if n, err := unix.Pwrite(reportFD, b, 0); err != nil || n != len(b) {
		return 1
	}
	return 0
}

// watchLifeline ends the sandbox when nbuild does: the kernel kills all of a PID namespace with its first process.
func watchLifeline() {
	b := make([]byte, 1)
	for {
		n, err := unix.Read(lifelineFD, b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			unix.Exit(1)
		}
		if unix.Kill(-1, unix.SIGTERM) != nil { // There is no process but this: the program is not started yet.
			unix.Exit(1)
		}
	}
}

// start runs the program, in a session of its own.
func start(plan *sandboxPlan) (int, *fault) {
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, check("open /dev/null", err)
	}
	pid, err := syscall.ForkExec(plan.Args[0], plan.Args, &syscall.ProcAttr{
		Dir: plan.Dir, Env: plan.Env, Files: []uintptr{uintptr(null), 1, 2},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	return pid, check(plan.Args[0], err)
}

// reap collects dead processes until the program is among them, kills what is left, and returns the program's status.
func reap(program int) unix.WaitStatus {
	var status, result unix.WaitStatus
	for {
		pid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		switch {
		case err == unix.EINTR:
		case err != nil: // ECHILD: nobody is left
			return result
		case pid == program:
			result = status
			_ = unix.Kill(-1, unix.SIGKILL) // ESRCH if there is nobody
		}
	}
}

// setUp makes the sandbox's file system and enters it.
func setUp(plan *sandboxPlan) *fault {
	// See runInit: makes /proc/1 of the sandbox unreadable, so that nobody gets to the host through its exe and fd.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return check("hide init", err)
	}
	unix.Umask(0)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return check("make mounts private", err)
	}
	for i := range plan.Steps {
		if f := plan.Steps[i].run(); f != nil {
			return f
		}
	}
	// Both at the same place: then the old root can be unmounted without a folder to put it.
	if err := unix.PivotRoot(".", "."); err != nil {
		return check("change root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return check("unmount old root", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return check("enter root", err)
	}
	unix.Umask(0o022)
	return setUpRest()
}

// setUpRest fixes what else a program could see of the machine.
func setUpRest() *fault {
	if err := unix.Sethostname([]byte("nbuild")); err != nil {
		return check("set host name", err)
	}
	if err := unix.Setdomainname([]byte("(none)")); err != nil {
		return check("set domain name", err)
	}
	if f := loopbackUp(); f != nil {
		return f
	}
	return setLimits()
}

// setLimits fixes the resource limits that change what programs do. Where the machine's hard limit is lower, that holds.
func setLimits() *fault {
	for _, limit := range []struct {
		resource   int
		soft, hard uint64
	}{
		{unix.RLIMIT_CORE, 0, 0},
		{unix.RLIMIT_NOFILE, 4096, 4096},      // programs that close every possible descriptor take no second for it
		{unix.RLIMIT_STACK, 8 << 20, 1 << 63}, // "unlimited" changes where libraries are mapped
	} {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(limit.resource, &now); err != nil {
			return check("read limits", err)
		}
		hard := min(limit.hard, now.Max)
		// syscall's, not unix's: it also tells the runtime not to restore the limit of descriptors for children.
		if err := syscall.Setrlimit(limit.resource, &syscall.Rlimit{Cur: min(limit.soft, hard), Max: hard}); err != nil {
			return check("set limits", err)
		}
	}
	return nil
}

func loopbackUp() *fault {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return check("open network socket", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return check("name loopback", err)
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return check("start loopback", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
}

// run does a step.
func (s *step) run() *fault {
	switch s.Op {
	case opEnter:
		return check("enter "+s.Path, unix.Chdir(s.Path))
	case opMkdir:
		return check("create "+s.Path, unix.Mkdir(s.Path, s.Mode))
	case opWrite:
		return check("create "+s.Path, createFile(s.Path, s.Text, s.Mode))
	case opSymlink:
		return check("create "+s.Path, unix.Symlink(s.Text, s.Path))
	case opBind:
		return check("bind "+s.Source, unix.Mount(s.Source, s.Path, "", unix.MS_BIND|unix.MS_REC, ""))
	case opMount:
		flags := uintptr(unix.MS_NOSUID)
		if s.Source == "proc" {
			flags |= unix.MS_NODEV | unix.MS_NOEXEC
		}
		return check("mount "+s.Source, unix.Mount(s.Source, s.Path, s.Source, flags, s.Text))
	case opReadOnly:
		attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		return check("make read-only", unix.MountSetattr(unix.AT_FDCWD, s.Path, unix.AT_RECURSIVE, &attributes))
	case opWritable:
		attributes := unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
		return check("make writable", unix.MountSetattr(unix.AT_FDCWD, s.Path, 0, &attributes))
	}
	return &fault{"unknown step", syscall.EINVAL}
}

func createFile(name, content string, mode uint32) error {
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode)
	if err != nil {
		return err
	}
	if err := writeAll(fd, []byte(content)); err != nil {
		_ = unix.Close(fd) // The first error counts.
		return err
	}
	return unix.Close(fd)
}
