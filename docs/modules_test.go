package docs_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
	"nbuild/config/options"
)

// moduleExample is a file that the page shows, and what nbuild says about it, if anything.
var moduleExample = regexp.MustCompile("(?ms)^```python\n# (\\S+\\.star)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?")

// Each file that the page on modules shows is a module of a system, or a project; nbuild has nothing to say about it but
// what the page says.
func TestModuleExamples(t *testing.T) {
	page := readPage(t, "modules.md")
	dir := t.TempDir()
	examples := moduleExample.FindAllStringSubmatch(page, -1)
	for _, match := range examples {
		writeFile(t, filepath.Join(dir, match[1]), "# "+match[1]+"\n"+match[2])
	}
	for _, match := range examples {
		name, want := match[1], match[3]
		t.Run(name, func(t *testing.T) {
			file := name
			if name != config.DefaultFile {
				file = "of-" + name
				writeFile(t, filepath.Join(dir, file), `system("web", modules = ["`+name+`"])`)
			}
			got := ""
			if _, err := config.Evaluate(t.Context(), config.Project{Dir: dir, File: file, Packages: onePackage{}, Sources: oneSource{}}); err != nil {
				got = "nbuild: " + strings.ReplaceAll(err.Error(), "\n", "\nnbuild: ") + "\n"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what nbuild says (-page +nbuild):\n%s%s", diff, got)
			}
		})
	}
	if blocks := strings.Count(page, "```python\n"); len(examples) != blocks || len(examples) < 10 {
		t.Errorf("%d of %d examples begin with the name of a file, want all, and at least 10", len(examples), blocks)
	}
}

// typeRow is a row of the table of types.
var typeRow = regexp.MustCompile("(?m)^\\| (`types\\..*?) \\|")

// typeName is a type in such a row.
var typeName = regexp.MustCompile(`types\.(\w+)`)

// The table of types has just the types that there are.
func TestModulesNamesTypes(t *testing.T) {
	var got []string
	for _, row := range typeRow.FindAllStringSubmatch(readPage(t, "modules.md"), -1) {
		for _, match := range typeName.FindAllStringSubmatch(row[1], -1) {
			got = append(got, match[1])
		}
	}
	slices.Sort(got)
	types, ok := options.Functions()["types"].(interface{ AttrNames() []string })
	if !ok {
		t.Fatal("types has no attributes")
	}
	if diff := cmp.Diff(types.AttrNames(), got); diff != "" {
		t.Errorf("types (-there +documented):\n%s", diff)
	}
}
