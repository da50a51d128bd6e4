package options_test

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"nbuild/config/fault"
)

// The naive evaluator says what a model means. It is written from the description of the module system alone, not from
// the code, and is as simple as can be: every round computes everything anew, from flat lists, and nothing is remembered
// but the values of the round before.

// naiveRounds is how many rounds there are at most.
const naiveRounds = 100

// anElement is the label of the elements of a list, as long as their faults are collected.
const anElement = "[]"

// A naiveFault is a fault as the tests compare them.
type naiveFault struct {
	kind   string // see faultKinds
	option string
	at     fault.Position
}

func (f naiveFault) compare(g naiveFault) int {
	return cmp.Or(f.at.Compare(g.at), cmp.Compare(f.kind, g.kind), cmp.Compare(f.option, g.option))
}

// A naiveDefinition is a definition of an option, or of a part of one's value.
type naiveDefinition struct {
	value    any
	priority int
	order    int
	at       fault.Position
	module   string
	lost     bool
}

// Values are nil, bool, int, float64, string, storedValue, secretValue, []any and, as they are written, *naiveDict and
// *naiveWrapped. Merged, they have attributes (of a submodule) and map[string]any (of other dictionaries).
type (
	naiveDict struct {
		entries []naiveEntry
		at      fault.Position
	}
	naiveEntry struct {
		key   string
		value any
		at    fault.Position // zero in a dictionary that isn't written anywhere
	}
	naiveWrapped struct {
		wrapExpr
		values []any
	}
	attributes map[string]any
)

// A naiveState is what a round comes to.
type naiveState struct {
	values      map[string]any          // of the options that are defined and right
	faulty      map[string]bool         // the options that are wrong
	faults      []naiveFault            // of modules; of all, when the evaluation is over
	wrong       map[string][]naiveFault // of options
	warnings    []naiveFault            // of names that are unknown but allowed
	definitions map[string][]naiveDefinition
}

// naive evaluates one model.
type naive struct {
	options      []*modelOption
	broken       []*modelOption // of them: others are declared inside, and what is said about either may be meant for the other
	allowUnknown bool
	naiveState
}

// evaluateNaively returns the last round. If values keep changing, the faults are those of the last two rounds, as each
// may be the reason, and the options that change and aren't wrong themselves.
func evaluateNaively(m *model) naiveState {
	n := &naive{allowUnknown: m.allowUnknown}
	declared := n.declare(m)
	n.round(nil, nil)
	var before naiveState
	changed := []string{""}
	for round := 0; round < naiveRounds && len(changed) > 0; round++ {
		before = n.naiveState
		n.round(m, &before)
		changed = n.changed(&before)
	}
	if len(changed) > 0 {
		n.faults = append(n.faults, before.faults...)
	}
	for _, name := range changed {
		n.faults = append(n.faults, before.wrong[name]...)
		if !before.faulty[name] && !n.faulty[name] {
			n.faults = append(n.faults, naiveFault{kind: "endless", option: name})
		}
	}
	for _, faults := range n.wrong {
		n.faults = append(n.faults, faults...)
	}
	n.faults = append(n.faults, declared...)
	for _, faults := range [][]naiveFault{n.faults, n.warnings} {
		for i, f := range faults {
			faults[i].option = strings.ReplaceAll(f.option, "."+anElement, "")
		}
	}
	slices.SortFunc(n.faults, naiveFault.compare)
	return n.naiveState
}

// declare collects the options: of several of one name the first, and none that is inside of another.
func (n *naive) declare(m *model) (faults []naiveFault) {
	var all []*modelOption
	for _, mod := range m.modules {
		for _, o := range mod.options {
			if slices.ContainsFunc(all, func(p *modelOption) bool { return slices.Equal(o.path, p.path) }) {
				faults = append(faults, naiveFault{"declared twice", o.name(), o.at})
				continue
			}
			all = append(all, o)
		}
	}
	for _, o := range all {
		i := slices.IndexFunc(all, func(p *modelOption) bool { return len(p.path) < len(o.path) && overlap(o, p) })
		if i >= 0 {
			faults = append(faults, naiveFault{"inside of an option", o.name(), o.at})
			n.broken = append(n.broken, all[i])
			continue
		}
		n.options = append(n.options, o)
	}
	return faults
}

