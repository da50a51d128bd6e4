// Package lock has locks on files that exclude other processes, and other holders in this process too.
package lock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The longest pause between two attempts to take a lock that is held. The kernel's own waiting can't be interrupted by a
// context (Go restarts system calls), and an attempt costs a microsecond.
const longestPause = 10 * time.Millisecond

// A File is an open file with a lock on it, of flock(2) or of a Range, or none. The lock ends with the process, however that ends.
// It is safe for concurrent use, but shared and exclusive are states of the File, not of its users.
type File struct {
	name string

	mu   sync.Mutex
	file *os.File // nil when closed
}

// Open opens the file called name, creates it if need be, and holds no lock yet.
func Open(name string) (*File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return &File{name: name, file: file}, nil
}

// OpenExisting opens the file or folder called name for its lock alone: it need not be writable, and is not created. What
// is a symlink is refused.
func OpenExisting(name string) (*File, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0) // A pipe would wait for its writer.
	if err != nil {
		return nil, err
	}
	return &File{name: name, file: file}, nil
}

// TryExclusive takes the lock for this File alone, and reports whether it could.
// When it couldn't, a shared lock that was held before is lost.
func (f *File) TryExclusive() (bool, error) { return f.try(unix.LOCK_EX) }

// TryShared takes the lock together with others that share it, and reports whether it could.
func (f *File) TryShared() (bool, error) { return f.try(unix.LOCK_SH) }

func (f *File) try(how int) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return false, fmt.Errorf("lock %s: %w", f.name, fs.ErrClosed)
	}
	for {
		switch err := unix.Flock(int(f.file.Fd()), how|unix.LOCK_NB); err {
		case nil:
			return true, nil
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return false, nil
		default:
			return false, fmt.Errorf("lock %s: %w", f.name, err)
		}
	}
}

// Shared waits until it can take the lock together with others that share it, or ctx ends.
func (f *File) Shared(ctx context.Context) error { return wait(ctx, f.TryShared) }

// Exclusive waits until it can take the lock alone, or ctx ends.
func (f *File) Exclusive(ctx context.Context) error { return wait(ctx, f.TryExclusive) }

// wait repeats try until it succeeds, fails, or ctx ends.
func wait(ctx context.Context, try func() (bool, error)) error {
	for pause := time.Millisecond; ; pause = min(2*pause, longestPause) {
		if ok, err := try(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// Bequeath lets a program that this process executes have the open file, and the lock with it.
func (f *File) Bequeath() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return fmt.Errorf("lock %s: %w", f.name, fs.ErrClosed)
	}
	if _, err := unix.FcntlInt(f.file.Fd(), unix.F_SETFD, 0); err != nil {
		return fmt.Errorf("lock %s: %w", f.name, err)
	}
	return nil
}

// Close gives up the lock. Closing again does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// Range takes an exclusive lock on one byte of the file called name, which it creates if need be; the byte need not be
// there. Ranges exclude each other if name and offset are the same, and nothing else, so that one file serves for any
// number of locks: making and removing a file for each would cost an inode each time. It calls waiting once, unless that
// is nil, if it has to wait. Close gives the lock up.
func Range(ctx context.Context, name string, offset int64, waiting func()) (*File, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	err = wait(ctx, func() (bool, error) {
		ok, err := f.tryByte(offset)
		if !ok && err == nil && waiting != nil {
			waiting()
			waiting = nil
		}
		return ok, err
	})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// tryByte takes a lock that belongs to the open file (F_OFD_SETLK), not to the process as with F_SETLK: it excludes other
// goroutines as well.
func (f *File) tryByte(offset int64) (bool, error) {
	want := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: offset, Len: 1}
	for {
		switch err := unix.FcntlFlock(f.file.Fd(), unix.F_OFD_SETLK, &want); err {
		case nil:
			return true, nil
		case unix.EINTR:
		case unix.EAGAIN, unix.EACCES:
			return false, nil
		default:
			return false, fmt.Errorf("lock %s: %w", f.name, err)
		}
	}
}
