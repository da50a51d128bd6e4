package config_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
)

// Whatever a file says: evaluating it ends, in targets that resolve and come out the same again, or in faults that have
// their place in the file.
func FuzzEvaluate(f *testing.F) {
	for _, seed := range []string{
		"", kitchenSink, webSystem, config.Demo(),
		"load('lib.star', 'x')\na = text_file('a', x)",
		"def f(x):\n    fail(x)\nf(derivation)",
		"a = [source('src')] * 3\nb = {a[0]: 1}\nc = a[0] + a[1]\nd = tree('d', [source('src'), fetch('file:///x', 'sha256:' + 64 * '0')])",
		"a = system('a', modules = [{'environment.files': {'/x': {'text': '', 'mode': '7777'}}, 'users.users': {'root': {}}}])",
		"def m(cfg):\n    return {'boot.kernel_params': [cfg.networking.host_name]}\na = system('a', modules = [m, {'config': m, 'options': {'a': option(types.lines)}}])",
		"a = derivation(*['a'], **{'script': 'x'}).out\nb = a < a",
		"print(json.encode([from_env('A', {}), debian('x')]))",
		"a = '''\n\\\n'''; b = r'\\''; lambda: (a, b)[::-1]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := project(t, map[string]string{"nbuild.star": text, "lib.star": "x = 'x'", "src/hello.c": ""})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		r, err := config.Evaluate(ctx, p)
		var wrong *config.Error
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return
		case errors.As(err, &wrong):
			checkItems(t, wrong.Items, text)
			return
		case err != nil:
			t.Fatal(err)
		}
		for _, tg := range r.Targets {
			if _, err := tg.Derivation.Resolve(anyPath); err != nil {
				t.Errorf("resolve %s: %v", tg.Name, err)
			}
		}
		again, err := config.Evaluate(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ids(r), ids(again)); diff != "" {
			t.Errorf("evaluating again (-first +second):\n%s", diff)
		}
	})
}

func checkItems(t *testing.T, items []config.Item, text string) {
	t.Helper()
	lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 1 // A lone carriage return ends a line, too.
	if len(items) == 0 {
		t.Error("an error without items")
	}
	for _, it := range items {
		switch {
		case it.What == "":
			t.Errorf("an item without a message at %s", it.Position)
		case it.Position.File != "nbuild.star" || it.Position.Line > lines:
			t.Errorf("the place of %q is %q in a file of %d lines", it.What, it.Position, lines)
		}
	}
}
