// Package storepath has the names of store objects: /nbuild/store/<32 characters>-<name>.
package storepath

import (
	"fmt"
	"strings"

	"nbuild/internal/digest"
)

// Prefix is the logical folder of every store object, the one that builds, guests and images see.
// Where the objects lie on the host is the store's business.
const Prefix = "/nbuild/store"

// PlaceholderPrefix is the folder of names that stand for an output before it is built (see Placeholder).
const PlaceholderPrefix = "/nbuild/unbuilt"

// MaxName is the longest name in bytes: a file name on Linux holds 255, and the hash part and some temporary suffix need room.
const MaxName = 200

// Path is a logical store path. The zero value is invalid.
type Path string

// New returns the path of the object called name whose hash part is the base-32 form of sum.
// The name must be valid by ValidateName.
func New(sum [digest.Size]byte, name string) Path {
	return Path(Prefix + "/" + digest.Base32(sum) + "-" + name)
}

// Parse checks that s is exactly a store path: prefix, hash part and name, and nothing below it.
func Parse(s string) (Path, error) {
	base, ok := strings.CutPrefix(s, Prefix+"/")
	if !ok {
		return "", fmt.Errorf("parse store path %q: does not begin with %s/", s, Prefix)
	}
	if len(base) < digest.Base32Length+2 || base[digest.Base32Length] != '-' || !digest.IsBase32(base[:digest.Base32Length]) {
		return "", fmt.Errorf("parse store path %q: want %s/<%d characters>-<name>", s, Prefix, digest.Base32Length)
	}
	if err := ValidateName(base[digest.Base32Length+1:]); err != nil {
		return "", fmt.Errorf("parse store path %q: %v", s, err)
	}
	return Path(s), nil
}

// ValidateName reports why name can't be the name of a store object, or nil.
// Letters, digits and any of "+-._?=~" are allowed; it must not be empty, begin with a dot or exceed MaxName bytes.
func ValidateName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("the name %q is longer than %d bytes", name, MaxName)
	case name[0] == '.':
		return fmt.Errorf("the name %q begins with a dot", name)
	}
	for _, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("+-._?=~", c)) {
			return fmt.Errorf("the name %q has the character %q; letters, digits and any of +-._?=~ are allowed", name, c)
		}
	}
	return nil
}

// Base returns the last element, "<hash part>-<name>": the object's file name in the store's folder.
func (p Path) Base() string { return string(p[len(Prefix)+1:]) }

// Hash returns the 32 characters that occur in an object's bytes wherever it refers to p.
func (p Path) Hash() string { return p.Base()[:digest.Base32Length] }

// Name returns what stands after the hash part.
func (p Path) Name() string { return p.Base()[digest.Base32Length+1:] }

// Placeholder returns the text that stands for an output of a derivation until its store path is known.
// It ends in the name of the object, and can't be taken for a store path.
func Placeholder(id digest.DerivationID, output, name string) string {
	sum := digest.Derive(digest.ContextScratch, []byte("placeholder "+id.String()+" "+output))
	return PlaceholderPrefix + "/" + digest.Base32(sum) + "-" + name
}
