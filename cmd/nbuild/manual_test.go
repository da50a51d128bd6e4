package main

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateManual = flag.Bool("update-manual", false, "write docs/cli.md anew")

// The manual of the command line is what `nbuild help` says.
func TestManualIsHelp(t *testing.T) {
	const page = "../../docs/cli.md"
	var want strings.Builder
	want.WriteString("# The command line\n\nThis page is what `nbuild help` and `nbuild help COMMAND` print.\n\n```text\n")
	printOverview(&want)
	want.WriteString("```\n")
	for _, c := range commands() {
		want.WriteString("\n## nbuild " + c.name + "\n\n```text\n")
		printHelp(&want, c)
		want.WriteString("```\n")
	}
	if *updateManual {
		if err := os.WriteFile(page, []byte(want.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("docs/cli.md (-help +page; go test ./cmd/nbuild -update-manual writes it anew):\n%s", diff)
	}
}
