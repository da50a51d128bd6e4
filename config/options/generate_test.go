package options_test

import (
	"fmt"
	"slices"
	"strings"
)

// maxMerges keeps the faults of one option below the hundred that are told.
const maxMerges = 16

// A generator makes models of a row of bytes: what a test draws by chance and a fuzzer changes. When there are no more,
// every choice is the first one, which is the simplest.
type generator struct {
	choices []byte
	wrong   bool // faults may come in; else all definitions are of their option's type and none contradict each other
	options []*modelOption
	count   int // of the names and numbers made up so far
	copies  int // of values that are put together with others
	merges  int
	wraps   int // how many functions stand around what is made now; Starlark's parser takes a few hundred
}

// pick returns a number below n.
func (g *generator) pick(n int) int {
	if len(g.choices) == 0 {
		return 0
	}
	c := g.choices[0]
	g.choices = g.choices[1:]
	return int(c) % n
}

// chance reports true once in n times, and never at the end.
func (g *generator) chance(n int) bool { return g.pick(n) == n-1 }

// mistake reports true once in n times where faults may come in.
func (g *generator) mistake(n int) bool { return g.wrong && g.chance(n) }

func (g *generator) fresh() int {
	g.count++
	return g.count
}

// generate returns a model of up to 5 modules and up to 14 options.
func generate(choices []byte) *model {
	g := &generator{choices: choices}
	g.wrong = g.chance(2)
	m := &model{allowUnknown: g.chance(4)}
	for i := range 1 + g.pick(5) {
		m.modules = append(m.modules, &modelModule{name: fmt.Sprintf("m%d.star", i), nested: g.chance(2)})
	}
	for range 1 + g.pick(14) {
		o := &modelOption{path: g.optionPath(), typ: g.typ(3)}
		if !g.chance(4) {
			o.def = g.value(o.typ, 3, true)
		}
		g.options = append(g.options, o)
		mod := m.modules[g.pick(len(m.modules))]
		mod.options = append(mod.options, o)
	}
	for _, mod := range m.modules {
		g.config(mod)
	}
	g.twist(m)
	for _, mod := range m.modules {
		for i, o := range mod.options {
			if slices.ContainsFunc(mod.options[:i], func(p *modelOption) bool { return overlap(o, p) }) {
				mod.nested = false // It could not be written.
			}
		}
	}
	return m
}

// optionPath returns the name of a new option, of one to three labels.
func (g *generator) optionPath() []string {
	path := []string{fmt.Sprintf("o%d", g.fresh())}
	for range g.pick(3) {
		path = append([]string{string("abc"[g.pick(3)])}, path...)
	}
	return path
}

// twist declares an option a second time, or one inside of another.
func (g *generator) twist(m *model) {
	if !g.mistake(6) {
		return
	}
	o := g.options[g.pick(len(g.options))]
	twin := &modelOption{path: slices.Clone(o.path), typ: g.typ(1)}
	if g.chance(2) {
		twin.path = append(twin.path, "inner")
	}
	mod := m.modules[g.pick(len(m.modules))]
	if !slices.ContainsFunc(mod.options, func(p *modelOption) bool { return slices.Equal(p.path, twin.path) }) {
		mod.options = append(mod.options, twin)
	}
}

func overlap(o, p *modelOption) bool {
	shared := min(len(o.path), len(p.path))
	return slices.Equal(o.path[:shared], p.path[:shared])
}

var scalarTypes = strings.Fields("int bool str lines unsigned port float path package secret")

// typ returns a type that is at most depth types deep.
func (g *generator) typ(depth int) *modelType {
	if depth <= 1 || g.pick(3) < 1 {
		return g.scalarType()
	}
	switch g.pick(8) {
	case 0, 1:
		return &modelType{name: "list_of", parts: []*modelType{g.typ(depth - 1)}}
	case 2, 3:
		return &modelType{name: "attrs_of", parts: []*modelType{g.typ(depth - 1)}}
	case 4:
		return &modelType{name: "nullable", parts: []*modelType{g.typ(depth - 1)}}
	case 5:
		return &modelType{name: "anything"}
	case 6:
		return &modelType{name: "one_of", parts: []*modelType{
			{name: "int"},
			{name: "list_of", parts: []*modelType{{name: "str"}}},
			{name: "attrs_of", parts: []*modelType{{name: "bool"}}},
		}[:2+g.pick(2)]}
	}
	t := &modelType{name: "submodule"}
	for i := range 1 + g.pick(4) {
		field := &modelOption{path: []string{fmt.Sprintf("f%d", i)}, typ: g.typ(depth - 1)}
		if g.chance(4) {
			field.path = append([]string{"g"}, field.path...)
		}
		if !g.chance(3) {
			field.def = g.value(field.typ, depth-1, true)
		}
		t.fields = append(t.fields, field)
	}
	return t
}

func (g *generator) scalarType() *modelType {
	if g.chance(8) {
		return &modelType{name: "enum", values: []expr{literalExpr{"red"}, literalExpr{"blue"}, literalExpr{3}}}
	}
	return &modelType{name: scalarTypes[g.pick(len(scalarTypes))]}
}

