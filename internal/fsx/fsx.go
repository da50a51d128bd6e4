// Package fsx has the few file system operations that the standard library lacks: what a store of read-only trees needs.
package fsx

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// RemoveAll removes file and all below it like os.RemoveAll, also where folders are read-only, as those of the store are.
// It does not follow symlinks.
func RemoveAll(file string) error {
	err := os.RemoveAll(file)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// Only a user without root's privileges comes here: he can't unlink from a read-only folder, even from his own.
	walk := func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			return os.Chmod(name, 0o700)
		}
		return nil // What can't be listed is the second RemoveAll's to report.
	}
	if err := filepath.WalkDir(file, walk); err != nil {
		return err
	}
	return os.RemoveAll(file)
}

// SyncFileSystem waits until everything written to the file system that holds dir is on the disk.
func SyncFileSystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close() // It was only read, so closing has nothing to report.
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("flush file system of %s: %w", dir, err)
	}
	return nil
}

// StartFlush begins to write the files at file or below it to the disk, and doesn't wait until they are there. It is only
// for speed: files that it can't read are left to the kernel, which writes them sooner or later.
func StartFlush(file string) {
	_ = filepath.WalkDir(file, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		// It may have become something else meanwhile, which must be neither followed nor waited for.
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil
		}
		defer unix.Close(fd) // It was only read, so closing has nothing to report.
		_ = unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
		return nil
	})
}

// SyncFolder waits until the names that were made or removed in a folder are on the disk.
func SyncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// RenameNew renames from to to, and fails with an error that matches fs.ErrExist if to is there already.
func RenameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS { // Some network file systems don't know the flag.
		if _, statErr := os.Lstat(to); statErr == nil {
			err = unix.EEXIST
		} else {
			err = unix.Rename(from, to)
		}
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// ReplaceSymlink makes link a symlink to target, in one step that others see whole. What link was before is gone.
func ReplaceSymlink(target, link string) error {
	temporary := link + ".new-" + strconv.FormatUint(rand.Uint64(), 36)
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, link); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}

// WriteFile makes file one of this content and mode, in one step that others see whole. After a loss of power it may be
// empty.
func WriteFile(file string, content []byte, mode fs.FileMode) error {
	return writeFile(file, content, mode, func(*os.File) error { return nil })
}

// WriteFileDurably is WriteFile for what must not be lost: file has the old content or the new one, whatever happens.
func WriteFileDurably(file string, content []byte, mode fs.FileMode) error {
	return writeFile(file, content, mode, (*os.File).Sync)
}

func writeFile(file string, content []byte, mode fs.FileMode, flush func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode)); err == nil {
		err = flush(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Copy copies a file, a folder with all below it, or a symlink to to, which must not exist. Of the modes it keeps only
// whether the owner may execute, of other properties none. It refuses what is none of these three.
func Copy(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	switch info.Mode().Type() {
	case 0:
		return copyFile(from, to, info.Mode())
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case fs.ModeDir:
		return copyFolder(from, to)
	default:
		return fmt.Errorf("copy %s: neither a regular file nor a folder nor a symlink", from)
	}
}

func copyFolder(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := Copy(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string, mode fs.FileMode) (err error) {
	permissions := fs.FileMode(0o600)
	if mode&0o100 != 0 {
		permissions = 0o700
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() // It was only read, so closing has nothing to report.
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, permissions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = out.ReadFrom(in) // copy_file_range, which shares the blocks where the file system can
	return err
}
