package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// A command is one of nbuild's subcommands.
type command struct {
	name     string // "store verify" has two words
	args     string // how its arguments are written in the usage line
	summary  string // one line, for the list
	details  string // what --help says below the usage
	examples []string
	flags    func(*pflag.FlagSet, *options)
	dash     bool // run gets the "--" as well, because what stands behind it is something else
	run      func(context.Context, *options, []string) error
}

// commands returns all commands in the order in which help lists them.
func commands() []command {
	return []command{
		vmCommand(), vmSSHCommand(), systemCommand(), squashfsCommand(), isoCommand(), themeCommand(), buildCommand(), fetchCommand(),
		initCommand(), checkCommand(), evalCommand(), optionsCommand(), formatCommand(), lockCommand(), logCommand(),
		storeVerifyCommand(), storeListCommand(), storeInfoCommand(), storeClosureCommand(), storeImportCommand(),
		storeCollectCommand(), storeRootsCommand(), storeRebuildCommand(),
		versionCommand(), helpCommand(),
	}
}

// options are what the flags say. Every command has its own copy.
type options struct {
	stdout, stderr io.Writer

	directory  string
	store      string
	verbose    bool
	quiet      bool
	jobs       int
	keepGoing  bool
	outLink    string
	noLink     bool
	printPaths bool
	locked     bool
	offline    bool
	update     bool // nbuild lock
	run        bool // nbuild vm
	bootloader bool // nbuild vm
	force      bool // nbuild init
	check      bool // nbuild fmt
	all        bool // nbuild eval
	origins    bool // nbuild eval
	json       bool // nbuild eval, nbuild options
	events     bool // --json of the commands that build
	trace      string
	markdown   bool // nbuild options
	dryRun     bool // nbuild store gc
	outputs    bool // nbuild store gc
}

// globalFlags are understood by every command.
func globalFlags(flags *pflag.FlagSet, o *options) {
	flags.StringVarP(&o.directory, "directory", "C", "", "work in `DIR` instead of the current directory")
	flags.StringVar(&o.store, "store", "", "use the store in `DIR` (else $NBUILD_STORE, else $XDG_DATA_HOME/nbuild)")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "also show what was cached, and what the builds print")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "show errors only")
}

// projectFlags are those of commands that evaluate the project.
func projectFlags(flags *pflag.FlagSet, o *options) {
	flags.BoolVar(&o.locked, "locked", false, "fail rather than change nbuild.lock")
	flags.BoolVar(&o.offline, "offline", false, "fail rather than use the network")
}

// buildFlags are those of commands that build.
func buildFlags(flags *pflag.FlagSet, o *options) {
	projectFlags(flags, o)
	flags.IntVarP(&o.jobs, "jobs", "j", runtime.NumCPU(), "run up to `N` builds at once")
	flags.BoolVarP(&o.keepGoing, "keep-going", "k", false, "after a failure go on with what does not depend on it")
	flags.BoolVar(&o.events, "json", false, "write what happens to stdout as JSON, an event a line")
	flags.StringVar(&o.trace, "trace", "", "write when what ran to `FILE`, for chrome://tracing and the like")
}

// linkFlags are those of commands that leave a result link.
func linkFlags(flags *pflag.FlagSet, o *options) {
	buildFlags(flags, o)
	flags.StringVarP(&o.outLink, "out-link", "o", "result", "make `LINK` a symlink to the result, which keeps it in the store")
	flags.BoolVar(&o.noLink, "no-link", false, "make no link")
	flags.BoolVar(&o.printPaths, "print-out-paths", false, "print where the results lie, a path a line")
}

// dispatch finds the command that args name and runs it.
func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o := &options{stdout: stdout, stderr: stderr}
	cmd, rest, err := findCommand(args)
	if err != nil {
		return err
	}
	flags := pflag.NewFlagSet(cmd.name, pflag.ContinueOnError)
	flags.SortFlags = false
	flags.SetOutput(io.Discard)
	help := flags.BoolP("help", "h", false, "show this help")
	globalFlags(flags, o)
	if cmd.flags != nil {
		cmd.flags(flags, o)
	}
	if err := flags.Parse(rest); err != nil {
		return usagef("nbuild "+cmd.name+" --help", "%s: %v", cmd.name, err)
	}
	if *help {
		printHelp(stdout, cmd)
		return nil
	}
	if o.jobs < 1 && flags.Lookup("jobs") != nil {
		return usagef("", "--jobs %d: want at least 1", o.jobs)
	}
	if o.verbose && o.quiet {
		return usagef("", "--verbose and --quiet exclude each other")
	}
	if o.events && o.printPaths {
		return usagef("", "--json and --print-out-paths exclude each other: both write to stdout")
	}
	if o.directory != "" {
		info, err := os.Stat(o.directory)
		if err != nil || !info.IsDir() {
			return usagef("", "--directory %s: there is no such directory", o.directory)
		}
	}
	return cmd.run(ctx, o, commandArguments(flags, cmd))
}

