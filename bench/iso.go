package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// isoTools follows the demo in a project.
const isoTools = `
iso_tools = debian("trixie").tree(["xorriso"])
`

// iso measures an ISO of the demo: with another publisher, so that nothing but the ISO is made, beside xorriso that writes
// the same files; and with another host name.
func (s *suite) iso() error {
	project, store := filepath.Join(s.dir, "iso"), filepath.Join(s.dir, "iso-store")
	if err := os.MkdirAll(project, 0o777); err != nil {
		return err
	}
	if err := s.setUp(project, s.command(store, "init")); err != nil {
		return err
	}
	file := filepath.Join(project, "nbuild.star")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(text, isoTools...), 0o666); err != nil {
		return err
	}
	build := s.command(store, "iso", "-q")
	plain, err := s.plainISO(store, project, build)
	if err != nil {
		return err
	}
	round := 0
	next := func(option string) func() error {
		return func() error {
			round++
			return setOption(project, option, fmt.Sprintf("round-%d", round))
		}
	}
	nbuild := &contender{name: "nbuild iso", dir: project, command: build, prepare: next("iso.publisher")}
	if err := s.measure("nbuild iso, its squashfs images made", "1.5 × xorriso", nbuild, plain, plain.flushed("xorriso and a flush, no hash", s.plainISOImage())); err != nil {
		return err
	}
	if err := os.WriteFile(file, append(text, isoTools...), 0o666); err != nil {
		return err
	}
	nbuild = &contender{name: "nbuild iso", dir: project, command: build, prepare: next("networking.host_name")}
	return s.measure("nbuild iso, the host name changed", "≤ 2 s", nbuild)
}

// plainISOImage returns where plainISO writes.
func (s *suite) plainISOImage() string { return filepath.Join(s.dir, "plain.iso") }

// plainISO returns xorriso, that which nbuild uses, writing the files of the demo's ISO.
func (s *suite) plainISO(store, project string, build []string) (*contender, error) {
	if err := s.setUp(project, build); err != nil {
		return nil, err
	}
	paths, err := s.lines(project, s.command(store, "build", "-q", "--no-link", "--print-out-paths", "iso_tools"))
	if err != nil {
		return nil, err
	}
	images, err := filepath.Glob(filepath.Join(project, "result/iso/*.iso"))
	if err != nil || len(paths) != 1 || len(images) != 1 {
		return nil, errors.Join(err, fmt.Errorf("want one path of tools and one ISO, got %q and %q", paths, images))
	}
	xorriso := append(program(paths[0], "/usr/bin/xorriso"), "-no_rc")
	files := filepath.Join(s.dir, "iso-files")
	extract := append(xorriso[:len(xorriso):len(xorriso)], strings.Fields("-osirrox on -report_about SORRY -indev")...)
	if err := s.setUp(s.dir, append(extract, images[0], "-extract", "/", files)); err != nil {
		return nil, err
	}
	image := s.plainISOImage()
	write := append(xorriso[:len(xorriso):len(xorriso)], strings.Fields("-as mkisofs -quiet -iso-level 3 -r -o")...)
	return &contender{
		name: "xorriso, no hash, no flush", dir: s.dir, command: append(write, image, files),
		prepare: func() error { return os.RemoveAll(image) },
	}, nil
}
