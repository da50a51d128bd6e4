package builders

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// guarded unpacks an archive in a folder of its own with a file beside the outputs, and fails the test if anything but
// the outputs was made or changed, or if an error is none of the archive's. It returns where "out" is, "" if it failed.
func guarded(t *testing.T, kind string, archive []byte) string {
	t.Helper()
	r := unpackRequest(t, kind, archive, map[string]string{"max_size": "1000000", "max_entries": "100"})
	guard := t.TempDir()
	if err := os.WriteFile(filepath.Join(guard, "guard"), []byte("untouched"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, out := range r.Outputs {
		out.File = filepath.Join(guard, name)
		r.Outputs[name] = out
	}
	err := (&Unpack{}).Build(context.Background(), r)
	var failure *Failure
	if err != nil && !errors.As(err, &failure) {
		t.Errorf("Build = %v, want a *Failure or nothing", err)
	}
	entries, rerr := os.ReadDir(guard)
	if rerr != nil {
		t.Fatal(rerr)
	}
	for _, e := range entries {
		if _, ok := r.Outputs[e.Name()]; !ok && e.Name() != "guard" {
			t.Errorf("%s was made outside of the outputs", e.Name())
		}
	}
	if b, err := os.ReadFile(filepath.Join(guard, "guard")); err != nil || string(b) != "untouched" {
		t.Errorf("the file beside the outputs is %q, %v", b, err)
	}
	if err != nil {
		return ""
	}
	return r.Outputs["out"].File
}

// hostile returns archives that once could have written elsewhere, as seeds.
func hostile(t testing.TB) [][]tarEntry {
	return [][]tarEntry{
		{folder("./"), file("./a", "A"), hardlink("b", "./a"), symlink("c", "a")},
		{symlink("d", "../guard"), file("d", "x")},
		{symlink("d", ".."), file("d/guard", "x")},
		{symlink("d", "."), file("d/e", "x"), file("e", "y")},
		{folder("a"), symlink("a/u", ".."), symlink("v", "a/u/.."), file("v/guard", "x")},
		{hardlink("g", "../guard"), file("g", "x")},
		{file("../guard", "x")},
		{file("a/b/c/d", "x"), folder("a/b"), folder("a")},
	}
}

// The clever extraction and a naive one, which makes the tree in a map, agree on every archive without links that is
// accepted, and nothing is ever written elsewhere.
func FuzzUnpackTar(f *testing.F) {
	for _, entries := range hostile(f) {
		f.Add(tarOf(f, entries...))
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		if m, err := methodOf(archive); err != nil || m != plain {
			return // Decoders have fuzz targets of their own, and are slow ways to random tars.
		}
		out := guarded(t, "tar", archive)
		if out == "" {
			return
		}
		want, links, err := naiveTree(archive)
		if err != nil {
			t.Fatalf("accepted what package tar doesn't: %v", err)
		}
		if links {
			return
		}
		if diff := cmp.Diff(want, listTree(t, out)); diff != "" {
			t.Errorf("out (-want +got):\n%s", diff)
		}
	})
}

// naiveTree returns what a tar unpacks to, in the form of listTree, and whether it has links.
func naiveTree(archive []byte) (tree map[string]string, links bool, err error) {
	tree = map[string]string{".": "dir"}
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return tree, links, nil
		}
		if err != nil {
			return nil, links, err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, links, err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name := path.Clean(h.Name)
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			tree[dir] = "dir"
		}
		switch mode := h.FileInfo().Mode(); {
		case h.Typeflag == tar.TypeLink || mode.Type() == fs.ModeSymlink:
			links = true
		case mode.IsDir():
			tree[name] = "dir"
		case mode&0o111 != 0:
			tree[name] = "exec " + string(content)
		default:
			tree[name] = "file " + string(content)
		}
	}
}

// No .deb whatever makes anything but the outputs.
func FuzzUnpackDeb(f *testing.F) {
	control := string(tarOf(f, file("control", someControl), file("conffiles", "/a\n/d\n")))
	for _, entries := range hostile(f) {
		f.Add(arOf("debian-binary", "2.0\n", "control.tar", control, "data.tar", string(tarOf(f, entries...))))
	}
	f.Add(debOf(f, nil, folder("./")))
	f.Fuzz(func(t *testing.T, deb []byte) { guarded(t, "deb", deb) })
}

// Whatever members an archive has, reading finds what writing them put there.
func FuzzAr(f *testing.F) {
	f.Add("debian-binary", "2.0\n", "data.tar", "odd")
	f.Fuzz(func(t *testing.T, name1, content1, name2, content2 string) {
		for _, name := range []string{name1, name2} {
			if len(name) > 16 || strings.TrimRight(name, " /") != name {
				return // Not a name that the format has.
			}
		}
		archive := arOf(name1, content1, name2, content2)
		members, err := readAr(bytes.NewReader(archive), int64(len(archive)))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range members {
			got = append(got, m.name, string(archive[m.offset:m.offset+m.size]))
		}
		if diff := cmp.Diff([]string{name1, content1, name2, content2}, got); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
	})
}

// A control file that was read and written as a status paragraph reads the same again.
func FuzzControl(f *testing.F) {
	f.Add(libControl)
	f.Add(someControl)
	f.Fuzz(func(t *testing.T, text string) {
		fields, err := parseControl(text)
		if err != nil {
			return
		}
		var b bytes.Buffer
		for _, field := range fields {
			writeField(&b, field.name, field.value)
		}
		again, err := parseControl(b.String())
		if err != nil {
			t.Fatalf("%v in %q", err, b.String())
		}
		if diff := cmp.Diff(fmt.Sprintf("%q", fields), fmt.Sprintf("%q", again)); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
	})
}
