package builders

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// testRequest returns the request to run an action made of spec, with inputs by slot that are files or folders of the
// test's. Each output's place is a name in a fresh folder, beside nothing else.
func testRequest(t testing.TB, spec derivations.Spec, inputs map[string]string) *Request {
	t.Helper()
	if spec.Name == "" {
		spec.Name = "test"
	}
	spec.Inputs = map[string]derivations.Input{}
	paths := map[string]storepath.Path{}
	for slot := range inputs {
		paths[slot] = storepath.New(digest.Sum([]byte(slot)), "input-"+slot)
		spec.Inputs[slot] = derivations.Input{Source: paths[slot]}
	}
	drv, err := derivations.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	action, err := drv.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{
		Action:  action,
		Inputs:  map[string]Input{},
		Outputs: map[string]Output{},
		Scratch: t.TempDir(),
		Log:     &bytes.Buffer{},
		Cores:   1,
	}
	for slot, file := range inputs {
		r.Inputs[slot] = Input{Object: Object{Path: paths[slot], File: file}}
	}
	folder := t.TempDir()
	for _, name := range drv.Outputs() {
		out := derivations.OutputName(spec.Name, name)
		r.Outputs[name] = Output{
			Path: storepath.New(digest.Sum([]byte(out)), out),
			File: filepath.Join(folder, name),
		}
	}
	return r
}

// mustBuild runs the request and returns where "out" is.
func mustBuild(t testing.TB, b Builder, r *Request) string {
	t.Helper()
	if err := b.Build(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	return r.Outputs["out"].File
}

// wantFailure checks that a build fails by its own content with a reason that has all the parts.
func wantFailure(t testing.TB, b Builder, r *Request, parts ...string) {
	t.Helper()
	err := b.Build(context.Background(), r)
	failure, ok := err.(*Failure)
	if !ok {
		t.Fatalf("Build = %v, want a *Failure", err)
	}
	for _, part := range parts {
		if !strings.Contains(failure.Reason, part) {
			t.Errorf("reason is %q, want %q in it", failure.Reason, part)
		}
	}
	if strings.Contains(failure.Reason, "\n") && len(parts) > 0 && !strings.Contains(strings.Join(parts, ""), "\n") {
		t.Errorf("reason has several lines: %q", failure.Reason)
	}
}

// listTree describes a tree: by relative name, "dir", "link TARGET", or "file CONTENT" and "exec CONTENT".
func listTree(t testing.TB, root string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		tree[rel], err = describe(name, d)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func describe(name string, d fs.DirEntry) (string, error) {
	switch d.Type() {
	case fs.ModeDir:
		return "dir", nil
	case fs.ModeSymlink:
		target, err := os.Readlink(name)
		return "link " + target, err
	case 0:
	default:
		return d.Type().String(), nil
	}
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(name)
	if info.Mode().Perm() == 0o755 {
		return "exec " + string(b), err
	}
	if info.Mode() != 0o644 {
		return info.Mode().String() + " " + string(b), err
	}
	return "file " + string(b), err
}
