package config

import (
	"encoding/json"
	"fmt"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"nbuild/config/options"
	"nbuild/derivations"
	"nbuild/internal/storepath"
)

// An input is a value of the project file that can be an input of a derivation. In a text it is its store path, or what
// stands for that while it isn't known.
type input interface {
	starlark.Value
	input() derivations.Input
	valid() bool // false for what a wrong call returned; input must not be called then
}

// A derivationValue is one output of a derivation, as the project file sees it.
type derivationValue struct {
	ev          *evaluator
	drv         *derivations.Derivation // nil when the call that should have made it was wrong
	output      string
	placeholder string   // empty until String is called for the first time
	position    Position // of the call
	kind        Kind
}

var (
	_ input               = (*derivationValue)(nil)
	_ options.StoreObject = (*derivationValue)(nil)
	_ starlark.HasAttrs   = (*derivationValue)(nil)
	_ starlark.HasBinary  = (*derivationValue)(nil)
)

// output returns a value for an output of drv.
func (ev *evaluator) output(drv *derivations.Derivation, output string, at Position, kind Kind) *derivationValue {
	return &derivationValue{ev: ev, drv: drv, output: output, position: at, kind: kind}
}

// wrong returns what stands for a derivation that could not be made.
func (ev *evaluator) wrong() *derivationValue { return &derivationValue{ev: ev} }

func (v *derivationValue) valid() bool { return v.drv != nil }

// Broken says that the call that should have made it was wrong.
func (v *derivationValue) Broken() bool { return !v.valid() }

func (v *derivationValue) input() derivations.Input { return v.drv.OutputReference(v.output) }

func (v *derivationValue) target(name string) Target {
	return Target{Name: name, Derivation: v.drv, Output: v.output, Position: v.position, Kind: v.kind}
}

// String returns the text that becomes the output's store path, and makes it known: it can come to be in another
// derivation's texts only this way.
func (v *derivationValue) String() string {
	if !v.valid() {
		return "(a derivation with a fault)"
	}
	if v.placeholder == "" {
		v.placeholder = v.drv.Placeholder(v.output)
		v.ev.inputs[hashPart(v.placeholder, storepath.PlaceholderPrefix)] = v.input()
	}
	return v.placeholder
}

// Type returns "derivation".
func (v *derivationValue) Type() string { return "derivation" }

// Freeze does nothing: the value never changes.
func (v *derivationValue) Freeze() {}

// Truth returns True.
func (v *derivationValue) Truth() starlark.Bool { return true }

// Hash lets derivations be keys of dictionaries.
func (v *derivationValue) Hash() (uint32, error) { return starlark.String(v.String()).Hash() }

// CompareSameType says that two values are equal when they are the same output of the same derivation.
func (v *derivationValue) CompareSameType(op syntax.Token, other starlark.Value, _ int) (bool, error) {
	w := other.(*derivationValue)
	same := v.valid() && w.valid() && v.drv.ID() == w.drv.ID() && v.output == w.output
	return equal(op, v, same)
}

func equal(op syntax.Token, v starlark.Value, same bool) (bool, error) {
	switch op {
	case syntax.EQL:
		return same, nil
	case syntax.NEQ:
		return !same, nil
	}
	return false, fmt.Errorf("two values of type %s have no order", v.Type())
}

// MarshalJSON lets json.encode write the text that stands for the path, and not all attributes.
func (v *derivationValue) MarshalJSON() ([]byte, error) { return json.Marshal(v.String()) }

// Attr returns the name, or another output.
func (v *derivationValue) Attr(name string) (starlark.Value, error) {
	switch {
	case !v.valid():
		if name == "name" {
			return starlark.String(""), nil
		}
		return v, nil
	case name == "name":
		return starlark.String(v.drv.Name()), nil
	case slices.Contains(v.drv.Outputs(), name):
		return v.ev.output(v.drv, name, v.position, v.kind), nil
	}
	return nil, nil // The interpreter makes an error of it that names what is alike.
}

// AttrNames returns "name" and the outputs.
func (v *derivationValue) AttrNames() []string {
	if !v.valid() {
		return nil
	}
	return append([]string{"name"}, v.drv.Outputs()...)
}

// Binary lets a derivation be added to a string: hello + "/bin/hello".
func (v *derivationValue) Binary(op syntax.Token, other starlark.Value, side starlark.Side) (starlark.Value, error) {
	return concatenate(v, op, other, side)
}

func concatenate(v input, op syntax.Token, other starlark.Value, side starlark.Side) (starlark.Value, error) {
	var text string
	switch other := other.(type) {
	case starlark.String:
		text = string(other)
	case input:
		text = other.String()
	default:
		return nil, nil // The interpreter makes an error of it that names the types.
	}
	switch {
	case op != syntax.PLUS:
		return nil, nil
	case side == starlark.Left:
		return starlark.String(v.String() + text), nil
	}
	return starlark.String(text + v.String()), nil
}

// A sourceValue is a file or folder of the project, put into the store.
type sourceValue struct {
	path storepath.Path // empty when the call that should have made it was wrong
}

var (
	_ input               = sourceValue{}
	_ options.StoreObject = sourceValue{}
	_ starlark.HasBinary  = sourceValue{}
)

func (ev *evaluator) source(path storepath.Path) sourceValue {
	ev.inputs[hashPart(string(path), storepath.Prefix)] = derivations.Input{Source: path}
	return sourceValue{path}
}

func (v sourceValue) valid() bool { return v.path != "" }

// Broken says that the call that should have made it was wrong.
func (v sourceValue) Broken() bool { return !v.valid() }

func (v sourceValue) input() derivations.Input { return derivations.Input{Source: v.path} }

// String returns the store path.
func (v sourceValue) String() string { return string(v.path) }

// MarshalJSON lets json.encode write the path.
func (v sourceValue) MarshalJSON() ([]byte, error) { return json.Marshal(v.path) }

// Type returns "source".
func (v sourceValue) Type() string { return "source" }

// Freeze does nothing: the value never changes.
func (v sourceValue) Freeze() {}

// Truth returns True.
func (v sourceValue) Truth() starlark.Bool { return true }

// Hash lets sources be keys of dictionaries.
func (v sourceValue) Hash() (uint32, error) { return starlark.String(v.path).Hash() }

// Binary lets a source be added to a string: source("web") + "/index.html".
func (v sourceValue) Binary(op syntax.Token, other starlark.Value, side starlark.Side) (starlark.Value, error) {
	return concatenate(v, op, other, side)
}
