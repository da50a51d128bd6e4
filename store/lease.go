package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nbuild/internal/lock"
	"nbuild/internal/storepath"
)

// Whoever holds a shared lock of flock(2) on an object's own file or folder keeps the object alive, with its closure: a
// lease. It needs no record, so none can be stale: it ends with the process, however that ends. Programs in the store can
// take one without nbuild, as the runner of a virtual machine does. They hold a shared lock on the folder of the objects
// while they take it and look whether the object is still there, as garbage is decided on under an exclusive one.

// A Lease keeps an object alive until it is closed, or the process ends.
type Lease struct{ lock *lock.File }

// Hold takes a lease on a valid object, which must be a folder or a file.
func (s *Store) Hold(ctx context.Context, p storepath.Path) (*Lease, error) {
	if _, err := s.Object(ctx, p); err != nil {
		return nil, err
	}
	// Garbage is decided on while no store is open, so nobody has a lock on the object for longer than it takes to look.
	l, err := lock.OpenExisting(s.ObjectFile(p))
	if err != nil {
		return nil, fmt.Errorf("hold %s: %w", p, err)
	}
	if err := l.Shared(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("hold %s: %w", p, err), l.Close())
	}
	return &Lease{lock: l}, nil
}

// Close ends the lease.
func (l *Lease) Close() error { return l.lock.Close() }

// Bequeath lets the lease outlive the process's program: what it executes in its place holds the lease on.
func (l *Lease) Bequeath() error { return l.lock.Bequeath() }

// suspendLeases waits until nobody is just taking a lease and lets nobody take one until the lock is closed.
func (s *Store) suspendLeases(ctx context.Context) (*lock.File, error) {
	l, err := lock.OpenExisting(filepath.Join(s.dir, "objects"))
	if err != nil {
		return nil, err
	}
	if err := s.await(ctx, l.Exclusive, "waiting for a program that is being started from the store"); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// isHeld reports whether somebody has a lease on the object that lies at file. Nobody can hold a symlink, what is gone, and
// what can't be read; and over NFS nobody can tell of a file (EBADF), only of a folder, which is what programs are in.
func isHeld(file string) (bool, error) {
	l, err := lock.OpenExisting(file)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	free, err := l.TryExclusive()
	if errors.Is(err, unix.EBADF) {
		return false, l.Close()
	}
	return !free && err == nil, errors.Join(err, l.Close())
}
