package options

import (
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

func TestIdentical(t *testing.T) {
	tests := []struct {
		x, y string
		want bool
	}{
		{"1", "1", true},
		{"1", "1.0", false},
		{"1", "True", false},
		{"'a'", "'a'", true},
		{"'a'", "'b'", false},
		{"None", "None", true},
		{"None", "0", false},
		{"[1, [2]]", "[1, [2]]", true},
		{"[1, [2]]", "[1, [2.0]]", false},
		{"[1]", "(1,)", false},
		{"(1, 2)", "(1, 2)", true},
		{"[1]", "[1, 2]", false},
		{"{'a': 1, 'b': [2]}", "{'a': 1, 'b': [2]}", true},
		{"{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", false},
		{"{'a': 1}", "{'a': 2}", false},
		{"{'a': 1}", "{'a': 1, 'b': 2}", false},
		{"force([1])", "force([1])", true},
		{"force([1])", "default([1])", false},
		{"when(True, 1)", "when(False, 1)", false},
		{"merge(1, 2)", "merge(1, 2)", true},
		{"merge(1, 2)", "merge(1)", false},
		{"secret('/a')", "secret('/a')", true},
		{"secret('/a')", "secret('/b')", false},
		{"float('nan')", "float('nan')", true},
	}
	for _, test := range tests {
		value := func(expr string) starlark.Value {
			v, err := starlark.EvalOptions(&syntax.FileOptions{}, &starlark.Thread{}, "x.star", expr, Functions())
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		x, y := value(test.x), value(test.y)
		if got := identical(x, y); got != test.want {
			t.Errorf("%s and %s: %t, want %t", test.x, test.y, got, test.want)
		}
		if identical(y, x) != identical(x, y) || !identical(x, x) || identical(x, nil) || identical(nil, x) {
			t.Errorf("%s and %s: not symmetric or reflexive, or equal to nothing", test.x, test.y)
		}
	}
	if !identical(nil, nil) {
		t.Error("nothing differs from nothing")
	}
}

// TestIdenticalEnds says that values in themselves, and those that hold the same value over and over, take no time.
func TestIdenticalEnds(t *testing.T) {
	cycle := func() *starlark.List {
		l := starlark.NewList(nil)
		if err := l.Append(l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	if identical(cycle(), cycle()) {
		t.Error("two lists in themselves are taken for the same")
	}
	doubled := func() starlark.Value {
		var v starlark.Value = starlark.MakeInt(1)
		for range 100 {
			v = starlark.NewList([]starlark.Value{v, v})
		}
		return v
	}
	if identical(doubled(), doubled()) {
		t.Error("two lists of 2^100 elements were compared")
	}
}
