package builders

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// A beneath makes entries below one folder and never outside of it, whatever names and links an archive holds.
//
// Approach: names are resolved by the kernel, with openat2 and RESOLVE_BENEATH from the folder's descriptor, so that a
// link that leads out is refused where it would be followed and not where it is guessed to. Entries are made with
// O_EXCL and its likes relative to their folder's descriptor: nothing that exists is replaced or written through.
// As nothing is ever replaced, a folder's descriptor stays right, and the last ones used are kept: most entries of an
// archive lie in the folder of the one before.
//
// It is not safe for concurrent use.
type beneath struct {
	fd      int
	folders map[string]int // the open descriptors of some folders, by clean relative name
}

// maxFolders bounds the descriptors kept. Four unpackers at once then stay far below the usual limit of 1,024.
const maxFolders = 64

// A refusal says why an entry can't be made: the fault of who names it, not of the machine.
type refusal struct{ reason string }

func (e *refusal) Error() string { return e.reason }

func refusef(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// newBeneath creates the folder, mode 0755, and opens it.
func newBeneath(folder string) (*beneath, error) {
	if err := unix.Mkdir(folder, 0o755); err != nil {
		return nil, fmt.Errorf("create folder %s: %w", folder, err)
	}
	fd, err := unix.Open(folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", folder, err)
	}
	return &beneath{fd: fd, folders: map[string]int{}}, nil
}

// Close closes all descriptors.
func (b *beneath) Close() error {
	b.forget()
	return unix.Close(b.fd)
}

func (b *beneath) forget() {
	for name, fd := range b.folders {
		_ = unix.Close(fd) // An O_PATH descriptor has nothing to flush.
		delete(b.folders, name)
	}
}

// folder returns a descriptor of the folder with the clean relative name, made with all above it if it isn't there.
// The descriptor belongs to b and is good until the next call.
func (b *beneath) folder(name string) (int, error) {
	if name == "." {
		return b.fd, nil
	}
	if fd, ok := b.folders[name]; ok {
		return fd, nil
	}
	fd, err := b.openFolder(name)
	if errors.Is(err, unix.ENOENT) {
		if err := b.mkdir(name); err != nil {
			return -1, err
		}
		fd, err = b.openFolder(name)
	}
	if err != nil {
		return -1, folderError(name, err)
	}
	if len(b.folders) >= maxFolders {
		b.forget()
	}
	b.folders[name] = fd
	return fd, nil
}

func (b *beneath) openFolder(name string) (int, error) {
	return openBeneath(b.fd, name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_MAGICLINKS)
}

// openBeneath is openat2 without its spurious failures: EAGAIN when something was renamed or mounted meanwhile
// anywhere on the machine, and EINTR.
func openBeneath(fd int, name string, flags, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve}
	for {
		got, err := unix.Openat2(fd, name, &how)
		if err != unix.EAGAIN && err != unix.EINTR {
			return got, err
		}
	}
}

// folderError says what is wrong with a folder on the way to an entry.
func folderError(name string, err error) error {
	switch {
	case errors.Is(err, unix.EXDEV):
		return refusef("%s leads out of the tree by a link", quoteName(name))
	case errors.Is(err, unix.ELOOP):
		return refusef("%s leads through a loop of links", quoteName(name))
	case errors.Is(err, unix.ENOTDIR):
		return refusef("%s is not a folder", quoteName(name))
	case errors.Is(err, unix.ENOENT):
		return refusef("%s leads through a link to nothing", quoteName(name))
	}
	return entryError(name, err)
}

// entryError tells what a name is to blame for from what the machine is.
func entryError(name string, err error) error {
	switch {
	case errors.Is(err, unix.EEXIST):
		return refusef("the name occurs twice")
	case errors.Is(err, unix.ENAMETOOLONG):
		return refusef("the name is too long")
	}
	return fmt.Errorf("create %s: %w", quoteName(name), err)
}

// mkdir makes a folder, mode 0755, and those above it. One that is there already is left as it is.
func (b *beneath) mkdir(name string) error {
	if name == "." {
		return nil
	}
	fd, base, err := b.parent(name)
	if err != nil {
		return err
	}
	err = unix.Mkdirat(fd, base, 0o755)
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.EEXIST) && isFolder(fd, base) {
		return nil
	}
	return entryError(name, err)
}

func isFolder(fd int, base string) bool {
	var st unix.Stat_t
	return unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

func (b *beneath) parent(name string) (fd int, base string, err error) {
	dir, base := path.Split(name)
	fd, err = b.folder(path.Clean(dir))
	return fd, base, err
}

// create makes a new file, mode 0755 or 0644, open for writing. The caller closes it.
func (b *beneath) create(name string, executable bool) (int, error) {
	fd, base, err := b.parent(name)
	if err != nil {
		return -1, err
	}
	file, err := unix.Openat(fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, fileMode(executable))
	if err != nil {
		return -1, entryError(name, err)
	}
	return file, nil
}

func fileMode(executable bool) uint32 {
	if executable {
		return 0o755
	}
	return 0o644
}

// writeFile makes a new file with a content.
func (b *beneath) writeFile(name string, content []byte, executable bool) error {
	fd, err := b.create(name, executable)
	if err != nil {
		return err
	}
	if err := writeAll(fd, content); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("write %s: %w", quoteName(name), err)
	}
	return closeWritten(fd, name)
}

func closeWritten(fd int, name string) error {
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("close %s: %w", quoteName(name), err)
	}
	return nil
}

// writeAll writes b to a file descriptor that no *os.File holds: an archive's thousands of small files need neither its
// finalizer nor its poller.
func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// symlink makes a new symbolic link. The target may be anything: it is refused only when an entry leads through it.
func (b *beneath) symlink(target, name string) error {
	fd, base, err := b.parent(name)
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(target, fd, base); err != nil {
		return entryError(name, err)
	}
	return nil
}

// link makes a new name for a regular file made before.
func (b *beneath) link(old, name string) error {
	oldDir, oldBase := path.Split(old)
	from, err := b.openFolder(path.Clean(oldDir))
	if errors.Is(err, unix.ENOENT) {
		return refusef("it is a hard link to %s, which is not there", quoteName(old))
	}
	if err != nil {
		return folderError(path.Clean(oldDir), err)
	}
	defer unix.Close(from)
	var st unix.Stat_t
	if err := unix.Fstatat(from, oldBase, &st, unix.AT_SYMLINK_NOFOLLOW); errors.Is(err, unix.ENOENT) {
		return refusef("it is a hard link to %s, which is not there", quoteName(old))
	} else if err != nil {
		return fmt.Errorf("stat %s: %w", quoteName(old), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return refusef("it is a hard link to %s, which is not a regular file", quoteName(old))
	}
	fd, base, err := b.parent(name)
	if err != nil {
		return err
	}
	if err := unix.Linkat(from, oldBase, fd, base, 0); err != nil {
		return entryError(name, err)
	}
	return nil
}

// quoteName returns a name for a sentence: as it is, or quoted when it would be misread.
func quoteName(name string) string {
	const enough = 300 // A hostile name may have a megabyte.
	if len(name) > enough {
		name = name[:enough] + "..."
	}
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == '"' || c == 0x7f || c == 0xfffd }) {
		return fmt.Sprintf("%q", name)
	}
	return name
}
