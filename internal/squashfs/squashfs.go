// Package squashfs reads squashfs images of version 4.0, and trusts nothing in them: whatever an image says is checked
// before it is used to read, to make room, or to name a file. It reads what nbuild writes: files, folders and symlinks,
// compressed with zstd, lz4, xz or not at all.
//
// # Format
//
// All numbers are little-endian. The superblock at the start says where the tables are. A table is a run of metadata
// blocks, each of up to 8 KiB when decompressed, behind a header of two bytes: the size on the disk, and in the highest bit
// whether it is not compressed. Inodes are in one such table, the lists of folders' entries in another. A file's content is
// a run of data blocks, whose sizes its inode lists, and for its end maybe a part of a fragment, a block that several
// files share. What is described nowhere but in the kernel's fs/squashfs is described here where it is read.
package squashfs

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"sync"
)

// A DamageError says that an image is not what it should be, by accident or by design.
type DamageError struct{ Reason string }

// Error returns "the image is damaged: reason".
func (e *DamageError) Error() string { return "the image is damaged: " + e.Reason }

// IsInput says that it is the fault of whoever gave the image.
func (e *DamageError) IsInput() bool { return true }

// A FormatError says that a file is no image of the kind that this package reads. It need not be damaged.
type FormatError struct{ Reason string }

// Error returns the reason, a clause about the file.
func (e *FormatError) Error() string { return e.Reason }

// IsInput says that it is the fault of whoever gave the file.
func (e *FormatError) IsInput() bool { return true }

func formatf(format string, args ...any) error { return &FormatError{fmt.Sprintf(format, args...)} }

func damagef(format string, args ...any) error { return &DamageError{fmt.Sprintf(format, args...)} }

// An Image is an open image. It is safe for concurrent use.
type Image struct {
	reader io.ReaderAt
	super  superblock
	codec  codec

	mu        sync.Mutex
	metadata  map[int64]*metadataBlock // decompressed blocks, by where they are
	fragments map[uint32][]byte        // decompressed fragments, by number
}

// A superblock has what is read of the first 96 bytes.
type superblock struct {
	inodes         uint32
	blockSize      uint32
	fragments      uint32
	compressor     uint16
	root           uint64 // reference of the root's inode
	size           int64  // of the image
	inodeTable     int64
	directoryTable int64
	fragmentTable  int64 // of places of metadata blocks
}

const (
	superblockSize = 96
	magic          = 0x73717368 // "hsqs"

	// largestBlock is what the format allows.
	largestBlock = 1 << 20
)

// Open reads the superblock of an image of that many bytes. Its error is a *FormatError when the file is no image that this
// package reads. Any other error about what the image holds, of this or any other function of this package, is a
// *DamageError.
func Open(r io.ReaderAt, size int64) (*Image, error) {
	b := make([]byte, superblockSize)
	if size < superblockSize {
		return nil, formatf("it is no squashfs image: it has %d bytes, and an image at least %d", size, superblockSize)
	}
	if _, err := r.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("read superblock: %w", err)
	}
	super, err := parseSuperblock(b)
	if err != nil {
		return nil, err
	}
	if super.size > size {
		return nil, damagef("it has %d bytes, and says that it has %d: its end is missing", size, super.size)
	}
	im := &Image{reader: r, super: super, metadata: map[int64]*metadataBlock{}, fragments: map[uint32][]byte{}}
	im.codec, err = newCodec(super.compressor)
	return im, err
}

func parseSuperblock(b []byte) (superblock, error) {
	le := binary.LittleEndian
	if le.Uint32(b) != magic {
		return superblock{}, formatf("it is no squashfs image")
	}
	s := superblock{
		inodes:         le.Uint32(b[4:]),
		blockSize:      le.Uint32(b[12:]),
		fragments:      le.Uint32(b[16:]),
		compressor:     le.Uint16(b[20:]),
		root:           le.Uint64(b[32:]),
		size:           int64(le.Uint64(b[40:])),
		inodeTable:     int64(le.Uint64(b[64:])),
		directoryTable: int64(le.Uint64(b[72:])),
		fragmentTable:  int64(le.Uint64(b[80:])),
	}
	if major, minor := le.Uint16(b[28:]), le.Uint16(b[30:]); major != 4 || minor != 0 {
		return s, formatf("it is a squashfs image of version %d.%d, and nbuild reads 4.0", major, minor)
	}
	if s.blockSize < 4096 || s.blockSize > largestBlock || bits.OnesCount32(s.blockSize) != 1 || 1<<le.Uint16(b[22:]) != s.blockSize {
		return s, damagef("its block size is %d", s.blockSize)
	}
	if s.inodeTable < superblockSize || s.inodeTable > s.directoryTable || s.directoryTable > s.size {
		return s, damagef("its tables are not in their places")
	}
	if s.fragments > 0 && (s.fragmentTable < superblockSize || s.fragmentTable > s.size) {
		return s, damagef("its table of fragments is not in its place")
	}
	return s, nil
}

// readAt fills b from a place that the image names.
func (im *Image) readAt(b []byte, at int64) error {
	if at < superblockSize || at > im.super.size-int64(len(b)) {
		return damagef("something in it is said to be at %d, which is outside", at)
	}
	if _, err := im.reader.ReadAt(b, at); err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	return nil
}
