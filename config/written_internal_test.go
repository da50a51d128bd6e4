package config

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// everywhere has a dictionary in each place where an expression can be, and names it by its only key.
const everywhere = `
assigned = {"assigned": 1}
listed = [{"element": 1}, ({"tuple": 1},)]
nested = {"outer": {"inner": 1}}
conditional = {"true": 1} if {"condition": 1} else {"false": 1}
def function(parameter = {"default": 1}):
    {"statement": 1}
    if {"if": 1}:
        pass
    for x in {"for": 1}:
        pass
    return parameter
returned = function()
anonymous = (lambda p = {"lambda default": 1}: {"lambda": p})()
comprehension = {k: {"value": 1} for k in {"clause": 1} if {"filter": 1}}
list_comprehension = [{"body": i} for i in [1]]
indexed = {"indexed": [{"index": 1}]}["indexed"][0]
sliced = [1, 2][len({"low": 1}):len({"high": 1}) + 1]
method = {"method": 1}.keys()
operators = not {"not": 1}, {"left": 1} | {"right": 1}, {"key": 1} == {"other": 1}
parens = ({"parens": 1})
argument = dict({"argument": 1}, x = {"named": 1}, **{"star": 1})
`

func run(t *testing.T, text string, w *written) starlark.StringDict {
	t.Helper()
	file, err := (&syntax.FileOptions{Set: true, While: true, TopLevelControl: true}).Parse("a.star", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	predeclared := starlark.StringDict{}
	if w != nil {
		w.wrap(file)
		predeclared[noteFunction] = starlark.NewBuiltin(noteFunction, w.note)
	}
	program, err := starlark.FileProgram(file, predeclared.Has)
	if err != nil {
		t.Fatal(err)
	}
	globals, err := program.Init(&starlark.Thread{}, predeclared)
	if err != nil {
		t.Fatal(err)
	}
	return globals
}

func TestWrappingChangesNoValue(t *testing.T) {
	show := func(globals starlark.StringDict) map[string]string {
		values := map[string]string{}
		for name, v := range globals {
			values[name] = v.String()
		}
		return values
	}
	if diff := cmp.Diff(show(run(t, everywhere, nil)), show(run(t, everywhere, &written{}))); diff != "" {
		t.Errorf("globals (-as written +wrapped):\n%s", diff)
	}
}

// Every dictionary that the text makes is known by the place where it is written.
func TestEveryDictionaryIsNoted(t *testing.T) {
	var w written
	run(t, everywhere, &w)
	made := map[int]bool{}
	for _, number := range w.made {
		made[number] = true
	}
	for number, literal := range w.literals {
		start, _ := literal.Span()
		// The branch that isn't taken and the comparison's result are no more than what they are.
		if !made[number] && start.Line != 5 {
			t.Errorf("the dictionary at %s was never noted", start)
		}
	}
	if want := 32; len(w.literals) < want {
		t.Errorf("%d dictionaries are wrapped, want %d at least", len(w.literals), want)
	}
}

func TestEntriesHavePlaces(t *testing.T) {
	var w written
	globals := run(t, `a = {
    "x": 1,
    "y" + "z": 2,
    "b": {"c": 3},
}
b = {k: 1 for k in ["p"]}
c = dict(x = 1)
`, &w)
	a := globals["a"].(*starlark.Dict)
	inner, _, err := a.Get(starlark.String("b"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		dict *starlark.Dict
		key  string
		want string
	}{
		{a, "x", "2:5"},
		{a, "yz", "1:5"},
		{a, "b", "4:5"},
		{inner.(*starlark.Dict), "c", "4:11"},
		{globals["b"].(*starlark.Dict), "p", "6:5"},
		{globals["c"].(*starlark.Dict), "x", ""},
	}
	for _, test := range tests {
		got := ""
		if at, known := w.entry(test.dict, test.key); known {
			got = fmt.Sprintf("%d:%d", at.Line, at.Col)
		}
		if got != test.want {
			t.Errorf("the entry %s is at %q, want %q", test.key, got, test.want)
		}
	}
}
