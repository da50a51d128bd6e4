package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"nbuild/builders"
	"nbuild/config"
	"nbuild/debian"
	"nbuild/graph"
)

func TestExitCode(t *testing.T) {
	failure := &graph.StepError{Err: &builders.Failure{Name: "a", Reason: "exit status 2"}}
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"nothing", nil, 0},
		{"a build", failure, 1},
		{"two builds", errors.Join(failure, failure), 1},
		{"a mirror", errors.New("fetch dists/trixie/InRelease: not found"), 1},
		{"the machine", fmt.Errorf("build a: %w", &builders.EnvironmentError{Err: syscall.EPERM}), 1},
		{"a flag", usagef("", "--jobs 0"), 2},
		{"the project", &config.Error{Items: []config.Item{{What: "x"}}}, 2},
		{"the project and the mirror", errors.Join(&config.Error{Items: []config.Item{{What: "x"}}}, errors.New("y")), 2},
		{"the lock", lockError{errors.New("x")}, 2},
		{"--locked", &debian.LockedError{}, 2},
		{"no mirror", &debian.SourceError{}, 2},
		{"a signal", errInterrupted, 130},
		{"a polite signal", errTerminated, 143},
		{"a program's own", exitStatus(7), 7},
	}
	for _, test := range tests {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%s: exit code %d, want %d", test.name, got, test.want)
		}
	}
}

func TestHint(t *testing.T) {
	const room = "nbuild store gc removes"
	tests := []struct {
		name string
		err  error
		want string // its beginning; empty for none
	}{
		{"usage", usagef("try this", "wrong"), "try this"},
		{"usage without", usagef("", "wrong"), ""},
		{"full disk", &graph.StepError{Step: &graph.Step{}, Err: syscall.ENOSPC}, room},
		{"quota", fmt.Errorf("write: %w", syscall.EDQUOT), room},
		{"no namespaces, which has the same number", &builders.EnvironmentError{Err: syscall.ENOSPC}, ""},
		{"lock file", lockError{errors.New("x")}, "nbuild lock --update"},
		{"anything", errors.New("x"), ""},
	}
	for _, test := range tests {
		if got := hintFor(test.err); !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: hint %q, want %q", test.name, got, test.want)
		}
	}
}

// brokenWriter panics, as a bug would.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { panic("a bug") }

func TestPanicIsABug(t *testing.T) {
	var stderr strings.Builder
	if code := run([]string{"version"}, brokenWriter{}, &stderr); code != exitBug {
		t.Errorf("exit code %d, want %d", code, exitBug)
	}
	if !strings.HasPrefix(stderr.String(), "nbuild: this is a bug in nbuild, please report it: a bug\n") {
		t.Errorf("it said %q", stderr.String())
	}
}
