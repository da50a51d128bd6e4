package builders

import (
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A supervisor answers the calls of the chown family in a sandbox whose program runs as root.
//
// Only one user is mapped, so the kernel would refuse all of them. The filter sends them here instead; the supervisor
// finds the file as the kernel would, records the new owner and answers success. It never lets the kernel go on with a
// call: what was read from the caller's memory can change before the kernel reads it again.
//
// It runs in the sandbox's init, not in nbuild outside: here the kernel itself resolves paths within the sandbox's
// mounts and with root's rights over its files, and no mistake can lead to a file of the host.
type supervisor struct {
	listener int

	mu       sync.Mutex
	recorded recorder
}

// notification and response are struct seccomp_notif and seccomp_notif_resp of linux/seccomp.h.
type notification struct {
	id    uint64
	pid   uint32 // the calling thread
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

type response struct {
	id    uint64
	val   int64
	errno int32
	flags uint32
}

// supervise starts to answer. It stops with the process.
func supervise(listener int) *supervisor {
	s := &supervisor{listener: listener, recorded: recorder{}}
	go s.serve()
	return s
}

// owners returns what was recorded. Nothing may run in the sandbox any more.
func (s *supervisor) owners() recorder {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recorded
}

func (s *supervisor) serve() {
	for {
		var n notification // The kernel wants it zeroed.
		switch errno := ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); errno {
		case 0:
		case unix.EINTR, unix.ENOENT: // The caller was killed while it waited.
			continue
		default:
			return
		}
		r := response{id: n.id, errno: -int32(s.answer(&n))}
		// ENOENT says that the caller is gone; there is nobody to tell.
		_ = ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
	}
}

func ioctl(fd int, request uint, argument unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(argument))
	return errno
}

// A chown is one call of the family, in the terms of fchownat.
type chown struct {
	folder   int32  // descriptor or AT_FDCWD
	path     uint64 // address; 0 for fchown, which has none
	owner    owner
	flags    uint64
	byHandle bool // fchown: the descriptor itself, which must not be an O_PATH one
}

func parseChown(n *notification) (c chown, ok bool) {
	ids := n.args[1:]
	c.folder = unix.AT_FDCWD
	switch n.nr {
	case unix.SYS_CHOWN:
		c.path = n.args[0]
	case unix.SYS_LCHOWN:
		c.path, c.flags = n.args[0], unix.AT_SYMLINK_NOFOLLOW
	case unix.SYS_FCHOWN:
		c.folder, c.byHandle = int32(n.args[0]), true
	case unix.SYS_FCHOWNAT:
		c.folder, c.path, c.flags, ids = int32(n.args[0]), n.args[1], uint64(uint32(n.args[4])), n.args[2:]
	default:
		return c, false
	}
	c.owner = owner{uint32(ids[0]), uint32(ids[1])}
	return c, true
}

// answer does a call and returns its error, 0 for success.
func (s *supervisor) answer(n *notification) unix.Errno {
	c, ok := parseChown(n)
	if !ok {
		return unix.ENOSYS
	}
	if c.flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return unix.EINVAL
	}
	caller, errno := s.openCaller(n)
	if errno != 0 {
		return errno
	}
	defer caller.close()
	path := ""
	if !c.byHandle {
		if path, errno = s.text(n, c.path); errno != 0 {
			return errno
		}
	}
	file, errno := caller.target(&c, path)
	if errno != 0 {
		return errno
	}
	defer unix.Close(file)
	return s.record(file, c.owner)
}

