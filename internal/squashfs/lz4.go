package squashfs

import (
	"encoding/binary"
	"errors"
)

// lz4Codec decompresses LZ4 blocks, which have no frame around them.
//
// A block is a row of sequences. Each begins with a token: its upper half is the number of literals, its lower half the
// length of a match less 4; 15 means that bytes follow that are added, up to one that isn't 255. After the token, and
// what is added to the number of literals, come the literals, then how far back the match is, in two bytes, then what is
// added to its length. The last sequence ends after its literals.
type lz4Codec struct{}

var errLZ4 = errors.New("it is not a block of LZ4")

func (lz4Codec) decompress(out, in []byte) ([]byte, error) {
	for len(in) > 0 {
		token := in[0]
		literals, rest, ok := lz4Length(int(token>>4), in[1:])
		if !ok || literals > len(rest) {
			return nil, errLZ4
		}
		if literals > cap(out)-len(out) {
			return nil, errTooLarge
		}
		out = append(out, rest[:literals]...)
		in = rest[literals:]
		if len(in) == 0 {
			return out, nil
		}
		if len(in) < 2 {
			return nil, errLZ4
		}
		back := int(binary.LittleEndian.Uint16(in))
		length, rest, ok := lz4Length(int(token&15), in[2:])
		if !ok || back == 0 || back > len(out) {
			return nil, errLZ4
		}
		if length += 4; length > cap(out)-len(out) {
			return nil, errTooLarge
		}
		out = appendMatch(out, back, length)
		in = rest
	}
	return nil, errLZ4 // There is no last sequence.
}

// lz4Length returns a length whose half of the token is n, and what follows.
func lz4Length(n int, in []byte) (int, []byte, bool) {
	if n < 15 {
		return n, in, true
	}
	for i, b := range in {
		n += int(b)
		if b < 255 {
			return n, in[i+1:], true
		}
	}
	return 0, nil, false
}

// appendMatch appends length bytes of those that are back bytes before the end. They may be some of the appended ones, so
// that what is there is repeated.
func appendMatch(out []byte, back, length int) []byte {
	from := len(out) - back
	for length > back {
		out = append(out, out[from:from+back]...)
		length -= back
		back *= 2
	}
	return append(out, out[from:from+length]...)
}
