package options_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config/fault"
)

// each calls check for the model of every seed, together with the same model again, which check may change.
func each(t *testing.T, check func(t *testing.T, m, same *model, random *rand.Rand)) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			choices := randomChoices(seed)
			check(t, generate(choices), generate(choices), rand.New(rand.NewPCG(seed, 2)))
		})
	}
}

// placeless returns faults without their places and modules, each once.
func placeless(faults []naiveFault) []naiveFault {
	var all []naiveFault
	for _, f := range faults {
		f.at = fault.Position{}
		all = append(all, f)
	}
	slices.SortFunc(all, naiveFault.compare)
	return slices.Compact(all)
}

// The order of modules says only in which order lists and lines are put together, and which of two places of a fault is
// the later one.
func TestOrderOfModulesDoesNotMatter(t *testing.T) {
	each(t, func(t *testing.T, m, shuffled *model, random *rand.Rand) {
		if contradictory(m) {
			return // Which declaration counts depends on the order.
		}
		random.Shuffle(len(shuffled.modules), func(i, j int) {
			shuffled.modules[i], shuffled.modules[j] = shuffled.modules[j], shuffled.modules[i]
		})
		want, got := evaluateModel(t, m), evaluateModel(t, shuffled)
		if diff := cmp.Diff(ordered(want.faults), ordered(got.faults), allowUnexported); diff != "" {
			t.Errorf("faults (-before +shuffled):\n%s\n%s", diff, shuffled)
		}
		if diff := cmp.Diff(unordered(want.values), unordered(got.values), allowUnexported); diff != "" {
			t.Errorf("values (-before +shuffled):\n%s\n%s", diff, shuffled)
		}
	})
}

// ordered returns placeless faults without the conflicts of options that have wrong types as well: conflicts are told only
// of definitions that are of a type that the first one is of.
func ordered(faults []naiveFault) []naiveFault {
	return slices.DeleteFunc(placeless(faults), func(f naiveFault) bool {
		return f.kind == "conflict" && slices.ContainsFunc(faults, func(g naiveFault) bool { return g.kind == "type" && g.option == f.option })
	})
}

// contradictory reports whether options of m are declared twice, or one inside another.
func contradictory(m *model) bool {
	var all []*modelOption
	for _, mod := range m.modules {
		for _, o := range mod.options {
			if slices.ContainsFunc(all, func(p *modelOption) bool { return overlap(o, p) }) {
				return true
			}
			all = append(all, o)
		}
	}
	return false
}

// unordered returns a value with its lists and lines sorted.
func unordered(v any) any {
	switch v := v.(type) {
	case string:
		lines := strings.Split(v, "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, unordered(e))
		}
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprintf("%#v", a), fmt.Sprintf("%#v", b)) })
		return list
	case map[string]any:
		return unorderedParts(v)
	case attributes:
		return attributes(unorderedParts(v))
	}
	return v
}

func unorderedParts(parts map[string]any) map[string]any {
	all := map[string]any{}
	for key, v := range parts {
		all[key] = unordered(v)
	}
	return all
}

// shortened returns placeless faults, and of unknown names only what leads to where they leave the tree of options: how
// much of the rest is known depends on the spelling.
func (m *model) shortened(faults []naiveFault) []naiveFault {
	for i, f := range faults {
		path := labels(f.option)
		for n := range path {
			if f.kind == "unknown" && !m.isGroup(path[:n]) {
				faults[i].option = dotted(path[:n])
				break
			}
		}
	}
	return placeless(faults)
}

// sameEvaluated wants two models to have the same values, faults and ranks of definitions.
func sameEvaluated(t *testing.T, m, changed *model) {
	t.Helper()
	want, got := evaluateModel(t, m), evaluateModel(t, changed)
	if diff := cmp.Diff(m.shortened(want.faults), m.shortened(got.faults), allowUnexported); diff != "" {
		t.Errorf("faults (-before +changed):\n%s\n%s\n%s", diff, m, changed)
	}
	if diff := cmp.Diff(want.values, got.values, allowUnexported); diff != "" {
		t.Errorf("values (-before +changed):\n%s\n%s\n%s", diff, m, changed)
	}
	ranks := func(definitions map[string][]string) map[string][]string {
		all := map[string][]string{}
		for name, ds := range definitions {
			for _, d := range ds {
				_, rank, _ := strings.Cut(d, " ")
				all[name] = append(all[name], rank)
			}
		}
		return all
	}
	if diff := cmp.Diff(ranks(want.definitions), ranks(got.definitions)); diff != "" {
		t.Errorf("definitions (-before +changed):\n%s\n%s\n%s", diff, m, changed)
	}
}

