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
	file, errno := caller.target(&c)
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
	if errno := ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&n.id)); errno != 0 {
		c.close()
		return nil, errno
	}
	return c, 0
}

func (c *caller) close() { _ = unix.Close(c.folder) }

// target returns an O_PATH descriptor of the file that a call means.
func (c *caller) target(call *chown) (int, unix.Errno) {
	if call.byHandle {
		return c.handle(call.folder)
	}
	path, errno := c.text(call.path)
	if errno != 0 {
		return -1, errno
	}
	if path == "" && call.flags&unix.AT_EMPTY_PATH == 0 {
		return -1, unix.ENOENT
	}
	if path == "" || !strings.HasPrefix(path, "/") {
		base, errno := c.descriptor(call.folder)
		if errno != 0 || path == "" {
			return base, errno
		}
		return c.resolve(base, path, call.flags&unix.AT_SYMLINK_NOFOLLOW == 0)
	}
	return c.resolve(-1, path, call.flags&unix.AT_SYMLINK_NOFOLLOW == 0)
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
	info, err := c.read("fdinfo/"+strconv.Itoa(int(number)), 0, 512)
	if err != nil {
		return -1, unix.EBADF
	}
	_, rest, _ := strings.Cut(string(info), "flags:")
	line, _, _ := strings.Cut(rest, "\n")
	flags, err := strconv.ParseUint(strings.TrimSpace(line), 8, 32)
	if err != nil || flags&unix.O_PATH != 0 {
		return -1, unix.EBADF
	}
	return c.descriptor(number)
}

// text reads a path from the caller's memory. The kernel's read ends where the mapped pages do, so a path that is near
// such an end needs no special care.
func (c *caller) text(address uint64) (string, unix.Errno) {
	if int64(address) <= 0 {
		return "", unix.EFAULT
	}
	b, err := c.read("mem", int64(address), unix.PathMax)
	if err != nil || len(b) == 0 {
		return "", unix.EFAULT
	}
	text, _, ended := strings.Cut(string(b), "\x00")
	switch {
	case ended:
		return text, 0
	case len(b) == unix.PathMax:
		return "", unix.ENAMETOOLONG
	}
	return "", unix.EFAULT
}

// read reads a file of the caller's folder in /proc.
func (c *caller) read(name string, offset int64, length int) ([]byte, error) {
	fd, err := unix.Openat(c.folder, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, length)
	n, err := unix.Pread(fd, b, offset)
	return b[:max(n, 0)], err
}

// process returns the number of the caller's process, as text.
func (c *caller) process() (string, unix.Errno) {
	status, err := c.read("status", 0, 4096)
	if err != nil {
		return "", asErrno(err)
	}
	_, rest, _ := strings.Cut(string(status), "\nTgid:\t")
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
