// Package scripts has the shell that runs inside builds, at the start of a guest, and around a virtual machine.
package scripts

import _ "embed"

var (
	//go:embed package-root.sh
	packageRoot string
	//go:embed kernel.sh
	kernel string
	//go:embed vmlinux.sh
	vmlinux string
	//go:embed initrd.sh
	initrd string
	//go:embed init
	initScript string
	//go:embed shutdown
	shutdown string
	//go:embed top-layer.sh
	topLayer string
	//go:embed accounts.awk
	accounts string
	//go:embed units.awk
	units string
	//go:embed vm.sh
	vm string
	//go:embed run-vm.sh
	runVM string
	//go:embed run-vm-inside.sh
	runVMInside string
	//go:embed run-vm-login.sh
	runVMLogin string
	//go:embed squashfs.sh
	squashfs string
	//go:embed theme.sh
	theme string
	//go:embed grub-theme.awk
	grubTheme string
	//go:embed iso.sh
	iso string
	//go:embed boot-images.sh
	bootImages string
)

// PackageRoot returns the script that runs packages' maintainer scripts.
func PackageRoot() string { return packageRoot }

// Kernel returns the script that takes kernel and modules out of a kernel package.
func Kernel() string { return kernel }

// Vmlinux returns the script that takes the kernel itself out of the image that a boot loader starts.
func Vmlinux() string { return vmlinux }

// Initrd returns the script that packs an initrd.
func Initrd() string { return initrd }

// Init returns the program that the kernel starts in the initrd.
func Init() string { return initScript }

// Shutdown returns the program that systemd leaves the end of a system to, when it has ended all others.
func Shutdown() string { return shutdown }

// TopLayer returns the script that makes the layer of all that the configuration generates.
func TopLayer() string { return topLayer }

// Accounts returns the awk program that the top layer's script adds users and groups with.
func Accounts() string { return accounts }

// Units returns the awk program that finds out what starts a unit.
func Units() string { return units }

// Squashfs returns the script that packs store objects into an image.
func Squashfs() string { return squashfs }

// Theme returns the script that makes a boot theme of what an archive has.
func Theme() string { return theme }

// GrubTheme returns the awk program that finds what a theme of GRUB names.
func GrubTheme() string { return grubTheme }

// ISO returns the script that makes the image of a CD.
func ISO() string { return iso }

// BootImages returns the script that makes what firmware starts from a medium.
func BootImages() string { return bootImages }

// VM returns the script that puts a virtual machine's runner together.
func VM() string { return vm }

// RunVM returns the runner of a virtual machine: the part that the host's shell runs. Names between @ are replaced.
func RunVM() string { return runVM }

// RunVMInside returns the part of the runner that runs in its own namespaces.
func RunVMInside() string { return runVMInside }

// RunVMLogin returns the part of the runner that lets its user log in to the guest.
func RunVMLogin() string { return runVMLogin }
