package debian

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Request asks for packages and all that they need.
type Request struct {
	Suite      string   // trixie; its updates and security updates belong to it
	Packages   []string // "name" or "name=version", in any order
	Recommends bool     // with what they recommend, too
	Essential  bool     // with all essential packages, too: for a root that dpkg runs in
}

// normal returns the request in the form that the lock names it by: sorted, each package once.
func (r Request) normal() Request {
	r.Packages = slices.Clone(r.Packages)
	slices.Sort(r.Packages)
	r.Packages = slices.Compact(r.Packages)
	return r
}

// A ResolveError says why a request has no answer, in a sentence for each independent reason. What is asked for has to
// change, or the archive.
type ResolveError struct {
	Suite  string
	Faults []string
}

// Error returns a line for each fault.
func (e *ResolveError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		lines[i] = fmt.Sprintf("resolve packages of %s: %s", e.Suite, fault)
	}
	return strings.Join(lines, "\n")
}

// IsInput tells that the request is to blame, not nbuild.
func (e *ResolveError) IsInput() bool { return true }

// maxFaults bounds how many faults of a request are looked for.
const maxFaults = 10

// resolve finds the records for a request. only names the records of locked packages: these are preferred, but one that
// stands in the way of the request is let go, for this request alone.
func (u *universe) resolve(r Request, only map[string]int32) ([]int32, error) {
	asked, pins, faults := u.ask(r)
	if len(faults) > 0 {
		return nil, &ResolveError{r.Suite, faults}
	}
	only = maps.Clone(only)
	if only == nil {
		only = map[string]int32{}
	}
	maps.Copy(only, pins)
	s := &solver{u: u, only: only, recommends: r.Recommends, ignored: map[string]bool{}, parsed: map[int32]*relations{}}
	for {
		f := s.solve(asked)
		if s.broken != nil {
			return nil, s.broken
		}
		if f != nil && s.letGo(f, pins) {
			continue
		}
		if f != nil {
			faults = append(faults, s.explain(f))
			if s.ignored[f.need.identity(u)] || len(faults) == maxFaults {
				return nil, &ResolveError{r.Suite, faults}
			}
			s.ignored[f.need.identity(u)] = true // To find the faults that have nothing to do with it.
			continue
		}
		if len(faults) > 0 {
			return nil, &ResolveError{r.Suite, faults}
		}
		return s.result(), nil
	}
}

// ask makes the needs of a request, and finds the records that it pins by version.
func (u *universe) ask(r Request) (asked []*need, pins map[string]int32, faults []string) {
	pins = map[string]int32{}
	for _, text := range r.Packages {
		name, version, pinned := strings.Cut(text, "=")
		rel := relation{name: name}
		if fault := u.unknown(name); fault != "" {
			faults = append(faults, fault)
			continue
		}
		if pinned {
			rel.op, rel.version = "=", version
			i := u.find(name, version)
			if other, ok := pins[name]; ok {
				faults = append(faults, fmt.Sprintf("%s is asked for in two versions, %s and %s", name, u.records[other].version, version))
			}
			if i < 0 {
				faults = append(faults, fmt.Sprintf("%s has no version %s; the archive has %s", name, version, strings.Join(u.versionTexts(name), ", ")))
				continue
			}
			pins[name] = i
		}
		asked = append(asked, &need{field: "asked for", group: group{rel}})
	}
	if r.Essential {
		for _, name := range u.essentials() {
			asked = append(asked, &need{field: "essential", group: group{{name: name}}})
		}
	}
	return asked, pins, faults
}

func (u *universe) versionTexts(name string) []string {
	var all []string
	for i := range u.versions(name) {
		all = append(all, u.records[i].version)
	}
	return all
}

// unknown says why a name can't be asked for, "" when it can.
func (u *universe) unknown(name string) string {
	if _, ok := u.names[name]; ok {
		return ""
	}
	var providers []string
	for p := range u.providers(name) {
		if r := &u.records[p.record]; u.names[r.name] == p.record {
			providers = append(providers, r.name)
		}
	}
	slices.Sort(providers)
	providers = slices.Compact(providers)
	switch {
	case len(providers) == 1:
		return ""
	case len(providers) > 1:
		return fmt.Sprintf("%s is a virtual package; choose one of those that provide it: %s", name, strings.Join(providers, ", "))
	}
	if nearest := u.nearest(name); len(nearest) > 0 {
		return fmt.Sprintf("there is no package %s; the nearest names are %s", name, strings.Join(nearest, ", "))
	}
	return fmt.Sprintf("there is no package %s", name)
}

