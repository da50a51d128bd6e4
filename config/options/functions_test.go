package options_test

import (
	"strings"
	"testing"

	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"nbuild/config/options"
)

// eval evaluates an expression with the functions of modules.
func eval(expr string) (starlark.Value, error) {
	functions := options.Functions()
	functions["json"] = json.Module
	return starlark.EvalOptions(&syntax.FileOptions{}, &starlark.Thread{}, "x.star", expr, functions)
}

func TestWrongCalls(t *testing.T) {
	tests := []struct{ expr, want string }{
		{`option()`, "option: missing argument for type"},
		{`option("str")`, `option: want a type such as types.str, got the string "str"`},
		{`option(types.list_of)`, "option: want a type, got the function types.list_of; call it: types.list_of(...)"},
		{`option(types.str, None, 5)`, "option: for parameter description: got int, want string"},
		{`option(types.str, defalt = 5)`, `option: unexpected keyword argument "defalt" (did you mean default?)`},
		{`option(types.str, internal = 1)`, "option: for parameter \"internal\": got int, want bool"},
		{`types.strr`, `there is no type "strr"; did you mean "str"?`},
		{`types.list_of()`, "types.list_of: got 0 arguments, want 1"},
		{`types.list_of(types.list_of)`, "types.list_of: want a type, got the function types.list_of; call it: types.list_of(...)"},
		{`types.nullable(None)`, "types.nullable: want a type such as types.str, got None"},
		{`types.one_of()`, "types.one_of: want types, as in types.one_of(types.int, types.str)"},
		{`types.one_of(types.int, "a")`, `types.one_of: want a type such as types.str, got the string "a"`},
		{`types.enum()`, `types.enum: want values, as in types.enum("tcp", "udp")`},
		{`types.enum("a", ["b"])`, `types.enum: want strings and numbers, got ["b"]`},
		{`types.submodule(1)`, "types.submodule: for parameter 1: got int, want dict"},
		{`types.submodule({"a": 1})`, "types.submodule: options: a: want option(...) or a dictionary of options, got 1"},
		{`types.submodule({"a.b": option(types.int), "a": {"b": option(types.int)}})`, "types.submodule: option a.b is declared here and at x.star:1:31; rename one"},
		{`default()`, "default: got 0 arguments, want 1"},
		{`force(1, 2)`, "force: got 2 arguments, want 1"},
		{`force(x = 1)`, "force: unexpected keyword arguments"},
		{`override("a", 1)`, "override: for parameter 1: got string, want int"},
		{`override(-1, 1)`, "override: want a priority from 0 to 9999, got -1"},
		{`override(10000, 1)`, "override: want a priority from 0 to 9999, got 10000"},
		{`when(1, 2)`, "when: want True or False first, got 1"},
		{`when("", 2)`, `when: want True or False first, got the string ""`},
		{`merge(a = 1)`, "merge: takes no named arguments"},
		{`secret("run/keys/db")`, `secret: want an absolute path without blanks and quotes, such as /run/keys/db, got "run/keys/db"`},
		{`secret("/run/a b")`, `secret: want an absolute path without blanks and quotes, such as /run/keys/db, got "/run/a b"`},
		{`secret(1)`, "secret: for parameter path: got int, want string"},
		{`secret("/run/x").paht`, "secret has no .paht field or method"},
		{`{force(1): 2}`, "unhashable type: property"},
		{`{types.str: 2}`, "unhashable type: type"},
		{`{option(types.str): 2}`, "unhashable type: option"},
		{`force(1) < force(2)`, "property < property not implemented"},
		{`force([1]) + [2]`, "unknown binary op: property + list"},
	}
	for _, test := range tests {
		_, err := eval(test.expr)
		if err == nil || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", test.expr, err, test.want)
		}
	}
}

