//go:build e2e

package e2e

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestIncremental changes a project step by step and looks at what is made again.
func TestIncremental(t *testing.T) {
	t.Parallel()
	p, k := newPlace(t, user{name: "this user"}), newKey(t)
	text := webProject("one", k)
	p.write("nbuild.star", text)
	p.nbuild("vm")
	small := []string{"top-layer-web", "system-web", "vm-web"}
	tests := []struct {
		name    string
		text    string
		built   *regexp.Regexp // what may be built
		must    []string       // what must be
		fetched int
	}{
		{"nothing changed", text, regexp.MustCompile("^$"), nil, 0},
		{"a comment", "# a comment\n" + text, regexp.MustCompile("^$"), nil, 0},
		{"the host name", webProject("two", k), regexp.MustCompile("^(top-layer|system|vm)-web$"), small, 0},
		{
			"one more package", strings.Replace(webProject("two", k), `"file", `, `"file", "tree", `, 1),
			regexp.MustCompile("^(tree-.*|package-root.*|top-layer-web|system-web|vm-web)$"),
			[]string{"package-root"},
			1,
		},
		{"back again", text, regexp.MustCompile("^$"), nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p.write("nbuild.star", test.text)
			_, stderr := p.nbuild("vm")
			names := builtNames(stderr)
			for _, name := range names {
				if !test.built.MatchString(name) {
					t.Errorf("%s was built", name)
				}
			}
			for _, name := range test.must {
				if !slices.Contains(names, name) {
					t.Errorf("%s was not built, but %v", name, names)
				}
			}
			got := parseCounts(t, stderr)
			if got.built != len(names) || got.fetched != test.fetched {
				t.Errorf("counts %+v; want %d built, %d fetched", got, len(names), test.fetched)
			}
		})
	}
}

// TestMake builds below make -j2. What stands beside another job of make has one processor, what stands alone has both.
func TestMake(t *testing.T) {
	t.Parallel()
	if runtime.NumCPU() < 2 {
		t.Skip("NOT TESTED: that make's jobs become processors, because there is one processor")
	}
	p := newPlace(t, user{name: "this user"})
	p.write("nbuild.star", `
beside = derivation("beside", script = "echo $NBUILD_CORES > $out")
alone = derivation("alone", script = "echo $NBUILD_CORES > $out")
`)
	p.write("Makefile", `
all: beside other
beside:
	read x < begun
	+$(NBUILD) beside -o beside
	echo > done
other:
	echo > begun
	read x < done
alone:
	+$(NBUILD) alone -o alone
.PHONY: all beside other alone
`)
	for _, name := range []string{"begun", "done"} {
		if err := syscall.Mkfifo(filepath.Join(p.dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ target, link, want string }{{"all", "beside", "1\n"}, {"alone", "alone", "2\n"}} {
		cmd := p.command("make", "-j2", "NBUILD="+binary(t), test.target)
		cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("jobserver")) {
			t.Fatalf("make %s: %v\n%s", test.target, err, out)
		}
		got, err := os.ReadFile(filepath.Join(p.dir, test.link))
		if diff := cmp.Diff(test.want, string(got)); err != nil || diff != "" {
			t.Errorf("make %s: processors of the build (-want +got), %v:\n%s", test.target, err, diff)
		}
	}
}

// kills is how often TestKill kills a build.
const kills = 50

// TestKill kills nbuild at random moments of a build. Nothing of it survives, the store is clean, and the build completes.
func TestKill(t *testing.T) {
	t.Parallel()
	p, k := newPlace(t, user{name: "this user"}), newKey(t)
	p.write("nbuild.star", webProject("victim", k))
	p.nbuild("fetch", "web.vm")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range kills {
		cmd := p.command(binary(t), "vm", "--no-link", "--offline")
		killAfter(t, cmd, time.Duration(random.Int64N(int64(1500*time.Millisecond))))
		waitUntilGone(t, p)
	}
	if _, _, err := p.try("vm", "--offline"); err != nil {
		t.Fatalf("the build after %d kills: %v", kills, err)
	}
	if out, stderr, err := p.try("store", "verify"); err != nil {
		t.Errorf("verify after %d kills: %v\n%s%s", kills, err, out, stderr)
	}
	if left, err := os.ReadDir(filepath.Join(p.store(), "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
	checkNothingLeft(t, p)
}

func killAfter(t *testing.T, cmd *exec.Cmd, delay time.Duration) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait() // It was killed, or was done before.
}

// waitUntilGone waits for the children of a killed nbuild, which the kernel kills a moment after it.
func waitUntilGone(t *testing.T, p *place) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		left := append(processes(t, filepath.Dir(p.dir)), processesIn(t, p.store())...)
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("processes are left after nbuild was killed: %v", left)
		}
	}
}

// processesIn returns the processes whose root folder or working folder lies below dir.
func processesIn(t *testing.T, dir string) (found []string) {
	t.Helper()
	for _, link := range []string{"root", "cwd"} {
		files, err := filepath.Glob("/proc/[0-9]*/" + link)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if target, err := os.Readlink(file); err == nil && strings.HasPrefix(target, dir) {
				found = append(found, file+" -> "+target)
			}
		}
	}
	return found
}

// TestTwoAtOnce starts two builds on one empty store. Each action runs in one of them.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	p, k := newPlace(t, user{name: "this user"}), newKey(t)
	p.write("nbuild.star", webProject("twins", k))
	p.nbuild("lock")
	var group sync.WaitGroup
	outputs := make([]bytes.Buffer, 2)
	for i := range outputs {
		cmd := p.command(binary(t), "vm", "-o", []string{"result", "closure-of"}[i])
		cmd.Stderr = &outputs[i]
		group.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("build %d: %v\n%s", i, err, outputs[i].String())
			}
		})
	}
	group.Wait()
	ran := map[string]int{}
	for i := range outputs {
		for _, m := range regexp.MustCompile(`(?m)^nbuild: (?:built|fetched) (\S+) `).FindAllStringSubmatch(outputs[i].String(), -1) {
			ran[m[1]]++
		}
	}
	for name, times := range ran {
		if times > 1 {
			t.Errorf("%s was made %d times", name, times)
		}
	}
	if len(ran) < 100 {
		t.Errorf("only %d actions ran in all", len(ran))
	}
	if diff := cmp.Diff(p.storePath("result"), p.storePath("closure-of")); diff != "" {
		t.Errorf("the results (-first +second):\n%s", diff)
	}
	p.nbuild("store", "verify")
}
