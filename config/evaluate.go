package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"nbuild/config/fault"
	"nbuild/config/options"
	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
	"nbuild/modules"
)

// errReported ends an evaluation whose fault is among the evaluator's items already.
var errReported = errors.New("reported")

// Evaluate evaluates a project. What is wrong with the project comes back as an *Error with as many faults as can be told
// apart; any other error is a file or an archive that can't be read, context.Cause(ctx), or nbuild's own. Such an error is
// joined to the *Error of what was found wrong before it came.
func Evaluate(ctx context.Context, p Project) (result *Result, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// The interpreter is somebody else's code: a panic in it must not become a stack in front of the user.
	defer func() {
		if r := recover(); r != nil {
			result, err = nil, fmt.Errorf("evaluate project: %v", r)
		}
	}()
	if p.File == "" {
		p.File = DefaultFile
	}
	if p.Builtin {
		p.File = BuiltinFile
	}
	ev := newEvaluator(ctx, p)
	defer ev.parsed.group.Wait()
	globals := ev.run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var wrong error
	if ev.broken == nil {
		result = ev.result(globals)
	}
	if len(ev.items) > 0 {
		wrong = fault.New(ev.items...)
	}
	if err := errors.Join(wrong, ev.broken); err != nil {
		return nil, err
	}
	return result, nil
}

// run evaluates the project's file, within the limits.
func (ev *evaluator) run() starlark.StringDict {
	stop := ev.limit()
	defer stop()
	return ev.module(Position{}, ev.project.File)
}

// An evaluator is the state of one call of Evaluate. The interpreter calls back into it on the one goroutine, which is
// why it keeps the context.
//
// A call with wrong arguments doesn't end the evaluation: it leaves its faults in items and returns a value with which
// later calls go on quietly, so that one run shows all that is wrong.
type evaluator struct {
	ctx         context.Context
	project     Project
	thread      *starlark.Thread
	predeclared starlark.StringDict
	modules     map[string]*module // by path relative to the project's folder
	loading     []string           // the modules that are being evaluated, outermost first
	items       []Item
	warnings    []Item
	inModule    int             // how many functions of modules are running
	printed     map[string]bool // what they printed: they run again and again
	broken      error           // not the project's fault; ends the evaluation
	reads       Reads

	parsed   parsed
	written  written
	inputs   map[string]derivations.Input // by the hash part that stands in texts for them
	systems  map[string]Position          // by name
	packages packages
}

// A module is a file of the project.
type module struct {
	syntax  *syntax.File                  // nil when it can't be parsed
	calls   map[Position]*syntax.CallExpr // by their opening parenthesis; nil until somebody looks for one
	globals starlark.StringDict
	done    bool // evaluated, and without a fault that ended its evaluation
}

func newEvaluator(ctx context.Context, p Project) *evaluator {
	ev := &evaluator{
		ctx:     ctx,
		project: p,
		modules: map[string]*module{},
		inputs:  map[string]derivations.Input{},
		printed: map[string]bool{},
		systems: map[string]Position{},
		reads:   Reads{Files: map[string]digest.Digest{}, Sources: map[string]SourceRead{}, Environment: map[string]Environment{}},
	}
	ev.predeclared = ev.functions()
	ev.predeclared[noteFunction] = starlark.NewBuiltin(noteFunction, ev.written.note)
	ev.thread = &starlark.Thread{
		Name: "nbuild",
		Load: func(_ *starlark.Thread, name string) (starlark.StringDict, error) {
			at := ev.position(ev.thread.CallFrame(0).Pos)
			if globals := ev.module(at, name); globals != nil {
				return globals, nil
			}
			return nil, errReported
		},
		Print: func(_ *starlark.Thread, text string) {
			ev.print(text)
		},
	}
	return ev
}

// module evaluates a file once and returns its globals, or nil when that did not work, which is recorded then.
func (ev *evaluator) module(at Position, name string) starlark.StringDict {
	if fault, hint := checkModuleName(name); fault != "" {
		ev.report(Item{Position: at, What: fault, Hint: hint})
		return nil
	}
	if i := slices.Index(ev.loading, name); i >= 0 {
		circle := strings.Join(append(slices.Clone(ev.loading[i:]), name), " → ")
		ev.report(Item{Position: at, What: "files load each other in a circle: " + circle, Hint: "move what both need into a third file"})
		return nil
	}
	m, seen := ev.modules[name]
	if !seen {
		m = &module{}
		ev.modules[name] = m
		ev.loading = append(ev.loading, name)
		ev.evaluateModule(at, name, m)
		ev.loading = ev.loading[:len(ev.loading)-1]
	}
	if !m.done {
		return nil
	}
	return m.globals
}

