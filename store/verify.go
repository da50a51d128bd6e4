package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"nbuild/internal/digest"
	"nbuild/internal/storepath"
	"nbuild/internal/tree"
)

// A Problem is something that Verify found wrong.
type Problem struct {
	File   string // physical path
	Reason string
}

// String returns "file: reason".
func (p Problem) String() string { return p.File + ": " + p.Reason }

// Verify reads every object again and calls problem for everything that is not as it should be: missing objects, other
// content, modes or times than recorded, references that are not there, store paths that don't follow from the content,
// files in the pool with another content than their name says, and what lies in objects/ without a record. It returns an
// error only if it can't go on. What another nbuild is adding while Verify runs may be reported as having no record.
func (s *Store) Verify(ctx context.Context, problem func(Problem)) error {
	if err := s.verify(ctx, problem); err != nil {
		return fmt.Errorf("verify store: %w", err)
	}
	return nil
}

func (s *Store) verify(ctx context.Context, problem func(Problem)) error {
	dir := filepath.Join(s.dir, "objects")
	entries, err := os.ReadDir(dir) // before the index is read: what is recorded later is not missed here
	if err != nil {
		return err
	}
	objects, err := s.Objects(ctx)
	if err != nil {
		return err
	}
	recorded := map[string]bool{}
	var parts []string
	for _, o := range objects {
		recorded[o.Path.Base()] = true
		parts = append(parts, o.Path.Hash())
	}
	for _, e := range entries {
		if !recorded[e.Name()] {
			problem(Problem{File: filepath.Join(dir, e.Name()), Reason: "is not in the index"})
		}
	}
	hashes := tree.NewHashes(parts...)
	for _, o := range objects {
		reasons, err := s.verifyObject(ctx, o, hashes)
		if err != nil {
			return err
		}
		for _, reason := range reasons {
			problem(Problem{File: s.ObjectFile(o.Path), Reason: reason})
		}
	}
	return s.pool.verify(ctx, problem)
}

// verifyObject returns what is wrong with an object; its error is about being unable to tell.
func (s *Store) verifyObject(ctx context.Context, o Object, hashes *tree.Hashes) ([]string, error) {
	file := s.ObjectFile(o.Path)
	root, err := tree.Read(ctx, file, tree.Check, hashes)
	var problems tree.Problems
	switch {
	case errors.As(err, &problems):
		var reasons []string
		for _, p := range problems {
			reasons = append(reasons, p.String())
		}
		// The content matters too, whatever the modes.
		if root, err := tree.Read(ctx, file, tree.Look, nil); err == nil && tree.Digest(root) != o.Digest {
			reasons = append(reasons, digestReason(tree.Digest(root), o.Digest))
		}
		return reasons, nil
	case errors.Is(err, fs.ErrNotExist):
		return []string{"is missing"}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return []string{err.Error()}, nil
	}
	var reasons []string
	if got := tree.Digest(root); got != o.Digest {
		reasons = append(reasons, digestReason(got, o.Digest))
	}
	found := occurring(root)
	for _, r := range o.References {
		if !found[r.Hash()] {
			reasons = append(reasons, "is recorded to refer to "+string(r)+" but does not")
		}
	}
	blanked, self, err := (&content{file: file, root: root, self: o.Path.Hash()}).blanked()
	if err != nil {
		return append(reasons, err.Error()), nil
	}
	if (len(self) > 0) != o.SelfReference {
		reasons = append(reasons, "the record of whether it refers to itself is wrong")
	}
	if p := pathOf(o.Path.Name(), blanked, self, o.References); p != o.Path {
		reasons = append(reasons, "its content belongs to the store path "+string(p))
	}
	return reasons, nil
}

func digestReason(got, want digest.Digest) string {
	return fmt.Sprintf("has digest %s but %s is recorded", got, want)
}

// occurring returns the hash parts that occur in a tree.
func occurring(root *tree.Node) map[string]bool {
	found := map[string]bool{}
	for _, node := range root.All() {
		for _, m := range node.Matches {
			found[m.Hash] = true
		}
	}
	return found
}

// verify reads all files of the pool.
func (p *pool) verify(ctx context.Context, problem func(Problem)) error {
	root, err := tree.Read(ctx, p.dir, tree.Look, nil)
	// Another process that has just decided what is garbage may be taking files away.
	for tries := 0; errors.Is(err, fs.ErrNotExist) && tries < 10; tries++ {
		root, err = tree.Read(ctx, p.dir, tree.Look, nil)
	}
	if err != nil {
		return err
	}
	for path, node := range root.All() {
		if node.Kind == tree.Folder {
			continue
		}
		file := join(p.dir, path)
		if file != p.name(poolKey{node.Digest, node.Executable}) {
			problem(Problem{File: file, Reason: "has another content than its name says"})
		}
	}
	return nil
}

