package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A farm is a graph of many trivial steps: layers of width steps each, every step using two of the layer below, and one
// step on top that uses the whole last layer. What a step does costs next to nothing, so that what is measured is the
// engine.
type farm struct {
	layers, width int
}

// steps returns the number of steps.
func (f farm) steps() int { return f.layers*f.width + 1 }

// name returns the name of step i of a layer.
func (f farm) name(layer, i int) string { return fmt.Sprintf("n%d-%d", layer, i%f.width) }

// eachStep calls visit for every step, those that others use first.
func (f farm) eachStep(visit func(name string, inputs []string)) {
	for layer := range f.layers {
		for i := range f.width {
			var inputs []string
			if layer > 0 {
				inputs = []string{f.name(layer-1, i), f.name(layer-1, i+1)}
			}
			visit(f.name(layer, i), inputs)
		}
	}
	var last []string
	for i := range f.width {
		last = append(last, f.name(f.layers-1, i))
	}
	visit("all", last)
}

// command returns the shell command of a step: it reads its first input with the shell alone and starts no program.
func (f farm) command(name, firstInput, output string) string {
	if firstInput == "" {
		return fmt.Sprintf("echo %s >%s", name, output)
	}
	return fmt.Sprintf("read -r below <%s; echo %s above ${below%%%% *} >%s", firstInput, name, output)
}

// writeProject writes the farm as an nbuild project. The target ready needs the tools of the farm and nothing of it.
func (f farm) writeProject(dir string) error {
	return writeFile(dir, "nbuild.star", func(w io.Writer) {
		fmt.Fprintf(w, "ready = derivation(name = \"ready\", script = \"echo >$out\")\n\n")
		fmt.Fprintf(w, "def _farm():\n    steps = {}\n")
		f.eachStep(func(name string, inputs []string) {
			var slots []string
			for i, in := range inputs {
				slots = append(slots, fmt.Sprintf("\"i%d\": steps[%q]", i, in))
			}
			first := ""
			if len(inputs) > 0 {
				first = "$i0"
			}
			fmt.Fprintf(w, "    steps[%q] = derivation(name = %q, inputs = {%s}, script = %q)\n",
				name, name, strings.Join(slots, ", "), f.command(name, first, "$out"))
		})
		fmt.Fprintf(w, "    return steps[\"all\"]\n\nall = _farm()\n")
	})
}

// writeNinja writes the farm as a build.ninja.
func (f farm) writeNinja(dir string) error {
	return writeFile(dir, "build.ninja", func(w io.Writer) {
		fmt.Fprintf(w, "rule step\n  command = $command\n")
		f.eachStep(func(name string, inputs []string) {
			command := strings.ReplaceAll(f.command(name, first(inputs), name), "$", "$$")
			fmt.Fprintf(w, "build %s: step %s\n  command = %s\n", name, strings.Join(inputs, " "), command)
		})
	})
}

// writeMakefile writes the farm for GNU make.
func (f farm) writeMakefile(dir string) error {
	return writeFile(dir, "Makefile", func(w io.Writer) {
		fmt.Fprintf(w, ".DEFAULT_GOAL := all\nMAKEFLAGS += --no-builtin-rules\n")
		f.eachStep(func(name string, inputs []string) {
			command := strings.ReplaceAll(f.command(name, first(inputs), name), "$", "$$")
			fmt.Fprintf(w, "%s: %s\n\t@%s\n", name, strings.Join(inputs, " "), command)
		})
	})
}

// removeOutputs deletes what ninja or make has made of the farm in dir, and ninja's memory of it.
func (f farm) removeOutputs(dir string) error {
	var failed error
	remove := func(name string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) && failed == nil {
			failed = err
		}
	}
	f.eachStep(func(name string, _ []string) { remove(name) })
	remove(".ninja_log")
	remove(".ninja_deps")
	return failed
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// writeFile writes what write makes into a file of a folder that it creates when missing.
func writeFile(dir, name string, write func(io.Writer)) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var b strings.Builder
	write(&b)
	return os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o666)
}
