package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"nbuild/debian"
	"nbuild/store"
)

func storeCollectCommand() command {
	return command{
		name: "store gc", summary: "remove from the store what nothing needs any more",
		details: `What stays is what links such as ./result lead to, what runs from the store, as a virtual machine does, and all that
these refer to and were made of: so the next build after a change downloads and builds no more than without this.
Deleting a link is all it takes to let go of something; "nbuild store roots" lists the links. They count where nbuild
made them: when a project was moved, build it again before. Indices of packages go when nothing has read them for 30 days.

It waits until no other nbuild uses the store.`,
		examples: []string{"nbuild store gc --dry-run | head", "rm result && nbuild store gc"},
		flags: func(flags *pflag.FlagSet, o *options) {
			flags.BoolVarP(&o.dryRun, "dry-run", "n", false, "remove nothing; print size and store path of what would go, the largest first")
			flags.BoolVar(&o.outputs, "outputs-only", false, "do not keep what the rest was made of, as downloads, sources and compilers")
		},
		run: func(ctx context.Context, o *options, args []string) error {
			if len(args) > 0 {
				return usagef("nbuild store gc --help", "store gc: want no arguments, got %d", len(args))
			}
			return collectGarbage(ctx, o)
		},
	}
}

// indexLife is how long an index of packages stays that nobody reads: that of Debian's main archive has 13 MB and changes
// every two months, those of the updates every day.
const indexLife = 30 * 24 * time.Hour

func collectGarbage(ctx context.Context, o *options) error {
	start := time.Now()
	dir, err := storeDirectory(o)
	if err != nil {
		return err
	}
	c, err := store.Collect(ctx, dir, store.CollectOptions{Options: storeOptions(o), DryRun: o.dryRun, OutputsOnly: o.outputs})
	if errors.Is(err, syscall.ENOSPC) {
		return noRoomError{err}
	}
	if err == nil && !o.dryRun {
		err = collectEvaluations(ctx, o)
	}
	if err != nil {
		return err
	}
	indices, err := debian.ForgetIndices(indexFolder(dir), start.Add(-indexLife), o.dryRun)
	if err != nil {
		return err
	}
	if o.dryRun || o.verbose {
		for _, object := range c.Removed {
			fmt.Fprintf(o.stdout, "%d\t%s\n", object.Size, object.Path)
		}
	}
	if !o.quiet {
		text := "%d removed, %d kept, %s freed in %s\n"
		if o.dryRun {
			text = "%d would be removed, %d kept, %s would be freed; found in %s\n"
		}
		fmt.Fprintf(o.stderr, "nbuild: "+text, len(c.Removed), c.Kept, formatBytes(c.Freed+indices), formatDuration(time.Since(start)))
	}
	return nil
}

// A noRoomError says that the disk is so full that not even garbage can be collected.
type noRoomError struct{ error }

// Hint returns what to do.
func (noRoomError) Hint() string {
	return "what is removed has to be written down first: delete some other file on this disk, of a few megabytes"
}

// collectEvaluations removes the records of evaluations that the store has nothing of any more.
func collectEvaluations(ctx context.Context, o *options) (err error) {
	s, err := openStore(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return forgetEvaluations(ctx, s)
}

func storeRootsCommand() command {
	return command{
		name: "store roots", args: "[PATH]", summary: "list what keeps objects in the store",
		details: `Every line has a link, or "in use" for what runs from the store, and the store path that is kept by it. With PATH only
those are listed that keep this one: a store path, where it lies on this machine, or a link to it.`,
		examples: []string{"nbuild store roots"},
		run: withStore(0, 1, func(ctx context.Context, o *options, s *store.Store, args []string) error {
			roots, err := listRoots(ctx, o, s, args)
			if err != nil {
				return err
			}
			for _, r := range roots {
				link := r.Link
				if link == "" {
					link = "in use"
				}
				fmt.Fprintf(o.stdout, "%s\t%s\n", link, r.Path)
			}
			return nil
		}),
	}
}

func listRoots(ctx context.Context, o *options, s *store.Store, args []string) ([]store.Root, error) {
	if len(args) == 0 {
		return s.Roots(ctx)
	}
	path, err := parsePath(o, args[0])
	if err != nil {
		return nil, err
	}
	return s.Keepers(ctx, path)
}
