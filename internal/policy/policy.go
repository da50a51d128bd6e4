// Package policy reads this module's own source and reports where it breaks the rules of the project:
// what may import what, and how a package is written. Only its tests use it.
package policy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Folder is a folder of Go code: a package and its tests.
type Folder struct {
	Path  string // slash-separated, below the module's top; "." is the top
	Files []File // sorted by name
}

// A File is one parsed Go file.
type File struct {
	Path  string // slash-separated, below the module's top
	Lines int
	Test  bool // its name ends in _test.go
	AST   *ast.File
}

// Imports returns the sorted import paths of the folder's files: of its tests, or of all others.
func (f Folder) Imports(tests bool) []string {
	var paths []string
	for _, file := range f.Files {
		if file.Test != tests {
			continue
		}
		for _, spec := range file.AST.Imports {
			p, _ := strconv.Unquote(spec.Path.Value) // The parser has accepted it.
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// Load parses every Go file below top, whatever its build constraints. Hidden folders, testdata and nested modules are
// left out. The folders come sorted by path.
func Load(fset *token.FileSet, top string) ([]Folder, error) {
	var folders []Folder
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if name != top && (entry.Name() == "testdata" || entry.Name()[0] == '.' || isModule(name)) {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		folder, err := load(fset, top, filepath.ToSlash(rel))
		if len(folder.Files) > 0 {
			folders = append(folders, folder)
		}
		return err
	})
	return folders, err
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func load(fset *token.FileSet, top, rel string) (Folder, error) {
	folder := Folder{Path: rel}
	names, err := filepath.Glob(filepath.Join(top, filepath.FromSlash(rel), "*.go"))
	if err != nil {
		return folder, err
	}
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			return folder, err
		}
		file, err := Parse(fset, path.Join(rel, filepath.Base(name)), src)
		if err != nil {
			return folder, err
		}
		folder.Files = append(folder.Files, file)
	}
	return folder, nil
}

// Parse parses one Go file whose path below the module's top is name.
func Parse(fset *token.FileSet, name string, src []byte) (File, error) {
	tree, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	return File{
		Path:  name,
		Lines: strings.Count(string(src), "\n"),
		Test:  strings.HasSuffix(name, "_test.go"),
		AST:   tree,
	}, err
}

// An Allowance says what a folder may import besides the standard library.
type Allowance struct {
	Own     []string // folders of this module
	Modules []string // other modules, by path; of nested packages the module's path counts
	Tests   []string // folders of this module for its tests only
	Without []string // packages of the standard library that it must not import
}

// CheckImports compares the folders' imports with the table of allowances by folder, and returns a line for each wrong
// edge, each folder that isn't in the table, and each allowance that nothing uses. testModules are for every folder's
// tests. Import paths of the module itself begin with its name.
func CheckImports(module string, folders []Folder, table map[string]Allowance, testModules []string) []string {
	var faults []string
	missing := map[string]bool{}
	for name := range table {
		missing[name] = true
	}
	for _, folder := range folders {
		allowance, listed := table[folder.Path]
		delete(missing, folder.Path)
		if !listed {
			faults = append(faults, fmt.Sprintf("%s is not in the table of imports", folder.Path))
			continue
		}
		faults = append(faults, checkFolder(module, folder, allowance, testModules)...)
	}
	for name := range missing {
		faults = append(faults, fmt.Sprintf("%s is in the table of imports and has no Go file", name))
	}
	slices.Sort(faults)
	return faults
}

func checkFolder(module string, folder Folder, allowance Allowance, testModules []string) []string {
	var faults []string
	unused := map[string]bool{}
	for _, p := range slices.Concat(allowance.Own, allowance.Modules, allowance.Tests) {
		unused[p] = true
	}
	check := func(imports []string, own, modules []string, what string) {
		for _, p := range imports {
			allowed := ""
			switch {
			case strings.HasPrefix(p, module+"/"):
				allowed = find(own, func(o string) bool { return module+"/"+o == p || module+"/"+folder.Path == p })
			case strings.Contains(strings.SplitN(p, "/", 2)[0], "."):
				allowed = find(modules, func(m string) bool { return p == m || strings.HasPrefix(p, m+"/") })
			case !slices.Contains(allowance.Without, p) || what == "tests":
				continue
			}
			delete(unused, allowed)
			if allowed == "" {
				faults = append(faults, fmt.Sprintf("%s: %s must not import %s", folder.Path, what, p))
			}
		}
	}
	check(folder.Imports(false), allowance.Own, allowance.Modules, "package")
	// A test in the package x_test imports x.
	own := slices.Concat(allowance.Own, allowance.Tests, []string{folder.Path})
	check(folder.Imports(true), own, slices.Concat(allowance.Modules, testModules), "tests")
	for p := range unused {
		faults = append(faults, fmt.Sprintf("%s: the allowance to import %s is not used", folder.Path, p))
	}
	return faults
}

func find(list []string, match func(string) bool) string {
	if i := slices.IndexFunc(list, match); i >= 0 {
		return list[i]
	}
	return ""
}
