package options

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// A Type says what values an option takes, how several definitions become one value, and how that is described.
type Type struct {
	rules rules
}

// rules are those of one kind of types.
type rules interface {
	// merge returns the one value that parts make: at least one, without wrappers, all of the same priority, in order.
	// It returns nil, and m has the faults, when they don't fit.
	merge(m *merger, parts []part) starlark.Value
	noun() noun
	// submodules returns those that values are or hold, but for what is inside of these.
	submodules() []*submodule
}

// A noun is what the values of a type are called in prose.
type noun struct {
	one  string // "an int": what is wanted
	bare string // "int"
	many string // "ints"
}

// String describes the type in prose: "list of packages".
func (t *Type) String() string { return t.rules.noun().bare }

// Fields returns the options of the submodules that the type's values are or hold, sorted by name for each, or nil.
func (t *Type) Fields() []*Option {
	var fields []*Option
	for _, s := range t.rules.submodules() {
		fields = append(fields, s.tree.options...)
	}
	return fields
}

// Type returns "type".
func (t *Type) Type() string { return "type" }

// Freeze does nothing: types never change.
func (t *Type) Freeze() {}

// Truth returns True.
func (t *Type) Truth() starlark.Bool { return true }

// Hash says that there is none.
func (t *Type) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: type") }

// typeNames is the global types: its attributes are the types, and the functions that make some.
type typeNames starlark.StringDict

var _ starlark.HasAttrs = typeNames(nil)

// Type returns "types".
func (n typeNames) Type() string { return "types" }

// String returns "types".
func (n typeNames) String() string { return "types" }

// Freeze freezes the functions.
func (n typeNames) Freeze() { starlark.StringDict(n).Freeze() }

// Truth returns True.
func (n typeNames) Truth() starlark.Bool { return true }

// Hash says that there is none.
func (n typeNames) Hash() (uint32, error) { return 0, errors.New("unhashable type: types") }

// AttrNames returns the names of the types, sorted.
func (n typeNames) AttrNames() []string { return starlark.StringDict(n).Keys() }

// Attr returns a type or a function.
func (n typeNames) Attr(name string) (starlark.Value, error) {
	if v, ok := n[name]; ok {
		return v, nil
	}
	what := fmt.Sprintf("there is no type %q", name)
	if hint := fault.DidYouMean(name, n.AttrNames()); hint != "" {
		what += "; " + hint
	}
	return nil, errors.New(what)
}

// typeFunctions returns the attributes of types.
func typeFunctions() starlark.StringDict {
	members := starlark.StringDict{
		"bool":     &Type{boolType()},
		"int":      &Type{intType()},
		"unsigned": &Type{unsignedType()},
		"port":     &Type{portType()},
		"float":    &Type{floatType()},
		"str":      &Type{strType()},
		"lines":    &Type{lines{}},
		"path":     &Type{pathType()},
		"package":  &Type{packageType()},
		"secret":   &Type{secretType()},
		"anything": &Type{anything{}},
		"module":   &Type{moduleRules{}},
	}
	for name, function := range map[string]builtin{
		"enum":      enumType,
		"list_of":   compoundType(func(t *Type) rules { return &listOf{t} }),
		"attrs_of":  compoundType(func(t *Type) rules { return &attrsOf{t} }),
		"nullable":  compoundType(func(t *Type) rules { return &nullable{t} }),
		"one_of":    oneOfType,
		"submodule": submoduleType,
	} {
		members[name] = starlark.NewBuiltin("types."+name, function)
	}
	return members
}

// compoundType returns a function of one type.
func compoundType(of func(*Type) rules) builtin {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var v starlark.Value
		if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &v); err != nil {
			return nil, err
		}
		t, err := asType(b.Name(), v)
		if err != nil {
			return nil, err
		}
		return &Type{of(t)}, nil
	}
}

func oneOfType(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) == 0 || len(kwargs) > 0 {
		return nil, fmt.Errorf("%s: want types, as in types.one_of(types.int, types.str)", b.Name())
	}
	o := &oneOf{}
	for _, v := range args {
		t, err := asType(b.Name(), v)
		if err != nil {
			return nil, err
		}
		o.types = append(o.types, t)
	}
	return &Type{o}, nil
}

func submoduleType(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v *starlark.Dict
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &v); err != nil {
		return nil, err
	}
	d := declarer{tree: newTree()}
	d.declare(v, callPosition(t))
	if len(d.faults) > 0 {
		it := d.faults[0]
		it.Position = fault.Position{} // That of the call is shown anyway.
		return nil, fmt.Errorf("%s: %s", b.Name(), it)
	}
	d.tree.number()
	return &Type{&submodule{d.tree}}, nil
}
