package debian

import (
	"fmt"
	"strings"
)

// CompareVersions orders two package versions as dpkg does: epoch, upstream version, revision. It returns -1, 0 or +1.
// A missing epoch is 0 and a missing revision sorts as "0". Texts that ValidateVersion refuses compare somehow, but consistently.
//
// Source: deb-version(7), "Sorting algorithm".
func CompareVersions(a, b string) int {
	if a == b {
		return 0 // The usual case: dependencies among packages of one source.
	}
	epochA, upstreamA, revisionA := splitVersion(a)
	epochB, upstreamB, revisionB := splitVersion(b)
	if c := compareDigits(epochA, epochB); c != 0 {
		return c
	}
	if c := comparePart(upstreamA, upstreamB); c != 0 {
		return c
	}
	return comparePart(revisionA, revisionB)
}

func splitVersion(s string) (epoch, upstream, revision string) {
	if e, rest, ok := strings.Cut(s, ":"); ok {
		epoch, s = e, rest
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return epoch, s[:i], s[i+1:]
	}
	return epoch, s, ""
}

// comparePart compares what isn't a digit character by character, then what is as a number, and so on in turn.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		for (a != "" && !isDigit(a[0])) || (b != "" && !isDigit(b[0])) {
			if d := rank(a) - rank(b); d != 0 {
				return sign(d)
			}
			// Equal ranks that aren't of a digit or the end: the same character stands in both.
			a, b = a[1:], b[1:]
		}
		i, j := digits(a), digits(b)
		if c := compareDigits(a[:i], b[:j]); c != 0 {
			return c
		}
		a, b = a[i:], b[j:]
	}
	return 0
}

// rank places the first character of s: a tilde before the end of the text (or a digit), then letters, then all others.
func rank(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case isLetter(s[0]):
		return int(s[0])
	}
	return int(s[0]) + 256
}

func digits(s string) int {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return i
		}
	}
	return len(s)
}

// compareDigits compares numbers of any length: dpkg's are not bounded either.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// ValidateVersion reports why s is not a version that dpkg accepts, or nil.
func ValidateVersion(s string) error {
	epoch, rest, hasEpoch := strings.Cut(s, ":")
	if hasEpoch && (epoch == "" || digits(epoch) != len(epoch) || compareDigits(epoch, "2147483647") > 0) {
		return fmt.Errorf("parse version %q: the epoch %q is not a number up to 2147483647", s, epoch)
	}
	if !hasEpoch {
		rest = s
	}
	_, upstream, revision := splitVersion("0:" + rest)
	switch {
	case upstream == "":
		return fmt.Errorf("parse version %q: the upstream version is empty", s)
	case !isDigit(upstream[0]):
		return fmt.Errorf("parse version %q: the upstream version does not begin with a digit", s)
	}
	if c, ok := firstOutside(upstream, ".-+~:"); !ok {
		return fmt.Errorf("parse version %q: the upstream version has the character %q", s, c)
	}
	if c, ok := firstOutside(revision, ".+~"); !ok {
		return fmt.Errorf("parse version %q: the revision has the character %q", s, c)
	}
	return nil
}

// firstOutside returns the first byte that is neither letter, digit nor in others; ok is true when there is none.
func firstOutside(s, others string) (c byte, ok bool) {
	for i := range len(s) {
		if !isDigit(s[i]) && !isLetter(s[i]) && strings.IndexByte(others, s[i]) < 0 {
			return s[i], false
		}
	}
	return 0, true
}
