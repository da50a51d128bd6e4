package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"nbuild/internal/storepath"
	"nbuild/store"
)

func storeVerifyCommand() command {
	return command{
		name: "store verify", summary: "read the whole store again and list everything that is not as recorded",
		examples: []string{"nbuild store verify"},
		run: withStore(0, 0, func(ctx context.Context, o *options, s *store.Store, _ []string) error {
			start, problems := time.Now(), 0
			err := s.Verify(ctx, func(p store.Problem) {
				problems++
				fmt.Fprintln(o.stdout, p)
			})
			if err != nil {
				return err
			}
			if problems > 0 {
				return fmt.Errorf("store verify: %d problems", problems)
			}
			if !o.quiet {
				fmt.Fprintf(o.stderr, "nbuild: the store is as it should be (%s)\n", formatDuration(time.Since(start)))
			}
			return nil
		}),
	}
}

func storeListCommand() command {
	return command{
		name: "store ls", summary: "list the objects in the store",
		details:  "Every line has the size of the object's files in bytes and its store path.",
		examples: []string{"nbuild store ls | sort -n | tail"},
		run: withStore(0, 0, func(ctx context.Context, o *options, s *store.Store, _ []string) error {
			objects, err := s.Objects(ctx)
			if err != nil {
				return err
			}
			for _, object := range objects {
				fmt.Fprintf(o.stdout, "%d\t%s\n", object.Size, object.Path)
			}
			return nil
		}),
	}
}

func storeInfoCommand() command {
	return command{
		name: "store path-info", args: "PATH...", summary: "tell what the store knows of objects",
		details:  "PATH is a store path, where it lies on this machine, or a link to it, such as ./result.",
		examples: []string{"nbuild store path-info ./result"},
		run: withStore(1, -1, func(ctx context.Context, o *options, s *store.Store, args []string) error {
			paths, err := parsePaths(o, args)
			if err != nil {
				return err
			}
			for _, path := range paths {
				object, err := s.Object(ctx, path)
				if err != nil {
					return err
				}
				fmt.Fprintf(o.stdout, "path: %s\nfile: %s\ndigest: %s\nfiles: %d\nsize: %d\n",
					object.Path, s.ObjectFile(path), object.Digest, object.Files, object.Size)
				for _, reference := range object.References {
					fmt.Fprintf(o.stdout, "reference: %s\n", reference)
				}
			}
			return nil
		}),
	}
}

func storeClosureCommand() command {
	return command{
		name: "store closure", args: "PATH...", summary: "list objects and all that they refer to",
		details:  "PATH is a store path, where it lies on this machine, or a link to it, such as ./result.",
		examples: []string{"nbuild store closure ./result"},
		run: withStore(1, -1, func(ctx context.Context, o *options, s *store.Store, args []string) error {
			paths, err := parsePaths(o, args)
			if err != nil {
				return err
			}
			objects, err := s.Closure(ctx, paths...)
			if err != nil {
				return err
			}
			for _, object := range objects {
				fmt.Fprintln(o.stdout, object.Path)
			}
			return nil
		}),
	}
}

func storeRebuildCommand() command {
	return command{
		name: "store rebuild-index", summary: "make the index anew from the objects alone",
		details: `For an index that is lost or damaged. Which derivations the objects were made by is lost with it: the next
build runs again, and finds that it made the same.`,
		run: withStore(0, 0, func(ctx context.Context, _ *options, s *store.Store, _ []string) error {
			return s.RebuildIndex(ctx)
		}),
	}
}

// withStore returns a command's run function that opens the store, for least to most arguments (-1: any number).
func withStore(least, most int, use func(context.Context, *options, *store.Store, []string) error) func(context.Context, *options, []string) error {
	return func(ctx context.Context, o *options, args []string) (err error) {
		if len(args) < least || most >= 0 && len(args) > most {
			return usagef("nbuild help", "want %s, got %d arguments", wantedPaths(least, most), len(args))
		}
		s, err := openStore(ctx, o)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		err = use(ctx, o, s, args)
		if errors.Is(err, store.ErrNotValid) {
			return usagef("nbuild store ls", "%v", err) // These commands know no paths but those that the user named.
		}
		return err
	}
}

func wantedPaths(least, most int) string {
	switch {
	case most == 0:
		return "no arguments"
	case least == 0:
		return "at most a path"
	}
	return "a path"
}

// parsePaths turns what a user writes for an object into store paths.
func parsePaths(o *options, args []string) ([]storepath.Path, error) {
	var paths []storepath.Path
	var faults []error
	for _, arg := range args {
		path, err := parsePath(o, arg)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		paths = append(paths, path)
	}
	return paths, errors.Join(faults...)
}

func parsePath(o *options, arg string) (storepath.Path, error) {
	if strings.HasPrefix(arg, storepath.Prefix+"/") {
		path, err := storepath.Parse(arg)
		if err != nil {
			return "", usagef("nbuild store ls", "%v", err)
		}
		return path, nil
	}
	file := arg
	if !filepath.IsAbs(file) {
		file = filepath.Join(o.directory, file)
	}
	path, err := followToObject(file)
	switch {
	case err != nil:
		return "", usagef("nbuild store ls", "%v", err)
	case path == "":
		return "", usagef("nbuild store ls", "%s is not in a store", arg)
	}
	return path, nil
}

// maxLinks is how many links Linux follows in one path.
const maxLinks = 40

// followToObject returns the object that a file is, or that links lead from it to; empty when it is none. An object that
// is a link itself isn't followed: it may lead to another one, or nowhere.
func followToObject(file string) (storepath.Path, error) {
	for range maxLinks {
		folder, err := filepath.EvalSymlinks(filepath.Dir(file))
		if err != nil {
			return "", err
		}
		file = filepath.Join(folder, filepath.Base(file))
		info, err := os.Lstat(file)
		if err != nil {
			return "", err
		}
		if filepath.Base(folder) == "objects" {
			if path, err := storepath.Parse(storepath.Prefix + "/" + filepath.Base(file)); err == nil {
				return path, nil
			}
		}
		if info.Mode().Type() != fs.ModeSymlink {
			return "", nil
		}
		target, err := os.Readlink(file)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(folder, target)
		}
		file = target
	}
	return "", &fs.PathError{Op: "follow", Path: file, Err: syscall.ELOOP}
}
