package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/scripts"
)

// TestRunnerHelp holds vm.md to what a machine's runner says of itself: the comment at its top.
func TestRunnerHelp(t *testing.T) {
	var help strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(scripts.RunVM(), "@host@", "web")) {
		text, isComment := strings.CutPrefix(line, "#")
		if !isComment {
			break
		}
		if !strings.HasPrefix(text, "!") {
			help.WriteString(strings.TrimPrefix(text, " "))
		}
	}
	want := "```text\n" + help.String() + "```\n"
	text, err := os.ReadFile("vm.md")
	if err != nil {
		t.Fatal(err)
	}
	first := regexp.MustCompile("(?s)```text\n.*?```\n").FindString(string(text))
	if *update {
		if err := os.WriteFile("vm.md", []byte(strings.Replace(string(text), first, want, 1)), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("the help in vm.md (-said +documented); go test -update writes it:\n%s", diff)
	}
}
