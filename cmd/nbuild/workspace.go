package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"nbuild/builders"
	"nbuild/config"
	"nbuild/graph"
	"nbuild/internal/digest"
	"nbuild/internal/jobserver"
	"nbuild/internal/storepath"
	"nbuild/store"
)

// A workspace is what a command that builds works with: an open store, a project and its lock file.
type workspace struct {
	options   *options
	directory string // absolute; the project's folder, or where a project would be
	store     *store.Store
	display   display
	events    *jsonEvents // nil when nobody wants them, as is timeline
	timeline  *timeline
	packages  *packages
	sources   sources
	tokens    *jobserver.Client // of the make that nbuild runs below; nil when there is none
	builtin   bool              // there is no project file: the demo is used
}

// openWorkspace opens the store and looks whether there is a project. The caller closes the workspace.
func openWorkspace(ctx context.Context, o *options) (_ *workspace, err error) {
	tokens := jobserver.Open(os.Getenv("MAKEFLAGS"))
	defer func() {
		if err != nil && tokens != nil {
			err = errors.Join(err, tokens.Close())
		}
	}()
	directory, err := filepath.Abs(o.directory)
	if err != nil {
		return nil, err
	}
	project, err := hasProject(directory)
	if err != nil {
		return nil, err
	}
	stall, err := stallTimeout()
	if err != nil {
		return nil, err
	}
	s, err := openStore(ctx, o)
	if err != nil {
		return nil, err
	}
	w := &workspace{
		options: o, directory: directory, store: s, display: newDisplay(o), builtin: !project, tokens: tokens,
		sources: sources{s, map[sourceFile]storepath.Path{}},
	}
	lockFile := filepath.Join(directory, "nbuild.lock")
	if !project {
		// The demo belongs to no folder, so its lock doesn't lie in whichever folder nbuild was started in.
		lockFile = filepath.Join(s.Dir(), "demo.lock")
	}
	if o.events {
		w.events = newJSONEvents(o.stdout)
	}
	if o.trace != "" {
		w.timeline = newTimeline()
	}
	w.packages = &packages{
		options: o, lockFile: lockFile, cache: indexFolder(s.Dir()), stall: stall, progress: w.display.index,
	}
	return w, nil
}

// hasProject reports whether there is a project in a folder.
func hasProject(directory string) (bool, error) {
	_, err := os.Stat(filepath.Join(directory, config.DefaultFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// close ends the display, which evaluation may have begun, closes the store, and writes the trace.
func (w *workspace) close() error {
	w.display.close()
	err := w.store.Close()
	if w.tokens != nil {
		err = errors.Join(err, w.tokens.Close())
	}
	if w.events != nil {
		err = errors.Join(err, w.events.err)
	}
	if w.timeline != nil {
		file := w.options.trace
		if !filepath.IsAbs(file) {
			file = filepath.Join(w.directory, file)
		}
		err = errors.Join(err, w.timeline.write(file))
	}
	return err
}

// openStore opens the store that the flags or the environment name.
func openStore(ctx context.Context, o *options) (*store.Store, error) {
	dir, err := storeDirectory(o)
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, dir, storeOptions(o))
}

func storeOptions(o *options) store.Options {
	return store.Options{Notice: func(text string) {
		if !o.quiet {
			fmt.Fprintf(o.stderr, "nbuild: %s\n", text)
		}
	}}
}

func storeDirectory(o *options) (string, error) {
	if o.store != "" {
		return filepath.Abs(o.store)
	}
	if dir := os.Getenv("NBUILD_STORE"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "nbuild"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usagef("set NBUILD_STORE to a folder for the store", "find the store: %v", err)
	}
	return filepath.Join(home, ".local", "share", "nbuild"), nil
}

// sources lets a project put files into the store, each once: what changes meanwhile isn't seen by this nbuild.
type sources struct {
	store *store.Store
	added map[sourceFile]storepath.Path
}

type sourceFile struct{ name, file string }

// AddSource puts a file or folder into the store.
func (s sources) AddSource(ctx context.Context, name, file string) (storepath.Path, error) {
	source := sourceFile{name, file}
	if path, ok := s.added[source]; ok {
		return path, nil
	}
	object, err := s.store.AddSource(ctx, name, file)
	if err == nil {
		s.added[source] = object.Path
	}
	return object.Path, err
}

// known answers what a plan asks: the outputs of a derivation, if they are valid.
func (w *workspace) known(ctx context.Context) graph.Lookup {
	return func(id digest.DerivationID) (graph.Outputs, bool, error) {
		outputs, ok, err := w.store.DerivationOutputs(ctx, id)
		return outputs, ok, err
	}
}

// builders returns everything that can run an action.
func (w *workspace) builders() map[string]builders.Builder {
	fetch := builders.NewFetch(builders.FetchOptions{Mirrors: w.packages.mirrors, Offline: w.options.offline, Stall: w.packages.stall})
	return map[string]builders.Builder{
		"dpkg-database": builders.DpkgDatabase{},
		"fetch":         fetch,
		"sandbox":       builders.NewSandbox(),
		"symlink":       builders.Symlink{},
		"text":          builders.Text{},
		"tree":          builders.Tree{},
		"unpack":        &builders.Unpack{},
	}
}
