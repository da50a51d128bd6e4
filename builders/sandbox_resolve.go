package builders

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symlinks a path may lead through, as in the kernel.
const maxLinks = 40

// A folderID identifies a folder as the kernel does when it looks whether ".." has come to the root.
type folderID struct {
	device uint64
	inode  uint64
	mount  uint64
}

// A walk resolves a path for another process.
//
// Approach: part by part, each opened by its name in its folder's descriptor, symlinks read and put in front of what is
// left. openat2 with RESOLVE_IN_ROOT in the caller's root does that for absolute paths only: a relative one begins at a
// folder whose path may be unknown, hidden under a mount or outside a chroot. And absolute symlinks, ".." at the
// caller's root and /proc/self must all mean what they mean to the caller, not to us.
type walk struct {
	caller *caller
	root   int // O_PATH descriptor of the caller's root
	at     int // the same of the folder reached
	links  int
	top    folderID // of root
}

// resolve returns an O_PATH descriptor of the file at path, from base if it is relative. It closes base.
func (c *caller) resolve(base int, path string, follow bool) (int, unix.Errno) {
	root, err := unix.Openat(c.folder, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		closeAll(base)
		return -1, asErrno(err)
	}
	w := &walk{caller: c, root: root, at: base}
	defer func() { closeAll(w.root, w.at) }()
	if w.top, err = identify(root); err != nil {
		return -1, asErrno(err)
	}
	return w.run(path, follow)
}

func closeAll(fds ...int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd) // An O_PATH descriptor has nothing to flush.
		}
	}
}

func (w *walk) run(path string, follow bool) (int, unix.Errno) {
	for {
		if strings.HasPrefix(path, "/") {
			if errno := w.toRoot(); errno != 0 {
				return -1, errno
			}
		}
		// A slash after the last name asks for a folder, also behind a symlink.
		name, rest, needFolder := strings.Cut(strings.TrimLeft(path, "/"), "/")
		rest = strings.TrimLeft(rest, "/")
		fd, link, errno := w.step(name, follow || needFolder)
		switch {
		case errno != 0:
			return -1, errno
		case fd < 0 && needFolder:
			path = link + "/" + rest
			continue
		case fd < 0:
			path = link
			continue
		case needFolder && !isFolderFD(fd):
			closeAll(fd)
			return -1, unix.ENOTDIR
		case rest == "":
			return fd, 0
		}
		closeAll(w.at)
		w.at, path = fd, rest
	}
}

func (w *walk) toRoot() unix.Errno {
	fd, err := unix.FcntlInt(uintptr(w.root), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return asErrno(err)
	}
	closeAll(w.at)
	w.at = fd
	return 0
}

// step returns an O_PATH descriptor of what is called name in the folder reached, or, with descriptor -1, the target of
// the symlink that is there and is to be followed.
func (w *walk) step(name string, follow bool) (fd int, link string, errno unix.Errno) {
	switch {
	case name == "":
		name = "."
	case name == ".." && w.isTop():
		name = "."
	case len(name) > unix.NAME_MAX:
		return -1, "", unix.ENAMETOOLONG
	}
	const flags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(w.at, name, flags, 0)
	if err != nil {
		return -1, "", asErrno(err)
	}
	if !follow || !isSymlinkFD(fd) {
		return fd, "", 0
	}
	defer closeAll(fd)
	if w.links++; w.links > maxLinks {
		return -1, "", unix.ELOOP
	}
	if isProc(fd) {
		return w.procLink(fd, name)
	}
	link, errno = readLink(fd)
	return -1, link, errno
}

// procLink follows a symlink of /proc. Those in its top folder are text, and /proc/self must be the caller's. The others
// lead to a file without a path, whatever their text says. Only the caller's own are followed: a process can't follow
// those of the init either.
func (w *walk) procLink(symlink int, name string) (fd int, link string, errno unix.Errno) {
	process, errno := w.caller.process()
	if errno != 0 {
		return -1, "", errno
	}
	if isProcTop(w.at) {
		switch name {
		case "self":
			return -1, process, 0
		case "thread-self":
			return -1, process + "/task/" + w.caller.thread, 0
		}
		link, errno = readLink(symlink)
		return -1, link, errno
	}
	folder := make([]byte, unix.PathMax)
	n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(w.at), folder)
	if err != nil {
		return -1, "", asErrno(err)
	}
	if !strings.HasPrefix(string(folder[:n])+"/", "/proc/"+process+"/") {
		return -1, "", unix.EACCES
	}
	fd, err = unix.Openat(w.at, name, unix.O_PATH|unix.O_CLOEXEC, 0)
	return fd, "", asErrno(err)
}

func (w *walk) isTop() bool {
	p, err := identify(w.at)
	return err == nil && p == w.top
}

func identify(fd int) (folderID, error) {
	var s unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_MNT_ID, &s)
	return folderID{unix.Mkdev(s.Dev_major, s.Dev_minor), s.Ino, s.Mnt_id}, err
}

func modeOf(fd int) uint32 {
	var s unix.Stat_t
	if unix.Fstat(fd, &s) != nil {
		return 0
	}
	return s.Mode & unix.S_IFMT
}

func isFolderFD(fd int) bool  { return modeOf(fd) == unix.S_IFDIR }
func isSymlinkFD(fd int) bool { return modeOf(fd) == unix.S_IFLNK }

func isProc(fd int) bool {
	var s unix.Statfs_t
	return unix.Fstatfs(fd, &s) == nil && s.Type == unix.PROC_SUPER_MAGIC
}

// isProcTop reports whether a folder is the top one of a /proc: its inode is PROC_ROOT_INO of linux/proc_fs.h.
func isProcTop(fd int) bool {
	var s unix.Stat_t
	return unix.Fstat(fd, &s) == nil && s.Ino == 1 && isProc(fd)
}

// readLink returns the target of the symlink that an O_PATH descriptor is.
func readLink(fd int) (string, unix.Errno) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", b)
	switch {
	case err != nil:
		return "", asErrno(err)
	case n == 0:
		return "", unix.ENOENT
	}
	return string(b[:n]), 0
}
