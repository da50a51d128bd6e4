package builders

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"nbuild/derivations"
)

// BenchmarkUnpackDeb unpacks the packages in the folder that NBUILD_BENCH_DEBS names, each beside dpkg-deb -x:
//
//	apt-get download libc6 perl-base linux-image-cloud-amd64
//	NBUILD_BENCH_DEBS=$PWD go test -bench UnpackDeb ./builders
func BenchmarkUnpackDeb(b *testing.B) {
	folder := os.Getenv("NBUILD_BENCH_DEBS")
	if folder == "" {
		b.Skip("NBUILD_BENCH_DEBS names no folder of packages")
	}
	debs, err := filepath.Glob(filepath.Join(folder, "*.deb"))
	if err != nil || len(debs) == 0 {
		b.Fatalf("no packages in %s: %v", folder, err)
	}
	for _, deb := range debs {
		info, err := os.Stat(deb)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(filepath.Base(deb)+"/nbuild", func(b *testing.B) {
			unpack := &Unpack{}
			b.SetBytes(info.Size())
			for b.Loop() {
				spec := derivations.Spec{Builder: "unpack", Args: []string{"deb"}, Outputs: []string{"out", "control", "owners"}}
				r := testRequest(b, spec, map[string]string{"src": deb})
				if err := unpack.Build(context.Background(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(filepath.Base(deb)+"/dpkg-deb", func(b *testing.B) {
			b.SetBytes(info.Size())
			for b.Loop() {
				if out, err := exec.Command("dpkg-deb", "-x", deb, b.TempDir()).CombinedOutput(); err != nil {
					b.Skipf("dpkg-deb: %v: %s", err, out)
				}
			}
		})
	}
}
