package debian

import (
	"cmp"
	"slices"
)

// The solver chooses one record for each name so that every need is met and nothing chosen conflicts.
//
// Approach: what is asked for comes first, then everything that follows without a choice. Only when nothing more follows
// is the oldest open choice made: the first alternative that works, as APT does it. (APT makes each choice as it meets it,
// and so installs both x and y for "x | y" here and "y" there; here the latter decides the former.) When a need can't be
// met, the search goes back to the latest choice that had a part in that (conflict-directed backjumping) and takes the
// next alternative. A choice that had no part in it is not tried again, so that the time stays polynomial on real input;
// maxRetreats bounds it on other.
type solver struct {
	u          *universe
	only       map[string]int32 // names of which only this record may be chosen: pinned or locked
	recommends bool
	ignored    map[string]bool // needs that were given up, by identity

	chosen   map[string]*choice // by name
	trail    []*choice          // in the order in which they were chosen
	forbids  map[string][]forbid
	needs    []*need
	open     []int // needs that leave a choice
	settled  int   // needs before this one have been looked at
	levels   []decision
	retreats int
	first    *fault // what made the search go back the first time

	parsed map[int32]*relations
	broken error // a record whose relations can't be parsed
}

// relations are the parsed fields of a record that the solver looks at again and again.
type relations struct {
	provides  []relation
	conflicts []forbid // without their owner
}

// maxRetreats bounds how often the search goes back. Sets of real archives need less than ten.
const maxRetreats = 2000

// A need is a group of alternatives of which one must be chosen.
type need struct {
	owner   *choice // nil when it was asked for
	field   string  // Depends, …; or why there is no owner
	group   group
	options []int32 // the records that meet it, the preferred one first
	soft    bool    // a recommendation: left out when it can't be met
}

// A choice is a record that was chosen.
type choice struct {
	record  int32
	need    *need    // why
	reasons levelSet // the decisions it follows from
}

// A forbid says that owner conflicts with a name.
type forbid struct {
	owner    *choice
	relation relation
	field    string // Conflicts or Breaks
}

// A decision is a point to go back to.
type decision struct {
	need                  int // index in needs
	next                  int // the option to try when this one fails
	trail, needs, settled int
	open                  []int
	reasons               levelSet // why the options before failed
}

// A fault is a need that can't be met.
type fault struct {
	need    *need
	clashes []clash // for each option that can't be chosen
	reasons levelSet

	exhausted bool // a decision whose options all failed, each for a reason of its own
}

// A clash is a conflict between an option and what was chosen before.
type clash struct {
	option   int32
	with     *choice
	relation relation
	field    string
	byOption bool // the option declares the conflict
}

// solve chooses records for the needs. It returns the first fault instead when there is no solution.
func (s *solver) solve(asked []*need) *fault {
	s.chosen = map[string]*choice{}
	s.forbids = map[string][]forbid{}
	s.needs, s.trail, s.open, s.levels = nil, nil, nil, nil
	s.settled, s.retreats, s.first = 0, 0, nil
	for _, n := range asked {
		s.require(n)
	}
	for {
		f := s.follow()
		if f == nil {
			done := false
			if done, f = s.decide(); done {
				return nil
			}
		}
		if f != nil && !s.retreat(f) {
			return s.first
		}
	}
}

// require adds a need, unless it was given up.
func (s *solver) require(n *need) {
	if len(s.ignored) > 0 && s.ignored[n.identity(s.u)] {
		return
	}
	n.options = s.options(n.group)
	s.needs = append(s.needs, n)
}

// options returns the records that meet one of a group's relations, in APT's order: alternative by alternative; the
// package of that name, then those that provide it, essential and important ones first, of equals the latest in the index.
func (s *solver) options(g group) []int32 {
	var all []int32
	for _, r := range g {
		from := len(all)
		if i := s.candidate(r.name); i >= 0 && s.u.meets(i, r) && !slices.Contains(all, i) {
			all = append(all, i)
			from++
		}
		for p := range s.u.providers(r.name) {
			if s.candidate(s.u.records[p.record].name) == p.record && s.u.providesFor(p, r) && !slices.Contains(all, p.record) {
				all = append(all, p.record)
			}
		}
		slices.SortStableFunc(all[from:], func(a, b int32) int {
			return cmp.Compare(s.u.records[a].standing(), s.u.records[b].standing())
		})
	}
	return all
}

// candidate returns the only record of a name that may be chosen, -1 when there is none.
func (s *solver) candidate(name string) int32 {
	if i, ok := s.only[name]; ok {
		return i
	}
	if i, ok := s.u.names[name]; ok {
		return i
	}
	return -1
}

// meets reports whether the record i, which has the relation's name, satisfies it.
func (u *universe) meets(i int32, r relation) bool {
	return u.records[i].matchesArch(r.arch) && r.accepts(u.records[i].version)
}

