package options

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// anything is the type of all data.
type anything struct{}

func (anything) noun() noun               { return noun{"data", "anything", "anything"} }
func (anything) submodules() []*submodule { return nil }

// merge merges dictionaries by key and appends lists, as deep as they go; all else must agree.
func (a anything) merge(m *merger, parts []part) starlark.Value {
	shape, fit := shapeOf(parts[0].value), true
	for _, p := range parts {
		switch s := shapeOf(p.value); {
		case s == noData:
			m.wrongType(p, a, "")
			fit = false
		case s != shape && shape != noData, s == single && !identical(p.value, parts[0].value):
			m.conflict(p, parts[0])
			fit = false
		}
	}
	if !fit {
		return nil
	}
	t := &Type{a}
	switch shape {
	case dictionary:
		return m.mergeByKey(a, t, parts)
	case list:
		var elements []ordered
		for _, p := range parts {
			values, _ := elementsOf(p.value)
			elements = m.elements(t, p, values, elements)
		}
		return listInOrder(elements)
	}
	return parts[0].value
}

// A shape is what tells values of type anything apart.
type shape int

const (
	noData shape = iota
	single
	list
	dictionary
)

func shapeOf(v starlark.Value) shape {
	switch v.(type) {
	case starlark.NoneType, starlark.Bool, starlark.Int, starlark.Float, starlark.String, secret, StoreObject:
		return single
	case *starlark.List, starlark.Tuple:
		return list
	case *starlark.Dict, *attributes:
		return dictionary
	}
	return noData
}

// oneOf is a type of the values of several.
type oneOf struct{ types []*Type }

func (o *oneOf) noun() noun {
	var one, bare, many []string
	for _, t := range o.types {
		n := t.rules.noun()
		one, bare, many = append(one, n.one), append(bare, n.bare), append(many, n.many)
	}
	return noun{alternatives(one), alternatives(bare), alternatives(many)}
}

func alternatives(nouns []string) string {
	last := len(nouns) - 1
	if last == 0 {
		return nouns[0]
	}
	return strings.Join(nouns[:last], ", ") + " or " + nouns[last]
}

func (o *oneOf) submodules() []*submodule {
	var all []*submodule
	for _, t := range o.types {
		all = append(all, t.rules.submodules()...)
	}
	return all
}

// merge lets the first type merge that takes all the definitions.
func (o *oneOf) merge(m *merger, parts []part) starlark.Value {
	var inside [][]mergeFault // of the types that take the definitions, but not what is inside of them
	for _, t := range o.types {
		v, faults := m.try(t, parts)
		if takes(faults) {
			m.faults = append(m.faults, faults...)
			return v
		}
		if takesOutside(faults, m.depth) {
			inside = append(inside, faults)
		}
	}
	if len(inside) == 1 {
		m.faults = append(m.faults, inside[0]...)
		return nil
	}
	o.complain(m, parts)
	return nil
}

// complain says which definitions no type takes, and which ones are not of a type that takes the first.
func (o *oneOf) complain(m *merger, parts []part) {
	first := o.takers(m, parts[0])
	for i, p := range parts {
		takers := o.takers(m, p)
		common := func(t *Type) bool { return slices.Contains(first, t) }
		switch {
		case len(takers) == 0:
			m.wrongType(p, o, "")
		case i > 0 && len(first) > 0 && !slices.ContainsFunc(takers, common):
			m.conflict(p, parts[0])
		}
	}
}

// takers returns the types that take a definition.
func (o *oneOf) takers(m *merger, p part) []*Type {
	var types []*Type
	for _, t := range o.types {
		if _, faults := m.try(t, []part{p}); takes(faults) {
			types = append(types, t)
		}
	}
	return types
}

// try merges by a type and returns the faults, too, instead of keeping them.
func (m *merger) try(t *Type, parts []part) (starlark.Value, []mergeFault) {
	before, warnings := m.faults, len(m.warnings)
	m.faults = nil
	v := t.rules.merge(m, parts)
	faults := m.faults
	m.faults = before
	if !takes(faults) {
		m.warnings = m.warnings[:warnings]
	}
	return v, faults
}

// takes reports whether a type takes definitions with these faults: they may disagree.
func takes(faults []mergeFault) bool {
	for _, f := range faults {
		if f.kind == misfit {
			return false
		}
	}
	return true
}

// takesOutside reports whether the faults are of what is inside of a value at a depth.
func takesOutside(faults []mergeFault, depth int) bool {
	for _, f := range faults {
		if f.kind == misfit && f.depth <= depth {
			return false
		}
	}
	return true
}
