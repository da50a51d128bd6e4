package builders

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nbuild/derivations"
	"nbuild/internal/digest"
)

// payload is larger than any buffer on the way.
var payload = bytes.Repeat([]byte("0123456789abcdef"), 64<<10)

func sha256Of(b []byte) *derivations.Fixed {
	sum := sha256.Sum256(b)
	return &derivations.Fixed{Algorithm: "sha256", Digest: hex.EncodeToString(sum[:])}
}

// A fetchServer answers the requests for each path with that path's handlers in turn, the last again and again, and
// notes what was asked for.
type fetchServer struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // "path range"
	handlers map[string][]http.HandlerFunc
}

func newFetchServer(t *testing.T, handlers map[string][]http.HandlerFunc) *fetchServer {
	s := &fetchServer{handlers: handlers}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP implements http.Handler.
func (s *fetchServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
	queue := s.handlers[r.URL.Path]
	if len(queue) > 1 {
		s.handlers[r.URL.Path] = queue[1:]
	}
	s.mu.Unlock()
	if len(queue) == 0 {
		http.NotFound(w, r)
		return
	}
	queue[0](w, r)
}

func (s *fetchServer) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// serve answers whole and ranged requests.
func serve(content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}

// breakAfter sends n bytes of the whole and then cuts the connection.
func breakAfter(content []byte, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content[:n])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// stallAfter sends n bytes and then nothing until the client goes.
func stallAfter(content []byte, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content[:n])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// noSleep counts the pauses instead of making them.
type noSleep struct{ pauses []time.Duration }

func (n *noSleep) sleep(ctx context.Context, d time.Duration) error {
	n.pauses = append(n.pauses, d)
	return ctx.Err()
}

func fetchRequest(t *testing.T, fixed *derivations.Fixed, env map[string]string, locations ...string) *Request {
	return testRequest(t, derivations.Spec{Name: "file", Builder: "fetch", Args: locations, Env: env, Fixed: fixed}, nil)
}

func TestFetch(t *testing.T) {
	half := len(payload) / 2
	size := map[string]string{"size": strconv.Itoa(len(payload))}
	resume := fmt.Sprintf("/a bytes=%d-", half)
	tests := []struct {
		name     string
		handlers map[string][]http.HandlerFunc
		env      map[string]string
		paths    []string
		asked    []string
		pauses   []time.Duration
	}{
		{
			name:     "at once",
			handlers: map[string][]http.HandlerFunc{"/a": {serve(payload)}},
			env:      size,
			asked:    []string{"/a"},
		},
		{
			name:     "the second location has it",
			handlers: map[string][]http.HandlerFunc{"/b": {serve(payload)}},
			paths:    []string{"/a", "/b"},
			asked:    []string{"/a", "/b"},
		},
		{
			name:     "resumed after a reset",
			handlers: map[string][]http.HandlerFunc{"/a": {breakAfter(payload, half), serve(payload)}},
			asked:    []string{"/a", resume},
			pauses:   []time.Duration{250 * time.Millisecond},
		},
		{
			name:     "resumed elsewhere",
			handlers: map[string][]http.HandlerFunc{"/a": {breakAfter(payload, half)}, "/b": {serve(payload)}},
			paths:    []string{"/a", "/b"},
			asked:    []string{"/a", strings.Replace(resume, "/a", "/b", 1)},
		},
		{
			name:     "resumed where ranges are unknown",
			handlers: map[string][]http.HandlerFunc{"/a": {breakAfter(payload, half), breakAfter(payload, len(payload))}},
			asked:    []string{"/a", resume},
			pauses:   []time.Duration{250 * time.Millisecond},
		},
		{
			name:     "resumed after a stall",
			handlers: map[string][]http.HandlerFunc{"/a": {stallAfter(payload, half), serve(payload)}},
			asked:    []string{"/a", resume},
			pauses:   []time.Duration{250 * time.Millisecond},
		},
		{
			name: "unavailable for a while",
			handlers: map[string][]http.HandlerFunc{"/a": {
				status(503), status(500), status(429), serve(payload),
			}},
			asked:  []string{"/a", "/a", "/a", "/a"},
			pauses: []time.Duration{250 * time.Millisecond, 750 * time.Millisecond, 2250 * time.Millisecond},
		},
		{
			name: "unavailable for as long as it says",
			handlers: map[string][]http.HandlerFunc{"/a": {func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(503)
			}, serve(payload)}},
			asked:  []string{"/a", "/a"},
			pauses: []time.Duration{7 * time.Second},
		},
		{
			name: "redirected",
			handlers: map[string][]http.HandlerFunc{
				"/a": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/b", http.StatusFound) }},
				"/b": {serve(payload)},
			},
			asked: []string{"/a", "/b"},
		},
		{
			name:     "a wrong first part is fetched again",
			handlers: map[string][]http.HandlerFunc{"/a": {breakAfter(make([]byte, len(payload)), half)}, "/b": {serve(payload)}},
			paths:    []string{"/a", "/b"},
			asked:    []string{"/a", strings.Replace(resume, "/a", "/b", 1), "/b"},
		},
		{
			name:     "one mirror has a wrong file",
			handlers: map[string][]http.HandlerFunc{"/a": {serve(make([]byte, len(payload)))}, "/b": {serve(payload)}},
			paths:    []string{"/a", "/b"},
			asked:    []string{"/a", "/b"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := newFetchServer(t, test.handlers)
			if test.paths == nil {
				test.paths = []string{"/a"}
			}
			locations := make([]string, len(test.paths))
			for i, p := range test.paths {
				locations[i] = server.URL + p
			}
			pauses := &noSleep{}
			fetch := NewFetch(FetchOptions{Sleep: pauses.sleep, Stall: time.Second})
			defer fetch.Close()
			out := mustBuild(t, fetch, fetchRequest(t, sha256Of(payload), test.env, locations...))
			if b, err := os.ReadFile(out); err != nil || !bytes.Equal(b, payload) {
				t.Errorf("the file has %d bytes that are not the payload's: %v", len(b), err)
			}
			if diff := cmp.Diff(test.asked, server.asked()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.pauses, pauses.pauses); diff != "" {
				t.Errorf("pauses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFetchFails(t *testing.T) {
	wrong := bytes.ToUpper(payload)
	size := map[string]string{"size": strconv.Itoa(len(payload))}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		env     map[string]string
		want    []string
	}{
		{"absent", status(404), nil, []string{"/a: 404 Not Found"}},
		{"forbidden", status(403), nil, []string{"/a: 403 Forbidden"}},
		{"unavailable", status(503), nil, []string{"/a: 503 Service Unavailable (tried 5 times)"}},
		{"wrong digest", serve(wrong), nil, []string{"its sha256 is " + sha256Of(wrong).Digest, sha256Of(payload).Digest + " was declared"}},
		{"wrong digest, right size", serve(wrong), size, []string{"its sha256 is " + sha256Of(wrong).Digest}},
		{"too long", serve(append(payload, payload...)), size, []string{fmt.Sprintf("longer than the %d bytes", len(payload))}},
		{"too short", serve(payload[1:]), size, []string{fmt.Sprintf("it has %d bytes, but %d", len(payload)-1, len(payload))}},
		{"reset", breakAfter(payload, 0), nil, []string{"the connection broke off (tried 5 times)"}},
		{"stalled", stallAfter(payload, 0), nil, []string{"stalled: nothing came for 20ms (tried 5 times)"}},
		{"endless, unknown length", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(payload); err != nil {
					return
				}
			}
		}, size, []string{"longer than"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := newFetchServer(t, map[string][]http.HandlerFunc{"/a": {test.handler}})
			fetch := NewFetch(FetchOptions{Sleep: (&noSleep{}).sleep, Stall: 20 * time.Millisecond})
			defer fetch.Close()
			r := fetchRequest(t, sha256Of(payload), test.env, server.URL+"/a")
			wantFailure(t, fetch, r, append(test.want, server.URL)...)
			if _, err := os.Lstat(r.Outputs["out"].File); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the output is there: %v", err)
			}
		})
	}
}

func TestFetchTellsEachAnswer(t *testing.T) {
	server := newFetchServer(t, map[string][]http.HandlerFunc{"/b": {status(410)}})
	fetch := NewFetch(FetchOptions{Sleep: (&noSleep{}).sleep})
	r := fetchRequest(t, sha256Of(payload), nil, server.URL+"/a", server.URL+"/b", "file:///nonexistent/c")
	wantFailure(t, fetch, r, server.URL+"/a: 404 Not Found; "+server.URL+"/b: 410 Gone; file:///nonexistent/c: no such file or directory")
}

func TestFetchMirrors(t *testing.T) {
	const name = "pool/main/g/g++/g++_1%3a1.0~rc1+b1_amd64.deb"
	server := newFetchServer(t, map[string][]http.HandlerFunc{"/two/" + name: {serve(payload)}})
	fetch := NewFetch(FetchOptions{Mirrors: func(archive string) []string {
		if archive != "debian" {
			return nil
		}
		return []string{server.URL + "/one", server.URL + "/two/"}
	}})
	defer fetch.Close()
	mustBuild(t, fetch, fetchRequest(t, sha256Of(payload), nil, "mirror:debian/"+name))
	if diff := cmp.Diff([]string{"/one/" + name, "/two/" + name}, server.asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	wantFailure(t, fetch, fetchRequest(t, sha256Of(payload), nil, "mirror:other/x"), `no mirror is known for the archive "other"`)
	wantFailure(t, fetch, fetchRequest(t, sha256Of(payload), nil, "mirror:debian"), "want mirror:<archive>/<path>")
}

func TestFetchFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a file")
	if err := os.WriteFile(file, payload, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := digest.Sum(payload)
	fixed := &derivations.Fixed{Algorithm: "blake3", Digest: sum.String()}
	fetch := NewFetch(FetchOptions{Offline: true}) // A file needs no network.
	r := fetchRequest(t, fixed, nil, "file://"+strings.ReplaceAll(file, " ", "%20"))
	var done, total int64
	r.Progress = func(d, t int64) { done, total = d, t }
	out := mustBuild(t, fetch, r)
	if info, err := os.Stat(out); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode is %v, %v, want 0644", info.Mode(), err)
	}
	if want := int64(len(payload)); done != want || total != want {
		t.Errorf("progress ended with %d of %d, want %d", done, total, want)
	}
	wantFailure(t, fetch, fetchRequest(t, fixed, nil, "file://"+t.TempDir()), "not a regular file")
	wantFailure(t, fetch, fetchRequest(t, fixed, nil, "file://elsewhere/x"), "a file URL with a host")
}

func TestFetchRefuses(t *testing.T) {
	fetch := NewFetch(FetchOptions{})
	wantFailure(t, fetch, fetchRequest(t, sha256Of(payload), nil, "ftp://host/x"), `"ftp://host/x" is no https, http or file URL`)
	wantFailure(t, fetch, fetchRequest(t, sha256Of(payload), nil), "names no location")
	wantFailure(t, fetch, fetchRequest(t, nil, nil, "http://host/x"), "declares no digest")
	wantFailure(t, fetch, fetchRequest(t, sha256Of(payload), map[string]string{"size": "-1"}, "http://host/x"), `size is "-1"`)
}

func TestFetchOffline(t *testing.T) {
	server := newFetchServer(t, map[string][]http.HandlerFunc{"/a": {serve(payload)}})
	fetch := NewFetch(FetchOptions{Offline: true})
	for _, location := range []string{server.URL + "/a", "mirror:debian/a"} {
		wantFailure(t, fetch, fetchRequest(t, sha256Of(payload), nil, location), "not in the store, and --offline forbids")
	}
	if asked := server.asked(); asked != nil {
		t.Errorf("asked for %q although offline", asked)
	}
}

func TestFetchCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	server := newFetchServer(t, map[string][]http.HandlerFunc{"/a": {func(w http.ResponseWriter, r *http.Request) {
		cancel()
		stallAfter(payload, 100)(w, r)
	}}})
	fetch := NewFetch(FetchOptions{})
	defer fetch.Close()
	r := fetchRequest(t, sha256Of(payload), nil, server.URL+"/a")
	if err := fetch.Build(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("Build = %v, want %v", err, context.Canceled)
	}
	if _, err := os.Lstat(r.Outputs["out"].File); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the output is there: %v", err)
	}
}

// Many fetches from one server share its connections.
func TestFetchKeepsConnections(t *testing.T) {
	var remote sync.Map
	server := newFetchServer(t, map[string][]http.HandlerFunc{"/a": {func(w http.ResponseWriter, r *http.Request) {
		remote.Store(r.RemoteAddr, true)
		serve(payload)(w, r)
	}}})
	fetch := NewFetch(FetchOptions{})
	defer fetch.Close()
	for range 10 {
		mustBuild(t, fetch, fetchRequest(t, sha256Of(payload), nil, server.URL+"/a"))
	}
	connections := 0
	remote.Range(func(any, any) bool { connections++; return true })
	if connections != 1 {
		t.Errorf("10 fetches took %d connections, want 1", connections)
	}
}
