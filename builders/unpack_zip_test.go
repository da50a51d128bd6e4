package builders

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A zipEntry is an entry of an archive that a test makes. A zero mode is 0644.
type zipEntry struct {
	name    string
	mode    fs.FileMode
	content string
	method  uint16 // 0 means stored
}

// zipOf returns an archive of entries.
func zipOf(t testing.TB, entries ...zipEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: e.method}
		h.SetMode(e.mode)
		if e.mode == 0 {
			h.SetMode(0o644)
		}
		content, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(e.name, "/") {
			if _, err := io.WriteString(content, e.content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// inTable returns the archive with what its table says of the entry with a name changed.
func inTable(t testing.TB, archive []byte, name string, change func(record []byte)) []byte {
	t.Helper()
	archive = bytes.Clone(archive)
	for at := 0; ; at += 4 {
		next := bytes.Index(archive[at:], []byte("PK\x01\x02"))
		if next < 0 {
			t.Fatalf("the table has no %s", name)
		}
		at += next
		record := archive[at:]
		if length := int(binary.LittleEndian.Uint16(record[28:])); string(record[46:46+length]) == name {
			change(record[:46])
			return archive
		}
	}
}

func TestUnpackZip(t *testing.T) {
	// top.zip is Info-ZIP's own work.
	whole := map[string]string{
		".": "dir", "top": "dir", "top/a": "file A", "top/run": "exec #!x", "top/b": "dir",
		"top/b/c": "file " + strings.Repeat("C\n", 1500), "top/link": "link b/c",
	}
	stripped := map[string]string{}
	for name, what := range whole {
		if inner, ok := strings.CutPrefix(name, "top/"); ok || name == "." {
			stripped[inner] = what
		}
	}
	delete(stripped, "")
	stripped["."] = "dir"
	deflated := zipOf(t, zipEntry{name: "d/", mode: fs.ModeDir | 0o700}, zipEntry{name: "d/x", method: zip.Deflate, content: "text"}, zipEntry{name: "empty"})
	tests := []struct {
		name    string
		archive []byte
		env     map[string]string
		want    map[string]string
	}{
		{"Info-ZIP's", readTestdata(t, "top.zip"), nil, whole},
		{"stripped", readTestdata(t, "top.zip"), map[string]string{"strip": "1"}, stripped},
		{"ours", deflated, nil, map[string]string{".": "dir", "d": "dir", "d/x": "file text", "empty": "file "}},
		{"empty", zipOf(t), nil, map[string]string{".": "dir"}},
		{"behind a program", append([]byte("#!/bin/sh\n"), deflated...), nil, map[string]string{".": "dir", "d": "dir", "d/x": "file text", "empty": "file "}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out := mustBuild(t, &Unpack{}, unpackRequest(t, "zip", test.archive, test.env))
			if diff := cmp.Diff(test.want, listTree(t, out)); diff != "" {
				t.Errorf("out (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnpackZipRefusesEntries(t *testing.T) {
	tests := []struct {
		name    string
		entries []zipEntry
		want    string
	}{
		{"traversal", []zipEntry{{name: "../evil"}}, "entry ../evil: the name leads out of the tree"},
		{"traversal inside", []zipEntry{{name: "a/../../evil"}}, "the name leads out of the tree"},
		{"absolute", []zipEntry{{name: "/evil"}}, "entry /evil: the name is absolute"},
		{"backslashes", []zipEntry{{name: `..\evil`}}, "the name has a backslash"},
		{"newline", []zipEntry{{name: "a\nb"}}, "newline"},
		{"not UTF-8", []zipEntry{{name: "a\xff"}}, "not valid UTF-8"},
		{"twice", []zipEntry{{name: "a"}, {name: "./a"}}, "entry ./a: the name occurs twice"},
		{"write through a link", []zipEntry{{name: "d", mode: fs.ModeSymlink, content: "/tmp"}, {name: "d/evil"}}, "d leads out of the tree by a link"},
		{"write over a link", []zipEntry{{name: "f", mode: fs.ModeSymlink, content: "/tmp/evil"}, {name: "f"}}, "the name occurs twice"},
		{"escaping link", []zipEntry{{name: "a/b", mode: fs.ModeSymlink, content: "../../etc"}}, "it is a link to ../../etc, out of the tree"},
		{"endless link", []zipEntry{{name: "l", mode: fs.ModeSymlink, content: strings.Repeat("x/", 9000)}}, "a name that is too long"},
		{"device", []zipEntry{{name: "sda", mode: fs.ModeDevice | 0o600}}, "a device can't be in a store object"},
		{"fifo", []zipEntry{{name: "f", mode: fs.ModeNamedPipe | 0o600}}, "a fifo can't be in a store object"},
		{"socket", []zipEntry{{name: "s", mode: fs.ModeSocket | 0o600}}, "a socket can't be in a store object"},
		{"link with a folder's name", []zipEntry{{name: "d/", mode: fs.ModeSymlink | 0o777}}, "its name is a folder's"},
		{"below a file", []zipEntry{{name: "a"}, {name: "a/x"}}, "a is not a folder"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantFailure(t, &Unpack{}, unpackRequest(t, "zip", zipOf(t, test.entries...), nil), "unpack input-src: entry ", test.want)
		})
	}
}

func TestUnpackZipRefuses(t *testing.T) {
	two := zipOf(t, zipEntry{name: "a", content: strings.Repeat("x", 500)}, zipEntry{name: "b", content: strings.Repeat("y", 500)})
	deflated := zipOf(t, zipEntry{name: "a", content: strings.Repeat("x", 5000), method: zip.Deflate})
	tests := []struct {
		name    string
		archive []byte
		env     map[string]string
		want    string
	}{
		{"nothing", nil, nil, "not a zip archive"},
		{"a tar", tarOf(t, file("a", "")), nil, "not a zip archive"},
		{"cut", two[:len(two)-30], nil, "not a zip archive, or a damaged or truncated one"},
		{"table alone", two[bytes.Index(two, []byte("PK\x01\x02")):], nil, "truncated: the archive ends inside an entry"},
		{"damaged data", bytes.Replace(two, []byte("xxxx"), []byte("xxzx"), 1), nil, "entry a: its check sum is wrong"},
		{"encrypted", inTable(t, two, "a", func(r []byte) { r[8] |= 1 }), nil, "entry a: it is encrypted"},
		{"bzip2", inTable(t, two, "a", func(r []byte) { r[10] = 12 }), nil, "entry a: its method of compression is 12"},
		{"more entries", two, map[string]string{"max_entries": "1"}, "it has 2 entries, more than 1 (max_entries)"},
		{"more bytes", two, map[string]string{"max_size": "999"}, "entry b: with it, the archive unpacks to more than 999 bytes"},
		{
			"less said than is there", inTable(t, deflated, "a", func(r []byte) { binary.LittleEndian.PutUint32(r[24:], 10) }),
			map[string]string{"max_size": "100"},
			"entry a: ",
		},
		{
			"the same data twice", inTable(t, two, "b", func(r []byte) { binary.LittleEndian.PutUint32(r[42:], 0) }),
			nil, "the entries a and b share data: it looks like a bomb",
		},
		{
			"data in each other", inTable(t, two, "a", func(r []byte) { binary.LittleEndian.PutUint32(r[20:], 700) }),
			nil, "share data: it looks like a bomb",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantFailure(t, &Unpack{}, unpackRequest(t, "zip", test.archive, test.env), "unpack input-src: ", test.want)
		})
	}
}

// 80 MB of zeros in some kilobytes.
func TestUnpackZipBomb(t *testing.T) {
	bomb := zipOf(t, zipEntry{name: "bomb", content: strings.Repeat("\x00", 80<<20), method: zip.Deflate})
	wantFailure(t, &Unpack{}, unpackRequest(t, "zip", bomb, nil), "it looks like a bomb")
}

func TestUnpackZipCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := unpackRequest(t, "zip", zipOf(t, zipEntry{name: "a"}), nil)
	if err := (&Unpack{}).Build(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("Build = %v, want %v", err, context.Canceled)
	}
}

// The extraction and a naive one, which makes the tree in a map, agree on every archive without links that is accepted,
// and nothing is ever written elsewhere.
func FuzzUnpackZip(f *testing.F) {
	f.Add(readTestdata(f, "top.zip"))
	f.Add(zipOf(f, zipEntry{name: "d", mode: fs.ModeSymlink, content: "../guard"}, zipEntry{name: "d", content: "x"}))
	f.Add(zipOf(f, zipEntry{name: "../guard", content: "x"}))
	f.Add(zipOf(f, zipEntry{name: "a/b/c", content: "x", method: zip.Deflate}, zipEntry{name: "a/"}))
	f.Fuzz(func(t *testing.T, archive []byte) {
		out := guarded(t, "zip", archive)
		if out == "" {
			return
		}
		want, links, err := naiveZipTree(archive)
		if err != nil {
			t.Fatalf("accepted what package zip doesn't: %v", err)
		}
		if links {
			return
		}
		if diff := cmp.Diff(want, listTree(t, out)); diff != "" {
			t.Errorf("out (-want +got):\n%s", diff)
		}
	})
}

// naiveZipTree returns what a zip unpacks to, in the form of listTree, and whether it has links.
func naiveZipTree(archive []byte) (tree map[string]string, links bool, err error) {
	table, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, false, err
	}
	tree = map[string]string{".": "dir"}
	for _, f := range table.File {
		content, err := f.Open()
		if err != nil {
			return nil, links, err
		}
		text, err := io.ReadAll(content)
		if err != nil {
			return nil, links, err
		}
		name := path.Clean(f.Name)
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			tree[dir] = "dir"
		}
		switch mode := f.Mode(); {
		case mode.Type() == fs.ModeSymlink:
			links = true
		case mode.IsDir():
			tree[name] = "dir"
		case mode&0o111 != 0:
			tree[name] = "exec " + string(text)
		default:
			tree[name] = "file " + string(text)
		}
	}
	return tree, links, nil
}
