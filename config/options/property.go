package options

import (
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Priorities of definitions. Of several definitions those with the lowest number count.
const (
	priorityForce   = 50
	priorityPlain   = 100
	priorityDefault = 1000 // of default(x)
	priorityOption  = 1500 // of an option's own default
	maxPriority     = 9999
)

// Orders of definitions that are put together.
const (
	orderBefore = 500
	orderPlain  = 1000
	orderAfter  = 1500
)

// A wrapping is what a property says about what it is around.
type wrapping int

const (
	withPriority wrapping = iota
	withOrder
	withCondition
	several
)

// A property is a wrapper around a definition, or around several.
type property struct {
	wrapping wrapping
	number   int  // the priority or the order
	holds    bool // the condition
	values   []starlark.Value
	frozen   bool
}

var _ starlark.Comparable = (*property)(nil)

// Type returns "property".
func (p *property) Type() string { return "property" }

// Truth returns True.
func (p *property) Truth() starlark.Bool { return true }

// Hash says that there is none, as for lists.
func (p *property) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: property") }

// String returns the call that made the property.
func (p *property) String() string { return Format(p) }

// Freeze freezes what the property is around.
func (p *property) Freeze() {
	if p.frozen {
		return // Else properties that hold another one twice would take for ever.
	}
	p.frozen = true
	for _, v := range p.values {
		v.Freeze()
	}
}

// CompareSameType says that properties are equal that were made by equal calls.
func (p *property) CompareSameType(op syntax.Token, other starlark.Value, depth int) (bool, error) {
	q := other.(*property)
	if p.wrapping != q.wrapping || p.number != q.number || p.holds != q.holds {
		return equality(op, p, false)
	}
	same, err := starlark.EqualDepth(starlark.Tuple(p.values), starlark.Tuple(q.values), depth-1)
	if err != nil {
		return false, err
	}
	return equality(op, p, same)
}

// equality returns the outcome of a comparison of values that have no order.
func equality(op syntax.Token, v starlark.Value, same bool) (bool, error) {
	switch op {
	case syntax.EQL:
		return same, nil
	case syntax.NEQ:
		return !same, nil
	}
	return false, fmt.Errorf("%s %s %s not implemented", v.Type(), op, v.Type())
}

// call returns the name and the arguments but the values of the call that makes such a property.
func (p *property) call() (name string, arguments []starlark.Value) {
	switch {
	case p.wrapping == several:
		return "merge", nil
	case p.wrapping == withCondition:
		return "when", []starlark.Value{starlark.Bool(p.holds)}
	case p.wrapping == withOrder && p.number == orderBefore:
		return "before", nil
	case p.wrapping == withOrder:
		return "after", nil
	case p.number == priorityDefault:
		return "default", nil
	case p.number == priorityForce:
		return "force", nil
	}
	return "override", []starlark.Value{starlark.MakeInt(p.number)}
}

// Default returns a definition that counts as little as one that a module puts default() around.
func Default(v starlark.Value) starlark.Value {
	return &property{wrapping: withPriority, number: priorityDefault, values: []starlark.Value{v}}
}

// propertyFunctions returns the functions that make properties.
func propertyFunctions() map[string]builtin {
	return map[string]builtin{
		"default":  wrapper(withPriority, priorityDefault),
		"force":    wrapper(withPriority, priorityForce),
		"before":   wrapper(withOrder, orderBefore),
		"after":    wrapper(withOrder, orderAfter),
		"override": override,
		"when":     when,
		"merge":    merge,
	}
}

// wrapper returns a function of one value.
func wrapper(w wrapping, number int) builtin {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var v starlark.Value
		if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &v); err != nil {
			return nil, err
		}
		return &property{wrapping: w, number: number, values: []starlark.Value{v}}, nil
	}
}

func override(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var priority int
	var v starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 2, &priority, &v); err != nil {
		return nil, err
	}
	if priority < 0 || priority > maxPriority {
		return nil, fmt.Errorf("override: want a priority from 0 to %d, got %d", maxPriority, priority)
	}
	return &property{wrapping: withPriority, number: priority, values: []starlark.Value{v}}, nil
}

func when(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var condition, v starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 2, &condition, &v); err != nil {
		return nil, err
	}
	holds, ok := condition.(starlark.Bool)
	if !ok {
		return nil, fmt.Errorf("when: want True or False first, got %s", describe(condition))
	}
	return &property{wrapping: withCondition, holds: bool(holds), values: []starlark.Value{v}}, nil
}

func merge(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(kwargs) > 0 {
		return nil, fmt.Errorf("%s: takes no named arguments", b.Name())
	}
	return &property{wrapping: several, values: args}, nil
}
