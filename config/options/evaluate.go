package options

import (
	"slices"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// Evaluate returns the final values of the options that modules declare. With faults the result is nil, and so it is when
// the interpreter failed to call a function without an item that says why: then it was stopped, and its owner knows.
//
// Approach: in each round the config functions see the values of the round before, at first the defaults, and their
// definitions make the next ones, until nothing changes. A function runs again only when an option changed that it read,
// and only options are merged again whose definitions changed. A function that fails defines nothing and waits: what it
// complains about may be gone in a later round. So all faults are looked at after the last one.
func Evaluate(r Request) (*Result, []fault.Item) {
	ev := newEvaluation(r)
	ev.begin()
	settled := ev.rounds()
	if faults := ev.faults(settled); len(faults) > 0 || ev.failed() {
		return nil, faults
	}
	return ev.result(), nil
}

// failed reports whether a config function failed when it ran last.
func (ev *evaluation) failed() bool {
	return slices.ContainsFunc(ev.sources, func(s *source) bool { return s.failed })
}

// An evaluation is the state of one call of Evaluate.
type evaluation struct {
	merger  merger
	tree    *tree
	states  []state   // of the options, by index
	sources []*source // the modules
	broken  []fault.Item

	running *source // whose function runs now, or nil
	misled  bool    // it read an option that has a fault
	runs    int     // how many functions ran so far
	dirty   []bool  // options whose definitions changed in this round
}

// A state is what is known of an option.
type state struct {
	definitions []definition // in the order of the modules, which are their sources
	value       starlark.Value
	faults      []fault.Item
	warnings    []fault.Item

	readers []reader
	lastRun int            // the last run that read it
	changed bool           // in the last round
	before  starlark.Value // its value of the round before, if it changed
	wrong   []fault.Item   // its faults of the round before, if it changed
	defined []definition   // its definitions of the round before, if they changed
}

func (s *state) faulty() bool { return len(s.faults) > 0 }

// A reader is a run of a module's function that read an option.
type reader struct {
	source *source
	run    int
}

// A source is a module as a source of definitions.
type source struct {
	index       int
	module      *Module
	definitions []definition // sorted by option
	faults      []fault.Item // of definitions that are not of an option
	warnings    []fault.Item
	failed      bool         // the function did
	failures    []fault.Item // of the function, but for those that are consequences of an option's fault
	wrong       []fault.Item // faults and failures of the round before, if it ran in the last one
	run         int          // the last run of the function
	waiting     bool         // to run
}

func newEvaluation(r Request) *evaluation {
	ev := &evaluation{
		tree: newTree(),
		merger: merger{
			interpreter:  r.Interpreter,
			allowUnknown: r.AllowUnknown,
			names:        map[string][]string{},
			presets:      map[*submodule][]starlark.Value{},
		},
	}
	ev.declare(r.Modules)
	ev.states = make([]state, len(ev.tree.options))
	ev.dirty = make([]bool, len(ev.tree.options))
	for i := range r.Modules {
		ev.sources = append(ev.sources, &source{index: i, module: &r.Modules[i]})
	}
	return ev
}

// declare makes the tree of the options, those of every evaluation among them.
func (ev *evaluation) declare(modules []Module) {
	d := declarer{tree: ev.tree, entry: ev.merger.interpreter.Entry}
	d.builtin()
	for i := range modules {
		if m := &modules[i]; m.Options != nil {
			d.module = m
			d.declare(m.Options, m.Position)
		}
	}
	ev.tree.number()
	ev.broken = d.faults
}

// begin makes the values of round 0: those of the defaults.
func (ev *evaluation) begin() {
	m := &ev.merger
	for i, o := range ev.tree.options {
		m.enter(o.Name)
		m.checkPresets(o.Type)
		faults, _ := m.take()
		ev.broken = append(ev.broken, faults...)
		ev.states[i].value = m.preset(o)
		ev.states[i].faults, _ = m.take()
		m.leave()
		ev.broken = append(ev.broken, ev.states[i].faults...) // A definition hides the default, and not that it is wrong.
	}
}

// checkPresets makes the values that options inside of a type's values have without definitions.
func (m *merger) checkPresets(t *Type) {
	for _, s := range t.rules.submodules() {
		if _, known := m.presets[s]; known {
			continue
		}
		m.presetsOf(s)
		for _, o := range s.tree.options {
			m.enter(o.Name)
			m.checkPresets(o.Type)
			m.leave()
		}
	}
}

// rounds evaluates until nothing changes, and reports whether that happened.
func (ev *evaluation) rounds() bool {
	for _, s := range ev.sources {
		s.waiting = s.module.Config != nil
	}
	for range maxRounds {
		for _, s := range ev.sources {
			s.wrong = nil
			if s.waiting {
				s.waiting = false
				s.wrong = slices.Concat(s.faults, s.failures)
				ev.update(s, ev.define(s))
			}
		}
		if !ev.settle() {
			return true
		}
	}
	return false
}

// define returns the definitions of a module, sorted by option. They are gone when it is called again.
func (ev *evaluation) define(s *source) []definition {
	s.faults, s.warnings = nil, nil
	v := s.module.Config
	if fn, ok := v.(starlark.Callable); ok {
		if v = ev.call(s, fn); v == nil {
			return nil
		}
	}
	p := part{value: v, priority: priorityPlain, order: orderPlain, at: s.module.Position, source: s.index}
	m := &ev.merger
	m.definitions = m.definitions[:0]
	m.flatten(ev.tree.root, p)
	s.faults, s.warnings = m.take()
	byOption(m.definitions)
	return m.definitions
}

// call runs a config function.
func (ev *evaluation) call(s *source, fn starlark.Callable) starlark.Value {
	ev.runs++
	s.run = ev.runs
	ev.running, ev.misled = s, false
	v, failures := ev.merger.interpreter.Call(fn, &group{ev, ev.tree.root})
	ev.running = nil
	s.failed, s.failures = v == nil, failures
	if ev.misled {
		s.failures = nil
	}
	return v
}

// note notes that the function that runs now depends on an option.
func (ev *evaluation) note(s *state) {
	if ev.running == nil || s.lastRun == ev.running.run {
		return
	}
	s.lastRun = ev.running.run
	s.readers = append(s.readers, reader{ev.running, ev.running.run})
}

// update replaces the definitions of a module, and marks the options for which that makes a difference.
func (ev *evaluation) update(s *source, definitions []definition) {
	old := s.definitions
	definitions = slices.Clone(definitions)
	s.definitions = definitions
	for len(old) > 0 || len(definitions) > 0 {
		option := nextOption(old, definitions)
		var before, after []definition
		before, old = splitOption(old, option)
		after, definitions = splitOption(definitions, option)
		if sameDefinitions(before, after) {
			continue
		}
		st := &ev.states[option]
		if !ev.dirty[option] {
			st.defined = st.definitions
		}
		st.definitions = replace(st.definitions, s.index, after)
		ev.dirty[option] = true
	}
}

// nextOption returns the lowest option of the first of two lists, one of which is not empty.
func nextOption(a, b []definition) int {
	switch {
	case len(a) == 0:
		return b[0].option
	case len(b) == 0:
		return a[0].option
	}
	return min(a[0].option, b[0].option)
}

// splitOption takes the definitions of an option off the beginning of a list.
func splitOption(definitions []definition, option int) (of, rest []definition) {
	n := 0
	for n < len(definitions) && definitions[n].option == option {
		n++
	}
	return definitions[:n], definitions[n:]
}

// replace returns definitions with others for those of a module.
func replace(definitions []definition, source int, others []definition) []definition {
	first, _ := slices.BinarySearchFunc(definitions, source, func(d definition, source int) int { return d.source - source })
	last, _ := slices.BinarySearchFunc(definitions, source+1, func(d definition, source int) int { return d.source - source })
	return slices.Concat(definitions[:first], others, definitions[last:])
}

// settle merges the options whose definitions changed, and lets the readers of those wait whose values did. It reports
// whether there were any.
func (ev *evaluation) settle() bool {
	anything := false
	for i := range ev.states {
		s := &ev.states[i]
		s.changed = false
		if !ev.dirty[i] {
			continue
		}
		ev.dirty[i] = false
		s.before, s.wrong = s.value, s.faults
		ev.merge(i)
		if s.changed = len(s.wrong) > 0 != s.faulty() || !identical(s.before, s.value); !s.changed {
			continue
		}
		anything = true
		for _, r := range s.readers {
			if r.run == r.source.run {
				r.source.waiting = true
			}
		}
		s.readers = nil
	}
	return anything
}

func (ev *evaluation) merge(i int) {
	m, s, o := &ev.merger, &ev.states[i], ev.tree.options[i]
	m.enter(o.Name)
	if len(s.definitions) == 0 {
		s.value = m.preset(o)
	} else {
		s.value = m.option(o, nil, s.definitions)
	}
	m.leave()
	if s.faults, s.warnings = m.take(); s.faulty() {
		s.value = nil
	}
}
