package tree

import (
	"nbuild/internal/digest"
)

// A Match is one occurrence of a hash part.
type Match struct {
	Hash   string // one of the Hashes that were looked for
	Offset int64  // of its first byte in the file's content or the symlink's target
}

// Hashes is a set of hash parts to look for: texts of digest.Base32Length base-32 characters.
// Once made it is safe for concurrent use. A nil *Hashes is empty.
type Hashes struct {
	index map[string]string // to the caller's own text, so that a match allocates nothing
	first [1 << 16]bool     // the first two bytes of each: most runs of base-32 characters end here
}

// NewHashes returns the set of the given hash parts.
func NewHashes(hashes ...string) *Hashes {
	set := &Hashes{index: make(map[string]string, len(hashes))}
	for _, h := range hashes {
		set.index[h] = h
		set.first[pair(h[0], h[1])] = true
	}
	return set
}

// Len returns the number of hash parts in the set.
func (h *Hashes) Len() int {
	if h == nil {
		return 0
	}
	return len(h.index)
}

func pair(a, b byte) int { return int(a)<<8 | int(b) }

// A Scanner finds hash parts in a stream of bytes, also where they lie across two writes.
// Its zero value finds nothing; make one by Hashes.Scanner. It is not safe for concurrent use.
type Scanner struct {
	hashes *Hashes
	base32 [256]bool
	offset int64 // of the first byte of tail in the stream
	tail   []byte
	border []byte // scratch: the end of one write and the beginning of the next
	found  []Match
}

// Scanner returns a scanner for one stream after another (see Reset).
func (h *Hashes) Scanner() *Scanner {
	s := &Scanner{hashes: h}
	for c := range s.base32 {
		s.base32[c] = digest.IsBase32Byte(byte(c))
	}
	return s
}

// Reset makes the scanner ready for another stream.
func (s *Scanner) Reset() {
	s.offset, s.tail, s.found = 0, s.tail[:0], nil
}

// Matches returns what was found so far, by offset. The slice is the caller's.
func (s *Scanner) Matches() []Match { return s.found }

// Write scans the next bytes of the stream. It never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	const keep = digest.Base32Length - 1
	if s.hashes.Len() == 0 || len(p) == 0 {
		return len(p), nil
	}
	if len(s.tail) > 0 {
		// A hash part that begins in the tail ends among the first 31 bytes of p; one that begins in p is found below.
		s.border = append(append(s.border[:0], s.tail...), p[:min(keep, len(p))]...)
		s.scan(s.border, s.offset)
	}
	start := s.offset + int64(len(s.tail))
	s.scan(p, start)
	end := start + int64(len(p))
	if len(p) >= keep {
		s.tail = append(s.tail[:0], p[len(p)-keep:]...)
	} else {
		s.tail = append(s.tail, p...)
		s.tail = append(s.tail[:0], s.tail[max(0, len(s.tail)-keep):]...)
	}
	s.offset = end - int64(len(s.tail))
	return len(p), nil
}

// scan looks for hash parts that lie wholly in b, whose first byte has the given offset in the stream.
//
// Approach (that of Boyer and Moore, as in Nix): look at a window of 32 bytes from its end. The first byte from the end
// that is not a base-32 character rules out every window that covers it, so the next window begins behind it. In machine
// code and text nearly every window is left after one to eight bytes. Bytes that were seen to be base-32 characters are
// not looked at again, so a long run of them costs one look-up in a table for each byte.
func (s *Scanner) scan(b []byte, offset int64) {
	const size = digest.Base32Length
	set := &s.base32
	for i, good := 0, 0; i+size <= len(b); { // b[i:good] is known to be base 32
		window := b[i : i+size]
		j := size - 1
		low := max(good-i, 0)
		for j >= low && set[window[j]] {
			j--
		}
		if j >= low {
			good, i = i+size, i+j+1
			continue
		}
		if s.hashes.first[pair(window[0], window[1])] {
			if hash, ok := s.hashes.index[string(window)]; ok {
				s.found = append(s.found, Match{Hash: hash, Offset: offset + int64(i)})
			}
		}
		good = i + size
		i++
	}
}
