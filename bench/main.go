// Command bench measures nbuild beside other tools that do the like, in the same run on the same machine, and prints
// medians. It judges nothing: what is to be reached stands beside each figure.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"nbuild/internal/fsx"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	nbuild := flags.String("nbuild", "bin/nbuild", "the nbuild to measure")
	rounds := flags.Int("n", 5, "runs of each command")
	only := flags.String("only", "", "measure only the cases whose name contains this")
	examples := flags.String("examples", "examples", "the folder of the projects that come with nbuild")
	folder := flags.String("dir", "", "where to put stores and projects, which are deleted afterwards (default: the temporary folder)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	binary, err := filepath.Abs(*nbuild)
	if err != nil {
		return err
	}
	projects, err := filepath.Abs(*examples)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(*folder, "nbuild-bench-")
	if err != nil {
		return err
	}
	defer fsx.RemoveAll(dir) // Best effort: it is a temporary folder.
	fmt.Fprintf(out, "%d processors, %s, medians of %d runs taken in turn\n", runtime.NumCPU(), kernel(), *rounds)
	s := suite{ctx: ctx, nbuild: binary, rounds: *rounds, dir: dir, examples: projects, out: out}
	for _, c := range s.cases() {
		if !strings.Contains(c.name, *only) {
			continue
		}
		if err := c.run(); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown kernel"
	}
	return "Linux " + strings.TrimSpace(string(release))
}
