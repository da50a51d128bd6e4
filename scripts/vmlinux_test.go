package scripts

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVmlinux(t *testing.T) {
	const kernel = "\x7fELF, and the rest of the kernel"
	const pvh, none = "CONFIG_64BIT=y\nCONFIG_PVH=y\n", "CONFIG_64BIT=y\n# CONFIG_PVH is not set\n"
	tests := []struct {
		name       string
		compressor string // of the host
		content    string
		config     string
		change     func(image []byte)
		taken      bool // or else the image stays as it is
	}{
		{"zstd", "zstd", kernel, pvh, nil, true},
		{"xz", "xz", kernel, pvh, nil, true},
		{"unknown compression", "gzip", kernel, pvh, nil, false},
		{"no PVH", "xz", kernel, none, nil, false},
		{"no kernel in it", "xz", "#!/bin/sh", pvh, nil, false},
		{"no boot protocol", "xz", kernel, pvh, func(image []byte) { image[0x202] = 'h' }, false},
		{"damaged", "xz", kernel, pvh, func(image []byte) { image[4*512+120]++ }, false},
		{"cut off", "xz", kernel, pvh, func(image []byte) { binary.LittleEndian.PutUint32(image[0x24c:], 40) }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := exec.LookPath(test.compressor); err != nil {
				t.Skipf("NOT TESTED: the kernel taken out of an image made with %s, because this machine has no %[1]s", test.compressor)
			}
			image := bzImage(compressed(t, test.compressor, test.content), len(test.content))
			if test.change != nil {
				test.change(image)
			}
			want := string(image)
			if test.taken {
				want = test.content
			}
			if diff := cmp.Diff(want, runVmlinux(t, image, test.config)); diff != "" {
				t.Errorf("the kernel (-want +got):\n%s", diff)
			}
		})
	}
}

func compressed(t *testing.T, compressor, content string) []byte {
	t.Helper()
	cmd := exec.Command(compressor, "-c")
	cmd.Stdin = strings.NewReader(content)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// bzImage returns an image with three sectors for real mode, and a kernel 100 bytes behind them.
func bzImage(payload []byte, size int) []byte {
	image := make([]byte, 4*512+100)
	image[0x1f1] = 3
	copy(image[0x202:], "HdrS")
	binary.LittleEndian.PutUint32(image[0x248:], 100)
	binary.LittleEndian.PutUint32(image[0x24c:], uint32(len(payload)+4))
	image = binary.LittleEndian.AppendUint32(append(image, payload...), uint32(size))
	return append(image, bytes.Repeat([]byte{0xcc}, 50)...)
}

func runVmlinux(t *testing.T, image []byte, config string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "kernel/boot"), 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, folder, map[string]string{"script": Vmlinux(), "image": string(image), "kernel/boot/config-6.12": config})
	cmd := exec.Command("/bin/sh", "script")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "kernel="+filepath.Join(folder, "kernel"), "image="+filepath.Join(folder, "image"), "out="+filepath.Join(folder, "out"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(folder, "out"))
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}
