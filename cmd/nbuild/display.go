package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"nbuild/graph"
)

// A display shows the events of one execution. Its methods are called from one goroutine at a time.
type display interface {
	event(graph.Event)
	// index says how much of a file of the archive's index has arrived: no step, but bytes all the same.
	index(name string, done, total int64)
	// close ends the display; nothing of it moves afterwards. Closing again does nothing.
	close()
}

// newDisplay chooses the display that fits the flags and where stderr goes: bars on a terminal, else a line an event.
func newDisplay(o *options) display {
	lines := &lineDisplay{out: o.stderr, verbose: o.verbose, quiet: o.quiet, fetched: map[*graph.Step]int64{}, read: map[string]bool{}}
	file, ok := o.stderr.(*os.File)
	if !ok || o.quiet || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return lines
	}
	return newTerminalDisplay(o.stderr, lines)
}

// A lineDisplay prints a line for each event worth one, in the order of the events.
type lineDisplay struct {
	out            io.Writer
	verbose, quiet bool
	fetched        map[*graph.Step]int64 // bytes that a download has got
	read           map[string]bool       // files of the archive's index that were told
}

func (d *lineDisplay) event(e graph.Event) {
	if text := d.text(e); text != "" {
		fmt.Fprintf(d.out, "nbuild: %s\n", text)
	}
	if e.Kind == graph.Failed && e.Log != "" {
		d.log(e)
	}
}

// text returns the line for an event, or nothing.
func (d *lineDisplay) text(e graph.Event) string {
	switch e.Kind {
	case graph.Progress:
		d.fetched[e.Step] = e.Done
	case graph.Started:
		if d.verbose {
			return verb(e.Step, "fetching ", "building ") + e.Step.Name()
		}
	case graph.Finished:
		if d.quiet {
			return ""
		}
		size := ""
		if e.Step.IsDownload() {
			size = formatBytes(d.fetched[e.Step]) + ", "
		}
		return fmt.Sprintf("%s%s (%s%s)", verb(e.Step, "fetched ", "built "), e.Step.Name(), size, formatDuration(e.Duration))
	case graph.Cached:
		if d.verbose {
			return "cached " + e.Step.Name()
		}
	case graph.Waiting:
		if !d.quiet {
			return "waiting for another nbuild that makes " + e.Step.Name()
		}
	case graph.Output:
		if d.verbose {
			return e.Step.Name() + ": " + e.Line
		}
	}
	return ""
}

// log prints what a failed step printed, unless it was shown line by line already.
func (d *lineDisplay) log(e graph.Event) {
	defer fmt.Fprintf(d.out, "nbuild: the log of %s is in %s\n", e.Step.Name(), e.Log)
	if d.verbose {
		return
	}
	file, err := os.Open(e.Log)
	if err != nil {
		return // The path is printed all the same; the reason why it can't be read is the reader's to find.
	}
	defer file.Close()
	fmt.Fprintf(d.out, "nbuild: %s failed; it printed:\n", e.Step.Name())
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			fmt.Fprintf(d.out, "    %s", line)
			if line[len(line)-1] != '\n' {
				fmt.Fprintln(d.out)
			}
		}
		if err != nil {
			return
		}
	}
}

func (d *lineDisplay) index(name string, done, total int64) {
	if d.verbose && done == total && !d.read[name] {
		d.read[name] = true
		fmt.Fprintf(d.out, "nbuild: read %s (%s)\n", name, formatBytes(total))
	}
}

func (d *lineDisplay) close() {}

func verb(s *graph.Step, download, build string) string {
	if s.IsDownload() {
		return download
	}
	return build
}

// formatBytes writes a size in decimal units, as Debian's tools do.
func formatBytes(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}

func formatDuration(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
