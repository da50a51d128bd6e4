package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestFarmCountsItsSteps(t *testing.T) {
	f := farm{layers: 10, width: 100}
	made := map[string]bool{}
	f.eachStep(func(name string, inputs []string) {
		if made[name] {
			t.Errorf("%s comes twice", name)
		}
		for _, in := range inputs {
			if !made[in] {
				t.Errorf("%s uses %s before it is made", name, in)
			}
		}
		made[name] = true
	})
	if len(made) != 1001 || f.steps() != 1001 {
		t.Errorf("%d steps are visited and %d counted, want 1001", len(made), f.steps())
	}
}

// Both peers must really make every step, or their figures mean nothing.
func TestFarmIsBuiltByPeers(t *testing.T) {
	f := farm{layers: 3, width: 4}
	tests := []struct {
		write   func(string) error
		command []string
	}{
		{f.writeMakefile, []string{"make", "-s", "-j2"}},
		{f.writeNinja, []string{"ninja", "-j2"}},
	}
	for _, tt := range tests {
		t.Run(tt.command[0], func(t *testing.T) {
			if _, err := exec.LookPath(tt.command[0]); err != nil {
				t.Skipf("NOT TESTED: %s, because it is not installed", tt.command[0])
			}
			dir := t.TempDir()
			if err := tt.write(dir); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(tt.command[0], tt.command[1:]...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", tt.command, err, out)
			}
			got, err := os.ReadFile(filepath.Join(dir, "all"))
			if err != nil {
				t.Fatal(err)
			}
			if want := "all above n2-0\n"; string(got) != want {
				t.Errorf("all contains %q, want %q", got, want)
			}
			if err := f.removeOutputs(dir); err != nil {
				t.Fatal(err)
			}
			left, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil || len(left) != 1 {
				t.Errorf("after removing the outputs there are %s, want the build file alone", strings.Join(left, " "))
			}
		})
	}
}
