package graph

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// derive makes a derivation with inputs, for graphs in which only the shape matters.
func derive(name string, inputs ...*derivations.Derivation) *derivations.Derivation {
	spec := derivations.Spec{Name: name, Builder: "none", Inputs: map[string]derivations.Input{}}
	for _, in := range inputs {
		spec.Inputs[in.Name()] = derivations.Input{Derivation: in}
	}
	return derivations.MustNew(spec)
}

// download makes a derivation that counts as a download.
func download(name string) *derivations.Derivation {
	return derivations.MustNew(derivations.Spec{
		Name: name, Builder: "none",
		Fixed: &derivations.Fixed{Algorithm: "sha256", Digest: strings.Repeat("0", 64)},
	})
}

// A script is a Realiser that does what its functions say, and notes who ran with whom.
type script struct {
	before func(ctx context.Context, name string) // called while the step counts as running; may be nil
	fails  map[string]bool
	cached map[string]bool

	mu      sync.Mutex
	running map[bool]int // true: downloads
	most    map[bool]int
	order   []string
}

func (s *script) Realise(ctx context.Context, step *Step, lookup func(digest.DerivationID) Outputs, _ func(Event)) (Result, error) {
	for _, in := range step.Derivation.Inputs() {
		if lookup(in.Derivation.ID()) == nil {
			return Result{}, fmt.Errorf("%s ran before its input %s", step.Name(), in.Derivation.Name())
		}
	}
	s.enter(step)
	defer s.leave(step)
	if s.before != nil {
		s.before(ctx, step.Name())
	}
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if s.fails[step.Name()] {
		return Result{}, errors.New(step.Name() + " is broken")
	}
	path := storepath.New(digest.Sum([]byte(step.Name())), step.Name())
	return Result{Outputs: Outputs{"out": path}, Cached: s.cached[step.Name()]}, nil
}

func (s *script) enter(step *Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		s.running, s.most = map[bool]int{}, map[bool]int{}
	}
	kind := step.IsDownload()
	s.running[kind]++
	s.most[kind] = max(s.most[kind], s.running[kind])
	s.order = append(s.order, step.Name())
}

func (s *script) leave(step *Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[step.IsDownload()]--
}

func nothingKnown(digest.DerivationID) (Outputs, bool, error) { return nil, false, nil }

func plan(t *testing.T, lookup Lookup, durations map[string]time.Duration, targets ...*derivations.Derivation) *Plan {
	t.Helper()
	p, err := NewPlan(targets, lookup)
	if err != nil {
		t.Fatal(err)
	}
	p.Estimate(durations)
	return p
}

func names(p *Plan) (names []string) {
	for _, s := range p.Steps {
		names = append(names, s.Name())
	}
	return names
}

func TestPlanStopsAtWhatIsKnown(t *testing.T) {
	leaf := derive("leaf")
	middle := derive("middle", leaf)
	other := derive("other", leaf)
	top := derive("top", middle, other)
	for _, test := range []struct {
		known     []*derivations.Derivation
		want      []string
		questions int
	}{
		{nil, []string{"leaf", "middle", "other", "top"}, 4},
		{[]*derivations.Derivation{top}, nil, 1},
		{[]*derivations.Derivation{middle}, []string{"leaf", "other", "top"}, 4},
		{[]*derivations.Derivation{middle, other}, []string{"top"}, 3},
	} {
		questions := 0
		p := plan(t, func(id digest.DerivationID) (Outputs, bool, error) {
			questions++
			known := slices.ContainsFunc(test.known, func(d *derivations.Derivation) bool { return d.ID() == id })
			return Outputs{}, known, nil
		}, nil, top)
		if diff := cmp.Diff(test.want, names(p)); diff != "" {
			t.Errorf("%d known: steps (-want +got):\n%s", len(test.known), diff)
		}
		if questions != test.questions {
			t.Errorf("%d known: asked %d questions, want %d", len(test.known), questions, test.questions)
		}
	}
}

