package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nbuild/internal/testarchive"
)

// today is the clock of these tests.
func today() time.Time { return time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC) }

// newTestArchive makes an archive of today with a package in each pocket of trixie.
func newTestArchive(t testing.TB) *testarchive.Archive {
	t.Helper()
	a, err := testarchive.New(today(), "trixie")
	if err != nil {
		t.Fatal(err)
	}
	a.ValidUntil = today().Add(7 * 24 * time.Hour)
	a.Add("trixie",
		testarchive.Deb{Name: "app", Fields: map[string]string{"Depends": "lib (>= 2)"}},
		testarchive.Deb{Name: "lib", Version: "2.0-1"})
	a.Add("trixie-updates", testarchive.Deb{Name: "app", Version: "1.1", Arch: "all", Fields: map[string]string{"Depends": "lib (>= 2)"}})
	a.Add("trixie-security", testarchive.Deb{Name: "lib", Version: "2.0-1+deb13u1", Fields: map[string]string{"Multi-Arch": "same"}})
	return a
}

func filesOf(t testing.TB, a *testarchive.Archive) map[string][]byte {
	t.Helper()
	files, err := a.Files()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func keyringOf(t testing.TB, a *testarchive.Archive) []Key {
	t.Helper()
	data, err := a.Keyring()
	if err != nil {
		t.Fatal(err)
	}
	return []Key{{Origin: "test.asc", Data: data}}
}

// serve starts a server and returns sources that use it.
func serve(t testing.TB, a *testarchive.Archive, handler http.Handler) *Sources {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &Sources{
		Mirrors: Mirrors{Main: []string{server.URL + "/debian"}, Security: []string{server.URL + "/debian-security"}},
		Keyring: keyringOf(t, a),
	}
}

// newTestClient returns a client that gives up soon.
func newTestClient(t testing.TB, o Options) *Client {
	t.Helper()
	o.Now = today
	o.RetryPause = time.Nanosecond
	if o.StallTimeout == 0 {
		o.StallTimeout = 10 * time.Second
	}
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A recorder remembers the paths that a handler was asked for.
type recorder struct {
	mu    sync.Mutex
	paths []string
	next  http.Handler
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	r.paths = append(r.paths, request.URL.Path)
	r.mu.Unlock()
	r.next.ServeHTTP(w, request)
}

// asked returns how often a path with a part in it was asked for, and forgets all.
func (r *recorder) asked(part string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, p := range r.paths {
		if strings.Contains(p, part) {
			n++
		}
	}
	r.paths = nil
	return n
}

// names returns all versions of all packages.
func names(u *universe) []string {
	var all []string
	for _, name := range []string{"app", "lib"} {
		for i := range u.versions(name) {
			all = append(all, u.text(i)+" "+u.records[i].pocket.suite)
		}
	}
	return all
}

var wantNames = []string{"app 1.1 trixie-updates", "app 1.0 trixie", "lib 2.0-1+deb13u1 trixie-security", "lib 2.0-1 trixie"}

func TestLoadReadsEveryFormOfIndex(t *testing.T) {
	for _, form := range []string{"", ".gz", ".zst"} {
		for _, noByHash := range []bool{false, true} {
			a := newTestArchive(t)
			a.Forms, a.NoByHash = []string{form}, noByHash
			record := &recorder{next: testarchive.Handler(filesOf(t, a))}
			c := newTestClient(t, Options{Sources: serve(t, a, record)})
			u, releases, err := c.load(t.Context(), "trixie")
			if err != nil {
				t.Fatalf("form %q: %v", form, err)
			}
			if diff := cmp.Diff(wantNames, names(u)); diff != "" {
				t.Errorf("form %q (-want +got):\n%s", form, diff)
			}
			if len(releases) != 3 || releases[2].Suite != "trixie-security" || !releases[2].Date.Equal(today()) {
				t.Errorf("form %q: releases %v", form, releases)
			}
			if byHash := record.asked("/by-hash/SHA256/"); (byHash == 3) == noByHash {
				t.Errorf("form %q: %d requests by hash, with NoByHash %t", form, byHash, noByHash)
			}
		}
	}
}

func TestLoadFromAFolderOffline(t *testing.T) {
	a := newTestArchive(t)
	dir := t.TempDir()
	if err := testarchive.Write(dir, filesOf(t, a)); err != nil {
		t.Fatal(err)
	}
	main := "file://" + filepath.ToSlash(dir) + "/debian"
	s, err := FindSources(SourceOptions{Mirrors: []string{main}, Keyrings: []string{writeKeyring(t, a)}})
	if err != nil {
		t.Fatal(err)
	}
	u, _, err := newTestClient(t, Options{Sources: s, Offline: true}).load(t.Context(), "trixie")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantNames, names(u)); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
}

func writeKeyring(t *testing.T, a *testarchive.Archive) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.asc")
	if err := os.WriteFile(file, keyringOf(t, a)[0].Data, 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoadKeepsIndices(t *testing.T) {
	a := newTestArchive(t)
	record := &recorder{next: testarchive.Handler(filesOf(t, a))}
	cache := filepath.Join(t.TempDir(), "archive")
	c := newTestClient(t, Options{Sources: serve(t, a, record), CacheDir: cache})
	load := func(what string, fetched int) {
		t.Helper()
		u, _, err := c.load(t.Context(), "trixie")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if diff := cmp.Diff(wantNames, names(u)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if got := record.asked("/by-hash/"); got != fetched {
			t.Errorf("%s: fetched %d indices, want %d", what, got, fetched)
		}
	}
	load("first", 3)
	load("again", 0)
	entries, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil || len(entries) != 3 {
		t.Fatalf("the cache has %v, %v", entries, err)
	}
	data, err := os.ReadFile(entries[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(entries[0], data[:len(data)/2], 0o666); err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(entries[2])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(entries[1], other, 0o666); err != nil { // Whole, but another index.
		t.Fatal(err)
	}
	load("damaged", 2)
	load("mended", 0)
	if hidden, _ := filepath.Glob(filepath.Join(cache, ".*")); len(hidden) > 0 {
		t.Errorf("temporary files stayed: %v", hidden)
	}
}

func TestForgetIndices(t *testing.T) {
	a := newTestArchive(t)
	cache := filepath.Join(t.TempDir(), "archive")
	limit := time.Now().Add(-24 * time.Hour)
	if size, err := ForgetIndices(cache, limit, false); size != 0 || err != nil {
		t.Errorf("without a folder: %d, %v", size, err)
	}
	c := newTestClient(t, Options{Sources: serve(t, a, testarchive.Handler(filesOf(t, a))), CacheDir: cache})
	load := func() {
		t.Helper()
		if _, _, err := c.load(t.Context(), "trixie"); err != nil {
			t.Fatal(err)
		}
	}
	load()
	// age makes a file old, which it makes if it isn't there.
	age := func(name string) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(cache, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
		if err == nil {
			_, err = f.WriteString("7 bytes")
			err = errors.Join(err, f.Close(), os.Chtimes(f.Name(), limit.Add(-time.Hour), limit.Add(-time.Hour)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	read := namesIn(t, cache)
	for _, name := range []string{".new-1", "packages-0123.zst", "something"} {
		age(name)
	}
	for _, dryRun := range []bool{true, false} {
		before := namesIn(t, cache)
		if size, err := ForgetIndices(cache, limit, dryRun); size != 14 || err != nil {
			t.Errorf("dry run %t: %d, %v, want 14 bytes", dryRun, size, err)
		}
		want := before
		if !dryRun {
			want = append(slices.Clone(read), "something")
		}
		if diff := cmp.Diff(want, namesIn(t, cache)); diff != "" {
			t.Errorf("dry run %t: files (-want +got):\n%s", dryRun, diff)
		}
	}
	// To read an index is to keep it.
	for _, name := range read {
		if err := os.Chtimes(filepath.Join(cache, name), limit.Add(-time.Hour), limit.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	load()
	if size, err := ForgetIndices(cache, limit, false); size != 0 || err != nil {
		t.Errorf("after it was read: %d, %v", size, err)
	}
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// faulty answers some paths in a way of its own and leaves the others to next.
func faulty(part string, answer http.HandlerFunc, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, part) {
			answer(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// times answers the first n requests, and leaves the rest to next.
func times(n int, answer http.HandlerFunc, next http.Handler) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n--
		mine := n >= 0
		mu.Unlock()
		if mine {
			answer(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }
}

// reset breaks the connection after half of what it promised.
func reset(files map[string][]byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data := files[strings.TrimPrefix(r.URL.Path, "/")]
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:len(data)/2])
		_ = http.NewResponseController(w).Flush() // Or the client may take it for an idle connection's end.
		panic(http.ErrAbortHandler)
	}
}

// stall sends half and then nothing until the client goes away.
func stall(files map[string][]byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data := files[strings.TrimPrefix(r.URL.Path, "/")]
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:len(data)/2])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// changed sends what edit makes of a file, without saying how long it is.
func changed(files map[string][]byte, edit func([]byte) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data := edit(bytes.Clone(files[strings.TrimPrefix(r.URL.Path, "/")]))
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(data)
	}
}

func TestLoadTriesAgain(t *testing.T) {
	const index = "debian/dists/trixie/main/binary-amd64/"
	half := func(b []byte) []byte { return b[:len(b)/2] }
	tests := []struct {
		name   string
		part   string
		answer func(files map[string][]byte) http.HandlerFunc
	}{
		{"503", "InRelease", func(map[string][]byte) http.HandlerFunc { return status(503) }},
		{"429", index, func(map[string][]byte) http.HandlerFunc { return status(429) }},
		{"reset of a Release", "InRelease", reset},
		{"reset of an index", index, reset},
		{"stall", index, stall},
		{"early end", index, func(files map[string][]byte) http.HandlerFunc { return changed(files, half) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newTestArchive(t)
			files := filesOf(t, a)
			good := testarchive.Handler(files)
			handler := faulty(test.part, times(3, test.answer(files), good), good)
			c := newTestClient(t, Options{Sources: serve(t, a, handler), StallTimeout: 200 * time.Millisecond})
			u, _, err := c.load(t.Context(), "trixie")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantNames, names(u)); diff != "" {
				t.Errorf("load (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadGivesUp(t *testing.T) {
	const (
		index   = "debian/dists/trixie/main/binary-amd64/"
		release = "/debian/dists/trixie/InRelease"
	)
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	tests := []struct {
		name, part string
		answer     func(files map[string][]byte) http.HandlerFunc
		want       []string // parts of the error
		tries      int      // requests of the faulty path; by hash and by name count
	}{
		{
			"no Release", release, func(map[string][]byte) http.HandlerFunc { return status(404) },
			[]string{"fetch dists/trixie/InRelease from http://", "/debian: not found (404 Not Found)"},
			1,
		},
		{
			"no index", index, func(map[string][]byte) http.HandlerFunc { return status(404) },
			[]string{"fetch dists/trixie/main/binary-amd64/Packages.zst from http://", "not found (404 Not Found)"},
			2,
		},
		{
			"forbidden", release, func(map[string][]byte) http.HandlerFunc { return status(403) },
			[]string{"fetch dists/trixie/InRelease from http://", ": 403 Forbidden"},
			1,
		},
		{
			"always 500", release, func(map[string][]byte) http.HandlerFunc { return status(500) },
			[]string{"fetch dists/trixie/InRelease from http://", "500 Internal Server Error (4 attempts)"},
			4,
		},
		{"always reset", index, reset, []string{"main/binary-amd64/by-hash/SHA256/", "the connection broke off (4 attempts)"}, 4},
		{"always stalls", release, stall, []string{"InRelease from http://", "stalled: nothing came for 100ms (4 attempts)"}, 4},
		{
			"damaged index", index, func(files map[string][]byte) http.HandlerFunc { return changed(files, flip) },
			[]string{"its SHA-256 digest is ", ", but the Release file says "},
			1,
		},
		{"long index", index, func(files map[string][]byte) http.HandlerFunc {
			return changed(files, func(b []byte) []byte { return append(b, 0) })
		}, []string{"it is longer than the"}, 1},
		{"short index", index, func(files map[string][]byte) http.HandlerFunc {
			return changed(files, func(b []byte) []byte { return b[:len(b)-1] })
		}, []string{"fetch dists/trixie/main/binary-amd64/by-hash/SHA256/", "ended after", "bytes (4 attempts)"}, 4},
		{"a page of the mirror's own", release, func(files map[string][]byte) http.HandlerFunc {
			return changed(files, func([]byte) []byte { return []byte("<html>Log in</html>") })
		}, []string{"it is not a clear-signed file"}, 1},
		{"a changed Release", release, func(files map[string][]byte) http.HandlerFunc {
			return changed(files, func(b []byte) []byte {
				return bytes.Replace(b, []byte("Codename: trixie"), []byte("Codename: sid   "), 1)
			})
		}, []string{"bad signature by key "}, 1},
		{"a cut Release", release, func(files map[string][]byte) http.HandlerFunc {
			return changed(files, func(b []byte) []byte { return b[:len(b)/2] })
		}, []string{"fetch dists/trixie/InRelease from http://", "it is not a clear-signed file"}, 1},
		{"another suite's Release", release, func(files map[string][]byte) http.HandlerFunc {
			return changed(files, func([]byte) []byte { return files["debian/dists/trixie-updates/InRelease"] })
		}, []string{"it is of another suite: stable-updates (trixie-updates) instead of trixie"}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newTestArchive(t)
			files := filesOf(t, a)
			bad := &recorder{next: test.answer(files)}
			handler := faulty(test.part, bad.ServeHTTP, testarchive.Handler(files))
			cache := t.TempDir()
			c := newTestClient(t, Options{Sources: serve(t, a, handler), StallTimeout: 100 * time.Millisecond, CacheDir: cache})
			_, _, err := c.load(t.Context(), "trixie")
			if err == nil {
				t.Fatal("load succeeded")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("load = %v, want %q", err, want)
				}
			}
			if got := bad.asked(""); got != test.tries {
				t.Errorf("asked %d times, want %d", got, test.tries)
			}
			if kept, _ := filepath.Glob(filepath.Join(cache, "*")); len(kept) > 2 {
				t.Errorf("the cache has %v, though an index was bad", kept)
			}
		})
	}
}

func TestLoadUsesTheNextMirror(t *testing.T) {
	a := newTestArchive(t)
	files := filesOf(t, a)
	s := serve(t, a, testarchive.Handler(files))
	stale := serve(t, a, faulty("binary-amd64", changed(files, func(b []byte) []byte { return b[1:] }), testarchive.Handler(files)))
	empty := serve(t, a, http.NotFoundHandler())
	s.Main = append(append(empty.Main, stale.Main...), s.Main...)
	u, _, err := newTestClient(t, Options{Sources: s}).load(t.Context(), "trixie")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantNames, names(u)); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
}

func TestLoadChecksTheRelease(t *testing.T) {
	replace := func(old, new string) func(string, string) string {
		return func(_, text string) string { return strings.Replace(text, old, new, 1) }
	}
	tests := []struct {
		name   string
		change func(a *testarchive.Archive)
		want   string
	}{
		{
			"expired", func(a *testarchive.Archive) { a.ValidUntil = today().Add(-24 * time.Hour) },
			"it expired on 2026-05-03; the mirror is out of date (or this machine's clock is wrong): use another mirror",
		},
		{"from the future", func(a *testarchive.Archive) { a.Date = today().Add(25 * time.Hour) }, "the signature by key"},
		{"dated in the future", func(a *testarchive.Archive) { a.Edit = replace("04 May 2026", "06 May 2026") }, "it is from the future (2026-05-06)"},
		{"bad date", func(a *testarchive.Archive) { a.Edit = replace(" 2026 ", " 20x6 ") }, "read its Date: "},
		{"other zone", func(a *testarchive.Archive) { a.Edit = replace("UTC", "CET") }, "is not a date in UTC"},
		{"architecture", func(a *testarchive.Archive) { a.Edit = replace("all amd64", "arm64") }, "it has no packages for amd64, only for arm64"},
		{"component", func(a *testarchive.Archive) { a.Edit = replace("main", "contrib") }, "it has no component main, only"},
		{"no digest", func(a *testarchive.Archive) { a.Edit = replace("SHA256:", "MD5Sum:") }, "it has no SHA-256 digest of main/binary-amd64/Packages"},
		{"digest", func(a *testarchive.Archive) { a.Edit = replace("SHA256:\n ", "SHA256:\n x") }, "its SHA256 field has the line"},
		{"two paragraphs", func(a *testarchive.Archive) { a.Edit = replace("SHA256:", "\nSHA256:") }, "it has 2 paragraphs instead of one"},
		{"no fields", func(a *testarchive.Archive) { a.Edit = replace("Label:", "Label") }, "Release:2:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newTestArchive(t)
			test.change(a)
			c := newTestClient(t, Options{Sources: serve(t, a, testarchive.Handler(filesOf(t, a)))})
			_, _, err := c.load(t.Context(), "trixie")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("load = %v, want %q", err, test.want)
			}
		})
	}
}

func TestLoadTakesAMirrorOfThePast(t *testing.T) {
	a := newTestArchive(t)
	a.ValidUntil = today().Add(-24 * time.Hour)
	s := serve(t, a, testarchive.Handler(filesOf(t, a)))
	s.IgnoreExpiry = true
	if _, _, err := newTestClient(t, Options{Sources: s}).load(t.Context(), "trixie"); err != nil {
		t.Error(err)
	}
}

func TestLoadNamesAnUnknownKey(t *testing.T) {
	a, other := newTestArchive(t), newTestArchive(t)
	s := serve(t, other, testarchive.Handler(filesOf(t, a)))
	_, _, err := newTestClient(t, Options{Sources: s}).load(t.Context(), "trixie")
	if want := "it is signed by unknown keys only: " + a.KeyID(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("load = %v, want %q", err, want)
	}
	s.Keyring = append(s.Keyring, keyringOf(t, a)...)
	if _, _, err := newTestClient(t, Options{Sources: s}).load(t.Context(), "trixie"); err != nil {
		t.Errorf("load with both keys: %v", err)
	}
}

func TestNewClientRefusesABadKeyring(t *testing.T) {
	for _, data := range []string{"not a key", armorBegin + "\n\nxyz\n"} {
		_, err := NewClient(Options{Sources: &Sources{Keyring: []Key{{Origin: "/k.gpg", Data: []byte(data)}}}})
		if err == nil || !strings.HasPrefix(err.Error(), "read keyring /k.gpg: ") {
			t.Errorf("NewClient with %q = %v, want an error that names the file", data, err)
		}
	}
}

func TestOfflineRefusesTheNetwork(t *testing.T) {
	a := newTestArchive(t)
	record := &recorder{next: testarchive.Handler(filesOf(t, a))}
	_, _, err := newTestClient(t, Options{Sources: serve(t, a, record), Offline: true}).load(t.Context(), "trixie")
	if err == nil || !strings.Contains(err.Error(), ": nbuild is offline") {
		t.Errorf("load = %v, want a refusal", err)
	}
	if n := record.asked(""); n > 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestLoadStopsWhenCancelled(t *testing.T) {
	a := newTestArchive(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel(stop)
		<-r.Context().Done()
	})
	_, _, err := newTestClient(t, Options{Sources: serve(t, a, handler)}).load(ctx, "trixie")
	if !errors.Is(err, stop) {
		t.Errorf("load = %v, want the cause of the cancel", err)
	}
}

func TestLoadTellsProgress(t *testing.T) {
	a := newTestArchive(t)
	var mu sync.Mutex
	last := map[string]Progress{}
	tell := func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		last[p.File] = p
	}
	files := filesOf(t, a)
	c := newTestClient(t, Options{Sources: serve(t, a, testarchive.Handler(files)), Progress: tell})
	if _, _, err := c.load(t.Context(), "trixie"); err != nil {
		t.Fatal(err)
	}
	const name = "dists/trixie/InRelease"
	size := int64(len(files["debian/"+name]))
	if diff := cmp.Diff(Progress{name, size, size}, last[name]); diff != "" || len(last) != 6 {
		t.Errorf("%d files told, the last of %s (-want +got):\n%s", len(last), name, diff)
	}
}

// TestDecompressorReadsXZ holds that what Debian's own indices come in can be read; the files are by xz 5.4.
func TestDecompressorReadsXZ(t *testing.T) {
	data, err := os.ReadFile("testdata/Packages.xz")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/Packages")
	if err != nil {
		t.Fatal(err)
	}
	in, err := decompressor(".xz", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(in); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	in, err = decompressor(".xz", bytes.NewReader(data[:len(data)-8]))
	if err == nil {
		_, err = got.ReadFrom(in)
	}
	if err == nil {
		t.Error("a truncated file was read to its end")
	}
}