// RebuildIndex makes the index anew from the objects alone. What made them is lost, so that actions run again. What is
// damaged, or refers to what is, doesn't get into it. It needs the store for itself: no other process may have it open, and
// no other method of s may run.
func (s *Store) RebuildIndex(ctx context.Context) error {
	if err := s.Flush(ctx); err != nil {
		return err
	}
	alone, err := s.lock.TryExclusive()
	if err == nil && !alone {
		err = errors.New("another nbuild uses the store")
	}
	if err == nil {
		err = errors.Join(s.commits.recorder.close(), s.index.close())
	}
	if err == nil {
		err = removeIndex(s.indexFile())
	}
	if err == nil {
		err = s.rebuild(ctx)
	}
	if err := errors.Join(err, s.lock.Shared(context.WithoutCancel(ctx))); err != nil {
		return fmt.Errorf("rebuild index: %w", err)
	}
	return nil
}

// repair rebuilds a lost index while the store is being opened.
func (s *Store) repair(ctx context.Context, lost error) error {
	alone, err := s.lock.TryExclusive()
	if err == nil && !alone {
		err = fmt.Errorf("%w, and can't be rebuilt while another nbuild uses the store", lost)
	}
	if err == nil {
		err = removeIndex(s.indexFile())
	}
	if err != nil {
		return err
	}
	s.notice(fmt.Sprintf("store %s: %v; rebuilding it from the objects", s.dir, lost))
	return s.rebuild(ctx)
}

// rebuild makes an index of all objects that are whole. The caller holds the store's lock exclusively.
func (s *Store) rebuild(ctx context.Context) error {
	objects, err := s.readObjects(ctx)
	if err != nil {
		return err
	}
	index, err := openIndex(s.indexFile(), "")
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.index = index
	clear(s.objects)
	s.mu.Unlock()
	w := &recorder{file: s.indexFile()}
	return errors.Join(w.record(&batch{objects: objects}), w.close())
}

// readObjects returns the whole objects in objects/ whose references are whole too, references first.
func (s *Store) readObjects(ctx context.Context) ([]*Object, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "objects"))
	if err != nil {
		return nil, err
	}
	paths := map[string]storepath.Path{} // by hash part
	for _, e := range entries {
		if p, err := storepath.Parse(storepath.Prefix + "/" + e.Name()); err == nil {
			paths[p.Hash()] = p
		}
	}
	var parts []string
	for hash := range paths {
		parts = append(parts, hash)
	}
	hashes := tree.NewHashes(parts...)
	whole := map[storepath.Path]*Object{}
	for _, p := range paths {
		o, err := s.readObject(ctx, p, paths, hashes)
		if err != nil {
			return nil, err
		}
		if o != nil {
			whole[p] = o
		}
	}
	return referencesFirst(whole), nil
}

// readObject returns the object at p as its content tells it, or nil if its path does not follow from its content.
func (s *Store) readObject(ctx context.Context, p storepath.Path, paths map[string]storepath.Path, hashes *tree.Hashes) (*Object, error) {
	root, err := tree.Read(ctx, s.ObjectFile(p), tree.Check, hashes)
	if err != nil {
		return nil, ctx.Err()
	}
	o := &Object{Path: p, Digest: tree.Digest(root)}
	o.measure(root)
	var found []storepath.Path
	for hash := range occurring(root) {
		if hash != p.Hash() {
			found = append(found, paths[hash])
		}
	}
	slices.Sort(found)
	blanked, self, err := (&content{file: s.ObjectFile(p), root: root, self: p.Hash()}).blanked()
	if err != nil {
		return nil, ctx.Err()
	}
	o.SelfReference = len(self) > 0
	for references := range subsets(found) {
		if pathOf(p.Name(), blanked, self, references) == p {
			o.References = references
			return o, nil
		}
	}
	return nil, nil
}

// subsets yields all of paths, then none, then the other subsets if there are few. What occurs in an object is a reference
// only if it was among the inputs: a source may quote any store path. The index knew; without it, the store path tells.
func subsets(paths []storepath.Path) func(yield func([]storepath.Path) bool) {
	const few = 12 // 4,096 subsets, each a hash of a short text: some milliseconds
	return func(yield func([]storepath.Path) bool) {
		if !yield(paths) || !yield(nil) || len(paths) > few {
			return
		}
		for set := 1; set < 1<<len(paths)-1; set++ {
			var some []storepath.Path
			for i, p := range paths {
				if set>>i&1 == 1 {
					some = append(some, p)
				}
			}
			if !yield(some) {
				return
			}
		}
	}
}

// referencesFirst returns the objects so that each comes after those it refers to. It leaves out those that refer to
// what is not among them.
func referencesFirst(objects map[storepath.Path]*Object) []*Object {
	var order []*Object
	good := map[storepath.Path]bool{} // of those visited
	var visit func(p storepath.Path) bool
	visit = func(p storepath.Path) bool {
		if ok, visited := good[p]; visited {
			return ok
		}
		o := objects[p]
		good[p] = o != nil // Content-addressed objects can't form a circle.
		if o == nil {
			return false
		}
		for _, r := range o.References {
			good[p] = visit(r) && good[p]
		}
		if good[p] {
			order = append(order, o)
		}
		return good[p]
	}
	for p := range objects {
		visit(p)
	}
	return order
}
