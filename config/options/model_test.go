package options_test

import (
	"fmt"
	"strconv"
	"strings"

	"nbuild/config/fault"
)

// A model is a system of modules as data, which the naive evaluator takes as it is and the real one as text.
type model struct {
	modules      []*modelModule
	allowUnknown bool
}

// A modelModule is one file. Its config function runs the statements and returns the result; without statements the
// result is written as a plain value.
type modelModule struct {
	name       string
	options    []*modelOption
	nested     bool // groups of options are written as dictionaries in each other, not as dotted names
	statements []*statement
	result     expr // nil: the file has no config
	text       string
}

// A modelOption is a declared option, or a field of a submodule.
type modelOption struct {
	path []string
	typ  *modelType
	def  expr // nil: no default
	at   fault.Position
}

func (o *modelOption) name() string { return dotted(o.path) }

// A modelType is a type and what it is made of.
type modelType struct {
	name   string
	parts  []*modelType   // of list_of, attrs_of, nullable and one_of
	fields []*modelOption // of a submodule
	values []expr         // of an enum
}

// A statement is one line of a config function: a read, an operation or a guard.
type statement struct {
	variable string   // that is set, unless it is a guard
	read     []string // labels of what is read from cfg
	steps    []string // keys of dictionaries and fields after that
	op       string   // or the operation, see step and write
	operand  string   // a variable
	literal  int      // of "capped" and "equals"
	at       fault.Position
}

// An expr is an expression of a module.
type expr interface{ write(p *printer) }

type (
	// A literalExpr is nil, a bool, an int, a float64, a string, a storedValue or a secretValue.
	literalExpr struct{ value any }
	// A variableExpr is what a statement has set.
	variableExpr struct{ name string }
	listExpr     struct{ items []expr }
	dictExpr     struct {
		entries []*entryExpr
		at      fault.Position
	}
	entryExpr struct {
		key   string
		value expr
		at    fault.Position
	}
	// A wrapExpr is default, force, override (number), before, after, when (condition) or merge of arguments.
	wrapExpr struct {
		name      string
		number    int
		condition bool
		arguments []expr
	}
)

// A storedValue stands for something in the store, a secretValue for a secret.
type (
	storedValue struct{ kind, name string }
	secretValue struct{ path string }
)

// dotted joins labels as they are written in a dotted name.
func dotted(labels []string) string {
	quoted := make([]string, len(labels))
	for i, l := range labels {
		quoted[i] = l
		if strings.ContainsAny(l, ". ") {
			quoted[i] = strconv.Quote(l)
		}
	}
	return strings.Join(quoted, ".")
}

// labels takes a dotted name apart. The models have no name that is wrong in itself.
func labels(name string) []string {
	var all []string
	for i, part := range strings.Split(name, `"`) {
		if i%2 == 1 { // between quotes
			all = append(all, part)
			continue
		}
		for l := range strings.SplitSeq(part, ".") {
			if l != "" {
				all = append(all, l)
			}
		}
	}
	return all
}

// A printer writes a module and notes the places where things come to stand.
type printer struct {
	b            strings.Builder
	file         string
	line, column int
	dictionaries map[int]dictionaryPlaces
}

// dictionaryPlaces says where a dictionary and its entries are written.
type dictionaryPlaces struct {
	at      fault.Position
	entries map[string]fault.Position
}

// print returns the text of the module. Each dictionary in it is wrapped into a call of "at" with a number, by which the
// real evaluator's interpreter knows it again.
func (m *modelModule) print() (string, map[int]dictionaryPlaces) {
	p := &printer{file: m.name, line: 1, column: 1, dictionaries: map[int]dictionaryPlaces{}}
	if len(m.options) > 0 {
		p.write("options = ")
		p.declarations(m.options, 0, m.nested)
		p.write("\n")
	}
	switch {
	case m.result == nil:
	case len(m.statements) == 0:
		p.write("config = ")
		m.result.write(p)
		p.write("\n")
	default:
		p.write("def config(cfg):\n")
		for _, s := range m.statements {
			p.write("    ")
			s.write(p)
			p.write("\n")
		}
		p.write("    return ")
		m.result.write(p)
		p.write("\n")
	}
	m.text = p.b.String()
	return m.text, p.dictionaries
}

func (p *printer) write(text string) {
	p.b.WriteString(text)
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		p.line += strings.Count(text, "\n")
		p.column, text = 1, text[i+1:]
	}
	p.column += len(text)
}

func (p *printer) position() fault.Position {
	return fault.Position{File: p.file, Line: p.line, Column: p.column}
}

