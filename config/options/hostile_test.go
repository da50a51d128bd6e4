package options_test

import (
	"strings"
	"testing"
)

const hostileBase = `-- base.star --
options = {
    "any": option(types.anything, default = None),
    "module": option(types.module, default = {}),
    "number": option(types.int, default = 0),
    "either": option(types.one_of(types.int, types.anything), default = 0),
}
-- web.star --
def _deep(n, wrap):
    v = 1
    for i in range(n):
        v = wrap(v)
    return v
def _cycle():
    v = []
    v.append(v)
    return v
def _cycle_of_two():
    v = {"a": 1}
    v["a"] = [v, v]
    return v
`

// TestHostileValues says that no value that a module can make fills the stack or the memory, or takes for ever.
func TestHostileValues(t *testing.T) {
	tests := []struct{ name, config, want string }{
		{"lists in each other", `{"any": _deep(3000, lambda v: [v])}`, "nests deeper than 1000 levels"},
		{"dictionaries in each other", `{"any": _deep(3000, lambda v: {"a": v})}`, "nests deeper than 1000 levels"},
		{"a list in itself", `{"any": _cycle()}`, "nests deeper than 1000 levels"},
		{"a dictionary twice in itself", `{"any": _cycle_of_two()}`, "nests deeper than 1000 levels"},
		{"a list twice in each other", `{"any": _deep(100, lambda v: [v, v])}`, "option any has more than 1000000 values"},
		{"merges in each other", `{"any": _deep(3000, lambda v: merge(v))}`, "config nests deeper than 1000 levels"},
		{"merges twice in each other", `{"any": _deep(100, lambda v: merge(v, v))}`, "has more than 1000000 values"},
		{"merges above options", `_deep(100, lambda v: merge(v, {"number": 1}, v))`, "has more than 1000000 values"},
		{"conditions in unknown options", `{"nothing": _deep(100, lambda v: {"x": v, "y": v} if v != 1 else when(False, 1))}`, "config has more than 1000000 values"},
		{"merges of unknown options", `{"nothing": _deep(100, lambda v: merge({"x": when(False, v)}, v))}`, "there is no option nothing"},
		{"priorities in each other", `{"number": _deep(3000, lambda v: force(v))}`, ""},
		{"of the wrong type", `{"number": _deep(3000, lambda v: [v, v])}`, "option number: want an int, got [[[["},
		{"a cycle of the wrong type", `{"number": _cycle_of_two()}`, `option number: want an int, got {"a": [{"a": [`},
		{"one of several types", `{"either": _deep(3000, lambda v: [v])}`, "nests deeper than 1000 levels"},
		{"raw definitions", `{"module": {"any": _cycle_of_two()}}`, "option module nests deeper than 1000 levels"},
		{"many raw definitions", `{"module": {"any": _deep(100, lambda v: [v, v])}}`, "option module has more than 1000000 values"},
	}
	for _, test := range tests {
		for _, body := range []string{"config = " + test.config, "def config(cfg):\n    cfg.warnings\n    return " + test.config} {
			t.Run(test.name, func(t *testing.T) {
				if test.want == "" {
					resultOf(t, hostileBase+body)
					return
				}
				got := faultsOf(t, hostileBase+body)
				if !strings.Contains(got, test.want) {
					t.Errorf("got %.300s, want %s", got, test.want)
				}
				if len(got) > 3000 {
					t.Errorf("the faults have %d bytes", len(got))
				}
			})
		}
	}
}

// TestManyFaultsOfOneOption says that a wrong list doesn't fill the screen for ever.
func TestManyFaultsOfOneOption(t *testing.T) {
	got := faultsOf(t, "options = {\"l\": option(types.list_of(types.int))}\nconfig = {\"l\": [str(i) for i in range(100000)]}\n")
	if n := strings.Count(got, "\n"); n != 100 {
		t.Errorf("%d faults, want 100", n)
	}
}

// TestDeepDeclarations says that dictionaries of options in each other are refused.
func TestDeepDeclarations(t *testing.T) {
	const text = `-- a.star --
def _deep(n):
    v = option(types.int)
    for i in range(n):
        v = {"a": v}
    return v
options = _deep(3000)
`
	if got, want := faultsOf(t, text), "options: the dictionary nests deeper than 1000 levels"; !strings.Contains(got, want) {
		t.Errorf("got %.300s, want %s", got, want)
	}
}
