// Package digest has the identities nbuild works with: 32-byte BLAKE3 values, each purpose a type and a context of its own.
package digest

import (
	"encoding/hex"
	"fmt"
	"hash"
)

// Size is the length of every identity in bytes.
const Size = 32

// Digest is the plain BLAKE3 hash of some bytes: of a file's content, or of a directory's canonical encoding.
// The zero value is the digest of nothing and never valid.
type Digest [Size]byte

// DerivationID is the digest of a derivation's canonical text, inputs named by derivation id.
// The zero value is invalid.
type DerivationID [Size]byte

// ActionKey is the digest of a resolved derivation's canonical text, inputs named by store path.
// The zero value is invalid.
type ActionKey [Size]byte

// The derive-key contexts of BLAKE3, one per purpose. They are part of the formats in docs/formats.md.
const (
	ContextDerivation = "nbuild 2026-11 derivation id v1"
	ContextAction     = "nbuild 2026-11 action key v1"
	ContextStorePath  = "nbuild 2026-11 store path v1"
	ContextScratch    = "nbuild 2026-11 scratch path v1"
	ContextAccount    = "nbuild 2026-11 account number v1"
)

// New returns a plain BLAKE3 hasher with 32 bytes of output, as for file contents. Its Write never fails.
func New() hash.Hash { return new(hasher) }

// Sum returns the plain BLAKE3 digest of b.
func Sum(b []byte) Digest { return root(node(b, plain, 0)) }

// Derive returns the BLAKE3 hash of b under a derive-key context.
func Derive(context string, b []byte) [Size]byte {
	m, known := derivations[context]
	if !known {
		m = deriving(context)
	}
	return root(node(b, m, 0))
}

// derivations has the modes of the contexts that thousands of ids are derived under.
var derivations = map[string]*mode{
	ContextDerivation: deriving(ContextDerivation),
	ContextAction:     deriving(ContextAction),
	ContextStorePath:  deriving(ContextStorePath),
	ContextScratch:    deriving(ContextScratch),
}

// String returns d in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the invalid zero value.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns id in lower-case hexadecimal.
func (id DerivationID) String() string { return hex.EncodeToString(id[:]) }

// String returns k in lower-case hexadecimal.
func (k ActionKey) String() string { return hex.EncodeToString(k[:]) }

// Parse reads the 64 hexadecimal digits that Digest.String writes.
func Parse(s string) (Digest, error) {
	b, err := parse(s)
	return Digest(b), err
}

// ParseDerivationID reads the 64 hexadecimal digits that DerivationID.String writes.
func ParseDerivationID(s string) (DerivationID, error) {
	b, err := parse(s)
	return DerivationID(b), err
}

// ParseActionKey reads the 64 hexadecimal digits that ActionKey.String writes.
func ParseActionKey(s string) (ActionKey, error) {
	b, err := parse(s)
	return ActionKey(b), err
}

func parse(s string) ([Size]byte, error) {
	var out [Size]byte
	if len(s) != 2*Size {
		return out, fmt.Errorf("parse digest %q: want %d hexadecimal digits, got %d characters", s, 2*Size, len(s))
	}
	if _, err := hex.Decode(out[:], []byte(s)); err != nil {
		return out, fmt.Errorf("parse digest %q: %v", s, err)
	}
	return out, nil
}

// alphabet is that of base 32 without e, o, t and u, as Nix uses it: no word appears in a hash by chance.
const alphabet = "0123456789abcdfghijklmnpqrsvwxyz"

// Base32Length is the length of the text Base32 returns.
const Base32Length = 32

// Base32 returns the first 160 bits of sum as 32 characters, most significant bit first.
func Base32(sum [Size]byte) string {
	out := make([]byte, 0, Base32Length)
	for i := 0; i < 20; i += 5 {
		v := uint64(sum[i])<<32 | uint64(sum[i+1])<<24 | uint64(sum[i+2])<<16 | uint64(sum[i+3])<<8 | uint64(sum[i+4])
		for shift := 35; shift >= 0; shift -= 5 {
			out = append(out, alphabet[v>>shift&31])
		}
	}
	return string(out)
}

// IsBase32 reports whether every character of s is one that Base32 writes.
func IsBase32(s string) bool {
	for i := range len(s) {
		if !IsBase32Byte(s[i]) {
			return false
		}
	}
	return true
}

// IsBase32Byte reports whether c is one of the characters that Base32 writes.
func IsBase32Byte(c byte) bool { return base32Bytes[c] }

var base32Bytes = func() (set [256]bool) {
	for i := range len(alphabet) {
		set[alphabet[i]] = true
	}
	return set
}()
