package squashfs

import "encoding/binary"

// metadataSize is the most that a metadata block has.
const metadataSize = 8192

// cachedMetadata is how many decompressed blocks are kept: a walk in the order of the tables needs a few, one of a folder
// whose entries are all over the image some hundreds, which are 4 MiB.
const cachedMetadata = 512

// A metadataBlock is one that was read.
type metadataBlock struct {
	content []byte
	next    int64 // where the next one is
}

// block returns the metadata block at a place in the image.
func (im *Image) block(at int64) (*metadataBlock, error) {
	im.mu.Lock()
	b, ok := im.metadata[at]
	im.mu.Unlock()
	if ok {
		return b, nil
	}
	b, err := im.readBlock(at)
	if err != nil {
		return nil, err
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	if len(im.metadata) >= cachedMetadata {
		clear(im.metadata)
	}
	im.metadata[at] = b
	return b, nil
}

func (im *Image) readBlock(at int64) (*metadataBlock, error) {
	var header [2]byte
	if err := im.readAt(header[:], at); err != nil {
		return nil, err
	}
	const plain = 1 << 15
	word := binary.LittleEndian.Uint16(header[:])
	size := int(word &^ plain)
	if size == 0 || size > metadataSize {
		return nil, damagef("the metadata block at %d has %d bytes", at, size)
	}
	content := make([]byte, size)
	if err := im.readAt(content, at+2); err != nil {
		return nil, err
	}
	if word&plain == 0 {
		var err error
		if content, err = im.codec.decompress(make([]byte, 0, metadataSize), content); err != nil {
			return nil, damagef("the metadata block at %d: %v", at, err)
		}
	}
	return &metadataBlock{content: content, next: at + 2 + int64(size)}, nil
}

// A cursor reads a table from some place on.
type cursor struct {
	im     *Image
	block  int64 // where the metadata block is
	offset int   // in the decompressed block
}

// at returns a cursor for a place in a table: how far from the table's start its block is, and the place in that.
func (im *Image) at(table int64, block uint32, offset uint16) *cursor {
	return &cursor{im, table + int64(block), int(offset)}
}

// read returns the next n bytes, which belong to the caller.
func (c *cursor) read(n int) ([]byte, error) {
	out := make([]byte, 0, n)
	for len(out) < n {
		b, err := c.im.block(c.block)
		if err != nil {
			return nil, err
		}
		if c.offset > len(b.content) {
			return nil, damagef("something in it is said to be at %d in a metadata block of %d bytes", c.offset, len(b.content))
		}
		part := b.content[c.offset:]
		if len(part) > n-len(out) {
			part = part[:n-len(out)]
		}
		out = append(out, part...)
		c.offset += len(part)
		if len(out) < n {
			// Only the last block of a table may be shorter than the others: else a table of tiny blocks could go on
			// and on.
			if len(b.content) < metadataSize {
				return nil, damagef("a metadata block at %d ends early", c.block)
			}
			c.block, c.offset = b.next, 0
		}
	}
	return out, nil
}
