package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"nbuild/config"
	"nbuild/derivations"
	"nbuild/graph"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
	"nbuild/store"
)

// realise makes the outputs of the targets valid, shows what happens, prints the counts and returns the outputs of all that
// is valid, also when something else failed.
func (w *workspace) realise(ctx context.Context, drvs []*derivations.Derivation) (map[digest.DerivationID]graph.Outputs, error) {
	start := time.Now()
	plan, err := w.plan(ctx, drvs)
	if err != nil {
		return nil, err
	}
	known := len(plan.Known)
	var summary graph.Summary
	var failure error
	if len(plan.Steps) > 0 {
		summary, failure = w.execute(ctx, plan)
	}
	flushErr := w.store.Flush(context.WithoutCancel(ctx))
	w.printSummary(summary, known, time.Since(start))
	if flushErr != nil {
		return nil, errors.Join(failure, flushErr)
	}
	return plan.Known, failure
}

// plan reads the durations of the last time only if something has to be done.
func (w *workspace) plan(ctx context.Context, drvs []*derivations.Derivation) (*graph.Plan, error) {
	plan, err := graph.NewPlan(drvs, w.known(ctx))
	if err != nil || len(plan.Steps) == 0 {
		return plan, err
	}
	durations, err := w.store.Durations(ctx)
	if err != nil {
		return nil, err
	}
	plan.Estimate(durations)
	return plan, nil
}

func (w *workspace) execute(ctx context.Context, plan *graph.Plan) (graph.Summary, error) {
	defer w.display.close()
	opts := graph.Options{
		Jobs:      w.options.jobs,
		Downloads: downloads,
		Cores:     runtime.NumCPU(),
		KeepGoing: w.options.keepGoing,
		Events:    w.event,
	}
	if w.tokens != nil { // An interface of a nil pointer isn't nil.
		opts.Tokens = w.tokens
	}
	return graph.Execute(ctx, plan, &graph.Local{Store: w.store, Builders: w.builders()}, opts)
}

// event hands an event to all that read them.
func (w *workspace) event(e graph.Event) {
	w.display.event(e)
	if w.events != nil {
		w.events.event(e)
	}
	if w.timeline != nil {
		w.timeline.event(e)
	}
}

// downloads is how many files are fetched at once. Eight connections took 1.1 s for 129 packages, as many as curl's
// default of parallel transfers that a mirror still likes.
const downloads = 8

func (w *workspace) printSummary(s graph.Summary, known int, took time.Duration) {
	if w.events != nil {
		counts := eventCounts{s.Built, s.Fetched, s.Cached + known, s.Failed, s.Skipped}
		w.events.write(eventRecord{Kind: summaryRecord, Time: time.Now(), Seconds: seconds(took), Counts: &counts})
	}
	if w.options.quiet {
		return
	}
	text := fmt.Sprintf("%d built, %d fetched, %d cached", s.Built, s.Fetched, s.Cached+known)
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d failed, %d not tried", s.Failed, s.Skipped)
	}
	fmt.Fprintf(w.options.stderr, "nbuild: %s in %s\n", text, formatDuration(took))
}

// buildAndLink makes the targets that names stand for valid, makes the result links and prints the paths if that is asked
// for. With --keep-going it does so for those that could be made when others failed; their links have the names that they
// have when all is well.
func (w *workspace) buildAndLink(ctx context.Context, names []string) ([]storepath.Path, error) {
	paths, failure := w.build(ctx, names)
	if failure != nil && (!w.options.keepGoing || ctx.Err() != nil) {
		return nil, failure
	}
	for i, path := range paths {
		if path == "" {
			continue
		}
		link := ""
		if !w.options.noLink {
			link = w.linkName(i)
			if err := w.store.AddRoot(ctx, link, path); err != nil {
				return nil, errors.Join(failure, err)
			}
		}
		if w.events != nil {
			w.events.write(eventRecord{
				Kind: resultRecord, Time: time.Now(), Target: names[i], Path: string(path), File: w.store.ObjectFile(path), Link: link,
			})
		}
		if w.options.printPaths {
			fmt.Fprintln(w.options.stdout, w.store.ObjectFile(path))
		}
	}
	return paths, failure
}

