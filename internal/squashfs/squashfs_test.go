package squashfs

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var treeFlag = flag.String("tree", "", "make the tree that the images in testdata have, for testdata/make.sh")

// testTree returns the tree that the images in testdata have: by path, a file's content, with "x " before it when it can be
// run; "-> target" of a symlink, "/" for a folder.
func testTree() map[string]string {
	tree := map[string]string{
		"":              "/",
		"empty":         "",
		"folder":        "/",
		"folder/none":   "/",
		"hello":         "hello\n",
		"link":          "-> hello",
		"long":          "-> " + strings.Repeat("../", 200) + "end",
		"program":       "x #!/bin/sh\nexit 0\n",
		"with blank é":  "a name\n",
		"not\xffutf8":   "a name\n",
		"block":         strings.Repeat("0123456789abcdef", 256),                // one block of 4 KiB, and no end
		"blocks":        noise(3*4096) + strings.Repeat("again ", 4000) + "end", // blocks that can't be compressed, and others
		"sparse":        strings.Repeat("\x00", 40000) + "end",
		"many":          "/",
		"deep":          "/",
		"deep/er":       "/",
		"deep/er/still": "-> ../../hello",
	}
	for i := range 700 { // more than two runs and a metadata block of entries
		tree[fmt.Sprintf("many/file-%03d-%s", i, strings.Repeat("n", 20))] = fmt.Sprintln(i % 10)
	}
	return tree
}

// noise returns n bytes that look like chance.
func noise(n int) string {
	b := make([]byte, n)
	state := uint32(1)
	for i := range b {
		state = state*1664525 + 1013904223
		b[i] = byte(state >> 24)
	}
	return string(b)
}

// TestTree makes the tree if it is told to.
func TestTree(t *testing.T) {
	if *treeFlag == "" {
		t.Skip("there is no -tree")
	}
	tree := testTree()
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		if err := makeEntry(filepath.Join(*treeFlag, name), tree[name]); err != nil {
			t.Fatal(err)
		}
	}
}

func makeEntry(file, what string) error {
	if what == "/" {
		return os.MkdirAll(file, 0o755)
	}
	if target, ok := strings.CutPrefix(what, "-> "); ok {
		return os.Symlink(target, file)
	}
	if content, ok := strings.CutPrefix(what, "x "); ok {
		return os.WriteFile(file, []byte(content), 0o755)
	}
	return os.WriteFile(file, []byte(what), 0o644)
}

