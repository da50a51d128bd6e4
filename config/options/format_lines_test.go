package options_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"nbuild/config/options"
)

func evalText(t testing.TB, text string) starlark.Value {
	t.Helper()
	v, err := starlark.EvalOptions(&syntax.FileOptions{}, &starlark.Thread{}, "x.star", text, options.Functions())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFormatLines(t *testing.T) {
	long := `"` + strings.Repeat("x", 90) + `"`
	tests := []struct{ name, text, want string }{
		{"short", `{"a": [1, "x", None]}`, `{"a": [1, "x", None]}`},
		{"long list", `[1, ` + long + `]`, "[\n      1,\n      " + long + ",\n  ]"},
		{"tuple", `(` + long + `, 2)`, "(\n      " + long + ",\n      2,\n  )"},
		{"one element", `(` + long + `,)`, "(\n      " + long + ",\n  )"},
		{"nested", `{"a": {"b": ` + long + `}, "c": 1}`, "{\n      \"a\": {\n          \"b\": " + long + ",\n      },\n      \"c\": 1,\n  }"},
		{"too long for any line", `"` + strings.Repeat("y", 300) + `"`, `"` + strings.Repeat("y", 300) + `"`},
		{"lines", `"one\ntwo"`, "\"\"\"one\ntwo\"\"\""},
		{"lines and a tab", `"one\n\ttwo\n"`, "\"\"\"one\n\ttwo\n\"\"\""},
		{"one line with its end", `"one\n"`, `"one\n"`},
		{"lines with a backslash", `"one\n\\two"`, `"one\n\\two"`},
		{"lines with quotes", "'one\\n\"\"\"two'", `"one\n\"\"\"two"`},
		{"lines that end in a quote", `'one\ntwo"'`, `"one\ntwo\""`},
		{"lines with a bell", `"one\n\atwo"`, `"one\n\atwo"`},
		{"lines in a list", `["one\ntwo", 1]`, `["one\ntwo", 1]`},
		{"property", `force(["` + strings.Repeat("z", 120) + `"])`, `force(["` + strings.Repeat("z", 120) + `"])`},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, options.FormatLines(evalText(t, test.text), 2, 8)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// What FormatLines writes is Starlark, and means the value.
func FuzzFormatLines(f *testing.F) {
	f.Add("a\nb", "c", 3, 4)
	f.Add("tab\there\nx\\y", strings.Repeat("long ", 30), 0, 90)
	f.Add("\"\"\"\n", "\xff\n", 50, 0)
	f.Fuzz(func(t *testing.T, a, b string, n, column int) {
		a, b = strings.ToValidUTF8(a, "?"), strings.ToValidUTF8(b, "?") // Starlark has no way to write anything else.
		dict := starlark.NewDict(1)
		if err := dict.SetKey(starlark.String(b), starlark.Tuple{starlark.String(a)}); err != nil {
			t.Fatal(err)
		}
		v := starlark.NewList([]starlark.Value{starlark.String(a), starlark.MakeInt(n), dict, starlark.Tuple{starlark.String(b), starlark.True}})
		text := options.FormatLines(v, n&31, column&255)
		if same, err := starlark.Equal(v, evalText(t, text)); err != nil || !same {
			t.Errorf("%v (%v) is written as:\n%s", v, err, text)
		}
	})
}