// changed returns the options whose value is not that of the round before.
func (n *naive) changed(before *naiveState) []string {
	var names []string
	for _, o := range n.options {
		name := o.name()
		was, wasDefined := before.values[name]
		is, isDefined := n.values[name]
		if wasDefined != isDefined || before.faulty[name] != n.faulty[name] || !reflect.DeepEqual(was, is) {
			names = append(names, name)
		}
	}
	return names
}

// round merges what the modules of m define, seeing the state before; without m that is the defaults of the options.
func (n *naive) round(m *model, before *naiveState) {
	n.naiveState = naiveState{
		values: map[string]any{}, faulty: map[string]bool{}, wrong: map[string][]naiveFault{},
		definitions: map[string][]naiveDefinition{},
	}
	definitions := map[*modelOption][]naiveDefinition{}
	if m != nil {
		for _, mod := range m.modules {
			value := n.run(mod, before)
			n.define(n.options, nil, nil, naiveDefinition{value: value, priority: 100, order: 1000, module: mod.name}, nil, definitions)
		}
	}
	for _, o := range n.options {
		if slices.Contains(n.broken, o) {
			n.faulty[o.name()] = true
			continue
		}
		all := o.withDefault(definitions[o])
		own := &naive{allowUnknown: n.allowUnknown}
		value, defined := own.merge(o.typ, o.path, all)
		n.warnings = append(n.warnings, own.warnings...)
		switch name := o.name(); {
		case len(own.faults) > 0:
			n.faulty[name], n.wrong[name] = true, own.faults
		case defined:
			n.values[name] = value
			n.definitions[name] = ranked(all)
		}
	}
}

func (o *modelOption) withDefault(definitions []naiveDefinition) []naiveDefinition {
	if o.def == nil {
		return definitions
	}
	return append(slices.Clip(definitions), naiveDefinition{value: evaluateExpr(o.def, nil), priority: 1500, order: 1000, at: o.at})
}

func (n *naive) fault(kind string, path []string, at fault.Position) {
	f := naiveFault{kind, dotted(path), at}
	if kind == "unknown" && n.allowUnknown {
		n.warnings = append(n.warnings, f)
		return
	}
	if !slices.Contains(n.faults, f) {
		n.faults = append(n.faults, f)
	}
}

// define hands a definition of what has a path on to the options that it defines. The labels of rest lead on from there.
func (n *naive) define(options []*modelOption, prefix, path []string, d naiveDefinition, rest []string, definitions map[*modelOption][]naiveDefinition) {
	for _, o := range options {
		if slices.Equal(o.path, path) {
			for _, label := range slices.Backward(rest) {
				d.value = &naiveDict{entries: []naiveEntry{{label, d.value, d.at}}}
			}
			definitions[o] = append(definitions[o], unwrap(d)...)
			return
		}
	}
	isGroup := slices.ContainsFunc(options, func(o *modelOption) bool {
		return len(o.path) > len(path) && slices.Equal(o.path[:len(path)], path)
	})
	if isGroup && len(rest) > 0 {
		n.define(options, prefix, append(slices.Clone(path), rest[0]), d, rest[1:], definitions)
		return
	}
	for _, d := range unwrap(d) {
		dict, isDict := d.value.(*naiveDict)
		switch {
		case !isGroup:
			if !isNothing(d) {
				n.fault("unknown", slices.Concat(prefix, path, rest), d.at)
			}
		case d.value == nil:
		case !isDict:
			n.fault("group", slices.Concat(prefix, path), d.at)
		default:
			for _, e := range dict.entries {
				n.define(options, prefix, path, d.part(e), labels(e.key), definitions)
			}
		}
	}
}

// part returns the definition of an entry of d's dictionary.
func (d naiveDefinition) part(e naiveEntry) naiveDefinition {
	d.value = e.value
	if e.at != (fault.Position{}) {
		d.at = e.at
	}
	return d
}

// inside returns the definition of an entry of a value, whose priority and order are its own affair.
func (d naiveDefinition) inside(e naiveEntry) naiveDefinition {
	d = d.part(e)
	d.priority, d.order = 100, 1000
	return d
}

