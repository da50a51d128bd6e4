package builders

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

func TestMain(m *testing.M) {
	RunIfSandboxChild()
	os.Exit(m.Run())
}

// compileProbe returns the static program of testdata/probe, as the test binary itself may need shared libraries.
// NBUILD_TEST_PROBE names a compiled one, for running the test binary where there is no compiler.
var compileProbe = sync.OnceValues(func() (string, error) {
	if file := os.Getenv("NBUILD_TEST_PROBE"); file != "" {
		return file, nil
	}
	folder, err := os.MkdirTemp("", "nbuild-probe-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "probe")
	cmd := exec.Command("go", "build", "-o", file, "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile probe: %v\n%s", err, output)
	}
	return file, nil
})

// A sandboxTest is one build: what differs from an action that runs the probe.
type sandboxTest struct {
	operations []string          // of the probe, see testdata/probe
	args       []string          // instead of the probe
	env, files map[string]string // of the action
	root       string            // a folder for input "root"
	inputs     map[string]string // slot → file or folder on the host
	outputs    []string
	cores      int
}

// result is what a sandboxTest did.
type result struct {
	request *Request
	log     *lockedBuffer
	err     error
}

// output returns the physical place of an output.
func (r result) output(name string) string { return r.request.Outputs[name].File }

// lockedBuffer is a buffer that may be read while a build writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func testPath(slot string) storepath.Path {
	return storepath.New(digest.Sum([]byte(slot)), strings.ReplaceAll(slot, " ", "-"))
}

// request returns the Request of a test, with everything in new folders of t.
func (test sandboxTest) request(t testing.TB) *Request {
	t.Helper()
	probe, err := compileProbe()
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[string]string{"probe": probe}
	maps.Copy(inputs, test.inputs)
	if test.root != "" {
		inputs["root"] = test.root
	}
	args := test.args
	if args == nil {
		args = append([]string{string(testPath("probe"))}, test.operations...)
	}
	spec := derivations.Spec{
		Name: "test", Builder: "sandbox", Args: args, Env: test.env, Files: test.files, Outputs: test.outputs,
		Inputs: map[string]derivations.Input{},
	}
	folder := t.TempDir()
	r := &Request{Inputs: map[string]Input{}, Outputs: map[string]Output{}, Scratch: filepath.Join(folder, "scratch"), Cores: max(test.cores, 1)}
	for _, slot := range slices.Sorted(maps.Keys(inputs)) {
		path := testPath(slot)
		spec.Inputs[slot] = derivations.Input{Source: path}
		object := Object{Path: path, File: inputs[slot]}
		r.Inputs[slot] = Input{Object: object, Closure: []storepath.Path{path}}
		r.Closure = append(r.Closure, object)
	}
	drv, err := derivations.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	if r.Action, err = drv.Resolve(nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range r.Action.Outputs() {
		path := testPath("output-" + name)
		r.Outputs[name] = Output{Path: path, File: filepath.Join(folder, path.Base())}
	}
	if err := os.Mkdir(r.Scratch, 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

func (test sandboxTest) run(t testing.TB) result {
	t.Helper()
	return test.runContext(t, t.Context())
}

func (test sandboxTest) runContext(t testing.TB, ctx context.Context) result {
	t.Helper()
	r := result{request: test.request(t), log: &lockedBuffer{}}
	r.request.Log = r.log
	r.err = NewSandbox().Build(ctx, r.request)
	return r
}

// mustRun runs a test that has to succeed and returns it with what it printed.
func (test sandboxTest) mustRun(t testing.TB) (result, string) {
	t.Helper()
	r := test.run(t)
	if r.err != nil {
		t.Fatalf("build: %v; log:\n%s", r.err, r.log)
	}
	return r, r.log.String()
}

func wantText(t testing.TB, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