func checkModuleName(name string) (fault, hint string) {
	switch {
	case !strings.HasSuffix(name, ".star"):
		return fmt.Sprintf("load %q: not the name of a .star file", name), "name it relative to the project's folder"
	case !fs.ValidPath(name):
		return fmt.Sprintf("load %q: not a plain path below the project's folder", name), `write it without "..", "." and a leading "/"`
	}
	return "", ""
}

func (ev *evaluator) evaluateModule(at Position, name string, m *module) {
	file, err := ev.parse(at, name)
	if err != nil {
		ev.reportError(err)
		return
	}
	ev.written.wrap(file)
	m.syntax = file
	program, err := starlark.FileProgram(file, ev.predeclared.Has)
	if err != nil {
		ev.reportError(err)
		return
	}
	m.globals, err = program.Init(ev.thread, ev.predeclared)
	if err != nil {
		ev.reportError(err)
		return
	}
	if global := globalTooDeep(m.globals, map[any]bool{}); global != "" {
		ev.report(Item{Position: Position{File: name}, What: tooDeepValue(global)})
		return
	}
	m.globals.Freeze()
	m.done = true
}

// parse returns the syntax of a file. The error says what is wrong with the file or, at at, that it can't be read.
func (ev *evaluator) parse(at Position, name string) (*syntax.File, error) {
	if parse, ok := ev.parsed.files[name]; ok {
		return parse()
	}
	text, err := ev.readModule(name)
	if err != nil {
		return nil, fault.New(Item{Position: at, What: fmt.Sprintf("read %s: %v", name, reason(err))})
	}
	return Parse(name, text, 0)
}

