package options_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMerge says what the definitions of an option come to, by its type. Each definition is in a module of its own.
func TestMerge(t *testing.T) {
	const person = `types.submodule({
        "name": option(types.str),
        "shell": option(types.path, default = "/bin/sh"),
        "keys": option(types.list_of(types.str), default = ["own"]),
        "limits.files": option(types.int, default = 1),
    })`
	tests := []struct {
		typ         string
		definitions []string
		want        string
	}{
		{"types.bool", []string{"True"}, "True"},
		{"types.bool", []string{"True", "True"}, "True"},
		{"types.int", []string{"-5"}, "-5"},
		{"types.int", []string{"1 << 70"}, "1180591620717411303424"},
		{"types.unsigned", []string{"0"}, "0"},
		{"types.port", []string{"65535"}, "65535"},
		{"types.float", []string{"1"}, "1.0"},
		{"types.float", []string{"1", "1.0"}, "1.0"},
		{"types.enum('a', 1)", []string{"'a'"}, `"a"`},
		{"types.str", []string{"'a'", "'a'"}, `"a"`},
		{"types.str", []string{"derivation('hello')"}, `"/nbuild/store/hello"`},
		{"types.str", []string{"source('web')", "'/nbuild/store/web'"}, `"/nbuild/store/web"`},
		{"types.path", []string{"'/srv'"}, `"/srv"`},
		{"types.path", []string{"source('web')"}, `source "/nbuild/store/web"`},
		{"types.package", []string{"'g++'"}, `"g++"`},
		{"types.package", []string{"'curl=7.88.1-10+deb12u4'"}, `"curl=7.88.1-10+deb12u4"`},
		{"types.package", []string{"derivation('hello')"}, `derivation "hello"`},
		{"types.secret", []string{"secret('/run/keys/db')"}, `secret("/run/keys/db")`},
		{"types.lines", []string{"'a'", "'b\\n'", "'c'"}, `"a\nb\n\nc"`},
		{"types.lines", []string{"after('a')", "'b'", "before('c')", "before('d')"}, `"c\nd\nb\na"`},

		// Of priorities the lowest counts, and of nested ones the innermost.
		{"types.str", []string{"default('a')", "'b'"}, `"b"`},
		{"types.str", []string{"force('a')", "'b'", "override(51, 'c')"}, `"a"`},
		{"types.str", []string{"override(10, 'a')", "force('b')"}, `"a"`},
		{"types.str", []string{"force(default('a'))", "'b'"}, `"b"`},
		{"types.str", []string{"default(force('a'))", "'b'"}, `"a"`},
		{"types.str", []string{"override(1501, 'a')"}, `"the default"`},
		{"types.str", []string{"override(1499, 'a')"}, `"a"`},
		{"types.list_of(types.int)", []string{"default([1])", "[2]", "[3]", "default([4])"}, "[2, 3]"},

		{"types.str", []string{"when(True, 'a')", "when(False, 'b')"}, `"a"`},
		{"types.str", []string{"when(False, force('b'))"}, `"the default"`},
		{"types.str", []string{"merge('a', default('b'), when(False, 'c'))"}, `"a"`},
		{"types.list_of(types.int)", []string{"merge([1], merge([2], after([3])), [4])"}, "[1, 2, 4, 3]"},
		{"types.list_of(types.int)", []string{"merge()", "[1]"}, "[1]"},

		{"types.list_of(types.int)", []string{"[]"}, "[]"},
		{"types.list_of(types.int)", []string{"[1, 2]", "(3,)", "[1]"}, "[1, 2, 3, 1]"},
		{"types.list_of(types.int)", []string{"after([1])", "[2]", "before([3])", "after(before([4]))"}, "[3, 4, 2, 1]"},
		{"types.list_of(types.int)", []string{"[1, after(2), when(False, 3), when(True, 4), before(5)]", "[6]"}, "[5, 1, 4, 6, 2]"},
		{"types.list_of(types.int)", []string{"after([1, before(2)])", "[3]"}, "[2, 3, 1]"},
		{"types.list_of(types.list_of(types.int))", []string{"[[1], merge([2], [3])]", "[[]]"}, "[[1], [2, 3], []]"},
		{"types.list_of(types.attrs_of(types.int))", []string{"[{'b': 1, 'a': 2}]", "[{}]"}, `[{"a": 2, "b": 1}, {}]`},

		{"types.attrs_of(types.int)", []string{"{'b': 1}", "{'a': 2, 'b': 1}"}, `{"a": 2, "b": 1}`},
		{"types.attrs_of(types.int)", []string{"{'a': 1, 'b': default(2)}", "{'a': force(3), 'b': 4}"}, `{"a": 3, "b": 4}`},
		{"types.attrs_of(types.int)", []string{"force({'a': 1})", "{'b': 2}"}, `{"a": 1}`},
		{"types.attrs_of(types.int)", []string{"override(60, {'a': override(70, 1)})", "override(60, {'a': 2})"}, `{"a": 1}`},
		{"types.attrs_of(types.int)", []string{"{'a': when(False, 1), 'a.b': 2}"}, `{"a.b": 2}`},
		{"types.attrs_of(types.list_of(types.int))", []string{"{'a': [1]}", "before({'a': [2]})", "{'a': before([3])}"}, `{"a": [3, 2, 1]}`},
		{"types.attrs_of(types.nullable(types.int))", []string{"{'a': None}", "{'b': 1}", "{'b': 1}"}, `{"a": None, "b": 1}`},

		{person, []string{"{}"}, `{"keys": ["own"], "limits": {"files": 1}, "shell": "/bin/sh"}`},
		{person, []string{"{'name': 'a', 'keys': ['1']}", "{'keys': ['2']}"}, `{"keys": ["1", "2"], "limits": {"files": 1}, "name": "a", "shell": "/bin/sh"}`},
		{person, []string{"{'limits.files': 2}", "{'limits': {'files': force(3)}}"}, `{"keys": ["own"], "limits": {"files": 3}, "shell": "/bin/sh"}`},
		{person, []string{"{'limits': force({'files': 2})}", "{'limits.files': 3}"}, `{"keys": ["own"], "limits": {"files": 2}, "shell": "/bin/sh"}`},
		{person, []string{"{'shell': override(2000, '/bin/a'), 'limits': None}"}, `{"keys": ["own"], "limits": {"files": 1}, "shell": "/bin/sh"}`},
		{person, []string{"{'keys': override(1500, ['more'])}"}, `{"keys": ["own", "more"], "limits": {"files": 1}, "shell": "/bin/sh"}`},
		{"types.attrs_of(" + person + ")", []string{"{'a': {'name': default('x')}}", "{'a': {'name': 'y'}}"}, `{"a": {"keys": ["own"], "limits": {"files": 1}, "name": "y", "shell": "/bin/sh"}}`},

		{"types.nullable(types.list_of(types.int))", []string{"None", "None"}, "None"},
		{"types.nullable(types.list_of(types.int))", []string{"[1]", "[2]"}, "[1, 2]"},
		{"types.nullable(types.list_of(types.int))", []string{"None", "force([1])"}, "[1]"},
		{"types.one_of(types.int, types.str)", []string{"'a'", "'a'"}, `"a"`},
		{"types.one_of(types.float, types.int)", []string{"1"}, "1.0"},
		{"types.one_of(types.int, types.list_of(types.int), types.list_of(types.str))", []string{"['a']", "['b']"}, `["a", "b"]`},
		{"types.one_of(types.int, types.list_of(types.int), types.list_of(types.str))", []string{"[]", "['b']"}, `["b"]`},
		{"types.one_of(types.attrs_of(types.int), types.attrs_of(types.str))", []string{"{'a': 1}", "{'a': 1, 'b': 2}"}, `{"a": 1, "b": 2}`},

		{"types.anything", []string{"{'a': {'x': [1]}, 'b': None}", "{'a': {'x': [2], 'y': 3.5}}"}, `{"a": {"x": [1, 2], "y": 3.5}, "b": None}`},
		{"types.anything", []string{"{'a': {'x': [1]}}", "{'a': force({'y': 1})}"}, `{"a": {"y": 1}}`},
		{"types.anything", []string{"[1]", "before(['a'])", "({'b': 1},)"}, `["a", 1, {"b": 1}]`},
		{"types.anything", []string{"True", "True"}, "True"},
		{"types.anything", []string{"[derivation('hello'), secret('/run/x')]"}, `[derivation "hello", secret("/run/x")]`},
		{"types.module", []string{"{'a.b': force(1)}", "[{'c': 2}, when(True, {'d': 3})]"}, `[{"a.b": force(1)}, {"c": 2}, {"d": 3}]`},
	}
	for _, test := range tests {
		text := "-- base.star --\noptions = {'x': option(" + test.typ
		if test.typ == "types.str" {
			text += ", default = 'the default'"
		}
		text += ")}\n"
		for i, d := range test.definitions {
			text += "-- " + string(rune('a'+i)) + ".star --\nconfig = {'x': " + d + "}\n"
		}
		if got := valueOf(resultOf(t, text), "x"); got != test.want {
			t.Errorf("%s of %q:\ngot  %s\nwant %s", test.typ, test.definitions, got, test.want)
		}
	}
}

