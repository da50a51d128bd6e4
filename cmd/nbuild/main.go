// Command nbuild builds what a project declares: systems, images, virtual machines and anything else, from Starlark and
// Debian packages, in a content-addressed store. `nbuild help` lists its commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"nbuild/builders"
	"nbuild/config"
)

// The exit codes, as `nbuild help` documents them.
const (
	exitFailure     = 1 // a build, a download or the machine failed
	exitUsage       = 2 // the user's input is wrong: command line, project or lock file
	exitBug         = 70
	exitNoLogin     = 255 // as ssh has it
	exitInterrupted = 130
	exitTerminated  = 143
)

// A run that finds nothing to do is over before garbage matters: evaluating 1,001 derivations takes 31 ms with this
// percentage and 36 ms with Go's own of 100. A run that unpacks hundreds of packages is kept small by the limit, which
// the collector then works for.
const (
	gcPercent   = 400
	memoryLimit = 160 << 20
)

func main() {
	builders.RunIfSandboxChild()
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// errInterrupted and errTerminated are the causes of a context that a signal ended.
var (
	errInterrupted = errors.New("interrupted")
	errTerminated  = errors.New("terminated")
)

// run is main without the process: it returns the exit code. Results go to stdout, all else to stderr.
func run(args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if fault := recover(); fault != nil {
			fmt.Fprintf(stderr, "nbuild: this is a bug in nbuild, please report it: %v\n%s", fault, debug.Stack())
			code = exitBug
		}
	}()
	ctx, stop := withSignals(context.Background())
	defer stop()
	err := dispatch(ctx, args, stdout, stderr)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // Whatever broke off has its own words for it.
	}
	if err != nil {
		printError(stderr, err)
	}
	return exitCode(err)
}

// withSignals returns a context that ends at the first SIGINT, SIGTERM or SIGHUP; a second one kills the process as usual.
func withSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		switch <-signals {
		case os.Interrupt:
			cancel(errInterrupted)
		case syscall.SIGTERM, syscall.SIGHUP:
			cancel(errTerminated)
		}
		signal.Stop(signals)
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}

// A usageError is a fault of the command line; hint, if any, says what to do next.
type usageError struct{ what, hint string }

// Error returns what is wrong, without the hint.
func (e *usageError) Error() string { return e.what }

func usagef(hint, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...), hint}
}

// An exitStatus ends nbuild with the code of a program it ran, without a word of its own.
type exitStatus int

// Error returns the code as text; it is never printed.
func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func exitCode(err error) int {
	var (
		login  *loginError
		usage  *usageError
		input  *config.Error
		wrong  interface{ IsInput() bool }
		status exitStatus
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &login):
		return exitNoLogin
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.Is(err, errTerminated):
		return exitTerminated
	case errors.As(err, &usage), errors.As(err, &input), errors.As(err, &wrong) && wrong.IsInput():
		return exitUsage
	}
	return exitFailure
}

// printError prints each line of err with the program's name before it, and the hint if there is one.
func printError(w io.Writer, err error) {
	var status exitStatus
	if errors.As(err, &status) {
		return
	}
	for line := range strings.Lines(strings.TrimRight(err.Error(), "\n")) {
		fmt.Fprintf(w, "nbuild: %s\n", strings.TrimRight(line, "\n"))
	}
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(w, "nbuild: hint: %s\n", hint)
	}
}

// hintFor returns what to do about an error, where its own words don't say so.
func hintFor(err error) string {
	var (
		usage     *usageError
		lock      lockError
		noRoom    noRoomError
		forbidden *builders.EnvironmentError // tells its own way out; its errno may be that of a full disk
	)
	switch {
	case errors.As(err, &usage):
		return usage.hint
	case errors.As(err, &lock):
		return "nbuild lock --update makes the lock file anew, with the newest packages"
	case errors.As(err, &forbidden):
		return ""
	case errors.As(err, &noRoom):
		return noRoom.Hint()
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "nbuild store gc removes what is not needed any more; or name a store on another disk with --store"
	}
	return ""
}
