package options_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"nbuild/config/fault"
	"nbuild/config/options"
)

// A project evaluates modules that are written as texts.
type textProject struct {
	literals map[*starlark.Dict]*syntax.DictExpr // where dictionaries are written
	runs     map[string]int                      // of config functions, by file
	thread   *starlark.Thread
}

var _ options.Interpreter = (*textProject)(nil)

// load makes modules of the files of a text: "-- a.star --", then what is in it. A text without such a line is one file
// called web.star.
func loadText(t testing.TB, text string) (*textProject, []options.Module) {
	t.Helper()
	p := &textProject{literals: map[*starlark.Dict]*syntax.DictExpr{}, runs: map[string]int{}}
	p.thread = &starlark.Thread{Name: "test"}
	var modules []options.Module
	for _, file := range splitFiles(text) {
		modules = append(modules, p.loadFile(t, file[0], file[1]))
	}
	return p, modules
}

func splitFiles(text string) (files [][2]string) {
	if !strings.HasPrefix(text, "-- ") {
		return [][2]string{{"web.star", text}}
	}
	for _, part := range strings.Split("\n"+text, "\n-- ")[1:] {
		name, content, _ := strings.Cut(part, " --\n")
		files = append(files, [2]string{name, content})
	}
	return files
}

func (p *textProject) loadFile(t testing.TB, name, text string) options.Module {
	t.Helper()
	fileOptions := &syntax.FileOptions{Set: true, While: true, TopLevelControl: true}
	file, err := fileOptions.Parse(name, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	var literals []*syntax.DictExpr
	wrapDictionaries(reflect.ValueOf(file).Elem(), &literals)
	predeclared := options.Functions()
	predeclared["derivation"] = starlark.NewBuiltin("derivation", newStoreThing)
	predeclared["source"] = starlark.NewBuiltin("source", newStoreThing)
	predeclared["struct"] = starlark.NewBuiltin("struct", starlarkstruct.Make)
	predeclared["{}"] = starlark.NewBuiltin("{}", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		i, err := starlark.AsInt32(args[1])
		p.literals[args[0].(*starlark.Dict)] = literals[i]
		return args[0], err
	})
	program, err := starlark.FileProgram(file, predeclared.Has)
	if err != nil {
		t.Fatal(err)
	}
	globals, err := program.Init(p.thread, predeclared)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	globals.Freeze()
	return options.Module{Name: name, Position: fault.Position{File: name, Line: 1, Column: 1}, Options: globals["options"], Config: globals["config"]}
}

// Call calls a config function.
func (p *textProject) Call(fn starlark.Callable, cfg starlark.Value) (starlark.Value, []fault.Item) {
	if f, ok := fn.(*starlark.Function); ok {
		p.runs[f.Position().Filename()]++
	}
	v, err := starlark.Call(p.thread, fn, starlark.Tuple{cfg}, nil)
	if err == nil {
		return v, nil
	}
	var failed *starlark.EvalError
	if !errors.As(err, &failed) {
		return nil, []fault.Item{{What: err.Error()}}
	}
	it := fault.Item{What: failed.Msg}
	for _, frame := range slices.Backward(failed.CallStack) {
		if frame.Pos.Line > 0 {
			it.Position = positionOf(frame.Pos)
			break
		}
	}
	return nil, []fault.Item{it}
}

func positionOf(pos syntax.Position) fault.Position {
	return fault.Position{File: pos.Filename(), Line: int(pos.Line), Column: int(pos.Col)}
}

// Entry returns where an entry is written.
func (p *textProject) Entry(d *starlark.Dict, key string) fault.Position {
	literal := p.literals[d]
	if literal == nil {
		return fault.Position{}
	}
	for _, e := range literal.List {
		if k, ok := e.(*syntax.DictEntry).Key.(*syntax.Literal); ok && k.Value == key {
			return positionOf(syntax.Start(e))
		}
	}
	return positionOf(literal.Lbrace)
}

// Literal returns where a dictionary is written.
func (p *textProject) Literal(v starlark.Value) fault.Position {
	if d, ok := v.(*starlark.Dict); ok && p.literals[d] != nil {
		return positionOf(p.literals[d].Lbrace)
	}
	return fault.Position{}
}

