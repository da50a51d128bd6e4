package graph

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/derivations"
	"nbuild/internal/jobserver"
)

// server makes a jobserver with these tokens. give adds some; rest takes and returns those that are there.
func server(t *testing.T, tokens string) (c *jobserver.Client, give func(string), rest func() string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c = jobserver.Open(fmt.Sprintf("--jobserver-auth=%d,%d", r.Fd(), w.Fd()))
	if c == nil {
		t.Fatal("the pipe is no jobserver")
	}
	t.Cleanup(func() {
		for _, end := range []io.Closer{c, r, w} {
			if err := end.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	give = func(tokens string) {
		if _, err := w.WriteString(tokens); err != nil {
			t.Error(err)
		}
	}
	rest = func() string {
		var there []byte
		for {
			token, ok := c.TryAcquire()
			if !ok {
				return string(there)
			}
			there = append(there, token)
		}
	}
	give(tokens)
	return c, give, rest
}

func independent(prefix string, n int, make func(string) *derivations.Derivation) []*derivations.Derivation {
	var drvs []*derivations.Derivation
	for i := range n {
		drvs = append(drvs, make(fmt.Sprint(prefix, i)))
	}
	return drvs
}

// However many tokens there are, no more actions run than these and the process's own leave allow, downloads don't count, and
// all tokens come back, also when actions fail or are canceled.
func TestTokensBoundActions(t *testing.T) {
	for _, tokens := range []string{"", "a", "abc", strings.Repeat("+", 20)} {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d tokens, failure %v", len(tokens), fails), func(t *testing.T) {
				c, _, rest := server(t, tokens)
				action := func(name string) *derivations.Derivation { return derive(name) }
				targets := append(independent("a", 12, action), independent("d", 4, download)...)
				s := &script{fails: map[string]bool{"a3": fails}}
				_, err := Execute(t.Context(), plan(t, nothingKnown, nil, targets...), s, Options{Jobs: 8, Downloads: 2, Cores: 4, Tokens: c, KeepGoing: true})
				if (err != nil) != fails {
					t.Errorf("Execute: %v", err)
				}
				if len(s.order) != len(targets) {
					t.Errorf("%d steps ran, want %d", len(s.order), len(targets))
				}
				if most := min(8, 1+len(tokens)); s.most[false] > most {
					t.Errorf("%d actions ran at once, want up to %d", s.most[false], most)
				}
				if got := rest(); len(got) != len(tokens) {
					t.Errorf("tokens afterwards: %q, want %d", got, len(tokens))
				}
			})
		}
	}
	t.Run("canceled", func(t *testing.T) {
		c, _, rest := server(t, "xy")
		ctx, cancel := context.WithCancel(t.Context())
		s := &script{before: func(context.Context, string) { cancel() }}
		targets := independent("a", 12, func(name string) *derivations.Derivation { return derive(name) })
		if _, err := Execute(ctx, plan(t, nothingKnown, nil, targets...), s, Options{Jobs: 8, Cores: 2, Tokens: c}); err != context.Canceled {
			t.Errorf("Execute: %v, want %v", err, context.Canceled)
		}
		if got := rest(); len(got) != 2 {
			t.Errorf("tokens afterwards: %q, want 2", got)
		}
	})
}

// The first action ends only when the second runs, for which another process has to give a token back.
func TestTokenOfAnotherProcess(t *testing.T) {
	c, give, rest := server(t, "")
	var started sync.WaitGroup
	started.Add(2)
	var once sync.Once
	s := &script{before: func(context.Context, string) {
		once.Do(func() { give("x") })
		started.Done()
		started.Wait()
	}}
	if _, err := Execute(t.Context(), plan(t, nothingKnown, nil, derive("a"), derive("b")), s, Options{Jobs: 2, Tokens: c}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("x", rest()); diff != "" {
		t.Errorf("tokens afterwards (-want +got):\n%s", diff)
	}
}

// An action uses as many processors as it has tokens for.
func TestTokensForProcessors(t *testing.T) {
	for _, test := range []struct {
		tokens string
		cores  int
		want   int
	}{
		{"", 4, 1},
		{"a", 4, 2},
		{"abcdef", 4, 4},
		{"abcdef", 1, 1},
	} {
		c, _, rest := server(t, test.tokens)
		p := plan(t, nothingKnown, nil, derive("a"))
		if _, err := Execute(t.Context(), p, &script{}, Options{Jobs: 2, Cores: test.cores, Tokens: c}); err != nil {
			t.Fatal(err)
		}
		if got := p.Steps[0].Cores; got != test.want {
			t.Errorf("with the tokens %q, and %d processors, the action has %d, want %d", test.tokens, test.cores, got, test.want)
		}
		if got := rest(); len(got) != len(test.tokens) {
			t.Errorf("tokens afterwards: %q, want %d", got, len(test.tokens))
		}
	}
}
