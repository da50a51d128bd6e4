// Package builders runs actions: in the sandbox, or in-process for fetch, unpack, tree, text and symlink.
//
// A builder sees a Request and nothing else of nbuild: no graph, no configuration. It writes each output to the place the
// request names; hashing, freezing and naming are the store's.
package builders

import (
	"context"
	"fmt"
	"io"

	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// A Builder makes the outputs of an action. Build may be called from many goroutines at once.
//
// It returns a *Failure if the action's own content is to blame (a script's exit status, a digest that doesn't match,
// a hostile archive), and any other error if nbuild or the machine is. When ctx ends it stops everything it started
// before it returns. What it leaves in the output places then is thrown away by the caller.
type Builder interface {
	Build(ctx context.Context, r *Request) error
}

// A Request is one action with all that a builder may use to run it. The builder must not change it.
type Request struct {
	Action  *derivations.Action
	Inputs  map[string]Input  // by slot; each slot of the action
	Closure []Object          // the closure of all inputs, sorted by path: what a sandbox shows
	Outputs map[string]Output // by name; each output of the action
	Scratch string            // an empty folder on the store's file system, removed by the caller afterwards
	Log     io.Writer         // takes the output of what runs, as it comes; safe for concurrent use
	Cores   int               // processors that the action may use, at least 1

	// Progress, unless nil, is told how many bytes of how many are done (total -1 when unknown), from any goroutine.
	Progress func(done, total int64)
}

// An Object is a store object and where it lies on this machine. In a Request's Closure, the rest is known of it as well.
type Object struct {
	Path storepath.Path
	File string // absolute physical path

	Digest     digest.Digest    // of its tree
	Size       int64            // sum of the sizes of its regular files in bytes
	References []storepath.Path // other objects that it names, sorted; the slice belongs to the store
}

// An Input is the object in a slot together with the paths of its closure, sorted.
type Input struct {
	Object
	Closure []storepath.Path
}

// An Output is a place for a builder to create a file, a folder or a symlink.
type Output struct {
	Path storepath.Path // the scratch store path that the build sees; of the length of the final one
	File string         // absolute physical path, on the store's file system; nothing is there yet
}

// A Failure says that the action failed by its own content, not by nbuild's fault.
type Failure struct {
	Name   string // of the action
	Reason string // without the name: "exit status 2", "sha256 is … but … was declared"
}

// Error returns "build NAME: reason".
func (f *Failure) Error() string { return "build " + f.Name + ": " + f.Reason }

// Failf returns a Failure of the request's action.
func (r *Request) Failf(format string, args ...any) error {
	return &Failure{Name: r.Action.Name(), Reason: fmt.Sprintf(format, args...)}
}
