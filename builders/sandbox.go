package builders

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nbuild/internal/fsx"
	"nbuild/internal/registration"
	"nbuild/internal/storepath"
)

// Sandbox runs a program that sees its declared inputs and nothing else of the machine. It needs no privileges and no
// helper programs: nbuild runs itself again as the first process of new namespaces, see sandbox_init.go.
//
// Approach:
//  1. planSandbox turns the request into a plan: mounts, folders, files, program, variables (sandbox_plan.go; pure but
//     for a look at the root's top folder);
//  2. launch starts the init of the sandbox, which carries the plan out, runs the program, and reports (sandbox_launch.go,
//     sandbox_init.go);
//  3. the outputs are moved from Scratch to their places.
//
// The action's parts mean:
//
//   - Args: the program and its arguments. The program is an absolute path inside the sandbox.
//   - Env: variables, but for the options below. Files: written to /build before the program starts.
//   - Input "root": a tree that becomes the root, read-only. Every input whose slot name is an identifier that begins
//     with a letter is a variable with its store path, and so is every output. /build/closure/SLOT lists the store paths
//     of an input's closure.
//   - Env nbuild.as_root=1: the program runs as root who may give files away. Owners are recorded, not set; see
//     sandbox_chown.go. An output "owners" then gets the ownership manifest of output "out".
//   - Env nbuild.writable_root=1, with the above: the root is a writable copy of input "root" and becomes output "out".
//     Input "root_owners", if there, is the ownership manifest that the copy starts with.
//   - Env nbuild.packs=PERCENT: the build packs the closures of the inputs whose slots begin with "contents", but not what
//     is in the closures of those that begin with "without". /build/registration is the registration of these objects.
//     The disk must have room for that percentage of what zstd makes of them at its fastest before the program starts.
//   - Env nbuild.copies=PERCENT: the disk must have room for that percentage of the size of the inputs whose slots begin
//     with "contents", not of what they refer to, before the program starts.
//
// The zero value is not ready; use NewSandbox. A Sandbox is safe for concurrent use.
type Sandbox struct {
	grace time.Duration
}

// NewSandbox returns the builder "sandbox". The program that uses it must call RunIfSandboxChild first thing in main.
func NewSandbox() *Sandbox {
	// make and its like need a moment to remove half-written targets; a person who pressed Ctrl-C waits no longer.
	return &Sandbox{grace: 3 * time.Second}
}

// Build runs the action. It returns an *EnvironmentError where the machine forbids sandboxes.
func (s *Sandbox) Build(ctx context.Context, r *Request) error {
	options, err := parseSandboxOptions(r)
	if err != nil {
		return err
	}
	run := &sandboxRun{Request: r, sandboxOptions: options}
	// Nobody else on the machine may reach in: a root's copy has setuid files while the program runs.
	if err := os.Chmod(r.Scratch, 0o700); err != nil {
		return fmt.Errorf("prepare sandbox: %w", err)
	}
	if err := os.Mkdir(run.root(), 0o700); err != nil {
		return fmt.Errorf("prepare sandbox: %w", err)
	}
	if options.packs > 0 {
		run.registered = r.packed()
	}
	if err := run.checkRoom(); err != nil {
		return err
	}
	if options.writableRoot {
		if err := run.copyRoot(ctx); err != nil {
			return err
		}
	}
	plan, err := planSandbox(run)
	if err != nil {
		return err
	}
	stop := run.flushEarly()
	report, err := launch(ctx, plan, r.Log, s.grace)
	stop()
	if err != nil {
		return err // Whoever asked for the action knows its name.
	}
	if err := run.judge(report); err != nil {
		return err
	}
	return run.collect(report)
}

// sandboxRun is one build on its way.
type sandboxRun struct {
	*Request
	sandboxOptions
	created []string // mount points made in a writable root, to be removed again
	seed    recorder // owners the copied root starts with

	registered []registration.Entry // what the build packs
}

func (run *sandboxRun) root() string  { return filepath.Join(run.Scratch, "root") }
func (run *sandboxRun) store() string { return filepath.Join(run.Scratch, "store") }
func (run *sandboxRun) build() string { return filepath.Join(run.Scratch, "build") }
func (run *sandboxRun) tmp() string   { return filepath.Join(run.Scratch, "tmp") }

// sandboxOptions are the variables "nbuild.*" of an action.
type sandboxOptions struct {
	asRoot       bool
	writableRoot bool
	packs        int // what its output takes, as a percentage of what zstd makes of what it packs; 0: it packs nothing
	copies       int // what it takes, as a percentage of the inputs that it copies; 0: it copies none
}

// recordsOwners reports whether the action wants the recorder's knowledge as an output.
func (run *sandboxRun) recordsOwners() bool {
	_, ok := run.Outputs[ownersName]
	return ok && run.asRoot
}

const (
	optionPrefix = "nbuild."
	rootSlot     = "root"
	ownersName   = "owners"      // the output with the ownership manifest
	ownersSlot   = "root_owners" // the input slot of one; named apart, as an input and an output can't share a name
	outName      = "out"
)