// TestSpelling says which spellings of names mean the same.
func TestSpelling(t *testing.T) {
	const base = `-- base.star --
options = {
    "a": {"b.c": option(types.list_of(types.int), default = [])},
    "a.users": option(types.attrs_of(types.submodule({"keys": {"public": option(types.list_of(types.str), default = [])}})), default = {}),
    "a.any": option(types.anything, default = {}),
}
-- web.star --
config = `
	tests := []struct {
		want    string
		configs []string
	}{
		{`{"any": {}, "b": {"c": [1]}, "users": {}}`, []string{
			`{"a.b.c": [1]}`, `{"a": {"b.c": [1]}}`, `{"a.b": {"c": [1]}}`, `{"a": {"b": {"c": [1]}}}`, `{"\"a\".b.\"c\"": [1]}`,
			`when(True, {"a": {"b": {"c": [1]}}})`, `{"a": when(True, {"b": when(True, {"c": [1]})})}`, `{"a": merge({"b.c": [1]}, {"b": {}}, None)}`,
		}},
		{`{"any": {}, "b": {"c": [3, 1, 2]}, "users": {}}`, []string{
			`{"a.b.c": [1], "a.b": {"c": [2]}, "a": before({"b.c": [3]})}`, `merge({"a.b": {"c": [1, 2]}, "a.b.c": default([4])}, before({"a.b.c": [3]}))`,
		}},
		{`{"any": {}, "b": {"c": [1]}, "users": {}}`, []string{
			`merge({"a.b.c": [2]}, force({"a": {"b.c": [1]}}))`, `{"a.b.c": [2], "a": force({"b": {"c": [1]}})}`, `force({"a": default({"b.c": force([1])}), "a.b.c": override(60, [2])})`,
		}},
		{`{"any": {}, "b": {"c": []}, "users": {"bob": {"keys": {"public": ["x"]}}, "www.example.org": {"keys": {"public": []}}}}`, []string{
			`{"a.users": {"bob": {"keys.public": ["x"]}, "www.example.org": {}}}`,
			`{"a.users.bob.keys.public": ["x"], "a.users.\"www.example.org\"": {}}`,
			`{"a.users.bob.keys": {"public": ["x"]}, "a": {"users.\"www.example.org\".keys": None}}`,
		}},
		{`{"any": {"p": {"q.r": [1, 2], "s": 1}}, "b": {"c": []}, "users": {}}`, []string{
			`{"a.any": {"p": {"q.r": [1, 2]}}, "a.any.p.s": 1}`, `{"a.any.p.\"q.r\"": [1], "a": {"any.p": {"s": 1, "q.r": [2]}}}`,
		}},
	}
	for _, test := range tests {
		for _, config := range test.configs {
			if got := valueOf(resultOf(t, base+config), "a"); got != test.want {
				t.Errorf("%s:\ngot  %s\nwant %s", config, got, test.want)
			}
		}
	}
}