// unwrap takes the functions off that stand around a value. Of nested priorities (and orders) the innermost counts.
func unwrap(d naiveDefinition) []naiveDefinition {
	w, ok := d.value.(*naiveWrapped)
	if !ok {
		return []naiveDefinition{d}
	}
	switch w.name {
	case "default":
		d.priority = 1000
	case "force":
		d.priority = 50
	case "override":
		d.priority = w.number
	case "before":
		d.order = 500
	case "after":
		d.order = 1500
	case "when":
		if !w.condition {
			return nil
		}
	}
	var all []naiveDefinition
	for _, v := range w.values {
		d.value = v
		all = append(all, unwrap(d)...)
	}
	return all
}

// isNothing reports whether conditions leave nothing of a definition: its dots might as well be dictionaries.
func isNothing(d naiveDefinition) bool {
	return !slices.ContainsFunc(unwrap(d), func(d naiveDefinition) bool {
		dict, ok := d.value.(*naiveDict)
		return !ok || len(dict.entries) == 0 || slices.ContainsFunc(dict.entries, func(e naiveEntry) bool { return !isNothing(d.part(e)) })
	})
}

// ranked sorts definitions as they count: by priority, and those of the best by order.
func ranked(definitions []naiveDefinition) []naiveDefinition {
	sorted := slices.Clone(definitions)
	slices.SortStableFunc(sorted, func(a, b naiveDefinition) int { return cmp.Compare(a.priority, b.priority) })
	winners := 0
	for i := range sorted {
		sorted[i].lost = sorted[i].priority != sorted[0].priority
		if !sorted[i].lost {
			winners++
		}
	}
	slices.SortStableFunc(sorted[:winners], func(a, b naiveDefinition) int { return cmp.Compare(a.order, b.order) })
	return sorted
}

// merge returns the value that definitions give something of a type, and whether they give one.
func (n *naive) merge(t *modelType, path []string, definitions []naiveDefinition) (value any, defined bool) {
	winners := ranked(definitions)
	winners = slices.DeleteFunc(winners, func(d naiveDefinition) bool { return d.lost })
	if len(winners) == 0 {
		return nil, false
	}
	switch t.name {
	case "list_of":
		return n.mergeList(t, path, winners)
	case "attrs_of":
		return n.mergeDicts(t.parts[0], path, winners)
	case "submodule":
		return n.mergeSubmodule(t, path, winners)
	case "nullable":
		return n.mergeNullable(t, path, winners)
	case "one_of":
		return n.mergeOneOf(t, path, winners)
	case "anything":
		return n.mergeAnything(t, path, winners)
	case "lines":
		return n.mergeLines(path, winners)
	}
	return n.mergeScalars(t, path, winners)
}

// mergeScalars wants definitions to agree.
func (n *naive) mergeScalars(t *modelType, path []string, definitions []naiveDefinition) (any, bool) {
	var values []any
	for _, d := range definitions {
		v, ok := scalar(t, d.value)
		if !ok {
			n.fault("type", path, d.at)
			continue
		}
		if len(values) > 0 && !agree(values[0], v) {
			n.fault("conflict", path, d.at)
		}
		values = append(values, v)
	}
	return append(values, nil)[0], len(values) > 0
}

// agree reports whether two values are the same, or both of a kind that is put together.
func agree(v, w any) bool {
	switch v.(type) {
	case *naiveDict, []any:
		return reflect.TypeOf(v) == reflect.TypeOf(w)
	}
	return reflect.DeepEqual(v, w)
}

func (n *naive) mergeLines(path []string, definitions []naiveDefinition) (any, bool) {
	var lines []string
	for _, d := range definitions {
		v, ok := scalar(&modelType{name: "str"}, d.value)
		if !ok {
			n.fault("type", path, d.at)
			continue
		}
		lines = append(lines, v.(string))
	}
	return strings.Join(lines, "\n"), true
}

func (n *naive) mergeList(t *modelType, path []string, definitions []naiveDefinition) (any, bool) {
	merged := []any{}
	for _, d := range definitions {
		items, ok := d.value.([]any)
		if !ok {
			n.fault("type", path, d.at)
		}
		for _, item := range items {
			v, defined := n.merge(t.parts[0], append(slices.Clone(path), anElement), unwrap(d.inside(naiveEntry{value: item})))
			if defined {
				merged = append(merged, v)
			}
		}
	}
	return merged, true
}

