package squashfs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// checkDamaged extracts an image that may be damaged: it is an image, or the error says that it isn't, and nothing is
// written but below the folder, and no more than allowed.
func checkDamaged(t *testing.T, image []byte, most int64) {
	t.Helper()
	dir := t.TempDir()
	top := filepath.Join(dir, "tree")
	err := extractAll(t, image, top, most)
	var wrong interface{ IsInput() bool } // a *DamageError or, at the start of the image, a *FormatError
	if err != nil && (!errors.As(err, &wrong) || !wrong.IsInput()) {
		t.Errorf("extract: %v (%T), want a *DamageError or a *FormatError", err, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 1 {
		t.Errorf("beside the tree there are %v, %v", entries, err)
	}
	if _, err := os.Lstat(top); err != nil {
		return
	}
	var size int64
	for _, what := range readTree(t, top) {
		if what != "/" && what[:min(3, len(what))] != "-> " {
			size += int64(len(what))
		}
	}
	if size > most+2*1000 { // "x " before some.
		t.Errorf("%d bytes were written, and %d allowed", size, most)
	}
	makeRemovable(t, top)
}

// makeRemovable lets t.TempDir remove what has no right to be written to.
func makeRemovable(t *testing.T, top string) {
	t.Helper()
	if err := os.RemoveAll(top); err != nil {
		t.Error(err)
	}
}

// TestDamage sets each byte of small images to two other values, one after another.
func TestDamage(t *testing.T) {
	for _, image := range [][]byte{smallImage(t), nested(t)} {
		for at := range image {
			for _, value := range []byte{0xff, image[at] + 1} {
				damaged := bytes.Clone(image)
				damaged[at] = value
				checkDamaged(t, damaged, 1000)
			}
		}
	}
}

// TestDamageCompressed damages what the codecs are given.
func TestDamageCompressed(t *testing.T) {
	for _, name := range []string{"zstd", "lz4", "xz"} {
		image := testImage(t, name)
		for at := superblockSize; at < len(image); at += 1999 {
			damaged := bytes.Clone(image)
			damaged[at] ^= 0x55
			checkDamaged(t, damaged, enough)
		}
	}
}

func TestCutOff(t *testing.T) {
	image := smallImage(t)
	for size := range image {
		if err := extractAll(t, image[:size], filepath.Join(t.TempDir(), "x"), 1000); err == nil {
			t.Errorf("an image of %d bytes of %d is taken", size, len(image))
		}
	}
}

func FuzzExtract(f *testing.F) {
	for _, image := range [][]byte{smallImage(f), nested(f), testImage(f, "zstd"), testImage(f, "lz4"), testImage(f, "xz")} {
		f.Add(image)
	}
	f.Fuzz(func(t *testing.T, image []byte) { checkDamaged(t, image, 1<<20) })
}

// FuzzLZ4: whatever the input, a block keeps to its room, and agrees with a decoder that is written as the format's
// description says, a byte at a time.
func FuzzLZ4(f *testing.F) {
	f.Add([]byte("\x50hello"))
	f.Add([]byte("\x1fa\x01\x00\x05\x50hello"))
	f.Add([]byte("\xf0\x00" + "0123456789abcde"))
	f.Fuzz(func(t *testing.T, in []byte) {
		const most = 4096
		got, err := lz4Codec{}.decompress(make([]byte, 0, most), in)
		want, ok := naiveLZ4(in, most)
		if ok != (err == nil) || ok && !bytes.Equal(got, want) {
			t.Errorf("decompress(%q) = %q, %v; want %q, %t", in, got, err, want, ok)
		}
	})
}

// naiveLZ4 reports false where a block is wrong, or has more than most bytes.
func naiveLZ4(in []byte, most int) (out []byte, ok bool) {
	next := func() (b int) {
		if len(in) == 0 {
			return -1
		}
		b, in = int(in[0]), in[1:]
		return b
	}
	length := func(half int) int {
		for more := 255; half >= 15 && more == 255; half += more {
			if more = next(); more < 0 {
				return -1
			}
		}
		return half
	}
	for {
		token := next()
		if token < 0 {
			return nil, false
		}
		literals := length(token >> 4)
		if literals < 0 {
			return nil, false
		}
		for range literals {
			b := next()
			if b < 0 {
				return nil, false
			}
			out = append(out, byte(b))
		}
		if len(out) > most {
			return nil, false
		}
		if len(in) == 0 {
			return out, true
		}
		low, high := next(), next()
		match := length(token & 15)
		back := low + high<<8
		if high < 0 || match < 0 || back == 0 || back > len(out) {
			return nil, false
		}
		for range match + 4 {
			out = append(out, out[len(out)-back])
		}
		if len(out) > most {
			return nil, false
		}
	}
}

func TestLZ4(t *testing.T) {
	repeated := bytes.Repeat([]byte("ab"), 300)
	for _, test := range []struct {
		name, in string
		want     []byte // nil: it is refused
	}{
		{"literals", "\x50hello", []byte("hello")},
		{"many literals", "\xf0\x00" + "0123456789abcde", []byte("0123456789abcde")},
		{"a match that overlaps", "\x2f" + "ab" + "\x02\x00" + "\xff\xff\x45" + "\x00", repeated[:2+15+255+255+0x45+4]},
		{"nothing", "", nil},
		{"no end", "\x50hell", nil},
		{"back too far", "\x10a\x02\x00\x00", nil},
		{"back nowhere", "\x10a\x00\x00\x00", nil},
		{"no last literals", "\x10a\x01\x00", nil},
		{"too much", "\x1fa\x01\x00" + string(bytes.Repeat([]byte{0xff}, 20)) + "\x00\x00", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := lz4Codec{}.decompress(make([]byte, 0, 4096), []byte(test.in))
			if (err == nil) != (test.want != nil) || err == nil && !slices.Equal(got, test.want) {
				t.Errorf("decompress = %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// A codec says when something has more bytes than a block may have: a bomb.
func TestBombs(t *testing.T) {
	bombs := map[uint16]string{
		// 20,000 zeros, by the programs xz and zstd.
		4: "testdata/bomb.xz", 6: "testdata/bomb.zst",
	}
	for compressor, file := range bombs {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := newCodec(compressor)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := c.decompress(make([]byte, 0, 8192), in); err == nil {
			t.Errorf("%s: %d bytes came of it", file, len(out))
		}
		if out, err := c.decompress(make([]byte, 0, 20000), in); err != nil || len(out) != 20000 {
			t.Errorf("%s: %d bytes of 20000: %v", file, len(out), err)
		}
		if _, err := c.decompress(make([]byte, 0, 20000), in[:len(in)-9]); err == nil {
			t.Errorf("%s: an input without its end is taken", file)
		}
	}
}
