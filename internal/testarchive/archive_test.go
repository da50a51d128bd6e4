package testarchive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// members cuts an ar archive into its members by name.
func members(t *testing.T, deb []byte) map[string][]byte {
	t.Helper()
	rest, ok := bytes.CutPrefix(deb, []byte("!<arch>\n"))
	if !ok {
		t.Fatal("not an ar archive")
	}
	found := map[string][]byte{}
	for len(rest) > 0 {
		size, err := strconv.Atoi(strings.TrimSpace(string(rest[48:58])))
		if err != nil || string(rest[58:60]) != "`\n" {
			t.Fatalf("bad header %q", rest[:60])
		}
		found[strings.TrimSpace(string(rest[:16]))] = rest[60 : 60+size]
		rest = rest[60+size+size%2:]
	}
	return found
}

// listing returns a line for each entry of a tar file: mode, owner, name, and what it holds.
func listing(t *testing.T, r io.Reader) []string {
	t.Helper()
	var lines []string
	whole, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(whole, make([]byte, 1024)) {
		t.Error("the tar archive lacks its end: two empty blocks, which Go's reader doesn't ask for and dpkg does")
	}
	in := tar.NewReader(bytes.NewReader(whole))
	for {
		h, err := in.Next()
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSpace(strings.Join([]string{
			strconv.FormatInt(h.Mode, 8), strconv.Itoa(h.Uid) + ":" + strconv.Itoa(h.Gid), h.Name, h.Linkname + string(content),
		}, " ")))
	}
}

func TestDebHoldsWhatIsDescribed(t *testing.T) {
	d := Deb{
		Name:   "sudo",
		Fields: map[string]string{"Depends": "libc6"},
		Files: []File{
			{Path: "/usr/bin/sudo", Content: "binary", Mode: 0o4755},
			{Path: "/usr/bin/sudoedit", Link: "sudo"},
			{Path: "/usr/bin/su", HardLink: "/usr/bin/sudo"},
			{Path: "/etc/sudoers", Content: "root", Mode: 0o440, GID: 42},
			{Path: "/var/lib/sudo/", Mode: 0o700, UID: 7},
		},
		Scripts:   map[string]string{"postinst": "#!/bin/sh\n"},
		Conffiles: []string{"/etc/sudoers"},
	}
	deb, err := d.Build()
	if err != nil {
		t.Fatal(err)
	}
	parts := members(t, deb)
	if got := string(parts["debian-binary"]); got != "2.0\n" {
		t.Errorf("debian-binary = %q", got)
	}
	control, err := gzip.NewReader(bytes.NewReader(parts["control.tar.gz"]))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"755 0:0 ./",
		"644 0:0 ./control Package: sudo\nVersion: 1.0\nArchitecture: amd64\nDepends: libc6\nDescription: package sudo of a test\n" +
			"Maintainer: Nobody <nobody@example.org>\nPriority: optional",
		"644 0:0 ./md5sums 9d7183f16acce70658f686ae7f1a4d20  usr/bin/sudo",
		"644 0:0 ./conffiles /etc/sudoers",
		"755 0:0 ./postinst #!/bin/sh",
	}
	if diff := cmp.Diff(want, listing(t, control)); diff != "" {
		t.Errorf("control (-want +got):\n%s", diff)
	}
	data, err := gzip.NewReader(bytes.NewReader(parts["data.tar.gz"]))
	if err != nil {
		t.Fatal(err)
	}
	want = []string{
		"755 0:0 ./",
		"755 0:0 ./usr/",
		"755 0:0 ./usr/bin/",
		"4755 0:0 ./usr/bin/sudo binary",
		"777 0:0 ./usr/bin/sudoedit sudo",
		"4755 0:0 ./usr/bin/su ./usr/bin/sudo",
		"755 0:0 ./etc/",
		"440 0:42 ./etc/sudoers root",
		"755 0:0 ./var/",
		"755 0:0 ./var/lib/",
		"700 7:0 ./var/lib/sudo/",
	}
	if diff := cmp.Diff(want, listing(t, data)); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

func TestDebCompression(t *testing.T) {
	files := []File{{Path: "/a", Content: "text"}}
	want := []string{"755 0:0 ./", "644 0:0 ./a text"}
	deb, err := Deb{Name: "a", Files: files, Compression: "zst"}.Build()
	if err != nil {
		t.Fatal(err)
	}
	data, err := zstd.NewReader(bytes.NewReader(members(t, deb)["data.tar.zst"]))
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	if diff := cmp.Diff(want, listing(t, data)); diff != "" {
		t.Errorf("zst (-want +got):\n%s", diff)
	}
	deb, err = Deb{Name: "a", Files: files, Compression: "none"}.Build()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, listing(t, bytes.NewReader(members(t, deb)["data.tar"]))); diff != "" {
		t.Errorf("none (-want +got):\n%s", diff)
	}
	if _, err = (Deb{Name: "a", Compression: "rar"}).Build(); err == nil {
		t.Error("an unknown compression was accepted")
	}
	if _, err = (Deb{Name: "a", Files: []File{{Path: "relative"}}}).Build(); err == nil {
		t.Error("a relative path was accepted")
	}
}

func TestFilesAreServedAndWritten(t *testing.T) {
	a, err := New(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), "trixie")
	if err != nil {
		t.Fatal(err)
	}
	a.Add("trixie-security", Deb{Name: "bash", Version: "1:5.2"})
	files, err := a.Files()
	if err != nil {
		t.Fatal(err)
	}
	const name = "debian-security/pool/main/b/bash/bash_1-5.2_amd64.deb"
	server := httptest.NewServer(Handler(files))
	defer server.Close()
	for path, want := range map[string]int{"/" + name: 200, "/debian/dists/trixie/InRelease": 200, "/debian/dists/sid/InRelease": 404} {
		answer, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("GET %s = %s, want %d", path, answer.Status, want)
		}
	}
	dir := t.TempDir()
	if err := Write(dir, files); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || !bytes.Equal(got, files[name]) {
		t.Errorf("the written .deb differs, or %v", err)
	}
}
