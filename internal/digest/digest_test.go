package digest

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"strings"
	"testing"
)

// The vectors are those that BLAKE3's authors publish with the reference implementation (test_vectors.json).
func TestBLAKE3Vectors(t *testing.T) {
	const context = "BLAKE3 2019-12-27 16:29:52 test vectors context"
	tests := []struct {
		input          []byte
		plain, derived string
	}{
		{
			input:   nil,
			plain:   "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
			derived: "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d",
		},
		{
			input:   []byte{0},
			plain:   "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
			derived: "b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c",
		},
	}
	for _, tt := range tests {
		if got := Sum(tt.input).String(); got != tt.plain {
			t.Errorf("Sum(%x) = %s, want %s", tt.input, got, tt.plain)
		}
		h := New()
		_, _ = h.Write(tt.input) // It never fails.
		if got := hex.EncodeToString(h.Sum(nil)); got != tt.plain {
			t.Errorf("New, Write(%x), Sum = %s, want %s", tt.input, got, tt.plain)
		}
		if got := Digest(Derive(context, tt.input)).String(); got != tt.derived {
			t.Errorf("Derive(%x) = %s, want %s", tt.input, got, tt.derived)
		}
	}
}

// The contexts are part of the formats: none may be that of another purpose.
func TestContextsDiffer(t *testing.T) {
	seen := map[[Size]byte]string{}
	for _, context := range []string{ContextDerivation, ContextAction, ContextStorePath, ContextScratch} {
		sum := Derive(context, []byte("the same"))
		if other, ok := seen[sum]; ok {
			t.Errorf("the contexts %q and %q give the same digest", context, other)
		}
		seen[sum] = context
	}
}

func TestParse(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 4)
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if d.String() != text || d.IsZero() {
		t.Errorf("Parse(%s) = %s", text, d)
	}
	id, err := ParseDerivationID(text)
	if err != nil || id.String() != text {
		t.Errorf("ParseDerivationID(%s) = %s, %v", text, id, err)
	}
	key, err := ParseActionKey(text)
	if err != nil || key.String() != text {
		t.Errorf("ParseActionKey(%s) = %s, %v", text, key, err)
	}
	for _, bad := range []string{"", text[1:], text + "0", "x" + text[1:]} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) gave no error", bad)
		}
	}
	if !(Digest{}).IsZero() {
		t.Error("the zero digest is not zero")
	}
}

// The standard library's encoding of the same bits with the same alphabet is the oracle.
func FuzzBase32(f *testing.F) {
	oracle := base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)
	f.Add(make([]byte, Size))
	f.Add(bytes.Repeat([]byte{0xff, 0x01}, Size/2))
	f.Fuzz(func(t *testing.T, b []byte) {
		var sum [Size]byte
		copy(sum[:], b)
		got, want := Base32(sum), oracle.EncodeToString(sum[:20])
		if got != want {
			t.Errorf("Base32(%x) = %s, want %s", sum, got, want)
		}
		if len(got) != Base32Length || !IsBase32(got) {
			t.Errorf("Base32(%x) = %s is not base 32 of %d characters", sum, got, Base32Length)
		}
	})
}

func TestIsBase32(t *testing.T) {
	for text, want := range map[string]bool{"": true, "0z": true, "e": false, "o": false, "T": false, "u": false, "A": false, "é": false, "-": false} {
		if got := IsBase32(text); got != want {
			t.Errorf("IsBase32(%q) = %t, want %t", text, got, want)
		}
	}
}
