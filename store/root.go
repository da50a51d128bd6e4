package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
	"nbuild/internal/storepath"
)

// A Root is what keeps an object, with its closure, alive: a symlink anywhere, or a Lease.
type Root struct {
	Link string // absolute; empty for a lease
	Path storepath.Path
}

// AddRoot makes the symlink link to the object p, and records link as a root, once the object is durable. It replaces a
// symlink into a store, and refuses to replace anything else.
func (s *Store) AddRoot(ctx context.Context, link string, p storepath.Path) error {
	if err := s.addRoot(ctx, link, p); err != nil {
		return fmt.Errorf("make link %s: %w", link, err)
	}
	return nil
}

func (s *Store) addRoot(ctx context.Context, link string, p storepath.Path) error {
	link, err := filepath.Abs(link)
	if err != nil {
		return err
	}
	if _, err := s.Object(ctx, p); err != nil {
		return err
	}
	if err := s.Flush(ctx); err != nil {
		return err
	}
	// The record comes first: a root that is not recorded keeps nothing alive.
	if err := point(s.rootFile(link), link); err != nil {
		return err
	}
	if err := checkLink(link); err != nil {
		return err
	}
	return point(link, s.ObjectFile(p))
}

// CheckLink returns an error if AddRoot could not make a link, so that a user hears of it before a long build.
func CheckLink(link string) error {
	if err := checkLink(link); err != nil {
		return fmt.Errorf("make link %s: %w", link, err)
	}
	return nil
}

func checkLink(link string) error {
	there, err := os.Lstat(link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := unix.Access(filepath.Dir(link), unix.W_OK|unix.X_OK); err != nil {
			return &fs.PathError{Op: "write to", Path: filepath.Dir(link), Err: err}
		}
		return nil
	case err != nil:
		return err
	case there.Mode().Type() != fs.ModeSymlink:
		return errors.New("there is something else of that name, which is not a link into a store")
	}
	target, err := os.Readlink(link)
	if err != nil {
		return err
	}
	if _, ok := objectOfTarget(target); !ok {
		return fmt.Errorf("there is a link of that name to %s, which is not in a store", target)
	}
	return nil
}

// point makes link a symlink to target unless it is one.
func point(link, target string) error {
	if there, err := os.Readlink(link); err == nil && there == target {
		return nil
	}
	return fsx.ReplaceSymlink(target, link)
}

// rootFile returns where link is recorded.
func (s *Store) rootFile(link string) string {
	return filepath.Join(s.dir, "roots", digest.Base32(digest.Sum([]byte(link))))
}

// objectOfTarget returns which object a symlink with this target leads to, in whatever store.
func objectOfTarget(target string) (storepath.Path, bool) {
	if filepath.Base(filepath.Dir(target)) != "objects" {
		return "", false
	}
	p, err := storepath.Parse(storepath.Prefix + "/" + filepath.Base(target))
	return p, err == nil
}

// Roots returns the recorded roots whose links still lead into this store, sorted by link, and then the leases, sorted by
// path. It fails if it can't tell where a link leads.
func (s *Store) Roots(ctx context.Context) ([]Root, error) {
	roots, _, err := s.readRoots()
	if err != nil {
		return nil, err
	}
	objects, err := s.Objects(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		held, err := isHeld(s.ObjectFile(o.Path))
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, fmt.Errorf("look for leases: %w", err)
		}
		if held {
			roots = append(roots, Root{Path: o.Path})
		}
	}
	return roots, nil
}

// Keepers returns the roots that keep p alive, leases last.
func (s *Store) Keepers(ctx context.Context, p storepath.Path) ([]Root, error) {
	if _, err := s.Object(ctx, p); err != nil {
		return nil, err
	}
	all, err := s.Roots(ctx)
	if err != nil {
		return nil, err
	}
	keeping, err := s.index.readKeeping(true)
	if err != nil {
		return nil, err
	}
	var keepers []Root
	for _, r := range all {
		clear(keeping.alive)
		keeping.mark(r.Path)
		if keeping.alive[keeping.numbers[p]] {
			keepers = append(keepers, r)
		}
	}
	return keepers, nil
}

// readRoots returns the roots, sorted by link, and the files of those records that name none any more.
func (s *Store) readRoots() (roots []Root, dead []string, err error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "roots"))
	if err != nil {
		return nil, nil, fmt.Errorf("list roots: %w", err)
	}
	for _, e := range entries {
		file := filepath.Join(s.dir, "roots", e.Name())
		link, err := os.Readlink(file)
		if err != nil {
			continue // Another process is just making it.
		}
		p, ok, err := s.rootOf(link)
		if err != nil {
			return nil, nil, fmt.Errorf("find out what a link keeps: %w", err)
		}
		if !ok || s.rootFile(link) != file { // A process that dies may leave a record under a temporary name.
			dead = append(dead, file)
			continue
		}
		roots = append(roots, Root{Link: link, Path: p})
	}
	slices.SortFunc(roots, func(a, b Root) int { return strings.Compare(a.Link, b.Link) })
	return roots, dead, nil
}

// rootOf returns the object that a recorded link leads to. It is no root any more if the user has removed it or put
// something else in its place. The error is one that says nothing of that, as when a folder can't be entered.
func (s *Store) rootOf(link string) (p storepath.Path, ok bool, err error) {
	target, err := os.Readlink(link)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ELOOP):
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(link), target)
	}
	p, ok = objectOfTarget(target)
	if !ok {
		return "", false, nil
	}
	same, err := s.isObjects(filepath.Dir(target))
	return p, same, err
}

// isObjects reports whether a folder is that of this store's objects, which may have other names by symlinks above it.
func (s *Store) isObjects(dir string) (bool, error) {
	objects := filepath.Join(s.dir, "objects")
	if dir == objects {
		return true, nil
	}
	other, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	ours, err := os.Stat(objects)
	return err == nil && os.SameFile(ours, other), err
}
