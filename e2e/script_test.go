//go:build e2e

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// tools is a project with the tools of all scripts. It is built once, and the scripts begin with its lock file.
const tools = `
trixie = debian("trixie")
tools = derivation("warm-up", script = "true >$out")
perl = trixie.tree(["perl-base"])
`

// TestScripts runs testdata/script with sandboxed builds: all scripts at once, and in one store. `ends CODE nbuild …` wants
// that exit code, and unless it is 0 no result link. `exec code CODE …` does so in the background.
func TestScripts(t *testing.T) {
	t.Parallel()
	p := newPlace(t, user{name: "this user"})
	p.write("nbuild.star", tools)
	p.nbuild("tools", "perl", "--no-link")
	lock, err := os.ReadFile(filepath.Join(p.dir, "nbuild.lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:                 "testdata/script",
			RequireExplicitExec: true,
			RequireUniqueNames:  true,
			Cmds:                map[string]func(*testscript.TestScript, bool, []string){"ends": scriptEnds},
			Setup: func(env *testscript.Env) error {
				env.Setenv("NBUILD_STORE", p.store())
				for _, name := range []string{"NBUILD_DEBIAN_MIRROR", "NBUILD_DEBIAN_KEYRING"} {
					env.Setenv(name, os.Getenv(name))
				}
				bin := filepath.Join(env.WorkDir, ".bin")
				env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
				return errors.Join(os.Mkdir(bin, 0o755), os.Symlink(binary(t), filepath.Join(bin, "nbuild")),
					os.WriteFile(filepath.Join(env.WorkDir, "nbuild.lock"), lock, 0o644))
			},
		})
	})
	p.nbuild("store", "verify")
	if left, err := os.ReadDir(filepath.Join(p.store(), "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left in the store's tmp: %v, %v", left, err)
	}
	checkNothingLeft(t, p)
}

// scriptEnds is the command "ends CODE nbuild ARGUMENTS...".
func scriptEnds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: ends CODE nbuild ARGUMENTS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	link := ts.MkAbs("result")
	before, _ := os.Readlink(link) // Empty when there is none.
	code := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
	if after, _ := os.Readlink(link); code != 0 && after != before {
		ts.Fatalf("it failed, but the link leads to %q instead of %q", after, before)
	}
}
