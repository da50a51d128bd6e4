// Package lock has locks on files that exclude other processes, and other holders in this process too.
package lock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The longest pause between two attempts to take a lock that is held. The kernel's own waiting can't be interrupted by a
// context (Go restarts system calls), and an attempt costs a microsecond.
const longestPause = 10 * time.Millisecond

// A File is an open file with a lock of flock(2) on it or none. The lock ends with the process, however that ends.
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

// Create takes an exclusive lock on a file that exists only while somebody holds or wants it. It calls waiting once,
// unless that is nil, if it has to wait. Release it by Remove.
func Create(ctx context.Context, name string, waiting func()) (*File, error) {
	var held *File
	err := wait(ctx, func() (bool, error) {
		f, err := tryCreate(name)
		if err != nil {
			return false, err
		}
		if f == nil && waiting != nil {
			waiting()
			waiting = nil
		}
		held = f
		return f != nil, nil
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

// tryCreate returns nil if another holds the lock.
func tryCreate(name string) (*File, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	ok, err := f.TryExclusive()
	if err == nil && ok {
		ok, err = f.isNamed()
	}
	if err != nil || !ok {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// isNamed reports whether the file of that name is still the one that is open. If not, the holder before removed it
// between our opening and locking it, and a lock on it excludes nobody.
func (f *File) isNamed() (bool, error) {
	opened, err := f.file.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Lstat(f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(opened, named), err
}

// Remove removes the file while its lock is held exclusively, then gives up the lock. Doing it again does nothing.
func (f *File) Remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := errors.Join(os.Remove(f.name), f.file.Close()) // In this order, or a later holder's file would be removed.
	f.file = nil
	return err
}
