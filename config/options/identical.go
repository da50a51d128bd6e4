package options

import (
	"slices"

	"go.starlark.net/starlark"
)

// maxCompared is how many values are compared before two are taken to be different. It stops comparisons of values that
// hold the same value over and over.
const maxCompared = maxValues

// identical reports whether nobody can tell two values apart, but for where they are written; either may be nil. Starlark's
// own comparison takes 1 and 1.0 for the same, and dictionaries whose entries have another order. Values that are huge or
// nest deep may be taken to be different.
func identical(x, y starlark.Value) bool {
	c := comparison{}
	return c.identical(x, y, 0)
}

// sameDefinitions reports whether two lists of definitions have the same effect, positions included.
func sameDefinitions(a, b []definition) bool {
	return slices.EqualFunc(a, b, func(a, b definition) bool {
		return a.priority == b.priority && a.order == b.order && a.at == b.at && identical(a.value, b.value)
	})
}

// A comparison counts the values that it compares.
type comparison struct{ compared int }

func (c *comparison) identical(x, y starlark.Value, depth int) bool {
	if c.compared++; c.compared > maxCompared || depth > 2*maxDepth {
		return false
	}
	switch x := x.(type) {
	case nil:
		return y == nil
	case starlark.String:
		y, ok := y.(starlark.String)
		return ok && x == y
	case *starlark.List:
		y, ok := y.(*starlark.List)
		return ok && (x == y || c.indexables(x, y, depth+1))
	case starlark.Tuple:
		y, ok := y.(starlark.Tuple)
		return ok && c.indexables(x, y, depth+1)
	case *starlark.Dict:
		y, ok := y.(*starlark.Dict)
		return ok && (x == y || c.dicts(x, y, depth+1))
	case *attributes:
		y, ok := y.(*attributes)
		return ok && (x == y || x.group == y.group && c.values(x.values, y.values, depth+1))
	case *property:
		y, ok := y.(*property)
		return ok && (x == y || x.wrapping == y.wrapping && x.number == y.number && x.holds == y.holds && c.values(x.values, y.values, depth+1))
	case starlark.NoneType, starlark.Bool, starlark.Int, starlark.Float, starlark.Bytes, secret, StoreObject:
		return y != nil && x.Type() == y.Type() && equal(x, y)
	}
	return x == y // Functions and what else is no data.
}

func (c *comparison) indexables(x, y starlark.Indexable, depth int) bool {
	if x.Len() != y.Len() {
		return false
	}
	for i := range x.Len() {
		if !c.identical(x.Index(i), y.Index(i), depth) {
			return false
		}
	}
	return true
}

func (c *comparison) values(x, y []starlark.Value, depth int) bool {
	return slices.EqualFunc(x, y, func(x, y starlark.Value) bool { return c.identical(x, y, depth) })
}

// dicts compares entries in their order.
func (c *comparison) dicts(x, y *starlark.Dict, depth int) bool {
	if x.Len() != y.Len() {
		return false
	}
	ys := y.Iterate()
	defer ys.Done()
	for key, v := range x.Entries() {
		var other starlark.Value
		if !ys.Next(&other) || !c.identical(key, other, depth) {
			return false
		}
		w, _, err := y.Get(other)
		if err != nil || !c.identical(v, w, depth) {
			return false
		}
	}
	return true
}