// mergeDicts merges dictionaries by key, what each key has by a type.
func (n *naive) mergeDicts(part *modelType, path []string, definitions []naiveDefinition) (any, bool) {
	parts := map[string][]naiveDefinition{}
	for _, d := range definitions {
		dict, ok := d.value.(*naiveDict)
		if !ok {
			n.fault("type", path, d.at)
			continue
		}
		for _, e := range dict.entries {
			parts[e.key] = append(parts[e.key], unwrap(d.inside(e))...)
		}
	}
	merged := map[string]any{}
	for key, definitions := range parts {
		if v, defined := n.merge(part, append(slices.Clone(path), key), definitions); defined {
			merged[key] = v
		}
	}
	return merged, true
}

// mergeSubmodule merges dictionaries as modules of a little system.
func (n *naive) mergeSubmodule(t *modelType, path []string, definitions []naiveDefinition) (any, bool) {
	parts := map[*modelOption][]naiveDefinition{}
	for _, d := range definitions {
		if _, ok := d.value.(*naiveDict); !ok {
			n.fault("type", path, d.at)
			continue
		}
		n.define(t.fields, path, nil, d.inside(naiveEntry{value: d.value}), nil, parts)
	}
	merged := attributes{}
	for _, field := range t.fields {
		value, defined := n.merge(field.typ, append(slices.Clone(path), field.path...), field.withDefault(parts[field]))
		if defined {
			merged[field.name()] = value
		}
	}
	return merged, true
}

func (n *naive) mergeNullable(t *modelType, path []string, definitions []naiveDefinition) (any, bool) {
	isNone := definitions[0].value == nil
	for _, d := range definitions {
		if (d.value == nil) != isNone {
			n.fault("conflict", path, d.at)
			return nil, false
		}
	}
	if isNone {
		return nil, true
	}
	return n.merge(t.parts[0], path, definitions)
}

// mergeOneOf merges by the first type that takes all definitions, or would but for what is inside of them, if there is
// one such type.
func (n *naive) mergeOneOf(t *modelType, path []string, definitions []naiveDefinition) (any, bool) {
	var outside []*modelType
	for _, part := range t.parts {
		if !slices.ContainsFunc(definitions, func(d naiveDefinition) bool { return !takes(part, d, false) }) {
			return n.merge(part, path, definitions)
		}
		if !slices.ContainsFunc(definitions, func(d naiveDefinition) bool { return !takes(part, d, true) }) {
			outside = append(outside, part)
		}
	}
	if len(outside) == 1 {
		return n.merge(outside[0], path, definitions)
	}
	for _, d := range definitions {
		of := func(d naiveDefinition) (types []*modelType) {
			return slices.DeleteFunc(slices.Clone(t.parts), func(part *modelType) bool { return !takes(part, d, false) })
		}
		first, own := of(definitions[0]), of(d)
		switch shared := func(part *modelType) bool { return slices.Contains(first, part) }; {
		case len(own) == 0:
			n.fault("type", path, d.at)
		case len(first) > 0 && !slices.ContainsFunc(own, shared):
			n.fault("conflict", path, d.at)
		}
	}
	return nil, false
}

// takes reports whether a definition is of a type, however it agrees with others and, on the outside, whatever is in it.
func takes(t *modelType, d naiveDefinition, outside bool) bool {
	alone := &naive{}
	alone.merge(t, nil, []naiveDefinition{d})
	return !slices.ContainsFunc(alone.faults, func(f naiveFault) bool {
		return f.kind == "type" && (f.option == "" || !outside)
	})
}

func (n *naive) mergeAnything(t *modelType, path []string, definitions []naiveDefinition) (any, bool) {
	first := definitions[0].value
	for _, d := range definitions {
		if reflect.TypeOf(d.value) != reflect.TypeOf(first) {
			n.mergeScalars(t, path, definitions) // For its faults.
			return nil, false
		}
	}
	switch first.(type) {
	case *naiveDict:
		return n.mergeDicts(t, path, definitions)
	case []any:
		return n.mergeList(&modelType{parts: []*modelType{t}}, path, definitions)
	}
	return n.mergeScalars(t, path, definitions)
}
