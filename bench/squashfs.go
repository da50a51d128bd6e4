package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// squashfsProject has an image of the demo's closure, and of a note that makes the image of each round a new one.
const squashfsProject = `load("demo.star", _demo = "demo")
demo = _demo
_note = text_file("note", "ROUND")
dev = squashfs("dev", contents = [demo, _note])
release = squashfs("release", contents = [demo, _note], profile = "release")
tools = debian("trixie").tree(["squashfs-tools"])
`

// squashfs measures an image of the demo's closure beside plain mksquashfs with the same options on the same trees. nbuild
// also hashes the image, and has it on the disk when it is done.
func (s *suite) squashfs() error {
	project, store := filepath.Join(s.dir, "squashfs"), filepath.Join(s.dir, "squashfs-store")
	if err := os.MkdirAll(project, 0o777); err != nil {
		return err
	}
	if err := s.setUp(project, s.command(store, "init")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(project, "nbuild.star"), filepath.Join(project, "demo.star")); err != nil {
		return err
	}
	round := 0
	next := func() error {
		round++
		text := strings.Replace(squashfsProject, "ROUND", strconv.Itoa(round), 1)
		return os.WriteFile(filepath.Join(project, "nbuild.star"), []byte(text), 0o666)
	}
	for _, profile := range []struct {
		name    string
		options []string // of mksquashfs
	}{
		{"dev", []string{"-Xcompression-level", "1", "-b", "131072"}},
		{"release", []string{"-Xcompression-level", "6", "-b", "1048576"}},
	} {
		build := s.command(store, "build", "-q", "--no-link", profile.name)
		if err := errors.Join(next(), s.setUp(project, build)); err != nil {
			return err
		}
		plain, err := s.plainSquashfs(store, project, profile.options)
		if err != nil {
			return err
		}
		nbuild := &contender{name: "nbuild", dir: project, command: build, prepare: next}
		if err := s.measure("squashfs of the demo's closure, "+profile.name, "1.1 × mksquashfs", nbuild, plain, plain.flushed("mksquashfs and a flush, no hash", s.plainImage())); err != nil {
			return err
		}
	}
	return nil
}

// plainImage returns where plainSquashfs writes.
func (s *suite) plainImage() string { return filepath.Join(s.dir, "plain.squashfs") }

// plainSquashfs returns mksquashfs, that which nbuild uses, on the objects of the demo's closure. It runs with all
// processors, which is its default, as it does in nbuild when it is alone.
func (s *suite) plainSquashfs(store, project string, options []string) (*contender, error) {
	paths, err := s.lines(project, s.command(store, "build", "-q", "--no-link", "--print-out-paths", "demo", "tools"))
	if err != nil {
		return nil, err
	}
	if len(paths) != 2 {
		return nil, fmt.Errorf("want the paths of two targets, got %q", paths)
	}
	closure, err := s.lines(project, s.command(store, "store", "closure", paths[0]))
	if err != nil {
		return nil, err
	}
	tools := paths[1]
	command := program(tools, "/usr/bin/mksquashfs")
	for _, path := range closure {
		command = append(command, filepath.Join(filepath.Dir(tools), filepath.Base(path)))
	}
	image := s.plainImage()
	command = append(command, image, "-quiet", "-no-progress", "-no-hardlinks", "-no-xattrs", "-no-exports", "-all-root",
		"-all-time", "1", "-mkfs-time", "1", "-comp", "zstd")
	command = append(command, options...)
	return &contender{
		name: "mksquashfs, no hash, no flush", dir: s.dir, command: command,
		prepare: func() error { return os.RemoveAll(image) },
	}, nil
}

// program returns the beginning of a command line that runs a program of a tree of packages as if it were installed.
func program(tools, name string) []string {
	return []string{
		tools + "/usr/lib64/ld-linux-x86-64.so.2", "--inhibit-cache", "--library-path", tools + "/usr/lib/x86_64-linux-gnu", tools + name,
	}
}

// lines returns what a command that is not measured prints.
func (s *suite) lines(dir string, command []string) ([]string, error) {
	cmd := exec.CommandContext(s.ctx, command[0], command[1:]...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	return strings.Fields(string(out)), nil
}
