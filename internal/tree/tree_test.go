package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
)

// newDir returns a folder that is removed at the end even if read-only trees are in it, as t.TempDir can't.
func newDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbuild-tree-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fsx.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func write(t testing.TB, file, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // WriteFile heeds the umask.
		t.Fatal(err)
	}
}

func symlink(t testing.TB, target, file string) {
	t.Helper()
	if err := os.Symlink(target, file); err != nil {
		t.Fatal(err)
	}
}

// sample writes a tree with one of everything.
func sample(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(newDir(t), "sample")
	write(t, dir+"/bin/run", "#!/bin/sh\n", 0o700)
	write(t, dir+"/doc", "hello\n", 0o600)
	write(t, dir+"/empty file", "", 0o644)
	if err := os.Mkdir(dir+"/empty", 0o711); err != nil {
		t.Fatal(err)
	}
	symlink(t, "bin/run", dir+"/link")
	return dir
}

func read(t testing.TB, file string, mode Mode, hashes ...string) *Node {
	t.Helper()
	root, err := Read(t.Context(), file, mode, NewHashes(hashes...))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestReadSaysWhatIsThere(t *testing.T) {
	root := read(t, sample(t), Look)
	var got []string
	for path, n := range root.All() {
		got = append(got, fmt.Sprintf("%q %d %v %q", path, n.Kind, n.Executable, n.Target))
	}
	want := []string{
		`"" 2 false ""`, `"bin" 2 false ""`, `"bin/run" 1 true ""`, `"doc" 1 false ""`, `"empty" 2 false ""`,
		`"empty file" 1 false ""`, `"link" 3 false "bin/run"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	if want := digest.Sum([]byte("hello\n")); root.Children[1].Digest != want {
		t.Errorf("doc has digest %s, want %s", root.Children[1].Digest, want)
	}
}

func TestDigestIsOfTheCanonicalFormOnly(t *testing.T) {
	dir := sample(t)
	before := Digest(read(t, dir, Look))
	if err := os.Chmod(dir+"/doc", 0o664); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(dir+"/bin", time.Unix(5, 0), time.Unix(6, 7)); err != nil {
		t.Fatal(err)
	}
	if got := Digest(read(t, dir, Look)); got != before {
		t.Error("modes and times changed the digest")
	}
	prepared := read(t, dir, Prepare)
	if err := Seal(dir, prepared); err != nil {
		t.Fatal(err)
	}
	if got := Digest(read(t, dir, Check)); got != before || Digest(prepared) != before {
		t.Error("freezing changed the digest")
	}
}

func TestDigestTellsTreesApart(t *testing.T) {
	file := func(name, content string, executable bool) *Node {
		return &Node{Name: name, Kind: File, Executable: executable, Digest: digest.Sum([]byte(content)), Size: int64(len(content))}
	}
	folder := func(name string, children ...*Node) *Node { return &Node{Name: name, Kind: Folder, Children: children} }
	trees := map[string]*Node{
		"file":                file("", "a", false),
		"executable":          file("", "a", true),
		"other content":       file("", "b", false),
		"folder with it":      folder("", file("a", "a", false)),
		"folder, other name":  folder("", file("b", "a", false)),
		"folder, empty":       folder(""),
		"folder in a folder":  folder("", folder("a")),
		"link":                {Kind: Symlink, Target: "a"},
		"link to another":     {Kind: Symlink, Target: "b"},
		"link in a folder":    folder("", &Node{Name: "a", Kind: Symlink, Target: "a"}),
		"two files":           folder("", file("a", "a", false), file("b", "a", false)),
		"one in a sub-folder": folder("", file("a", "a", false), folder("b", file("a", "a", false))),
	}
	seen := map[digest.Digest]string{}
	for name, root := range trees {
		d := Digest(root)
		if other, ok := seen[d]; ok {
			t.Errorf("%q and %q have the same digest", name, other)
		}
		seen[d] = name
	}
}

// decode is the oracle of encode: a reader of protocol buffers that knows no schema. It returns "number=value" for each
// field, messages in braces.
func decode(b []byte, messages map[string]bool, path string) (string, error) {
	var fields []string
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return "", errors.New("bad key")
		}
		b = b[n:]
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return "", errors.New("bad value")
		}
		b = b[n:]
		here := fmt.Sprintf("%s.%d", path, key>>3)
		text := fmt.Sprint(value)
		if key&7 == 2 {
			if value > uint64(len(b)) {
				return "", errors.New("too long")
			}
			text = string(b[:value])
			if messages[here] {
				inner, err := decode(b[:value], messages, here)
				if err != nil {
					return "", err
				}
				text = "{" + inner + "}"
			}
			b = b[value:]
		}
		fields = append(fields, fmt.Sprintf("%d=%s", key>>3, text))
	}
	return strings.Join(fields, " "), nil
}

func TestEncode(t *testing.T) {
	d := digest.Sum([]byte("x"))
	entries := []*Node{
		{Name: "a", Kind: Symlink, Target: "t"},
		{Name: "b", Kind: Folder, Digest: d},
		{Name: "c", Kind: File, Executable: true, Digest: d, Size: 300},
		{Name: "d", Kind: File, Digest: d, Size: 1},
	}
	messages := map[string]bool{".1": true, ".2": true, ".3": true, ".1.2": true, ".2.2": true}
	got, err := decode(encode(entries), messages, "")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("1={1=c 2={1=%[1]s 2=300} 4=1} 1={1=d 2={1=%[1]s 2=1}} 2={1=b 2={1=%[1]s}} 3={1=a 2=t}", d)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestReadFindsHashesEverywhere(t *testing.T) {
	a, b := hashOf("a"), hashOf("b")
	dir := newDir(t)
	// Across the border of two reads, at the beginning and at the very end of a file of several reads.
	content := []byte(strings.Repeat(".", 3*digest.PieceSize))
	offsets := []int{0, digest.PieceSize - 16, 2*digest.PieceSize - 1, len(content) - len(a)}
	for _, at := range offsets {
		copy(content[at:], a)
	}
	write(t, dir+"/large", string(content), 0o644)
	symlink(t, "/nbuild/store/"+b+"-x", dir+"/link")
	for i := range 40 { // enough for several goroutines
		write(t, fmt.Sprintf("%s/small/%02d", dir, i), b, 0o644)
	}
	root := read(t, dir, Look, a, b)
	got := map[string][]Match{}
	for path, n := range root.All() {
		if n.Matches != nil {
			got[path] = n.Matches
		}
	}
	want := map[string][]Match{"link": {{Hash: b, Offset: 14}}}
	for _, at := range offsets {
		want["large"] = append(want["large"], Match{Hash: a, Offset: int64(at)})
	}
	for i := range 40 {
		want[fmt.Sprintf("small/%02d", i)] = []Match{{Hash: b}}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("matches (-want +got):\n%s", diff)
	}
	if root.Children[0].Digest != digest.Sum(content) {
		t.Error("the digest of a file of several reads is wrong")
	}
}

// A file that changes while its folder is read is read as it is then. Its pieces were planned for what it was.
func TestReadOfAFileThatChanged(t *testing.T) {
	const size = digest.PieceSize
	a := hashOf("a")
	for _, length := range []int{0, 100, size, size + 1, 2 * size, 3*size - 5, 4*size + 100} {
		text := []byte(strings.Repeat(".", length))
		for _, at := range []int{0, size - 16, 2*size - 31, 2 * size, length - len(a)} {
			if at >= 0 && at+len(a) <= length {
				copy(text[at:], a)
			}
		}
		file := newDir(t) + "/file"
		write(t, file, string(text), 0o644)
		for _, was := range []int{0, 100, size, size + 1, 2 * size, 3*size - 5, 4*size + 100} {
			node := &Node{Kind: File}
			c := &content{node: node, path: file, size: int64(was)}
			r := &reader{hashes: NewHashes(a), files: []*content{c}, bytes: c.size}
			if err := r.readFiles(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := &Node{Kind: File, Digest: digest.Sum(text), Size: int64(length), Matches: naiveMatches(text, []string{a})}
			if diff := cmp.Diff(want, node); diff != "" {
				t.Errorf("file of %d bytes that had %d (-want +got):\n%s", length, was, diff)
			}
		}
	}
}

func TestPrepareCollectsEveryProblem(t *testing.T) {
	dir := newDir(t)
	write(t, dir+"/setuid", "", 0o755|fs.ModeSetuid)
	write(t, dir+"/in/setgid", "", 0o755|fs.ModeSetgid)
	write(t, dir+"/sticky", "", 0o755|fs.ModeSticky)
	write(t, dir+"/good", "", 0o644)
	if err := unix.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: dir + "/in/socket"}); err != nil {
		t.Fatal(err)
	}
	_, err = Read(t.Context(), dir, Prepare, nil)
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got error %v, want Problems", err)
	}
	const special = "; a store object can't hold setuid, setgid or sticky bits"
	want := Problems{
		{"in/setgid", "has the special mode 02755" + special},
		{"in/socket", "is a socket; a store object holds files, folders and links only"},
		{"pipe", "is a named pipe; a store object holds files, folders and links only"},
		{"setuid", "has the special mode 04755" + special},
		{"sticky", "has the special mode 01755" + special},
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestPrepareRemovesAttributes(t *testing.T) {
	dir := sample(t)
	for _, file := range []string{dir + "/doc", dir + "/bin"} {
		if err := unix.Setxattr(file, "user.note", []byte("x"), 0); errors.Is(err, unix.ENOTSUP) {
			t.Skip("NOT TESTED: extended attributes, because the file system has none")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir+"/doc", 0o444); err != nil {
		t.Fatal(err)
	}
	root := read(t, dir, Prepare)
	if err := Seal(dir, root); err != nil {
		t.Fatal(err)
	}
	read(t, dir, Check)
}

// Check must notice each single way in which a frozen tree can differ from what it should be.
func TestCheck(t *testing.T) {
	tests := map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"file mode":   {func(dir string) error { return os.Chmod(dir+"/doc", 0o644) }, "doc: has mode 0644 instead of 0444"},
		"folder mode": {func(dir string) error { return os.Chmod(dir+"/empty", 0o755) }, "empty: has mode 0755 instead of 0555"},
		"root mode":   {func(dir string) error { return os.Chmod(dir, 0o700) }, ".: has mode 0700 instead of 0555"},
		"time": {
			func(dir string) error { return os.Chtimes(dir+"/doc", time.Unix(9, 0), time.Unix(9, 0)) },
			"doc: has modification time 9.000000000 instead of 1",
		},
		"setuid": {
			func(dir string) error { return os.Chmod(dir+"/doc", 0o444|fs.ModeSetuid) },
			"doc: has the special mode 04444; a store object can't hold setuid, setgid or sticky bits",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := sample(t)
			if err := Seal(dir, read(t, dir, Prepare)); err != nil {
				t.Fatal(err)
			}
			read(t, dir, Check)
			if err := test.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := Read(t.Context(), dir, Check, nil)
			if err == nil || err.Error() != test.want {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}

func TestPrepareReadsWhatIsForbidden(t *testing.T) {
	dir := newDir(t)
	write(t, dir+"/folder/file", "content", 0)
	if err := os.Chmod(dir+"/folder", 0); err != nil {
		t.Fatal(err)
	}
	root := read(t, dir, Prepare)
	if got := root.Children[0].Children[0].Digest; got != digest.Sum([]byte("content")) {
		t.Errorf("the file has digest %s", got)
	}
}

func TestReadOfWhatIsNotThere(t *testing.T) {
	if _, err := Read(t.Context(), newDir(t)+"/none", Look, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v, want one that matches fs.ErrNotExist", err)
	}
}

func TestRewrite(t *testing.T) {
	dir := newDir(t)
	write(t, dir+"/file", "before OLD and OLD after", 0o755)
	symlink(t, "to/OLD", dir+"/link")
	if err := os.Link(dir+"/file", dir+"/other name"); err != nil {
		t.Fatal(err)
	}
	root := read(t, dir, Prepare)
	patches := map[string][]Patch{"file": {{7, "NEW"}, {15, "NEW"}}, "link": {{3, "NEW"}}}
	for path, n := range maps.Collect(root.All()) {
		if p := patches[path]; p != nil {
			if err := Rewrite(dir+"/"+path, n, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	for path, want := range map[string]string{"file": "before NEW and NEW after", "other name": "before OLD and OLD after"} {
		if got, err := os.ReadFile(dir + "/" + path); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
		}
	}
	if target, err := os.Readlink(dir + "/link"); err != nil || target != "to/NEW" {
		t.Errorf("link: got %q, %v", target, err)
	}
	if err := Seal(dir, root); err != nil {
		t.Fatal(err)
	}
	read(t, dir, Check) // The rewritten ones are frozen again.
}

// A frozen file may have another name in the store: Prepare must leave it alone, even its time of last change.
func TestPrepareTouchesNothingThatIsRight(t *testing.T) {
	file := newDir(t) + "/file"
	write(t, file, "x", 0o444)
	read(t, file, Prepare)
	before := changeTime(t, file)
	read(t, file, Prepare)
	if after := changeTime(t, file); after != before {
		t.Errorf("the file was changed at %v, want %v", after, before)
	}
}

func changeTime(t *testing.T, file string) syscall.Timespec {
	t.Helper()
	info, err := os.Lstat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ctim
}

func FuzzHashPatched(f *testing.F) {
	f.Add([]byte("some text to lay a patch over"), uint16(5), "patch", uint16(7))
	f.Fuzz(func(t *testing.T, content []byte, at uint16, text string, repeat uint16) {
		content = slices.Repeat(content, int(repeat)%4096+1) // more than io.Copy's buffer
		if int(at)+len(text) > len(content) {
			t.Skip()
		}
		file := newDir(t) + "/file"
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		// The second patch lies across the border of io.Copy's reads if the content is long enough.
		patches := []Patch{{int64(at), text}}
		if second := 32<<10 - len(text)/2; second > int(at)+len(text) && second+len(text) <= len(content) {
			patches = append(patches, Patch{int64(second), text})
		}
		want := slices.Clone(content)
		for _, p := range patches {
			copy(want[p.Offset:], p.Text)
		}
		got, size, err := HashPatched(file, patches)
		if err != nil {
			t.Fatal(err)
		}
		if got != digest.Sum(want) || size != int64(len(want)) {
			t.Errorf("digest %s of %d bytes, want %s of %d", got, size, digest.Sum(want), len(want))
		}
		if text := PatchText(string(content), patches); text != string(want) {
			t.Errorf("PatchText returns %q, want %q", text, want)
		}
	})
}

// BenchmarkReadLarge reads one large file, as an image is.
func BenchmarkReadLarge(b *testing.B) {
	const size = 114 << 20
	file := newDir(b) + "/image"
	write(b, file, strings.Repeat("0123456789abcdef", size/16), 0o444)
	b.SetBytes(size)
	for b.Loop() {
		if _, err := Read(b.Context(), file, Look, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadSmall reads and freezes a tree of one small file.
func BenchmarkReadSmall(b *testing.B) {
	dir := newDir(b)
	hashes := NewHashes(hashOf("a"))
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		file := fmt.Sprintf("%s/%d/file", dir, i)
		write(b, file, "small", 0o644)
		b.StartTimer()
		root, err := Read(b.Context(), filepath.Dir(file), Prepare, hashes)
		if err == nil {
			err = Seal(filepath.Dir(file), root)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
