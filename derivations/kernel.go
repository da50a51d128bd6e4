package derivations

import (
	"fmt"
	"slices"
	"strings"

	"nbuild/scripts"
)

// Kernel returns the derivation of what an unpacked kernel package lacks. Its outputs are "out", an overlay layer with
// the tables of the modules, and "image", the kernel that a boot loader starts. tools is an ImageTools tree.
func Kernel(unpacked, tools *Derivation) (*Derivation, error) {
	return New(Spec{
		Name:    "kernel",
		Builder: "sandbox",
		Args:    shell(),
		Files:   map[string]string{"script": scripts.Kernel()},
		Inputs:  map[string]Input{"root": {Derivation: tools}, "kernel": {Derivation: unpacked}},
		Outputs: []string{"image", "out"},
	})
}

// vmlinux returns the derivation of the kernel as QEMU can start it without decompressing it: the unpacked package, and what
// Kernel makes of it. tools is an ImageTools tree.
func vmlinux(unpacked, kernel, tools *Derivation) (*Derivation, error) {
	return New(Spec{
		Name:    "vmlinux",
		Builder: "sandbox",
		Args:    shell(),
		Files:   map[string]string{"script": scripts.Vmlinux()},
		Inputs: map[string]Input{
			"root":   {Derivation: tools},
			"kernel": {Derivation: unpacked},
			"image":  kernel.OutputReference("image"),
		},
	})
}

// KernelImage finds the package with the kernel itself among those that KernelPackage's dependencies resolve to.
// The packages beside it are for building an initrd on the machine, and are not used.
func KernelImage(files []PackageFile) (PackageFile, error) {
	var images []PackageFile
	for _, f := range sortedPackages(files) {
		version, ok := strings.CutPrefix(f.Name, "linux-image-")
		if ok && version != "" && version[0] >= '0' && version[0] <= '9' {
			images = append(images, f)
		}
	}
	if len(images) != 1 {
		return PackageFile{}, fmt.Errorf("kernel: want one package linux-image-<version> among %d packages, there are %s",
			len(files), list(packageNames(images)))
	}
	return images[0], nil
}

// list returns names for a sentence.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(slices.Values(names)), ", ")
}
