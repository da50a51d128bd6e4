package builders

import (
	"os"
	"testing"
)

func TestSandboxMakesOutput(t *testing.T) {
	r, log := sandboxTest{operations: []string{"echo hello", "write $out content"}}.mustRun(t)
	wantText(t, "log", "hello\n", log)
	b, err := os.ReadFile(r.output("out"))
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, "output", "content", string(b))
}
