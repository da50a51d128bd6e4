package debian

import "math/bits"

// A levelSet is a set of decisions of the solver, by number. It is never changed, so that parts may be shared. The zero
// value is empty.
type levelSet []uint64

func (s levelSet) with(level int) levelSet {
	out := make(levelSet, max(len(s), level/64+1))
	copy(out, s)
	out[level/64] |= 1 << (level % 64)
	return out
}

func (s levelSet) without(level int) levelSet {
	if level/64 >= len(s) || s[level/64]&(1<<(level%64)) == 0 {
		return s
	}
	out := append(levelSet(nil), s...)
	out[level/64] &^= 1 << (level % 64)
	return out
}

func (s levelSet) union(t levelSet) levelSet {
	if len(s) < len(t) {
		s, t = t, s
	}
	if len(t) == 0 {
		return s
	}
	out := append(levelSet(nil), s...)
	for i, word := range t {
		out[i] |= word
	}
	return out
}

// highest returns the latest decision of the set, -1 when it is empty.
func (s levelSet) highest() int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] != 0 {
			return i*64 + 63 - bits.LeadingZeros64(s[i])
		}
	}
	return -1
}
