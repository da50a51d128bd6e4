package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// requirement is a line of go.mod with a module that is not there for another's sake alone.
var requirement = regexp.MustCompile(`(?m)^(?:require )?\s*(\S+\.\S+/\S+|\S+\.\S+\.\S+) v[^/\n]*$`)

// Every direct requirement has its row, and every row its requirement.
func TestDependenciesAreExplained(t *testing.T) {
	page, err := os.ReadFile("design/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		explained[match[1]] = true
	}
	for _, match := range requirement.FindAllStringSubmatch(string(text), -1) {
		module := majorVersion.ReplaceAllString(match[1], "")
		if !explained[module] {
			t.Errorf("docs/design/dependencies.md does not say why %s is needed", module)
		}
		delete(explained, module)
	}
	for module := range explained {
		t.Errorf("docs/design/dependencies.md explains %s, which go.mod does not require directly", module)
	}
}

var majorVersion = regexp.MustCompile(`/v[0-9]+$`)

func TestRequirementLeavesIndirectOut(t *testing.T) {
	const text = "module m\n\ngo 1.26.0\n\nrequire a.org/b v1.0.0\n\nrequire (\n\tc.org/d/v2 v2.0.0\n\tgo.e.net v0.0.0\n\tf.org/g v1.0.0 // indirect\n)\n"
	var got []string
	for _, match := range requirement.FindAllStringSubmatch(text, -1) {
		got = append(got, match[1])
	}
	if want := "a.org/b c.org/d/v2 go.e.net"; strings.Join(got, " ") != want {
		t.Errorf("requirements %v, want %s", got, want)
	}
}
