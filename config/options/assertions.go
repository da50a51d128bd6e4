package options

import (
	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// The options that every evaluation has.
const (
	assertionsOption = "assertions"
	warningsOption   = "warnings"
)

// builtin declares the options that every evaluation has.
func (d *declarer) builtin() {
	assertion := declarer{tree: newTree()}
	assertion.insert([]string{"assertion"}, &node{name: "assertion", option: &Option{
		Name: "assertion", Type: &Type{boolType()}, Description: "What must be true.",
	}}, fault.Position{})
	assertion.insert([]string{"message"}, &node{name: "message", option: &Option{
		Name: "message", Type: &Type{strType()}, Description: "What is wrong when it is not true, and what to do then.",
	}}, fault.Position{})
	assertion.insert([]string{"option"}, &node{name: "option", option: &Option{
		Name: "option", Type: &Type{strType()}, Default: starlark.String(""),
		Description: "The option that it is about, by its name: the error is shown where that is defined.",
		Example:     starlark.String(`users.users.ann.groups[0]`),
	}}, fault.Position{})
	assertion.tree.number()
	d.insert([]string{assertionsOption}, &node{name: assertionsOption, option: &Option{
		Name:        assertionsOption,
		Type:        &Type{&listOf{&Type{&submodule{assertion.tree}}}},
		Default:     frozenList(),
		Description: "What must be true of the system. All that is not is an error, with its message.",
		Example:     frozenList(exampleAssertion()),
	}}, fault.Position{})
	d.insert([]string{warningsOption}, &node{name: warningsOption, option: &Option{
		Name:        warningsOption,
		Type:        &Type{&listOf{&Type{strType()}}},
		Default:     frozenList(),
		Description: "What users should know when the system is evaluated.",
	}}, fault.Position{})
}

func exampleAssertion() starlark.Value {
	example := starlark.NewDict(2)
	for _, entry := range [][2]starlark.Value{
		{starlark.String("assertion"), starlark.False},
		{starlark.String("message"), starlark.String("the firewall needs nftables")},
	} {
		if err := example.SetKey(entry[0], entry[1]); err != nil {
			panic(err) // A string can be a key, and nobody else has the dictionary.
		}
	}
	return example
}

func frozenList(values ...starlark.Value) *starlark.List {
	list := starlark.NewList(values)
	list.Freeze()
	return list
}

// failedAssertions returns the messages of the assertions that are not true.
func (ev *evaluation) failedAssertions() []fault.Item {
	list, ok := ev.value(assertionsOption).(*starlark.List)
	if !ok {
		return nil // It has faults of its own.
	}
	var items []fault.Item
	for v := range list.Elements() {
		a := v.(*attributes)
		assertion, message := a.child(a.group.children["assertion"]), a.child(a.group.children["message"])
		switch {
		case assertion == nil || message == nil:
			items = append(items, fault.Item{Position: a.at, What: "an assertion needs both assertion and message"})
		case assertion == starlark.False:
			about := a.child(a.group.children["option"]).(starlark.String)
			at := ev.place(string(about))
			if at.Line == 0 {
				at = a.at
			}
			items = append(items, fault.Item{Position: at, What: string(message.(starlark.String))})
		}
	}
	return items
}

// value returns the value of an option by its name.
func (ev *evaluation) value(name string) starlark.Value {
	return ev.states[ev.tree.root.children[name].index].value
}

// warnings returns what is no fault: definitions of unknown options, where that is allowed, and what modules warn of.
func (ev *evaluation) warnings() []fault.Item {
	var items []fault.Item
	for _, s := range ev.sources {
		items = append(items, s.warnings...)
	}
	for i := range ev.states {
		items = append(items, ev.states[i].warnings...)
	}
	m := &ev.merger
	o := ev.tree.root.children[warningsOption]
	var parts []part
	for _, d := range ev.states[o.index].definitions {
		parts = append(parts, d.part)
	}
	for _, p := range choose(parts) {
		values, _ := elementsOf(p.value)
		for _, e := range m.elements(&Type{strType()}, p, values, nil) {
			items = append(items, fault.Item{Position: p.at, What: string(e.value.(starlark.String))})
		}
	}
	return sorted(items)
}