// providesFor reports whether a provision satisfies a relation with its name. One without a version satisfies only a
// relation without one (Debian policy 7.5).
func (u *universe) providesFor(p provision, r relation) bool {
	if !u.records[p.record].matchesArch(r.arch) {
		return false
	}
	return r.op == "" || p.version != "" && r.accepts(p.version)
}

// matchesArch reports whether the record satisfies an architecture qualifier. "any" is for packages that allow it.
func (r *record) matchesArch(qualifier string) bool {
	switch qualifier {
	case "", architecture, "native":
		return true
	case "any":
		return r.field(tagMultiArch) == "allowed"
	}
	return false
}

// standing orders records that provide the same, the lowest first.
func (r *record) standing() int {
	if r.essential {
		return 0
	}
	priorities := []string{"required", "important", "standard", "optional"}
	if i := slices.Index(priorities, r.field(tagPriority)); i >= 0 {
		return 1 + i
	}
	return 1 + len(priorities)
}

// follow settles the needs that leave no choice, until none is left. It returns a fault when one can't be met.
func (s *solver) follow() *fault {
	for {
		for ; s.settled < len(s.needs); s.settled++ {
			n := s.needs[s.settled]
			if n.soft {
				s.open = append(s.open, s.settled) // After everything that must be.
				continue
			}
			if undecided, f := s.settle(n); f != nil {
				return f
			} else if undecided {
				s.open = append(s.open, s.settled)
			}
		}
		if progress, f := s.reconsider(); f != nil || !progress {
			return f
		}
	}
}

// reconsider looks again at needs that left a choice: what was chosen since may have met them or taken options away.
func (s *solver) reconsider() (progress bool, _ *fault) {
	kept := make([]int, 0, len(s.open))
	for i, at := range s.open {
		n := s.needs[at]
		if s.met(n) {
			continue
		}
		if n.soft || progress {
			kept = append(kept, at)
			continue
		}
		undecided, f := s.settle(n)
		if f != nil {
			s.open = append(kept, s.open[i:]...)
			return false, f
		}
		if undecided {
			kept = append(kept, at)
		} else {
			progress = true
		}
	}
	s.open = kept
	return progress, nil
}

func (s *solver) met(n *need) bool {
	return slices.ContainsFunc(n.options, s.isChosen)
}

func (s *solver) isChosen(i int32) bool {
	c := s.chosen[s.u.records[i].name]
	return c != nil && c.record == i
}

// settle meets a need that leaves one option, and reports whether it leaves several.
func (s *solver) settle(n *need) (undecided bool, _ *fault) {
	if s.met(n) {
		return false, nil
	}
	reasons := n.ownerReasons()
	viable := int32(-1)
	var clashes []clash
	for _, i := range n.options {
		if c, ok := s.clash(i); ok {
			clashes = append(clashes, c)
			reasons = reasons.union(c.with.reasons)
			continue
		}
		if viable >= 0 {
			return true, nil
		}
		viable = i
	}
	if viable < 0 {
		return false, &fault{need: n, clashes: clashes, reasons: reasons}
	}
	s.choose(viable, n, reasons)
	return false, nil
}

func (n *need) ownerReasons() levelSet {
	if n.owner == nil {
		return nil
	}
	return n.owner.reasons
}

// clash reports a conflict between record i and what was chosen before.
func (s *solver) clash(i int32) (clash, bool) {
	r := &s.u.records[i]
	for _, f := range s.forbids[r.name] {
		if s.u.meets(i, f.relation) {
			return clash{i, f.owner, f.relation, f.field, false}, true
		}
	}
	for _, p := range s.relations(i).provides {
		for _, f := range s.forbids[p.name] {
			if f.owner.record != i && providedMatches(p, f.relation) {
				return clash{i, f.owner, f.relation, f.field, false}, true
			}
		}
	}
	return s.ownClash(i)
}

// ownClash reports a conflict that record i itself declares.
func (s *solver) ownClash(i int32) (clash, bool) {
	for _, f := range s.relations(i).conflicts {
		r := f.relation
		if c := s.chosen[r.name]; c != nil && c.record != i && s.u.meets(c.record, r) {
			return clash{i, c, r, f.field, true}, true
		}
		for p := range s.u.providers(r.name) {
			if p.record != i && s.isChosen(p.record) && s.u.providesFor(p, r) {
				return clash{i, s.chosen[s.u.records[p.record].name], r, f.field, true}, true
			}
		}
	}
	return clash{}, false
}

func providedMatches(p, r relation) bool {
	return r.op == "" || p.version != "" && r.accepts(p.version)
}

