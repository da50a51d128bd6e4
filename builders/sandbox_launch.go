package builders

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The descriptors that the init of a sandbox inherits besides the standard ones.
const (
	planFD     = 3 // a sealed memory file with the plan
	reportFD   = 4 // a memory file for the report
	lifelineFD = 5 // a pipe from nbuild: a byte means terminate, its end that nbuild is gone
)

// initName is argv[0] of the init of a sandbox.
const initName = "nbuild-sandbox-init"

// planSeals are put on the plan's memory file. With them it can't change any more, and no other file that happens to be
// descriptor 3 has them.
const planSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// launch carries out a plan in new namespaces and waits until nothing of it runs any more. When ctx ends, the processes
// inside get SIGTERM, and are killed after grace.
//
// The lifeline replaces PR_SET_PDEATHSIG, which would fire when the thread ends that started the init, not nbuild.
func launch(ctx context.Context, plan *sandboxPlan, log io.Writer, grace time.Duration) (*sandboxReport, error) {
	plan.UIDMap, plan.GIDMap = userMaps(plan.AsRoot)
	planFile, err := memoryFile("nbuild-plan", plan.encode(), planSeals)
	if err != nil {
		return nil, err
	}
	defer planFile.Close()
	reportFile, err := memoryFile("nbuild-report", nil, unix.F_SEAL_SEAL)
	if err != nil {
		return nil, err
	}
	defer reportFile.Close()
	inner, lifeline, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	defer lifeline.Close()

	cmd := initCommand(ctx, plan.AsRoot)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{planFile, reportFile, inner}
	cmd.Cancel = func() error {
		_, err := lifeline.Write([]byte{1})
		return err
	}
	cmd.WaitDelay = grace
	err = cmd.Start()
	_ = inner.Close() // The init has its own.
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, explainRefusal("start sandbox", err)
	}
	waitErr := cmd.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return readReport(reportFile, waitErr)
}

// initCommand runs this program again as the first process of new namespaces.
//
// The init maps its user itself (see mapUser), and until then is nobody, whom exec would take all capabilities from if
// they were not ambient. If the parent wrote the maps, the child would have to wait for it, and so would need a memory of
// its own: a copy of nbuild's page tables, thrown away at once, and a page fault in nbuild for each page it writes to
// afterwards. With the memory shared until exec 1,001 trivial builds take a fifth less time.
func initCommand(ctx context.Context, asRoot bool) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{initName}
	// Goroutines of the init block in system calls. With fewer Ps than that, each would wait for the monitor thread to
	// take one away from another, up to 10 ms.
	cmd.Env = []string{"GOMAXPROCS=4", "GOGC=off"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_VFORK | syscall.CLONE_VM |
			syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWNET | syscall.CLONE_NEWCGROUP,
		Setsid:      true,
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN},
	}
	if asRoot {
		// What a build as root may do is taken from these (see confine); the recorder keeps them.
		cmd.SysProcAttr.AmbientCaps = nil
		for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
			cmd.SysProcAttr.AmbientCaps = append(cmd.SysProcAttr.AmbientCaps, c)
		}
	}
	return cmd
}

// mapUser sets the one user and the one group that there are in the sandbox, whom this process is outside as well. That
// group can't be left or changed by setgroups, which the kernel demands of those without privileges.
func mapUser(plan *sandboxPlan) *fault {
	for _, file := range []struct{ name, text string }{
		{"/proc/self/setgroups", "deny"},
		{"/proc/self/gid_map", plan.GIDMap},
		{"/proc/self/uid_map", plan.UIDMap},
	} {
		fd, err := unix.Open(file.name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return check("open "+file.name, err)
		}
		_, err = unix.Write(fd, []byte(file.text))
		_ = unix.Close(fd) // The kernel has taken or refused the text by now.
		if err != nil {
			return check("write "+file.name, err)
		}
	}
	return nil
}

// userMaps returns the maps of one user and one group, root or the build user inside, to whoever runs nbuild.
func userMaps(asRoot bool) (uidMap, gidMap string) {
	uid, gid := buildUID, buildGID
	if asRoot {
		uid, gid = 0, 0
	}
	return fmt.Sprintf("%d %d 1\n", uid, os.Geteuid()), fmt.Sprintf("%d %d 1\n", gid, os.Getegid())
}

// readReport returns what the init reported; waitErr says how it ended, in case it could not.
func readReport(file *os.File, waitErr error) (*sandboxReport, error) {
	if exit := (*exec.ExitError)(nil); waitErr != nil && !errors.As(waitErr, &exit) {
		return nil, fmt.Errorf("run sandbox: %w", waitErr)
	}
	b, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<32))
	if err != nil {
		return nil, fmt.Errorf("read sandbox report: %w", err)
	}
	if len(b) == 0 {
		return nil, fmt.Errorf("run sandbox: its init ended without a report: %v", waitErr)
	}
	report, err := decodeReport(b)
	if err != nil {
		return nil, fmt.Errorf("read sandbox report: %w", err)
	}
	if report.Stage == stageSetup {
		return nil, explainRefusal("set up sandbox: "+report.Detail, syscall.Errno(report.Errno))
	}
	return report, nil
}

// memoryFile returns a file without a name that has the content and, then, the seals.
func memoryFile(name string, content []byte, seals int) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("create memory file: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	if _, err := file.Write(content); err != nil {
		return nil, errors.Join(fmt.Errorf("write memory file: %w", err), file.Close())
	}
	if _, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, errors.Join(fmt.Errorf("seal memory file: %w", err), file.Close())
	}
	return file, nil
}