// record does to the inode behind an O_PATH descriptor what chown does, except for the owner, which it notes.
func (s *supervisor) record(file int, o owner) unix.Errno {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(file, &fs); err != nil {
		return asErrno(err)
	}
	if fs.Flags&unix.ST_RDONLY != 0 {
		return unix.EROFS
	}
	key, stat, err := statKey(file, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return asErrno(err)
	}
	if mode := modeAfterChown(uint32(stat.Mode)); mode != uint32(stat.Mode) {
		// The descriptor is an O_PATH one, which fchmod doesn't take.
		if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(file), mode&0o7777); err != nil {
			return asErrno(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorded.set(key, o)
	return 0
}

// modeAfterChown returns a mode without the bits that the kernel clears when the owner changes: setuid, and setgid where
// it means that and not mandatory locking.
func modeAfterChown(mode uint32) uint32 {
	if mode&unix.S_IFMT == unix.S_IFDIR {
		return mode
	}
	if mode&unix.S_IXGRP != 0 {
		mode &^= unix.S_ISGID
	}
	return mode &^ unix.S_ISUID
}

// A caller is a thread of the sandbox that waits for an answer.
type caller struct {
	folder int    // its folder in /proc; stays the same thread's if the number is used again
	thread string // its number
}

// openCaller opens the folder first and then asks whether the notification still waits: if so, the folder is its thread's.
func (s *supervisor) openCaller(n *notification) (*caller, unix.Errno) {
	c := &caller{thread: strconv.Itoa(int(n.pid))}
	var err error
	if c.folder, err = unix.Open("/proc/"+c.thread, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, unix.ESRCH
	}
	if errno := s.stillWaits(n); errno != 0 {
		c.close()
		return nil, errno
	}
	return c, 0
}

func (c *caller) close() { _ = unix.Close(c.folder) }

// target returns an O_PATH descriptor of the file that a call means.
func (c *caller) target(call *chown, path string) (int, unix.Errno) {
	switch {
	case call.byHandle:
		return c.handle(call.folder)
	case path == "" && call.flags&unix.AT_EMPTY_PATH == 0:
		return -1, unix.ENOENT
	}
	base := -1
	if !strings.HasPrefix(path, "/") {
		var errno unix.Errno
		if base, errno = c.descriptor(call.folder); errno != 0 || path == "" {
			return base, errno
		}
	}
	return c.resolve(base, path, call.flags&unix.AT_SYMLINK_NOFOLLOW == 0)
}

// descriptor returns an O_PATH descriptor of the caller's one, or of its working directory for AT_FDCWD.
func (c *caller) descriptor(number int32) (int, unix.Errno) {
	name := "cwd"
	if number != unix.AT_FDCWD {
		if number < 0 {
			return -1, unix.EBADF
		}
		name = "fd/" + strconv.Itoa(int(number))
	}
	fd, err := unix.Openat(c.folder, name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT && number != unix.AT_FDCWD {
		return -1, unix.EBADF
	}
	return fd, asErrno(err)
}

// handle is descriptor for fchown, to which an O_PATH descriptor is none.
func (c *caller) handle(number int32) (int, unix.Errno) {
	if number < 0 {
		return -1, unix.EBADF
	}
	info, err := c.read("fdinfo/" + strconv.Itoa(int(number)))
	if err != nil {
		return -1, unix.EBADF
	}
	_, rest, _ := strings.Cut(info, "flags:")
	line, _, _ := strings.Cut(rest, "\n")
	flags, err := strconv.ParseUint(strings.TrimSpace(line), 8, 32)
	if err != nil || flags&unix.O_PATH != 0 {
		return -1, unix.EBADF
	}
	return c.descriptor(number)
}

// text reads a path from the caller's memory. The path may end just before memory that can't be read, and a read of
// several pages is only partly done in whole pieces: so there is one for each page.
func (s *supervisor) text(n *notification, address uint64) (string, unix.Errno) {
	b := make([]byte, unix.PathMax)
	first := min(pageSize-int(address%pageSize), len(b))
	remote := []unix.RemoteIovec{{Base: uintptr(address), Len: first}}
	if first < len(b) {
		remote = append(remote, unix.RemoteIovec{Base: uintptr(address) + uintptr(first), Len: len(b) - first})
	}
	local := []unix.Iovec{{Base: &b[0], Len: uint64(len(b))}}
	count, err := unix.ProcessVMReadv(int(n.pid), local, remote, 0)
	if errno := s.stillWaits(n); errno != 0 {
		return "", errno // It may have been another process's memory.
	}
	if err != nil {
		return "", unix.EFAULT
	}
	text, _, ended := strings.Cut(string(b[:count]), "\x00")
	switch {
	case ended:
		return text, 0
	case count == len(b):
		return "", unix.ENAMETOOLONG
	}
	return "", unix.EFAULT
}

// pageSize is that of x86-64, the one architecture the filter lets pass.
const pageSize = 4096

// stillWaits returns 0 if the thread of a notification is still that one: a number can be used again.
func (s *supervisor) stillWaits(n *notification) unix.Errno {
	return ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&n.id))
}

// read reads the first part of a file of the caller's folder in /proc.
func (c *caller) read(name string) (string, error) {
	fd, err := unix.Openat(c.folder, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	b := make([]byte, 1024) // What is asked for stands in the first lines.
	n, err := unix.Read(fd, b)
	return string(b[:max(n, 0)]), err
}

// process returns the number of the caller's process, as text.
func (c *caller) process() (string, unix.Errno) {
	status, err := c.read("status")
	if err != nil {
		return "", asErrno(err)
	}
	_, rest, _ := strings.Cut(status, "\nTgid:\t")
	number, _, ok := strings.Cut(rest, "\n")
	if !ok {
		return "", unix.ESRCH
	}
	return number, 0
}

// asErrno returns the error number of what package unix returned.
func asErrno(err error) unix.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := err.(unix.Errno); ok {
		return errno
	}
	return unix.EIO
}
