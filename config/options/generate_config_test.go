package options_test

import (
	"fmt"
	"slices"
)

// A typedVariable is a variable of a config function and the type of what it holds, as far as that is known.
type typedVariable struct {
	name string
	typ  *modelType
	from int // the index of the option that was read, in the order of their making
}

var intType, boolType = &modelType{name: "int"}, &modelType{name: "bool"}

// config makes the config of a module: a plain one, or a function that reads options.
func (g *generator) config(mod *modelModule) {
	if g.chance(8) {
		return
	}
	var variables []typedVariable
	for range g.pick(5) {
		variables = g.statement(mod, variables)
	}
	if len(mod.statements) == 0 || !g.chance(6) {
		mod.result = g.definitions(variables)
	} else {
		mod.result = literalExpr{nil}
	}
}

// statement adds a line or two to a config function.
func (g *generator) statement(mod *modelModule, variables []typedVariable) []typedVariable {
	from := 0
	add := func(s *statement, t *modelType) {
		if t != nil {
			s.variable = fmt.Sprintf("v%d", len(variables))
			variables = append(variables, typedVariable{s.variable, t, from})
		}
		mod.statements = append(mod.statements, s)
	}
	if len(variables) == 0 || g.chance(2) {
		var s *statement
		var t *modelType
		s, t, from = g.read()
		add(s, t)
		return variables
	}
	v := variables[g.pick(len(variables))]
	switch name := v.typ.name; {
	case name == "int" || name == "unsigned" || name == "port":
		op := []string{"capped", "equals", "next"}[g.pick(3)]
		if op == "next" && !g.wrong { // It would count for ever.
			op = "capped"
		}
		t := map[string]*modelType{"equals": boolType}[op]
		if t == nil {
			t = intType
		}
		add(&statement{op: op, operand: v.name, literal: g.pick(6)}, t)
	case name == "bool":
		if g.wrong && g.chance(2) {
			add(&statement{op: "not", operand: v.name}, boolType)
			return variables
		}
		op := "return if"
		if g.mistake(4) {
			op = "fail if"
		}
		if g.wrong || g.chance(2) {
			add(&statement{op: op, operand: v.name}, nil)
		}
	case name == "list_of" || name == "attrs_of":
		op := []string{"length", "has"}[g.pick(2)]
		add(&statement{op: op, operand: v.name}, map[string]*modelType{"length": intType, "has": boolType}[op])
	}
	return variables
}

// read reads an option, or a part of its value. It returns the type of that, and the index of the option.
func (g *generator) read() (s *statement, t *modelType, from int) {
	from = g.pick(len(g.options))
	if g.options[from].def == nil && !g.wrong {
		for i, other := range g.options {
			if other.def != nil {
				from = i
			}
		}
	}
	o := g.options[from]
	s = &statement{op: "read", read: slices.Clone(o.path)}
	t = o.typ
	if g.mistake(16) {
		s.read[len(s.read)-1] = "nothing"
		return s, t, from
	}
	for t.name == "submodule" && g.wrong {
		field := t.fields[g.pick(len(t.fields))]
		if len(field.path) > 1 {
			break
		}
		s.steps = append(s.steps, field.name())
		t = field.typ
	}
	if t.name == "attrs_of" && g.mistake(3) {
		s.steps = append(s.steps, "k1")
		t = t.parts[0]
	}
	return s, t, from
}

// definitions returns the dictionary of definitions of a config, or several, merged.
func (g *generator) definitions(variables []typedVariable) expr {
	var all []*dictExpr
	for range g.pick(12) {
		o := g.options[g.pick(len(g.options))]
		path, value := slices.Clone(o.path), g.definition(o, variables)
		switch {
		case g.mistake(20):
			path[g.pick(len(path))] = "nothing"
		case g.mistake(20):
			path = path[:len(path)-1]
		}
		if len(path) > 0 {
			all = insert(all, g.spell(path, value))
		}
	}
	return mergeAll(all)
}

// definition returns the value of a definition of an option: by its type, or what a variable holds.
func (g *generator) definition(o *modelOption, variables []typedVariable) expr {
	for _, v := range variables {
		fits := v.typ == o.typ || v.typ.name == o.typ.name && len(v.typ.parts) == 0 || g.mistake(8)
		if g.chance(3) && fits && copyable(v.typ) && g.mayGrow(v, o) {
			return g.exception(variableExpr{v.name}, false)
		}
	}
	return g.value(o.typ, 3, false)
}

// mayGrow reports whether what a variable holds may define an option. What is put together with other definitions could
// become twice as long in every round, or from option to option; so that goes only one way, and only a few times.
func (g *generator) mayGrow(v typedVariable, o *modelOption) bool {
	if !growing(v.typ) {
		return true
	}
	g.copies++
	return g.copies <= 4 && v.from < slices.Index(g.options, o)
}

// growing reports whether definitions of a type are put together, or those of a part of its values.
func growing(t *modelType) bool {
	return t.name == "list_of" || t.name == "lines" || t.name == "anything" || slices.ContainsFunc(t.parts, growing)
}

// copyable reports whether values of a type can be definitions just as they are, which those of submodules can't.
func copyable(t *modelType) bool {
	return t.name != "submodule" && !slices.ContainsFunc(t.parts, func(part *modelType) bool { return !copyable(part) })
}

// spell writes a name as a dotted one, as dictionaries in each other or as both.
func (g *generator) spell(path []string, value expr) *dictExpr {
	n := len(path)
	for n > 1 && g.chance(2) {
		n--
	}
	if n < len(path) {
		inner := g.spell(path[n:], value)
		value = g.wrap(func() expr { return clone(inner) })
	}
	return &dictExpr{entries: []*entryExpr{{key: dotted(path[:n]), value: value}}}
}

// insert adds a dictionary of one entry to dictionaries, to the last one when that has no such key.
func insert(all []*dictExpr, d *dictExpr) []*dictExpr {
	e := d.entries[0]
	if len(all) == 0 || slices.ContainsFunc(all[len(all)-1].entries, func(other *entryExpr) bool { return other.key == e.key }) {
		return append(all, d)
	}
	last := all[len(all)-1]
	last.entries = append(last.entries, e)
	return all
}

// clone copies an expression, so that it can be written twice and each have its own place.
func clone(e expr) expr {
	switch e := e.(type) {
	case listExpr:
		return listExpr{cloneAll(e.items)}
	case *wrapExpr:
		w := *e
		w.arguments = cloneAll(e.arguments)
		return &w
	case *dictExpr:
		d := &dictExpr{}
		for _, en := range e.entries {
			d.entries = append(d.entries, &entryExpr{key: en.key, value: clone(en.value)})
		}
		return d
	}
	return e
}

func cloneAll(exprs []expr) []expr {
	var all []expr
	for _, e := range exprs {
		all = append(all, clone(e))
	}
	return all
}

func mergeAll(all []*dictExpr) expr {
	switch len(all) {
	case 0:
		return &dictExpr{}
	case 1:
		return all[0]
	}
	merged := &wrapExpr{name: "merge"}
	for _, d := range all {
		merged.arguments = append(merged.arguments, d)
	}
	return merged
}
