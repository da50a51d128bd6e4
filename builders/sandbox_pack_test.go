package builders

import (
	"path/filepath"
	"syscall"
	"testing"

	"nbuild/internal/digest"
	"nbuild/internal/registration"
	"nbuild/internal/storepath"
)

// packRequest returns the request of a build that packs contents_0, which refers to without_0 and shared; without_0 refers
// to shared.
func packRequest(t *testing.T, env map[string]string, operations ...string) *Request {
	t.Helper()
	file := filepath.Join(writeTree(t, map[string]string{"f": "f"}), "f")
	slots := []string{"contents_0", "shared", "without_0"}
	inputs := map[string]string{}
	for _, slot := range slots {
		inputs[slot] = file
	}
	r := sandboxTest{operations: append(operations, "write $out x"), env: env, inputs: inputs}.request(t)
	references := map[storepath.Path][]storepath.Path{
		testPath("contents_0"): {testPath("shared"), testPath("without_0")},
		testPath("without_0"):  {testPath("shared")},
	}
	for i, o := range r.Closure {
		r.Closure[i].Digest, r.Closure[i].Size, r.Closure[i].References = digest.Sum([]byte(o.Path)), 100, references[o.Path]
		for slot, in := range r.Inputs {
			if in.Path == o.Path {
				in.Closure = append([]storepath.Path{o.Path}, references[o.Path]...)
				r.Inputs[slot] = in
			}
		}
	}
	return r
}

func TestSandboxRegistersWhatItPacks(t *testing.T) {
	r := packRequest(t, map[string]string{"nbuild.packs": "50"}, "cat /build/registration", refused(syscall.EROFS, "write /build/registration x"))
	log := &lockedBuffer{}
	r.Log = log
	if err := NewSandbox().Build(t.Context(), r); err != nil {
		t.Fatalf("build: %v; log:\n%s", err, log)
	}
	path := testPath("contents_0")
	want := registration.Format([]registration.Entry{{
		Path: path, Digest: digest.Sum([]byte(path)), Size: 100, References: []storepath.Path{testPath("shared"), testPath("without_0")},
	}})
	wantText(t, "registration", string(want), log.String())
}

// A build that packs nothing has no registration, nor pays for one.
func TestSandboxWithoutRegistration(t *testing.T) {
	r := packRequest(t, nil, refused(syscall.ENOENT, "cat /build/registration"))
	r.Log = &lockedBuffer{}
	if err := NewSandbox().Build(t.Context(), r); err != nil {
		t.Fatalf("build: %v; log:\n%s", err, r.Log)
	}
}
