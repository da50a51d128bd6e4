package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"nbuild/internal/testproject"
)

// A suite has what all cases share.
type suite struct {
	ctx      context.Context
	nbuild   string // absolute
	rounds   int
	dir      string // for everything that is made
	examples string // the folder of the projects that come with nbuild, absolute
	out      io.Writer
	aside    int // stores that were put aside
}

// A benchCase sets something up, measures and reports it.
type benchCase struct {
	name string
	run  func() error
}

func (s *suite) cases() []benchCase {
	return []benchCase{
		{"farm", s.farm},
		{"modules", s.modules},
		{"demo", s.demo},
		{"squashfs", s.squashfs},
		{"iso", s.iso},
		{"start", s.start},
		{"ssh", s.ssh},
	}
}

// command returns a command line of nbuild with a store.
func (s *suite) command(store string, args ...string) []string {
	return append([]string{s.nbuild, "--store", store}, args...)
}

// setUp runs a command that is not measured.
func (s *suite) setUp(dir string, command []string) error {
	cmd := exec.CommandContext(s.ctx, command[0], command[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return nil
}

// measure measures contenders and reports them.
func (s *suite) measure(title, goal string, contenders ...*contender) error {
	results, err := measure(s.ctx, s.rounds, contenders)
	if err != nil {
		return err
	}
	report(s.out, title, goal, results)
	return nil
}

// farm measures the engine: 1,001 steps that do next to nothing, all to be done and nothing to be done.
func (s *suite) farm() error {
	f := farm{layers: 10, width: 100}
	project, ninja, makefile := filepath.Join(s.dir, "farm"), filepath.Join(s.dir, "ninja"), filepath.Join(s.dir, "make")
	if err := errors.Join(f.writeProject(project), f.writeNinja(ninja), f.writeMakefile(makefile)); err != nil {
		return err
	}
	tools, store := filepath.Join(s.dir, "farm-tools"), filepath.Join(s.dir, "farm-store")
	if err := s.setUp(project, s.command(tools, "build", "--no-link", "ready")); err != nil {
		return err
	}
	peers := func(cold bool) []*contender {
		prepare := func(dir string) func() error {
			if !cold {
				return nil
			}
			return func() error { return f.removeOutputs(dir) }
		}
		return []*contender{
			{name: "ninja -j2, no sandbox", version: []string{"ninja", "--version"}, dir: ninja, command: []string{"ninja", "-j2"}, prepare: prepare(ninja)},
			{name: "make -j2, no sandbox", version: []string{"make", "--version"}, dir: makefile, command: []string{"make", "-j2"}, prepare: prepare(makefile)},
		}
	}
	build := s.command(store, "build", "-j2", "-q", "--no-link", "all")
	cold := &contender{
		name: "nbuild -j2, sandboxed", dir: project, command: build,
		prepare: func() error { return s.copyStore(tools, store) },
	}
	title := fmt.Sprintf("%d trivial derivations, everything to do", f.steps())
	if err := s.measure(title, "≤ 8 s", append([]*contender{cold}, peers(true)...)...); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "  not here; on another 2-core machine: Bazel 7.7 sandboxed 8.7 s, Nix 2.34 sandboxed 41 s")
	noop := &contender{name: "nbuild -j2, sandboxed", dir: project, command: build}
	title = fmt.Sprintf("%d trivial derivations, nothing to do", f.steps())
	if err := s.measure(title, "≤ 40 ms", append([]*contender{noop}, peers(false)...)...); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "  not here; on another 2-core machine: Nix 0.11 s, Bazel 0.4 s")
	return nil
}

// modules measures the evaluation of systems: of a small one, of a large one, and with an evaluation that is known.
func (s *suite) modules() error {
	web, large := filepath.Join(s.dir, "web"), filepath.Join(s.dir, "large")
	if err := s.setUp(s.dir, []string{"cp", "-a", s.examples + "/web", web}); err != nil {
		return err
	}
	for name, text := range testproject.Large() {
		file := filepath.Join(large, filepath.FromSlash(name))
		if err := writeFile(filepath.Dir(file), filepath.Base(file), func(w io.Writer) { io.WriteString(w, text) }); err != nil {
			return err
		}
	}
	for _, project := range []struct{ dir, title, goal string }{
		{web, "nbuild check of examples/web", "≤ 60 ms"},
		{large, fmt.Sprintf("nbuild check of %d options with %d definitions in %d modules", testproject.Options, testproject.Definitions, testproject.Modules), "≤ 0.5 s"},
	} {
		store := project.dir + "-store"
		if err := s.setUp(project.dir, s.command(store, "lock")); err != nil {
			return err
		}
		check := &contender{name: "nbuild check", dir: project.dir, command: s.command(store, "check", "-q"), alone: true}
		if err := s.measure(project.title, project.goal, check); err != nil {
			return err
		}
	}
	build := s.command(web+"-store", "vm", "-q", "--locked")
	if err := s.setUp(web, build); err != nil {
		return err
	}
	return s.measure("nbuild vm of examples/web, nothing to do", "≤ 60 ms, ≤ 60 MiB",
		&contender{name: "nbuild vm", dir: web, command: build, alone: true})
}

