package digest

import (
	"encoding/binary"
	"hash"
	"math/bits"
	"slices"

	"lukechampine.com/blake3/guts"
)

// BLAKE3 cuts a text into chunks of 1 KiB, and joins their chaining values by two and two to a binary tree, of which every
// left part is full: it has a power of two of chunks, the largest that leaves something to the right. So the value of a
// part needs only its bytes and where they begin, and parts can be hashed at the same time.

// PieceSize is how long each Piece of a text is but the last, in bytes: it and the code that reads it stay in a
// processor's own cache. Formats don't depend on it.
const PieceSize = 256 << 10

// A mode is what one purpose begins each hash with.
type mode struct {
	key   [8]uint32
	flags uint32
}

// plain is the mode of contents.
var plain = &mode{key: guts.IV}

// deriving returns the mode of a derive-key context.
func deriving(context string) *mode {
	sum := root(node([]byte(context), &mode{guts.IV, guts.FlagDeriveKeyContext}, 0))
	m := &mode{flags: guts.FlagDeriveKeyMaterial}
	for i := range m.key {
		m.key[i] = binary.LittleEndian.Uint32(sum[4*i:])
	}
	return m
}

// A Piece is what the digest of a text needs of one part of it. It is no digest: the whole text's is Join's.
type Piece [8]uint32

// SumPiece returns piece number i, from 0, of a text. b has PieceSize bytes, or fewer if it is the text's last.
func SumPiece(b []byte, i int) Piece {
	return guts.ChainingValue(node(b, plain, uint64(i)*(PieceSize/guts.ChunkSize)))
}

// Join returns the digest of the text that has these pieces: the same as Sum of the whole. There must be two at least, as
// the digest of one is not made of its chaining value.
func Join(pieces []Piece) Digest { return root(joined(pieces, plain)) }

// joined returns the root of the tree over at least two pieces.
func joined(pieces []Piece, m *mode) guts.Node {
	value := func(part []Piece) Piece {
		if len(part) == 1 {
			return part[0]
		}
		return guts.ChainingValue(joined(part, m))
	}
	at := full(len(pieces))
	return guts.ParentNode(value(pieces[:at]), value(pieces[at:]), &m.key, m.flags)
}

// full returns how many of n, which are two at least, are in the left part: the largest power of two below n.
func full(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// batch is how many bytes one call of the vector code hashes.
const batch = guts.MaxSIMD * guts.ChunkSize

// node returns the root of the tree over b, whose first chunk has the number chunk in its text.
func node(b []byte, m *mode, chunk uint64) guts.Node {
	switch {
	case len(b) <= guts.ChunkSize:
		return guts.CompressChunk(b, &m.key, chunk, m.flags)
	case len(b) < batch:
		var whole [batch]byte // The vector code reads it all.
		return guts.CompressBuffer(&whole, copy(whole[:], b), &m.key, chunk, m.flags)
	case len(b) == batch:
		return guts.CompressBuffer((*[batch]byte)(b), batch, &m.key, chunk, m.flags)
	}
	at := full(len(b))
	left := guts.ChainingValue(node(b[:at], m, chunk))
	right := guts.ChainingValue(node(b[at:], m, chunk+uint64(at/guts.ChunkSize)))
	return guts.ParentNode(left, right, &m.key, m.flags)
}

// root returns the digest of the text whose tree has the root n.
func root(n guts.Node) (sum [Size]byte) {
	n.Flags |= guts.FlagRoot
	for i, word := range guts.ChainingValue(n) {
		binary.LittleEndian.PutUint32(sum[4*i:], word)
	}
	return sum
}

// A hasher hashes what is written to it, piece by piece.
type hasher struct {
	pieces []Piece
	rest   []byte // of what is not in a piece yet; never empty if there are pieces
}

var _ hash.Hash = (*hasher)(nil)

// Write adds to the text. It never fails.
func (h *hasher) Write(b []byte) (int, error) {
	n := len(b)
	for len(h.rest)+len(b) > PieceSize {
		if len(h.rest) == 0 {
			h.add(b[:PieceSize])
			b = b[PieceSize:]
			continue
		}
		missing := PieceSize - len(h.rest)
		h.add(append(h.rest, b[:missing]...))
		h.rest, b = h.rest[:0], b[missing:]
	}
	h.rest = append(h.rest, b...)
	return n, nil
}

func (h *hasher) add(piece []byte) { h.pieces = append(h.pieces, SumPiece(piece, len(h.pieces))) }

// Sum appends the digest of what was written. More can be written afterwards.
func (h *hasher) Sum(b []byte) []byte {
	sum := Sum(h.rest)
	if len(h.pieces) > 0 {
		sum = Join(append(slices.Clip(h.pieces), SumPiece(h.rest, len(h.pieces))))
	}
	return append(b, sum[:]...)
}

// Reset forgets what was written.
func (h *hasher) Reset() { h.pieces, h.rest = h.pieces[:0], h.rest[:0] }

// Size returns Size.
func (h *hasher) Size() int { return Size }

// BlockSize returns that of BLAKE3, which matters to nobody here.
func (h *hasher) BlockSize() int { return guts.BlockSize }
