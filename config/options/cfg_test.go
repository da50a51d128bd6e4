package options_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.starlark.net/starlark"

	"nbuild/config/options"
)

func TestReads(t *testing.T) {
	const base = `-- base.star --
options = {
    "a.b": option(types.int, default = 1),
    "a.users": option(types.attrs_of(types.submodule({"home": option(types.str), "limits.files": option(types.int, default = 7)})), default = {"x.y": {}}),
    "undefined": option(types.str),
    "out": option(types.anything),
}
`
	tests := []struct{ expr, want string }{
		{"cfg.a.b", "1"},
		{`cfg["a.b"]`, "1"},
		{`cfg.a["b"]`, "1"},
		{`cfg["a"].b`, "1"},
		{`cfg["a.users.\"x.y\".limits.files"]`, "7"},
		{`cfg.a.users["x.y"]["limits.files"]`, "7"},
		{`cfg.a.users["x.y"].limits.files`, "7"},
		{`cfg.a.users["x.y"]["limits"]["files"]`, "7"},
		{`dir(cfg)`, `["a", "assertions", "out", "undefined", "warnings"]`},
		{`dir(cfg.a.users["x.y"])`, `["home", "limits"]`},
		{`[hasattr(cfg, "a"), hasattr(cfg, "c"), hasattr(cfg.a, "b")]`, "[True, False, True]"},
		{`["a.b" in cfg, "a" in cfg, "a.c" in cfg, "undefined" in cfg, 5 in cfg]`, "[True, True, False, False, False]"},
		{`["home" in cfg.a.users["x.y"], "limits.files" in cfg.a.users["x.y"], "..." in cfg.a.users["x.y"]]`, "[False, True, False]"},
		{`getattr(cfg, "undefined", "nothing")`, `"nothing"`},
		{`getattr(cfg.a.users["x.y"], "home", "nothing")`, `"nothing"`},
		{`[type(cfg), type(cfg.a), type(cfg.a.users), type(cfg.a.users["x.y"]), type(cfg.a.users["x.y"].limits)]`, `["config", "config", "dict", "attributes", "attributes"]`},
		{`[str(cfg), str(cfg.a)]`, `["<config>", "<config a>"]`},
		{`str(cfg.a.users["x.y"])`, `"{\"limits\": {\"files\": 7}}"`},
		{`[bool(cfg), bool(cfg.a.users["x.y"])]`, "[True, True]"},
		{`cfg.a.users["x.y"] == cfg.a.users["x.y"]`, "True"},
		{`[cfg.a.users["x.y"].limits == cfg.a.users["x.y"], cfg.a.users["x.y"] != cfg.a.users["x.y"].limits]`, "[False, True]"},
	}
	for _, test := range tests {
		r := resultOf(t, base+"-- web.star --\ndef config(cfg):\n    return {\"out\": "+test.expr+"}\n")
		if got := valueOf(r, "out"); got != test.want {
			t.Errorf("%s: got %s, want %s", test.expr, got, test.want)
		}
	}
}

func TestWrongReads(t *testing.T) {
	const base = "-- base.star --\noptions = {\"u\": option(types.submodule({\"a\": option(types.int, default = 1)}), default = {})}\n-- web.star --\ndef config(cfg):\n    return "
	tests := []struct{ expr, want string }{
		{"{cfg: 1}", "unhashable type: config"},
		{"{cfg.u: 1}", "unhashable type: attributes"},
		{"cfg.u < cfg.u", "attributes < attributes not implemented"},
		{"cfg.u[5]", "want the name of an option, got 5"},
		{"cfg.u['a.']", `"a." is no name of an option: labels, with dots between them, are wanted`},
		{"cfg.u.b", "there is no option u.b; did you mean \"u.a\"?"},
		{"cfg.u['a.b']", "u.a has no b"},
		{"[x for x in cfg.u]", "attributes value is not iterable"},
	}
	for _, test := range tests {
		if got := faultsOf(t, base+test.expr); !strings.HasSuffix(got, ": "+test.want+"\n") {
			t.Errorf("%s: got %s, want %s", test.expr, got, test.want)
		}
	}
}

// TestRuns counts how often config functions run: again only when an option changes that they read.
func TestRuns(t *testing.T) {
	p, modules := loadText(t, `-- base.star --
options = {name: option(types.int, default = 0) for name in ["a", "b", "c", "d"]}
-- a.star --
config = {"a": 1}
-- nothing.star --
def config(cfg):
    return {"d": override(2000, 5)}
-- b.star --
def config(cfg):
    return {"b": cfg.a + 1}
-- c.star --
def config(cfg):
    if cfg.a == 0:
        return {}
    return {"c": cfg.b}
-- waits.star --
def config(cfg):
    [1, 2][-cfg.b] if cfg.b < 2 else 0
    return {"d": cfg.c}
-- same.star --
def config(cfg):
    return {"d": override(1600, cfg.a // 100)}
`)
	r, faults := options.Evaluate(options.Request{Modules: modules, Interpreter: p})
	if len(faults) > 0 {
		t.Fatal(itemLines(faults))
	}
	if got := valueOf(r, "d"); got != "2" {
		t.Errorf("d is %s", got)
	}
	// b changes in the first round (to 1) and in the second (to 2), a in the first; c reads b only from the second on.
	want := map[string]int{"nothing.star": 1, "b.star": 2, "c.star": 3, "waits.star": 4, "same.star": 2}
	if diff := cmp.Diff(want, p.runs); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

// TestValuesReadAfterwards says that a function that keeps cfg does no harm.
func TestValuesReadAfterwards(t *testing.T) {
	p, modules := loadText(t, `-- base.star --
options = {"a": option(types.int, default = 0)}
-- web.star --
def config(cfg):
    return {"a": 5}
`)
	keeper := &keepingInterpreter{textProject: p}
	if _, faults := options.Evaluate(options.Request{Modules: modules, Interpreter: keeper}); len(faults) > 0 {
		t.Fatal(itemLines(faults))
	}
	v, err := keeper.cfg.(starlark.HasAttrs).Attr("a")
	if err != nil || options.Format(v) != "5" {
		t.Errorf("a is %v, %v", v, err)
	}
}

// TestFailureWithoutItems says that nothing is made of the definitions there are when an interpreter was stopped.
func TestFailureWithoutItems(t *testing.T) {
	p, modules := loadText(t, "def config(cfg):\n    return {}\n")
	r, faults := options.Evaluate(options.Request{Modules: modules, Interpreter: stoppedInterpreter{p}})
	if r != nil || len(faults) > 0 {
		t.Errorf("got %v, %v", r, faults)
	}
}

// TestOrderOfFaults says that faults come sorted by place, each once.
func TestOrderOfFaults(t *testing.T) {
	var b strings.Builder
	b.WriteString("-- base.star --\noptions = {\"n\": option(types.int)}\n")
	want := ""
	for i := range 5 {
		fmt.Fprintf(&b, "-- m%d.star --\n_bad = {\"n\": \"a\"}\nconfig = merge(_bad, _bad)\n", 4-i)
		want += fmt.Sprintf("m%d.star:1:9: option n: want an int, got the string \"a\"\n", i)
	}
	if diff := cmp.Diff(want, faultsOf(t, b.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
