package builders

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

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

// flushInterval lets little gather: 50 ms of mksquashfs at its fastest are 10 MB.
const flushInterval = 50 * time.Millisecond

// flushEarly sends what a build of an image has made of its outputs so far on its way to the disk, again and again, until
// the function that it returns is called. The kernel by itself would begin to write seconds later, and the image can't be
// recorded before all of it is on the disk: 80 ms for one of 110 MB, in which nothing else happened.
func (run *sandboxRun) flushEarly() (stop func()) {
	if run.packs == 0 && run.copies == 0 {
		return func() {}
	}
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(flushInterval)
		defer ticker.Stop()
		for ended := false; !ended; {
			select {
			case <-ticker.C:
			case <-done:
				ended = true
			}
			for _, output := range run.Outputs {
				fsx.StartFlush(filepath.Join(run.store(), output.Path.Base()))
			}
		}
	})
	return func() { close(done); group.Wait() }
}
