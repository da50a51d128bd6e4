package tree

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// properties checks or sets what else a node has on the disk: owner, mode, time and extended attributes.
func (r *reader) properties(path, file string, node *Node, stat *unix.Stat_t) error {
	if node.Kind == File && stat.Mode&(unix.S_ISUID|unix.S_ISGID|unix.S_ISVTX) != 0 {
		r.problem(path, "has the special mode %#o; a store object can't hold setuid, setgid or sticky bits", stat.Mode&0o7777)
		return nil
	}
	if r.mode == Look {
		return nil
	}
	if stat.Uid != r.uid {
		r.problem(path, "is owned by user %d, not by %d", stat.Uid, r.uid)
		return nil
	}
	if err := r.attributes(path, file, node); err != nil {
		return err
	}
	if r.mode == Check {
		r.check(path, node, stat)
		return nil
	}
	return prepare(file, node, stat)
}

// FileMode is the mode of a frozen file.
func (n *Node) FileMode() uint32 {
	if n.Kind == Folder || n.Executable {
		return 0o555
	}
	return 0o444
}

func (r *reader) check(path string, node *Node, stat *unix.Stat_t) {
	if mode := stat.Mode & 0o7777; node.Kind != Symlink && mode != node.FileMode() {
		r.problem(path, "has mode %#o instead of %#o", mode, node.FileMode())
	}
	if stat.Mtim.Sec != ModificationTime || stat.Mtim.Nsec != 0 {
		r.problem(path, "has modification time %d.%09d instead of %d", stat.Mtim.Sec, stat.Mtim.Nsec, ModificationTime)
	}
}

// prepare freezes a file or a symlink, and makes sure that a folder can be listed and changed until it is frozen.
// A file that is right already is not touched: it may be a hard link to one in the store.
func prepare(file string, node *Node, stat *unix.Stat_t) error {
	if node.Kind == Folder {
		if stat.Mode&0o700 == 0o700 {
			return nil
		}
		return chmod(file, 0o700)
	}
	if node.Kind == File && stat.Mode&0o7777 != node.FileMode() {
		if err := chmod(file, node.FileMode()); err != nil {
			return err
		}
	}
	if stat.Mtim.Sec == ModificationTime && stat.Mtim.Nsec == 0 {
		return nil
	}
	return setTime(file)
}

// attributes refuses or removes extended attributes. Labels that the machine's security modules put on every file stay:
// they are the machine's, and no build sees them.
func (r *reader) attributes(path, file string, node *Node) error {
	var buffer [1024]byte
	n, err := unix.Llistxattr(file, buffer[:])
	switch {
	case err == unix.ENOTSUP || n == 0 && err == nil:
		return nil
	case err == unix.ERANGE:
		r.problem(path, "has more than %d bytes of names of extended attributes", len(buffer))
		return nil
	case err != nil:
		return &os.PathError{Op: "listxattr", Path: file, Err: err}
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buffer[:n]), "\x00"), "\x00") {
		switch {
		case name == "security.capability":
			r.problem(path, "has file capabilities; a store object can't hold them")
		case strings.HasPrefix(name, "security."), strings.HasPrefix(name, "trusted."):
		case r.mode == Check:
			r.problem(path, "has the extended attribute %q", name)
		default:
			if err := removeAttribute(file, name, node); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeAttribute removes one attribute, for which the kernel wants the file to be writable.
func removeAttribute(file, name string, node *Node) error {
	if node.Kind != Symlink {
		if err := chmod(file, 0o700); err != nil {
			return err
		}
	}
	err := errors.Join(unix.Lremovexattr(file, name))
	if node.Kind == File {
		err = errors.Join(err, chmod(file, node.FileMode()))
	}
	if err != nil {
		return &os.PathError{Op: "removexattr " + name, Path: file, Err: err}
	}
	return nil
}

// Seal freezes the folders of a tree that was read with Prepare, from the leaves up: nothing in it can be changed then.
func Seal(file string, root *Node) error {
	if root.Kind != Folder {
		return nil
	}
	for _, c := range root.Children {
		if err := Seal(file+"/"+c.Name, c); err != nil {
			return err
		}
	}
	return SealFolder(file)
}

// SealFolder freezes the one folder at file.
func SealFolder(file string) error {
	if err := chmod(file, 0o555); err != nil {
		return err
	}
	return setTime(file)
}

func chmod(file string, mode uint32) error {
	if err := unix.Chmod(file, mode); err != nil {
		return &os.PathError{Op: "chmod", Path: file, Err: err}
	}
	return nil
}

// setTime sets the time of last modification and leaves that of last access alone.
func setTime(file string) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: ModificationTime}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, file, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: file, Err: err}
	}
	return nil
}
