package builders

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"nbuild/derivations"
)

// tarOf returns a tar of entries. A zero Mode is 0644, or 0755 for folders; the size is that of the content.
func tarOf(t testing.TB, entries ...tarEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if h.Typeflag == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		h.Size = int64(len(e.content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type tarEntry struct {
	tar.Header
	content string
}

func file(name, content string) tarEntry {
	return tarEntry{tar.Header{Name: name}, content}
}

func folder(name string) tarEntry {
	return tarEntry{tar.Header{Name: name, Typeflag: tar.TypeDir}, ""}
}

func symlink(name, target string) tarEntry {
	return tarEntry{tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}, ""}
}

func hardlink(name, target string) tarEntry {
	return tarEntry{tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeLink}, ""}
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

// arOf returns an ar archive of pairs of name and content.
func arOf(pairs ...string) []byte {
	b := []byte(arMagic)
	for i := 0; i < len(pairs); i += 2 {
		name, content := pairs[i], pairs[i+1]
		b = append(b, name...)
		b = append(b, strings.Repeat(" ", max(16-len(name), 0))...)
		b = fmt.Appendf(b, "%-12d%-6d%-6d%-8s%-10d%s", 0, 0, 0, "100644", len(content), arHeaderEnd)
		b = append(b, content...)
		if len(content)%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

const someControl = "Package: some\nVersion: 1\nArchitecture: all\nMaintainer: M <m@example.org>\nDescription: some\n"

// debOf returns a .deb with a control archive of the entries, "control" added, and a data archive.
func debOf(t testing.TB, control []tarEntry, data ...tarEntry) []byte {
	t.Helper()
	control = append([]tarEntry{folder("./"), file("./control", someControl)}, control...)
	return arOf("debian-binary", "2.0\n", "control.tar.gz", string(gzipped(t, tarOf(t, control...))),
		"data.tar.zst", string(zstandard(t, tarOf(t, data...))))
}

// unpackRequest returns the request to unpack an archive.
func unpackRequest(t testing.TB, kind string, archive []byte, env map[string]string) *Request {
	t.Helper()
	src := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(src, archive, 0o644); err != nil {
		t.Fatal(err)
	}
	spec := derivations.Spec{Builder: "unpack", Args: []string{kind}, Env: env, Outputs: []string{"out", "owners"}}
	if kind == "deb" {
		spec.Outputs = append(spec.Outputs, "control")
	}
	return testRequest(t, spec, map[string]string{"src": src})
}

func TestUnpackDeb(t *testing.T) {
	conffiles := "/etc/some.conf\n/etc/absent\nremove-on-upgrade /etc/old\n\n/etc/some.conf\n"
	deb := debOf(t,
		[]tarEntry{
			{tar.Header{Name: "./postinst", Mode: 0o755}, "#!/bin/sh\n"},
			file("./conffiles", conffiles),
		},
		folder("./"), folder("./etc/"), file("./etc/some.conf", "hello\n"),
		tarEntry{tar.Header{Name: "./bin/su", Mode: 0o4755, Gid: 42}, "su"},
		tarEntry{tar.Header{Name: "./bin/only-group", Mode: 0o610}, "x"},
		hardlink("./bin/su2", "./bin/su"),
		symlink("./etc/abs", "/usr/share/abs"),
		symlink("./lib", "etc"),
		file("./lib/through", "a link inside"),
		tarEntry{tar.Header{Name: "./tmp/", Mode: 0o1777, Typeflag: tar.TypeDir}, ""},
		file("./"+strings.Repeat("long/", 60)+"näme", "pax"),
	)
	r := unpackRequest(t, "deb", deb, nil)
	out := mustBuild(t, &Unpack{}, r)

	want := map[string]string{
		".": "dir", "bin": "dir", "etc": "dir", "tmp": "dir", "lib": "link etc",
		"bin/su": "exec su", "bin/su2": "exec su", "bin/only-group": "exec x",
		"etc/some.conf": "file hello\n", "etc/abs": "link /usr/share/abs", "etc/through": "file a link inside",
	}
	deep := "."
	for range 60 {
		deep = filepath.Join(deep, "long")
		want[deep] = "dir"
	}
	want[deep+"/näme"] = "file pax"
	if diff := cmp.Diff(want, listTree(t, out)); diff != "" {
		t.Errorf("out (-want +got):\n%s", diff)
	}
	wantControl := map[string]string{
		".": "dir", "control": "file " + someControl, "postinst": "exec #!/bin/sh\n", "conffiles": "file " + conffiles,
		"conffiles.md5": "file /etc/some.conf b1946ac92492d2347c6235b4d2611184\n/etc/old newconffile remove-on-upgrade\n",
		"list": "file /.\n/etc\n/etc/some.conf\n/bin/su\n/bin/only-group\n/bin/su2\n/etc/abs\n/lib\n/lib/through\n/tmp\n/" +
			strings.Repeat("long/", 60) + "näme\n",
	}
	if diff := cmp.Diff(wantControl, listTree(t, r.Outputs["control"].File)); diff != "" {
		t.Errorf("control (-want +got):\n%s", diff)
	}
	wantOwners := "f 610 0 0 /bin/only-group\nf 4755 0 42 /bin/su\nf 4755 0 42 /bin/su2\nd 1777 0 0 /tmp\n"
	if got, _ := os.ReadFile(r.Outputs["owners"].File); string(got) != wantOwners {
		t.Errorf("owners:\n%s\nwant:\n%s", got, wantOwners)
	}
	if a, b := stat(t, out+"/bin/su"), stat(t, out+"/bin/su2"); !os.SameFile(a, b) {
		t.Error("the hard link is a file of its own")
	}
}

func stat(t *testing.T, name string) os.FileInfo {
	t.Helper()
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestUnpackTar(t *testing.T) {
	archive := tarOf(t, folder("top/"), file("top/a", "A"), folder("top/b"), file("top/b/c", "C"), hardlink("top/d", "top/a"), file("other", ""))
	whole := map[string]string{
		".": "dir", "top": "dir", "top/a": "file A", "top/b": "dir", "top/b/c": "file C", "top/d": "file A", "other": "file ",
	}
	stripped := map[string]string{".": "dir", "a": "file A", "b": "dir", "b/c": "file C", "d": "file A"}
	tests := []struct {
		name    string
		archive []byte
		env     map[string]string
		want    map[string]string
	}{
		{"plain", archive, nil, whole},
		{"gzip", gzipped(t, archive), nil, whole},
		{"zstd", zstandard(t, archive), nil, whole},
		{"stripped", archive, map[string]string{"strip": "1"}, stripped},
		{"stripped to nothing", archive, map[string]string{"strip": "9"}, map[string]string{".": "dir"}},
		{"xz", readTestdata(t, "top.tar.xz"), nil, whole},
		{"bzip2", readTestdata(t, "top.tar.bz2"), nil, whole},
	}
	unpack := &Unpack{} // One for all: decoders are used again.
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 2 {
				out := mustBuild(t, unpack, unpackRequest(t, "tar", test.archive, test.env))
				if diff := cmp.Diff(test.want, listTree(t, out)); diff != "" {
					t.Errorf("out (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestUnpackRefusesEntries(t *testing.T) {
	tests := []struct {
		name    string
		entries []tarEntry
		want    string
	}{
		{"traversal", []tarEntry{file("../evil", "x")}, "entry ../evil: the name leads out of the tree"},
		{"traversal inside", []tarEntry{file("a/../../evil", "x")}, "the name leads out of the tree"},
		{"harmless dots", []tarEntry{file("a/../b", "x")}, "the name leads out of the tree"},
		{"absolute", []tarEntry{file("/evil", "x")}, "entry /evil: the name is absolute"},
		{"newline", []tarEntry{file("a\nb", "x")}, "newline"},
		{"not UTF-8", []tarEntry{file("a\xff", "x")}, "not valid UTF-8"},
		{"write through an absolute link", []tarEntry{symlink("d", "/tmp"), file("d/evil", "x")}, "entry d/evil: d leads out of the tree by a link"},
		{"write through a chain of links", []tarEntry{folder("a"), symlink("a/up", ".."), symlink("b", "a/up/c"), symlink("c", "/tmp"), file("b/evil", "x")}, "leads out of the tree"},
		{"folder through a link", []tarEntry{symlink("d", "/tmp"), folder("d/evil")}, "leads out of the tree"},
		{"link through a link", []tarEntry{symlink("d", "/tmp"), symlink("d/evil", "x")}, "leads out of the tree"},
		{"write over a link", []tarEntry{symlink("f", "/tmp/evil"), file("f", "x")}, "entry f: the name occurs twice"},
		{"folder over a link", []tarEntry{symlink("d", "/tmp"), folder("d")}, "the name occurs twice"},
		{"escaping link", []tarEntry{symlink("a/b", "../../etc")}, "entry a/b: it is a link to ../../etc, out of the tree"},
		{"loop", []tarEntry{symlink("a", "b"), symlink("b", "a"), file("a/x", "")}, "loop of links"},
		{"through a link to nothing", []tarEntry{symlink("a", "b"), file("a/x", "")}, "entry a/x: "},
		{"below a file", []tarEntry{file("a", ""), file("a/x", "")}, "a is not a folder"},
		{"hard link out", []tarEntry{hardlink("a", "../../etc/passwd")}, "it is a hard link to ../../etc/passwd: the name leads out"},
		{"absolute hard link", []tarEntry{hardlink("a", "/etc/passwd")}, "it is a hard link to /etc/passwd: the name is absolute"},
		{"hard link through a link", []tarEntry{symlink("e", "/etc"), hardlink("a", "e/passwd")}, "e leads out of the tree by a link"},
		{"hard link to a link", []tarEntry{symlink("e", "/etc/passwd"), hardlink("a", "e")}, "not a regular file"},
		{"hard link to nothing", []tarEntry{hardlink("a", "b")}, "it is a hard link to b, which is not there"},
		{"hard link to a folder", []tarEntry{folder("b"), hardlink("a", "b")}, "not a regular file"},
		{"twice", []tarEntry{file("a", "1"), file("./a", "2")}, "entry ./a: the name occurs twice"},
		{"the tree is a link", []tarEntry{symlink("./", "/tmp")}, "the tree's own"},
		{"long name", []tarEntry{file(strings.Repeat("x", 256), "")}, "the name is too long"},
		{"device", []tarEntry{{tar.Header{Name: "sda", Typeflag: tar.TypeBlock}, ""}}, "entry sda: a device can't be in a store object"},
		{"character device", []tarEntry{{tar.Header{Name: "null", Typeflag: tar.TypeChar}, ""}}, "a device"},
		{"fifo", []tarEntry{{tar.Header{Name: "f", Typeflag: tar.TypeFifo}, ""}}, "a fifo"},
	}
	for _, test := range tests {
		for _, kind := range []string{"deb", "tar"} {
			t.Run(test.name+"/"+kind, func(t *testing.T) {
				archive := tarOf(t, test.entries...)
				if kind == "deb" {
					archive = debOf(t, nil, test.entries...)
				}
				wantFailure(t, &Unpack{}, unpackRequest(t, kind, archive, nil), "unpack input-src: entry ", test.want)
			})
		}
	}
}

func TestUnpackRefusesDebs(t *testing.T) {
	good := debOf(t, nil, folder("./"), file("./a", strings.Repeat("content", 1000)))
	data := string(gzipped(t, tarOf(t, folder("./"))))
	control := string(gzipped(t, tarOf(t, file("control", someControl))))
	tests := []struct {
		name string
		deb  []byte
		want string
	}{
		{"empty", nil, "not an ar archive"},
		{"no magic", []byte("PK\x03\x04 something else"), `not an ar archive: it begins with "PK`},
		{"magic only", []byte(arMagic), "the first member is not debian-binary"},
		{"cut in a header", good[:40], "truncated: the member header at byte 8"},
		{"cut in the data", good[:len(good)-5], "truncated: member data.tar.zst has"},
		{"damaged header", append([]byte(arMagic), bytes.Repeat([]byte("x"), 60)...), "no member header at byte 8"},
		{"negative size", bytes.Replace(good, []byte("4         `\n"), []byte("-4        `\n"), 1), `has the size "-4"`},
		{"format 3", arOf("debian-binary", "3.0\n", "control.tar.gz", control, "data.tar.gz", data), `format "3.0"`},
		{"no control", arOf("debian-binary", "2.0\n"), "it has no member control.tar"},
		{"no data", arOf("debian-binary", "2.0\n", "control.tar.gz", control, "_gpgorigin", "x"), "it has no member data.tar"},
		{"data first", arOf("debian-binary", "2.0\n", "data.tar.gz", data, "control.tar.gz", control), "member data.tar.gz where control.tar should be"},
		{"lzma", arOf("debian-binary", "2.0\n", "control.tar.gz", control, "data.tar.lzma", data), `member data.tar.lzma: unknown compression "lzma"`},
		{"not what it says", arOf("debian-binary", "2.0\n", "control.tar.gz", control, "data.tar.xz", data), "its xz stream is damaged"},
		{"not gzip", arOf("debian-binary", "2.0\n", "control.tar.gz", "nonsense!!", "data.tar.gz", data), "control archive: its gz stream is damaged"},
		{"many members", arOf(append([]string{"debian-binary", "2.0\n"}, make([]string, 200)...)...), "more than 64 members"},
		{"control without control", arOf("debian-binary", "2.0\n", "control.tar", string(tarOf(t, file("x", ""))), "data.tar.gz", data), "the file control is missing"},
		{"folder in control", debOf(t, []tarEntry{folder("./sub")}), "control archive: entry ./sub: it is not a regular file"},
		{"file below control", debOf(t, []tarEntry{file("./sub/x", "")}), "not directly in the control archive"},
		{"link in control", debOf(t, []tarEntry{symlink("./x", "/etc/passwd")}), "control archive: entry ./x: it is not a regular file"},
		{"reserved", debOf(t, []tarEntry{file("list", "")}), "the name is reserved"},
		{"control twice", debOf(t, []tarEntry{file("control", "")}), "control archive: entry control: the name occurs twice"},
		{"conffile outside", debOf(t, []tarEntry{file("conffiles", "/../etc/shadow\n")}, folder("./")), "conffiles: /../etc/shadow is not a clean absolute path"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantFailure(t, &Unpack{}, unpackRequest(t, "deb", test.deb, nil), "unpack input-src: ", test.want)
		})
	}
}

// A deb's members may end in "/" as GNU ar writes them, be signed, and be followed by anything.
func TestUnpackOtherDebs(t *testing.T) {
	deb := arOf("debian-binary/", "2.0\n", "_extra", "odd", "control.tar/", string(tarOf(t, file("control", someControl))),
		"_more", "", "data.tar/", string(tarOf(t, file("a", "A"))), "unknown", "x")
	out := mustBuild(t, &Unpack{}, unpackRequest(t, "deb", deb, nil))
	if diff := cmp.Diff(map[string]string{".": "dir", "a": "file A"}, listTree(t, out)); diff != "" {
		t.Errorf("out (-want +got):\n%s", diff)
	}
}

func TestUnpackTruncated(t *testing.T) {
	whole := tarOf(t, file("a", strings.Repeat("a", 1000)), file("b", strings.Repeat("b", 512)))
	end := len(whole) - 1024
	for n := 1; n < end; n += 100 {
		r := unpackRequest(t, "tar", whole[:n], nil)
		wantFailure(t, &Unpack{}, r, "truncated")
	}
	wantFailure(t, &Unpack{}, unpackRequest(t, "tar", whole[:end], nil), "truncated: the archive has no end")
	wantFailure(t, &Unpack{}, unpackRequest(t, "tar", nil, nil), "truncated: the archive has no end")
	mustBuild(t, &Unpack{}, unpackRequest(t, "tar", whole[:end+512], nil)) // One block of zeros is enough for GNU tar, too.

	for name, archive := range map[string][]byte{
		"gzip": gzipped(t, whole), "zstd": zstandard(t, whole), "xz": readTestdata(t, "top.tar.xz"), "bzip2": readTestdata(t, "top.tar.bz2"),
	} {
		for n := 8; n < len(archive); n += 5 {
			r := unpackRequest(t, "tar", archive[:n], nil)
			err := (&Unpack{}).Build(context.Background(), r)
			var failure *Failure
			if !errors.As(err, &failure) || !strings.Contains(failure.Reason, "truncated") {
				t.Errorf("%s cut at %d of %d: %v, want a failure that says truncated", name, n, len(archive), err)
			}
		}
	}
}

func TestUnpackLimits(t *testing.T) {
	big := tarOf(t, file("a", strings.Repeat("x", 10_000)), file("b", ""))
	for _, test := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"max_entries": "1"}, "entry b: more than 1 entries"},
		{map[string]string{"max_size": "9999"}, "entry a: it has 10000 bytes, more than 9999"},
		{map[string]string{"max_size": "10700"}, "unpacks to more than 10700 bytes"},
		{map[string]string{"max_size": "x"}, `max_size is "x", want a decimal number`},
		{map[string]string{"strip": "-1"}, `strip is "-1", want a decimal number`},
	} {
		wantFailure(t, &Unpack{}, unpackRequest(t, "tar", gzipped(t, big), test.env), test.want)
	}
	mustBuild(t, &Unpack{}, unpackRequest(t, "tar", big, map[string]string{"max_entries": "2", "max_size": "20000"}))
}

// 80 MB of zeros in some kilobytes.
func TestUnpackBomb(t *testing.T) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	zeros := make([]byte, 1<<20)
	if err := w.WriteHeader(&tar.Header{Name: "bomb", Mode: 0o644, Size: 80 << 20}); err != nil {
		t.Fatal(err)
	}
	for range 80 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, &Unpack{}, unpackRequest(t, "tar", b.Bytes(), nil), "entry bomb: ", "it looks like a bomb")
}

func TestUnpackRefuses(t *testing.T) {
	wantFailure(t, &Unpack{}, unpackRequest(t, "rpm", nil, nil), `want 1 argument, "deb", "tar" or "zip"`)
	wantFailure(t, &Unpack{}, unpackRequest(t, "tar", []byte("PK\x03\x04xxxx"), nil), `a zip archive where a tar should be`)
	wantFailure(t, &Unpack{}, unpackRequest(t, "tar", []byte("LZIP\x01xxxx"), nil), `unknown compression "lzip"`)
	wantFailure(t, &Unpack{}, unpackRequest(t, "tar", bytes.Repeat([]byte("text "), 500), nil), "not a tar archive")
	r := testRequest(t, derivations.Spec{Builder: "unpack", Args: []string{"tar"}}, map[string]string{"src": t.TempDir()})
	wantFailure(t, &Unpack{}, r, "the input src is not a file")
	r = testRequest(t, derivations.Spec{Builder: "unpack", Args: []string{"tar"}}, nil)
	wantFailure(t, &Unpack{}, r, `the derivation has no input "src"`)
}

func TestUnpackCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := unpackRequest(t, "tar", tarOf(t, file("a", "A")), nil)
	if err := (&Unpack{}).Build(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("Build = %v, want %v", err, context.Canceled)
	}
}

func TestUnpackProgress(t *testing.T) {
	archive := debOf(t, nil, file("./a", strings.Repeat("content", 1000)))
	r := unpackRequest(t, "deb", archive, nil)
	var last int64
	r.Progress = func(done, total int64) {
		if done < last || done > total || total != int64(len(archive)) {
			t.Errorf("progress %d of %d after %d, want it to grow to %d", done, total, last, len(archive))
		}
		last = done
	}
	mustBuild(t, &Unpack{}, r)
	if last < int64(len(archive))/2 {
		t.Errorf("progress ended at %d of %d", last, len(archive))
	}
}
