package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A contender is a command that is measured beside others which do the same.
type contender struct {
	name    string
	version []string     // a command that prints its version, to tell whether it is there; nil for nbuild
	dir     string       // where command runs
	command []string     // made anew for each run by prepare, if that is set
	prepare func() error // brings the contender to its start, outside of the measured time; may be nil
	alone   bool         // it starts no other process, so that the kernel's own account of its memory is right

	inShell bool // command is a shell around what is measured, whose own memory says nothing

	// ready ends the measured time when it returns true, and the command is stopped then; nil means that the command ends
	// by itself. A look may take its time: the next begins before it ends.
	ready func() bool
}

// flushed returns the contender c as one that waits until file, which it makes, is on the disk, as nbuild does. Without that
// the kernel writes when it likes: within the measured time, or after it.
func (c contender) flushed(name, file string) *contender {
	c.name, c.inShell = name, true
	c.command = append([]string{"sh", "-c", `file=$1; shift; "$@" && exec sync "$file"`, "sh", file}, c.command...)
	return &c
}

// A measurement is what the runs of one contender took.
type measurement struct {
	contender string
	times     []time.Duration // in the order of the runs
	peak      int64           // bytes: the most memory that the command's own process held in any run; 0 when unknown
	exact     bool            // peak is the kernel's figure and not what was seen while it ran
	skipped   string          // why it was not measured, or ""
}

// measure runs the contenders in turn, rounds times each, so that a machine that slows down slows all of them alike.
// A contender that isn't installed is skipped; one that fails ends the measuring, as its figure would be a lie.
func measure(ctx context.Context, rounds int, contenders []*contender) ([]measurement, error) {
	results := make([]measurement, len(contenders))
	for i, c := range contenders {
		results[i].contender, results[i].exact = c.name, c.alone
		if c.version != nil && exec.CommandContext(ctx, c.version[0], c.version[1:]...).Run() != nil {
			results[i].skipped = "not installed"
		}
	}
	for range rounds {
		for i, c := range contenders {
			if results[i].skipped != "" {
				continue
			}
			elapsed, peak, err := c.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("measure %s: %w", c.name, err)
			}
			results[i].times = append(results[i].times, elapsed)
			results[i].peak = max(results[i].peak, peak)
		}
	}
	return results, nil
}

// run prepares and runs c once, with nothing of what was written before still to be flushed.
func (c *contender) run(ctx context.Context) (elapsed time.Duration, peak int64, err error) {
	if c.prepare != nil {
		if err := c.prepare(); err != nil {
			return 0, 0, fmt.Errorf("prepare: %w", err)
		}
	}
	unix.Sync()
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, c.command[0], c.command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // What it has started ends with it.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	watched := make(chan int64, 1)
	ended := make(chan struct{})
	go func() { watched <- watchPeak(cmd.Process.Pid, ended) }()
	elapsed, err = c.wait(cmd, start)
	close(ended)
	peak = <-watched
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && c.alone {
		peak = usage.Maxrss << 10
	}
	if c.inShell {
		peak = 0
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w\n%s", strings.Join(c.command, " "), err, output.Bytes())
	}
	return elapsed, peak, nil
}

// betweenLooks is the grain of what is measured until a contender is ready.
const betweenLooks = 250 * time.Millisecond

// wait waits for a command to end or to be ready, and returns how long that took since start.
func (c *contender) wait(cmd *exec.Cmd, start time.Time) (time.Duration, error) {
	if c.ready == nil {
		err := cmd.Wait()
		return time.Since(start), err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ready := make(chan time.Duration, 1)
	var looks sync.WaitGroup
	look := func() {
		if c.ready() {
			select {
			case ready <- time.Since(start):
			default: // Another look saw it before.
			}
		}
	}
	defer looks.Wait()
	ticker := time.NewTicker(betweenLooks)
	defer ticker.Stop()
	var elapsed time.Duration
	for elapsed == 0 {
		looks.Go(look)
		select {
		case elapsed = <-ready:
		case err := <-ended:
			return time.Since(start), errors.Join(errors.New("it ended before it was ready"), err)
		case <-ticker.C:
		}
	}
	kill := time.AfterFunc(cmd.WaitDelay, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer kill.Stop()
	err := cmd.Cancel()
	<-ended // How it ends when it is stopped doesn't matter.
	return elapsed, err
}

// watchPeak returns the peak memory of a process until ended is closed. The kernel's own accounting of a finished child
// counts the child's children too, so the high-water mark is read while the process runs: 100 times a second costs
// less than a thousandth of a processor, and what grows in the last hundredth is missed.
func watchPeak(pid int, ended <-chan struct{}) int64 {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	name := fmt.Sprintf("/proc/%d/status", pid)
	var peak int64
	for {
		if status, err := os.ReadFile(name); err == nil {
			peak = max(peak, parsePeak(status))
		}
		select {
		case <-ended:
			return peak
		case <-ticker.C:
		}
	}
}

// parsePeak returns the high-water mark in a /proc/PID/status in bytes, or 0 when it has none, as that of a zombie.
func parsePeak(status []byte) int64 {
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "VmHWM:" && fields[2] == "kB" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64) // A line that isn't a number counts as none.
			return kib << 10
		}
	}
	return 0
}

// median returns the middle of the times, the mean of the two middle ones when their number is even; 0 of none.
func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// shortest is how long a command must run for its peak memory to be seen: ten looks.
const shortest = 100 * time.Millisecond

// report prints the measurements of one case. The first is nbuild's; ratio says how many times as long as nbuild a peer
// took.
func report(w io.Writer, title, goal string, results []measurement) {
	fmt.Fprintf(w, "\n%s (to reach: %s)\n", title, goal)
	base := median(results[0].times)
	for _, m := range results {
		if m.skipped != "" {
			fmt.Fprintf(w, "  %-34s NOT MEASURED: %s\n", m.contender, m.skipped)
			continue
		}
		fmt.Fprintf(w, "  %-34s %10s   min %s max %s, %d runs", m.contender, round(median(m.times)),
			round(slices.Min(m.times)), round(slices.Max(m.times)), len(m.times))
		if m.peak > 0 && (m.exact || median(m.times) >= shortest) {
			fmt.Fprintf(w, ", %.0f MiB", float64(m.peak)/(1<<20))
		}
		if m.contender != results[0].contender && base > 0 {
			fmt.Fprintf(w, ", %.2f × nbuild", float64(median(m.times))/float64(base))
		}
		fmt.Fprintln(w)
	}
}

// round cuts a duration to three or four digits, which is more than a noisy machine is good for.
func round(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= time.Second:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
