package builders

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A side is an entry of an input, or what is in its place already.
type side struct {
	fd    int // of its folder
	base  string
	owner string // who has it, for people
}

// A place is where an entry goes.
type place struct {
	fd   int // of the folder
	base string
	name string // in the tree, free of links
}

// sameEntry reports whether two entries, no folder the first, are the same: one inode, or equal content and executable
// bit, or links with one target. It also reports whether the second is a folder.
func sameEntry(a, b side) (same, folder bool, err error) {
	var sa, sb unix.Stat_t
	if err := unix.Fstatat(a.fd, a.base, &sa, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, false, err
	}
	if err := unix.Fstatat(b.fd, b.base, &sb, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, false, err
	}
	kind := sa.Mode & unix.S_IFMT
	switch {
	case kind != sb.Mode&unix.S_IFMT:
		return false, sb.Mode&unix.S_IFMT == unix.S_IFDIR, nil
	case sa.Ino == sb.Ino && sa.Dev == sb.Dev:
		return true, false, nil
	case kind == unix.S_IFLNK:
		ta, err := readLinkAt(a)
		if err != nil {
			return false, false, err
		}
		tb, err := readLinkAt(b)
		return ta == tb, false, err
	case sa.Size != sb.Size || (sa.Mode^sb.Mode)&0o100 != 0:
		return false, false, nil
	}
	same, err = sameContent(a, b)
	return same, false, err
}

func readLinkAt(s side) (string, error) {
	b := make([]byte, maxTarget+1)
	n, err := unix.Readlinkat(s.fd, s.base, b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

func sameContent(a, b side) (bool, error) {
	fa, err := openSide(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := openSide(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	ba, bb := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		na, err := readBuffer(fa, ba)
		if err != nil && err != io.EOF {
			return false, err
		}
		nb, berr := readBuffer(fb, bb)
		if berr != nil && berr != io.EOF {
			return false, berr
		}
		if !bytes.Equal(ba[:na], bb[:nb]) {
			return false, nil
		}
		if err == io.EOF || berr == io.EOF {
			return err == berr, nil
		}
	}
}

func openSide(s side) (*os.File, error) {
	fd, err := unix.Openat(s.fd, s.base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), s.base), nil
}

// copyEntry does what a hard link can't: when a file has all the names it can have, or lies on another file system, or
// belongs to somebody else (fs.protected_hardlinks).
func copyEntry(from side, to place, kind uint32) error {
	if kind == unix.S_IFLNK {
		target, err := readLinkAt(from)
		if err != nil {
			return fmt.Errorf("read link %s of %s: %w", quoteName(to.name), from.owner, err)
		}
		if err := unix.Symlinkat(target, to.fd, to.base); err != nil {
			return fmt.Errorf("create link %s: %w", quoteName(to.name), err)
		}
		return nil
	}
	src, err := openSide(from)
	if err != nil {
		return fmt.Errorf("open %s of %s: %w", quoteName(to.name), from.owner, err)
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return fmt.Errorf("stat %s of %s: %w", quoteName(to.name), from.owner, err)
	}
	mode := fileMode(info.Mode()&0o100 != 0)
	fd, err := unix.Openat(to.fd, to.base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode)
	if err != nil {
		return fmt.Errorf("create %s: %w", quoteName(to.name), err)
	}
	dst := os.NewFile(uintptr(fd), to.base)
	if _, err := io.Copy(dst, src); err != nil {
		_ = dst.Close()
		return fmt.Errorf("copy %s of %s: %w", quoteName(to.name), from.owner, err)
	}
	if err := dst.Close(); err != nil {
		return fmt.Errorf("close %s: %w", quoteName(to.name), err)
	}
	return nil
}