// readModule reads a file of the project. One of more than maxFile bytes is refused, not cut.
func (ev *evaluator) readModule(name string) ([]byte, error) {
	if ev.project.Builtin && name == BuiltinFile {
		return []byte(demo), nil
	}
	if file, ok := strings.CutPrefix(name, builtinPrefix); ok {
		return fs.ReadFile(modules.Files(), file)
	}
	f, err := os.Open(filepath.Join(ev.project.Dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // It was only read.
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("the file is larger than %d MiB", maxFile>>20)
	}
	ev.reads.Files[name] = digest.Sum(text)
	return text, err
}

// reason takes the operation and the path out of a file's error: the path is the machine's, the message already names
// the file as the project does.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// result makes targets of the globals of the project's file.
func (ev *evaluator) result(globals starlark.StringDict) *Result {
	r := &Result{Reads: ev.reads, Warnings: ev.warnings}
	for _, name := range slices.Sorted(maps.Keys(globals)) {
		if strings.HasPrefix(name, "_") {
			continue
		}
		switch v := globals[name].(type) {
		case *derivationValue:
			if v.valid() {
				r.Targets = append(r.Targets, v.target(name))
			}
		case *systemValue:
			if v.valid() {
				r.Systems = append(r.Systems, System{Name: name, Position: v.position, Options: v.options, VM: v.vmOptions})
				r.Targets = append(r.Targets, v.system.target(name), v.vm.target(name+".vm"), v.squashfs.target(name+".squashfs"), v.iso.target(name+".iso"), v.loader.target(name+".vm_with_bootloader"))
			}
		}
	}
	for i, s := range r.Systems {
		r.Systems[i].Position = ev.callStart(s.Position)
	}
	for i, t := range r.Targets {
		r.Targets[i].Position = ev.callStart(t.Position)
	}
	slices.SortFunc(r.Targets, func(a, b Target) int { return strings.Compare(a.Name, b.Name) })
	return r
}

// print prints what a function of a module prints only once: how often it is called is nothing to know.
func (ev *evaluator) print(text string) {
	at := ev.callPosition()
	if ev.project.Print == nil {
		return
	}
	if ev.inModule > 0 {
		key := at.String() + " " + text
		if ev.printed[key] {
			return
		}
		ev.printed[key] = true
	}
	ev.project.Print(at, text)
}

// warn remembers what is no fault. A virtual machine warns of what its system warns of, and that is told once.
func (ev *evaluator) warn(items ...Item) {
	for _, it := range items {
		if !slices.ContainsFunc(ev.warnings, func(w Item) bool { return w.String() == it.String() }) {
			ev.warnings = append(ev.warnings, it)
		}
	}
}

func (ev *evaluator) report(items ...Item) { ev.items = append(ev.items, items...) }

// abort ends the evaluation for a reason that is not the project's fault. It returns what to give to the interpreter.
func (ev *evaluator) abort(err error) error {
	if ev.broken == nil {
		ev.broken = err
		ev.thread.Cancel(err.Error())
	}
	return errReported
}

// reportError turns what the interpreter complains about into items.
func (ev *evaluator) reportError(err error) {
	var wrong *Error
	var resolveErrors resolve.ErrorList
	var evalError *starlark.EvalError
	switch {
	case errors.Is(err, errReported), ev.broken != nil: // The interpreter was told to stop, which is no fault of the project's.
	case errors.As(err, &wrong):
		ev.report(wrong.Items...)
	case errors.As(err, &resolveErrors):
		for _, e := range resolveErrors {
			it := Item{Position: ev.position(e.Pos), What: e.Msg}
			if name, ok := strings.CutPrefix(e.Msg, "undefined: "); ok {
				it.Hint = fault.DidYouMean(name, append(ev.predeclared.Keys(), starlark.Universe.Keys()...))
			}
			ev.report(it)
		}
	case errors.As(err, &evalError):
		ev.report(ev.evalItem(evalError))
	default:
		ev.report(Item{What: err.Error()})
	}
}

func (ev *evaluator) evalItem(err *starlark.EvalError) Item {
	it := Item{What: err.Msg, Hint: hintFor(err.Msg)}
	for _, frame := range slices.Backward(err.CallStack) {
		if at := ev.position(frame.Pos); at.Line > 0 {
			it.Callers = append(it.Callers, at)
		}
	}
	if len(it.Callers) > 0 {
		it.Position, it.Callers = it.Callers[0], it.Callers[1:]
	}
	if len(it.Callers) > maxCallers {
		it.Callers = it.Callers[:maxCallers]
	}
	if text, ok := strings.CutPrefix(it.What, cancelled); ok {
		it.What, it.Hint = text, ""
	}
	var missing *options.UndefinedError
	if errors.As(err, &missing) && missing.Inside.Line > 0 && strings.HasPrefix(it.Position.File, builtinPrefix) {
		// Where a module of nbuild reads what a project left out helps nobody.
		return Item{Position: missing.Inside, What: "option " + missing.Name + " is not defined here", Hint: "define it: it has no default"}
	}
	return it
}

// cancelled is what the interpreter puts before the reason of Thread.Cancel.
const cancelled = "Starlark computation cancelled: "

// maxCallers is how many of the calls that led to a fault are shown: beyond that nobody reads on.
const maxCallers = 8

func hintFor(message string) string {
	if strings.HasSuffix(message, "called recursively") {
		return "a function can't call itself here: use a loop"
	}
	return ""
}

// position turns the interpreter's position into ours; that of a built-in function is the zero value.
func (ev *evaluator) position(pos syntax.Position) Position {
	if !pos.IsValid() || ev.modules[pos.Filename()] == nil {
		return Position{}
	}
	return Position{File: pos.Filename(), Line: int(pos.Line), Column: int(pos.Col)}
}

// callPosition returns where the project calls the built-in function that runs now.
func (ev *evaluator) callPosition() Position {
	return ev.position(ev.thread.CallFrame(1).Pos)
}

// storeName makes a store object's name of a file's name: what may not stand in it becomes "-".
func storeName(name string) string {
	name = strings.TrimLeft(name, ".")
	name = strings.Map(func(c rune) rune {
		if storepath.ValidateName("x"+string(c)) != nil {
			return '-'
		}
		return c
	}, name)
	if name == "" {
		return "source"
	}
	return name[max(0, len(name)-storepath.MaxName):]
}
