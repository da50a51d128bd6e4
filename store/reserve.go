package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nbuild/internal/fsx"
)

// The reserve is a file that takes up the room that forgetting objects needs. A collection gives it back to the disk
// before it opens the index: a full disk is what makes people collect garbage, and the index has to say that objects
// are gone before they may go.

// leastReserve is what SQLite's own two files need at most beside what the transaction writes: 32 KiB of shared memory and
// the log's header, and then a folder in tmp. The rest is to spare.
const leastReserve = 256 << 10

func (s *Store) reserveFile() string { return filepath.Join(s.dir, "reserve") }

// reserveSize is what a transaction that changes each page of the index needs. The log has a page of an open transaction
// once, however often it was changed, behind a header of 24 bytes.
func (s *Store) reserveSize() (int64, error) {
	index, err := os.Stat(s.indexFile())
	if err != nil {
		return 0, err
	}
	return leastReserve + index.Size() + index.Size()/128, nil
}

// keepReserve makes the reserve as large as it has to be. Where there is no room for it, or the file system can't tell
// that there is, things are as without it.
func (s *Store) keepReserve() {
	want, err := s.reserveSize()
	if err != nil {
		return
	}
	if have, err := os.Stat(s.reserveFile()); err == nil && have.Size() >= want {
		return
	}
	file, err := os.OpenFile(s.reserveFile(), os.O_CREATE|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return
	}
	_ = unix.Fallocate(int(file.Fd()), 0, 0, want) // see above
	_ = file.Close()                               // Nothing was written.
}

// releaseReserve gives the reserve back to the disk until the store is closed, if there is not as much room besides.
func (s *Store) releaseReserve() error {
	want, err := s.reserveSize()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // A new index is small.
	}
	if err != nil {
		return err
	}
	free, _, err := fsx.FreeSpace(s.dir)
	if err != nil || free >= want {
		return err
	}
	if err := os.Remove(s.reserveFile()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