// dictionary writes a dictionary; body calls entry before each of its entries.
func (p *printer) dictionary(body func(entry func(key string) fault.Position)) fault.Position {
	number := len(p.dictionaries)
	p.write(fmt.Sprintf("at(%d, ", number))
	places := dictionaryPlaces{p.position(), map[string]fault.Position{}}
	p.dictionaries[number] = places
	p.write("{")
	body(func(key string) fault.Position {
		p.write("\n")
		places.entries[key] = p.position()
		p.write(strconv.Quote(key) + ": ")
		return places.entries[key]
	})
	p.write("})")
	return places.at
}

// declarations writes options, whose first labels up to depth are written already.
func (p *printer) declarations(options []*modelOption, depth int, nested bool) {
	p.dictionary(func(entry func(string) fault.Position) {
		written := map[string]bool{}
		for _, o := range options {
			rest := o.path[depth:]
			if !nested || len(rest) == 1 {
				o.at = entry(dotted(rest))
				p.option(o)
				p.write(",")
				continue
			}
			if written[rest[0]] {
				continue
			}
			written[rest[0]] = true
			var group []*modelOption
			for _, other := range options {
				if len(other.path) > depth+1 && other.path[depth] == rest[0] {
					group = append(group, other)
				}
			}
			entry(rest[0])
			p.declarations(group, depth+1, true)
			p.write(",")
		}
	})
}

func (p *printer) option(o *modelOption) {
	p.write("option(")
	p.typ(o.typ)
	if o.def != nil {
		p.write(", default = ")
		o.def.write(p)
	}
	p.write(")")
}

func (p *printer) typ(t *modelType) {
	p.write("types." + t.name)
	switch {
	case t.name == "submodule":
		p.write("(")
		p.declarations(t.fields, 0, false)
		p.write(")")
	case t.name == "enum":
		p.write("(")
		p.list(t.values)
		p.write(")")
	case len(t.parts) > 0:
		p.write("(")
		for i, part := range t.parts {
			if i > 0 {
				p.write(", ")
			}
			p.typ(part)
		}
		p.write(")")
	}
}

func (p *printer) list(items []expr) {
	for i, e := range items {
		if i > 0 {
			p.write(", ")
		}
		e.write(p)
	}
}

func (e literalExpr) write(p *printer) {
	switch v := e.value.(type) {
	case nil:
		p.write("None")
	case bool:
		p.write(map[bool]string{true: "True", false: "False"}[v])
	case float64:
		p.write(strconv.FormatFloat(v, 'f', 2, 64))
	case storedValue:
		p.write(fmt.Sprintf("%s(%q)", v.kind, v.name))
	case secretValue:
		p.write(fmt.Sprintf("secret(%q)", v.path))
	default:
		p.write(fmt.Sprintf("%#v", v))
	}
}

func (e variableExpr) write(p *printer) { p.write(e.name) }

func (e listExpr) write(p *printer) {
	p.write("[")
	p.list(e.items)
	p.write("]")
}

func (e *dictExpr) write(p *printer) {
	e.at = p.dictionary(func(entry func(string) fault.Position) {
		for _, en := range e.entries {
			en.at = entry(en.key)
			en.value.write(p)
			p.write(",")
		}
	})
}

func (e *wrapExpr) write(p *printer) {
	p.write(e.name + "(")
	switch e.name {
	case "override":
		p.write(fmt.Sprintf("%d, ", e.number))
	case "when":
		literalExpr{e.condition}.write(p)
		p.write(", ")
	}
	p.list(e.arguments)
	p.write(")")
}

func (s *statement) write(p *printer) {
	s.at = p.position()
	if s.variable != "" {
		p.write(s.variable + " = ")
	}
	switch s.op {
	case "read":
		p.write("cfg." + strings.Join(s.read, "."))
		for _, step := range s.steps {
			p.write(fmt.Sprintf("[%q]", step))
		}
	case "next":
		p.write(s.operand + " + 1")
	case "capped":
		p.write(fmt.Sprintf("min(%s + 1, %d)", s.operand, s.literal))
	case "not":
		p.write("not " + s.operand)
	case "length":
		p.write("len(" + s.operand + ")")
	case "equals":
		p.write(fmt.Sprintf("%s == %d", s.operand, s.literal))
	case "has":
		p.write(`"k1" in ` + s.operand)
	case "return if":
		p.write("if " + s.operand + ": return None")
	case "fail if":
		p.write("if " + s.operand + `: fail("on purpose")`)
	}
}
