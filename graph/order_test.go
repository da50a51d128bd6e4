package graph

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrder(t *testing.T) {
	tests := []struct {
		name  string
		edges map[string][]string
		roots []string
		want  []string
		cycle []string
	}{
		{"empty", nil, nil, nil, nil},
		{"one", nil, []string{"a"}, []string{"a"}, nil},
		{"chain", map[string][]string{"a": {"b"}, "b": {"c"}}, []string{"a"}, []string{"c", "b", "a"}, nil},
		{"diamond", map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}, []string{"a"}, []string{"d", "b", "c", "a"}, nil},
		{"root named twice", nil, []string{"a", "a"}, []string{"a"}, nil},
		{"root below another", map[string][]string{"a": {"b"}}, []string{"a", "b"}, []string{"b", "a"}, nil},
		{"self", map[string][]string{"a": {"a"}}, []string{"a"}, nil, []string{"a", "a"}},
		{
			"cycle away from the root",
			map[string][]string{"a": {"b"}, "b": {"x", "c"}, "c": {"d"}, "d": {"b"}},
			[]string{"a"},
			nil,
			[]string{"b", "c", "d", "b"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Order(test.roots, func(n string) []string { return test.edges[n] }, func(n string) string { return n })
			var cycle *CycleError
			if errors.As(err, &cycle) != (test.cycle != nil) {
				t.Fatalf("Order returned the error %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
			if cycle != nil {
				if diff := cmp.Diff(test.cycle, cycle.Path); diff != "" {
					t.Errorf("path of the cycle (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestOrderOfRandomGraphs checks the promise itself: each node once, after all that it depends on; and every path that
// is called a cycle is one.
func TestOrderOfRandomGraphs(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 1 + r.IntN(30)
		edges := map[int][]int{}
		for range r.IntN(2 * n) {
			from := r.IntN(n)
			edges[from] = append(edges[from], r.IntN(n))
		}
		roots := make([]int, n)
		for i := range roots {
			roots[i] = i
		}
		order, err := Order(roots, func(n int) []int { return edges[n] }, strconv.Itoa)
		var cycle *CycleError
		if errors.As(err, &cycle) {
			checkCycle(t, cycle.Path, edges)
			continue
		}
		if err := checkOrder(order, edges, n); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func checkOrder(order []int, edges map[int][]int, n int) error {
	place := map[int]int{}
	for i, node := range order {
		place[node] = i
	}
	if len(place) != n || len(order) != n {
		return fmt.Errorf("order has %d nodes, %d different ones, want %d", len(order), len(place), n)
	}
	for from, tos := range edges {
		for _, to := range tos {
			if place[to] >= place[from] {
				return fmt.Errorf("%d comes before %d, which it depends on", from, to)
			}
		}
	}
	return nil
}

func checkCycle(t *testing.T, path []string, edges map[int][]int) {
	t.Helper()
	if len(path) < 2 || path[0] != path[len(path)-1] {
		t.Fatalf("path %v does not end where it begins", path)
	}
	for i := range len(path) - 1 {
		from, _ := strconv.Atoi(path[i])
		to, _ := strconv.Atoi(path[i+1])
		if !slices.Contains(edges[from], to) {
			t.Fatalf("path %v: there is no edge %d -> %d", path, from, to)
		}
	}
}

// A graph deeper than a goroutine's stack would like is no reason to fail.
func TestOrderIsNotRecursive(t *testing.T) {
	const depth = 1_000_000
	order, err := Order([]int{depth}, func(n int) []int {
		if n == 0 {
			return nil
		}
		return []int{n - 1}
	}, strconv.Itoa)
	if err != nil || len(order) != depth+1 || order[0] != 0 {
		t.Fatalf("Order returned %d nodes and %v", len(order), err)
	}
}