// scalars are values of the types of single ones. Definitions that must not contradict each other take the first.
func scalars(t *modelType) []any {
	switch t.name {
	case "int":
		return []any{1, 2, 0, -3}
	case "bool":
		return []any{true, false}
	case "str", "lines":
		return []any{"one", "two", "", "a \"quoted\"\nline"}
	case "unsigned":
		return []any{7, 0}
	case "port":
		return []any{80, 1, 65535}
	case "float":
		return []any{0.5, 2, 2.0}
	case "path":
		return []any{"/srv", storedValue{"source", "web"}, storedValue{"derivation", "hello"}}
	case "package":
		return []any{"curl", storedValue{"derivation", "hello"}, "nano=7.2-1"}
	case "secret":
		return []any{secretValue{"/run/keys/db"}, secretValue{"/run/keys/web"}}
	case "enum":
		return []any{"red", "blue", 3}
	}
	return []any{"text", 1, true, nil, 0.25}
}

// misfits are what one type or another doesn't take.
var misfits = []any{"odd", 70000, -1, true, 0.5, nil, storedValue{"source", "web"}, secretValue{"/run/keys/x"}}

// value returns an expression of a type. A plain one stands in a declaration, without functions around it.
func (g *generator) value(t *modelType, depth int, plain bool) expr {
	if plain {
		return g.bare(t, depth, true)
	}
	if g.mistake(12) {
		return literalExpr{misfits[g.pick(len(misfits))]}
	}
	return g.wrap(func() expr { return g.bare(t, depth, false) })
}

// wrap puts functions around an expression, or around several.
func (g *generator) wrap(value func() expr) expr {
	g.wraps++
	defer func() { g.wraps-- }()
	if g.wraps > 12 {
		return value()
	}
	switch g.pick(12) {
	case 7:
		return &wrapExpr{name: []string{"default", "force"}[g.pick(2)], arguments: []expr{value()}}
	case 8:
		return &wrapExpr{name: "override", number: 40 + 20*g.pick(4), arguments: []expr{value()}}
	case 9:
		return &wrapExpr{name: []string{"before", "after"}[g.pick(2)], arguments: []expr{g.wrap(value)}}
	case 10:
		return &wrapExpr{name: "when", condition: !g.chance(2), arguments: []expr{g.wrap(value)}}
	case 11:
		merged := &wrapExpr{name: "merge"}
		if g.merges++; g.merges > maxMerges {
			return value()
		}
		for range 1 + g.pick(3) {
			merged.arguments = append(merged.arguments, g.wrap(value))
		}
		return merged
	}
	return value()
}

func (g *generator) bare(t *modelType, depth int, plain bool) expr {
	switch t.name {
	case "list_of":
		var list listExpr
		for range g.pick(3) {
			list.items = append(list.items, g.element(t.parts[0], depth-1, plain))
		}
		return list
	case "attrs_of":
		d := &dictExpr{}
		for _, key := range []string{"k1", "k-2", "example.org"} {
			if g.chance(2) {
				d.entries = append(d.entries, &entryExpr{key: key, value: g.value(t.parts[0], depth-1, plain)})
			}
		}
		return d
	case "submodule":
		return g.submodule(t, depth, plain)
	case "nullable":
		if g.chance(4) {
			return g.exception(literalExpr{nil}, plain)
		}
		return g.bare(t.parts[0], depth, plain)
	case "one_of":
		if g.chance(4) {
			return g.exception(g.bare(t.parts[1], depth, plain), plain)
		}
		return g.bare(t.parts[0], depth, plain)
	case "anything":
		return g.anything(depth, plain)
	}
	all := scalars(t)
	i := g.pick(2 * len(all))
	if i >= len(all) {
		i = 0
	}
	if i > 0 && t.name != "lines" {
		return g.exception(literalExpr{all[i]}, plain)
	}
	return literalExpr{all[i]}
}

// element returns an element of a list. Functions stand around values inside of it, but not around itself.
func (g *generator) element(t *modelType, depth int, plain bool) expr {
	if !plain && g.mistake(12) {
		return literalExpr{misfits[g.pick(len(misfits))]}
	}
	return g.bare(t, depth, plain || t.name != "submodule" && t.name != "attrs_of")
}

// exception returns a value that may not agree with other definitions: with a priority of its own, unless faults may
// come in.
func (g *generator) exception(e expr, plain bool) expr {
	if plain || g.wrong && g.chance(2) {
		return e
	}
	return &wrapExpr{name: "override", number: 200 + g.fresh(), arguments: []expr{e}}
}

func (g *generator) submodule(t *modelType, depth int, plain bool) expr {
	d := &dictExpr{}
	for _, field := range t.fields {
		if g.chance(2) {
			d.entries = append(d.entries, &entryExpr{key: field.name(), value: g.value(field.typ, depth-1, plain)})
		}
	}
	if !plain && g.mistake(8) {
		d.entries = append(d.entries, &entryExpr{key: "nofield", value: literalExpr{1}})
	}
	return d
}

// anything returns data of any shape: dictionaries at its top unless it is an exception.
func (g *generator) anything(depth int, plain bool) expr {
	d := &dictExpr{}
	any := &modelType{name: "anything scalar"}
	for i, key := range []string{"k1", "k2", "k3"} {
		switch {
		case !g.chance(2):
		case i == 0 && depth > 1:
			d.entries = append(d.entries, &entryExpr{key: key, value: g.anything(depth-1, plain)})
		case i == 1:
			d.entries = append(d.entries, &entryExpr{key: key, value: g.wrapUnless(plain, listExpr{[]expr{literalExpr{g.pick(3)}}})})
		case i == 2:
			d.entries = append(d.entries, &entryExpr{key: key, value: g.wrapUnless(plain, g.bare(any, 1, plain))})
		}
	}
	if g.chance(8) {
		return g.exception(g.bare(any, 1, plain), plain)
	}
	return d
}

func (g *generator) wrapUnless(plain bool, e expr) expr {
	if plain {
		return e
	}
	return g.wrap(func() expr { return e })
}
