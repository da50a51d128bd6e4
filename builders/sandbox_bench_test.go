package builders

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// BenchmarkSandbox is the whole of a trivial build with ten inputs, and the folders that its caller makes and removes.
func BenchmarkSandbox(b *testing.B) {
	for _, test := range []struct {
		name string
		env  map[string]string
	}{{"user", nil}, {"root", map[string]string{"nbuild.as_root": "1"}}} {
		b.Run(test.name, func(b *testing.B) {
			inputs := map[string]string{}
			for i := range 9 {
				folder := b.TempDir()
				inputs[fmt.Sprintf("input%d", i)] = folder
			}
			r := sandboxTest{operations: []string{"write $out x"}, inputs: inputs, env: test.env}.request(b)
			r.Log = &lockedBuffer{}
			sandbox := NewSandbox()
			for b.Loop() {
				if err := sandbox.Build(b.Context(), r); err != nil {
					b.Fatal(err)
				}
				if err := errors.Join(os.RemoveAll(r.Scratch), os.Mkdir(r.Scratch, 0o700)); err != nil {
					b.Fatal(err)
				}
				if err := os.RemoveAll(r.Outputs["out"].File); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
