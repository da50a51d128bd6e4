// Package options evaluates modules: option declarations and definitions, which are Starlark values, become the final
// values of the options. It knows nothing of Debian, derivations and files.
package options

import (
	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// The limits of values. They are far beyond what systems need, and stop what would fill the stack or the memory.
const (
	maxDepth  = 1_000     // levels of values in each other
	maxValues = 1_000_000 // values in the definitions of one option
	maxRounds = 100       // of an evaluation; chains of options that depend on each other are some 5 long in practice
	maxFaults = 100       // of one option: nobody reads more
)

// A Module is one module, ready to be evaluated.
type Module struct {
	Name     string         // its file, or for an inline one the place it is written
	Position fault.Position // where it is; the place of definitions whose own place is unknown
	Options  starlark.Value // dict of declarations, or nil
	Config   starlark.Value // dict of definitions, or a callable that takes cfg, or nil
}

// A StoreObject is a value that stands for something in the store: of type "derivation" or "source". Its String is the
// path, or what stands for that.
type StoreObject interface {
	starlark.Value
	Broken() bool // made by a call with faults, which are reported already: every type that takes store objects takes it
}

// An Interpreter runs what modules are written in.
type Interpreter interface {
	// Call calls a config function. On failure the value is nil and the items say why. What cfg says about a wrong read
	// comes back through Starlark as an EvalError whose text is "what; what to do".
	Call(fn starlark.Callable, cfg starlark.Value) (starlark.Value, []fault.Item)
	// Entry returns where an entry of a dictionary is written, or where the dictionary is, or the zero Position.
	Entry(d *starlark.Dict, key string) fault.Position
	// Literal returns where a list or dictionary is written, or the zero Position.
	Literal(v starlark.Value) fault.Position
}

// A Request says what to evaluate.
type Request struct {
	Modules      []Module // in the order of their definitions
	Interpreter  Interpreter
	AllowUnknown bool // definitions of options that nobody declares are warnings
}

// Functions returns what module files find beside Starlark's own functions. The values are frozen.
func Functions() starlark.StringDict {
	functions := starlark.StringDict{
		"option": starlark.NewBuiltin("option", newOption),
		"secret": starlark.NewBuiltin("secret", newSecret),
		"types":  typeNames(typeFunctions()),
	}
	for name, function := range propertyFunctions() {
		functions[name] = starlark.NewBuiltin(name, function)
	}
	functions.Freeze()
	return functions
}

// A builtin is a function that is written in Go.
type builtin = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// callPosition returns where the built-in function that runs now is called.
func callPosition(t *starlark.Thread) fault.Position {
	if t.CallStackDepth() < 2 { // Go calls it.
		return fault.Position{}
	}
	pos := t.CallFrame(1).Pos
	if !pos.IsValid() {
		return fault.Position{}
	}
	return fault.Position{File: pos.Filename(), Line: int(pos.Line), Column: int(pos.Col)}
}
