package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
	"nbuild/internal/storepath"
	"nbuild/store"
)

// The store must give the objects of formats.md the paths that formats.md works out.
func TestStoreNamesObjectsAsDocumented(t *testing.T) {
	dir, err := os.MkdirTemp("", "nbuild-docs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fsx.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s, err := store.Open(t.Context(), filepath.Join(dir, "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	source := filepath.Join(dir, "greeting")
	writeFile(t, source, "hello\n")
	greeting, err := s.AddSource(t.Context(), "greeting.txt", source)
	if err != nil {
		t.Fatal(err)
	}
	scratch, err := s.NewScratch(digest.ActionKey{1})
	if err != nil {
		t.Fatal(err)
	}
	defer scratch.Remove()
	self := scratch.Path("out", "hello")
	file := scratch.File("out", "hello")
	writeFile(t, file, string(self)+"\n"+string(greeting.Path)+"\n")
	hello, err := s.Add(t.Context(), []store.NewObject{{
		Name: "hello", File: file, Scratch: self, MayReference: []storepath.Path{greeting.Path},
	}})
	if err != nil {
		t.Fatal(err)
	}
	page := readPage(t, "formats.md")
	for _, object := range []store.Object{greeting, hello[0]} {
		if !strings.Contains(page, " "+string(object.Path)+"\n") {
			t.Errorf("the store path %s is not in formats.md", object.Path)
		}
	}
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}