// build makes the targets that names stand for valid, and returns their store paths in the same order. When some failed,
// their places are empty.
func (w *workspace) build(ctx context.Context, names []string) ([]storepath.Path, error) {
	start := time.Now()
	found, because, err := w.recall(ctx, names)
	if err != nil {
		return nil, err
	}
	if found != nil {
		if err := w.checkLinks(len(names)); err != nil {
			return nil, err
		}
		w.printSummary(graph.Summary{}, len(found.derivations), time.Since(start))
		return found.paths, nil
	}
	targets, err := w.targets(ctx, names, because)
	if err == nil {
		err = w.checkLinks(len(names))
	}
	if err != nil {
		return nil, err
	}
	known, err := w.realise(ctx, derivationsOf(targets))
	var paths []storepath.Path
	for _, t := range targets {
		paths = append(paths, known[t.Derivation.ID()][t.Output])
	}
	return paths, err
}

func derivationsOf(targets []config.Target) []*derivations.Derivation {
	var drvs []*derivations.Derivation
	for _, t := range targets {
		drvs = append(drvs, t.Derivation)
	}
	return drvs
}

// checkLinks looks whether the result links can be made.
func (w *workspace) checkLinks(n int) error {
	if w.options.noLink {
		return nil
	}
	links := make([]string, n)
	for i := range links {
		links[i] = w.linkName(i)
	}
	return checkLinks(links, "--out-link names another place, --no-link makes no link")
}

// checkLinks looks whether these links can be made.
func checkLinks(links []string, hint string) error {
	for _, link := range links {
		if err := store.CheckLink(link); err != nil {
			return usagef(hint, "%v", err)
		}
	}
	return nil
}

func (w *workspace) linkName(i int) string { return w.options.linkName(w.directory, i) }

// linkName returns the i-th link that the user wants in a directory: "result", "result-2", "result-3".
func (o *options) linkName(directory string, i int) string {
	name := o.outLink
	if !filepath.IsAbs(name) {
		name = filepath.Join(directory, name)
	}
	if i > 0 {
		name += fmt.Sprintf("-%d", i+1)
	}
	return name
}

func buildCommand() command {
	return command{
		name: "build", args: "TARGET...",
		summary: "build targets of the project",
		details: `TARGET is the name of a global of nbuild.star that is something to build ("hello"), or an attribute of one
("web.vm"). The links are called result, result-2 and so on, in the order of the targets; with --keep-going those that
could be built get theirs when others failed.`,
		examples: []string{"nbuild build hello", "nbuild hello web.system -j4", "nbuild build hello --no-link --print-out-paths", "nbuild build hello --json --trace trace.json"},
		flags:    linkFlags,
		run: func(ctx context.Context, o *options, args []string) error {
			if len(args) == 0 {
				return usagef("nbuild build TARGET...", "build: which target?")
			}
			return withWorkspace(ctx, o, func(w *workspace) error {
				_, err := w.buildAndLink(ctx, args)
				return err
			})
		},
	}
}

func fetchCommand() command {
	return command{
		name: "fetch", args: "TARGET...",
		summary:  "download all that targets need, and build nothing",
		details:  "Afterwards the targets can be built with --offline.",
		examples: []string{"nbuild fetch web.vm", "nbuild web.vm --offline"},
		flags:    buildFlags,
		run: func(ctx context.Context, o *options, args []string) error {
			if len(args) == 0 {
				return usagef("nbuild fetch TARGET...", "fetch: which target?")
			}
			return withTargets(ctx, o, args, func(w *workspace, targets []config.Target) error {
				_, err := w.realise(ctx, downloadsOf(derivationsOf(targets)))
				return err
			})
		},
	}
}

func downloadsOf(targets []*derivations.Derivation) (fetches []*derivations.Derivation) {
	for _, drv := range graph.Derivations(targets) {
		if drv.Fixed() != nil && len(drv.Inputs()) == 0 {
			fetches = append(fetches, drv)
		}
	}
	return fetches
}

// withWorkspace opens the workspace for use and closes it afterwards.
func withWorkspace(ctx context.Context, o *options, use func(*workspace) error) (err error) {
	w, err := openWorkspace(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	return use(w)
}

// withTargets opens the workspace, evaluates the project and hands over the targets that args name.
func withTargets(ctx context.Context, o *options, args []string, use func(*workspace, []config.Target) error) error {
	return withWorkspace(ctx, o, func(w *workspace) error {
		targets, err := w.targets(ctx, args, "")
		if err != nil {
			return err
		}
		return use(w, targets)
	})
}

// targets evaluates the project and returns the targets that names stand for. because says why it must be evaluated.
func (w *workspace) targets(ctx context.Context, names []string, because string) ([]config.Target, error) {
	result, err := w.evaluate(ctx, because)
	if err != nil {
		return nil, err
	}
	var targets []config.Target
	var faults []error
	for _, name := range names {
		t, err := result.Lookup(name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		targets = append(targets, t)
	}
	return targets, errors.Join(faults...)
}
