package builders

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the filter answers, in the order of the kernel's precedence.
const (
	actAllow  = unix.SECCOMP_RET_ALLOW
	actNotify = unix.SECCOMP_RET_USER_NOTIF
	actZero   = unix.SECCOMP_RET_ERRNO // success, without doing anything
	actNoSys  = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	actNoAttr = unix.SECCOMP_RET_ERRNO | uint32(unix.EOPNOTSUPP)
)

// Where the fields are in struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
)

// x32Bit is set in the numbers of system calls of the x32 interface.
const x32Bit = 0x40000000

// sysSetxattrat and sysRemovexattrat are not in x/sys yet: Linux 6.13.
const (
	sysSetxattrat    = 463
	sysRemovexattrat = 466
)

// A rule says what the filter answers to one system call.
type rule struct {
	number uint32
	action uint32
}

// filterRules returns the answers for a build; other system calls are allowed.
func filterRules(asRoot bool) []rule {
	var rules []rule
	add := func(action uint32, numbers ...uint32) {
		for _, n := range numbers {
			rules = append(rules, rule{n, action})
		}
	}
	// The store flushes what it registers. That a build does so as well, perhaps for each file, only costs time.
	add(actZero, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC, unix.SYS_SYNCFS, unix.SYS_SYNC_FILE_RANGE, unix.SYS_MSYNC)
	// No namespace separates all keyrings from the host's. io_uring runs operations past this filter.
	add(actNoSys, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL, unix.SYS_IO_URING_SETUP)
	if !asRoot {
		return rules
	}
	add(actNotify, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT)
	// The one mapped user stays what it is, but programs that change to another one go on.
	add(actZero, unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID,
		unix.SYS_SETRESGID, unix.SYS_SETGROUPS, unix.SYS_SETFSUID, unix.SYS_SETFSGID)
	// The store keeps no extended attributes. A setcap that succeeded and were lost would leave a program without its
	// privilege; one that fails makes Debian's maintainer scripts fall back to the setuid bit, which is recorded.
	add(actNoAttr, unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, sysSetxattrat,
		unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR, sysRemovexattrat)
	return rules
}

// assembleFilter returns the program for the kernel. System calls of other architectures don't exist for a build: by
// their numbers it could get past the rules.
func assembleFilter(rules []rule) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	jump := func(test uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | test, K: k, Jt: yes, Jf: no}
	}
	answer := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	program := []unix.SockFilter{
		load(dataArch),
		jump(unix.BPF_JEQ, unix.AUDIT_ARCH_X86_64, 1, 0),
		answer(actNoSys),
		load(dataNumber),
		jump(unix.BPF_JGE, x32Bit, 0, 1),
		answer(actNoSys),
	}
	for _, r := range rules {
		program = append(program, jump(unix.BPF_JEQ, r.number, 0, 1), answer(r.action))
	}
	return append(program, answer(actAllow))
}

// rootCapabilities are what a build as root keeps: what a maintainer script may want to do to files and processes.
// Without SYS_ADMIN it can't make its inputs writable again; without SYS_PTRACE, or DAC_READ_SEARCH, it can't reach
// into the init or open files by handle.
func rootCapabilities() uint64 {
	var set uint64
	for _, c := range []int{
		unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL, unix.CAP_SETGID,
		unix.CAP_SETUID, unix.CAP_SETPCAP, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT, unix.CAP_MKNOD,
		unix.CAP_AUDIT_WRITE, unix.CAP_SETFCAP,
	} {
		set |= 1 << c
	}
	return set
}

// confine takes from this thread, and so from the program it will start, the capabilities and system calls that a build
// may not use. As root it returns the running recorder.
func confine(asRoot bool) (*supervisor, *fault) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, check("forbid new privileges", err)
	}
	listener, f := installFilter(assembleFilter(filterRules(asRoot)), asRoot)
	if f != nil {
		return nil, f
	}
	var keep uint64
	if asRoot {
		keep = rootCapabilities()
	}
	if err := dropCapabilities(keep); err != nil {
		return nil, check("drop capabilities", err)
	}
	if !asRoot {
		return nil, nil
	}
	return supervise(listener), nil
}

// installFilter puts the filter on this thread and returns the descriptor for notifications, if wanted.
func installFilter(program []unix.SockFilter, listen bool) (int, *fault) {
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	install := func(flags uintptr) (uintptr, unix.Errno) {
		fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&filter)))
		return fd, errno
	}
	var flags uintptr
	if listen {
		// Without the second flag a signal interrupts a waiting chown, and Go programs signal themselves all the time.
		flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	}
	fd, errno := install(flags)
	if errno == unix.EINVAL && listen { // The second flag came with Linux 5.19.
		fd, errno = install(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	}
	if errno != 0 {
		return 0, check("install system call filter", errno)
	}
	return int(fd), nil
}

// dropCapabilities leaves this thread the capabilities in keep. As no new privileges can be had, exec by root inside
// gives back no more, and the ambient ones go with the inheritable ones.
func dropCapabilities(keep uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	for i := range sets {
		word := uint32(keep >> (32 * i))
		sets[i] = unix.CapUserData{Effective: word, Permitted: word}
	}
	_, _, errno := unix.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
