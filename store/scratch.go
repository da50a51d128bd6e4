package store

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// A Scratch is a private folder for one run of an action, on the store's file system.
type Scratch struct {
	store *Store
	dir   string
	key   digest.ActionKey
}

// NewScratch returns an empty folder for a run of the action. The caller removes it.
func (s *Store) NewScratch(key digest.ActionKey) (*Scratch, error) {
	if dir := s.takeSpare(); dir != "" {
		return &Scratch{store: s, dir: dir, key: key}, nil
	}
	dir, err := s.temporary()
	if err != nil {
		return nil, fmt.Errorf("make scratch folder: %w", err)
	}
	sc := &Scratch{store: s, dir: dir, key: key}
	for _, name := range []string{dir, sc.outputs(), sc.Work()} {
		if err := os.Mkdir(name, 0o700); err != nil {
			return nil, fmt.Errorf("make scratch folder: %w", err)
		}
	}
	return sc, nil
}

// takeSpare returns a scratch folder that was used before, or "".
func (s *Store) takeSpare() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.spare) - 1
	if last < 0 {
		return ""
	}
	dir := s.spare[last]
	s.spare = s.spare[:last]
	return dir
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
	return sc.outputs() + "/" + sc.Path(output, name).Base()
}

func (sc *Scratch) outputs() string { return sc.dir + "/store" }

// Remove removes all that is in the folder, also what a build made read-only. The folder itself is kept for the next run
// until the store is closed: a file system is slow to give out inodes that it has just got back.
func (sc *Scratch) Remove() error {
	if err := errors.Join(removeEntries(sc.Work()), removeEntries(sc.outputs())); err != nil {
		return fmt.Errorf("empty scratch folder: %w", err)
	}
	sc.store.mu.Lock()
	defer sc.store.mu.Unlock()
	sc.store.spare = append(sc.store.spare, sc.dir)
	return nil
}