func TestPlanPassesOnAnErrorOfTheLookup(t *testing.T) {
	broken := errors.New("index is broken")
	_, err := NewPlan([]*derivations.Derivation{derive("top", derive("leaf"))}, func(digest.DerivationID) (Outputs, bool, error) {
		return nil, false, broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("NewPlan returned %v, want %v", err, broken)
	}
}

func TestLongestPathFirst(t *testing.T) {
	a, b, c := derive("a"), derive("b"), derive("c")
	top := derive("top", derive("mid", b), a, c)
	durations := map[string]time.Duration{"a": 2 * time.Second, "b": time.Second, "mid": 3 * time.Second, "c": time.Millisecond}
	p := plan(t, nothingKnown, durations, top)
	s := &script{}
	if _, err := Execute(t.Context(), p, s, Options{Jobs: 1}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "mid", "a", "c", "top"}, s.order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// Random graphs: every step runs once, after its inputs (the script checks that), never more at once than allowed.
func TestExecuteRandomGraphs(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		var all []*derivations.Derivation
		for i := range 1 + r.IntN(60) {
			var inputs []*derivations.Derivation
			for _, j := range r.Perm(len(all))[:min(len(all), r.IntN(4))] {
				inputs = append(inputs, all[j])
			}
			if r.IntN(4) == 0 {
				all = append(all, download(fmt.Sprintf("d%d", i)))
				continue
			}
			all = append(all, derive(fmt.Sprintf("n%d", i), inputs...))
		}
		jobs, downloads := 1+r.IntN(4), 1+r.IntN(4)
		s := &script{}
		p := plan(t, nothingKnown, nil, all...)
		summary, err := Execute(t.Context(), p, s, Options{Jobs: jobs, Downloads: downloads})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got := summary.Built + summary.Fetched; got != len(all) || len(s.order) != len(all) {
			t.Errorf("seed %d: %d of %d steps are done, %d ran", seed, got, len(all), len(s.order))
		}
		if s.most[false] > jobs || s.most[true] > downloads {
			t.Errorf("seed %d: %d jobs and %d downloads at once, allowed are %d and %d", seed, s.most[false], s.most[true], jobs, downloads)
		}
	}
}

func TestFailure(t *testing.T) {
	bad := derive("bad")
	above := derive("above", bad)
	good := derive("good")
	top := derive("top", derive("further", above), good)
	tests := []struct {
		keepGoing bool
		want      Summary
		order     []string
	}{
		{false, Summary{Failed: 1, Skipped: 3}, []string{"bad"}},
		{true, Summary{Failed: 1, Skipped: 3, Built: 1}, []string{"bad", "good"}},
	}
	for _, test := range tests {
		s := &script{fails: map[string]bool{"bad": true}}
		p := plan(t, nothingKnown, map[string]time.Duration{"bad": time.Hour}, top)
		var failed, skipped []string
		got, err := Execute(t.Context(), p, s, Options{Jobs: 1, KeepGoing: test.keepGoing, Events: func(e Event) {
			switch e.Kind {
			case Failed:
				failed = append(failed, e.Step.Name())
			case Skipped:
				skipped = append(skipped, e.Step.Name())
			}
		}})
		var step *StepError
		if !errors.As(err, &step) || step.Step.Name() != "bad" || err.Error() != "build bad: bad is broken" {
			t.Errorf("keep going %t: error %v", test.keepGoing, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("keep going %t: summary (-want +got):\n%s", test.keepGoing, diff)
		}
		if diff := cmp.Diff(test.order, s.order); diff != "" {
			t.Errorf("keep going %t: ran (-want +got):\n%s", test.keepGoing, diff)
		}
		slices.Sort(skipped)
		if diff := cmp.Diff([]string{"above", "further", "top"}, skipped); diff != "" || len(failed) != 1 {
			t.Errorf("keep going %t: failed %v, skipped (-want +got):\n%s", test.keepGoing, failed, diff)
		}
	}
}

func TestAllFailuresAreTold(t *testing.T) {
	top := derive("top", derive("x"), derive("y"), derive("z"))
	s := &script{fails: map[string]bool{"x": true, "z": true}}
	_, err := Execute(t.Context(), plan(t, nothingKnown, nil, top), s, Options{Jobs: 1, KeepGoing: true})
	if diff := cmp.Diff("build x: x is broken\nbuild z: z is broken", err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestCancelWaitsForWhatRuns(t *testing.T) {
	stop := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	s := &script{before: func(ctx context.Context, name string) {
		if name == "b" {
			cancel(stop)
		}
		<-ctx.Done()
	}}
	p := plan(t, nothingKnown, nil, derive("top", derive("a"), derive("b"), derive("c")))
	summary, err := Execute(ctx, p, s, Options{Jobs: 2})
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
	if s.running[false] != 0 || len(s.order) != 2 {
		t.Errorf("%d still run, %v ran", s.running[false], s.order)
	}
	if diff := cmp.Diff(Summary{}, summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestSummaryCountsWhatWasCached(t *testing.T) {
	p := plan(t, nothingKnown, nil, derive("top", derive("a"), derive("b")), download("file"))
	s := &script{cached: map[string]bool{"a": true, "b": true}}
	got, err := Execute(t.Context(), p, s, Options{Jobs: 2})
	if diff := cmp.Diff(Summary{Built: 1, Fetched: 1, Cached: 2}, got); diff != "" || err != nil {
		t.Errorf("error %v, summary (-want +got):\n%s", err, diff)
	}
}

func TestLineWriter(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	for _, test := range []struct {
		writes []string
		want   []string
	}{
		{nil, nil},
		{[]string{"one\ntwo\n"}, []string{"one", "two"}},
		{[]string{"o", "ne\r\ntw", "o"}, []string{"one", "two"}},
		{[]string{"\n\n"}, []string{"", ""}},
		{[]string{long, "y\n"}, []string{long, "y"}},
	} {
		var got []string
		w := &lineWriter{emit: func(line string) { got = append(got, line) }}
		for _, text := range test.writes {
			if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
				t.Fatalf("Write returned %d, %v", n, err)
			}
		}
		w.flush()
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	}
}

// TestExecuteSharesProcessors: what runs alone has all processors, what runs beside others a part.
func TestExecuteSharesProcessors(t *testing.T) {
	a, b, c, d := derive("a"), derive("b"), derive("c"), derive("d")
	for _, test := range []struct {
		name        string
		jobs, cores int
		want        map[string]int
	}{
		{"one job", 1, 8, map[string]int{"a": 8, "b": 8, "c": 8, "d": 8, "top": 8}},
		{"two jobs", 2, 8, map[string]int{"a": 4, "b": 4, "c": 4, "d": 4, "top": 8}},
		{"more jobs than steps", 16, 8, map[string]int{"a": 2, "b": 2, "c": 2, "d": 2, "top": 8}},
		{"more jobs than processors", 4, 2, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1, "top": 2}},
		{"nothing said", 1, 0, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1, "top": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := plan(t, nothingKnown, nil, derive("top", a, b, c, d))
			if _, err := Execute(t.Context(), p, &script{}, Options{Jobs: test.jobs, Cores: test.cores}); err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for _, step := range p.Steps {
				got[step.Name()] = step.Cores
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("processors of the steps (-want +got):\n%s", diff)
			}
		})
	}
}
