package builders

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"

	"nbuild/internal/fsx"
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
	free, mount, err := fsx.FreeSpace(run.Scratch)
	if err != nil {
		return fmt.Errorf("look for room: %w", err)
	}
	if free < need {
		return fmt.Errorf("it needs about %d MiB on %s, where %d MiB are free: %w", need>>20, mount, free>>20, syscall.ENOSPC)
	}
	return nil
}
