// Package graph has the build graph in two halves: the plan, which is pure, and the executor, which realises a plan and
// tells what happens in one stream of events. It knows derivations and the store, and builders only as an interface.
package graph

import (
	"slices"
	"strings"
)

// A CycleError is the path of a cycle: each node depends on the next, the last is the first again.
type CycleError struct{ Path []string }

// Error shows the whole path.
func (e *CycleError) Error() string { return "dependency cycle: " + strings.Join(e.Path, " -> ") }

// Order returns everything that can be reached from roots, each node after all that it depends on.
// The order depends on the arguments alone. It returns a *CycleError, with nodes named by name, if there is a cycle.
func Order[N comparable](roots []N, dependencies func(N) []N, name func(N) string) ([]N, error) {
	// Approach: depth first, on a stack of our own, as a graph may be deeper than is good for the goroutine's;
	// a node is open while what it depends on is visited, and meeting an open node again is a cycle.
	type frame struct {
		node N
		deps []N
	}
	var order []N
	var stack []frame
	open, done := map[N]bool{}, map[N]bool{}
	push := func(n N) {
		open[n] = true
		stack = append(stack, frame{n, dependencies(n)})
	}
	for _, root := range roots {
		if done[root] {
			continue
		}
		push(root)
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.deps) == 0 {
				open[top.node], done[top.node] = false, true
				order = append(order, top.node)
				stack = stack[:len(stack)-1]
				continue
			}
			next := top.deps[0]
			top.deps = top.deps[1:]
			if open[next] {
				first := slices.IndexFunc(stack, func(f frame) bool { return f.node == next })
				var path []string
				for _, f := range stack[first:] {
					path = append(path, name(f.node))
				}
				return nil, &CycleError{append(path, name(next))}
			}
			if !done[next] {
				push(next)
			}
		}
	}
	return order, nil
}
