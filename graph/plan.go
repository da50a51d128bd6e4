package graph

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// Outputs are the store paths of a realised derivation by output name.
type Outputs map[string]storepath.Path

// A Lookup answers what the outputs of a derivation are, if it is realised and they are valid. It is the plan's only
// window to the store, so that the plan itself stays pure.
type Lookup func(digest.DerivationID) (Outputs, bool, error)

// A Plan is the part of the graph that has to be looked at: derivations that aren't known to be realised, and how they
// depend on each other.
type Plan struct {
	Steps []*Step // dependencies first
	Known map[digest.DerivationID]Outputs
}

// A Step is a derivation to realise.
type Step struct {
	Derivation *derivations.Derivation
	Estimate   time.Duration // how long it took last time, or a guess

	// CriticalPath is the estimated time from the start of this step until the targets are done.
	CriticalPath time.Duration

	// Cores is how many processors the step may use. It is set when the step starts.
	Cores int

	needs      []*Step // steps that must be done before
	dependents []*Step
}

// Name returns the name of the step's derivation.
func (s *Step) Name() string { return s.Derivation.Name() }

// IsDownload reports whether the step gets a file from outside: its output is fixed and it needs nothing that is built.
func (s *Step) IsDownload() bool {
	return s.Derivation.Fixed() != nil && len(s.Derivation.Inputs()) == 0
}

// guess stands in for the duration of a derivation that never ran: that of a small build.
const guess = 50 * time.Millisecond

// NewPlan asks lookup from the targets downwards and stops where it knows the answer, so that a target that is realised
// costs one question, however large the graph below it.
func NewPlan(targets []*derivations.Derivation, lookup Lookup) (*Plan, error) {
	p := &Plan{Known: map[digest.DerivationID]Outputs{}}
	steps := map[digest.DerivationID]*Step{}
	var order []*Step
	var lookupErr error
	visit := func(drvs []*derivations.Derivation) []*Step {
		var unknown []*Step
		for _, drv := range drvs {
			id := drv.ID()
			step := steps[id]
			if step == nil {
				if _, ok := p.Known[id]; ok {
					continue
				}
				outputs, ok, err := lookup(id)
				if err != nil {
					lookupErr = cmp.Or(lookupErr, err)
				}
				if ok || err != nil {
					p.Known[id] = outputs
					continue
				}
				step = &Step{Derivation: drv}
				steps[id] = step
			}
			unknown = append(unknown, step)
		}
		return unknown
	}
	order, err := Order(visit(targets), func(s *Step) []*Step {
		s.needs = visit(inputDerivations(s.Derivation))
		return s.needs
	}, (*Step).Name)
	if err = cmp.Or(lookupErr, err); err != nil {
		return nil, err
	}
	p.Steps = order
	for _, s := range p.Steps {
		for _, need := range s.needs {
			need.dependents = append(need.dependents, s)
		}
	}
	p.Estimate(nil)
	return p, nil
}

// Estimate takes durations, by derivation name, for how long the steps will take, and a guess for those that are new.
// The longest paths follow from it.
func (p *Plan) Estimate(durations map[string]time.Duration) {
	for _, s := range slices.Backward(p.Steps) {
		s.Estimate = cmp.Or(durations[s.Name()], guess)
		var above time.Duration
		for _, d := range s.dependents {
			above = max(above, d.CriticalPath)
		}
		s.CriticalPath = above + s.Estimate
	}
}

// inputDerivations returns the derivations among d's inputs, each once, in the order of the slots.
func inputDerivations(d *derivations.Derivation) []*derivations.Derivation {
	inputs := d.Inputs()
	seen := make(map[digest.DerivationID]bool, len(inputs))
	var drvs []*derivations.Derivation
	for _, slot := range slices.Sorted(maps.Keys(inputs)) {
		if drv := inputs[slot].Derivation; drv != nil && !seen[drv.ID()] {
			seen[drv.ID()] = true
			drvs = append(drvs, drv)
		}
	}
	return drvs
}

// Derivations returns targets and all that they are made from, dependencies first.
func Derivations(targets []*derivations.Derivation) []*derivations.Derivation {
	// Derivations are made of derivations that exist already, so there is no cycle and no error.
	all, err := Order(targets, inputDerivations, (*derivations.Derivation).Name)
	if err != nil {
		panic(err)
	}
	return all
}
