package store

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nbuild/internal/storepath"
)

func realise(t testing.TB, s *Store, name, text string, o Object) Realisation {
	t.Helper()
	r := Realisation{
		Key: keyOf(name + text), Name: name, Text: []byte(text), Duration: 3 * time.Second,
		Outputs: map[string]storepath.Path{"out": o.Path, "doc": o.Path},
	}
	if err := s.AddRealisation(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.AddDerivation(t.Context(), idOf(name), r.Key); err != nil {
		t.Fatal(err)
	}
	return r
}

// What was recorded must be seen at once by this process, and after Flush by others, with all it says.
func TestRealisation(t *testing.T) {
	dir := newDir(t)
	s := openStore(t, dir)
	defer s.Close() // A test's own.
	o := mustBuild(t, s, "k", "x", nil, files{"f": "x"})
	want := realise(t, s, "x", "text", o)
	check := func(which string, s *Store) {
		t.Helper()
		got, ok, err := s.Realisation(t.Context(), want.Key)
		if diff := cmp.Diff(want, got); err != nil || !ok || diff != "" {
			t.Errorf("%s: realisation %v, %v (-want +got):\n%s", which, ok, err, diff)
		}
		outputs, ok, err := s.DerivationOutputs(t.Context(), idOf("x"))
		if diff := cmp.Diff(want.Outputs, outputs); err != nil || !ok || diff != "" {
			t.Errorf("%s: outputs %v, %v (-want +got):\n%s", which, ok, err, diff)
		}
	}
	check("at once", s)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("flushed", s)
	other := openStore(t, dir)
	defer other.Close() // likewise
	check("elsewhere", other)
	if _, ok, err := other.Realisation(t.Context(), keyOf("unknown")); ok || err != nil {
		t.Errorf("an unknown key: %v, %v", ok, err)
	}
	if _, ok, err := other.DerivationOutputs(t.Context(), idOf("unknown")); ok || err != nil {
		t.Errorf("an unknown derivation: %v, %v", ok, err)
	}
}

// An action may be realised again with other outputs, after its objects were lost: the last word counts.
func TestRealisationAgain(t *testing.T) {
	s := newStore(t)
	key := keyOf("k")
	for i := range 2 {
		o := mustBuild(t, s, "k", "x", nil, files{"f": fmt.Sprint(i)})
		r := Realisation{Key: key, Name: "x", Text: []byte("same"), Outputs: map[string]storepath.Path{"out": o.Path}}
		if err := s.AddRealisation(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, ok, err := s.Realisation(t.Context(), key)
		if diff := cmp.Diff(r, got); err != nil || !ok || diff != "" {
			t.Errorf("run %d: %v, %v (-want +got):\n%s", i, ok, err, diff)
		}
	}
}

func TestLastActionTextAndDurations(t *testing.T) {
	s := newStore(t)
	o := mustBuild(t, s, "k", "x", nil, files{"f": "x"})
	realise(t, s, "x", "first", o)
	realise(t, s, "y", "other", o)
	realise(t, s, "x", "second", o)
	text, ok, err := s.LastActionText(t.Context(), "x")
	if err != nil || !ok || string(text) != "second" {
		t.Errorf("last text is %q, %v, %v, want %q", text, ok, err, "second")
	}
	if _, ok, err := s.LastActionText(t.Context(), "z"); ok || err != nil {
		t.Errorf("of an unknown name: %v, %v", ok, err)
	}
	got, err := s.Durations(t.Context())
	want := map[string]time.Duration{"x": 3 * time.Second, "y": 3 * time.Second}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("durations, %v (-want +got):\n%s", err, diff)
	}
}

// The lock that is given to AddRealisation is free when another process can read the record, not before.
func TestLockIsReleasedOnceDurable(t *testing.T) {
	dir := newDir(t)
	s, other := openStore(t, dir), openStore(t, dir)
	defer s.Close()     // A test's own.
	defer other.Close() // likewise
	key := keyOf("k")
	lock, err := s.LockAction(t.Context(), key, func() { t.Error("waits for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	var waited atomic.Int32
	found := make(chan error)
	go func() {
		second, err := other.LockAction(t.Context(), key, func() { waited.Add(1); found <- nil })
		if err == nil {
			defer second.Release() // It was only a lock.
			var ok bool
			if _, ok, err = other.Realisation(t.Context(), key); err == nil && !ok {
				err = fmt.Errorf("the lock is free, but the record is not there")
			}
		}
		found <- err
	}()
	<-found // The other waits now.
	o := mustBuild(t, s, "k", "x", nil, files{"f": "x"})
	r := Realisation{Key: key, Name: "x", Outputs: map[string]storepath.Path{"out": o.Path}}
	if err := s.AddRealisation(t.Context(), r, lock); err != nil {
		t.Fatal(err)
	}
	if err := <-found; err != nil {
		t.Error(err)
	}
	if waited.Load() != 1 {
		t.Errorf("told %d times that it waits, want 1", waited.Load())
	}
}

func TestLog(t *testing.T) {
	s := newStore(t)
	f, err := s.CreateLog(keyOf("k"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("line\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(s.LogFile(keyOf("k"))); err != nil || string(got) != "line\n" {
		t.Errorf("the log says %q, %v", got, err)
	}
}
