//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"nbuild/debian"
	"nbuild/internal/testarchive"
)

// TestMaintainerScriptFails builds a system with a package whose script ends badly: the package is named, and what it
// printed is shown.
func TestMaintainerScriptFails(t *testing.T) {
	p := newPlace(t, user{name: "this user"})
	p.write("nbuild.star", "_tools = debian('trixie').tree([])\n")
	p.nbuild("lock") // The index of the real archive is in the store's cache now.
	overlay := newOverlay(t, mainIndex(t, p), testarchive.Deb{
		Name: "culprit",
		Scripts: map[string]string{
			"postinst": "#!/bin/sh\necho this is what went wrong\nexit 3\n",
		},
	})
	p.write("nbuild.star", "broken = system('broken', modules = [{'environment.packages': ['culprit']}])\n")
	removeFile(t, filepath.Join(p.dir, "nbuild.lock"))
	cmd := p.command(binary(t), "system")
	cmd.Env = append(cmd.Env, overlay...)
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("nbuild system: %v, want exit status 1", err)
	}
	for _, want := range []string{
		`(?m)^nbuild: package-root\S* failed; it printed:$`,
		`(?m)^    this is what went wrong$`,
		`(?m)^    .*package culprit.*script`,
		`(?m)^nbuild: the log of package-root\S* is in /`,
		`(?m)^nbuild: build package-root\S*: .*exit status`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("nothing matches %s in:\n%s", want, out)
		}
	}
	checkNothingLeft(t, p)
	p.nbuild("store", "verify")
}

func removeFile(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// mainIndex returns the index of the main archive out of a store's cache: the longest.
func mainIndex(t *testing.T, p *place) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.store(), "archive", "packages-*.zst"))
	if err != nil {
		t.Fatal(err)
	}
	longest := ""
	for _, file := range files {
		if longest == "" || size(t, file) > size(t, longest) {
			longest = file
		}
	}
	f, err := os.Open(longest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	index, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// newOverlay serves an archive of trixie that has the packages of an index of the real archive, and more. It returns the
// environment that makes nbuild use it.
func newOverlay(t *testing.T, index []byte, more ...testarchive.Deb) []string {
	t.Helper()
	sources, err := debian.FindSources(debian.SourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	archive, err := testarchive.New(time.Now().Add(-time.Minute), "trixie")
	if err != nil {
		t.Fatal(err)
	}
	archive.Forms = []string{".zst"}
	archive.AddIndex("trixie", index)
	archive.Add("trixie", more...)
	files, err := archive.Files()
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := archive.Keyring()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keyring.asc")
	if err := os.WriteFile(file, keyring, 0o644); err != nil {
		t.Fatal(err)
	}
	ours, real := testarchive.Handler(files), realArchive(t, sources.URLs(debian.ArchiveMain)[0])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := files[strings.TrimPrefix(r.URL.Path, "/")]; ok {
			ours.ServeHTTP(w, r)
			return
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return []string{debian.MirrorVariable + "=" + server.URL + "/debian", debian.KeyringVariable + "=" + file}
}

// realArchive answers with what a mirror of the machine has.
func realArchive(t *testing.T, mirror string) http.Handler {
	t.Helper()
	place, err := url.Parse(mirror)
	if err != nil {
		t.Fatal(err)
	}
	if place.Scheme == "file" {
		return http.StripPrefix("/debian", http.FileServer(http.Dir(place.Path)))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, mirror+strings.TrimPrefix(r.URL.EscapedPath(), "/debian"), http.StatusFound)
	})
}
