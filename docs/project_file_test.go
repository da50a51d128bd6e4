package docs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
	"nbuild/debian"
	"nbuild/internal/storepath"
)

// documentedFunction is a heading like `derivation(name, script)`.
var documentedFunction = regexp.MustCompile("(?m)^## `(\\w+)\\((.*)\\)`$")

// Each function takes just the arguments that the manual names: nbuild lists them for a call with one that isn't.
func TestProjectFileNamesArguments(t *testing.T) {
	page := readPage(t, "project-file.md")
	for _, match := range documentedFunction.FindAllStringSubmatch(page, -1) {
		name, parameters := match[1], match[2]
		want := "it takes " + parameters
		if got := complaint(t, name+"(x0123456789 = 1)"); !strings.Contains(got, want+"\n") {
			t.Errorf("project-file.md says %s(%s); nbuild says:\n%s", name, parameters, got)
		}
	}
}

// complaint returns what nbuild has to say about a project file, an item a line.
func complaint(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, config.DefaultFile), []byte(text+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := config.Evaluate(t.Context(), config.Project{Dir: dir, Packages: onePackage{}, Sources: oneSource{}})
	var wrong *config.Error
	if !errors.As(err, &wrong) {
		t.Fatalf("evaluate %q: %v, want an error of the project", text, err)
	}
	return err.Error() + "\n"
}

// added is where config makes a function known to project files.
var added = regexp.MustCompile(`(?m)^\tadd\("(\w+)", `)

func TestProjectFileNamesFunctions(t *testing.T) {
	source := readPage(t, "../config/functions.go")
	var want, got []string
	for _, match := range added.FindAllStringSubmatch(source, -1) {
		want = append(want, match[1])
	}
	for _, match := range documentedFunction.FindAllStringSubmatch(readPage(t, "project-file.md"), -1) {
		got = append(got, match[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("functions (-there +documented):\n%s", diff)
	}
}

// example is a block of a project file.
var example = regexp.MustCompile("(?ms)^```python\n(.*?)^```$")

// What the manual shows must be a project that nbuild takes: the blocks of a page, one after another.
func TestExamplesAreProjects(t *testing.T) {
	for page, targets := range map[string][]string{
		"../README.md": {"hello", "web", "web.iso"},
		"tutorial.md":  {"hello", "web", "web.vm"},
	} {
		t.Run(filepath.Base(page), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "hello"), 0o777); err != nil {
				t.Fatal(err)
			}
			var project strings.Builder
			for _, match := range example.FindAllStringSubmatch(readPage(t, page), -1) {
				project.WriteString(match[1])
			}
			writeFile(t, filepath.Join(dir, config.DefaultFile), project.String())
			result, err := config.Evaluate(t.Context(), config.Project{Dir: dir, Packages: onePackage{}, Sources: oneSource{}})
			if err != nil {
				t.Fatal(err)
			}
			for _, target := range targets {
				if _, err := result.Lookup(target); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// onePackage is an archive in which each package is there and depends on nothing, but that of the newest kernel, which
// brings a kernel.
type onePackage struct{}

func (onePackage) Resolve(_ context.Context, r debian.Request) ([]debian.Package, error) {
	var packages []debian.Package
	names := slices.Clone(r.Packages)
	if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "linux-image") }) {
		names = append(names, "linux-image-6.12.1-amd64")
	}
	for _, name := range names {
		packages = append(packages, debian.Package{
			Name: name, Version: "1", Architecture: "amd64", Archive: debian.ArchiveMain,
			Path: "pool/" + name + "_1_amd64.deb", Size: 1, SHA256: strings.Repeat("0", 64),
		})
	}
	return packages, nil
}

// oneSource is a store that knows one source.
type oneSource struct{}

func (oneSource) AddSource(context.Context, string, string) (storepath.Path, error) {
	return "/nbuild/store/0123456789abcdfghijklmnpqrsvwxyz-hello", nil
}
