package config

import (
	"io/fs"
	"testing"

	"go.starlark.net/syntax"

	"nbuild/modules"
)

// Modules that are parsed ahead are those that reading them one by one would give, under the same names, and each is parsed
// once: what wraps its dictionaries changes it.
func TestParsedAhead(t *testing.T) {
	var p parsed
	for range 2 {
		if err := p.ahead(); err != nil {
			t.Fatal(err)
		}
	}
	defer p.group.Wait()
	names, err := fs.Glob(modules.Files(), "*.star")
	if err != nil || len(names) == 0 || len(p.files) != len(names) {
		t.Fatalf("%d modules are parsed of %d, %v", len(p.files), len(names), err)
	}
	ev := newEvaluator(t.Context(), Project{})
	for _, name := range names {
		got, err := p.files[builtinPrefix+name]()
		if err != nil {
			t.Fatal(err)
		}
		want, err := ev.parse(Position{}, builtinPrefix+name)
		if err != nil {
			t.Fatal(err)
		}
		if got.Path != want.Path || nodes(got) != nodes(want) {
			t.Errorf("%s: parsed ahead it is %s with %d nodes, want %s with %d", name, got.Path, nodes(got), want.Path, nodes(want))
		}
		if again, _ := p.files[builtinPrefix+name](); again != got {
			t.Errorf("%s is parsed twice", name)
		}
	}
}

// nodes counts the nodes of a file.
func nodes(file *syntax.File) (n int) {
	syntax.Walk(file, func(node syntax.Node) bool {
		if node != nil {
			n++
		}
		return true
	})
	return n
}
