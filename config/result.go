package config

import (
	"fmt"
	"slices"
	"strings"

	"nbuild/config/fault"
	"nbuild/config/options"
)

// A Result is what a project declares. It is immutable once Evaluate returned it.
type Result struct {
	Targets  []Target // sorted by name; a system "web" is there as "web", "web.iso", "web.squashfs", "web.vm" and "web.vm_with_bootloader"
	Systems  []System // sorted by name
	Warnings []Item   // of the systems' modules
	Reads    Reads
}

// A System is a system of the project with the values of its options.
type System struct {
	Name     string          // that of its target
	Position Position        // of the call that made it
	Options  *options.Result // of the system itself
	VM       *options.Result // of its virtual machine, which may have definitions of its own
}

// Lookup returns the target called name. Besides the names in Targets these are understood: "web.system" is "web";
// "hello.dev" is the output dev of hello; "theme" is the only theme; what is a theme or an image is its own attribute of that
// name, so "dark.theme" is dark; and "iso", "squashfs", "system", "vm" or "vm_with_bootloader" is the one of the only system,
// when there is only one.
//
// The error names what is alike, or what there is; it is of type *Error, with no position.
func (r *Result) Lookup(name string) (Target, error) {
	if t, ok := r.target(name); ok {
		return t, nil
	}
	if base, attribute, ok := cutLast(name, "."); ok {
		if t, ok := r.attribute(base, attribute); ok {
			return t, nil
		}
		if t, ok := r.target(base); ok {
			return Target{}, fault.New(Item{What: fmt.Sprintf("the target %q has no %q", base, attribute), Hint: "it has " + t.attributes()})
		}
	}
	if name == "theme" {
		return r.onlyTheme()
	}
	if slices.Contains(systemAttributes(), name) {
		return r.ofOnlySystem(name)
	}
	return Target{}, fault.New(Item{What: fmt.Sprintf("there is no target %q", name), Hint: r.hint(name)})
}

func (r *Result) target(name string) (Target, bool) {
	i, ok := slices.BinarySearchFunc(r.Targets, name, func(t Target, name string) int { return strings.Compare(t.Name, name) })
	if !ok {
		return Target{}, false
	}
	return r.Targets[i], true
}

// attribute looks up what hides behind a target: the system of a system, and the outputs of a derivation.
func (r *Result) attribute(base, attribute string) (Target, bool) {
	t, ok := r.target(base)
	switch {
	case !ok:
		return Target{}, false
	case t.Kind != KindDerivation && attribute == string(t.Kind):
		return t, true
	case t.Kind == KindDerivation && slices.Contains(t.Derivation.Outputs(), attribute):
		t.Name, t.Output = base+"."+attribute, attribute
		return t, true
	}
	return Target{}, false
}

// systemAttributes returns what can be built of a system, by the names of its attributes.
func systemAttributes() []string {
	return []string{"iso", "squashfs", "system", "vm", "vm_with_bootloader"}
}

func (t Target) attributes() string {
	switch t.Kind {
	case KindSystem:
		return strings.Join(systemAttributes(), ", ")
	case KindDerivation:
		return strings.Join(t.Derivation.Outputs(), ", ")
	}
	return string(t.Kind) + ", which is itself"
}

func (r *Result) ofOnlySystem(attribute string) (Target, error) {
	switch len(r.Systems) {
	case 0:
		return Target{}, fault.New(Item{
			What: fmt.Sprintf("there is no target %q, because the project declares no system", attribute),
			Hint: `declare one: web = system(name = "web")`,
		})
	case 1:
		if attribute == "system" {
			return r.Lookup(r.Systems[0].Name)
		}
		return r.Lookup(r.Systems[0].Name + "." + attribute)
	}
	var names []string
	for _, system := range r.Systems {
		names = append(names, system.Name+"."+attribute)
	}
	return Target{}, fault.New(Item{
		What: fmt.Sprintf("%q could be of any of %d systems", attribute, len(names)),
		Hint: "name one: " + strings.Join(names, ", "),
	})
}

// hint returns the names that are like name; when none is, and there are only a few, all that there are.
func (r *Result) hint(name string) string {
	var names []string
	for _, t := range r.Targets {
		names = append(names, t.Name)
	}
	hint := fault.DidYouMean(name, names)
	switch {
	case hint != "":
		return hint
	case len(names) == 0:
		return "the project declares none: a target is a global that holds a derivation or a system"
	case len(names) > 20:
		return fmt.Sprintf("the project has %d others", len(names))
	}
	return "the project has " + strings.Join(names, ", ")
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
