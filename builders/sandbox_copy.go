package builders

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// copyRoot makes the writable copy of the root's tree and gives it the owners and modes of input "root_owners".
func (run *sandboxRun) copyRoot(ctx context.Context) error {
	source := run.Inputs[rootSlot].File
	if info, err := os.Lstat(source); err != nil || !info.IsDir() {
		return run.Failf("input %q is not a folder", rootSlot)
	}
	if err := copyTree(ctx, source, run.root(), run.Cores); err != nil {
		return fmt.Errorf("copy root: %w", err)
	}
	if manifest, ok := run.Inputs[ownersSlot]; ok {
		return run.seedOwners(run.root(), manifest.File)
	}
	return nil
}

// copyTree copies what is in folder from into the existing folder to. Files get mode 0755 or 0644, by whether their owner
// may execute them, folders 0755, and all of them the time that store objects have, so that what records the times of
// files (.pyc does) records what is true afterwards. Files are never linked: a build that appends would write to the
// store.
func copyTree(ctx context.Context, from, to string, workers int) error {
	group, ctx := errgroup.WithContext(ctx)
	files := make(chan string, 256)
	t := &treeCopy{from: from, to: to, files: files}
	group.Go(func() error {
		defer close(files)
		return t.folder(ctx, "")
	})
	for range max(workers, 1) {
		group.Go(func() error {
			buffer := make([]byte, 64<<10)
			for name := range files {
				if err := copyFile(from+name, to+name, buffer); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, folder := range slices.Backward(t.folders) { // Afterwards, as each new entry changes its folder's time.
		if err := setTime(to + folder); err != nil {
			return err
		}
	}
	return nil
}

// treeCopy is the walking half of copyTree; the workers copy the files that it finds.
type treeCopy struct {
	from, to string
	files    chan<- string
	folders  []string // parents first
}

func (t *treeCopy) folder(ctx context.Context, name string) error {
	t.folders = append(t.folders, name)
	if err := unix.Chmod(t.to+name, 0o755); err != nil { // whatever the umask made of it
		return fmt.Errorf("change mode of %s: %w", t.to+name, err)
	}
	entries, err := os.ReadDir(t.from + name)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := t.entry(ctx, name+"/"+entry.Name(), entry.Type()); err != nil {
			return err
		}
	}
	return nil
}

func (t *treeCopy) entry(ctx context.Context, name string, kind fs.FileMode) error {
	switch kind {
	case 0:
		select {
		case t.files <- name:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	case fs.ModeDir:
		if err := os.Mkdir(t.to+name, 0o755); err != nil {
			return err
		}
		return t.folder(ctx, name)
	case fs.ModeSymlink:
		target, err := os.Readlink(t.from + name)
		if err != nil {
			return err
		}
		if err := os.Symlink(target, t.to+name); err != nil {
			return err
		}
		return setTime(t.to + name)
	}
	return fmt.Errorf("%s is neither a file nor a folder nor a symlink", filepath.Join(t.from, name))
}

// objectTime is the modification time of all store objects, in seconds.
const objectTime = 1

func setTime(name string) error {
	times := []unix.Timespec{{Sec: objectTime}, {Sec: objectTime}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set time of %s: %w", name, err)
	}
	return nil
}

// copyFile copies one file. System calls are made directly, as os.File costs a registration with the poller for each of
// thousands of files.
func copyFile(from, to string, buffer []byte) error {
	in, err := unix.Open(from, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", from, err)
	}
	defer unix.Close(in)
	var stat unix.Stat_t
	if err := unix.Fstat(in, &stat); err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	mode := uint32(0o644)
	if stat.Mode&0o100 != 0 {
		mode = 0o755
	}
	out, err := unix.Open(to, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode)
	if err != nil {
		return fmt.Errorf("create %s: %w", to, err)
	}
	err = copyContent(out, in, stat.Size, buffer)
	if err == nil {
		err = unix.Fchmod(out, mode) // whatever the umask made of it
	}
	if err == nil {
		err = setTimeOf(out)
	}
	if closeErr := unix.Close(out); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

func setTimeOf(fd int) error {
	times := []unix.Timespec{{Sec: objectTime}, {Sec: objectTime}}
	return unix.UtimesNanoAt(fd, "", times, unix.AT_EMPTY_PATH)
}

// copyContent shares the blocks where the file system can, has the kernel copy where it is worth that, and else reads
// and writes.
func copyContent(out, in int, size int64, buffer []byte) error {
	if size > int64(len(buffer)) {
		if unix.IoctlFileClone(out, in) == nil {
			return nil
		}
		if copied, err := copyRange(out, in, size); err == nil || copied > 0 {
			return err
		}
	}
	for {
		n, err := unix.Read(in, buffer)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		if err := writeAll(out, buffer[:n]); err != nil {
			return err
		}
	}
}

func copyRange(out, in int, size int64) (copied int64, err error) {
	for copied < size {
		n, err := unix.CopyFileRange(in, nil, out, nil, int(min(size-copied, 1<<30)), 0)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return copied, err
		case n == 0:
			return copied, unix.EIO // A store object does not shrink.
		}
		copied += int64(n)
	}
	return copied, nil
}
