package options

import (
	"fmt"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// An Option is the declaration of an option.
type Option struct {
	Name        string // dotted
	Description string
	Type        *Type
	Default     starlark.Value // nil: none
	Example     starlark.Value // nil: none
	Internal    bool           // not for users
	Position    fault.Position // of the declaration; the zero Position for options of every evaluation
	Module      string         // that declares it
}

// A declaration is what option() returns. The same one may declare several options.
type declaration struct {
	option   Option // without its name
	position fault.Position
}

func newOption(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var kind starlark.Value
	d := &declaration{position: callPosition(t)}
	err := starlark.UnpackArgs(b.Name(), args, kwargs,
		"type", &kind,
		"default?", &d.option.Default,
		"description?", &d.option.Description,
		"example?", &d.option.Example,
		"internal?", &d.option.Internal,
	)
	if err != nil {
		return nil, err
	}
	if d.option.Type, err = asType("option", kind); err != nil {
		return nil, err
	}
	for _, v := range []starlark.Value{d.option.Default, d.option.Example} {
		if v != nil {
			v.Freeze()
		}
	}
	return d, nil
}

// asType returns a type that is an argument of a function.
func asType(function string, v starlark.Value) (*Type, error) {
	switch v := v.(type) {
	case *Type:
		return v, nil
	case *starlark.Builtin:
		return nil, fmt.Errorf("%s: want a type, got the function %s; call it: %[2]s(...)", function, v.Name())
	}
	return nil, fmt.Errorf("%s: want a type such as types.str, got %s", function, describe(v))
}

// Type returns "option".
func (d *declaration) Type() string { return "option" }

// String returns "option(", the type and ")".
func (d *declaration) String() string { return fmt.Sprintf("option(%s)", d.option.Type) }

// Freeze does nothing: what can change is frozen when the option is made.
func (d *declaration) Freeze() {}

// Truth returns True.
func (d *declaration) Truth() starlark.Bool { return true }

// Hash says that there is none.
func (d *declaration) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: option") }