// wrapDictionaries wraps all dictionaries below a node of a syntax tree in calls of a function called {}.
func wrapDictionaries(v reflect.Value, literals *[]*syntax.DictExpr) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				wrapDictionaries(v.Field(i), literals)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			wrapDictionaries(v.Index(i), literals)
		}
	case reflect.Pointer:
		if _, isNode := v.Interface().(syntax.Node); isNode && !v.IsNil() {
			wrapDictionaries(v.Elem(), literals)
		}
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		wrapDictionaries(v.Elem(), literals)
		if dict, ok := v.Interface().(*syntax.DictExpr); ok {
			number := &syntax.Literal{Token: syntax.INT, Value: int64(len(*literals))}
			*literals = append(*literals, dict)
			v.Set(reflect.ValueOf(&syntax.CallExpr{
				Fn: &syntax.Ident{NamePos: dict.Lbrace, Name: "{}"}, Lparen: dict.Lbrace, Args: []syntax.Expr{dict, number}, Rparen: dict.Rbrace,
			}))
		}
	}
}

// A storeThing stands for something in the store, as derivations and sources do.
type storeThing struct {
	kind, name string
	broken     bool
}

var _ options.StoreObject = storeThing{}

func newStoreThing(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	o := storeThing{kind: b.Name()}
	err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &o.name, "broken?", &o.broken)
	return o, err
}

func (o storeThing) String() string        { return "/nbuild/store/" + o.name }
func (o storeThing) Type() string          { return o.kind }
func (o storeThing) Freeze()               {}
func (o storeThing) Truth() starlark.Bool  { return true }
func (o storeThing) Hash() (uint32, error) { return starlark.String(o.name).Hash() }
func (o storeThing) Broken() bool          { return o.broken }
func (o storeThing) Attr(name string) (starlark.Value, error) {
	if o.kind != "derivation" || name != "name" {
		return nil, nil
	}
	return starlark.String(o.name), nil
}
func (o storeThing) AttrNames() []string { return []string{"name"} }

// evaluate evaluates modules that have no faults.
func resultOf(t testing.TB, text string) *options.Result {
	t.Helper()
	p, modules := loadText(t, text)
	r, faults := options.Evaluate(options.Request{Modules: modules, Interpreter: p})
	if len(faults) > 0 {
		t.Fatalf("faults:\n%s", itemLines(faults))
	}
	return r
}

// faultsOf evaluates modules that have faults, and returns a line for each.
func faultsOf(t testing.TB, text string) string {
	t.Helper()
	p, modules := loadText(t, text)
	r, faults := options.Evaluate(options.Request{Modules: modules, Interpreter: p})
	if r != nil {
		t.Error("there is a result")
	}
	return itemLines(faults)
}

func itemLines(items []fault.Item) string {
	var b strings.Builder
	for _, it := range items {
		b.WriteString(it.String() + "\n")
	}
	return b.String()
}

// value returns the value of an option as it is written, or "undefined".
func valueOf(r *options.Result, name string) string {
	v, defined := r.Value(name)
	if !defined {
		return "undefined"
	}
	return options.Format(v)
}

// calls returns how often config functions ran.
func (p *textProject) calls() int {
	n := 0
	for _, runs := range p.runs {
		n += runs
	}
	return n
}

func starlarkInt(n int) starlark.Value { return starlark.MakeInt(n) }

// A keepingInterpreter keeps what config functions are called with.
type keepingInterpreter struct {
	*textProject
	cfg starlark.Value
}

func (k *keepingInterpreter) Call(fn starlark.Callable, cfg starlark.Value) (starlark.Value, []fault.Item) {
	k.cfg = cfg
	return k.textProject.Call(fn, cfg)
}

// A stoppedInterpreter runs nothing, and doesn't say why.
type stoppedInterpreter struct{ *textProject }

func (stoppedInterpreter) Call(starlark.Callable, starlark.Value) (starlark.Value, []fault.Item) {
	return nil, nil
}
