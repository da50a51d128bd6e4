package derivations

import (
	"strings"

	"nbuild/scripts"
)

// Initrd returns the derivation of the initrd for a kernel: the unpacked package and what Kernel makes of it. It loads
// modules, besides those that it needs for itself, before it looks for the store; without any it doesn't depend on a
// system. tools is an ImageTools tree.
func Initrd(unpacked, kernel, tools *Derivation, modules []string) (*Derivation, error) {
	return New(Spec{
		Name:    "initrd",
		Builder: "sandbox",
		Args:    shell(),
		Files: map[string]string{
			"script":           scripts.Initrd(),
			"init":             scripts.Init(),
			"shutdown":         scripts.Shutdown(),
			"modules.required": lines(requiredModules()),
			"modules.loaded":   lines(sortedOnce(modules)),
			"modules.optional": lines(optionalModules()),
		},
		Inputs: map[string]Input{
			"root":   {Derivation: tools},
			"kernel": {Derivation: unpacked},
			"tables": {Derivation: kernel},
		},
	})
}

// requiredModules returns the modules without which some artefact can't start: a virtual machine needs virtiofs,
// virtio_blk and ext4, an ISO isofs, a CD drive and its controller, all of them overlays and squashfs.
func requiredModules() []string {
	return []string{"ahci", "ext4", "isofs", "loop", "overlay", "sr_mod", "squashfs", "virtio_blk", "virtiofs"}
}

// optionalModules returns modules that a kernel for virtual machines alone may lack (Debian's cloud kernel has no 9p and
// no USB).
func optionalModules() []string {
	return []string{
		"9p", "9pnet_virtio", "ata_piix", "configfs", "ehci_pci", "nfnetlink", "nvme", "sd_mod", "uas", "usb_storage",
		"virtio_mmio", "virtio_pci", "virtio_scsi", "vsock", "xhci_pci",
	}
}

// lines returns a text with one line for each string.
func lines(ss []string) string {
	if len(ss) == 0 {
		return ""
	}
	return strings.Join(ss, "\n") + "\n"
}
