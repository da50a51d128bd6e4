package options

import (
	"fmt"
	"iter"
	"slices"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// A definition is a part that defines an option of a tree as a whole.
type definition struct {
	part
	option int // its index
}

// flatten adds the definitions that p, a definition of n, holds of n or the options in n to m.definitions. Wrappers above
// options go on to the options.
func (m *merger) flatten(n *node, p part) {
	mark := len(m.stack)
	m.unwrap(p, 0)
	for i, end := mark, len(m.stack); i < end; i++ {
		p := m.stack[i]
		if n.option != nil {
			m.definitions = append(m.definitions, definition{p, n.index})
		} else {
			m.flattenGroup(n, p)
		}
	}
	m.stack = m.stack[:mark]
}

func (m *merger) flattenGroup(n *node, p part) {
	if p.value == starlark.None {
		return
	}
	entries, ok := entriesOf(p.value)
	if !ok {
		m.notGroup(n, p)
		return
	}
	for key, v := range entries {
		name, ok := key.(starlark.String)
		if !ok {
			m.complain(misfit, p.at, fmt.Sprintf("want names of options for keys, got %s", describe(key)), "")
			continue
		}
		inner := p
		inner.value = v
		if at := m.entryPosition(p.value, string(name)); at.Line > 0 {
			inner.at = at
		}
		m.flattenEntry(n, string(name), inner)
	}
}

func (m *merger) notGroup(n *node, p part) {
	name := m.nameOf(n.name)
	if name == "" {
		m.complain(misfit, p.at, "config: want a dictionary of definitions, got "+describe(p.value), "")
		return
	}
	m.complain(misfit, p.at, fmt.Sprintf("%s is a group of options: want a dictionary, got %s", name, describe(p.value)), "")
}

func (m *merger) flattenEntry(n *node, name string, p part) {
	if child := n.children[name]; child != nil && child.children != nil {
		m.flatten(child, p) // Most names have one label.
		return
	}
	labels := m.labels(name)
	if labels == nil {
		m.complain(misfit, p.at, notAName(m.nameOf(under(n.name, name))), "")
		return
	}
	found, last, rest := n.find(labels)
	switch {
	case found == nil:
		if !m.isNothing(p) {
			m.unknown(last, rest, p.at)
		}
		return
	case found.broken: // Its faults are reported, and whatever is said about it may be right.
		return
	}
	p.value = nested(rest, p.value)
	m.flatten(found, p)
}

// nested returns v in a dictionary for each label, the first outermost.
func nested(labels []string, v starlark.Value) starlark.Value {
	for _, label := range slices.Backward(labels) {
		dict := starlark.NewDict(1)
		if err := dict.SetKey(starlark.String(label), v); err != nil {
			panic(err) // A string can be a key, and nobody else has the dictionary.
		}
		v = dict
	}
	return v
}

// isNothing reports whether conditions leave nothing of a definition, or of what a dictionary holds. It is asked about
// names that nobody declares, which may have their dots or be spelled as dictionaries in each other.
func (m *merger) isNothing(p part) bool {
	mark := len(m.stack)
	defer func() { m.stack = m.stack[:mark] }()
	m.unwrap(p, 0)
	for i := mark; i < len(m.stack); i++ {
		dict, ok := m.stack[i].value.(*starlark.Dict)
		if !ok || dict.Len() == 0 || !m.holdsNothing(dict, m.stack[i]) {
			return false
		}
	}
	return true
}

func (m *merger) holdsNothing(dict *starlark.Dict, p part) bool {
	m.depth++
	defer func() { m.depth-- }()
	for _, v := range dict.Entries() {
		inner := p.inner(v, p.at)
		if m.tooMuch(inner, m.depth) || !m.isNothing(inner) {
			return false
		}
	}
	return true
}

// labels returns the labels of a name, or nil when it is none.
func (m *merger) labels(name string) []string {
	labels, known := m.names[name]
	if !known {
		labels, _ = parseName(name)
		m.names[name] = labels
	}
	return labels
}

// unknown complains about a definition of what nobody declares: labels lead from group n to nothing.
func (m *merger) unknown(n *node, labels []string, at fault.Position) {
	prefix := m.name()
	it := fault.Item{
		Position: at,
		What:     "there is no option " + m.nameOf(under(n.name, joinName(labels...))),
		Hint:     n.suggest(labels, prefix),
	}
	if m.allowUnknown {
		m.warnings = append(m.warnings, it)
		return
	}
	m.complain(misfit, it.Position, it.What, it.Hint)
}

// entriesOf returns the entries of a dictionary, or the defined attributes of a submodule's value.
func entriesOf(v starlark.Value) (iter.Seq2[starlark.Value, starlark.Value], bool) {
	switch v := v.(type) {
	case *starlark.Dict:
		return v.Entries(), true
	case *attributes:
		return v.entries, true
	}
	return nil, false
}

// entryPosition returns where an entry of a dictionary is written, or the zero Position.
func (m *merger) entryPosition(dict starlark.Value, key string) fault.Position {
	if d, ok := dict.(*starlark.Dict); ok {
		return m.interpreter.Entry(d, key)
	}
	return fault.Position{}
}
