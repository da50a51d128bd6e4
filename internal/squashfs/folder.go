package squashfs

import (
	"encoding/binary"
	"io/fs"
	"strings"
)

// An Entry is one of a folder.
type Entry struct {
	Name      string
	reference uint64
}

// Entries returns what is in a folder, sorted by name. The names are such that a file can have, and none is there twice.
//
// A list has runs of up to 256 entries whose inodes are in one metadata block, each run behind a header of 12 bytes: the
// number of entries less one, the block, and an inode number. An entry has 8 bytes: the inode's place in the block, a
// difference of inode numbers, a kind, and the length of the name less one; then comes the name.
func (im *Image) Entries(folder *Inode) ([]Entry, error) {
	c := im.at(im.super.directoryTable, folder.listing, folder.listingOffset)
	le := binary.LittleEndian
	var entries []Entry
	for rest := folder.listingSize; rest > 0; {
		header, err := c.read(12)
		if err != nil {
			return nil, err
		}
		count, block := le.Uint32(header), le.Uint32(header[4:])
		if count >= 256 {
			return nil, damagef("a folder's list of entries has a run of %d", count)
		}
		rest -= len(header)
		for range count + 1 {
			b, err := c.read(8)
			if err != nil {
				return nil, err
			}
			name, err := c.read(int(le.Uint16(b[6:])) + 1)
			if err != nil {
				return nil, err
			}
			e := Entry{Name: string(name), reference: uint64(block)<<16 | uint64(le.Uint16(b))}
			if err := e.follows(entries); err != nil {
				return nil, err
			}
			entries = append(entries, e)
			rest -= len(b) + len(name)
		}
		if rest < 0 {
			return nil, damagef("a folder's list of entries is longer than it says")
		}
	}
	return entries, nil
}

// follows checks an entry that comes after others. Names need not be UTF-8; 255 bytes are the most that Linux allows.
func (e Entry) follows(others []Entry) error {
	if e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\x00") || len(e.Name) > 255 {
		return damagef("a file in it is called %.80q", e.Name)
	}
	if len(others) > 0 && others[len(others)-1].Name >= e.Name {
		return damagef("a folder's entries are not in order at %.80q", e.Name)
	}
	return nil
}

// Inode returns what an entry is.
func (im *Image) Inode(e Entry) (*Inode, error) { return im.inode(e.reference) }

// Lookup returns what is at a path below the root, with slashes between names. It follows no symlinks; the error matches
// fs.ErrNotExist if there is nothing.
func (im *Image) Lookup(path string) (*Inode, error) {
	in, err := im.Root()
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(path, "/") {
		if in, err = im.child(in, name); err != nil {
			return nil, err
		}
		if in == nil {
			return nil, &fs.PathError{Op: "look up", Path: path, Err: fs.ErrNotExist}
		}
	}
	return in, nil
}

// child returns nil if there is nothing of that name.
func (im *Image) child(folder *Inode, name string) (*Inode, error) {
	if !folder.Mode.IsDir() {
		return nil, nil
	}
	entries, err := im.Entries(folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name == name {
			return im.Inode(e)
		}
	}
	return nil, nil
}
