// Package config evaluates a project, nbuild.star and the files it loads, to the targets it declares.
//
// A project file is Starlark (go.starlark.net). Its globals that hold derivations and systems are the targets. Evaluating
// runs no program and prints nothing; it reads the project's files and the environment variables that the project names,
// asks a Packages which packages to use, and puts the project's sources into a Sources. The same files, variables and
// answers give the same targets.
package config

import (
	"context"
	_ "embed"

	"nbuild/debian"
	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// DefaultFile is the name of a project's file.
const DefaultFile = "nbuild.star"

// BuiltinFile is what positions call the built-in demo project.
const BuiltinFile = "demo.star"

//go:embed demo.star
var demo string

// Demo returns the text of the built-in demo project, which is also what a new project starts from.
func Demo() string { return demo }

// Packages answers which packages of a Debian archive make up a request, dependencies included. A *debian.ResolveError is
// the project's fault, and reported at the place in the project that wants the packages; after any other error Evaluate
// returns that as it is.
type Packages interface {
	Resolve(ctx context.Context, r debian.Request) ([]debian.Package, error)
}

// An Archive is a Packages whose mirror and keyring a project may choose. UseArchive is called before any Resolve;
// an empty list leaves the choice as it is.
type Archive interface {
	Packages
	UseArchive(mirrors, keyrings []string) error
}

// Sources puts a file or folder of this machine into the store, called name there.
type Sources interface {
	AddSource(ctx context.Context, name, file string) (storepath.Path, error)
}

// A Project is what Evaluate evaluates.
type Project struct {
	Dir      string                           // its folder; every path in the project is relative to it
	File     string                           // the file in Dir to begin with; empty means DefaultFile
	Builtin  bool                             // evaluate the built-in demo instead of a file
	Packages Packages                         // needed when the project uses Debian packages, that is, nearly always
	Sources  Sources                          // needed when the project uses source()
	Getenv   func(name string) (string, bool) // nil means that no variable is set
	Print    func(at Position, text string)   // takes what print() says; nil throws it away
}

// A Kind says what a target is.
type Kind string

// The kinds of targets.
const (
	KindDerivation Kind = "derivation" // of the user's own, a fetch, a tree, ...
	KindSystem     Kind = "system"     // a whole system
	KindVM         Kind = "vm"         // the runner of a system's virtual machine
	KindSquashfs   Kind = "squashfs"   // an image of store objects
	KindTheme      Kind = "theme"      // a boot theme
	KindISO        Kind = "iso"        // an image of a CD
)

// A Target is something that can be built by its name.
type Target struct {
	Name       string
	Derivation *derivations.Derivation
	Output     string   // which of the derivation's outputs
	Position   Position // of the call that made it
	Kind       Kind
}

// Reads is what an evaluation read beside the lock file: while none of it changes, neither does the result.
type Reads struct {
	Files       map[string]digest.Digest // of their content, by path relative to the project's folder; the project file among them
	Sources     map[string]SourceRead    // by path relative to the project's folder
	Environment map[string]Environment   // by the variable's name
}

// A SourceRead is what source() found.
type SourceRead struct {
	Path storepath.Path // the object that it was put into the store as
}

// An Environment is what from_env() found.
type Environment struct {
	Value string
	Set   bool
}
