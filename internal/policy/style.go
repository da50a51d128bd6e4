package policy

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// A Style is what CheckStyle holds every folder to.
type Style struct {
	MaxLines int                 // of a file
	Printers map[string]bool     // folders and files that may print and exit
	Mutable  map[string][]string // by folder: variables of a package that may change, each with its reason in the table
}

// CheckStyle returns a line for each file that is too long, each package without its comment, each init function, each
// exit and print outside the printers, and each variable of a package that is assigned to or has a type made to change.
// Tests are only held to the length.
func CheckStyle(fset *token.FileSet, folders []Folder, style Style) []string {
	var faults []string
	for _, folder := range folders {
		var code []*ast.File
		for _, file := range folder.Files {
			if file.Lines > style.MaxLines {
				faults = append(faults, fmt.Sprintf("%s: %d lines; split it, %d is the limit", file.Path, file.Lines, style.MaxLines))
			}
			if !file.Test {
				code = append(code, file.AST)
			}
		}
		if len(code) == 0 {
			continue
		}
		c := checker{fset: fset, folder: folder.Path, style: style, info: resolve(fset, code)}
		c.checkComment(code)
		for _, file := range code {
			c.checkDeclarations(file)
			ast.Inspect(file, c.inspect)
		}
		faults = append(faults, c.faults...)
	}
	return faults
}

type checker struct {
	fset   *token.FileSet
	folder string
	style  Style
	info   *types.Info
	faults []string
}

// resolve finds what each identifier of a package means. What other packages export stays unknown, which is enough here
// and spares compiling them: imports are empty packages and type errors are ignored.
func resolve(fset *token.FileSet, files []*ast.File) *types.Info {
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{
		Importer:    emptyImporter{},
		Error:       func(error) {},
		FakeImportC: true,
	}
	_, _ = config.Check(files[0].Name.Name, fset, files, info)
	return info
}

type emptyImporter struct{}

var _ types.Importer = emptyImporter{}

func (emptyImporter) Import(path string) (*types.Package, error) {
	name := path[strings.LastIndex(path, "/")+1:]
	p := types.NewPackage(path, name)
	p.MarkComplete()
	return p, nil
}

func (c *checker) fault(at token.Pos, format string, args ...any) {
	p := c.fset.Position(at)
	c.faults = append(c.faults, fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...)))
}

// checkComment wants "Package x …", or "Command x …" of a command, on exactly one file.
func (c *checker) checkComment(files []*ast.File) {
	name := files[0].Name.Name
	want := "Package " + name + " "
	if name == "main" {
		want = "Command "
	}
	found := 0
	for _, file := range files {
		if file.Doc != nil && strings.HasPrefix(file.Doc.Text(), want) {
			found++
		}
	}
	if found != 1 {
		c.fault(files[0].Pos(), "%d comments of the package begin with %q, want one", found, want)
	}
}

func (c *checker) checkDeclarations(file *ast.File) {
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil && decl.Name.Name == "init" {
				c.fault(decl.Pos(), "init function")
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				if spec, ok := spec.(*ast.ValueSpec); ok && decl.Tok == token.VAR {
					c.checkVariable(spec)
				}
			}
		}
	}
}

// checkVariable refuses variables whose type is there to change: those of sync and sync/atomic, and channels.
func (c *checker) checkVariable(spec *ast.ValueSpec) {
	kinds := []ast.Expr{spec.Type}
	for _, v := range spec.Values {
		if v, ok := v.(*ast.CompositeLit); ok {
			kinds = append(kinds, v.Type)
		}
	}
	for _, kind := range kinds {
		selector, ok := kind.(*ast.SelectorExpr)
		if ok && (c.isPackage(selector.X, "sync") || c.isPackage(selector.X, "sync/atomic")) {
			c.mutable(spec.Names[0], "is made to change")
		}
		if _, ok := kind.(*ast.ChanType); ok {
			c.mutable(spec.Names[0], "is a channel")
		}
	}
}

func (c *checker) mutable(name *ast.Ident, how string) {
	for _, allowed := range c.style.Mutable[c.folder] {
		if allowed == name.Name {
			return
		}
	}
	c.fault(name.Pos(), "the package's variable %s %s", name.Name, how)
}

// inspect looks for assignments to variables of a package, exits and prints.
func (c *checker) inspect(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			for _, left := range n.Lhs {
				c.checkAssigned(left)
			}
		}
	case *ast.IncDecStmt:
		c.checkAssigned(n.X)
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			c.checkAssigned(n.X)
		}
	case *ast.CallExpr:
		if builtin, ok := n.Fun.(*ast.Ident); ok && (builtin.Name == "delete" || builtin.Name == "clear") && len(n.Args) > 0 {
			c.checkAssigned(n.Args[0])
		}
	case *ast.SelectorExpr:
		c.checkPrint(n)
	}
	return true
}

// checkAssigned follows x[i], x.f, *x and (x) down to x and reports it when it is a variable of a package, this or another.
func (c *checker) checkAssigned(e ast.Expr) {
	for {
		switch x := e.(type) {
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.SelectorExpr:
			if id, ok := x.X.(*ast.Ident); ok {
				if _, ok := c.info.Uses[id].(*types.PkgName); ok {
					c.fault(x.Pos(), "assignment to %s.%s, a variable of another package", id.Name, x.Sel.Name)
					return
				}
			}
			e = x.X
		case *ast.Ident:
			v, ok := c.info.Uses[x].(*types.Var)
			if ok && v.Parent() != nil && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
				c.mutable(x, "is assigned to")
			}
			return
		default:
			return
		}
	}
}

// checkPrint refuses what ends the process or writes to its streams, by whatever name the package is imported.
func (c *checker) checkPrint(s *ast.SelectorExpr) {
	if c.style.Printers[c.folder] || c.style.Printers[c.fset.Position(s.Pos()).Filename] {
		return
	}
	name := s.Sel.Name
	switch {
	case c.isPackage(s.X, "os") && (name == "Exit" || name == "Stdout" || name == "Stderr"),
		c.isPackage(s.X, "fmt") && (name == "Print" || name == "Printf" || name == "Println"),
		c.isPackage(s.X, "log"):
		c.fault(s.Pos(), "%s: only cmd/nbuild prints and exits", name)
	}
}

func (c *checker) isPackage(e ast.Expr, path string) bool {
	id, ok := e.(*ast.Ident)
	if !ok {
		return false
	}
	p, ok := c.info.Uses[id].(*types.PkgName)
	return ok && p.Imported().Path() == path
}
