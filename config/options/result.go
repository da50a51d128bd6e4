package options

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// A Result holds the final values of options.
type Result struct {
	tree        *tree
	states      []state
	modules     []*source
	values      *attributes
	interpreter Interpreter
	warnings    []fault.Item
}

// A Definition is a definition of an option, or the option's own default.
type Definition struct {
	Value    starlark.Value // without the wrappers around it
	Priority int
	Position fault.Position
	Module   string // the module's name
	Lost     bool   // another one has a lower priority
}

func (ev *evaluation) result() *Result {
	r := &Result{tree: ev.tree, states: ev.states, modules: ev.sources, interpreter: ev.merger.interpreter, warnings: ev.warnings()}
	values := make([]starlark.Value, len(ev.states))
	for i := range ev.states {
		values[i] = ev.states[i].value
	}
	r.values = &attributes{group: ev.tree.root, values: values}
	return r
}

// Options returns the options that are declared, internal ones too, sorted by name.
func (r *Result) Options() []*Option { return slices.Clone(r.tree.options) }

// Value returns the final value of an option, or of what a dotted name leads to inside of it; of a group of options the
// values of all options in it, and for "" of all groups. It reports false for what is undefined or unknown.
func (r *Result) Value(name string) (starlark.Value, bool) {
	if name == "" {
		return r.values, true
	}
	labels, ok := parseName(name)
	if !ok {
		return nil, false
	}
	v, err := descend(r.values, "", labels)
	return v, err == nil
}

// Definitions returns all definitions of an option: first those that count, in the order of merging, then the lost ones
// by priority. The option's own default is among them.
func (r *Result) Definitions(name string) []Definition {
	o, parts := r.parts(name)
	if o == nil {
		return nil
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.priority, b.priority) })
	counting := 0
	for counting < len(parts) && parts[counting].priority == parts[0].priority {
		counting++
	}
	slices.SortStableFunc(parts[:counting], func(a, b part) int { return cmp.Compare(a.order, b.order) })
	definitions := make([]Definition, len(parts))
	for i, p := range parts {
		definitions[i] = Definition{Value: p.value, Priority: p.priority, Position: p.at, Module: r.module(o, p), Lost: i >= counting}
	}
	return definitions
}

// parts returns an option and its definitions with its default, or nil when there is no such option.
func (r *Result) parts(name string) (*Option, []part) {
	labels, ok := parseName(name)
	if !ok {
		return nil, nil
	}
	n, _, rest := r.tree.root.find(labels)
	if n == nil || n.option == nil || len(rest) > 0 {
		return nil, nil
	}
	var parts []part
	if n.option.Default != nil {
		parts = append(parts, defaultPart(n.option))
	}
	for _, d := range r.states[n.index].definitions {
		parts = append(parts, d.part)
	}
	return n.option, parts
}

func (r *Result) module(o *Option, p part) string {
	if p.source < 0 {
		return o.Module
	}
	return r.modules[p.source].module.Name
}

// Raw returns the definitions that count of an option of type module: one for each dictionary.
func (r *Result) Raw(name string) []Definition {
	o, parts := r.parts(name)
	if o == nil {
		return nil
	}
	m := merger{interpreter: r.interpreter}
	var raw []Definition
	for _, p := range choose(parts) {
		for _, d := range m.definitionsOf(p) {
			raw = append(raw, Definition{Value: d.value, Priority: p.priority, Position: d.at, Module: r.module(o, p)})
		}
	}
	return raw
}

// Warnings returns what is no fault, sorted by place.
func (r *Result) Warnings() []fault.Item { return slices.Clone(r.warnings) }

// Changed reports whether anything but its own default defines an option.
func (r *Result) Changed(name string) bool {
	_, parts := r.parts(name)
	return slices.ContainsFunc(parts, func(p part) bool { return p.source >= 0 })
}

// sorted returns items by place, each once.
func sorted(items []fault.Item) []fault.Item {
	if len(items) == 0 {
		return nil
	}
	return fault.New(items...).Items
}

// faults returns all that is wrong after the last round. When the values did not settle, that may be the reason for it,
// and something that is wrong in every other round only: a function that reads what it defines wrongly fails, so that
// its definitions are gone, so that it reads well, and so on. Then what was wrong in the round before counts, too.
func (ev *evaluation) faults(settled bool) []fault.Item {
	items := slices.Clone(ev.broken)
	for _, s := range ev.sources {
		items = slices.Concat(items, s.faults, s.failures)
		if !settled {
			items = append(items, s.wrong...)
		}
	}
	for i := range ev.states {
		s := &ev.states[i]
		items = append(items, s.faults...)
		if settled || !s.changed {
			continue
		}
		items = append(items, s.wrong...)
		if !s.faulty() && len(s.wrong) == 0 {
			items = append(items, endless(ev.tree.options[i], s))
		}
	}
	if settled && !ev.failed() {
		items = append(items, ev.failedAssertions()...)
	}
	return sorted(items)
}

// endless says that an option keeps changing.
func endless(o *Option, s *state) fault.Item {
	definitions := s.definitions
	if len(definitions) == 0 {
		definitions = s.defined
	}
	var places []string
	for _, d := range definitions {
		places = append(places, d.at.String())
	}
	it := fault.Item{Position: o.Position}
	if len(definitions) > 0 {
		it.Position = definitions[0].at
	}
	it.What = fmt.Sprintf("option %s keeps changing: after %d rounds it is %s, after %d rounds %s",
		o.Name, maxRounds-1, shortOrUndefined(s.before), maxRounds, shortOrUndefined(s.value))
	if places != nil {
		it.Hint = "its definitions depend on each other: " + strings.Join(slices.Compact(places), ", ")
	}
	return it
}

func shortOrUndefined(v starlark.Value) string {
	if v == nil {
		return "undefined"
	}
	return short(v)
}
