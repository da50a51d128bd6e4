package config

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"nbuild/config/fault"
	"nbuild/config/options"
)

// BuiltinOptions returns the options that nbuild's own modules declare, sorted by name. It reads no project.
func BuiltinOptions(ctx context.Context) ([]*options.Option, error) {
	ev := newEvaluator(ctx, Project{})
	names, err := builtinModules()
	if err != nil {
		return nil, err
	}
	list := moduleList{ev: ev, seen: map[any]bool{}}
	for _, name := range names {
		list.addFile(name, Position{})
	}
	for i := range list.modules {
		list.modules[i].Config = nil // What they define is of no interest, and may want a project.
	}
	r, faults := options.Evaluate(options.Request{Modules: list.modules, Interpreter: moduleInterpreter{ev}})
	if faults = append(ev.items, faults...); len(faults) > 0 {
		return nil, fault.New(faults...)
	}
	return r.Options(), nil
}

// Options returns the options that the systems of a project declare, those of nbuild's own modules once for each system.
func (r *Result) Options() []*options.Option {
	var all []*options.Option
	for _, system := range r.Systems {
		all = append(all, system.Options.Options()...)
	}
	return all
}

// OptionsOf returns the options of what is called name: a system ("web" or "web.system"), its virtual machine ("web.vm"),
// or the one of the only system ("", "system", "vm"). The error is of type *Error, with no position.
func (r *Result) OptionsOf(name string) (*options.Result, error) {
	base, attribute := name, "system"
	if b, a, ok := cutLast(name, "."); ok && (a == "system" || a == "vm") {
		base, attribute = b, a
	}
	if i := slices.IndexFunc(r.Systems, func(s System) bool { return s.Name == base }); i >= 0 {
		return r.Systems[i].options(attribute), nil
	}
	if name != "" && name != "system" && name != "vm" {
		var names []string
		for _, s := range r.Systems {
			names = append(names, s.Name)
		}
		return nil, fault.New(Item{What: fmt.Sprintf("there is no system %q", name), Hint: fault.DidYouMean(name, names)})
	}
	only, err := r.ofOnlySystem(cmp.Or(name, "system"))
	if err != nil {
		return nil, err
	}
	return r.OptionsOf(only.Name)
}

func (s System) options(attribute string) *options.Result {
	if attribute == "vm" {
		return s.VM
	}
	return s.Options
}

// Find takes the arguments of a command that shows options: a system, or an option of the only one, or both.
func (r *Result) Find(args []string) (of *options.Result, option string, err error) {
	if len(args) == 2 {
		of, err = r.OptionsOf(args[0])
		return of, args[1], err
	}
	name := strings.Join(args, "")
	if of, err = r.OptionsOf(name); err == nil {
		return of, "", nil
	}
	of, err = r.OptionsOf("")
	return of, name, err
}
