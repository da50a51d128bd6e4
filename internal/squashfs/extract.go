package squashfs

import (
	"context"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Extract makes file what in is, with all below it: files of mode 0444, or 0555 if their owner may execute them, and
// folders that their owner can write to. Nothing may be at file yet. The regular files may have no more than most bytes together: it
// writes no byte more than that.
func (im *Image) Extract(ctx context.Context, in *Inode, file string, most int64) error {
	group, ctx := errgroup.WithContext(ctx)
	x := &extraction{im: im, rest: most, folders: map[uint64]bool{}, files: make(chan extractedFile, 64)}
	group.Go(func() error {
		defer close(x.files)
		return x.add(ctx, in, file)
	})
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for f := range x.files {
				if err := im.writeFile(f); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// An extraction walks the folders; workers write the files that it finds.
type extraction struct {
	im      *Image
	rest    int64           // bytes that files may yet have
	entries uint32          // how many there were
	folders map[uint64]bool // those that were entered: one that is below itself, or in two places, would have no end
	files   chan extractedFile
}

// An extractedFile is a file that is to be written.
type extractedFile struct {
	in   *Inode
	name string
}

// add extracts what in is, but for files' contents.
func (x *extraction) add(ctx context.Context, in *Inode, name string) error {
	if x.entries++; x.entries > x.im.super.inodes {
		return damagef("it has more files than the %d that it says it has", x.im.super.inodes)
	}
	switch in.Mode.Type() {
	case fs.ModeDir:
		return x.addFolder(ctx, in, name)
	case fs.ModeSymlink:
		return os.Symlink(in.Target, name)
	}
	if x.rest -= in.Size; x.rest < 0 {
		return damagef("the files of an object have more bytes than are registered")
	}
	select {
	case x.files <- extractedFile{in, name}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (x *extraction) addFolder(ctx context.Context, in *Inode, name string) error {
	if x.folders[in.reference] {
		return damagef("a folder in it is in two places")
	}
	x.folders[in.reference] = true
	if err := os.Mkdir(name, 0o755); err != nil {
		return err
	}
	entries, err := x.im.Entries(in)
	if err != nil {
		return err
	}
	for _, e := range entries {
		child, err := x.im.Inode(e)
		if err != nil {
			return err
		}
		if err := x.add(ctx, child, name+"/"+e.Name); err != nil {
			return err
		}
	}
	return nil
}

func (im *Image) writeFile(f extractedFile) error {
	mode := fs.FileMode(0o444)
	if f.in.Mode&0o100 != 0 {
		mode = 0o555
	}
	to, err := os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = im.WriteTo(to, f.in)
	if err == nil {
		err = to.Chmod(mode) // whatever the umask is
	}
	if closeErr := to.Close(); err == nil {
		err = closeErr
	}
	return err
}