// commandArguments returns the arguments; if the command wants it, an element "--" divides them.
func commandArguments(flags *pflag.FlagSet, cmd command) []string {
	args := flags.Args()
	if dash := flags.ArgsLenAtDash(); dash >= 0 && cmd.dash {
		return slices.Insert(slices.Clone(args), dash, "--")
	}
	return args
}

// findCommand takes the command's words out of args, flags of all commands may stand before them.
// Arguments that name no command are targets: `nbuild hello` is `nbuild build hello`.
func findCommand(args []string) (command, []string, error) {
	all := commands()
	before, after := splitLeadingFlags(args)
	if len(after) == 0 {
		if slices.Contains(before, "--version") {
			return versionCommand(), nil, nil
		}
		return helpCommand(), without(before, "--help", "-h"), nil
	}
	for _, words := range []int{2, 1} {
		if len(after) < words {
			continue
		}
		name := strings.Join(after[:words], " ")
		if i := slices.IndexFunc(all, func(c command) bool { return c.name == name }); i >= 0 {
			return all[i], slices.Concat(before, after[words:]), nil
		}
	}
	if after[0] == "store" {
		return command{}, nil, usagef("nbuild store verify, ls, path-info, closure, import, gc, roots or rebuild-index", "store: which command?")
	}
	return buildCommand(), args, nil
}

// splitLeadingFlags separates the flags before the first plain word, with their values.
func splitLeadingFlags(args []string) (before, after []string) {
	withValue := []string{"-C", "--directory", "--store", "-j", "--jobs", "-o", "--out-link"}
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains(withValue, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-") || args[i] == "--":
			return args[:i:i], args[i:]
		}
	}
	return args, nil
}

func without(args []string, unwanted ...string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(a string) bool { return slices.Contains(unwanted, a) })
}

func helpCommand() command {
	return command{
		name: "help", args: "[COMMAND]", summary: "show this list, or a command's help",
		examples: []string{"nbuild help vm"},
		run: func(_ context.Context, o *options, args []string) error {
			if len(args) == 0 {
				printOverview(o.stdout)
				return nil
			}
			name := strings.Join(args, " ")
			for _, c := range commands() {
				if c.name == name {
					printHelp(o.stdout, c)
					return nil
				}
			}
			return usagef("nbuild help", "help: there is no command %q", name)
		},
	}
}

func printOverview(w io.Writer) {
	fmt.Fprint(w, `nbuild builds what nbuild.star declares: systems, virtual machines, images and anything else.

usage: nbuild COMMAND [FLAGS] [ARGUMENTS]
       nbuild TARGET...              the same as nbuild build TARGET...

`)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-20s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, `
nbuild COMMAND --help tells more. Without nbuild.star the built-in demo system is used; nbuild init writes it out.

environment:
  NBUILD_STORE           where the store is
  NBUILD_DEBIAN_MIRROR   the Debian mirror to use, else the one in the machine's APT sources
  NBUILD_DEBIAN_KEYRING  the keys that Release files must be signed with, else those of APT
  NBUILD_STALL_TIMEOUT   how long a server may send nothing before nbuild tries again, as "10s" (default 30s)
  MAKEFLAGS              set by make: below make -j, nbuild shares make's jobs

exit codes: 0 done, 1 a build or the machine failed, 2 the input is wrong, 70 nbuild is wrong, 130 interrupted
`)
}

func printHelp(w io.Writer, c command) {
	usage := "usage: nbuild " + c.name + " [FLAGS]"
	if c.args != "" {
		usage += " " + c.args
	}
	fmt.Fprintf(w, "%s\n\n%s.\n", usage, capitalise(c.summary))
	if c.details != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(c.details))
	}
	flags := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	flags.SortFlags = false
	if c.flags != nil {
		c.flags(flags, &options{})
	}
	if flags.HasFlags() {
		// The default of --jobs is the machine's; documents must not depend on that.
		if jobs := flags.Lookup("jobs"); jobs != nil {
			jobs.Usage, jobs.DefValue = "run up to `N` builds at once (default: one per processor)", "0"
		}
		fmt.Fprintf(w, "\nflags:\n%s", flags.FlagUsages())
	}
	global := pflag.NewFlagSet("", pflag.ContinueOnError)
	global.SortFlags = false
	globalFlags(global, &options{})
	fmt.Fprintf(w, "\nflags of all commands:\n%s", global.FlagUsages())
	if len(c.examples) > 0 {
		fmt.Fprintf(w, "\nexamples:\n")
		for _, e := range c.examples {
			fmt.Fprintf(w, "  %s\n", e)
		}
	}
}

func capitalise(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