// A module and the same module in two files mean the same.
func TestModuleMayBeSplit(t *testing.T) {
	each(t, func(t *testing.T, m, split *model, random *rand.Rand) {
		i := random.IntN(len(split.modules))
		first, second := split.modules[i], *split.modules[i]
		second.name, second.options = "second.star", nil
		if !split.modules[i].halve(&second, random) {
			return
		}
		split.modules = slices.Insert(split.modules, i+1, &second)
		n := random.IntN(len(first.options) + 1)
		first.options, second.options = first.options[:n], first.options[n:]
		sameEvaluated(t, m, split)
	})
}

// halve moves the last of the definitions of a module to another, which runs the same statements.
func (m *modelModule) halve(to *modelModule, random *rand.Rand) bool {
	switch result := m.result.(type) {
	case *wrapExpr:
		n := random.IntN(len(result.arguments) + 1)
		m.result = &wrapExpr{name: "merge", arguments: result.arguments[:n]}
		to.result = &wrapExpr{name: "merge", arguments: result.arguments[n:]}
	case *dictExpr:
		n := random.IntN(len(result.entries) + 1)
		m.result, to.result = &dictExpr{entries: result.entries[:n]}, &dictExpr{entries: result.entries[n:]}
	default:
		return false
	}
	return true
}

// Dotted names and dictionaries in each other mean the same.
func TestSpellingDoesNotMatter(t *testing.T) {
	spellings := map[string]func(path []string, value expr) *dictExpr{
		"dotted": func(path []string, value expr) *dictExpr {
			return &dictExpr{entries: []*entryExpr{{key: dotted(path), value: value}}}
		},
		"nested": func(path []string, value expr) *dictExpr {
			for i := len(path) - 1; i > 0; i-- {
				value = &dictExpr{entries: []*entryExpr{{key: dotted(path[i : i+1]), value: value}}}
			}
			return &dictExpr{entries: []*entryExpr{{key: dotted(path[:1]), value: value}}}
		},
	}
	for name, spell := range spellings {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, m, respelled *model, _ *rand.Rand) {
				for _, mod := range respelled.modules {
					if mod.result == nil || mod.result == (literalExpr{}) {
						continue
					}
					var all []*dictExpr
					for _, d := range respelled.flatten(nil, mod.result) {
						all = insert(all, spell(d.path, d.value))
					}
					mod.result = mergeAll(all)
				}
				sameEvaluated(t, m, respelled)
			})
		})
	}
}

// A flatDefinition is a definition of an option, or of something that isn't one.
type flatDefinition struct {
	path  []string
	value expr
}

// flatten takes apart what defines groups of options.
func (m *model) flatten(path []string, e expr) []flatDefinition {
	if !m.isGroup(path) {
		return []flatDefinition{{path, e}}
	}
	var all []flatDefinition
	switch e := e.(type) {
	case *dictExpr:
		for _, en := range e.entries {
			all = append(all, m.flatten(append(slices.Clone(path), labels(en.key)...), en.value)...)
		}
		return all
	case *wrapExpr:
		for _, argument := range e.arguments {
			for _, d := range m.flatten(path, argument) {
				w := *e
				w.arguments = []expr{d.value}
				all = append(all, flatDefinition{d.path, &w})
			}
		}
		return all
	}
	return []flatDefinition{{path, e}}
}

// isGroup reports whether m has options whose names begin with the path, and none of which it is a part.
func (m *model) isGroup(path []string) bool {
	group := false
	for _, mod := range m.modules {
		for _, o := range mod.options {
			switch shared := min(len(path), len(o.path)); {
			case !slices.Equal(o.path[:shared], path[:shared]):
			case len(o.path) <= len(path):
				return false
			default:
				group = true
			}
		}
	}
	return group
}
