package builders

import (
	"os"
	"strings"
	"testing"

	"nbuild/derivations"
)

func TestText(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		mode os.FileMode
	}{
		{nil, 0o644},
		{map[string]string{"executable": "0"}, 0o644},
		{map[string]string{"executable": "1"}, 0o755},
	} {
		const content = "#!/bin/sh\necho é\n"
		out := mustBuild(t, Text{}, testRequest(t, derivations.Spec{Builder: "text", Args: []string{content}, Env: test.env}, nil))
		if b, err := os.ReadFile(out); err != nil || string(b) != content {
			t.Errorf("%v: the file has %q, %v, want %q", test.env, b, err, content)
		}
		if mode := stat(t, out).Mode(); mode != test.mode {
			t.Errorf("%v: mode %v, want %v", test.env, mode, test.mode)
		}
	}
}

func TestTextFails(t *testing.T) {
	wantFailure(t, Text{}, testRequest(t, derivations.Spec{Builder: "text"}, nil), "want 1 argument, the content, got 0")
	spec := derivations.Spec{Builder: "text", Args: []string{""}, Env: map[string]string{"executable": "yes"}}
	wantFailure(t, Text{}, testRequest(t, spec, nil), `text: executable is "yes", want 1 or 0`)
	wantFailure(t, Text{}, testRequest(t, derivations.Spec{Builder: "text", Args: []string{""}, Outputs: []string{"x"}}, nil), `no output "out"`)
}

func TestSymlink(t *testing.T) {
	out := mustBuild(t, Symlink{}, testRequest(t, derivations.Spec{Builder: "symlink", Args: []string{"/nbuild/store/x"}}, nil))
	if target, err := os.Readlink(out); err != nil || target != "/nbuild/store/x" {
		t.Errorf("the link is to %q, %v", target, err)
	}
	for target, want := range map[string]string{
		"":                        "target is empty",
		"a\x00b":                  "zero byte",
		strings.Repeat("x", 4096): "longer than 4095 bytes",
	} {
		wantFailure(t, Symlink{}, testRequest(t, derivations.Spec{Builder: "symlink", Args: []string{target}}, nil), want)
	}
	wantFailure(t, Symlink{}, testRequest(t, derivations.Spec{Builder: "symlink"}, nil), "want 1 argument, the target, got 0")
}
