package options

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// A node is a name in a tree of options: a group of options, or an option.
type node struct {
	name     string           // dotted, from the root
	children map[string]*node // of a group, by label
	option   *Option          // nil for a group
	index    int              // of the option in the tree
	broken   bool             // declared wrongly, which is reported: definitions of it are taken without a word
}

// A tree holds options by their names.
type tree struct {
	root    *node
	options []*Option // sorted by name
}

func newTree() *tree { return &tree{root: &node{children: map[string]*node{}}} }

// number gives the options their indices. No option may be declared afterwards.
func (t *tree) number() {
	t.options = nil
	nodes := slices.DeleteFunc(t.root.leaves(nil), func(n *node) bool { return n.option == nil })
	slices.SortFunc(nodes, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	for i, n := range nodes {
		n.index = i
		t.options = append(t.options, n.option)
	}
}

// find returns the option or group that labels lead to, and the labels behind an option. It returns nil and the group
// where the name leaves the tree when they lead to nothing.
func (n *node) find(labels []string) (found, last *node, rest []string) {
	for i, label := range labels {
		child := n.children[label]
		if child == nil {
			return nil, n, labels[i:]
		}
		n = child
		if n.children == nil {
			return n, n, labels[i+1:]
		}
	}
	return n, n, nil
}

// suggest returns a hint that names options or groups that may be meant by labels that lead from group n to nothing.
// prefix is the name that stands before n's.
//
// Approach: go on with the labels that exist, or else with those that look like them, from n only: names elsewhere that
// look alike are other things.
func (n *node) suggest(labels []string, prefix string) string {
	var names []string
	for _, found := range n.near(labels) {
		names = append(names, under(prefix, found.name))
	}
	slices.Sort(names)
	return fault.Suggest(names)
}

func (n *node) near(labels []string) []*node {
	if len(labels) == 0 || n.children == nil {
		return []*node{n}
	}
	if child := n.children[labels[0]]; child != nil {
		return child.near(labels[1:])
	}
	var found []*node
	for _, label := range fault.Nearest(labels[0], slices.Sorted(maps.Keys(n.children))) {
		child := n.children[label]
		if below := child.near(labels[1:]); len(below) > 0 {
			found = append(found, below...)
		} else {
			found = append(found, child)
		}
	}
	return found[:min(len(found), 3)]
}

// A declarer puts declarations into a tree.
type declarer struct {
	tree   *tree
	module *Module                                           // whose declarations these are; nil for a submodule's
	entry  func(d *starlark.Dict, key string) fault.Position // nil when nobody knows
	faults []fault.Item
}

// declare puts the declarations of a dictionary into the tree. at is where the dictionary is.
func (d *declarer) declare(v starlark.Value, at fault.Position) {
	d.group(nil, v, at)
}

func (d *declarer) complain(at fault.Position, what, hint string) {
	d.faults = append(d.faults, fault.Item{Position: at, What: what, Hint: hint})
}

func (d *declarer) group(labels []string, v starlark.Value, at fault.Position) {
	name := joinName(labels...)
	dict, ok := v.(*starlark.Dict)
	switch {
	case !ok && name == "":
		d.complain(at, "options: want a dictionary of options, got "+describe(v), "")
		return
	case !ok:
		d.complain(at, fmt.Sprintf("options: %s: want option(...) or a dictionary of options, got %s", name, describe(v)), "")
		d.insert(labels, &node{name: name, broken: true}, at)
		return
	case len(labels) > maxDepth:
		d.complain(at, fmt.Sprintf("options: the dictionary nests deeper than %d levels", maxDepth), "")
		return
	}
	for key, value := range dict.Entries() {
		d.entryOf(labels, dict, key, value, at)
	}
}

func (d *declarer) entryOf(labels []string, dict *starlark.Dict, key, value starlark.Value, at fault.Position) {
	name, ok := starlark.AsString(key)
	if !ok {
		d.complain(at, "options: want names for keys, got "+describe(key), "")
		return
	}
	written := d.entryPosition(dict, name)
	if written.Line > 0 {
		at = written
	}
	more, ok := parseName(name)
	if !ok || strings.Contains(name, `"`) { // Quotes are for keys of dictionaries: cfg."a.b" can't be read.
		d.complain(at, notAName(name), "")
		return
	}
	labels = append(slices.Clip(labels), more...)
	declared, ok := value.(*declaration)
	if !ok {
		d.group(labels, value, at)
		return
	}
	if written.Line == 0 && declared.position.Line > 0 {
		at = declared.position
	}
	option := declared.option
	option.Name, option.Position = joinName(labels...), at
	if d.module != nil {
		option.Module = d.module.Name
	}
	d.insert(labels, &node{name: option.Name, option: &option}, at)
}

func (d *declarer) entryPosition(dict *starlark.Dict, key string) fault.Position {
	if d.entry == nil {
		return fault.Position{}
	}
	return d.entry(dict, key)
}

func notAName(name string) string {
	return fmt.Sprintf("%q is no name of an option: labels, with dots between them, are wanted", name)
}

// insert puts an option into the tree, or what should have been one.
func (d *declarer) insert(labels []string, added *node, at fault.Position) {
	group := d.tree.root
	for i, label := range labels[:len(labels)-1] {
		child := group.children[label]
		if child == nil {
			child = &node{name: joinName(labels[:i+1]...), children: map[string]*node{}}
			group.children[label] = child
		}
		if child.children == nil {
			d.inside(added, child)
			return
		}
		group = child
	}
	last := labels[len(labels)-1]
	switch there := group.children[last]; {
	case there == nil:
		group.children[last] = added
	case added.option == nil, there.option == nil && there.children == nil:
		// One of them is no option, which is reported.
	case there.option != nil:
		d.complain(at, fmt.Sprintf("option %s is declared here and %s", added.name, declaredAt(there.option)), "rename one")
	default:
		for _, n := range there.leaves(nil) {
			d.inside(n, added)
		}
		group.children[last] = added
	}
}

// inside complains about an option whose name goes on behind another's. What is said about either may be meant for the
// other one.
func (d *declarer) inside(inner, outer *node) {
	outer.broken = true
	if inner.option == nil || outer.option == nil {
		return // One is no option, which is reported.
	}
	d.complain(inner.option.Position, fmt.Sprintf("option %s is inside of option %s, which is declared %s", inner.name, outer.name, declaredAt(outer.option)), "rename one")
}

// leaves adds the options of a group to others, in the order of their names.
func (n *node) leaves(to []*node) []*node {
	if n.children == nil {
		return append(to, n)
	}
	for _, label := range slices.Sorted(maps.Keys(n.children)) {
		to = n.children[label].leaves(to)
	}
	return to
}

func declaredAt(o *Option) string {
	if o.Position == (fault.Position{}) {
		return "in every system"
	}
	return "at " + o.Position.String()
}