// readTree returns what is at file as testTree has it.
func readTree(t testing.TB, top string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := filepath.WalkDir(top, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(file, top), "/")
		tree[name], err = readEntry(file, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func readEntry(file string, e fs.DirEntry) (string, error) {
	switch e.Type() {
	case fs.ModeDir:
		return "/", nil
	case fs.ModeSymlink:
		target, err := os.Readlink(file)
		return "-> " + target, err
	}
	info, err := e.Info()
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(file)
	if info.Mode()&0o100 != 0 {
		return "x " + string(content), err
	}
	return string(content), err
}

func openBytes(b []byte) (*Image, error) { return Open(bytes.NewReader(b), int64(len(b))) }

func testImage(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".squashfs")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// extractAll extracts a whole image.
func extractAll(t testing.TB, image []byte, file string, most int64) error {
	im, err := openBytes(image)
	if err != nil {
		return err
	}
	root, err := im.Root()
	if err != nil {
		return err
	}
	return im.Extract(t.Context(), root, file, most)
}

// enough is how many bytes the files of testTree have at most.
const enough = 1 << 20

func TestExtract(t *testing.T) {
	for _, name := range []string{"zstd", "lz4", "xz", "none"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "tree")
			if err := extractAll(t, testImage(t, name), dir, enough); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(testTree(), readTree(t, dir)); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExtractOneFile(t *testing.T) {
	im, err := openBytes(testImage(t, "zstd"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"hello": "hello\n", "deep/er/still": "-> ../../hello", "folder/none": "/", "program": "x #!/bin/sh\nexit 0\n"} {
		in, err := im.Lookup(path)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "it")
		if err := im.Extract(t.Context(), in, file, 100); err != nil {
			t.Fatal(err)
		}
		if got := readTree(t, file)[""]; got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}

func TestLookup(t *testing.T) {
	im, err := openBytes(testImage(t, "lz4"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"nothing", "hello/x", "deep/nothing", "", "..", "link/x"} {
		if in, err := im.Lookup(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Lookup(%q) = %v, %v; want nothing", path, in, err)
		}
	}
	in, err := im.Lookup("sparse")
	if err != nil || in.Size != 40003 || !in.Mode.IsRegular() {
		t.Fatalf("Lookup(sparse) = %v, %v", in, err)
	}
	var content bytes.Buffer
	if err := im.WriteTo(&content, in); err != nil || content.String() != testTree()["sparse"] {
		t.Errorf("WriteTo wrote %d bytes: %v", content.Len(), err)
	}
}

// TestExtractStops: not a byte more is written than is allowed.
func TestExtractStops(t *testing.T) {
	image := testImage(t, "zstd")
	var size int64
	for _, what := range testTree() {
		if what != "/" && !strings.HasPrefix(what, "-> ") {
			size += int64(len(strings.TrimPrefix(what, "x ")))
		}
	}
	if err := extractAll(t, image, filepath.Join(t.TempDir(), "all"), size); err != nil {
		t.Errorf("extract %d bytes: %v", size, err)
	}
	err := extractAll(t, image, filepath.Join(t.TempDir(), "less"), size-1)
	if want := "the image is damaged: the files of an object have more bytes than are registered"; fmt.Sprint(err) != want {
		t.Errorf("extract with a byte less: %v, want %q", err, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := testImage(t, "none")
	for _, test := range []struct {
		name   string
		change func(b []byte) []byte
		want   string
	}{
		{"short", func(b []byte) []byte { return b[:95] }, "it is no squashfs image: it has 95 bytes, and an image at least 96"},
		{"something else", func(b []byte) []byte { b[0] = 'x'; return b }, "it is no squashfs image"},
		{"older version", func(b []byte) []byte { b[28] = 3; return b }, "it is a squashfs image of version 3.0, and nbuild reads 4.0"},
		{"cut off", func(b []byte) []byte { return b[:len(b)-4096] }, fmt.Sprintf("the image is damaged: it has %d bytes, and says that it has ", len(good)-4096)},
		{"block size", func(b []byte) []byte { b[14] = 0x20; return b }, "the image is damaged: its block size is 2101248"},
		{"block size's logarithm", func(b []byte) []byte { b[22]++; return b }, "the image is damaged: its block size is 4096"},
		{"table of inodes", func(b []byte) []byte { b[71] = 0x80; return b }, "the image is damaged: its tables are not in their places"},
		{"table of folders", func(b []byte) []byte { b[77]++; return b }, "the image is damaged: its tables are not in their places"},
		{"table of fragments", func(b []byte) []byte { b[87] = 0x7f; return b }, "the image is damaged: its table of fragments is not in its place"},
		{"unknown compressor", func(b []byte) []byte { b[20] = 9; return b }, "it is a squashfs image compressed with something unknown, number 9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := openBytes(test.change(bytes.Clone(good)))
			var wrong interface{ IsInput() bool }
			if !errors.As(err, &wrong) || !wrong.IsInput() || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("Open: %v, want %q", err, test.want)
			}
		})
	}
	_, err := openBytes(testImage(t, "gzip"))
	if want := "it is a squashfs image compressed with gzip, and nbuild reads zstd, lz4 and xz"; fmt.Sprint(err) != want {
		t.Errorf("Open(gzip) = %v, want %q", err, want)
	}
}
