package options_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"nbuild/config/fault"
	"nbuild/config/options"
)

// seeds is how many models the tests try: a second's worth.
const seeds = 300

// randomChoices returns what makes the model of a seed.
func randomChoices(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	choices := make([]byte, 200+random.IntN(1800))
	for i := range choices {
		choices[i] = byte(random.Uint32())
	}
	return choices
}

// The evaluator and the naive one agree on the values, the definitions and the faults of random systems of modules.
func TestEvaluateLikeNaive(t *testing.T) {
	kinds, warnings := map[string]int{}, 0
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			state := compare(t, generate(randomChoices(seed)))
			for _, f := range state.faults {
				kinds[f.kind]++
			}
			warnings += len(state.warnings)
		})
	}
	// A generator that never makes a fault of some kind would test nothing of it.
	for _, kind := range faultKinds {
		if kinds[kind.name] == 0 {
			t.Errorf("no model had a fault of the kind %q", kind.name)
		}
	}
	if warnings == 0 {
		t.Error("no model had a warning")
	}
}

func FuzzEvaluate(f *testing.F) {
	for seed := range uint64(32) {
		f.Add(randomChoices(seed))
	}
	f.Fuzz(func(t *testing.T, choices []byte) { compare(t, generate(choices)) })
}

// compare evaluates a model both ways and returns what the naive one says.
func compare(t *testing.T, m *model) naiveState {
	t.Helper()
	got := evaluateModel(t, m)
	want := evaluateNaively(m)
	if diff := cmp.Diff(want.faults, got.faults, allowUnexported, asSet); diff != "" {
		t.Errorf("faults (-naive +got):\n%s%s\n%s", diff, got.messages, m)
	}
	if len(want.faults)+len(got.faults) > 0 || t.Failed() {
		return want
	}
	if diff := cmp.Diff(want.values, got.values, allowUnexported); diff != "" {
		t.Errorf("values (-naive +got):\n%s\n%s", diff, m)
	}
	if diff := cmp.Diff(want.warnings, got.warnings, allowUnexported, asSet); diff != "" {
		t.Errorf("warnings (-naive +got):\n%s\n%s", diff, m)
	}
	if diff := cmp.Diff(origins(want.definitions), got.definitions, allowUnexported); diff != "" {
		t.Errorf("definitions (-naive +got):\n%s\n%s", diff, m)
	}
	return want
}

var allowUnexported = cmp.AllowUnexported(naiveFault{}, storedValue{}, secretValue{})

var asSet = cmp.Transformer("faults", func(faults []naiveFault) map[naiveFault]bool {
	set := map[naiveFault]bool{}
	for _, f := range faults {
		set[f] = true
	}
	return set
})

// String returns the text of a model.
func (m *model) String() string {
	var b strings.Builder
	for _, mod := range m.modules {
		fmt.Fprintf(&b, "# %s\n%s", mod.name, mod.text)
	}
	return b.String()
}

// An evaluated is what the real evaluator makes of a model, in the terms of the naive one.
type evaluated struct {
	values      map[string]any
	faults      []naiveFault
	warnings    []naiveFault
	messages    string
	definitions map[string][]string
}

// evaluateModel runs the text of a model.
func evaluateModel(t *testing.T, m *model) evaluated {
	t.Helper()
	in := &interpreter{dictionaries: map[*starlark.Dict]dictionaryPlaces{}}
	r := options.Request{Interpreter: in, AllowUnknown: m.allowUnknown}
	for _, mod := range m.modules {
		text, places := mod.print()
		r.Modules = append(r.Modules, in.module(t, mod.name, text, places))
	}
	result, items := options.Evaluate(r)
	got := evaluated{values: map[string]any{}, definitions: map[string][]string{}}
	for _, it := range items {
		got.faults = append(got.faults, classify(t, it))
		got.messages += it.String() + "\n"
	}
	slices.SortFunc(got.faults, naiveFault.compare)
	if (result == nil) != (len(items) > 0) {
		t.Fatalf("result %v with %d faults", result, len(items))
	}
	if result == nil {
		return got
	}
	for _, it := range result.Warnings() {
		got.warnings = append(got.warnings, classify(t, it))
	}
	for _, o := range result.Options() {
		if o.Name == "assertions" || o.Name == "warnings" {
			continue
		}
		if v, ok := result.Value(o.Name); ok {
			got.values[o.Name] = plain(t, v)
			for _, d := range result.Definitions(o.Name) {
				got.definitions[o.Name] = append(got.definitions[o.Name], origin(d.Priority, d.Position, d.Lost))
			}
		}
	}
	return got
}

