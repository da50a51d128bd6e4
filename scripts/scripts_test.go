package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSyntax lets a shell read each script without running it, also on a machine without shellcheck.
func TestSyntax(t *testing.T) {
	all := map[string]string{
		"package-root.sh": PackageRoot(), "kernel.sh": Kernel(), "vmlinux.sh": Vmlinux(), "initrd.sh": Initrd(), "init": Init(), "shutdown": Shutdown(), "top-layer.sh": TopLayer(),
		"squashfs.sh": Squashfs(), "theme.sh": Theme(), "iso.sh": ISO(), "boot-images.sh": BootImages(), "vm.sh": VM(), "run-vm.sh": RunVM(), "run-vm-inside.sh": RunVMInside(), "run-vm-login.sh": RunVMLogin(),
	}
	for name, text := range all {
		if !strings.HasPrefix(text, "#!/bin/sh\n") {
			t.Errorf("%s does not begin with #!/bin/sh", name)
		}
		shell := exec.Command("/bin/sh", "-n")
		shell.Stdin = strings.NewReader(text)
		if out, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
