package fault

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// DidYouMean returns a hint that names those of known that look like name, at most three, or "" when none does.
func DidYouMean(name string, known []string) string {
	return Suggest(Nearest(name, known))
}

// Suggest returns a hint that asks whether one of names is meant, or "" when there are none.
func Suggest(names []string) string {
	if len(names) == 0 {
		return ""
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return "did you mean " + strings.Join(quoted, " or ") + "?"
}

// Nearest returns those of known, three at most, that are as near to name as any and at most a third of its length (and
// one edit) away. A name that begins with name counts as near, because people leave out the end of long names.
func Nearest(name string, known []string) []string {
	type candidate struct {
		name  string
		edits int
	}
	limit := 1 + len(name)/3
	var found []candidate
	for _, k := range known {
		edits := distance(strings.ToLower(name), strings.ToLower(k))
		if len(name) >= 3 && strings.HasPrefix(k, name) {
			edits = min(edits, 2)
		}
		if edits <= limit {
			found = append(found, candidate{k, edits})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.edits, b.edits), cmp.Compare(a.name, b.name))
	})
	var names []string
	for _, c := range found {
		if len(names) < 3 && c.edits == found[0].edits {
			names = append(names, c.name)
		}
	}
	return names
}

// distance returns how many bytes must be put in, taken out, changed or swapped with their neighbour to get from a to b.
func distance(a, b string) int {
	// Only three rows of the table are needed: a swap looks back two.
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
