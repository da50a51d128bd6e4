package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"

	"nbuild/internal/fsx"
	"nbuild/internal/storepath"
	"nbuild/internal/tree"
)

// An ImportError says that an object from elsewhere is not what it is said to be: the fault of whoever gave it.
type ImportError struct {
	Path   storepath.Path
	Reason string
}

// Error returns "PATH: reason".
func (e *ImportError) Error() string { return string(e.Path) + ": " + e.Reason }

// IsInput says that the fault is not nbuild's.
func (e *ImportError) IsInput() bool { return true }

// An Extractor makes file, where nothing is yet, what the object o is, with no more bytes than o.Size. It need not care for
// modes and times.
type Extractor func(ctx context.Context, o Object, file string) error

// Import adds objects that another store has made, and returns how many were not there yet. Of each it takes path, digest,
// size and references, which are only a claim: it is the content that proves them.
//
// What the objects refer to must be among them, or in the store already. If anything is not as claimed, the error is an
// *ImportError, and nothing is added: all objects are looked at before the first gets its name. Afterwards they are
// durable.
func (s *Store) Import(ctx context.Context, objects []Object, extract Extractor) (added int, err error) {
	if _, err := s.processFolder(); err != nil {
		return 0, fmt.Errorf("import: %w", err)
	}
	m := &importation{store: s, missing: map[storepath.Path]*Object{}}
	defer func() { err = errors.Join(err, m.discard()) }()
	if err := m.plan(ctx, objects); err != nil {
		return 0, err
	}
	for _, o := range m.order() {
		if err := m.take(ctx, o, extract); err != nil {
			return 0, err
		}
	}
	for _, c := range m.taken {
		if err := s.publish(ctx, c.content, c.object); err != nil {
			return added, fmt.Errorf("import %s: %w", c.object.Path.Base(), err)
		}
		added++
	}
	return added, s.Flush(ctx)
}

// An importation is the state of one Import.
type importation struct {
	store   *Store
	missing map[storepath.Path]*Object // those that are not there yet
	taken   []takenObject              // what is referred to comes first
}

// A takenObject is on the disk and as it was claimed to be, but has no name yet.
type takenObject struct {
	object  *Object
	content *content
}

// plan finds out what is missing, whether all will be there that is referred to, and whether there is room for it.
func (m *importation) plan(ctx context.Context, objects []Object) error {
	var size int64
	for _, o := range objects {
		there, ok, err := m.store.present(ctx, o.Path)
		switch {
		case err != nil:
			return fmt.Errorf("import: %w", err)
		case ok && there.Digest != o.Digest:
			return &ImportError{o.Path, digestReason(there.Digest, o.Digest)}
		case ok:
			continue
		}
		m.missing[o.Path] = &Object{Path: o.Path, Digest: o.Digest, Size: o.Size, References: slices.Clone(o.References)}
		if size += o.Size; o.Size < 0 || size < 0 {
			return &ImportError{o.Path, "no disk has room for it"}
		}
	}
	for _, o := range objects {
		if err := m.checkReferences(ctx, o); err != nil {
			return err
		}
	}
	return m.checkRoom(size)
}

func (m *importation) checkReferences(ctx context.Context, o Object) error {
	for _, r := range o.References {
		if m.missing[r] != nil {
			continue
		}
		_, ok, err := m.store.present(ctx, r)
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		if !ok {
			return &ImportError{o.Path, "it refers to " + string(r) + ", which is neither with it nor in the store"}
		}
	}
	return nil
}

// checkRoom returns an error that matches syscall.ENOSPC if there is no room for that many bytes.
func (m *importation) checkRoom(size int64) error {
	free, mount, err := fsx.FreeSpace(m.store.dir)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if free < size {
		return fmt.Errorf("import: it needs %d MiB on %s, where %d MiB are free: %w", size>>20, mount, free>>20, syscall.ENOSPC)
	}
	return nil
}

// order returns the missing objects so that what is referred to comes first. Where a circle is claimed, which no content
// can prove, any order will do.
func (m *importation) order() []*Object {
	var order []*Object
	visited := map[storepath.Path]bool{}
	var visit func(p storepath.Path)
	visit = func(p storepath.Path) {
		o := m.missing[p]
		if o == nil || visited[p] {
			return
		}
		visited[p] = true
		for _, r := range o.References {
			visit(r)
		}
		order = append(order, o)
	}
	for _, p := range slices.Sorted(maps.Keys(m.missing)) {
		visit(p)
	}
	return order
}

// take extracts an object and proves that it is what it is said to be.
func (m *importation) take(ctx context.Context, o *Object, extract Extractor) error {
	file, err := m.store.temporary()
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	c := &content{file: file, self: o.Path.Hash()}
	m.taken = append(m.taken, takenObject{o, c})
	if err := extract(ctx, *o, file); err != nil {
		return err
	}
	hashes := []string{c.self}
	for _, r := range o.References {
		hashes = append(hashes, r.Hash())
	}
	c.root, err = tree.Read(ctx, file, tree.Prepare, tree.NewHashes(hashes...))
	var problems tree.Problems
	if errors.As(err, &problems) {
		return &ImportError{o.Path, problems.Error()}
	} else if err != nil {
		return fmt.Errorf("import %s: %w", o.Path.Base(), err)
	}
	return m.prove(o, c)
}

// prove compares what is claimed of an object with its content, and completes the object.
func (m *importation) prove(o *Object, c *content) error {
	found := occurring(c.root)
	for _, r := range o.References {
		if !found[r.Hash()] {
			return &ImportError{o.Path, "it is said to refer to " + string(r) + ", but does not"}
		}
	}
	blanked, self, err := c.blanked()
	if err != nil {
		return fmt.Errorf("import %s: %w", o.Path.Base(), err)
	}
	if p := pathOf(o.Path.Name(), blanked, self, o.References); p != o.Path {
		return &ImportError{o.Path, "its content belongs to the store path " + string(p)}
	}
	o.SelfReference = len(self) > 0
	got, err := c.rewrite(o.Path.Hash()) // It has that hash part already, but blanked has made the nodes forget it.
	if err != nil {
		return fmt.Errorf("import %s: %w", o.Path.Base(), err)
	}
	if got != o.Digest {
		return &ImportError{o.Path, digestReason(got, o.Digest)}
	}
	claimed := o.Size
	o.Size = 0
	o.measure(c.root)
	if o.Size != claimed {
		return &ImportError{o.Path, fmt.Sprintf("it has %d bytes, but is said to have %d", o.Size, claimed)}
	}
	return nil
}

// discard removes what got no name.
func (m *importation) discard() (err error) {
	for _, t := range m.taken {
		err = errors.Join(err, fsx.RemoveAll(t.content.file))
	}
	return err
}
