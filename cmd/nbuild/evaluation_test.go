package main

import (
	"path/filepath"
	"testing"
)

// A folder that gets a project must not be answered by what the demo came to there, nor another folder by a project's.
func TestRecordsAreApart(t *testing.T) {
	store := t.TempDir()
	open := func(directory string, builtin bool) string {
		w, err := openWorkspace(t.Context(), &options{directory: directory, store: store, quiet: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := w.close(); err != nil {
				t.Error(err)
			}
		}()
		if w.builtin != builtin {
			t.Errorf("%s: demo %t, want %t", directory, w.builtin, builtin)
		}
		return w.recordFile()
	}
	one, two := t.TempDir(), t.TempDir()
	demo := open(one, true)
	if again := open(two, true); again != demo {
		t.Errorf("the demo's record is %s, and elsewhere %s", demo, again)
	}
	for _, dir := range []string{one, two} {
		if err := writeStarter(&options{directory: dir, quiet: true}); err != nil {
			t.Fatal(err)
		}
	}
	records := map[string]bool{demo: true, open(one, false): true, open(two, false): true}
	if len(records) != 3 {
		t.Errorf("records %v, want three", records)
	}
	if again := open(filepath.Join(one, "..", filepath.Base(one)), false); !records[again] {
		t.Errorf("the same folder by another name has the record %s", again)
	}
}