// demo measures the demo system: built from downloaded packages, with nothing to do, and with a new host name.
func (s *suite) demo() error {
	project, downloads, store := filepath.Join(s.dir, "demo"), filepath.Join(s.dir, "demo-downloads"), filepath.Join(s.dir, "demo-store")
	if err := os.MkdirAll(project, 0o777); err != nil {
		return err
	}
	if err := s.setUp(project, s.command(downloads, "init")); err != nil {
		return err
	}
	if err := s.setUp(project, s.command(downloads, "fetch", "vm")); err != nil {
		return err
	}
	build := s.command(store, "vm", "-q", "--locked", "--offline")
	prepare := func() error { return s.copyStore(downloads, store) }
	// A first run that doesn't count tells the packages, and reads from the disk what the others find in memory.
	if err := errors.Join(prepare(), s.setUp(project, build)); err != nil {
		return err
	}
	names, err := s.packages(store, project)
	if err != nil {
		return err
	}
	err = s.measure(fmt.Sprintf("demo system of %d packages and its VM, packages downloaded", len(names)), "≤ 15 s, ≤ 300 MiB",
		&contender{name: "nbuild vm", dir: project, command: build, prepare: prepare},
		s.bootstrap(names))
	if err != nil {
		return err
	}
	if err := s.measure("nbuild vm, nothing to do", "≤ 60 ms, ≤ 60 MiB", &contender{name: "nbuild vm", dir: project, command: build, alone: true}); err != nil {
		return err
	}
	round := 0
	return s.measure("nbuild vm, the host name changed", "≤ 1 s", &contender{
		name: "nbuild vm", dir: project, command: build,
		prepare: func() error {
			round++
			return setOption(project, "networking.host_name", fmt.Sprintf("host-%d", round))
		},
	})
}

// bootstrap is mmdebstrap, making a root file system of the same packages. It downloads them each time, as it keeps none,
// and makes neither a kernel, an initrd nor a VM.
func (s *suite) bootstrap(names []string) *contender {
	return &contender{
		name: "mmdebstrap, downloads, no kernel", version: []string{"mmdebstrap", "--version"}, dir: s.dir,
		command: []string{"mmdebstrap", "--quiet", "--variant=custom", "--include=" + strings.Join(names, ","), "trixie", "bootstrap.tar"},
	}
}

// packages returns the names of the packages of the project's system, from its manifest.
func (s *suite) packages(store, project string) ([]string, error) {
	cmd := exec.CommandContext(s.ctx, s.nbuild, "--store", store, "system", "-q", "--no-link", "--print-out-paths")
	cmd.Dir = project
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	manifest, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "manifest.json"))
	if err != nil {
		return nil, err
	}
	return parsePackages(manifest)
}

func parsePackages(manifest []byte) ([]string, error) {
	var m struct {
		Packages []struct{ Name string }
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fmt.Errorf("parse manifest.json: %w", err)
	}
	var names []string
	for _, p := range m.Packages {
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return nil, errors.New("manifest.json names no packages")
	}
	return names, nil
}

// copyStore makes target a copy of a store that nothing is using. What was there is put aside and deleted at the end:
// an ext4 without a journal is slow for minutes to make files after many were deleted, and that would be measured too.
func (s *suite) copyStore(source, target string) error {
	s.aside++
	err := os.Rename(target, fmt.Sprintf("%s-%d", target, s.aside))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.setUp(s.dir, []string{"cp", "-a", "--reflink=auto", source, target})
}

// setOption sets an option, a text, in the project of a demo.
func setOption(project, option, value string) error {
	name := filepath.Join(project, "nbuild.star")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	changed, err := replaceOption(text, option, value)
	if err != nil {
		return err
	}
	return os.WriteFile(name, changed, 0o666)
}

// replaceOption defines an option in the first module of the one system whose modules begin with a dictionary.
func replaceOption(text []byte, option, value string) ([]byte, error) {
	begin := regexp.MustCompile(`(?m)^(\s*modules = \[\{)( "` + regexp.QuoteMeta(option) + `": "[^"]*",)?$`)
	if len(begin.FindAll(text, -1)) != 1 {
		return nil, fmt.Errorf("set %s: want one line modules = [{ in nbuild.star", option)
	}
	return begin.ReplaceAll(text, []byte(`${1} "`+option+`": "`+value+`",`)), nil
}
