package digest

import (
	"bytes"
	"encoding/base32"
	"strings"
	"testing"
)

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