// letGo frees the locked packages that have a part in a fault, and reports whether there were any.
func (s *solver) letGo(f *fault, pins map[string]int32) bool {
	freed := false
	free := func(name string) {
		_, pinned := pins[name]
		i, locked := s.only[name]
		if locked && !pinned {
			delete(s.only, name)
			freed = freed || s.u.names[name] != i
		}
	}
	for _, r := range f.need.group {
		free(r.name)
		for p := range s.u.providers(r.name) {
			free(s.u.records[p.record].name)
		}
	}
	for _, c := range f.clashes {
		free(s.u.records[c.option].name)
		free(s.u.records[c.with.record].name)
	}
	if f.need.owner != nil {
		free(s.u.records[f.need.owner.record].name)
	}
	return freed
}

// result returns what was chosen, sorted by name.
func (s *solver) result() []int32 {
	all := make([]int32, 0, len(s.trail))
	for _, c := range s.trail {
		all = append(all, c.record)
	}
	slices.SortFunc(all, func(a, b int32) int { return strings.Compare(s.u.records[a].name, s.u.records[b].name) })
	return all
}

// explain says why a need can't be met: who has it, and what is wrong with each alternative.
func (s *solver) explain(f *fault) string {
	n := f.need
	var reasons []string
	for _, r := range n.group {
		reasons = append(reasons, s.explainRelation(r, f))
	}
	because := strings.Join(slices.Compact(reasons), "; ")
	if n.owner == nil {
		return fmt.Sprintf("%s (%s) can't be chosen: %s", n.group, n.field, because)
	}
	return fmt.Sprintf("%s -> %s: %s: %s", s.chain(n.owner), n.field, n.group, because)
}

func (s *solver) explainRelation(r relation, f *fault) string {
	var reasons []string
	for _, c := range f.clashes {
		record := &s.u.records[c.option]
		provides := slices.ContainsFunc(s.relations(c.option).provides, func(p relation) bool { return p.name == r.name })
		if record.name == r.name || provides {
			reasons = append(reasons, s.explainClash(c))
		}
	}
	if len(reasons) > 0 {
		return strings.Join(reasons, "; ")
	}
	var offers []string
	for i := range s.u.versions(r.name) {
		offers = append(offers, s.u.text(i))
	}
	for p := range s.u.providers(r.name) {
		offer := s.u.text(p.record) + ", which provides " + r.name
		if p.version != "" {
			offer += " " + p.version
		}
		offers = append(offers, offer)
	}
	switch {
	case len(offers) == 0:
		return "the archive has no package " + r.name
	case f.exhausted:
		return "none of its alternatives can be chosen together with the others"
	}
	return "the archive has only " + strings.Join(offers[:min(3, len(offers))], ", ")
}

func (s *solver) explainClash(c clash) string {
	from, to := s.u.text(c.option), s.u.text(c.with.record)
	if !c.byOption {
		from, to = to, from
	}
	kind := "conflicts with "
	if c.field == "Breaks" {
		kind = "breaks "
	}
	text := from + " " + kind + c.relation.String()
	if !strings.HasPrefix(to, c.relation.name+" ") {
		text += ", which " + to + " provides"
	}
	return fmt.Sprintf("%s, and %s is wanted: %s", text, s.u.records[c.with.record].name, s.chain(c.with))
}

// chain says how a choice follows from what was asked for: "a 1 (asked for) -> b 2 -> c 3".
func (s *solver) chain(c *choice) string {
	if c.need.owner == nil {
		return fmt.Sprintf("%s (%s)", s.u.text(c.record), c.need.field)
	}
	return s.chain(c.need.owner) + " -> " + s.u.text(c.record)
}

func (u *universe) text(i int32) string { return u.records[i].name + " " + u.records[i].version }
