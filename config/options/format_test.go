package options_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"nbuild/config/options"
)

// dataFunctions are the functions of modules and those that make store objects.
func dataFunctions() starlark.StringDict {
	functions := options.Functions()
	functions["derivation"] = starlark.NewBuiltin("derivation", newStoreThing)
	functions["source"] = starlark.NewBuiltin("source", newStoreThing)
	return functions
}

func evalData(t testing.TB, expr string) starlark.Value {
	t.Helper()
	v, err := starlark.EvalOptions(&syntax.FileOptions{Set: true}, &starlark.Thread{}, "x.star", expr, dataFunctions())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFormat(t *testing.T) {
	tests := []struct{ expr, want string }{
		{"None", "None"},
		{"True", "True"},
		{"1 << 64", "18446744073709551616"},
		{"1.0", "1.0"},
		{`"a\"b\n\\é"`, `"a\"b\n\\é"`},
		{"[]", "[]"},
		{"[1, [2]]", "[1, [2]]"},
		{"()", "()"},
		{"(1,)", "(1,)"},
		{"(1, 2)", "(1, 2)"},
		{"{}", "{}"},
		{`{"b": 1, "a": {"c": []}}`, `{"b": 1, "a": {"c": []}}`},
		{"set([1])", "set([1])"},
		{`derivation("hello")`, `derivation "hello"`},
		{`source("web")`, `source "/nbuild/store/web"`},
		{`secret("/run/x")`, `secret("/run/x")`},
		{`when(True, override(3, [default(1)]))`, "when(True, override(3, [default(1)]))"},
		{"types.str", "string"},
	}
	for _, test := range tests {
		if got := options.Format(evalData(t, test.expr)); got != test.want {
			t.Errorf("%s: got %s, want %s", test.expr, got, test.want)
		}
	}
}

func TestJSON(t *testing.T) {
	tests := []struct{ expr, want string }{
		{"None", "null"},
		{"[True, False]", "[true,false]"},
		{"1 << 64", "18446744073709551616"},
		{"1.5", "1.5"},
		{`"a\"b<é"`, `"a\"b\u003cé"`},
		{"[]", "[]"},
		{"(1, [2])", "[1,[2]]"},
		{"{}", "{}"},
		{`{"b": 1, "a": {"c": None}}`, `{"b":1,"a":{"c":null}}`},
		{`[derivation("hello"), secret("/run/x")]`, `["/nbuild/store/hello","/nbuild/secret/run/x"]`},
	}
	for _, test := range tests {
		got, err := options.JSON(evalData(t, test.expr))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: got %s, %v, want %s", test.expr, got, err, test.want)
		}
	}
}

func TestJSONOfAttributes(t *testing.T) {
	v, _ := resultOf(t, resultText).Value("users")
	got, err := options.JSON(v)
	if want := `{"bob":{"shell":"/bin/bash"}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestJSONOfNoData(t *testing.T) {
	tests := []struct{ expr, want string }{
		{"types.str", "write JSON: a type is no data"},
		{"[len]", "write JSON: a function is no data"},
		{"{1: 2}", "write JSON: want strings for keys, got 1"},
		{`{"a": float("nan")}`, "write JSON: json: unsupported value: NaN"},
		{"force(1)", "write JSON: force(1) is no data"},
		{"option(types.int)", "write JSON: an option is no data"},
		{"b'x'", "write JSON: a value of type bytes is no data"},
	}
	for _, test := range tests {
		if _, err := options.JSON(evalData(t, test.expr)); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", test.expr, err, test.want)
		}
	}
}

// FuzzFormat says that what Format writes of data is what Starlark reads, and JSON's likewise.
func FuzzFormat(f *testing.F) {
	f.Add(`{"a": [1, 2.5, None, True, "x\ny"], "": {}}`)
	f.Add(`(1,)`)
	f.Add(`"\x00\u00e9\U0001f600"`)
	f.Add(`-0.0`)
	f.Fuzz(func(t *testing.T, expr string) {
		thread := &starlark.Thread{}
		thread.SetMaxExecutionSteps(10_000)
		v, err := starlark.EvalOptions(&syntax.FileOptions{}, thread, "x.star", expr, nil)
		if err != nil || !isData(v, 0) {
			t.Skip("no data")
		}
		text := options.Format(v)
		again, err := starlark.EvalOptions(&syntax.FileOptions{}, &starlark.Thread{}, "x.star", text, nil)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if same, err := starlark.Equal(v, again); err != nil || !same {
			t.Errorf("%s is read as %s", text, again)
		}
		if encoded, err := options.JSON(v); err == nil && !json.Valid(encoded) {
			t.Errorf("%s is no JSON", encoded)
		}
	})
}

// isData reports whether a value is one that can be written and read again.
func isData(v starlark.Value, depth int) bool {
	switch v := v.(type) {
	case starlark.NoneType, starlark.Bool, starlark.Int:
		return true
	case starlark.Float:
		return v-v == 0 // Infinities and NaN have no literals.
	case starlark.String:
		return utf8.ValidString(string(v))
	case *starlark.List:
		for e := range v.Elements() {
			if depth > 50 || !isData(e, depth+1) {
				return false
			}
		}
		return true
	case starlark.Tuple:
		return isData(starlark.NewList(v), depth)
	case *starlark.Dict:
		for k, e := range v.Entries() {
			if depth > 50 || !isData(k, depth+1) || !isData(e, depth+1) {
				return false
			}
		}
		return true
	}
	return false
}

func TestFormatCutsWhatIsHuge(t *testing.T) {
	list := starlark.NewList(nil)
	if err := list.Append(list); err != nil {
		t.Fatal(err)
	}
	if got := options.Format(list); !strings.HasPrefix(got, "[[[[") || !strings.Contains(got, "…") || len(got) > 5000 {
		t.Errorf("a list in itself has %d bytes", len(got))
	}
	if _, err := options.JSON(list); err == nil {
		t.Error("a list in itself has a form in JSON")
	}
	doubled := starlark.NewList([]starlark.Value{starlark.String("x")})
	for range 100 {
		doubled = starlark.NewList([]starlark.Value{doubled, doubled})
	}
	if got := options.Format(doubled); len(got) > 17<<20 || !strings.HasSuffix(got, "…") {
		t.Errorf("a list with 2^100 elements has %d bytes", len(got))
	}
	if _, err := options.JSON(doubled); err == nil {
		t.Error("a list with 2^100 elements has a form in JSON")
	}
}
