package config_test

import (
	"errors"
	"strings"
	"testing"

	"nbuild/config"
)

// Files that would end the program, or never end, if nothing stopped them.
func TestHostileFiles(t *testing.T) {
	const (
		deepParts = "has more than 20000 parts"
		deepValue = "nests deeper than 10000 levels"
		memory    = "needs more than 512 MiB of memory"
	)
	function := func(body string) string {
		return "def f():\n    " + strings.ReplaceAll(body, "\n", "\n    ") + "\nf()\n"
	}
	tests := []struct{ name, file, want string }{
		{"brackets", "a = " + strings.Repeat("[", 2_000_000), deepParts},
		{"closed brackets", "a = " + strings.Repeat("(", 500_000) + strings.Repeat(")", 500_000), deepParts},
		{"signs", "a = " + strings.Repeat("-", 2_000_000) + "1", deepParts},
		{"signs on joined lines", "a = " + strings.Repeat("-\\\n", 1_000_000) + "1", deepParts},
		{"calls", "a = str" + strings.Repeat("()", 1_000_000), deepParts},
		{"attributes", "a = str" + strings.Repeat(".a", 1_000_000), deepParts},
		{"sums", "a = 1" + strings.Repeat("+1", 1_000_000), deepParts},
		{"lambdas", "a = " + strings.Repeat("lambda a, b: ", 200_000) + "1", deepParts},
		{"conditions", "a = " + strings.Repeat("1 if 1 else ", 200_000) + "1", deepParts},
		{"indentation", nestedIfs(600), "is indented by more than 500 columns"},
		{"size", strings.Repeat("#\n", 3<<20), "the file is larger than 4 MiB"},
		{"zero byte", "a = 1\n\x00 b", "nbuild.star:2: the byte 0x00 is not part of a text in UTF-8"},
		{"invalid UTF-8", "a = 'ä'\n\nb = '\xe4'\n", "nbuild.star:3: the byte 0xe4 is not part of a text in UTF-8"},

		{"nested lists", "a = [0]\nfor i in range(1000000):\n    a[0] = [a[0]]\n", deepValue},
		{"nested lists in a function", function("a = []\nwhile True:\n    a = [[[[[[[[[[a]]]]]]]]]]"), deepValue},
		{"nested tuples, printed", function("a = ()\nfor i in range(6000000):\n    a = (((((((((a,),),),),),),),),)\nreturn '%s' % (a,)"), deepValue},
		{"nested dictionaries", function("a = {}\nfor i in range(30000):\n    a = {1: a}\nreturn a") + "b = f()\n", deepValue},
		{"nested structs", function("a = None\nfor i in range(30000):\n    a = struct(a = a)\nreturn a") + "b = f()\n", deepValue},
		{"nested closures", "def m(g):\n    return lambda: g\n" + function("a = None\nfor i in range(30000):\n    a = m(a)\nreturn a") + "b = f()\n", deepValue},
		{"nested methods", function("a = []\nfor i in range(30000):\n    a = [a.append]\nreturn a") + "b = f()\n", deepValue},
		{"doubled text", function("a = 'x'\nwhile True:\n    a = a + a"), memory},
		{"doubled list", function("a = [1]\nwhile True:\n    a = a + a"), memory},
		{"growing list", function("a = []\nwhile True:\n    a.append('x' * 1000)"), memory},
		{"repeated text", "a = 'x' * (1 << 40)", "too large"},
		{"huge range", "a = list(range(1 << 62))", "nbuild.star:1:15: range: more than 10000000 elements"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Evaluate(t.Context(), project(t, map[string]string{"nbuild.star": test.file}))
			var wrong *config.Error
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %.300v, want a *config.Error with %q", err, test.want)
			}
			if strings.Contains(err.Error(), "goroutine") {
				t.Errorf("the error has a stack: %v", err)
			}
		})
	}
}

func nestedIfs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "if 1:\n")
	}
	return b.String() + strings.Repeat(" ", n) + "pass\n"
}

// What looks alike but is no harm.
func TestLargeFilesAreFine(t *testing.T) {
	tests := []struct{ name, file string }{
		{"long list", "a = [" + strings.Repeat("'x', ", 100_000) + "]\n"},
		{"long dictionary", "a = {" + strings.Repeat("'x%d' % len('y'): {'a': [1, 2, (3,)]},\n", 1) + "}\n"},
		{"brackets in texts", "a = '" + strings.Repeat("([{", 100_000) + "'\nb = '''" + strings.Repeat("([{\n'\n", 100_000) + "'''\nc = r'\\d'\n# " + strings.Repeat("(", 30_000)},
		{"many lines", strings.Repeat("len([1, 2])\n", 100_000)},
		{"long text", "a = '''" + strings.Repeat("some words of a text, and more\n", 100_000) + "'''\nb = text_file('b', a)\n"},
		{"a list in itself", "a = []\na.append(a)\nb = {1: a}\nprint(a, b)\n"},
		{"100 MB", "a = len('x' * 100000000)\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := config.Evaluate(t.Context(), project(t, map[string]string{"nbuild.star": test.file})); err != nil {
				t.Errorf("error %.300v", err)
			}
		})
	}
}
