package testproject

import (
	"strings"
	"testing"
)

func TestLargeHasTheSizeItClaims(t *testing.T) {
	files := Large()
	if len(files) != Modules+1 {
		t.Errorf("%d files, want %d modules and nbuild.star", len(files), Modules)
	}
	options := 0
	for name, text := range files {
		if strings.HasPrefix(name, "modules/") {
			_, declared, _ := strings.Cut(text, "options = {")
			options += strings.Count(declared, "option(")
		}
		if strings.Contains(text, "%!") {
			t.Errorf("%s is not formatted well:\n%s", name, text)
		}
	}
	if options != Options {
		t.Errorf("%d options, want %d", options, Options)
	}
}
