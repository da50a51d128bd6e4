package derivations

import "fmt"

// A LoaderSpec says how a boot loader starts a system's virtual machine.
type LoaderSpec struct {
	Menu   Menu        // all but Entries and Serial
	Theme  Input       // a folder with GRUB's theme.txt; the zero value means the plain menu
	Tools  *Derivation // ToolTree of ISOTools and what they depend on
	Packer *Derivation // ToolTree of ImageTools and what they depend on
	VM     *Derivation // ToolTree of what the machine runs with, FirmwareTools among it, and what that depends on
}

// Firmwares returns the kinds of firmware that a virtual machine can have.
func Firmwares() []string { return []string{"bios", "uefi"} }

// FirmwareTools returns the packages that a virtual machine with a firmware needs besides its others. QEMU itself has a BIOS.
func FirmwareTools(firmware string) []string {
	if firmware == "uefi" {
		return []string{"ovmf"}
	}
	return nil
}

// loaderVolume is the label of the medium that boot loaders of virtual machines start from. It is the same one for all
// systems, so that what looks for it is the same too.
const loaderVolume = "NBUILD-LOADER"

// VMWithLoader returns the derivation of a runner like s.VM, whose machine is started as hardware is: its firmware starts
// GRUB, and that the kernel. What it starts from has kernel, initrd and menu; the store is shared as ever, and all
// parameters of the kernel are the runner's, so that it doesn't depend on the configuration otherwise.
func (s *System) VMWithLoader(loader LoaderSpec) (*Derivation, error) {
	spec := *s.spec
	spec.Tools.VM = loader.VM
	loader.Menu.Entries, loader.Menu.Serial = []string{"normal", "verbose"}, true
	medium := ISOSpec{
		Name: "loader-" + spec.Name, VolumeID: loaderVolume, Tools: loader.Tools, Packer: loader.Packer,
		Boot: &ISOBoot{
			Kernel: s.Kernel.OutputReference("image"), Initrd: s.Initrd.OutputReference("out"),
			Menu: loader.Menu, Theme: loader.Theme, MoreParams: true,
		},
	}
	drv, err := ISO(medium)
	if err != nil {
		return nil, fmt.Errorf("boot loader of %s: %w", spec.Name, err)
	}
	return vm(&spec, s, drv)
}
