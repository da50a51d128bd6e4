package squashfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// A craft writes images by hand, right ones and wrong ones: nothing is compressed, and each table has one block.
type craft struct {
	data, inodes, listings bytes.Buffer
	fragments              bytes.Buffer // the table's entries
	count                  uint32       // of inodes
}

// A craftedEntry is one of a folder.
type craftedEntry struct {
	name      string
	reference uint64
}

func put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		_ = binary.Write(b, binary.LittleEndian, v) // A buffer's Write never fails.
	}
}

// inode begins an inode of a kind and returns its reference.
func (c *craft) inode(kind, mode uint16) uint64 {
	at := uint64(c.inodes.Len())
	c.count++
	put(&c.inodes, kind, mode, uint16(0), uint16(0), uint32(1), c.count)
	return at
}

// file adds a file of up to a block. Its size may be another one than that of its content.
func (c *craft) file(content string, size uint32) uint64 {
	start := uint32(superblockSize + c.data.Len())
	c.data.WriteString(content)
	at := c.inode(basicFile, 0o644)
	put(&c.inodes, start, uint32(noFragment), uint32(0), size, uint32(len(content)|plainBlock))
	return at
}

// zeros adds a file of blocks that are not in the image.
func (c *craft) zeros(blocks int) uint64 {
	at := c.inode(basicFile, 0o644)
	put(&c.inodes, uint32(superblockSize), uint32(noFragment), uint32(0), uint32(blocks*4096))
	for range blocks {
		put(&c.inodes, uint32(0))
	}
	return at
}

// end adds a file that is a part of a fragment of its own.
func (c *craft) end(content string, offset uint32) uint64 {
	number := uint32(c.fragments.Len() / 16)
	put(&c.fragments, uint64(superblockSize+c.data.Len()), uint32(len(content)|plainBlock), uint32(0))
	c.data.WriteString(content)
	at := c.inode(basicFile, 0o755)
	put(&c.inodes, uint32(0), number, offset, uint32(len(content))-offset)
	return at
}

func (c *craft) symlink(target string) uint64 {
	at := c.inode(basicSymlink, 0o777)
	put(&c.inodes, uint32(1), uint32(len(target)), []byte(target))
	return at
}

// folder adds a folder with entries in the order in which they are given.
func (c *craft) folder(entries ...craftedEntry) uint64 {
	start := c.listings.Len()
	if len(entries) > 0 {
		put(&c.listings, uint32(len(entries)-1), uint32(0), uint32(1))
	}
	for _, e := range entries {
		put(&c.listings, uint16(e.reference), int16(0), uint16(1), uint16(len(e.name)-1), []byte(e.name))
	}
	at := c.inode(basicFolder, 0o755)
	put(&c.inodes, uint32(0), uint32(2), uint16(c.listings.Len()-start+3), uint16(start), uint32(1))
	return at
}

// image returns the image whose root is at a reference.
func (c *craft) image(root uint64) []byte {
	var b, tables bytes.Buffer
	place := func() uint64 { return uint64(superblockSize + c.data.Len() + tables.Len()) }
	table := func(content []byte) (at uint64) {
		at = place()
		put(&tables, uint16(len(content)|1<<15), content)
		return at
	}
	inodes := table(c.inodes.Bytes())
	listings := table(append(c.listings.Bytes(), 0)) // One byte more, as a block can't be empty.
	fragments := uint64(1<<64 - 1)
	if c.fragments.Len() > 0 {
		at := table(c.fragments.Bytes())
		fragments = place()
		put(&tables, at)
	}
	put(&b, uint32(magic), c.count, uint32(1), uint32(4096), uint32(c.fragments.Len()/16), uint16(6), uint16(12), uint16(0), uint16(1),
		uint16(4), uint16(0), root, place(), uint64(0), uint64(1<<64-1), inodes, listings, fragments, uint64(1<<64-1))
	b.Write(c.data.Bytes())
	b.Write(tables.Bytes())
	return b.Bytes()
}

// smallImage returns an image with a file, a symlink and a folder.
func smallImage(t testing.TB) []byte {
	t.Helper()
	var c craft
	return c.image(c.folder(craftedEntry{"a", c.file("hello", 5)}, craftedEntry{"b", c.symlink("a")}, craftedEntry{"c", c.folder()}))
}

// nested returns an image with folders below each other, a fragment, and a file of zeros.
func nested(t testing.TB) []byte {
	t.Helper()
	var c craft
	lowest := c.folder(craftedEntry{"end", c.end("12345", 2)}, craftedEntry{"zeros", c.zeros(1)})
	return c.image(c.folder(craftedEntry{"d", c.folder(craftedEntry{"e", lowest})}))
}

func TestCrafted(t *testing.T) {
	for _, test := range []struct {
		name  string
		image []byte
		want  map[string]string
	}{
		{"small", smallImage(t), map[string]string{"": "/", "a": "hello", "b": "-> a", "c": "/"}},
		{"nested", nested(t), map[string]string{"": "/", "d": "/", "d/e": "/", "d/e/end": "x 345", "d/e/zeros": strings.Repeat("\x00", 4096)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "tree")
			if err := extractAll(t, test.image, dir, 5000); err != nil {
				t.Fatal(err)
			}
			if got := readTree(t, dir); len(got) != len(test.want) {
				t.Errorf("tree %q, want %q", got, test.want)
			} else {
				for name, what := range test.want {
					if got[name] != what {
						t.Errorf("%s is %q, want %q", name, got[name], what)
					}
				}
			}
		})
	}
}

