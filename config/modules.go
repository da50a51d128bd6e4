package config

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"nbuild/config/fault"
	"nbuild/config/options"
	"nbuild/modules"
)

// builtinPrefix begins the names of nbuild's own modules, in positions and in load().
const builtinPrefix = "@nbuild/"

// vmModule is what a system's virtual machine has beside the system's modules.
const vmModule = builtinPrefix + "vm.star"

// liveModule is what a system that starts from an ISO has beside the system's modules.
const liveModule = builtinPrefix + "live.star"

// builtinModules returns the names of the modules that every system has, sorted: all but libraries and
// those of variants.
func builtinModules() ([]string, error) {
	files, err := fs.Glob(modules.Files(), "*.star")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		if name := builtinPrefix + file; name != vmModule && name != liveModule && !strings.HasPrefix(file, "lib") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// The globals of a module's file, and the keys of a dictionary that is a whole module.
const (
	moduleOptions = "options"
	moduleImports = "imports"
	moduleConfig  = "config"
)

// A moduleList collects modules, each before those that import it, and each once.
type moduleList struct {
	ev      *evaluator
	seen    map[any]bool // file names, dictionaries and functions
	path    []string     // of the files that import each other, outermost first
	modules []options.Module
}

// add adds a module and what it imports. at is where it is named.
func (l *moduleList) add(v starlark.Value, at Position) {
	switch v := v.(type) {
	case starlark.String:
		l.addFile(string(v), at)
	case *starlark.Dict:
		if !l.seen[v] {
			l.seen[v] = true
			l.addDict(v, at)
		}
	case starlark.Callable:
		if !l.seen[v] {
			l.seen[v] = true
			if f, ok := v.(*starlark.Function); ok {
				at = l.ev.position(f.Position())
			}
			l.modules = append(l.modules, options.Module{Name: at.String(), Position: at, Config: v})
		}
	case input:
		l.ev.report(Item{
			Position: at, What: fmt.Sprintf("a module is the name of a .star file, a dictionary or a function, not %s", describe(v)),
			Hint: "evaluation can't wait for what is built; write its path in the project",
		})
	default:
		l.ev.report(Item{Position: at, What: fmt.Sprintf("want a module: the name of a .star file, a dictionary or a function, got %s", describe(v))})
	}
}

func (l *moduleList) addFile(name string, at Position) {
	if i := slices.Index(l.path, name); i >= 0 {
		circle := strings.Join(append(slices.Clone(l.path[i:]), name), " → ")
		l.ev.report(Item{Position: at, What: "modules import each other in a circle: " + circle, Hint: "take one of the imports out; options are seen by all modules, whoever imports them"})
		return
	}
	if l.seen[name] {
		return
	}
	l.seen[name] = true
	globals := l.ev.module(at, name)
	if globals == nil {
		return
	}
	l.path = append(l.path, name)
	defer func() { l.path = l.path[:len(l.path)-1] }()
	l.checkGlobals(name, globals)
	l.addImports(globals[moduleImports], func(key int) Position { return l.ev.globalPosition(name, moduleImports, key) })
	l.modules = append(l.modules, options.Module{
		Name:     name,
		Position: l.ev.globalPosition(name, moduleConfig),
		Options:  globals[moduleOptions],
		Config:   moduleConfiguration(globals[moduleConfig]),
	})
}

// moduleConfiguration returns what a module defines, nil when that is None.
func moduleConfiguration(v starlark.Value) starlark.Value {
	if v == starlark.None {
		return nil
	}
	return v
}

// checkGlobals complains about a file that can't be meant as a module.
func (l *moduleList) checkGlobals(name string, globals starlark.StringDict) {
	known := []string{moduleOptions, moduleImports, moduleConfig}
	if slices.ContainsFunc(known, globals.Has) {
		return
	}
	it := Item{Position: Position{File: name}, What: name + " is no module: it has none of the globals options, imports and config"}
	for _, global := range globals.Keys() {
		if hint := fault.DidYouMean(global, known); hint != "" {
			it.Position, it.Hint = l.ev.globalPosition(name, global), hint
		}
	}
	l.ev.report(it)
}

func (l *moduleList) addDict(d *starlark.Dict, at Position) {
	if written := l.ev.literal(d); written.Line > 0 {
		at = written
	}
	m := options.Module{Name: at.String(), Position: at, Config: d}
	if value, whole := wholeModule(d); whole {
		for _, key := range d.Keys() {
			if name, _ := starlark.AsString(key); !slices.Contains([]string{moduleOptions, moduleImports, moduleConfig}, name) {
				l.ev.report(Item{Position: l.ev.entry(d, name), What: fmt.Sprintf("a module with options, imports or config has nothing beside them, but there is %s", key), Hint: "put definitions into config"})
			}
		}
		imports := value(moduleImports)
		l.addImports(imports, func(int) Position { return l.ev.entry(d, moduleImports) })
		m.Options, m.Config = value(moduleOptions), moduleConfiguration(value(moduleConfig))
	}
	l.modules = append(l.modules, m)
}

// wholeModule reports whether a dictionary is a module with parts, and returns what looks them up.
func wholeModule(d *starlark.Dict) (part func(name string) starlark.Value, whole bool) {
	part = func(name string) starlark.Value {
		v, found, err := d.Get(starlark.String(name))
		if err != nil || !found {
			return nil
		}
		return v
	}
	return part, part(moduleOptions) != nil || part(moduleImports) != nil || part(moduleConfig) != nil
}

// addImports adds the modules that another imports; place returns where the i-th is named.
func (l *moduleList) addImports(imports starlark.Value, place func(i int) Position) {
	switch imports := imports.(type) {
	case nil:
	case *starlark.List:
		for i := range imports.Len() {
			l.add(imports.Index(i), place(i))
		}
	case starlark.Tuple:
		for i, v := range imports {
			l.add(v, place(i))
		}
	default:
		l.ev.report(Item{Position: place(-1), What: "imports: want a list of modules, got " + describe(imports)})
	}
}

// globalPosition returns where a file's global gets its value, or the part of the value that keys lead to.
func (ev *evaluator) globalPosition(file, name string, keys ...any) Position {
	m := ev.modules[file]
	if m == nil || m.syntax == nil {
		return Position{File: file}
	}
	for _, stmt := range m.syntax.Stmts {
		switch stmt := stmt.(type) {
		case *syntax.DefStmt:
			if stmt.Name.Name == name {
				return ev.position(stmt.Name.NamePos)
			}
		case *syntax.AssignStmt:
			if id, ok := stmt.LHS.(*syntax.Ident); ok && id.Name == name {
				return ev.locateKeys(id, stmt.RHS, keys)
			}
		}
	}
	return Position{File: file}
}

// moduleInterpreter runs the functions of modules.
type moduleInterpreter struct{ ev *evaluator }

var _ options.Interpreter = moduleInterpreter{}

// Call calls a module's function. What it reports is returned instead: it may be the consequence of an option that isn't
// settled yet, and gone when the function is called again.
func (i moduleInterpreter) Call(fn starlark.Callable, cfg starlark.Value) (starlark.Value, []Item) {
	ev := i.ev
	before := ev.items
	ev.items = nil
	defer func() { ev.items = before }()
	ev.inModule++
	defer func() { ev.inModule-- }()
	v, err := starlark.Call(ev.thread, fn, starlark.Tuple{cfg}, nil)
	if err != nil {
		ev.reportError(err)
		v = nil
	}
	if len(ev.items) > 0 {
		return nil, inside(ev.items, ev.stack())
	}
	return v, nil
}

// inside returns items without the callers outside of a module: that system() evaluates modules is nothing to be told.
func inside(items []Item, outside []Position) []Item {
	for i, it := range items {
		if n := len(it.Callers) - len(outside); n >= 0 && slices.Equal(it.Callers[n:], outside) {
			items[i].Callers = it.Callers[:n]
		}
	}
	return items
}

// stack returns where the project's functions that are running now have got to, the innermost first.
func (ev *evaluator) stack() []Position {
	var stack []Position
	for _, frame := range slices.Backward(ev.thread.CallStack()) {
		if at := ev.position(frame.Pos); at.Line > 0 {
			stack = append(stack, at)
		}
	}
	return stack
}

// Entry returns where an entry of a dictionary is written.
func (i moduleInterpreter) Entry(d *starlark.Dict, key string) Position { return i.ev.entry(d, key) }

// Literal returns where a dictionary is written.
func (i moduleInterpreter) Literal(v starlark.Value) Position {
	if d, ok := v.(*starlark.Dict); ok {
		return i.ev.literal(d)
	}
	return Position{}
}

func (ev *evaluator) entry(d *starlark.Dict, key string) Position {
	at, known := ev.written.entry(d, key)
	if !known {
		return Position{}
	}
	return ev.position(at)
}

func (ev *evaluator) literal(d *starlark.Dict) Position {
	at, known := ev.written.literal(d)
	if !known {
		return Position{}
	}
	return ev.position(at)
}
