package options

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"nbuild/config/fault"
)

// An attributes is the final value of a submodule, or of a group of options: u.shell or u["shell"].
type attributes struct {
	name   string           // of the submodule's value
	group  *node            // the options that these are
	values []starlark.Value // of all options of the tree by index; nil is undefined
	at     fault.Position   // of the first definition
}

var (
	_ starlark.HasAttrs   = (*attributes)(nil)
	_ starlark.Mapping    = (*attributes)(nil)
	_ starlark.Comparable = (*attributes)(nil)
)

// Type returns "attributes".
func (a *attributes) Type() string { return "attributes" }

// Truth returns True.
func (a *attributes) Truth() starlark.Bool { return true }

// Freeze does nothing: the values are frozen.
func (a *attributes) Freeze() {}

// Hash says that there is none, as for dictionaries.
func (a *attributes) Hash() (uint32, error) { return 0, errors.New("unhashable type: attributes") }

// String returns the defined attributes as a dictionary is written.
func (a *attributes) String() string { return Format(a) }

// AttrNames returns the names that are declared, sorted.
func (a *attributes) AttrNames() []string { return slices.Sorted(maps.Keys(a.group.children)) }

// Attr returns the value of an option, or a group of options. It is an error that an option has no value.
func (a *attributes) Attr(label string) (starlark.Value, error) {
	child := a.group.children[label]
	if child == nil {
		return nil, noOption(a.group, []string{label}, a.name)
	}
	v := a.child(child)
	if v == nil {
		return nil, &UndefinedError{Name: under(a.name, child.name), Inside: a.at}
	}
	return v, nil
}

// child returns the value of a child of the group, or nil when it is undefined.
func (a *attributes) child(child *node) starlark.Value {
	switch {
	case child.option != nil:
		return a.values[child.index]
	case child.children == nil: // It was declared wrongly.
		return nil
	}
	return &attributes{name: a.name, group: child, values: a.values, at: a.at}
}

// Get returns what a dotted name leads to.
func (a *attributes) Get(key starlark.Value) (v starlark.Value, found bool, err error) {
	name, ok := starlark.AsString(key)
	if !ok {
		return nil, false, fmt.Errorf("want the name of an option, got %s", describe(key))
	}
	labels, ok := parseName(name)
	if !ok {
		return nil, false, errors.New(notAName(name))
	}
	v, err = descend(a, a.name, labels)
	return v, err == nil, err
}

// CompareSameType compares what is defined.
func (a *attributes) CompareSameType(op syntax.Token, other starlark.Value, depth int) (bool, error) {
	b := other.(*attributes)
	if a.group != b.group {
		return equality(op, a, false)
	}
	for i, v := range a.values {
		w := b.values[i]
		if v == nil || w == nil {
			if (v == nil) != (w == nil) {
				return equality(op, a, false)
			}
			continue
		}
		if same, err := starlark.EqualDepth(v, w, depth-1); err != nil {
			return false, err
		} else if !same {
			return equality(op, a, false)
		}
	}
	return equality(op, a, true)
}

// entries calls yield with what is defined, sorted by name, as in a dictionary.
func (a *attributes) entries(yield func(k, v starlark.Value) bool) {
	for _, label := range a.AttrNames() {
		if v := a.child(a.group.children[label]); v != nil && !yield(starlark.String(label), v) {
			return
		}
	}
}

// descend returns what labels lead to inside of a value; name is the value's.
func descend(v starlark.Value, name string, labels []string) (starlark.Value, error) {
	for i, label := range labels {
		inner, err := inside(v, label)
		if err != nil {
			return nil, err
		}
		if inner == nil {
			return nil, fmt.Errorf("%s has no %s", name, joinName(labels[i:]...))
		}
		v, name = inner, under(name, quoteLabel(label))
	}
	return v, nil
}

// inside returns what a label leads to inside of a value, or nil when there is nothing.
func inside(v starlark.Value, label string) (starlark.Value, error) {
	switch v := v.(type) {
	case *attributes:
		return v.Attr(label)
	case *starlark.Dict:
		if inner, found, err := v.Get(starlark.String(label)); found {
			return inner, err
		}
	}
	return nil, nil
}

// noOption is the error of a read of an option that nobody declares: labels lead from the group to nothing. prefix is
// the name that stands before the group's.
func noOption(group *node, labels []string, prefix string) error {
	it := fault.Item{
		What: "there is no option " + under(prefix, under(group.name, joinName(labels...))),
		Hint: group.suggest(labels, prefix),
	}
	return errors.New(it.String())
}

// An UndefinedError is the error of a read of an option that has no value.
type UndefinedError struct {
	Name   string
	Inside fault.Position // where the submodule's value is defined that the option is missing in; zero for other options
}

// Error says what is wrong at the place of the reader.
func (e *UndefinedError) Error() string {
	return fmt.Sprintf("option %s is read here, but nothing defines it; define it in one of the modules, by what does not read it", e.Name)
}