func TestMergedValuesAreFrozen(t *testing.T) {
	got := faultsOf(t, `-- base.star --
options = {
    "list": option(types.list_of(types.int), default = []),
    "attrs": option(types.attrs_of(types.list_of(types.int)), default = {"a": []}),
    "any": option(types.anything, default = {"a": {"b": []}}),
    "out": option(types.anything, default = 1),
}
-- a.star --
def config(cfg):
    cfg.list.append(1)
-- b.star --
def config(cfg):
    cfg.attrs["a"].append(1)
-- c.star --
def config(cfg):
    cfg.attrs["b"] = []
-- d.star --
def config(cfg):
    cfg.any["a"]["b"].append(1)
`)
	want := `a.star:2:20: append: cannot append to frozen list
b.star:2:26: append: cannot append to frozen list
c.star:2:14: cannot insert into frozen hash table
d.star:2:29: append: cannot append to frozen list
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBrokenObjects says that what is reported already is not reported again.
func TestBrokenObjects(t *testing.T) {
	const text = `-- base.star --
options = {
    "path": option(types.path),
    "package": option(types.package),
    "string": option(types.str),
    "any": option(types.anything),
}
_bad = derivation("bad", broken = True)
config = {"path": _bad, "package": _bad, "string": _bad, "any": [_bad]}
-- other.star --
config = {"path": "/srv", "package": source("also", broken = True)}
`
	r := resultOf(t, text)
	if got, want := valueOf(r, "path"), `derivation "bad"`; got != want {
		t.Errorf("path is %s, want %s", got, want)
	}
}

func TestValuesAsDefinitions(t *testing.T) {
	r := resultOf(t, `-- base.star --
_user = types.submodule({"shell": option(types.path, default = "/bin/sh"), "home": option(types.str), "limits.files": option(types.int, default = 1)})
options = {
    "users": option(types.attrs_of(_user), default = {}),
    "copies": option(types.attrs_of(_user), default = {}),
    "data": option(types.anything, default = {}),
}
config = {"users": {"bob": {"shell": "/bin/bash"}}}
-- copy.star --
def config(cfg):
    if "bob" not in cfg.users:
        return {}
    return {"copies": {"alice": cfg.users["bob"], "carol": merge(cfg.users["bob"], {"home": "/home/carol"})}, "data": cfg.users}
`)
	want := map[string]string{
		"copies": `{"alice": {"limits": {"files": 1}, "shell": "/bin/bash"}, "carol": {"home": "/home/carol", "limits": {"files": 1}, "shell": "/bin/bash"}}`,
		"data":   `{"bob": {"limits": {"files": 1}, "shell": "/bin/bash"}}`,
	}
	got := map[string]string{"copies": valueOf(r, "copies"), "data": valueOf(r, "data")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if v, _ := r.Value("data"); v.Type() != "dict" {
		t.Errorf("data is a %s", v.Type())
	}
}
