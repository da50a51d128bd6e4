package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"nbuild/internal/storepath"
)

// Object returns a valid object; the error matches ErrNotValid if it is not in the store.
func (s *Store) Object(ctx context.Context, p storepath.Path) (Object, error) {
	if err := ctx.Err(); err != nil {
		return Object{}, err
	}
	o, err := s.lookup(p)
	if err != nil {
		return Object{}, err
	}
	return *o, nil
}

// lookup returns the one *Object of the path. What is valid stays so, and its record never changes: it is kept for ever.
func (s *Store) lookup(p storepath.Path) (*Object, error) {
	s.mu.Lock()
	o, ok := s.objects[p]
	s.mu.Unlock()
	if ok {
		return o, nil
	}
	o, err := s.index.object(p)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, fmt.Errorf("%s: %w", p, ErrNotValid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[p] = o
	return o, nil
}

// Objects returns all valid objects, sorted by path. It makes durable what is queued.
func (s *Store) Objects(ctx context.Context) ([]Object, error) {
	if err := s.Flush(ctx); err != nil {
		return nil, err
	}
	all, err := s.index.objects()
	objects := make([]Object, len(all))
	for i, o := range all {
		objects[i] = *o
	}
	return objects, err
}

// Closure returns the objects of paths and all that these refer to, sorted by path. The error matches ErrNotValid if one
// is not in the store. It reads the index only for objects that this process never looked at.
func (s *Store) Closure(ctx context.Context, paths ...storepath.Path) ([]Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	seen := make(map[storepath.Path]bool, len(paths))
	var closure []Object
	for todo := slices.Clone(paths); len(todo) > 0; {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[p] {
			continue
		}
		seen[p] = true
		o, err := s.lookup(p)
		if err != nil {
			return nil, err
		}
		closure = append(closure, *o)
		todo = append(todo, o.References...)
	}
	slices.SortFunc(closure, func(a, b Object) int { return strings.Compare(string(a.Path), string(b.Path)) })
	return closure, nil
}
