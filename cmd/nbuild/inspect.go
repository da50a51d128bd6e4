package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"nbuild/config"
	settings "nbuild/config/options"
)

func checkCommand() command {
	return command{
		name:    "check",
		summary: "evaluate the project and say what is wrong, without building",
		details: `All faults and warnings of all systems are shown. With faults the exit code is 2. As with every command that
evaluates, the lock file is completed when packages were added.`,
		examples: []string{"nbuild check", "nbuild check --locked --offline"},
		flags:    projectFlags,
		run: func(ctx context.Context, o *options, args []string) error {
			if len(args) > 0 {
				return usagef("nbuild check -C DIR", "check: takes no arguments")
			}
			return withWorkspace(ctx, o, func(w *workspace) error {
				result, err := w.evaluate(ctx, "")
				if err == nil && !o.quiet {
					tellChecked(o.stderr, result)
				}
				return err
			})
		},
	}
}

// tellChecked says what was checked.
func tellChecked(w io.Writer, r *config.Result) {
	faults := "no faults"
	if len(r.Warnings) > 0 {
		faults += ", " + count(len(r.Warnings), "warning")
	}
	for _, s := range r.Systems {
		options, definitions := s.Options.Size()
		fmt.Fprintf(w, "nbuild: %s: %s, %s\n", s.Name, count(options, "option"), count(definitions, "definition"))
	}
	fmt.Fprintf(w, "nbuild: %s: %s\n", count(len(r.Targets), "target"), faults)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func evalCommand() command {
	return command{
		name: "eval", args: "[SYSTEM] [OPTION]",
		summary: "show the values of a system's options",
		details: `SYSTEM may be left out when the project has one; NAME.vm is its virtual machine, which may have definitions of
its own. OPTION is an option, a group of options, or something in an option's value: users.users.ann.shell.
An option is printed as it is, a string without quotes, so that scripts can use it; a group as NAME = VALUE
in Starlark, but for options that have nothing but their own default; --all shows these, too.
--show-origin adds the definitions: the priority (50 force, 100 plain, 1000 default, 1500 the option's own),
the place and the value. The lowest priority counts; definitions that lost to it are marked.`,
		examples: []string{"nbuild eval", "nbuild eval web networking.host_name", "nbuild eval web.vm virtualisation --all", "nbuild eval users --show-origin", "nbuild eval --json | jq '.\"networking.host_name\"'"},
		flags: func(flags *pflag.FlagSet, o *options) {
			projectFlags(flags, o)
			flags.BoolVar(&o.all, "all", false, "also show options that nothing defines but their own default")
			flags.BoolVar(&o.json, "json", false, "write JSON; paths of what isn't built are placeholders in it")
			flags.BoolVar(&o.origins, "show-origin", false, "show who defines what, and which definitions lost")
		},
		run: func(ctx context.Context, o *options, args []string) error {
			if len(args) > 2 {
				return usagef("nbuild eval SYSTEM OPTION", "eval: want a system and an option, got %d arguments", len(args))
			}
			return withWorkspace(ctx, o, func(w *workspace) error {
				result, err := w.evaluate(ctx, "")
				if err != nil {
					return err
				}
				values, option, err := result.Find(args)
				if err != nil {
					return err
				}
				report, err := values.Report(settings.Query{Name: option, All: o.all, Origins: o.origins})
				if err != nil {
					return err
				}
				if o.json {
					return report.WriteJSON(o.stdout)
				}
				return report.WriteText(o.stdout)
			})
		},
	}
}

func optionsCommand() command {
	return command{
		name: "options", args: "[PREFIX]",
		summary: "describe the options that modules declare",
		details: `Those of nbuild's own modules, and in a project with systems those of its modules, too. PREFIX is an option or
a group of options: only these are described.`,
		examples: []string{"nbuild options networking", "nbuild options users.users", "nbuild options --json", "nbuild options --markdown >options.md"},
		flags: func(flags *pflag.FlagSet, o *options) {
			projectFlags(flags, o)
			flags.BoolVar(&o.json, "json", false, "write JSON")
			flags.BoolVar(&o.markdown, "markdown", false, "write a page in Markdown")
		},
		run: func(ctx context.Context, o *options, args []string) error {
			switch {
			case len(args) > 1:
				return usagef("nbuild options PREFIX", "options: want at most one prefix, got %d", len(args))
			case o.json && o.markdown:
				return usagef("", "--json and --markdown exclude each other")
			}
			declared, err := declaredOptions(ctx, o)
			if err != nil {
				return err
			}
			document := settings.NewDocument(declared)
			if len(args) > 0 {
				if document, err = document.Below(args[0]); err != nil {
					return err
				}
			}
			switch {
			case o.json:
				return document.WriteJSON(o.stdout)
			case o.markdown:
				return document.WriteMarkdown(o.stdout)
			}
			return document.WriteText(o.stdout)
		},
	}
}

// declaredOptions returns the options of the project's systems; without a project, or a system in it, those of nbuild's
// own modules.
func declaredOptions(ctx context.Context, o *options) (declared []*settings.Option, err error) {
	hasProject, err := hasProject(o.directory)
	if err != nil {
		return nil, err
	}
	if hasProject {
		err = withWorkspace(ctx, o, func(w *workspace) error {
			result, err := w.evaluate(ctx, "")
			if err == nil {
				declared = result.Options()
			}
			return err
		})
	}
	var wrong *config.Error
	if errors.As(err, &wrong) {
		// Who has just misspelt an option wants to see which there are.
		fmt.Fprintf(o.stderr, "nbuild: the project has faults, so only the options of nbuild's own modules are shown (nbuild check tells the faults)\n")
		err = nil
	}
	if err != nil || len(declared) > 0 {
		return declared, err
	}
	return config.BuiltinOptions(ctx)
}
