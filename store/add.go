package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
	"nbuild/internal/storepath"
	"nbuild/internal/tree"
)

// A NewObject is a finished tree that is to become an object.
type NewObject struct {
	Name         string           // of the object; valid by storepath.ValidateName
	File         string           // the tree, on the store's file system and ours; Add consumes it
	Scratch      storepath.Path   // what it calls itself, or "" if it can't name itself
	MayReference []storepath.Path // the closure of what it was made of, all valid: what is looked for in it
}

// An OutputError says that a tree can't be a store object: the fault of whoever made it, not of the store.
type OutputError struct {
	Name   string // of the object
	Reason string
}

// Error returns "add NAME: reason".
func (e *OutputError) Error() string { return "add " + e.Name + ": " + e.Reason }

// Add freezes trees and gives them their names. They are the outputs of one action and may refer to each other by their
// scratch paths, but not in a circle. The objects are returned in the order of objs; they are valid for this process at
// once, and durable after Flush. An object that is there already is taken instead of the new one.
// If a tree can't be an object, the error is an *OutputError that says everything that is wrong with it.
func (s *Store) Add(ctx context.Context, objs []NewObject) ([]Object, error) {
	if _, err := s.processFolder(); err != nil {
		return nil, fmt.Errorf("add to store: %w", err)
	}
	a := &addition{store: s, objs: objs, own: map[string]int{}, final: map[string]string{}}
	if err := a.read(ctx); err != nil {
		return nil, err
	}
	order, err := a.order()
	if err != nil {
		return nil, err
	}
	added := make([]Object, len(objs))
	for _, i := range order {
		object, err := a.add(ctx, i)
		if err != nil {
			return nil, err
		}
		added[i] = *object
		if objs[i].Scratch != "" {
			a.final[objs[i].Scratch.Hash()] = object.Path.Hash()
			a.paths = append(a.paths, object.Path)
		}
	}
	return added, nil
}

// An addition is the state of one Add.
type addition struct {
	store *Store
	objs  []NewObject
	roots []*tree.Node
	own   map[string]int    // hash part of a scratch path → index in objs
	final map[string]string // hash part of a scratch path → final hash part, of those added already
	paths []storepath.Path  // final paths of those added already
}

// read prepares the trees and finds all hash parts that may be in them.
func (a *addition) read(ctx context.Context) error {
	var own []string
	for i, o := range a.objs {
		if err := storepath.ValidateName(o.Name); err != nil {
			return &OutputError{Name: strconv.Quote(o.Name), Reason: err.Error()}
		}
		if o.Scratch != "" {
			a.own[o.Scratch.Hash()] = i
			own = append(own, o.Scratch.Hash())
		}
	}
	for _, o := range a.objs {
		hashes := slices.Clone(own)
		for _, p := range o.MayReference {
			hashes = append(hashes, p.Hash())
		}
		root, err := tree.Read(ctx, o.File, tree.Prepare, tree.NewHashes(hashes...))
		var problems tree.Problems
		if errors.As(err, &problems) {
			return &OutputError{Name: o.Name, Reason: problems.Error()}
		} else if err != nil {
			return fmt.Errorf("add %s: %w", o.Name, err)
		}
		a.roots = append(a.roots, root)
	}
	return nil
}