func TestHostileImages(t *testing.T) {
	entries := func(names ...string) func(c *craft) uint64 {
		return func(c *craft) uint64 {
			var list []craftedEntry
			for _, name := range names {
				list = append(list, craftedEntry{name, c.file("x", 1)})
			}
			return c.folder(list...)
		}
	}
	for _, test := range []struct {
		name string
		make func(c *craft) uint64 // returns the root
		want string
	}{
		{"parent", entries("..", "a"), `a file in it is called ".."`},
		{"itself", entries("."), `a file in it is called "."`},
		{"absolute", entries("/etc/passwd"), `a file in it is called "/etc/passwd"`},
		{"path", entries("a/../../b"), `a file in it is called "a/../../b"`},
		{"zero byte", entries("a\x00b"), `a file in it is called "a\x00b"`},
		{"long name", entries(strings.Repeat("n", 256)), `a file in it is called "` + strings.Repeat("n", 80)},
		{"twice", entries("a", "a"), `a folder's entries are not in order at "a"`},
		{"order", entries("b", "a"), `a folder's entries are not in order at "a"`},
		{"through a symlink", func(c *craft) uint64 {
			return c.folder(craftedEntry{"a", c.symlink("/tmp")}, craftedEntry{"a", c.folder(craftedEntry{"b", c.file("x", 1)})})
		}, `a folder's entries are not in order at "a"`},
		{"below itself", func(c *craft) uint64 {
			self := uint64(c.inodes.Len())
			c.count++ // so that it isn't the number that is wrong
			return c.folder(craftedEntry{"a", self})
		}, "a folder in it is in two places"},
		{"in two places", func(c *craft) uint64 {
			shared := c.folder()
			c.count++ // so that it isn't the number that is wrong
			return c.folder(craftedEntry{"a", shared}, craftedEntry{"b", shared})
		}, "a folder in it is in two places"},
		{"more than inodes", func(c *craft) uint64 {
			one := c.file("x", 1)
			return c.folder(craftedEntry{"a", one}, craftedEntry{"b", one}, craftedEntry{"c", one}, craftedEntry{"d", one})
		}, "it has more files than the 2 that it says it has"},
		{"device", func(c *craft) uint64 {
			at := c.inode(5, 0o666) // a character device
			put(&c.inodes, uint32(1), uint32(0x501))
			return c.folder(craftedEntry{"a", at})
		}, "it has a device, a pipe or a socket"},
		{"bomb of zeros", func(c *craft) uint64 { return c.folder(craftedEntry{"a", c.zeros(1000)}) }, "the files of an object have more bytes than are registered"},
		{"larger than its block", func(c *craft) uint64 { return c.folder(craftedEntry{"a", c.file("x", 2)}) }, "the data block at 96 has 1 bytes instead of 2"},
		{"smaller than its block", func(c *craft) uint64 { return c.folder(craftedEntry{"a", c.file("xyz", 2)}) }, "the data block at 96 has 3 bytes instead of 2"},
		{"outside of its fragment", func(c *craft) uint64 {
			at := c.end("12345", 3)
			binary.LittleEndian.PutUint32(c.inodes.Bytes()[24:], 4)
			return c.folder(craftedEntry{"a", at})
		}, "the end of a file is said to be at 4 in a fragment of 5 bytes"},
		{"no such fragment", func(c *craft) uint64 {
			at := c.end("12345", 3)
			binary.LittleEndian.PutUint32(c.inodes.Bytes()[20:], 7)
			return c.folder(craftedEntry{"a", at})
		}, "it has 1 fragments, and a file wants number 7"},
		{"symlink to nothing", func(c *craft) uint64 { return c.folder(craftedEntry{"a", c.symlink("")}) }, "a symlink's target has 0 bytes"},
		{"long symlink", func(c *craft) uint64 { return c.folder(craftedEntry{"a", c.symlink(strings.Repeat("x", 4096))}) }, "a symlink's target has 4096 bytes"},
		{"symlink with a zero byte", func(c *craft) uint64 { return c.folder(craftedEntry{"a", c.symlink("x\x00y")}) }, `a symlink's target is "x\x00y"`},
		{"inode outside", func(c *craft) uint64 { return c.folder(craftedEntry{"a", 60000}) }, "something in it is said to be at 60000 in a metadata block of "},
		{"root outside", func(*craft) uint64 { return 1 << 40 }, "an inode is said to be outside of the table of inodes"},
		{"root nowhere", func(*craft) uint64 { return 1 << 60 }, "the reference 0x1000000000000000 can't be one of an inode"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c craft
			err := extractAll(t, c.image(test.make(&c)), filepath.Join(t.TempDir(), "tree"), 1000)
			var damage *DamageError
			if !errors.As(err, &damage) || !strings.HasPrefix(damage.Reason, test.want) {
				t.Errorf("extract: %v, want %q", err, test.want)
			}
		})
	}
}
