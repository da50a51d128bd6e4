package options

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// A part is a definition of an option, or of something inside of an option's value.
type part struct {
	value    starlark.Value
	priority int
	order    int
	at       fault.Position
	source   int // the module, in the order of definitions
}

// inner returns the definition of something inside of p. What is said about p as a whole doesn't go on to it: p counts
// and has its place among others already.
func (p part) inner(v starlark.Value, at fault.Position) part {
	if at.Line == 0 {
		at = p.at
	}
	return part{value: v, priority: priorityPlain, order: orderPlain, at: at, source: p.source}
}

// A merger makes values of definitions.
//
// Approach: definitions go onto a stack without their wrappers; merge takes those above a mark off it again and gives
// the ones that count to the type, which does the same with what is inside. The stack saves a slice for each value.
type merger struct {
	interpreter  Interpreter
	allowUnknown bool
	names        map[string][]string             // labels by name, nil for what is no name
	presets      map[*submodule][]starlark.Value // values of options without definitions, by index

	stack       []part
	definitions []definition // what flatten found
	path        []step       // to what is merged now
	depth       int
	values      int         // so far, of this option
	exceeded    *fault.Item // says that there is too much of it; nil if there isn't
	faults      []mergeFault
	warnings    []fault.Item
}

// A mergeFault is what is wrong with a definition.
type mergeFault struct {
	fault.Item
	kind  faultKind
	depth int // of the value that is wrong
}

type faultKind int

const (
	misfit   faultKind = iota // the definition is not of the type
	conflict                  // it is, but doesn't agree with others
)

// A step leads from an option to something in its value.
type step struct {
	name  string // dotted; empty for an element of a list
	index int
}

func (m *merger) enter(name string)  { m.path = append(m.path, step{name: name}) }
func (m *merger) enterElement(i int) { m.path = append(m.path, step{index: i}) }
func (m *merger) leave()             { m.path = m.path[:len(m.path)-1] }
func (m *merger) name() string       { return m.nameOf("") }

// nameOf returns the name of what is merged now, or of something in it.
func (m *merger) nameOf(inside string) string {
	var b strings.Builder
	for _, s := range m.path {
		switch {
		case s.name == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case b.Len() > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	if inside == "" {
		return b.String()
	}
	return under(b.String(), inside)
}

func (m *merger) complain(kind faultKind, at fault.Position, what, hint string) {
	if len(m.faults) < maxFaults {
		m.faults = append(m.faults, mergeFault{fault.Item{Position: at, What: what, Hint: hint}, kind, m.depth})
	}
}

func (m *merger) wrongType(p part, want rules, hint string) {
	if len(m.faults) >= maxFaults {
		return // Saves to say it all.
	}
	m.complain(misfit, p.at, fmt.Sprintf("option %s: want %s, got %s", m.name(), want.noun().one, describe(p.value)), hint)
}

func (m *merger) conflict(p, first part) {
	if isBroken(p.value) || isBroken(first.value) {
		return
	}
	what := fmt.Sprintf("option %s is %s here and %s at %s", m.name(), short(p.value), short(first.value), first.at)
	m.complain(conflict, p.at, what, "remove one, or put force() around the one that counts")
}

func isBroken(v starlark.Value) bool {
	object, ok := v.(StoreObject)
	return ok && object.Broken()
}

// take returns the faults and warnings, and forgets them.
func (m *merger) take() (faults, warnings []fault.Item) {
	for _, f := range m.faults {
		faults = append(faults, f.Item)
	}
	if m.exceeded != nil {
		faults = []fault.Item{*m.exceeded} // The others may be there only because it ended early.
	}
	warnings = m.warnings
	m.faults, m.warnings, m.values, m.exceeded = nil, nil, 0, nil
	return faults, warnings
}

// tooMuch counts a value, and reports whether the definitions nest too deep or hold too many. After the first time it
// always does, so that merging comes to its end.
func (m *merger) tooMuch(p part, depth int) bool {
	m.values++
	reason := ""
	switch {
	case m.exceeded != nil:
		return true
	case m.values > maxValues:
		reason = fmt.Sprintf("has more than %d values", maxValues)
	case depth > maxDepth:
		reason = fmt.Sprintf("nests deeper than %d levels", maxDepth)
	default:
		return false
	}
	what := "config " + reason
	if len(m.path) > 0 {
		what = "option " + m.path[0].name + " " + reason
	}
	m.exceeded = &fault.Item{Position: p.at, What: what}
	return true
}

// unwrap puts what is inside of the wrappers around p's value onto the stack. Of nested numbers the innermost counts.
func (m *merger) unwrap(p part, depth int) {
	for {
		w, ok := p.value.(*property)
		switch {
		case !ok:
			m.stack = append(m.stack, p)
			return
		case w.wrapping == withPriority:
			p.priority = w.number
		case w.wrapping == withOrder:
			p.order = w.number
		case w.wrapping == withCondition && !w.holds:
			return
		case w.wrapping == several:
			for _, v := range w.values {
				p.value = v
				if m.tooMuch(p, depth) {
					return
				}
				m.unwrap(p, depth+1)
			}
			return
		}
		p.value = w.values[0]
	}
}

// merge takes the parts above the mark off the stack and returns their value by type t: nil when none is left or they
// don't fit.
func (m *merger) merge(t *Type, mark int) starlark.Value {
	defer func() { m.stack = m.stack[:mark] }()
	parts := choose(m.stack[mark:])
	if len(parts) == 0 || m.tooMuch(parts[0], m.depth) {
		return nil
	}
	m.depth++
	v := t.rules.merge(m, parts)
	m.depth--
	return v
}

// mergeOne returns the value of one definition, which may be in wrappers.
func (m *merger) mergeOne(t *Type, p part) starlark.Value {
	mark := len(m.stack)
	m.unwrap(p, 0)
	return m.merge(t, mark)
}

// choose returns those of parts that count, in order, in the same memory.
func choose(parts []part) []part {
	if len(parts) < 2 {
		return parts
	}
	lowest := parts[0].priority
	for _, p := range parts {
		lowest = min(lowest, p.priority)
	}
	parts = slices.DeleteFunc(parts, func(p part) bool { return p.priority != lowest })
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.order, b.order) })
	return parts
}

// option returns the value of an option by its definitions, nil when it has none or has faults. preset is its value
// without definitions.
func (m *merger) option(o *Option, preset starlark.Value, definitions []definition) starlark.Value {
	if len(definitions) == 0 {
		return preset
	}
	mark := len(m.stack)
	if o.Default != nil {
		m.unwrap(defaultPart(o), 0)
	}
	for _, d := range definitions {
		m.stack = append(m.stack, d.part)
	}
	return m.merge(o.Type, mark)
}

// defaultPart returns an option's own default as a definition; the option must have one. It comes before all others.
func defaultPart(o *Option) part {
	return part{value: o.Default, priority: priorityOption, order: orderPlain, at: o.Position, source: -1}
}

// preset returns the value of an option without definitions: its default's, or nil.
func (m *merger) preset(o *Option) starlark.Value {
	if o.Default == nil {
		return nil
	}
	return m.mergeOne(o.Type, defaultPart(o))
}
