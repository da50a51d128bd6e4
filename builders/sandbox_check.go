package builders

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// An EnvironmentError says that the machine forbids what a sandbox needs. Neither the action nor nbuild is at fault.
type EnvironmentError struct {
	Doing  string // what was refused: "start sandbox"
	Reason string // what forbids it, and how to allow it; empty when not known
	Err    error  // what the kernel said
}

// Error returns one sentence: what was refused, by which setting, and how to change that.
func (e *EnvironmentError) Error() string {
	if e.Reason == "" {
		return e.Doing + ": user namespaces do not work here: " + e.Err.Error()
	}
	return e.Doing + ": " + e.Reason
}

// Unwrap returns what the kernel said.
func (e *EnvironmentError) Unwrap() error { return e.Err }

// CheckNamespaces starts an empty sandbox to see whether the machine allows it. It returns an *EnvironmentError if not.
// It takes a few milliseconds.
func CheckNamespaces() error {
	folder, err := os.MkdirTemp("", "nbuild-check-")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	plan := &sandboxPlan{
		Root: folder,
		Steps: []step{
			{Op: opMount, Source: "tmpfs", Path: folder},
			{Op: opEnter, Path: folder},
			{Op: opMkdir, Path: "proc", Mode: 0o755},
			{Op: opMount, Source: "proc", Path: "proc"},
			{Op: opMkdir, Path: "dev", Mode: 0o755},
			{Op: opWrite, Path: "dev/null", Mode: 0o644},
		},
		// There is nothing to run in an empty root. That the init found this out is the proof.
		Args: []string{"/nothing"}, Dir: "/",
	}
	_, err = launch(ctx, plan, io.Discard, time.Second)
	return errors.Join(err, os.Remove(folder))
}

// explainRefusal returns an *EnvironmentError if err is how the kernel refuses namespaces, else err with what was done.
func explainRefusal(doing string, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	switch errno {
	case syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EUSERS, syscall.EINVAL, syscall.ENOSYS:
		reason := refusalReason(errno, os.Geteuid() == 0, readSetting)
		if reason == "" && errno != syscall.EPERM {
			break // A full disk, say, or a store below a folder of somebody else.
		}
		return &EnvironmentError{Doing: doing, Reason: reason, Err: errno}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// refusalReason finds the setting that is responsible and says how to change it. read returns the content of a file
// below /proc, or nothing.
func refusalReason(errno syscall.Errno, isRoot bool, read func(string) string) string {
	switch {
	case read("self/ns/user") == "":
		return "the kernel has no user namespaces; it needs CONFIG_USER_NS"
	case read("sys/user/max_user_namespaces") == "0":
		return "user namespaces are turned off; allow them with: sysctl -w user.max_user_namespaces=15000"
	case read("sys/kernel/unprivileged_userns_clone") == "0" && !isRoot:
		return "user namespaces are for root only; allow them with: sysctl -w kernel.unprivileged_userns_clone=1"
	case read("sys/kernel/apparmor_restrict_unprivileged_userns") == "1" && !isRoot:
		return "AppArmor restricts user namespaces; allow them with: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
	case errno == syscall.ENOSPC || errno == syscall.EUSERS:
		for _, kind := range []string{"mnt", "pid", "ipc", "uts", "net", "cgroup"} {
			if read("sys/user/max_"+kind+"_namespaces") == "0" {
				return kind + " namespaces are turned off; allow them with: sysctl -w user.max_" + kind + "_namespaces=15000"
			}
		}
	case errno == syscall.EPERM || errno == syscall.EACCES:
		if strings.Contains(read("self/status"), "\nSeccomp:\t2") {
			return "this container forbids namespaces or mounts; start it with: " +
				"--security-opt seccomp=unconfined --security-opt systempaths=unconfined"
		}
	}
	return ""
}

// readSetting returns a file below /proc without the newline at its end, or where a symlink there leads.
func readSetting(name string) string {
	name = filepath.Join("/proc", name)
	if target, err := os.Readlink(name); err == nil {
		return target
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}
