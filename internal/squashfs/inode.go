package squashfs

import (
	"encoding/binary"
	"io/fs"
	"strings"
)

// An Inode is a file, a folder or a symlink of an image.
type Inode struct {
	Mode   fs.FileMode // its type and permissions
	Size   int64       // of a file
	Target string      // of a symlink

	reference uint64 // where it is

	// of a file
	start    int64   // of its data blocks
	fragment uint32  // number of the one that has its end, or noFragment
	offset   uint32  // of its end in that
	sizes    *cursor // where the list of the blocks' sizes is

	// of a folder
	listing       uint32 // where the list of its entries begins
	listingOffset uint16
	listingSize   int
}

const noFragment = 1<<32 - 1

// The kinds of inodes. The others are devices, pipes and sockets.
const (
	basicFolder     = 1
	basicFile       = 2
	basicSymlink    = 3
	extendedFolder  = 8
	extendedFile    = 9
	extendedSymlink = 10
)

// longestTarget is what Linux allows a symlink to have.
const longestTarget = 4095

// Root returns the image's top folder.
func (im *Image) Root() (*Inode, error) { return im.inode(im.super.root) }

// inode reads an inode. A reference has, from the 17th bit on, how far from the table's start its block is, and below
// that its place in the block.
func (im *Image) inode(reference uint64) (*Inode, error) {
	if reference>>48 != 0 {
		return nil, damagef("the reference %#x can't be one of an inode", reference)
	}
	c := im.at(im.super.inodeTable, uint32(reference>>16), uint16(reference))
	if c.block >= im.super.directoryTable {
		return nil, damagef("an inode is said to be outside of the table of inodes")
	}
	head, err := c.read(16)
	if err != nil {
		return nil, err
	}
	in := &Inode{reference: reference, Mode: fs.FileMode(binary.LittleEndian.Uint16(head[2:])) & fs.ModePerm}
	switch kind := binary.LittleEndian.Uint16(head); kind {
	case basicFolder, extendedFolder:
		return in, in.readFolder(c, kind)
	case basicFile, extendedFile:
		return in, in.readFile(c, kind)
	case basicSymlink, extendedSymlink:
		return in, in.readSymlink(c)
	default:
		return nil, damagef("it has a device, a pipe or a socket")
	}
}

func (in *Inode) readFolder(c *cursor, kind uint16) error {
	in.Mode |= fs.ModeDir
	le := binary.LittleEndian
	size := uint32(0)
	if kind == basicFolder {
		b, err := c.read(16)
		if err != nil {
			return err
		}
		in.listing, size, in.listingOffset = le.Uint32(b), uint32(le.Uint16(b[8:])), le.Uint16(b[10:])
	} else {
		b, err := c.read(24)
		if err != nil {
			return err
		}
		size, in.listing, in.listingOffset = le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint16(b[18:])
	}
	// The size counts 3 bytes for "." and "..", which have no entries.
	if size < 3 || size > 1<<30 {
		return damagef("a folder's list of entries has %d bytes", size)
	}
	in.listingSize = int(size) - 3
	return nil
}

func (in *Inode) readFile(c *cursor, kind uint16) error {
	le := binary.LittleEndian
	if kind == basicFile {
		b, err := c.read(16)
		if err != nil {
			return err
		}
		in.start, in.fragment, in.offset, in.Size = int64(le.Uint32(b)), le.Uint32(b[4:]), le.Uint32(b[8:]), int64(le.Uint32(b[12:]))
	} else {
		b, err := c.read(40)
		if err != nil {
			return err
		}
		in.start, in.Size, in.fragment, in.offset = int64(le.Uint64(b)), int64(le.Uint64(b[8:])), le.Uint32(b[28:]), le.Uint32(b[32:])
	}
	if in.Size < 0 || in.start < 0 {
		return damagef("a file has an impossible size or place")
	}
	in.sizes = c
	return nil
}

func (in *Inode) readSymlink(c *cursor) error {
	in.Mode |= fs.ModeSymlink
	b, err := c.read(8)
	if err != nil {
		return err
	}
	size := binary.LittleEndian.Uint32(b[4:])
	if size == 0 || size > longestTarget {
		return damagef("a symlink's target has %d bytes", size)
	}
	target, err := c.read(int(size))
	if in.Target = string(target); strings.Contains(in.Target, "\x00") {
		return damagef("a symlink's target is %.80q", target)
	}
	return err
}
