package docs_test

import (
	"os"
	"testing"
)

// readPage returns a file by its path relative to docs.
func readPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
