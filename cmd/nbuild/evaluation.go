package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nbuild/config"
	"nbuild/internal/buildid"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
	"nbuild/store"
)

// Evaluating is left out when nothing has changed since the last time and all that is wanted is in the store. What the
// last evaluation of a project read and came to is in a file of the store's folder evaluations.

// evaluate evaluates the project, writes the lock file if packages were added to it, and records the evaluation. because
// says why that is necessary, where it might not have been.
func (w *workspace) evaluate(ctx context.Context, because string) (*config.Result, error) {
	w.tellDemo()
	if err := w.packages.openLock(w.options.update); err != nil {
		return nil, err
	}
	var messages []string
	show := func(message string) {
		messages = append(messages, message)
		w.tell(message)
	}
	project := w.project()
	project.Print = func(at config.Position, text string) { show(fmt.Sprintf("%s: %s", at, text)) }
	result, err := config.Evaluate(ctx, project)
	if err != nil {
		return nil, err
	}
	for _, warning := range result.Warnings {
		warning.What = "warning: " + warning.What
		show(warning.String())
	}
	if err := w.packages.writeLock(); err != nil {
		return nil, err
	}
	w.record(result, messages, because)
	return result, nil
}

// tell shows what an evaluation said.
func (w *workspace) tell(message string) {
	if !w.options.quiet {
		fmt.Fprintf(w.options.stderr, "nbuild: %s\n", message)
	}
}

// tellDemo says that there is no project.
func (w *workspace) tellDemo() {
	if w.builtin && !w.options.quiet {
		fmt.Fprintf(w.options.stderr, "nbuild: there is no %s here: using the built-in demo system (nbuild init writes it out)\n", config.DefaultFile)
	}
}

// project returns the project as evaluations see it.
func (w *workspace) project() config.Project {
	return config.Project{
		Dir: w.directory, Builtin: w.builtin, Packages: w.packages, Sources: w.sources, Getenv: os.LookupEnv,
	}
}

// projectName returns what the project's record is called by.
func (w *workspace) projectName() string {
	if w.builtin {
		return config.BuiltinFile // It is the same in all folders.
	}
	return w.directory
}

// recordFile returns where the project's record is.
func (w *workspace) recordFile() string {
	return filepath.Join(recordFolder(w.store), digest.Sum([]byte(w.projectName())).String())
}

func recordFolder(s *store.Store) string { return filepath.Join(s.Dir(), "evaluations") }

// record records an evaluation. That it can't is no reason to fail: the next one takes longer, and that is all.
func (w *workspace) record(result *config.Result, messages []string, because string) {
	evaluator, err := buildid.Self()
	if err == nil {
		r := config.NewRecord(evaluator, w.packages.lockDigest(), result, messages)
		r.Project = w.projectName()
		w.trace(r, "evaluated"+because)
		err = r.Write(w.recordFile())
	}
	if err != nil && !w.options.quiet {
		fmt.Fprintf(w.options.stderr, "nbuild: %v\n", err)
	}
}

// trace shows whether the project was evaluated, and what was read.
func (w *workspace) trace(r *config.Record, what string) {
	if !w.options.verbose {
		return
	}
	for _, line := range append(r.Trace(w.project()), what) {
		fmt.Fprintf(w.options.stderr, "nbuild: %s\n", line)
	}
}

// A recalled is what the targets of a command were realised as.
type recalled struct {
	paths       []storepath.Path // in the order of the targets
	derivations map[digest.DerivationID]bool
}

// recall returns what the targets called names are realised as, if that is known without evaluating. Else it returns why
// it isn't.
func (w *workspace) recall(ctx context.Context, names []string) (found *recalled, because string, err error) {
	r := config.ReadRecord(w.recordFile())
	if r == nil {
		return nil, ", because there is no record of it", nil
	}
	evaluator, err := buildid.Self()
	if err == nil {
		err = w.packages.readLock()
	}
	if err != nil {
		return nil, "", err
	}
	because = r.Change(w.project(), evaluator, w.packages.lockDigest())
	if because == "" {
		found, because, err = w.recordedPaths(ctx, r, names)
	}
	if because == "" && err == nil { // Sources come last: all of them are read.
		because = r.SourceChange(ctx, w.project())
	}
	if because != "" || err != nil {
		return nil, ", because " + because, err
	}
	w.tellDemo()
	for _, message := range r.Messages {
		w.tell(message)
	}
	w.trace(r, "not evaluated: nothing changed")
	return found, "", nil
}

// recordedPaths looks up what the targets of a record are realised as, or says why that isn't known.
func (w *workspace) recordedPaths(ctx context.Context, r *config.Record, names []string) (*recalled, string, error) {
	found := &recalled{derivations: map[digest.DerivationID]bool{}}
	for _, name := range names {
		t, ok := r.Targets[name]
		if !ok {
			return nil, fmt.Sprintf("the record has no target %q", name), nil
		}
		outputs, ok, err := w.store.DerivationOutputs(ctx, t.Derivation)
		if err != nil || !ok {
			return nil, name + " is not in the store", err
		}
		found.derivations[t.Derivation] = true
		found.paths = append(found.paths, outputs[t.Output])
	}
	return found, "", nil
}

// forgetEvaluations removes the records that no evaluation can be left out for: those of projects that are gone, those of
// which no target is in the store, and those that can't be read.
func forgetEvaluations(ctx context.Context, s *store.Store) error {
	entries, err := os.ReadDir(recordFolder(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // Another nbuild is just writing it.
		}
		file := filepath.Join(recordFolder(s), e.Name())
		useful, err := isUseful(ctx, s, config.ReadRecord(file))
		if err != nil {
			return err
		}
		if useful {
			continue
		}
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// isUseful reports whether a record, which may be nil, may save an evaluation.
func isUseful(ctx context.Context, s *store.Store, r *config.Record) (bool, error) {
	if r == nil {
		return false, nil
	}
	if r.Project != config.BuiltinFile {
		if there, err := hasProject(r.Project); err == nil && !there {
			return false, nil
		}
	}
	for _, t := range r.Targets {
		if _, ok, err := s.DerivationOutputs(ctx, t.Derivation); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