// choose takes a record and adds what it needs.
func (s *solver) choose(i int32, n *need, reasons levelSet) {
	c := &choice{record: i, need: n, reasons: reasons}
	s.chosen[s.u.records[i].name] = c
	s.trail = append(s.trail, c)
	for _, f := range s.relations(i).conflicts {
		f.owner = c
		s.forbids[f.relation.name] = append(s.forbids[f.relation.name], f)
	}
	for _, field := range []struct {
		tag  byte
		name string
		soft bool
	}{{tagPreDepends, "Pre-Depends", false}, {tagDepends, "Depends", false}, {tagRecommends, "Recommends", true}} {
		if field.soft && !s.recommends {
			continue
		}
		for _, g := range s.groups(i, field.tag) {
			s.require(&need{owner: c, field: field.name, group: g, soft: field.soft})
		}
	}
}

// decide makes the oldest open choice. done is true when there is none.
func (s *solver) decide() (done bool, _ *fault) {
	at := slices.IndexFunc(s.open, func(i int) bool { return !s.needs[i].soft })
	if at < 0 {
		at = 0 // Recommendations, when all else is chosen.
	}
	if len(s.open) == 0 {
		return true, nil
	}
	i := s.open[at]
	s.open = slices.Delete(s.open, at, at+1)
	s.levels = append(s.levels, decision{
		need:    i,
		trail:   len(s.trail),
		needs:   len(s.needs),
		settled: s.settled,
		open:    slices.Clone(s.open),
	})
	return false, s.tryNext()
}

// tryNext takes the next option of the latest decision that works.
func (s *solver) tryNext() *fault {
	level := len(s.levels) - 1
	d := &s.levels[level]
	n := s.needs[d.need]
	for d.next < len(n.options) {
		i := n.options[d.next]
		d.next++
		c, clashes := s.clash(i)
		if !clashes {
			s.choose(i, n, n.ownerReasons().union(d.reasons).with(level))
			return nil
		}
		d.reasons = d.reasons.union(c.with.reasons)
	}
	if n.soft && d.next == len(n.options) {
		d.next++ // The last option of a recommendation is to do without.
		return nil
	}
	return &fault{need: n, reasons: d.reasons.union(n.ownerReasons()).without(level), exhausted: true}
}

// retreat goes back to the latest decision that had a part in the fault and takes its next option. It returns false when
// no decision had, or the search takes too long.
func (s *solver) retreat(f *fault) bool {
	for f != nil {
		if s.first == nil {
			s.first = f
		}
		level := f.reasons.highest()
		s.retreats++
		if level < 0 || s.retreats > maxRetreats {
			if level < 0 && !f.exhausted {
				s.first = f // No choice had a part in it: this is the plainest explanation.
			}
			return false
		}
		s.undo(level)
		d := &s.levels[level]
		d.reasons = d.reasons.union(f.reasons.without(level))
		f = s.tryNext()
	}
	return true
}

// undo takes back everything that was chosen from a decision on, but keeps the decision.
func (s *solver) undo(level int) {
	d := s.levels[level]
	s.levels = s.levels[:level+1]
	for _, c := range s.trail[d.trail:] {
		delete(s.chosen, s.u.records[c.record].name)
		for _, f := range s.relations(c.record).conflicts {
			list := s.forbids[f.relation.name]
			s.forbids[f.relation.name] = slices.DeleteFunc(slices.Clone(list), func(f forbid) bool { return f.owner == c })
		}
	}
	s.trail = s.trail[:d.trail]
	s.needs = s.needs[:d.needs]
	s.settled = d.settled
	s.open = slices.Clone(d.open)
}

// groups parses a field of a record. What can't be parsed ends up in s.broken.
func (s *solver) groups(i int32, tag byte) []group {
	groups, err := s.u.records[i].groups(tag)
	if err != nil && s.broken == nil {
		s.broken = err
	}
	return groups
}

// relations returns what a record provides, and what it conflicts with or breaks.
func (s *solver) relations(i int32) *relations {
	if known := s.parsed[i]; known != nil {
		return known
	}
	found := &relations{}
	for _, g := range s.groups(i, tagProvides) {
		found.provides = append(found.provides, g...)
	}
	for _, field := range []struct {
		tag  byte
		name string
	}{{tagConflicts, "Conflicts"}, {tagBreaks, "Breaks"}} {
		for _, g := range s.groups(i, field.tag) {
			for _, r := range g {
				if r.arch != "" && r.arch != "any" && r.arch != architecture {
					continue // Of an architecture that isn't here.
				}
				r.arch = ""
				found.conflicts = append(found.conflicts, forbid{relation: r, field: field.name})
			}
		}
	}
	s.parsed[i] = found
	return found
}

// identity tells needs apart, also from one run of the solver to the next.
func (n *need) identity(u *universe) string {
	if n.owner == nil {
		return n.field + ": " + n.group.String()
	}
	owner := &u.records[n.owner.record]
	return owner.name + " " + owner.version + " " + n.field + ": " + n.group.String()
}
