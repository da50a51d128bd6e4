package tree

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/internal/digest"
)

func hashOf(text string) string { return digest.Base32(digest.Sum([]byte(text))) }

// naiveMatches is the oracle: every position of every hash part by comparison alone.
func naiveMatches(b []byte, hashes []string) []Match {
	var found []Match
	for i := range b {
		for _, h := range hashes {
			if bytes.HasPrefix(b[i:], []byte(h)) {
				found = append(found, Match{Hash: h, Offset: int64(i)})
			}
		}
	}
	return found
}

func scanInPieces(b []byte, piece int, hashes []string) []Match {
	s := NewHashes(hashes...).Scanner()
	for len(b) > 0 {
		n := min(piece, len(b))
		_, _ = s.Write(b[:n]) // A Scanner's Write never fails.
		b = b[n:]
	}
	return s.Matches()
}

func TestScanner(t *testing.T) {
	a, b := hashOf("a"), hashOf("b")
	zeros := strings.Repeat("0", 32)
	tests := []struct{ name, text string }{
		{"nothing", "no hash part in here, only words and numbers 0123456789"},
		{"alone", a},
		{"in a path", "exec /nbuild/store/" + a + "-tool --flag"},
		{"twice", a + "-x " + a},
		{"side by side", a + b + a},
		{"inside a longer run", "0123" + a + "zzzz" + b + "1"},
		{"all but the last byte", a[:31]},
		{"all but the first byte", a[1:] + "-"},
		{"interrupted", a[:16] + "-" + a[16:]},
		{"overlapping runs", strings.Repeat("0", 70)},
		{"upper case", strings.ToUpper(a)},
		{"between NULs", "\x00\x00" + b + "\x00"},
	}
	hashes := []string{a, b, zeros}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := naiveMatches([]byte(test.text), hashes)
			for _, piece := range []int{1, 2, 3, 7, 30, 31, 32, 33, 64, 1 << 20} {
				if diff := cmp.Diff(want, scanInPieces([]byte(test.text), piece, hashes)); diff != "" {
					t.Errorf("in pieces of %d (-want +got):\n%s", piece, diff)
				}
			}
		})
	}
}

func TestScannerReset(t *testing.T) {
	a := hashOf("a")
	s := NewHashes(a).Scanner()
	_, _ = s.Write([]byte(a[:20]))
	s.Reset()
	_, _ = s.Write([]byte(a[20:] + a))
	if diff := cmp.Diff([]Match{{Hash: a, Offset: 12}}, s.Matches()); diff != "" {
		t.Errorf("after Reset (-want +got):\n%s", diff)
	}
}

func FuzzScanner(f *testing.F) {
	a, b := hashOf("a"), hashOf("b")
	f.Add([]byte("x"+a+b), uint8(5))
	f.Add([]byte(a[:31]+a), uint8(31))
	f.Fuzz(func(t *testing.T, text []byte, piece uint8) {
		// Mutated text hardly ever keeps a hash part whole; bytes 1 and 2 stand for the two.
		text = bytes.ReplaceAll(text, []byte{1}, []byte(a))
		text = bytes.ReplaceAll(text, []byte{2}, []byte(b))
		hashes := []string{a, b}
		got := scanInPieces(text, int(piece)+1, hashes)
		if diff := cmp.Diff(naiveMatches(text, hashes), got); diff != "" {
			t.Errorf("in pieces of %d (-want +got):\n%s", int(piece)+1, diff)
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	hashes := make([]string, 300)
	for i := range hashes {
		hashes[i] = hashOf(strings.Repeat("x", i))
	}
	random := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(random) // It never fails.
	inputs := map[string][]byte{
		"random": random,
		"zeros":  make([]byte, 1<<20),
		"text":   bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog; "), 1<<20/45),
		"base32": []byte(strings.Repeat(hashOf("run"), 1<<15)),
	}
	for name, input := range inputs {
		b.Run(name, func(b *testing.B) {
			s := NewHashes(hashes...).Scanner()
			b.SetBytes(int64(len(input)))
			for b.Loop() {
				s.Reset()
				_, _ = s.Write(input)
			}
		})
	}
}
