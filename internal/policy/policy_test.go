package policy

import (
	"go/token"
	"maps"
	"path"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	top    = "../.."
	module = "nbuild"
)

// imports is the architecture: what each folder may import. docs/architecture.md says why; changing a line here is a
// change of architecture. Data flows one way: config, derivations, graph, builders, store.
var imports = map[string]Allowance{
	"internal/digest":       {Modules: []string{"lukechampine.com/blake3"}, Without: impure},
	"internal/storepath":    {Own: []string{"internal/digest"}, Without: impure},
	"internal/owners":       {Without: impure},
	"internal/registration": {Own: []string{"internal/digest", "internal/storepath"}, Without: impure},
	"internal/buildid":      {Own: []string{"internal/digest"}},
	"internal/fsx":          {Modules: []string{"golang.org/x/sys"}},
	"internal/jobserver":    {Modules: []string{"golang.org/x/sys"}},
	"internal/lock":         {Modules: []string{"golang.org/x/sys"}},
	"internal/squashfs": {
		Modules: []string{"github.com/klauspost/compress", "github.com/therootcompany/xz", "golang.org/x/sync"},
		Without: []string{"net/http", "os/exec"},
	},
	"internal/transfer": {Without: []string{"os", "os/exec"}},
	"internal/tree": {
		Own:     []string{"internal/digest"},
		Modules: []string{"golang.org/x/sync", "golang.org/x/sys"},
		Tests:   []string{"internal/fsx"},
	},
	"store": {
		Own:     []string{"internal/digest", "internal/fsx", "internal/lock", "internal/storepath", "internal/tree"},
		Modules: []string{"golang.org/x/sys", "zombiezen.com/go/sqlite"},
		Without: []string{"net/http"},
	},
	"modules":     {},
	"scripts":     {Without: impure},
	"derivations": {Own: []string{"internal/digest", "internal/storepath", "scripts"}, Without: impure},
	"builders": {
		Own:     []string{"derivations", "internal/digest", "internal/fsx", "internal/owners", "internal/registration", "internal/storepath", "internal/transfer"},
		Modules: []string{"github.com/klauspost/compress", "github.com/therootcompany/xz", "golang.org/x/sync", "golang.org/x/sys"},
		Without: []string{"net/http"},
	},
	"debian": {
		Own:     []string{"internal/transfer"},
		Modules: []string{"github.com/ProtonMail/go-crypto", "github.com/klauspost/compress", "github.com/therootcompany/xz", "golang.org/x/sync"},
		Tests:   []string{"internal/testarchive"},
		Without: []string{"net/http", "os/exec"},
	},
	"graph": {
		Own:     []string{"builders", "derivations", "internal/digest", "internal/storepath", "store"},
		Modules: []string{"golang.org/x/sync"},
		Tests:   []string{"internal/fsx", "internal/jobserver"},
		Without: []string{"net/http", "os/exec"},
	},
	"config/fault": {Without: impure},
	"config/options": {
		Own:     []string{"config/fault"},
		Modules: []string{"go.starlark.net"},
		Without: impure,
	},
	"config": {
		Own:     []string{"config/fault", "config/options", "debian", "derivations", "internal/digest", "internal/fsx", "internal/storepath", "modules"},
		Modules: []string{"go.starlark.net"},
		Tests:   []string{"internal/testproject"},
		Without: []string{"net/http", "os/exec"},
	},
	"config/layout": {
		Own:     []string{"config", "config/fault"},
		Modules: []string{"github.com/bazelbuild/buildtools", "go.starlark.net"},
		Without: impure,
	},
	"cmd/nbuild": {
		Own:     []string{"builders", "config", "config/layout", "config/options", "debian", "derivations", "graph", "internal/buildid", "internal/digest", "internal/fsx", "internal/jobserver", "internal/registration", "internal/squashfs", "internal/storepath", "store"},
		Modules: []string{"github.com/spf13/pflag", "github.com/vbauerster/mpb", "golang.org/x/term"},
		Tests:   []string{"internal/testarchive"},
	},

	"bench": {Own: []string{"internal/fsx", "internal/testproject"}, Modules: []string{"golang.org/x/sys"}},
	"docs": {Tests: []string{
		"config", "config/options", "debian", "derivations", "internal/digest", "internal/fsx", "internal/owners", "internal/registration", "internal/storepath", "internal/tree", "scripts", "store",
	}},
	"e2e":             {Modules: []string{"github.com/klauspost/compress", "golang.org/x/crypto"}, Tests: []string{"debian", "internal/fsx", "internal/storepath", "internal/testarchive"}},
	"internal/policy": {},

	// Helpers of tests, which no program imports.
	"internal/testarchive": {Modules: []string{"github.com/ProtonMail/go-crypto", "github.com/klauspost/compress"}},
	"internal/testproject": {}, // bench, which measures, writes it too
}

