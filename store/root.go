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

// A Root is a symlink anywhere that keeps an object, with its closure, alive.
type Root struct {
	Link string // absolute
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

// Roots returns the recorded roots whose links still lead into this store, sorted by link.
func (s *Store) Roots(ctx context.Context) ([]Root, error) {
	dir := filepath.Join(s.dir, "roots")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list roots: %w", err)
	}
	var roots []Root
	for _, e := range entries {
		link, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // Another process is just making it.
		}
		target, err := os.Readlink(link)
		if err != nil {
			continue // The user removed the link, which is how a root ends.
		}
		if p, ok := objectOfTarget(target); ok && target == s.ObjectFile(p) {
			roots = append(roots, Root{Link: link, Path: p})
		}
	}
	slices.SortFunc(roots, func(a, b Root) int { return strings.Compare(a.Link, b.Link) })
	return roots, ctx.Err()
}
