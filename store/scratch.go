package store

import (
	"fmt"
	"os"
	"slices"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
	"nbuild/internal/storepath"
)

// A Scratch is a private folder for one run of an action, on the store's file system.
type Scratch struct {
	dir string
	key digest.ActionKey
}

// NewScratch makes the folder for a run of the action. The caller removes it.
func (s *Store) NewScratch(key digest.ActionKey) (*Scratch, error) {
	dir, err := s.temporary()
	if err != nil {
		return nil, fmt.Errorf("make scratch folder: %w", err)
	}
	sc := &Scratch{dir: dir, key: key}
	for _, name := range []string{dir, dir + "/store", sc.Work()} {
		if err := os.Mkdir(name, 0o700); err != nil {
			return nil, fmt.Errorf("make scratch folder: %w", err)
		}
	}
	return sc, nil
}

// Dir returns the folder itself.
func (sc *Scratch) Dir() string { return sc.dir }

// Work returns an empty folder for the builder's own use.
func (sc *Scratch) Work() string { return sc.dir + "/work" }

// Path returns the store path that stands for an output while it is made. It depends on the action key and the output's
// name alone, so that a build that runs again does exactly the same, and has the length of the final path.
func (sc *Scratch) Path(output, name string) storepath.Path {
	return storepath.New(digest.Derive(digest.ContextScratch, slices.Concat(sc.key[:], []byte(output))), name)
}

// File returns where a builder has to create the output. Nothing is there yet, but the folder it is in exists.
func (sc *Scratch) File(output, name string) string {
	return sc.dir + "/store/" + sc.Path(output, name).Base()
}

// Remove removes the folder and all in it, also what a build made read-only.
func (sc *Scratch) Remove() error {
	if err := fsx.RemoveAll(sc.dir); err != nil {
		return fmt.Errorf("remove scratch folder: %w", err)
	}
	return nil
}