// impure is what a package must not import that does no I/O, reads no clock and keeps no secrets from its caller.
var impure = []string{"io/fs", "log", "math/rand", "math/rand/v2", "net", "net/http", "os", "os/exec", "path/filepath", "syscall", "time", "unsafe"}

// testModules are for the tests of every folder.
var testModules = []string{"github.com/google/go-cmp", "github.com/rogpeppe/go-internal"}

var style = Style{
	MaxLines: 800,
	Printers: map[string]bool{
		"cmd/nbuild": true,
		"bench":      true, // a command of its own
		// The first process of a sandbox is nbuild too, but has no main to go back to.
		"builders/sandbox_init.go": true,
	},
}

func loadModule(t *testing.T) (*token.FileSet, []Folder) {
	t.Helper()
	fset := token.NewFileSet()
	folders, err := Load(fset, top)
	if err != nil {
		t.Fatal(err)
	}
	return fset, folders
}

func TestModuleKeepsImportPolicy(t *testing.T) {
	_, folders := loadModule(t)
	for _, fault := range CheckImports(module, folders, imports, testModules) {
		t.Error(fault)
	}
}

func TestModuleKeepsStyle(t *testing.T) {
	fset, folders := loadModule(t)
	for _, fault := range CheckStyle(fset, folders, style) {
		t.Error(fault)
	}
}

