package main

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateManual = flag.Bool("update-manual", false, "write docs/cli.md and docs/options.md anew")

// The manual of the command line is what `nbuild help` says.
func TestManualIsHelp(t *testing.T) {
	var want strings.Builder
	want.WriteString("# The command line\n\nThis page is what `nbuild help` and `nbuild help COMMAND` print.\n\n```text\n")
	printOverview(&want)
	want.WriteString("```\n")
	for _, c := range commands() {
		want.WriteString("\n## nbuild " + c.name + "\n\n```text\n")
		printHelp(&want, c)
		want.WriteString("```\n")
	}
	checkPage(t, "cli.md", want.String())
}

// The manual of the options is what `nbuild options --markdown` says where there is no project.
func TestManualIsOptions(t *testing.T) {
	var want, stderr strings.Builder
	if code := run([]string{"options", "--markdown", "-C", t.TempDir()}, &want, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	checkPage(t, "options.md", want.String())
}

// checkPage holds a page of the manual to what the program says, or writes it.
func checkPage(t *testing.T, name, want string) {
	t.Helper()
	page := "../../docs/" + name
	if *updateManual {
		if err := os.WriteFile(page, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/%s (-program +page; go test ./cmd/nbuild -run Manual -update-manual writes it anew):\n%s", name, diff)
	}
}