func origins(definitions map[string][]naiveDefinition) map[string][]string {
	all := map[string][]string{}
	for name, definitions := range definitions {
		for _, d := range definitions {
			all[name] = append(all[name], origin(d.priority, d.at, d.lost))
		}
	}
	return all
}

func origin(priority int, at fault.Position, lost bool) string {
	return fmt.Sprintf("%s priority %d lost %v", at, priority, lost)
}

// faultKinds are how messages of faults look; the first group is the option.
var faultKinds = []struct {
	name    string
	message *regexp.Regexp
}{
	{"unknown", regexp.MustCompile(`^there is no option ([^;]+)$`)},
	{"conflict", regexp.MustCompile(`^option (\S+) is .* here and .* at \S+$`)},
	{"type", regexp.MustCompile(`^option (\S+): (?:want|got) .*$`)},
	{"undefined", regexp.MustCompile(`^option (\S+) is read here, but nothing defines it$`)},
	{"declared twice", regexp.MustCompile(`^option (\S+) is declared here and at \S+$`)},
	{"inside of an option", regexp.MustCompile(`^option (\S+) is inside of option .*$`)},
	{"group", regexp.MustCompile(`^(\S+) is a group of options: want a dictionary, got .*$`)},
	{"endless", regexp.MustCompile(`(?s)^option (\S+) keeps changing: after 99 rounds .*, after 100 rounds .*$`)},
	{"failed", regexp.MustCompile(`^()(?:fail: on purpose|key "k1" not in dict|len: .*|unknown binary op.*|unhandled .*|min: .*)$`)},
}

var elementIndex = regexp.MustCompile(`\[\d+\]`)

// classify returns a fault in the terms of the naive evaluator.
func classify(t *testing.T, it fault.Item) naiveFault {
	t.Helper()
	for _, kind := range faultKinds {
		match := kind.message.FindStringSubmatch(it.What)
		if match == nil {
			continue
		}
		f := naiveFault{kind.name, elementIndex.ReplaceAllString(match[1], ""), it.Position}
		if kind.name == "undefined" || kind.name == "failed" || kind.name == "unknown" && it.Position.Column == 0 {
			f.at.Column = 5 // The column of the statement: the naive evaluator doesn't know the operator's.
		}
		if kind.name == "endless" {
			f.at = fault.Position{} // Of one of the definitions.
		}
		return f
	}
	t.Fatalf("a fault of no kind that is known: %s", it)
	return naiveFault{}
}

// plain returns a Starlark value in the terms of the naive evaluator.
func plain(t *testing.T, v starlark.Value) any {
	t.Helper()
	switch v := v.(type) {
	case starlark.NoneType:
		return nil
	case starlark.Bool:
		return bool(v)
	case starlark.Float:
		return float64(v)
	case starlark.String:
		return string(v)
	case starlark.Int:
		i, err := starlark.AsInt32(v)
		if err != nil {
			t.Fatal(err)
		}
		return i
	case *starlark.List:
		list := []any{}
		for e := range v.Elements() {
			list = append(list, plain(t, e))
		}
		return list
	case *starlark.Dict:
		dict := map[string]any{}
		for key, e := range v.Entries() {
			dict[string(key.(starlark.String))] = plain(t, e)
		}
		return dict
	case storeObject:
		return storedValue(v)
	case starlark.HasAttrs:
		return plainAttributes(t, v)
	}
	t.Fatalf("a value of an unexpected kind: %s", v.Type())
	return nil
}

