package options

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// listOf is the type of lists of which several are appended.
type listOf struct{ of *Type }

func (l *listOf) noun() noun {
	many := " of " + l.of.rules.noun().many
	return noun{"a list" + many, "list" + many, "lists" + many}
}

func (l *listOf) submodules() []*submodule { return l.of.rules.submodules() }

func (l *listOf) merge(m *merger, parts []part) starlark.Value {
	var elements []ordered
	for _, p := range parts {
		values, ok := elementsOf(p.value)
		if !ok {
			m.wrongType(p, l, "")
			continue
		}
		elements = m.elements(l.of, p, values, elements)
	}
	return listInOrder(elements)
}

// An ordered is an element of a list that is being put together.
type ordered struct {
	value starlark.Value
	order int
}

// elements adds the elements of a list, which is p's value, to others. An element that no definition is left of is left out.
func (m *merger) elements(t *Type, p part, values iter.Seq[starlark.Value], to []ordered) []ordered {
	i := 0
	for v := range values {
		m.enterElement(i)
		i++
		mark := len(m.stack)
		m.unwrapElement(p, v)
		if len(m.stack) > mark {
			order := m.stack[mark].order
			if v := m.merge(t, mark); v != nil {
				to = append(to, ordered{v, order})
			}
		}
		m.leave()
	}
	return to
}

// unwrapElement puts what is inside of the wrappers around an element of a list, which is p's value, onto the stack. An
// element has its list's order, if before() or after() around it doesn't say otherwise.
func (m *merger) unwrapElement(p part, v starlark.Value) {
	mark := len(m.stack)
	element := p.inner(v, p.at)
	element.order = p.order
	m.unwrap(element, 0)
	for i := range m.stack[mark:] {
		if at := m.position(m.stack[mark+i].value); at.Line > 0 {
			m.stack[mark+i].at = at
		}
	}
}

// position returns where a list or dictionary is written, or the zero Position.
func (m *merger) position(v starlark.Value) fault.Position {
	switch v.(type) {
	case *starlark.Dict, *starlark.List:
		return m.interpreter.Literal(v)
	}
	return fault.Position{}
}

func listInOrder(elements []ordered) starlark.Value {
	slices.SortStableFunc(elements, func(a, b ordered) int { return cmp.Compare(a.order, b.order) })
	values := make([]starlark.Value, len(elements))
	for i, e := range elements {
		values[i] = e.value
	}
	list := starlark.NewList(values)
	list.Freeze()
	return list
}

// elementsOf returns the elements of a list or tuple.
func elementsOf(v starlark.Value) (iter.Seq[starlark.Value], bool) {
	switch v := v.(type) {
	case *starlark.List:
		return v.Elements(), true
	case starlark.Tuple:
		return slices.Values(v), true
	}
	return nil, false
}

// attrsOf is the type of dictionaries of which several are merged by key.
type attrsOf struct{ of *Type }

func (a *attrsOf) noun() noun {
	many := " of " + a.of.rules.noun().many
	return noun{"a dictionary" + many, "dictionary" + many, "dictionaries" + many}
}

func (a *attrsOf) submodules() []*submodule { return a.of.rules.submodules() }

func (a *attrsOf) merge(m *merger, parts []part) starlark.Value {
	return m.mergeByKey(a, a.of, parts)
}

// A keyed is a definition of a dictionary's entry.
type keyed struct {
	key string
	part
}

