package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/spf13/pflag"

	"nbuild/config"
	"nbuild/derivations"
	"nbuild/graph"
	"nbuild/internal/storepath"
)

func initCommand() command {
	return command{
		name:     "init",
		summary:  "write the built-in demo project to nbuild.star, to begin with",
		details:  "A file that is there already is left alone, unless --force is given.",
		examples: []string{"mkdir web && nbuild init -C web && nbuild vm -C web --run"},
		flags: func(flags *pflag.FlagSet, o *options) {
			flags.BoolVar(&o.force, "force", false, "replace a file that is there already")
		},
		run: func(_ context.Context, o *options, args []string) error {
			if len(args) > 0 {
				return usagef("nbuild init -C DIR", "init: takes no arguments")
			}
			return writeStarter(o)
		},
	}
}

func writeStarter(o *options) error {
	file := filepath.Join(o.directory, config.DefaultFile)
	mode := os.O_CREATE | os.O_WRONLY | os.O_EXCL
	if o.force {
		mode = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	}
	f, err := os.OpenFile(file, mode, 0o644)
	if errors.Is(err, os.ErrExist) {
		return usagef("nbuild init --force", "init: %s is there already", file)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, config.Demo())
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if !o.quiet {
		fmt.Fprintf(o.stderr, "nbuild: wrote %s; nbuild vm --run builds and starts its system\n", file)
	}
	return nil
}

func lockCommand() command {
	return command{
		name:     "lock",
		summary:  "write nbuild.lock: the exact packages that the project uses",
		details:  "Packages that are locked already stay as they are; --update looks for newer ones.",
		examples: []string{"nbuild lock", "nbuild lock --update"},
		flags: func(flags *pflag.FlagSet, o *options) {
			projectFlags(flags, o)
			flags.BoolVar(&o.update, "update", false, "forget the lock and resolve everything anew")
		},
		run: func(ctx context.Context, o *options, args []string) error {
			if len(args) > 0 {
				return usagef("nbuild lock --help", "lock: takes no arguments")
			}
			if o.update && (o.locked || o.offline) {
				return usagef("", "lock: --update goes with neither --locked nor --offline")
			}
			return withWorkspace(ctx, o, func(w *workspace) error {
				_, err := w.evaluate(ctx, "")
				return err
			})
		},
	}
}

func logCommand() command {
	return command{
		name: "log", args: "TARGET",
		summary: "show what the last build of a target printed",
		details: `If something below the target is not built, because it failed, its log is shown instead.
The path of the log goes to stderr.`,
		examples: []string{"nbuild log hello"},
		flags:    projectFlags,
		run: func(ctx context.Context, o *options, args []string) error {
			if len(args) != 1 {
				return usagef("nbuild log TARGET", "log: want one target, got %d", len(args))
			}
			return withTargets(ctx, o, args, func(w *workspace, targets []config.Target) error {
				return w.showLog(ctx, targets[0])
			})
		},
	}
}

// showLog prints the log of the target's action; where inputs aren't realised, those of the lowest actions that have one.
func (w *workspace) showLog(ctx context.Context, target config.Target) error {
	plan, err := graph.NewPlan([]*derivations.Derivation{target.Derivation}, w.known(ctx))
	if err != nil {
		return err
	}
	candidates := []*derivations.Derivation{target.Derivation}
	for _, step := range plan.Steps {
		candidates = append(candidates, step.Derivation)
	}
	found := false
	for _, drv := range candidates {
		file, err := w.logOf(ctx, drv)
		if err != nil {
			return err
		}
		if file == "" {
			continue
		}
		found = true
		if !w.options.quiet {
			fmt.Fprintf(w.options.stderr, "nbuild: the log of %s is in %s\n", drv.Name(), file)
		}
		if err := copyFile(w.options.stdout, file); err != nil {
			return err
		}
	}
	if !found {
		return usagef("nbuild build "+target.Name, "log: %s was never built here, or it printed nothing", target.Name)
	}
	return nil
}

// logOf returns the log file of a derivation's action, or nothing if its inputs aren't realised or there is no log.
func (w *workspace) logOf(ctx context.Context, drv *derivations.Derivation) (string, error) {
	errUnknown := errors.New("input not realised")
	action, err := drv.Resolve(func(in derivations.Input) (storepath.Path, error) {
		outputs, ok, err := w.store.DerivationOutputs(ctx, in.Derivation.ID())
		if err == nil && !ok {
			err = errUnknown
		}
		return outputs[in.Output], err
	})
	if errors.Is(err, errUnknown) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	file := w.store.LogFile(action.Key())
	if _, err := os.Stat(file); err != nil {
		return "", nil
	}
	return file, nil
}

func copyFile(out io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, f)
	return err
}

func versionCommand() command {
	return command{
		name: "version", summary: "show which nbuild this is",
		run: func(_ context.Context, o *options, args []string) error {
			_, err := fmt.Fprintln(o.stdout, "nbuild "+version())
			return err
		},
	}
}

// version is what the Go toolchain recorded: the module's version, else the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	setting := func(key string) string {
		i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == key })
		if i < 0 {
			return ""
		}
		return info.Settings[i].Value
	}
	text := info.Main.Version
	if text == "" {
		text = "(devel)"
	}
	if revision := setting("vcs.revision"); revision != "" {
		text += " " + revision
	}
	return text + " " + info.GoVersion
}