// parse makes folders of sources by file path.
func parse(t *testing.T, fset *token.FileSet, sources map[string]string) []Folder {
	t.Helper()
	folders := map[string]*Folder{}
	for name, src := range sources {
		file, err := Parse(fset, name, []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		dir := path.Dir(name)
		if folders[dir] == nil {
			folders[dir] = &Folder{Path: dir}
		}
		folders[dir].Files = append(folders[dir].Files, file)
	}
	var list []Folder
	for _, dir := range slices.Sorted(maps.Keys(folders)) {
		list = append(list, *folders[dir])
	}
	return list
}

func TestCheckImports(t *testing.T) {
	table := map[string]Allowance{
		"a": {Without: []string{"os"}},
		"b": {Own: []string{"a"}, Modules: []string{"example.org/m"}, Tests: []string{"c"}},
		"c": {},
	}
	good := map[string]string{
		"a/x.go":      `package a; import "fmt"`,
		"a/x_test.go": `package a_test; import ("os"; "m/a"; "example.org/cmp/sub")`,
		"b/x.go":      `package b; import ("m/a"; "example.org/m/sub")`,
		"b/x_test.go": `package b; import ("m/a"; "m/c")`,
		"c/x.go":      `package c`,
	}
	tests := []struct {
		name string
		file string
		src  string
		want []string
	}{
		{"nothing changed", "c/x.go", `package c`, nil},
		{"wrong edge", "c/x.go", `package c; import "m/a"`, []string{"c: package must not import m/a"}},
		{"wrong edge of a test", "c/x_test.go", `package c; import "m/a"`, []string{"c: tests must not import m/a"}},
		{"wrong module", "c/x.go", `package c; import "example.org/m"`, []string{"c: package must not import example.org/m"}},
		{"module with the same beginning", "b/x.go", `package b; import ("m/a"; "example.org/m"; "example.org/m2")`, []string{"b: package must not import example.org/m2"}},
		{"test import outside a test", "b/x.go", `package b; import ("m/a"; "example.org/m"; "m/c")`, []string{"b: package must not import m/c"}},
		{"refused standard package", "a/x.go", `package a; import "os"`, []string{"a: package must not import os"}},
		{"unused allowances", "b/x.go", `package b`, []string{"b: the allowance to import example.org/m is not used"}},
		{"folder not listed", "d/x.go", `package d`, []string{"d is not in the table of imports"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sources := map[string]string{tt.file: tt.src}
			for name, src := range good {
				if _, replaced := sources[name]; !replaced {
					sources[name] = src
				}
			}
			got := CheckImports("m", parse(t, token.NewFileSet(), sources), table, []string{"example.org/cmp"})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("listed folder is gone", func(t *testing.T) {
		want := []string{"a is in the table of imports and has no Go file"}
		if diff := cmp.Diff(want, CheckImports("m", nil, map[string]Allowance{"a": {}}, nil)); diff != "" {
			t.Errorf("faults (-want +got):\n%s", diff)
		}
	})
}

func TestCheckStyle(t *testing.T) {
	tests := []struct {
		name string
		file string
		src  string
		want []string
	}{
		{"good", "a/x.go", "// Package a is.\npackage a\nvar x = 1\nfunc f() int { x := x; x++; return x }", nil},
		{"no comment", "a/x.go", "package a", []string{`a/x.go:1: 0 comments of the package begin with "Package a ", want one`}},
		{"command", "a/x.go", "// Command a does.\npackage main", nil},
		{"too long", "a/x_test.go", "package a\n\n\n\n\n\n\n\n\n\n\n", []string{"a/x_test.go: 11 lines; split it, 10 is the limit"}},
		{"init", "a/x.go", "// Package a is.\npackage a\nfunc init() {}", []string{"a/x.go:3: init function"}},
		{"method called init", "a/x.go", "// Package a is.\npackage a\ntype t int\nfunc (t) init() {}", nil},
		{"assigned", "a/x.go", "// Package a is.\npackage a\nvar x []int\nfunc f() { x[0] = 1 }", []string{"a/x.go:4: the package's variable x is assigned to"}},
		{"incremented field", "a/x.go", "// Package a is.\npackage a\nvar x struct{ n int }\nfunc f() { (x.n)++ }", []string{"a/x.go:4: the package's variable x is assigned to"}},
		{"address taken", "a/x.go", "// Package a is.\npackage a\nvar x int\nvar _ = &x", []string{"a/x.go:4: the package's variable x is assigned to"}},
		{"deleted from", "a/x.go", "// Package a is.\npackage a\nvar x map[int]int\nfunc f() { delete(x, 1) }", []string{"a/x.go:4: the package's variable x is assigned to"}},
		{"allowed", "a/x.go", "// Package a is.\npackage a\nvar known int\nfunc f() { known = 1 }", nil},
		{"mutex", "a/x.go", "// Package a is.\npackage a\nimport \"sync\"\nvar mu sync.Mutex", []string{"a/x.go:4: the package's variable mu is made to change"}},
		{"other package's variable", "a/x.go", "// Package a is.\npackage a\nimport \"os\"\nfunc f() { os.Args = nil }", []string{"a/x.go:4: assignment to os.Args, a variable of another package"}},
		{"exit", "a/x.go", "// Package a is.\npackage a\nimport \"os\"\nfunc f() { os.Exit(1) }", []string{"a/x.go:4: Exit: only cmd/nbuild prints and exits"}},
		{"print by another name", "a/x.go", "// Package a is.\npackage a\nimport f \"fmt\"\nfunc g() { f.Println() }", []string{"a/x.go:4: Println: only cmd/nbuild prints and exits"}},
		{"printer", "p/x.go", "// Package p is.\npackage p\nimport \"os\"\nfunc f() { os.Exit(1) }", nil},
		{"printing file", "a/main.go", "// Package a is.\npackage a\nimport \"os\"\nfunc f() { os.Exit(1) }", nil},
		{"test prints", "a/x_test.go", "package a\nimport \"fmt\"\nfunc f() { fmt.Println() }", nil},
	}
	style := Style{MaxLines: 10, Printers: map[string]bool{"p": true, "a/main.go": true}, Mutable: map[string][]string{"a": {"known"}}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fset := token.NewFileSet()
			got := CheckStyle(fset, parse(t, fset, map[string]string{tt.file: tt.src}), style)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
