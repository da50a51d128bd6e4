package options

import (
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// place returns where an option is defined. The name may go on inside of the option's value, and end in the index of an
// element of a list: then it is the place of the innermost of these that a definition has. What nothing defines has the
// zero Position.
func (ev *evaluation) place(name string) fault.Position {
	name, index := cutIndex(name)
	labels, _ := parseName(name)
	n, _, inside := ev.tree.root.find(labels)
	if n == nil || n.option == nil {
		return fault.Position{}
	}
	var parts []part
	for _, d := range ev.states[n.index].definitions {
		parts = append(parts, d.part)
	}
	m := merger{interpreter: ev.merger.interpreter, names: map[string][]string{}}
	if parts = m.counting(parts); len(parts) == 0 {
		return fault.Position{}
	}
	for _, label := range inside {
		inner := m.counting(m.entriesCalled(label, parts))
		if len(inner) == 0 {
			return parts[0].at
		}
		parts = inner
	}
	return elementPlace(parts, index)
}

// cutIndex takes an index in brackets off the end of a name.
func cutIndex(name string) (before string, index int) {
	before, number, found := strings.Cut(strings.TrimSuffix(name, "]"), "[")
	index, err := strconv.Atoi(number)
	if !found || err != nil {
		return name, 0
	}
	return before, index
}

// elementPlace returns where the element of a list is defined that parts make; of anything else, where it is defined.
func elementPlace(parts []part, index int) fault.Position {
	for _, p := range parts {
		elements, ok := elementsOf(p.value)
		if !ok {
			break
		}
		for range elements {
			if index == 0 {
				return p.at
			}
			index--
		}
	}
	return parts[0].at
}

// counting returns those of parts that count, without the wrappers around them.
func (m *merger) counting(parts []part) []part {
	mark := len(m.stack)
	for _, p := range parts {
		m.unwrap(p, 0)
	}
	inner := slices.Clone(m.stack[mark:])
	m.stack = m.stack[:mark]
	return choose(inner)
}

// entriesCalled returns the definitions of one entry, or of what is inside of it, that dictionaries have.
func (m *merger) entriesCalled(label string, dicts []part) []part {
	var found []part
	for _, p := range dicts {
		entries, ok := entriesOf(p.value)
		if !ok {
			continue
		}
		for key, v := range entries {
			name, _ := starlark.AsString(key)
			inner := p.inner(v, m.entryPosition(p.value, name))
			if path := m.labels(name); name != label {
				if len(path) < 2 || path[0] != label {
					continue
				}
				inner.value = nested(path[1:], v)
			}
			found = append(found, inner)
		}
	}
	return found
}