func TestValues(t *testing.T) {
	tests := []struct{ expr, want string }{
		{`str(secret("/run/keys/db"))`, `"/nbuild/secret/run/keys/db"`},
		{`"%s" % secret("/run/keys/db")`, `"/nbuild/secret/run/keys/db"`},
		{`secret("/run/keys/db").path`, `"/run/keys/db"`},
		{`secret("/run/a") == secret("/run/a")`, "True"},
		{`{secret("/run/a"): 1}[secret("/run/a")]`, "1"},
		{`bool(secret("/run/a")) and bool(force(0)) and bool(types.str) and bool(option(types.str))`, "True"},
		{`json.encode([secret("/run/keys/db")])`, `"[\"/nbuild/secret/run/keys/db\"]"`},
		{`dir(secret("/run/a"))`, `["path"]`},
		{`type(secret("/run/a")), type(force(1)), type(types.int), type(option(types.int))`, `("secret", "property", "type", "option")`},
		{`str(option(types.list_of(types.int)))`, `"option(list of ints)"`},
		{`force([1]) == force([1]), force(1) == default(1), when(True, 1) == when(False, 1), merge(1, 2) != merge(1, 2)`, "(True, False, False, False)"},
		{
			`str(merge(force(1), default(2), override(7, 3), before(4), after(5), when(False, 6)))`,
			`"merge(force(1), default(2), override(7, 3), before(4), after(5), when(False, 6))"`,
		},
	}
	for _, test := range tests {
		v, err := eval(test.expr)
		if err != nil {
			t.Errorf("%s: %v", test.expr, err)
		} else if got := options.Format(v); got != test.want {
			t.Errorf("%s: got %s, want %s", test.expr, got, test.want)
		}
	}
}

func TestTypesInProse(t *testing.T) {
	tests := []struct{ expr, want string }{
		{"types.bool", "bool"},
		{"types.int", "int"},
		{"types.unsigned", "unsigned int"},
		{"types.port", "port"},
		{"types.float", "float"},
		{"types.str", "string"},
		{"types.lines", "lines"},
		{"types.path", "path"},
		{"types.package", "package"},
		{"types.secret", "secret"},
		{"types.anything", "anything"},
		{"types.module", "module"},
		{`types.enum("tcp", 3, True)`, `one of "tcp", 3, True`},
		{"types.list_of(types.package)", "list of packages"},
		{"types.list_of(types.list_of(types.attrs_of(types.bool)))", "list of lists of dictionaries of bools"},
		{"types.attrs_of(types.submodule({}))", "dictionary of submodules"},
		{"types.nullable(types.str)", "string or None"},
		{"types.list_of(types.nullable(types.str))", "list of strings or None"},
		{"types.one_of(types.int, types.str, types.path)", "int, string or path"},
		{"types.one_of(types.int)", "int"},
	}
	for _, test := range tests {
		v, err := eval(test.expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.(*options.Type).String(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.expr, got, test.want)
		}
	}
}

func TestTypeFields(t *testing.T) {
	v, err := eval(`types.nullable(types.attrs_of(types.one_of(
		types.submodule({"b": {"d": option(types.int, description = "D.")}, "b.c": option(types.list_of(types.submodule({"x": option(types.int)})))}),
		types.int, types.list_of(types.submodule({"z": option(types.str)})))))`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range v.(*options.Type).Fields() {
		names = append(names, f.Name+" "+f.Type.String())
	}
	if got, want := strings.Join(names, ", "), "b.c list of submodules, b.d int, z string"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if v, err = eval("types.list_of(types.int)"); err != nil || v.(*options.Type).Fields() != nil {
		t.Errorf("fields of a list of ints: %v", err)
	}
}

func TestFunctions(t *testing.T) {
	for _, name := range []string{"option", "types", "default", "force", "override", "before", "after", "when", "merge", "secret"} {
		if !options.Functions().Has(name) {
			t.Errorf("there is no function %s", name)
		}
	}
	if got := len(options.Functions()); got != 10 {
		t.Errorf("%d functions", got)
	}
	if got, want := options.Format(options.Default(starlark.String("web"))), `default("web")`; got != want {
		t.Errorf("Default makes %s, want %s", got, want)
	}
}
