package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"nbuild/internal/fsx"
)

// A sweep finds out what deleting trees frees, and deletes them with the names in the pool that nothing needs any more.
//
// Approach: count how many of the names of each file go; then look at the pool, where the last name of a file may be left;
// then delete. A file that another process shares meanwhile has a name more than it had. At worst, the pool has lost it.
type sweep struct {
	dryRun bool
	freed  int64
	files  map[uint64]*swept // by inode: all lie on the store's file system
}

// A swept is a file of which names go.
type swept struct {
	going uint64 // number of names that go
	links uint64 // number of names that it had
	bytes int64  // of the disk
}

// sweep deletes the collector's files, unless it is a dry run, and returns how many bytes that frees.
func (c *collector) sweep(ctx context.Context) (int64, error) {
	w := &sweep{dryRun: c.options.DryRun, files: map[uint64]*swept{}}
	for _, file := range c.files {
		if err := w.measure(ctx, file); err != nil {
			return 0, err
		}
	}
	if err := w.pool(ctx, c.store.pool.dir); err != nil {
		return 0, err
	}
	for _, f := range w.files {
		if f.going >= f.links {
			w.freed += f.bytes
		}
	}
	if w.dryRun {
		return w.freed, nil
	}
	for _, file := range c.files {
		if err := errors.Join(ctx.Err(), fsx.RemoveAll(file)); err != nil {
			return 0, err
		}
	}
	return w.freed, nil
}

// measure counts what is at file and below it. It may be gone.
func (w *sweep) measure(ctx context.Context, file string) error {
	return filepath.WalkDir(file, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		if !entry.Type().IsRegular() {
			w.freed += stat.Blocks * blockSize
			return nil
		}
		f := w.files[stat.Ino]
		if f == nil {
			f = &swept{links: uint64(stat.Nlink), bytes: stat.Blocks * blockSize}
			w.files[stat.Ino] = f
		}
		f.going++
		return nil
	})
}

// blockSize is the unit of Stat_t.Blocks, whatever the file system's is.
const blockSize = 512

// pool looks for files of which no name but that in the pool stays, and removes that one.
func (w *sweep) pool(ctx context.Context, dir string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		f := w.files[stat.Ino]
		if f == nil {
			f = &swept{bytes: stat.Blocks * blockSize}
		}
		if f.going+1 < uint64(stat.Nlink) {
			return nil
		}
		f.links, f.going = uint64(stat.Nlink), f.going+1
		w.files[stat.Ino] = f
		if w.dryRun {
			return nil
		}
		return os.Remove(name)
	})
}
