package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"nbuild/builders"
)

func TestMain(m *testing.M) {
	builders.RunIfSandboxChild()
	testscript.Main(m, map[string]func(){
		"nbuild": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs testdata/script: one script for each promise of the command line. They use no archive and no network.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("NBUILD_STORE", env.WorkDir+"/store")
			env.Setenv("NBUILD_DEBIAN_MIRROR", "file://"+env.WorkDir+"/no-mirror")
			env.Setenv("NBUILD_DEBIAN_KEYRING", env.WorkDir+"/no-keyring")
			// Objects are read-only folders; an unprivileged user's test must make them writable to delete them.
			env.Defer(func() { makeDeletable(env.WorkDir + "/store") })
			return nil
		},
	})
}
