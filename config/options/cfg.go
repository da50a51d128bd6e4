package options

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.starlark.net/starlark"
)

// A group is what config functions get as cfg, and the groups of options in it. It shows the values of the round before,
// and whoever reads an option through it is noted as its reader.
type group struct {
	ev   *evaluation
	node *node
}

var (
	_ starlark.HasAttrs = (*group)(nil)
	_ starlark.Mapping  = (*group)(nil)
)

// Type returns "config".
func (g *group) Type() string { return "config" }

// Truth returns True.
func (g *group) Truth() starlark.Bool { return true }

// Freeze does nothing: only the evaluation changes it.
func (g *group) Freeze() {}

// Hash says that there is none.
func (g *group) Hash() (uint32, error) { return 0, errors.New("unhashable type: config") }

// String says which group it is; the values it doesn't show, as that would read them all.
func (g *group) String() string {
	if g.node.name == "" {
		return "<config>"
	}
	return fmt.Sprintf("<config %s>", g.node.name)
}

// AttrNames returns the names in the group, sorted.
func (g *group) AttrNames() []string { return slices.Sorted(maps.Keys(g.node.children)) }

// Attr returns the value of an option, or a group.
func (g *group) Attr(label string) (starlark.Value, error) {
	child := g.node.children[label]
	if child == nil {
		return nil, noOption(g.node, []string{label}, "")
	}
	return g.ev.read(child)
}

// Get returns what a dotted name leads to.
func (g *group) Get(key starlark.Value) (v starlark.Value, found bool, err error) {
	name, ok := starlark.AsString(key)
	if !ok {
		return nil, false, fmt.Errorf("want the name of an option, got %s", describe(key))
	}
	labels, ok := parseName(name)
	if !ok {
		return nil, false, errors.New(notAName(name))
	}
	n, last, rest := g.node.find(labels)
	if n == nil {
		return nil, false, noOption(last, rest, "")
	}
	if v, err = g.ev.read(n); err == nil {
		v, err = descend(v, n.name, rest)
	}
	return v, err == nil, err
}

// read returns the value of an option, or a group, and notes that the function that runs now depends on it.
func (ev *evaluation) read(n *node) (starlark.Value, error) {
	switch {
	case n.broken:
		ev.misled = true
		return nil, fmt.Errorf("option %s is declared wrongly", n.name)
	case n.children != nil:
		return &group{ev, n}, nil
	}
	s := &ev.states[n.index]
	ev.note(s)
	switch {
	case s.value != nil:
		return s.value, nil
	case s.faulty():
		ev.misled = true
		return nil, fmt.Errorf("option %s is defined wrongly", n.name)
	}
	return nil, &UndefinedError{Name: n.name}
}
