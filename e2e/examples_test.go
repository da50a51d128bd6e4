//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// copyExample makes an example the place's project. It has no lock file: what is newest in the archive must do.
func (p *place) copyExample(name string) {
	p.t.Helper()
	if err := os.CopyFS(p.dir, os.DirFS(filepath.Join("../examples", name))); err != nil {
		p.t.Fatal(err)
	}
}

// TestHello compiles a C program with Debian's compiler and runs it in another build. Without any privilege.
func TestHello(t *testing.T) {
	u := user{name: "this user"}
	if os.Getuid() == 0 {
		u = nobody
	}
	p := newPlace(t, u)
	p.copyExample("hello")
	_, stderr := p.nbuild("greeting")
	got, err := os.ReadFile(filepath.Join(p.dir, "result"))
	if err != nil || string(got) != "Hello, world!\n" {
		t.Errorf("the greeting is %q, %v\n%s", got, err, stderr)
	}

	// A comment changes the source, but not what the compiler makes of it: the build above doesn't run again.
	source := filepath.Join(p.dir, "hello/hello.c")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(source, append([]byte("/* a comment */ "), text...), 0o644); err != nil {
		t.Fatal(err)
	}
	_, stderr = p.nbuild("greeting")
	if names := builtNames(stderr); len(names) != 1 || names[0] != "hello" {
		t.Errorf("after a comment in the source %v was built, want hello alone", names)
	}
}