// mergeByKey returns the dictionary that dictionaries make, the definitions of each key merged by t. by are the rules that
// want dictionaries.
func (m *merger) mergeByKey(by rules, t *Type, parts []part) starlark.Value {
	entries := m.keyed(by, parts)
	slices.SortStableFunc(entries, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	dict := starlark.NewDict(len(entries))
	for len(entries) > 0 {
		key := entries[0].key
		mark := len(m.stack)
		m.enter(quoteLabel(key))
		for len(entries) > 0 && entries[0].key == key {
			m.unwrap(entries[0].part, 0)
			entries = entries[1:]
		}
		if v := m.merge(t, mark); v != nil {
			if err := dict.SetKey(starlark.String(key), v); err != nil {
				panic(err) // A string can be a key, and nobody else has the dictionary.
			}
		}
		m.leave()
	}
	dict.Freeze()
	return dict
}

func (m *merger) keyed(by rules, parts []part) []keyed {
	length := 0
	for _, p := range parts {
		length += max(0, starlark.Len(p.value))
	}
	entries := make([]keyed, 0, length)
	for _, p := range parts {
		seq, ok := entriesOf(p.value)
		if !ok {
			m.wrongType(p, by, "")
			continue
		}
		for k, v := range seq {
			key, ok := k.(starlark.String)
			if !ok {
				m.complain(misfit, p.at, fmt.Sprintf("option %s: want strings for keys, got %s", m.name(), describe(k)), "")
				continue
			}
			entries = append(entries, keyed{string(key), p.inner(v, m.entryPosition(p.value, string(key)))})
		}
	}
	return entries
}

// submodule is the type of values that have options of their own.
type submodule struct{ tree *tree }

func (s *submodule) noun() noun               { return noun{"a dictionary", "submodule", "submodules"} }
func (s *submodule) submodules() []*submodule { return []*submodule{s} }

func (s *submodule) merge(m *merger, parts []part) starlark.Value {
	mark := len(m.definitions)
	for _, p := range parts {
		if _, ok := entriesOf(p.value); !ok {
			m.wrongType(p, s, "")
			continue
		}
		m.depth++ // What doesn't fit is inside of the value.
		m.flatten(s.tree.root, p.inner(p.value, p.at))
		m.depth--
	}
	definitions := m.definitions[mark:]
	byOption(definitions)
	presets := m.presetsOf(s)
	values := make([]starlark.Value, len(s.tree.options))
	for i, o := range s.tree.options {
		n := 0
		for n < len(definitions) && definitions[n].option == i {
			n++
		}
		m.enter(o.Name)
		values[i] = m.option(o, presets[i], definitions[:n])
		m.leave()
		definitions = definitions[n:]
	}
	m.definitions = m.definitions[:mark]
	return &attributes{name: m.name(), group: s.tree.root, values: values, at: parts[0].at}
}

// byOption sorts definitions by the options they define.
func byOption(definitions []definition) {
	slices.SortStableFunc(definitions, func(a, b definition) int { return cmp.Compare(a.option, b.option) })
}

// presetsOf returns the values that a submodule's options have without definitions, by index. Faults of the defaults
// come up when it is called for the first time.
func (m *merger) presetsOf(s *submodule) []starlark.Value {
	presets, known := m.presets[s]
	if !known {
		presets = make([]starlark.Value, len(s.tree.options))
		m.presets[s] = presets
		for i, o := range s.tree.options {
			m.enter(o.Name)
			presets[i] = m.preset(o)
			m.leave()
		}
	}
	return presets
}

// nullable is a type with None.
type nullable struct{ of *Type }

func (n *nullable) noun() noun {
	of := n.of.rules.noun()
	return noun{of.one + " or None", of.bare + " or None", of.many + " or None"}
}

func (n *nullable) submodules() []*submodule { return n.of.rules.submodules() }

func (n *nullable) merge(m *merger, parts []part) starlark.Value {
	isNone := func(p part) bool { return p.value == starlark.None }
	first := slices.IndexFunc(parts, isNone)
	if first < 0 {
		return n.of.rules.merge(m, parts)
	}
	for _, p := range parts {
		if isNone(p) != isNone(parts[0]) {
			m.conflict(p, parts[0])
			return nil
		}
	}
	return starlark.None
}

// moduleRules are those of definitions that are kept as they are.
type moduleRules struct{}

func (moduleRules) noun() noun               { return noun{"a dictionary of definitions", "module", "modules"} }
func (moduleRules) submodules() []*submodule { return nil }

func (r moduleRules) merge(m *merger, parts []part) starlark.Value {
	var modules []starlark.Value
	for _, p := range parts {
		for _, d := range m.definitionsOf(p) {
			if _, ok := d.value.(*starlark.Dict); !ok {
				m.wrongType(d, r, "")
				continue
			}
			m.measure(d, m.depth)
			modules = append(modules, d.value)
		}
	}
	if m.exceeded != nil {
		return nil
	}
	list := starlark.NewList(modules)
	list.Freeze()
	return list
}

// measure complains about a value that is kept as it is when it nests too deep or holds too much: then it could be
// neither frozen nor compared.
func (m *merger) measure(p part, depth int) {
	if m.tooMuch(p, depth) {
		return
	}
	inside := func(v starlark.Value) { m.measure(part{value: v, at: p.at}, depth+1) }
	if w, ok := p.value.(*property); ok {
		for _, v := range w.values {
			inside(v)
		}
	}
	if values, ok := elementsOf(p.value); ok {
		for v := range values {
			inside(v)
		}
	}
	if entries, ok := entriesOf(p.value); ok {
		for _, v := range entries {
			inside(v)
		}
	}
}

// definitionsOf returns the dictionaries of a definition of an option of type module: itself, or the elements of a list.
func (m *merger) definitionsOf(p part) []part {
	values, isList := elementsOf(p.value)
	if !isList {
		return []part{p}
	}
	var parts []part
	for v := range values {
		mark := len(m.stack)
		m.unwrapElement(p, v)
		parts = append(parts, m.stack[mark:]...)
		m.stack = m.stack[:mark]
	}
	return parts
}