// plainAttributes returns a secret, or the fields of a submodule, those of groups by their dotted names.
func plainAttributes(t *testing.T, v starlark.HasAttrs) any {
	t.Helper()
	if v.Type() == "secret" {
		path, err := v.Attr("path")
		if err != nil {
			t.Fatal(err)
		}
		return secretValue{string(path.(starlark.String))}
	}
	fields := attributes{}
	for _, name := range v.AttrNames() {
		field, err := v.Attr(name)
		if err != nil {
			continue // It is not defined.
		}
		if name != "g" { // The only group that models have in submodules.
			fields[name] = plain(t, field)
			continue
		}
		for inner, value := range plainAttributes(t, field.(starlark.HasAttrs)).(attributes) {
			fields["g."+inner] = value
		}
	}
	return fields
}

// An interpreter runs modules and knows where their dictionaries are written.
type interpreter struct {
	dictionaries map[*starlark.Dict]dictionaryPlaces
}

// module evaluates the text of a module.
func (in *interpreter) module(t *testing.T, name, text string, places map[int]dictionaryPlaces) options.Module {
	t.Helper()
	predeclared := options.Functions()
	predeclared["at"] = starlark.NewBuiltin("at", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		number, err := starlark.AsInt32(args[0])
		if err != nil {
			return nil, err
		}
		in.dictionaries[args[1].(*starlark.Dict)] = places[number]
		return args[1], nil
	})
	for _, kind := range []string{"source", "derivation"} {
		predeclared[kind] = starlark.NewBuiltin(kind, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			return storeObject{kind, string(args[0].(starlark.String))}, nil
		})
	}
	globals, err := starlark.ExecFileOptions(&syntax.FileOptions{}, &starlark.Thread{Name: name}, name, text, predeclared)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	globals.Freeze()
	return options.Module{
		Name: name, Position: fault.Position{File: name, Line: 1, Column: 1},
		Options: globals["options"], Config: globals["config"],
	}
}

// Call calls a config function.
func (in *interpreter) Call(fn starlark.Callable, cfg starlark.Value) (starlark.Value, []fault.Item) {
	v, err := starlark.Call(&starlark.Thread{Name: "config"}, fn, starlark.Tuple{cfg}, nil)
	if err == nil {
		return v, nil
	}
	it := fault.Item{What: err.Error()}
	if failed, ok := err.(*starlark.EvalError); ok {
		for _, frame := range slices.Backward(failed.CallStack) {
			if frame.Pos.Line > 0 {
				it.Position = fault.Position{File: frame.Pos.Filename(), Line: int(frame.Pos.Line)}
				break
			}
		}
	}
	it.What, it.Hint, _ = strings.Cut(it.What, "; ")
	return nil, []fault.Item{it}
}

// Entry returns where an entry of a dictionary is written.
func (in *interpreter) Entry(d *starlark.Dict, key string) fault.Position {
	places := in.dictionaries[d]
	if at, ok := places.entries[key]; ok {
		return at
	}
	return places.at
}

// Literal returns where a dictionary is written.
func (in *interpreter) Literal(v starlark.Value) fault.Position {
	d, _ := v.(*starlark.Dict)
	return in.dictionaries[d].at
}

// A storeObject is a value that stands for something in the store.
type storeObject storedValue

// String returns its path.
func (o storeObject) String() string { return storedValue(o).path() }

// Type returns "source" or "derivation".
func (o storeObject) Type() string { return o.kind }

// Freeze does nothing: the value never changes.
func (o storeObject) Freeze() {}

// Truth returns True.
func (o storeObject) Truth() starlark.Bool { return true }

// Hash returns that of the path.
func (o storeObject) Hash() (uint32, error) { return starlark.String(o.String()).Hash() }

// Broken returns false.
func (o storeObject) Broken() bool { return false }
