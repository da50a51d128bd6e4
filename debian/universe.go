package debian

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// A universe is all packages of a suite that may be chosen. Records are named by their position.
type universe struct {
	records    []record
	names      map[string]int32 // the record with the highest version of a name; record.next leads to lower ones
	provided   map[string]int32 // the first of a virtual package's provisions; provision.next leads to the others
	provisions []provision
}

// A provision says that a record provides a virtual package, perhaps in a version.
type provision struct {
	record  int32
	next    int32
	version string
}

// newUniverse joins the records of pockets, given in the order of preference among equal versions.
func newUniverse(pockets [][]record) (*universe, error) {
	total := 0
	for _, records := range pockets {
		total += len(records)
	}
	u := &universe{
		records:  make([]record, 0, total),
		names:    make(map[string]int32, total),
		provided: make(map[string]int32, total),
	}
	for _, records := range pockets {
		for _, r := range records {
			if _, err := u.add(r); err != nil {
				return nil, err
			}
		}
	}
	return u, nil
}

// add enters a record and returns its position. Of equal versions of a name the first stays.
func (u *universe) add(r record) (int32, error) {
	i := int32(len(u.records))
	r.next = -1
	head, ok := u.names[r.name]
	if !ok {
		head = -1
	}
	before := int32(-1)
	at := head
	for at >= 0 {
		c := CompareVersions(r.version, u.records[at].version)
		if c == 0 && r.field(tagSHA256) == u.records[at].field(tagSHA256) {
			return at, nil
		}
		if c > 0 {
			break
		}
		before, at = at, u.records[at].next
	}
	r.next = at
	u.records = append(u.records, r)
	if before < 0 {
		u.names[r.name] = i
	} else {
		u.records[before].next = i
	}
	return i, u.provide(i)
}

func (u *universe) provide(i int32) error {
	text := u.records[i].field(tagProvides)
	if text == "" {
		return nil
	}
	for member := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(member) == "" {
			continue
		}
		p, err := parseRelation(member)
		if err != nil {
			return fmt.Errorf("read package %s %s: %v", u.records[i].name, u.records[i].version, err)
		}
		next, ok := u.provided[p.name]
		if !ok {
			next = -1
		}
		u.provided[p.name] = int32(len(u.provisions))
		u.provisions = append(u.provisions, provision{record: i, next: next, version: p.version})
	}
	return nil
}

// versions yields the records of a name, the highest version first.
func (u *universe) versions(name string) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		i, ok := u.names[name]
		for ok && i >= 0 && yield(i) {
			i = u.records[i].next
		}
	}
}

// providers yields the provisions of a virtual package, the latest record first.
func (u *universe) providers(name string) iter.Seq[provision] {
	return func(yield func(provision) bool) {
		i, ok := u.provided[name]
		for ok && i >= 0 && yield(u.provisions[i]) {
			i = u.provisions[i].next
		}
	}
}

// find returns the record of a name and version, -1 if there is none.
func (u *universe) find(name, version string) int32 {
	for i := range u.versions(name) {
		if u.records[i].version == version {
			return i
		}
	}
	return -1
}

// essentials returns the names of packages whose highest version is essential, sorted.
func (u *universe) essentials() []string {
	var names []string
	for i := range u.records {
		r := &u.records[i]
		if r.essential && u.names[r.name] == int32(i) {
			names = append(names, r.name)
		}
	}
	slices.Sort(names)
	return names
}

// nearest returns up to three names that name may have been meant to be, the nearest first.
func (u *universe) nearest(name string) []string {
	type near struct {
		name     string
		distance int
	}
	limit := max(1, len(name)/4)
	var found []near
	for candidate := range u.names {
		if d := distance(name, candidate, limit); d <= limit {
			found = append(found, near{candidate, d})
		}
	}
	slices.SortFunc(found, func(a, b near) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	names := make([]string, 0, 3)
	for _, n := range found[:min(3, len(found))] {
		names = append(names, n.name)
	}
	return names
}

// distance is the number of bytes to insert, delete, replace or swap with a neighbour that make a into b; or limit+1 if it
// is more than limit.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) > limit {
		return limit + 1
	}
	var before []int
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > limit {
			return limit + 1
		}
		before, above = above, row
	}
	return above[len(b)]
}
