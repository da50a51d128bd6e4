package squashfs

import (
	"encoding/binary"
	"io"
)

// In the list of a file's blocks and in the table of fragments, this bit of a size says that the block is not compressed.
const plainBlock = 1 << 24

// cachedFragments is how many decompressed fragments are kept: neighbours share one, and workers are at a few places.
const cachedFragments = 8

// WriteTo writes a file's content to w.
func (im *Image) WriteTo(w io.Writer, file *Inode) error {
	return (&contentReader{im: im, file: file, sizes: *file.sizes, place: file.start}).writeTo(w)
}

// A contentReader reads one file from its start to its end.
type contentReader struct {
	im    *Image
	file  *Inode
	sizes cursor
	place int64 // of the next block
}

func (r *contentReader) writeTo(w io.Writer) error {
	blockSize := int64(r.im.super.blockSize)
	for rest := r.file.Size; rest > 0; rest -= blockSize {
		want := int(min(rest, blockSize))
		read := r.block
		if int64(want) < blockSize && r.file.fragment != noFragment {
			read = r.end
		}
		content, err := read(want)
		if err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return nil
}

// block returns the next data block, which has that many bytes. One of no bytes on the disk is all zeros.
func (r *contentReader) block(want int) ([]byte, error) {
	word, err := r.sizes.read(4)
	if err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(word)
	if size == 0 {
		return make([]byte, want), nil
	}
	content, err := r.im.data(r.place, size)
	if err != nil {
		return nil, err
	}
	if len(content) != want {
		return nil, damagef("the data block at %d has %d bytes instead of %d", r.place, len(content), want)
	}
	r.place += int64(size &^ plainBlock)
	return content, nil
}

// end returns the end of the file, which is in a fragment.
func (r *contentReader) end(want int) ([]byte, error) {
	fragment, err := r.im.fragment(r.file.fragment)
	if err != nil {
		return nil, err
	}
	from := int64(r.file.offset)
	if from+int64(want) > int64(len(fragment)) {
		return nil, damagef("the end of a file is said to be at %d in a fragment of %d bytes", from, len(fragment))
	}
	return fragment[from : from+int64(want)], nil
}

// data returns the data block at a place, with its size as the image writes it.
func (im *Image) data(at int64, size uint32) ([]byte, error) {
	onDisk := size &^ plainBlock
	if onDisk > im.super.blockSize {
		return nil, damagef("the data block at %d has %d bytes", at, onDisk)
	}
	content := make([]byte, onDisk)
	if err := im.readAt(content, at); err != nil {
		return nil, err
	}
	if size&plainBlock != 0 {
		return content, nil
	}
	content, err := im.codec.decompress(make([]byte, 0, im.super.blockSize), content)
	if err != nil {
		return nil, damagef("the data block at %d: %v", at, err)
	}
	return content, nil
}

// fragment returns a decompressed fragment, which nobody may change.
//
// The table has 16 bytes for each, 512 of them a metadata block: its place, its size, and nothing. Where these blocks are
// stands, 8 bytes for each, at the place that the superblock names.
func (im *Image) fragment(number uint32) ([]byte, error) {
	im.mu.Lock()
	content, ok := im.fragments[number]
	im.mu.Unlock()
	if ok {
		return content, nil
	}
	if number >= im.super.fragments {
		return nil, damagef("it has %d fragments, and a file wants number %d", im.super.fragments, number)
	}
	const perBlock = metadataSize / 16
	var place [8]byte
	if err := im.readAt(place[:], im.super.fragmentTable+int64(number/perBlock)*8); err != nil {
		return nil, err
	}
	c := cursor{im, int64(binary.LittleEndian.Uint64(place[:])), int(number%perBlock) * 16}
	entry, err := c.read(16)
	if err != nil {
		return nil, err
	}
	content, err = im.data(int64(binary.LittleEndian.Uint64(entry)), binary.LittleEndian.Uint32(entry[8:]))
	if err != nil {
		return nil, err
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	if len(im.fragments) >= cachedFragments {
		clear(im.fragments)
	}
	im.fragments[number] = content
	return content, nil
}
