package digest

import (
	"encoding/hex"
	"testing"

	"lukechampine.com/blake3"
)

// repeating returns the input of that length of BLAKE3's test vectors.
func repeating(length int) []byte {
	b := make([]byte, length)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// The vectors are those that BLAKE3's authors publish with the reference implementation (test_vectors.json).
func TestBLAKE3Vectors(t *testing.T) {
	const context = "BLAKE3 2019-12-27 16:29:52 test vectors context"
	for _, test := range []struct {
		length         int
		plain, derived string
	}{
		{0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262", "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d"},
		{1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213", "b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c"},
		{1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11", "74a16c1c3d44368a86e1ca6df64be6a2f64cce8f09220787450722d85725dea5"},
		{1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7", "7356cd7720d5b66b6d0697eb3177d9f8d73a4a5c5e968896eb6a689684302706"},
		{1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444", "effaa245f065fbf82ac186839a249707c3bddf6d3fdda22d1b95a3c970379bcb"},
		{2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a", "7b2945cb4fef70885cc5d78a87bf6f6207dd901ff239201351ffac04e1088a23"},
		{2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030", "2ea477c5515cc3dd606512ee72bb3e0e758cfae7232826f35fb98ca1bcbdf273"},
		{5121, "628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff", "b07f01e518e702f7ccb44a267e9e112d403a7b3f4883a47ffbed4b48339b3c34"},
		{8193, "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b", "af1e0346e389b17c23200270a64aa4e1ead98c61695d917de7d5b00491c9b0f1"},
		{16384, "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4", "160e18b5878cd0df1c3af85eb25a0db5344d43a6fbd7a8ef4ed98d0714c3f7e1"},
		{31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47", "39772aef80e0ebe60596361e45b061e8f417429d529171b6764468c22928e28e"},
		{100000, "d93c23eedaf165a7e0be908ba86f1a7a520d568d2d13cde787c8580c5c72cc54", "039c0c0d76eacefea9c8d042698bd012d3cef4091ed5c5a7e32a30e4d5171893"},
	} {
		input := repeating(test.length)
		if got := Sum(input).String(); got != test.plain {
			t.Errorf("Sum of %d bytes = %s, want %s", test.length, got, test.plain)
		}
		h := New()
		_, _ = h.Write(input) // It never fails.
		if got := hex.EncodeToString(h.Sum(nil)); got != test.plain {
			t.Errorf("New, Write of %d bytes, Sum = %s, want %s", test.length, got, test.plain)
		}
		if got := Digest(Derive(context, input)).String(); got != test.derived {
			t.Errorf("Derive of %d bytes = %s, want %s", test.length, got, test.derived)
		}
	}
}

// inPieces is Join of the pieces of b, or Sum if it has one only.
func inPieces(b []byte) Digest {
	if len(b) <= PieceSize {
		return Sum(b)
	}
	var pieces []Piece
	for ; len(b) > 0; b = b[min(len(b), PieceSize):] {
		pieces = append(pieces, SumPiece(b[:min(len(b), PieceSize)], len(pieces)))
	}
	return Join(pieces)
}

// written is the digest of b written to a hasher in parts of that length. What was read in between changes nothing.
func written(b []byte, part int) (sum Digest) {
	h := New()
	for ; len(b) > 0; b = b[min(len(b), part):] {
		_, _ = h.Write(b[:min(len(b), part)]) // It never fails.
		h.Sum(sum[:0])
	}
	h.Sum(sum[:0])
	return sum
}

// The module's own hasher, which builds the tree in another way, is the oracle.
func checkSums(t *testing.T, b []byte, part int) {
	t.Helper()
	want := Digest(blake3.Sum256(b))
	if got := Sum(b); got != want {
		t.Errorf("Sum of %d bytes = %s, want %s", len(b), got, want)
	}
	if got := inPieces(b); got != want {
		t.Errorf("pieces of %d bytes give %s, want %s", len(b), got, want)
	}
	if got := written(b, part); got != want {
		t.Errorf("%d bytes written in parts of %d give %s, want %s", len(b), part, got, want)
	}
}

func TestSumOfPieces(t *testing.T) {
	for _, pieces := range []int{1, 2, 3, 4, 5, 7, 8, 9} {
		for _, more := range []int{-batch, -1, 0, 1, 1024, 1025, batch + 1} {
			checkSums(t, repeating(pieces*PieceSize+more), PieceSize-1)
		}
	}
	for _, part := range []int{1 << 10, PieceSize, PieceSize + 1, 3 * PieceSize, 1 << 30} {
		checkSums(t, repeating(5*PieceSize), part)
	}
}

func TestHasherResets(t *testing.T) {
	h := New()
	for _, length := range []int{3 * PieceSize, 10, 2*PieceSize + 1, 0} {
		b := repeating(length)
		_, _ = h.Write(b) // It never fails.
		if got, want := Digest(h.Sum(nil)), Sum(b); got != want {
			t.Errorf("%d bytes after a reset give %s, want %s", length, got, want)
		}
		h.Reset()
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte("some text"), uint16(1), uint16(4))
	f.Add(repeating(1000), uint16(700), uint16(40000))
	f.Fuzz(func(t *testing.T, text []byte, repeat, part uint16) {
		length := len(text) * (int(repeat)%1024 + 1)
		b := make([]byte, 0, length)
		for len(b) < length {
			b = append(b, text...)
		}
		checkSums(t, b, max(1, int(part)*16))
	})
}

func BenchmarkSum(b *testing.B) {
	for _, size := range []struct {
		name   string
		length int
	}{{"100B", 100}, {"1KB", 1000}, {"10KB", 10000}, {"256KiB", PieceSize}} {
		b.Run(size.name, func(b *testing.B) {
			text := repeating(size.length)
			b.SetBytes(int64(size.length))
			for b.Loop() {
				Sum(text)
			}
		})
	}
}