// order returns the indices of the objects so that each comes after those it refers to.
func (a *addition) order() ([]int, error) {
	const visiting, done = 1, 2
	state := make([]int, len(a.objs))
	var order, chain []int
	var visit func(i int) error
	visit = func(i int) error {
		chain = append(chain, i)
		defer func() { chain = chain[:len(chain)-1] }()
		switch state[i] {
		case done:
			return nil
		case visiting:
			return a.cycleError(chain)
		}
		state[i] = visiting
		for _, j := range a.siblings(i) {
			if err := visit(j); err != nil {
				return err
			}
		}
		state[i] = done
		order = append(order, i)
		return nil
	}
	for i := range a.objs {
		if err := visit(i); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// siblings returns the other new objects that object i refers to, sorted.
func (a *addition) siblings(i int) []int {
	var found []int
	for _, node := range a.roots[i].All() {
		for _, m := range node.Matches {
			if j, ok := a.own[m.Hash]; ok && j != i {
				found = append(found, j)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// cycleError names the objects of a circle; the last of chain is where it closes.
func (a *addition) cycleError(chain []int) error {
	last := chain[len(chain)-1]
	var names []string
	for _, i := range chain[slices.Index(chain, last):] {
		names = append(names, a.objs[i].Name)
	}
	return &OutputError{Name: a.objs[last].Name, Reason: "the outputs refer to each other in a circle: " + strings.Join(names, " -> ")}
}

// add names, rewrites and publishes one tree; those it refers to have been added.
func (a *addition) add(ctx context.Context, i int) (*Object, error) {
	s, o := a.store, a.objs[i]
	if err := a.checkNames(i); err != nil {
		return nil, err
	}
	c := &content{file: o.File, root: a.roots[i], own: a.final}
	if o.Scratch != "" {
		c.self = o.Scratch.Hash()
	}
	references := a.references(i)
	blanked, self, err := c.blanked()
	if err != nil {
		return nil, fmt.Errorf("add %s: %w", o.Name, err)
	}
	path := pathOf(o.Name, blanked, self, references)
	if object, ok, err := s.present(ctx, path); ok || err != nil {
		return object, errors.Join(err, fsx.RemoveAll(o.File))
	}
	object := &Object{Path: path, References: references, SelfReference: len(self) > 0}
	if object.Digest, err = c.rewrite(path.Hash()); err != nil {
		return nil, fmt.Errorf("add %s: %w", o.Name, err)
	}
	object.measure(c.root)
	if err := s.publish(ctx, c, object); err != nil {
		return nil, fmt.Errorf("add %s: %w", path.Base(), err)
	}
	return object, nil
}

// measure counts the tree's files and bytes.
func (o *Object) measure(root *tree.Node) {
	for _, node := range root.All() {
		if node.Kind == tree.File {
			o.Files++
			o.Size += node.Size
		}
	}
}

// checkNames refuses scratch paths in names of files, as these aren't rewritten.
func (a *addition) checkNames(i int) error {
	for path, node := range a.roots[i].All() {
		if len(node.Name) < digest.Base32Length {
			continue
		}
		for hash := range a.own {
			if strings.Contains(node.Name, hash) {
				return &OutputError{
					Name:   a.objs[i].Name,
					Reason: path + ": the file's name has the output's own store path in it, which is not final yet",
				}
			}
		}
	}
	return nil
}

// references returns what object i refers to besides itself, sorted: what occurs in contents and targets of symlinks.
func (a *addition) references(i int) []storepath.Path {
	found := map[string]bool{}
	for _, node := range a.roots[i].All() {
		for _, m := range node.Matches {
			found[m.Hash] = true
		}
	}
	if len(found) == 0 {
		return nil
	}
	var references []storepath.Path
	for _, p := range a.objs[i].MayReference {
		if found[p.Hash()] {
			references = append(references, p)
		}
	}
	for scratch, final := range a.final {
		if j := a.own[scratch]; found[scratch] && j != i {
			at := slices.IndexFunc(a.paths, func(p storepath.Path) bool { return p.Hash() == final })
			references = append(references, a.paths[at])
		}
	}
	slices.Sort(references)
	return slices.Compact(references)
}

// present returns the object if it is valid and really there: one that somebody removed by hand is put back by Add.
func (s *Store) present(ctx context.Context, path storepath.Path) (*Object, bool, error) {
	object, err := s.lookup(path)
	if errors.Is(err, ErrNotValid) {
		return nil, false, ctx.Err()
	} else if err != nil {
		return nil, false, err
	}
	_, err = os.Lstat(s.ObjectFile(path))
	return object, err == nil, ctx.Err()
}

// publish freezes a tree under its final name and queues its record.
func (s *Store) publish(ctx context.Context, c *content, object *Object) error {
	var fresh []freshFile
	if !s.options.NoDeduplicate {
		var err error
		if fresh, err = s.share(c, object.Path); err != nil {
			return err
		}
	}
	file := c.file
	if c.root.Kind == tree.Folder {
		// A read-only folder can't be moved into another one, but for root: the kernel would have to change its "..".
		// So it moves first, under a name that no object has, and is frozen where it is to stay.
		file = s.temporaryObject()
		if err := os.Rename(c.file, file); err != nil {
			return err
		}
		if err := tree.Seal(file, c.root); err != nil {
			return errors.Join(err, fsx.RemoveAll(file))
		}
	}
	if err := s.rename(ctx, file, object); err != nil {
		return errors.Join(err, fsx.RemoveAll(file))
	}
	s.pool.announce(fresh)
	err := s.commits.enqueue(func(b *batch) {
		b.objects = append(b.objects, object)
		b.fresh = append(b.fresh, fresh...)
	})
	if err != nil {
		return err
	}
	// Not earlier: others would queue records that refer to it, and these might become durable first.
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[object.Path] = object
	return nil
}

// share replaces files by hard links to identical ones and returns those that are new, by their final names.
// Empty files have nothing to share but would soon have more names than a file may.
func (s *Store) share(c *content, path storepath.Path) ([]freshFile, error) {
	temporary, err := s.temporary()
	if err != nil {
		return nil, err
	}
	object := s.ObjectFile(path)
	var fresh []freshFile
	for name, node := range c.root.All() {
		if node.Kind == tree.File && node.Size > 0 && s.pool.share(join(c.file, name), temporary, node) {
			fresh = append(fresh, freshFile{poolKey{node.Digest, node.Executable}, join(object, name)})
		}
	}
	return fresh, nil
}

// rename gives a frozen tree its final name. What has that name already is taken if it is the same, whoever made it:
// nobody gives that name to anything that isn't whole, but a loss of power may have torn what was not recorded yet.
func (s *Store) rename(ctx context.Context, file string, object *Object) error {
	final := s.ObjectFile(object.Path)
	for {
		err := fsx.RenameNew(file, final)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		there, err := tree.Read(ctx, final, tree.Check, nil)
		if err == nil && tree.Digest(there) == object.Digest {
			return fsx.RemoveAll(file)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		old := s.temporaryObject()
		err = os.Rename(final, old)
		if err == nil {
			err = fsx.RemoveAll(old)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replace a damaged object: %w", err)
		}
	}
}

// temporaryObject returns a new name in objects/ that no object has, unique by the process's folder. The caller has made
// sure that this exists.
func (s *Store) temporaryObject() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dir + "/objects/.new-" + filepath.Base(s.scratch) + "-" + strconv.FormatInt(s.serial.Add(1), 36)
}

// AddSource copies a file, a folder or a symlink of the host into the store. It reads it where it is first, and copies it
// only if that content isn't in the store yet. Nothing in a source counts as a reference.
// If it can't be an object, the error is an *OutputError that says everything that is wrong with it.
func (s *Store) AddSource(ctx context.Context, name, file string) (Object, error) {
	if err := storepath.ValidateName(name); err != nil {
		return Object{}, &OutputError{Name: strconv.Quote(name), Reason: err.Error()}
	}
	root, err := tree.Read(ctx, file, tree.Look, nil)
	var problems tree.Problems
	if errors.As(err, &problems) {
		return Object{}, &OutputError{Name: file, Reason: problems.Error()}
	} else if err != nil {
		return Object{}, fmt.Errorf("add source: %w", err)
	}
	object, ok, err := s.present(ctx, pathOf(name, tree.Digest(root), nil, nil))
	if err != nil {
		return Object{}, fmt.Errorf("add source %s: %w", file, err)
	} else if ok {
		return *object, nil
	}
	temporary, err := s.temporary()
	if err == nil {
		err = fsx.Copy(file, temporary)
	}
	if err != nil {
		return Object{}, errors.Join(fmt.Errorf("add source: %w", err), fsx.RemoveAll(temporary))
	}
	// The copy is read again, as the source may have changed since.
	added, err := s.Add(ctx, []NewObject{{Name: name, File: temporary}})
	if err != nil {
		return Object{}, errors.Join(err, fsx.RemoveAll(temporary))
	}
	return added[0], nil
}
