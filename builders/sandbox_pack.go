package builders

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nbuild/internal/registration"
	"nbuild/internal/storepath"
)

// A build with the option nbuild.packs makes an image of store objects: the closures of its inputs whose slots begin with
// "contents", without the closures of those whose slots begin with "without", which another image has.
const (
	contentsPrefix = "contents"
	withoutPrefix  = "without"
)

// packed returns what the registration of the build's image says, sorted by path.
func (r *Request) packed() []registration.Entry {
	wanted := map[storepath.Path]bool{}
	r.mark(wanted, contentsPrefix, true)
	r.mark(wanted, withoutPrefix, false)
	var entries []registration.Entry
	for _, o := range r.Closure {
		if wanted[o.Path] {
			entries = append(entries, registration.Entry{Path: o.Path, Digest: o.Digest, Size: o.Size, References: o.References})
		}
	}
	return entries
}

// mark sets the closures of the inputs whose slots begin with prefix to value.
func (r *Request) mark(paths map[storepath.Path]bool, prefix string, value bool) {
	for _, slot := range slices.Sorted(maps.Keys(r.Inputs)) {
		if strings.HasPrefix(slot, prefix) {
			for _, p := range r.Inputs[slot].Closure {
				paths[p] = value
			}
		}
	}
}

// checkRoom returns an error that matches syscall.ENOSPC unless the disk has room for percent of the size of what is
// packed. A build that fails after half an hour for want of room would have told earlier.
func (run *sandboxRun) checkRoom(packed []registration.Entry) error {
	var size int64
	for _, e := range packed {
		size += e.Size
	}
	need := size / 100 * int64(run.packs)
	var stat unix.Statfs_t
	if err := unix.Statfs(run.Scratch, &stat); err != nil {
		return fmt.Errorf("look for room: %w", &os.PathError{Op: "statfs", Path: run.Scratch, Err: err})
	}
	if free := int64(stat.Bavail) * stat.Bsize; free < need {
		return fmt.Errorf("it needs about %d MiB on %s, where %d MiB are free: %w", need>>20, mountPoint(run.Scratch), free>>20, syscall.ENOSPC)
	}
	return nil
}

// mountPoint returns the folder at which the file system that holds file is mounted, as well as the devices tell.
func mountPoint(file string) string {
	device, ok := deviceOf(file)
	for file != "/" && ok {
		parent := filepath.Dir(file)
		if d, ok := deviceOf(parent); !ok || d != device {
			break
		}
		file = parent
	}
	return file
}

func deviceOf(file string) (uint64, bool) {
	var stat unix.Stat_t
	err := unix.Stat(file, &stat)
	return stat.Dev, err == nil
}
