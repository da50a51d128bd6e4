package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"nbuild/builders"
	"nbuild/internal/fsx"
)

func TestMain(m *testing.M) {
	builders.RunIfSandboxChild()
	testscript.Main(m, map[string]func(){
		"nbuild":   func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
		"confined": confinedMain,
		"code":     codeMain,
	})
}

// TestScripts runs testdata/script: one script for each promise of the command line. They use no network but the
// machine's own, where the archives of the command "mirror" are served. Beside what testscript has, they can say:
//
//	ends CODE nbuild ARGUMENTS...  nbuild ends with this exit code; see scriptEnds for what else must hold
//	mirror [FLAGS] FILE            an archive of the packages that FILE describes; see scriptMirror
//	fault PART KIND [TIMES]        the mirror answers wrong where the path contains PART; see scriptFault
//	requests                       print the paths that were asked for since the last time
//	await PART                     wait until a path that contains PART was asked for
//	$IMAGES                        a folder with images that squashfs() made of small objects, without compression
//	exec code CODE COMMAND...      run it, also in the background; it must end with this exit code
//	exec confined [FLAGS] COMMAND  run it where the disk is small or something is forbidden; see confinedMain
func TestScripts(t *testing.T) {
	images, err := filepath.Abs("testdata/images")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(cond string) (bool, error) {
			if cond == "namespaces" {
				return builders.CheckNamespaces() == nil, nil
			}
			return false, errors.New("unknown condition")
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ends": scriptEnds, "mirror": scriptMirror, "fault": scriptFault, "requests": scriptRequests, "await": scriptAwait,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // With the race detector each process would end a second late.
			env.Setenv("NBUILD_STORE", env.WorkDir+"/store")
			env.Setenv("IMAGES", images)
			env.Setenv("NBUILD_DEBIAN_MIRROR", "file://"+env.WorkDir+"/no-mirror")
			env.Setenv("NBUILD_DEBIAN_KEYRING", env.WorkDir+"/no-keyring")
			env.Values[mirrorKey{}] = &scriptedMirror{}
			// The store's objects are read-only folders, which testscript can't delete for an unprivileged user.
			env.Defer(func() { _ = fsx.RemoveAll(env.WorkDir) })
			return nil
		},
	})
}

// messageLine is what each line of stderr looks like when nbuild ends badly: its own, or of the output of a build.
var messageLine = regexp.MustCompile(`^(nbuild: \s?\S|    )`)

// scriptEnds runs nbuild, which must end with a code. If that isn't 0, more must hold: there are words about it, every line
// of them has the form of a message and none looks like a dump; the result links and the lock file stay as they were; and
// the store is clean.
func scriptEnds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: ends CODE nbuild ARGUMENTS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	before := leavings(ts)
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
	if code == 0 {
		return
	}
	checkMessages(ts, ts.ReadFile("stderr"))
	if after := leavings(ts); !slices.Equal(before, after) {
		ts.Fatalf("it left something:\nbefore %q\n after %q", before, after)
	}
	checkStore(ts)
}

func checkMessages(ts *testscript.TestScript, stderr string) {
	if stderr == "" {
		ts.Fatalf("it ended without a word")
	}
	for line := range strings.Lines(stderr) {
		if !messageLine.MatchString(line) || strings.Contains(line, "goroutine ") || strings.Contains(line, "%!") {
			ts.Fatalf("not a message: %q", line)
		}
	}
}

// leavings returns what a failed command must not change: the links and the lock files, with their content.
func leavings(ts *testscript.TestScript) []string {
	var found []string
	for _, pattern := range []string{"result*", "nbuild.lock*", "*/result*", "*/nbuild.lock*"} {
		names, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		for _, name := range names {
			target, _ := os.Readlink(name) // Empty unless it is a link.
			text := ""
			if strings.HasPrefix(filepath.Base(name), "nbuild.lock") {
				text = ts.ReadFile(name)
			}
			found = append(found, name+" "+target+" "+text)
		}
	}
	return found
}

// checkStore verifies the store, and wants nothing temporary in it.
func checkStore(ts *testscript.TestScript) {
	store := ts.Getenv("NBUILD_STORE")
	if _, err := os.Stat(store); err != nil {
		return // A fault of the command line is found before the store is made.
	}
	var out strings.Builder
	if code := run([]string{"store", "verify", "-q", "--store", store}, &out, &out); code != 0 {
		ts.Fatalf("store verify: exit code %d\n%s", code, out.String())
	}
	if left, err := os.ReadDir(filepath.Join(store, "tmp")); err != nil || len(left) > 0 {
		ts.Fatalf("left in the store's tmp: %v, %v", left, err)
	}
}
