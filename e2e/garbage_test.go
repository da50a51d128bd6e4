//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestCollectBesideMachine collects garbage while a machine runs that no link leads to. Its processor never starts: what
// counts is that it is there.
func TestCollectBesideMachine(t *testing.T) {
	t.Parallel()
	u := unprivileged()
	p := newPlace(t, u)
	p.write("nbuild.star", "held = system(name = \"held\")\nother = text_file(\"other\", \"other\")\n")
	p.nbuild("vm")
	// A collection takes nothing that a change needs.
	p.nbuild("store", "gc")
	p.edit("nbuild.star", `name = "held"`, `name = "held", modules = [{"environment.etc.note.text": "a note"}]`)
	p.builds("vm", "top-layer-held", "system-held", "vm-held")
	out, _ := p.nbuild("store", "closure", "result")
	closure := strings.Fields(out)
	if err := os.Remove(p.dir + "/result"); err != nil {
		t.Fatal(err)
	}

	t.Run("made of", func(t *testing.T) {
		// nbuild starts it, and nothing but this keeps it from the beginning.
		g := launchPaused(t, p.command(binary(t), "vm", "--run", "--no-link", "--", "-S"))
		p.nbuild("other", "--no-link")
		_, stderr := p.nbuild("store", "gc")
		t.Log(stderr)
		p.wantHeld(t, closure)
		if got, _ := p.nbuild("store", "ls"); strings.Contains(got, "-other\n") {
			t.Error("what nobody needs was kept")
		}
		// There is nothing to do after it.
		_, stderr = p.nbuild("vm")
		if c := parseCounts(t, stderr); c.built+c.fetched > 0 {
			t.Errorf("afterwards a build has something to do:\n%s", stderr)
		}
		g.in(t, func() {
			g.send("quit\n")
			g.wait(commandTimeout)
		})
	})
	t.Run("outputs only", func(t *testing.T) {
		g := launchPaused(t, p.runner("held", "-S"))
		if err := os.Remove(p.dir + "/result"); err != nil {
			t.Fatal(err)
		}
		_, stderr := p.nbuild("store", "gc", "--outputs-only")
		t.Log(stderr)
		p.wantHeld(t, closure)
		if out, _ := p.nbuild("store", "ls"); strings.Contains(out, ".deb\n") {
			t.Error("packages as they were fetched are left")
		}
		p.nbuild("store", "verify")
		// However it ends, it holds nothing then.
		if err := g.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		g.in(t, func() { g.wait(commandTimeout) })
	})
	p.nbuild("store", "gc")
	if out, _ := p.nbuild("store", "ls"); out != "" {
		t.Errorf("after the machine's end there is left:\n%s", out)
	}
}

// launchPaused starts a machine that was told -S, and waits until QEMU answers.
func launchPaused(t *testing.T, cmd *exec.Cmd) *guest {
	t.Helper()
	g := launch(t, cmd)
	g.send("\x01c") // to the monitor
	g.expect("(qemu) ", bootTimeout)
	return g
}

// wantHeld checks that a closure is there, whole, and what keeps it.
func (p *place) wantHeld(t *testing.T, closure []string) {
	t.Helper()
	out, _ := p.nbuild("store", "roots")
	if !strings.HasPrefix(out, "in use\t/nbuild/store/") || strings.Count(out, "\n") != 1 {
		t.Errorf("the roots are:\n%s", out)
	}
	held := strings.TrimSpace(strings.TrimPrefix(out, "in use\t"))
	got, _ := p.nbuild("store", "closure", held)
	if !slices.Equal(strings.Fields(got), closure) {
		t.Errorf("of the closure there is\n%s\nwant\n%s", got, strings.Join(closure, "\n"))
	}
	for _, path := range closure {
		if _, err := os.Lstat(p.store() + "/objects/" + strings.TrimPrefix(path, "/nbuild/store/")); err != nil {
			t.Error(err)
		}
	}
}
