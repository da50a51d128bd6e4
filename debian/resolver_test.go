package debian

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/internal/testarchive"
)

// newTestResolver returns a resolver of an archive with what counts the requests to its server.
func newTestResolver(t *testing.T, a *testarchive.Archive, lock *Lock) (*Resolver, *recorder) {
	t.Helper()
	record := &recorder{next: testarchive.Handler(filesOf(t, a))}
	sources := serve(t, a, record)
	return NewResolver(ResolverOptions{
		Lock: lock,
		Open: func() (*Client, error) { return newTestClient(t, Options{Sources: sources}), nil },
	}), record
}

func keys(packages []Package) string {
	var all []string
	for _, p := range packages {
		all = append(all, p.Key())
	}
	return strings.Join(all, " ")
}

func TestResolverExtendsTheLock(t *testing.T) {
	a := newTestArchive(t)
	r, record := newTestResolver(t, a, &Lock{})
	request := Request{Suite: "trixie", Packages: []string{"app"}}
	got, err := r.Resolve(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if want := "app=1.1 lib=2.0-1+deb13u1"; keys(got) != want {
		t.Errorf("Resolve = %s, want %s", keys(got), want)
	}
	lib := got[1]
	if lib.Archive != ArchiveSecurity || lib.MultiArch != "same" || lib.Architecture != "amd64" || lib.Size == 0 ||
		lib.Path != "pool/main/l/lib/lib_2.0-1+deb13u1_amd64.deb" {
		t.Errorf("lib = %+v", lib)
	}
	if !r.Changed() {
		t.Error("Changed = false after a new set")
	}
	if n := record.asked("InRelease"); n != 3 {
		t.Errorf("fetched %d Release files, want 3", n)
	}
	if _, err := r.Resolve(t.Context(), Request{Suite: "trixie", Packages: []string{"lib"}}); err != nil {
		t.Error(err)
	}
	if n := record.asked(""); n != 0 {
		t.Errorf("a second set of the same suite made %d requests", n)
	}
	file := filepath.Join(t.TempDir(), "nbuild.lock")
	if err := r.Lock().Write(file); err != nil {
		t.Fatal(err)
	}
	lock, err := ReadLock(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(lock.Releases("trixie")); n != 3 {
		t.Errorf("the lock names %d releases, want 3", n)
	}
	again := NewResolver(ResolverOptions{
		Lock:   lock,
		Refuse: "--locked was given",
		Open:   func() (*Client, error) { return nil, errors.New("the archive was opened") },
	})
	same, err := again.Resolve(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, same); diff != "" || again.Changed() {
		t.Errorf("from the lock: changed %t, (-want +got):\n%s", again.Changed(), diff)
	}
}

func TestResolverKeepsLockedVersions(t *testing.T) {
	a := newTestArchive(t)
	old, _ := newTestResolver(t, a, &Lock{})
	if _, err := old.Resolve(t.Context(), Request{Suite: "trixie", Packages: []string{"app"}}); err != nil {
		t.Fatal(err)
	}
	text := old.Lock().Bytes()

	// The archive moves on: lib has a new version and the old one is gone.
	moved := newTestArchive(t)
	moved.Add("trixie-security", testarchive.Deb{Name: "lib", Version: "2.0-1+deb13u2"})
	moved.Add("trixie", testarchive.Deb{Name: "tool", Fields: map[string]string{"Depends": "lib"}},
		testarchive.Deb{Name: "strict", Fields: map[string]string{"Depends": "lib (= 2.0-1+deb13u2)"}})
	tests := []struct{ name, want string }{
		{"tool", "lib=2.0-1+deb13u1 tool=1.0"},
		{"strict", "lib=2.0-1+deb13u2 strict=1.0"},
	}
	for _, test := range tests {
		lock, err := ParseLock(text, "nbuild.lock")
		if err != nil {
			t.Fatal(err)
		}
		r, _ := newTestResolver(t, moved, lock)
		got, err := r.Resolve(t.Context(), Request{Suite: "trixie", Packages: []string{test.name}})
		if err != nil {
			t.Fatal(err)
		}
		if keys(got) != test.want {
			t.Errorf("Resolve %s = %s, want %s", test.name, keys(got), test.want)
		}
		app, ok := lock.Set(Request{Suite: "trixie", Packages: []string{"app"}})
		if want := "app=1.1 lib=2.0-1+deb13u1"; !ok || keys(app) != want {
			t.Errorf("after %s, the set of app = %s, want %s", test.name, keys(app), want)
		}
	}
}

func TestResolverUsesTheLockForPackagesThatAreGone(t *testing.T) {
	full := newTestArchive(t)
	full.Add("trixie", testarchive.Deb{Name: "gone", Version: "3", Fields: map[string]string{"Depends": "lib", "Provides": "virtual (= 3)"}})
	first, _ := newTestResolver(t, full, &Lock{})
	if _, err := first.Resolve(t.Context(), Request{Suite: "trixie", Packages: []string{"gone"}}); err != nil {
		t.Fatal(err)
	}
	lock, err := ParseLock(first.Lock().Bytes(), "nbuild.lock")
	if err != nil {
		t.Fatal(err)
	}
	later := newTestArchive(t)
	later.Add("trixie", testarchive.Deb{Name: "user", Fields: map[string]string{"Depends": "virtual (>= 2)"}})
	r, _ := newTestResolver(t, later, lock)
	got, err := r.Resolve(t.Context(), Request{Suite: "trixie", Packages: []string{"user"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "gone=3 lib=2.0-1+deb13u1 user=1.0"; keys(got) != want {
		t.Errorf("Resolve = %s, want %s", keys(got), want)
	}
}

func TestResolverRefuses(t *testing.T) {
	lock := func() *Lock { return sampleLock() }
	tests := []struct {
		name    string
		request Request
		want    string
	}{
		{
			"new package",
			Request{Suite: "trixie", Packages: []string{"curl", "bash"}},
			"resolve packages of trixie: the lock lacks curl, and --locked was given; run nbuild lock",
		},
		{
			"new set of known packages",
			Request{Suite: "trixie", Packages: []string{"bash", "libc6"}},
			"resolve packages of trixie: the lock lacks the set of bash, libc6, and --locked was given; run nbuild lock",
		},
		{"new suite", Request{Suite: "forky", Packages: []string{"bash"}}, "the lock lacks bash, and"},
	}
	for _, test := range tests {
		r := NewResolver(ResolverOptions{Lock: lock(), Refuse: "--locked was given"})
		_, err := r.Resolve(t.Context(), test.request)
		var locked *LockedError
		if !errors.As(err, &locked) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Resolve = %v, want a LockedError with %q", test.name, err, test.want)
		}
		if r.Changed() || !bytes.Equal(r.Lock().Bytes(), lock().Bytes()) {
			t.Errorf("%s: the lock changed", test.name)
		}
	}
}

func TestResolverLeavesTheLockAloneOnErrors(t *testing.T) {
	r, record := newTestResolver(t, newTestArchive(t), &Lock{})
	tests := []struct {
		request Request
		want    string
	}{
		{Request{Suite: "trixie", Packages: []string{"-rf", "app", "a/b", "app=x y"}}, `"-rf" is not the name of a package`},
		{Request{Suite: "../trixie", Packages: []string{"app"}}, `"../trixie" is not the name of a suite`},
	}
	for _, test := range tests {
		_, err := r.Resolve(t.Context(), test.request)
		var refused *ResolveError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Resolve = %v, want a ResolveError with %q", err, test.want)
		}
	}
	if n := record.asked(""); n > 0 {
		t.Errorf("wrong requests made %d requests to the mirror", n)
	}
	if _, err := r.Resolve(t.Context(), Request{Suite: "trixie", Packages: []string{"ap"}}); err == nil || !strings.Contains(err.Error(), "nearest names are app") {
		t.Errorf("Resolve = %v, want the nearest name", err)
	}
	if _, err := r.Resolve(t.Context(), Request{Suite: "forky", Packages: []string{"app"}}); err == nil || !strings.Contains(err.Error(), "dists/forky") {
		t.Errorf("Resolve = %v, want the missing suite", err)
	}
	if r.Changed() || len(r.Lock().Packages()) > 0 {
		t.Error("the lock changed")
	}
}

// TestLockDoesNotDependOnTheOrder asks for sets in two orders, from many goroutines in one.
func TestLockDoesNotDependOnTheOrder(t *testing.T) {
	a := newTestArchive(t)
	for i := range 8 {
		a.Add("trixie", testarchive.Deb{Name: fmt.Sprintf("tool%d", i), Fields: map[string]string{"Depends": "lib"}})
	}
	request := func(i int) Request {
		return Request{Suite: "trixie", Packages: []string{fmt.Sprintf("tool%d", i), "app"}}
	}
	forward, _ := newTestResolver(t, a, &Lock{})
	for i := range 8 {
		if _, err := forward.Resolve(t.Context(), request(i)); err != nil {
			t.Fatal(err)
		}
	}
	parallel, _ := newTestResolver(t, a, &Lock{})
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			if _, err := parallel.Resolve(t.Context(), request(7-i)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if diff := cmp.Diff(string(forward.Lock().Bytes()), string(parallel.Lock().Bytes())); diff != "" {
		t.Errorf("the locks differ:\n%s", diff)
	}
}
