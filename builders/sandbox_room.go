package builders

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"nbuild/internal/fsx"
	"nbuild/internal/storepath"
)

// checkRoom returns an error that matches syscall.ENOSPC unless the disk has room for what the build makes of its inputs.
// A build that fails after half an hour for want of room would have told earlier.
func (run *sandboxRun) checkRoom() error {
	if run.packs == 0 && run.copies == 0 {
		return nil
	}
	free, mount, err := fsx.FreeSpace(run.Scratch)
	if err != nil {
		return fmt.Errorf("look for room: %w", err)
	}
	need := run.copied()
	for _, e := range run.registered {
		need += e.Size
	}
	// What is packed is rarely more than what it is packed from, so only where that is tight it is worth a closer look.
	if run.packs > 0 && free < need {
		if need, err = run.packedSize(); err != nil {
			return fmt.Errorf("look for room: %w", err)
		}
	}
	if free < need {
		return fmt.Errorf("it needs about %d MiB on %s, where %d MiB are free: %w", (need+1<<20-1)>>20, mount, free>>20, syscall.ENOSPC)
	}
	return nil
}

// copied returns how many bytes a build that copies makes of its inputs.
func (run *sandboxRun) copied() int64 {
	sizes := map[storepath.Path]int64{}
	for _, o := range run.Closure {
		sizes[o.Path] = o.Size
	}
	var size int64
	for slot, in := range run.Inputs {
		if strings.HasPrefix(slot, contentsPrefix) {
			size += sizes[in.Path]
		}
	}
	return size / 100 * int64(run.copies)
}

// packedSize returns about how many bytes a build that packs makes of its objects. It compresses a sample of them.
func (run *sandboxRun) packedSize() (int64, error) {
	files := map[storepath.Path]string{}
	for _, o := range run.Closure {
		files[o.Path] = o.File
	}
	var size int64
	for _, e := range run.registered {
		size += e.Size
	}
	s, err := newSample(size)
	if err != nil {
		return 0, err
	}
	for _, e := range run.registered {
		if err := s.add(files[e.Path]); err != nil {
			return 0, err
		}
	}
	return s.estimate(run.packs), nil
}

const (
	// sampleSize takes a tenth of a second to compress.
	sampleSize = 16 << 20
	// sampleBlock is the smaller of the two block sizes that images mostly have.
	sampleBlock = 128 << 10
	// nodeSize is what a file takes besides its content, after compression: of 7,000 in a system's root, 90 KB.
	nodeSize = 13
)

// A sample tells how well files can be compressed: of all of them, one after the other, it compresses one block of many.
// Small files share blocks, as they do in an image.
type sample struct {
	step    int64 // one block of so many is compressed
	encoder *zstd.Encoder
	seen    map[inode]bool

	block         []byte // what there is yet of the block that is compressed
	size, nodes   int64  // of what was added
	before, after int64  // of the blocks that were compressed
}

// An inode is a file, which may have several names. An image has it once.
type inode struct{ device, number uint64 }

// newSample returns a sample of files that have so many bytes in all.
func newSample(size int64) (*sample, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	return &sample{step: max(1, size/sampleSize), encoder: encoder, seen: map[inode]bool{}}, err
}

// add adds the files of a tree.
func (s *sample) add(root string) error {
	return filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		s.nodes++
		if !entry.Type().IsRegular() {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		if node := (inode{stat.Dev, stat.Ino}); !s.seen[node] {
			s.seen[node] = true
			return s.addFile(name, info.Size())
		}
		return nil
	})
}

// addFile reads those parts of a file that are in blocks that are compressed.
func (s *sample) addFile(name string, size int64) (err error) {
	var file *os.File
	for offset := int64(0); offset < size; {
		n := min(size-offset, sampleBlock-s.size%sampleBlock)
		if s.size/sampleBlock%s.step == 0 {
			if file == nil {
				if file, err = os.Open(name); err != nil {
					return err
				}
				defer file.Close() // It was only read, so closing has nothing to report.
			}
			s.block = slices.Grow(s.block, int(n))
			part := s.block[len(s.block) : len(s.block)+int(n)]
			if _, err := file.ReadAt(part, offset); err != nil && err != io.EOF {
				return err
			}
			s.block = s.block[:len(s.block)+int(n)]
		}
		s.size += n
		offset += n
		if s.size%sampleBlock == 0 {
			s.compress()
		}
	}
	return nil
}

// compress counts what the block takes, which is stored as it is where compressing it makes it larger.
func (s *sample) compress() {
	compressed := s.encoder.EncodeAll(s.block, nil)
	s.before += int64(len(s.block))
	s.after += int64(min(len(compressed), len(s.block)))
	s.block = s.block[:0]
}

// estimate returns the size of an image of what was added, by a way to compress that makes percent of what zstd makes at
// its fastest.
func (s *sample) estimate(percent int) int64 {
	s.compress()
	if s.before == 0 {
		return s.nodes * nodeSize
	}
	rate := min(1, float64(s.after)/float64(s.before)*float64(percent)/100)
	return s.nodes*nodeSize + int64(rate*float64(s.size))
}