func parseSandboxOptions(r *Request) (sandboxOptions, error) {
	var o sandboxOptions
	for name, value := range r.Action.Env() {
		option, ok := strings.CutPrefix(name, optionPrefix)
		if !ok {
			continue
		}
		var err error
		switch option {
		case "as_root":
			o.asRoot, err = parseSwitch(value)
		case "writable_root":
			o.writableRoot, err = parseSwitch(value)
		case "packs":
			o.packs, err = parsePercentage(value)
		case "copies":
			o.copies, err = parsePercentage(value)
		case "self_contained":
			_, err = parseSwitch(value) // It is whoever adds the outputs to the store who looks at it.
		default:
			return o, r.Failf("there is no option %s: want nbuild.as_root, nbuild.copies, nbuild.packs, nbuild.self_contained or nbuild.writable_root", name)
		}
		if err != nil {
			return o, r.Failf("option %s is %q: %v", name, value, err)
		}
	}
	return o, validateSandbox(r, o)
}

func parseSwitch(value string) (bool, error) {
	if value != "0" && value != "1" {
		return false, errors.New("want 0 or 1")
	}
	return value == "1", nil
}

func parsePercentage(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 1000 {
		return 0, errors.New("want a number from 1 to 1000")
	}
	return n, nil
}

// validateSandbox checks what parts of an action must not be in each other's way.
func validateSandbox(r *Request, o sandboxOptions) error {
	args := r.Action.Args()
	switch {
	case len(args) == 0:
		return r.Failf("no program to run")
	case !filepath.IsAbs(args[0]):
		return r.Failf("program %q: want an absolute path inside the sandbox", args[0])
	case o.writableRoot && !o.asRoot:
		return r.Failf("nbuild.writable_root wants nbuild.as_root")
	case o.writableRoot && r.Outputs[outName].File == "":
		return r.Failf("nbuild.writable_root wants an output %q", outName)
	}
	if _, ok := r.Inputs[rootSlot]; o.writableRoot && !ok {
		return r.Failf("nbuild.writable_root wants an input %q", rootSlot)
	}
	if _, ok := r.Outputs[ownersName]; ok && o.asRoot && r.Outputs[outName].File == "" {
		return r.Failf("an output %q wants an output %q", ownersName, outName)
	}
	texts := slices.Clone(args)
	for name, value := range r.Action.Env() {
		texts = append(texts, name, value)
		_, in := r.Inputs[name]
		_, out := r.Outputs[name]
		if (in && isVariable(name)) || out {
			return r.Failf("variable %q is also an input or an output", name)
		}
		if name == "" || strings.Contains(name, "=") {
			return r.Failf("%q can't be the name of a variable", name)
		}
	}
	if i := slices.IndexFunc(texts, func(s string) bool { return strings.Contains(s, "\x00") }); i >= 0 {
		return r.Failf("an argument or a variable has a zero byte: %.80q", texts[i])
	}
	return nil
}

// judge returns the failure that the report tells of, if any.
func (run *sandboxRun) judge(report *sandboxReport) error {
	if report.Stage == stageStart {
		// The root decides what is there to be run, so this is the action's fault.
		reason := syscall.Errno(report.Errno).Error()
		if syscall.Errno(report.Errno) == syscall.ENOENT {
			reason = "no such program in the sandbox, or its interpreter is missing"
		}
		return run.Failf("run %s: %s", report.Detail, reason)
	}
	status := syscall.WaitStatus(report.Status)
	switch {
	case status.Signaled():
		return run.Failf("killed by signal %d (%v)", status.Signal(), status.Signal())
	case status.ExitStatus() != 0:
		return run.Failf("exit status %d", status.ExitStatus())
	}
	return nil
}

// collect moves what the program made to where the request wants it.
func (run *sandboxRun) collect(report *sandboxReport) error {
	if run.writableRoot {
		for _, point := range slices.Backward(run.created) {
			if err := os.Remove(point); err != nil {
				return fmt.Errorf("remove mount point: %w", err)
			}
		}
	}
	for _, name := range run.Action.Outputs() {
		if name == ownersName && run.recordsOwners() {
			continue
		}
		if err := run.moveOutput(name); err != nil {
			return err
		}
	}
	if !run.recordsOwners() {
		return nil
	}
	recorded := run.seed
	recorded.merge(report.Owners)
	return writeOwners(run.Outputs[outName].File, recorded, run.Outputs[ownersName].File)
}

func (run *sandboxRun) moveOutput(name string) error {
	output := run.Outputs[name]
	from := filepath.Join(run.store(), output.Path.Base())
	if name == outName && run.writableRoot {
		from = run.root()
	}
	info, err := os.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return run.Failf("did not make its output %s", name)
	}
	if err != nil {
		return fmt.Errorf("move output %s: %w", name, err)
	}
	// A folder that moves gets a new "..", for which its owner needs the right to write.
	if info.IsDir() && info.Mode()&0o200 == 0 && !run.recordsOwners() {
		if err := os.Chmod(from, info.Mode()|0o700); err != nil {
			return fmt.Errorf("move output %s: %w", name, err)
		}
	}
	if err := fsx.RenameNew(from, output.File); err != nil {
		return fmt.Errorf("move output %s: %w", name, err)
	}
	return nil
}

// isVariable reports whether an input's slot name becomes a variable of the build. Names that begin with an underscore
// don't: they are made up for inputs that a text mentions.
func isVariable(name string) bool {
	for i, c := range name {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}

// insideStore returns where an object is inside the sandbox, relative to its root.
func insideStore(p storepath.Path) string { return strings.TrimPrefix(string(p), "/") }
