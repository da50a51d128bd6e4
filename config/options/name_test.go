package options

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseName(t *testing.T) {
	tests := []struct {
		name   string
		labels []string // nil: no name
	}{
		{"a", []string{"a"}},
		{"a.b.c", []string{"a", "b", "c"}},
		{`a."b.c".d`, []string{"a", "b.c", "d"}},
		{`"a"`, []string{"a"}},
		{`a.""`, []string{"a", ""}},
		{`a." ".b c`, []string{"a", " ", "b c"}},
		{"", nil},
		{".", nil},
		{"a.", nil},
		{".a", nil},
		{"a..b", nil},
		{`"a`, nil},
		{`a"`, nil},
		{`a"b"`, nil},
		{`"a"b`, nil},
		{`"a".`, nil},
	}
	for _, test := range tests {
		labels, ok := parseName(test.name)
		if !ok {
			labels = nil
		}
		if diff := cmp.Diff(test.labels, labels); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// FuzzParseName compares the parser with a regular expression that says what a name is.
func FuzzParseName(f *testing.F) {
	for _, name := range []string{"a", "a.b", `a."b.c"`, `"`, `""`, `"".""`, "a..b", `a."b"c`} {
		f.Add(name)
	}
	label := regexp.MustCompile(`(?s)^([^."]+|"[^"]*")(\.|$)`)
	f.Fuzz(func(t *testing.T, name string) {
		var want []string
		rest, more := name, true
		for more {
			m := label.FindStringSubmatch(rest)
			if m == nil {
				want = nil
				break
			}
			want = append(want, strings.Trim(m[1], `"`))
			rest, more = rest[len(m[0]):], m[2] == "."
		}
		if rest != "" && !more {
			want = nil
		}
		got, ok := parseName(name)
		if ok != (want != nil) || ok && !slices.Equal(got, want) {
			t.Errorf("parseName(%q) = %q, %t, want %q", name, got, ok, want)
		}
		if !ok {
			return
		}
		again, ok := parseName(joinName(got...))
		if !ok || !slices.Equal(again, got) {
			t.Errorf("joinName(%q) = %q", got, joinName(got...))
		}
	})
}
