package graph

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/builders"
	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/fsx"
	"nbuild/store"
)

func openStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := fsx.RemoveAll(dir); err != nil { // The objects are read-only.
			t.Error(err)
		}
	})
	return s
}

// A funcBuilder is a builder for one test.
type funcBuilder func(ctx context.Context, r *builders.Request) error

func (f funcBuilder) Build(ctx context.Context, r *builders.Request) error { return f(ctx, r) }

// realise plans and executes, and returns what was built, in order, and the error.
func realise(t *testing.T, local *Local, targets ...*derivations.Derivation) (p *Plan, built []string, err error) {
	t.Helper()
	p, err = NewPlan(targets, func(id digest.DerivationID) (Outputs, bool, error) {
		outputs, ok, err := local.Store.DerivationOutputs(t.Context(), id)
		return outputs, ok, err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Execute(t.Context(), p, local, Options{Jobs: 2, Events: func(e Event) {
		if e.Kind == Finished {
			built = append(built, e.Step.Name())
		}
	}})
	return p, built, err
}

func content(t *testing.T, s *store.Store, p *Plan, drv *derivations.Derivation) string {
	t.Helper()
	text, err := os.ReadFile(s.ObjectFile(p.Known[drv.ID()]["out"]))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// text makes a derivation of a text that mentions inputs.
func text(name, content string, inputs ...*derivations.Derivation) *derivations.Derivation {
	spec := derivations.Spec{Name: name, Builder: "text", Args: []string{content}, Inputs: map[string]derivations.Input{}}
	for _, in := range inputs {
		spec.Args[0] += " " + in.Placeholder("out")
		spec.Inputs[in.Name()] = derivations.Input{Derivation: in}
	}
	return derivations.MustNew(spec)
}

func TestLocal(t *testing.T) {
	s := openStore(t, t.TempDir())
	local := &Local{Store: s, Builders: map[string]builders.Builder{"text": builders.Text{}}}
	leaf := text("leaf", "leaf")
	top := text("top", "top", leaf)
	p, built, err := realise(t, local, top)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"leaf", "top"}, built); diff != "" {
		t.Errorf("built (-want +got):\n%s", diff)
	}
	path := p.Known[leaf.ID()]["out"]
	if diff := cmp.Diff("top "+string(path), content(t, s, p, top)); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	closure, err := s.Closure(t.Context(), p.Known[top.ID()]["out"])
	if err != nil || len(closure) != 2 {
		t.Errorf("closure has %d objects (%v), want top and the leaf that it names", len(closure), err)
	}
	if p, built, err = realise(t, local, top); err != nil || len(built) > 0 || len(p.Steps) > 0 {
		t.Errorf("a second time: error %v, %d steps, built %v", err, len(p.Steps), built)
	}
}

// What the store remembers is found by another process, and after the first has flushed, also by key alone.
func TestLocalFindsWhatAnotherProcessMade(t *testing.T) {
	dir := t.TempDir()
	top := text("top", "top", text("leaf", "leaf"))
	for i, want := range [][]string{{"leaf", "top"}, nil} {
		s := openStore(t, dir)
		local := &Local{Store: s, Builders: map[string]builders.Builder{"text": builders.Text{}}}
		_, built, err := realise(t, local, top)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, built); diff != "" {
			t.Errorf("run %d built (-want +got):\n%s", i, diff)
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Two executions on one store at once run each action once: the second waits for the first.
func TestLocalRunsAnActionOnce(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	runs := 0
	inside, goOn := make(chan struct{}, 2), make(chan struct{})
	slow := funcBuilder(func(_ context.Context, r *builders.Request) error {
		mu.Lock()
		runs++
		mu.Unlock()
		inside <- struct{}{}
		<-goOn
		return os.WriteFile(r.Outputs["out"].File, []byte("x"), 0o644)
	})
	drv := derivations.MustNew(derivations.Spec{Name: "slow", Builder: "slow"})
	waiting := make(chan struct{})
	var group sync.WaitGroup
	start := func(events func(Event)) {
		s := openStore(t, dir)
		group.Go(func() {
			p, err := NewPlan([]*derivations.Derivation{drv}, nothingKnown)
			if err == nil {
				local := &Local{Store: s, Builders: map[string]builders.Builder{"slow": slow}}
				_, err = Execute(t.Context(), p, local, Options{Jobs: 1, Events: events})
			}
			if err := errors.Join(err, s.Flush(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	start(nil)
	<-inside
	start(func(e Event) {
		if e.Kind == Waiting {
			close(waiting)
		}
	})
	<-waiting
	close(goOn)
	group.Wait()
	if runs != 1 {
		t.Errorf("the action ran %d times", runs)
	}
}

func TestLocalFailures(t *testing.T) {
	tests := []struct {
		name  string
		build funcBuilder
		want  string
		log   string
	}{
		{
			"the builder says so",
			func(_ context.Context, r *builders.Request) error {
				_, err := r.Log.Write([]byte("some output\n"))
				return errors.Join(err, r.Failf("exit status %d", 3))
			},
			"build bad: exit status 3", "some output\n",
		},
		{
			"no output",
			func(context.Context, *builders.Request) error { return nil },
			`build bad: it did not make its output "out"`, "",
		},
		{
			"an output that the store can't hold",
			func(_ context.Context, r *builders.Request) error {
				if err := os.WriteFile(r.Outputs["out"].File, nil, 0o755); err != nil {
					return err
				}
				return os.Chmod(r.Outputs["out"].File, 0o755|os.ModeSetuid)
			},
			"setuid", "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			local := &Local{Store: s, Builders: map[string]builders.Builder{"bad": test.build}}
			_, _, err := realise(t, local, derivations.MustNew(derivations.Spec{Name: "bad", Builder: "bad"}))
			var failure *builders.Failure
			if !errors.As(err, &failure) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want a failure with %q", err, test.want)
			}
			var step *StepError
			if errors.As(err, &step) && test.log != "" {
				log, err := os.ReadFile(step.Log)
				if diff := cmp.Diff(test.log, string(log)); diff != "" || err != nil {
					t.Errorf("log: %v (-want +got):\n%s", err, diff)
				}
			}
			objects, err := s.Objects(t.Context())
			if err != nil || len(objects) > 0 {
				t.Errorf("%d objects are left in the store (%v)", len(objects), err)
			}
		})
	}
}

func TestUnknownBuilder(t *testing.T) {
	local := &Local{Store: openStore(t, t.TempDir())}
	_, _, err := realise(t, local, derivations.MustNew(derivations.Spec{Name: "odd", Builder: "nonsense"}))
	if want := `build odd: there is no builder "nonsense"`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
