package derivations

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Machine is how a virtual machine of the system is started, unless the one who starts it says otherwise.
type Machine struct {
	Memory            int    // in MiB; 0 means 1024
	Cores             int    // 0 means 2
	Disk              int    // in MiB; 0 means 8192. The file grows with what is written
	DiskImage         string // absolute, or relative to where the machine is started; empty means ./<host>.qcow2
	ForwardPorts      []ForwardPort
	SharedDirectories []SharedDirectory
	StoreShare        string   // how the guest gets the store: "virtiofs" or "9p"; empty means "virtiofs"
	KernelParams      []string // besides the system's, after them
	QEMUOptions       []string // each a word, or an option with its value: "-device usb-ehci". The last ones count
	Firmware          string   // what starts the boot loader, one of Firmwares; empty means the first
	Graphics          bool     // a window, where there is a display; the tools must be GraphicsTools
	References        []Input  // what the texts mention by a placeholder or store path
}

// A ForwardPort leads what arrives at a port of the host to a port of the guest.
type ForwardPort struct {
	Protocol     string // "tcp" or "udp"; empty means "tcp"
	HostAddress  string // IPv4; empty means every address of the host
	HostPort     int
	GuestAddress string // IPv4; empty means the address that the guest gets from the virtual network
	GuestPort    int
}

// A SharedDirectory is a folder of the host that the guest sees too. What the guest writes belongs to whoever started the
// machine.
type SharedDirectory struct {
	Name     string // what mount(8) in the guest calls it: up to 36 letters, digits and "_.-"
	Source   string // on the host: absolute, or relative to where the machine is started
	Target   string // in the guest: absolute
	ReadOnly bool
}

const (
	// leastMemory is what the kernel, the initrd and a few services need; with 96 MiB the demo's guest runs out of it.
	leastMemory = 128
	// leastMemoryUEFI leaves them that beside the firmware: with 160 MiB the kernel gets no further than GRUB.
	leastMemoryUEFI = 192
	// leastDisk holds the journal, the tables of mke2fs and a little.
	leastDisk = 16
	// mostCores is what QEMU's machine q35 takes without further devices.
	mostCores = 255
	// mostSharedDirectories leaves slots of the bus for what users add: it has 32, of which the machine itself takes eight.
	mostSharedDirectories = 20
	// longestTag is the size of the field in the configuration of a virtiofs device.
	longestTag = 36
)

// GraphicsTools returns the packages that a virtual machine with Graphics runs with: twice as much as VMTools.
func GraphicsTools() []string { return append(VMTools(), "qemu-system-gui") }

// storeTag is the name of the file system that is the store; scripts/init mounts it.
const storeTag = "store"

// sharedTarget is where the guest has the folder that SHARED_DIR names when the machine is started; scripts/run-vm-inside.sh
// mounts it.
const sharedTarget = "/tmp/shared"

// complete fills in what is left out, in copies.
func (m *Machine) complete() {
	if m.Memory == 0 {
		m.Memory = 1024
	}
	if m.Cores == 0 {
		m.Cores = 2
	}
	if m.Disk == 0 {
		m.Disk = 8192
	}
	m.Firmware = cmp.Or(m.Firmware, Firmwares()[0])
	m.StoreShare = cmp.Or(m.StoreShare, "virtiofs")
	m.ForwardPorts = slices.Clone(m.ForwardPorts)
	for i := range m.ForwardPorts {
		if p := &m.ForwardPorts[i]; p.Protocol == "" {
			p.Protocol = "tcp"
		}
	}
}

// check collects the faults of a complete machine.
func (m *Machine) check(c *specCheck) {
	complain := func(format string, args ...any) { c.add("machine: "+format, args...) }
	if m.Memory < leastMemory {
		complain("memory of %d MiB: want at least %d", m.Memory, leastMemory)
	} else if m.Firmware == "uefi" && m.Memory < leastMemoryUEFI {
		complain("memory of %d MiB: want at least %d beside UEFI", m.Memory, leastMemoryUEFI)
	}
	if m.Cores < 1 || m.Cores > mostCores {
		complain("%d cores: want 1 to %d", m.Cores, mostCores)
	}
	if m.Disk < leastDisk {
		complain("disk of %d MiB: want at least %d", m.Disk, leastDisk)
	}
	if strings.ContainsFunc(m.DiskImage, isControl) || strings.HasSuffix(m.DiskImage, "/") {
		complain("disk image %q: want the name of a file, without control characters", m.DiskImage)
	}
	if m.StoreShare != "virtiofs" && m.StoreShare != "9p" {
		complain("share of the store %q: want virtiofs or 9p", m.StoreShare)
	}
	for i, p := range m.ForwardPorts {
		p.check(complain)
		for _, other := range m.ForwardPorts[:i] {
			if p.meets(other) {
				complain("forwarded port %s is there twice: %s and %s", p.host(), other, p)
			}
		}
	}
	if !slices.Contains(Firmwares(), m.Firmware) {
		complain("firmware %q: want %s", m.Firmware, orList(Firmwares()))
	}
	m.checkSharedDirectories(complain)
	for _, param := range m.KernelParams {
		if !isKernelParam(param) {
			complain("kernel parameter %q: want one word without quotes", param)
		}
	}
	for _, option := range m.QEMUOptions {
		if option == "" || strings.ContainsFunc(option, isControl) {
			complain("option of QEMU %q: want a text without control characters", option)
		}
	}
}

func (p ForwardPort) check(complain func(string, ...any)) {
	if p.Protocol != "tcp" && p.Protocol != "udp" {
		complain("forwarded port %s: protocol %q: want tcp or udp", p, p.Protocol)
	}
	for _, address := range []string{p.HostAddress, p.GuestAddress} {
		if parsed, err := netip.ParseAddr(address); address != "" && (err != nil || !parsed.Is4()) {
			complain("forwarded port %s: address %q: want an IPv4 address like 127.0.0.1, which is all that QEMU's network can forward", p, address)
		}
	}
	for _, port := range []int{p.HostPort, p.GuestPort} {
		if port < 1 || port > 65535 {
			complain("forwarded port %s: port %d: want 1 to 65535", p, port)
		}
	}
}

// meets reports whether two forwarded ports can't be had together.
func (p ForwardPort) meets(other ForwardPort) bool {
	return p.Protocol == other.Protocol && p.HostPort == other.HostPort &&
		(p.HostAddress == other.HostAddress || p.isEverywhere() || other.isEverywhere())
}

func (p ForwardPort) isEverywhere() bool { return p.HostAddress == "" || p.HostAddress == "0.0.0.0" }

func (p ForwardPort) host() string {
	return p.Protocol + ":" + p.HostAddress + ":" + strconv.Itoa(p.HostPort)
}

// String returns the port as QEMU's option hostfwd and its messages have it.
func (p ForwardPort) String() string {
	return p.host() + "-" + p.GuestAddress + ":" + strconv.Itoa(p.GuestPort)
}

func (m *Machine) checkSharedDirectories(complain func(string, ...any)) {
	if n := len(m.SharedDirectories); n > mostSharedDirectories {
		complain("%d shared directories: want at most %d, which is what fits on the machine's bus", n, mostSharedDirectories)
	}
	names, targets := map[string]bool{}, map[string]string{}
	for _, d := range m.SharedDirectories {
		d.check(complain)
		if names[d.Name] {
			complain("shared directory %s is there twice", d.Name)
		} else if other, taken := targets[d.Target]; taken {
			complain("shared directories %s and %s have the same target %s", other, d.Name, d.Target)
		}
		names[d.Name], targets[d.Target] = true, d.Name
	}
}

func (d SharedDirectory) check(complain func(string, ...any)) {
	complainHere := func(format string, args ...any) {
		complain("shared directory "+fmt.Sprintf("%q", d.Name)+": "+format, args...)
	}
	switch {
	case d.Name == storeTag:
		complainHere("that is the name of the store itself; choose another")
	case !isTag(d.Name):
		complainHere(`want a name of up to %d letters, digits and "_.-"`, longestTag)
	}
	if d.Source == "" || strings.ContainsFunc(d.Source, isControl) {
		complainHere("source %q: want a path, without control characters", d.Source)
	}
	if !isPlainPath(d.Target) || d.Target == "/" || strings.ContainsFunc(d.Target, isControl) {
		complainHere("target %q: want an absolute path without . and .., and without control characters", d.Target)
	}
	if d.Target == sharedTarget {
		complainHere("target %q: that is where the machine has the folder that SHARED_DIR names; choose another", d.Target)
	}
	for _, folder := range []string{"/dev", "/nbuild", "/proc", "/sys"} {
		if d.Target == folder || strings.HasPrefix(d.Target, folder+"/") {
			complainHere("target %q: %s is the system's own; choose another place, as in %q", d.Target, folder, "/mnt/"+path.Base(d.Target))
		}
	}
}

// access returns the word for it that options of mounts have.
func (d SharedDirectory) access() string {
	if d.ReadOnly {
		return "ro"
	}
	return "rw"
}

func isTag(name string) bool {
	return name != "" && len(name) <= longestTag && !strings.ContainsFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("_.-", c))
	})
}

// isKernelParam reports whether s is one word of a kernel's command line.
func isKernelParam(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == '"' || c == '\'' || c == 0x7f })
}

// params returns the kernel parameters that the machine adds to its system's. Root is logged in on its consoles by
// credentials that the guest's own getty and login ask for, so no file of the system differs.
func (m *Machine) params() []string {
	params := []string{"console=ttyS0"}
	consoles := []string{"serial.ttyS0"}
	if m.Graphics {
		params = []string{"console=tty0", "console=ttyS0"} // The last is /dev/console.
		consoles = append(consoles, "virtual.tty1")
	}
	for _, console := range consoles {
		params = append(params, "systemd.set_credential=tty."+console+".agetty.autologin:root",
			"systemd.set_credential=tty."+console+".login.noauth:yes")
	}
	if table := m.mounts(); table != "" {
		params = append(params, "systemd.set_credential_binary=fstab.extra:"+base64.StdEncoding.EncodeToString([]byte(table)))
	}
	return append(params, m.KernelParams...)
}

// mounts returns a table of the shared directories as fstab(5) has it. The guest's systemd takes it from a credential: in
// systemd.mount-extra, blanks would be written with backslashes, and no boot loader hands these on as they are.
func (m *Machine) mounts() string {
	var table strings.Builder
	for _, d := range m.SharedDirectories {
		fmt.Fprintf(&table, "%s %s virtiofs %s\n", d.Name, escapeMount(d.Target), d.access())
	}
	return table.String()
}

// escapeMount writes what separates fields in fstab(5), and what begins such an escape, as getmntent(3) reads it.
func escapeMount(s string) string {
	return strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(s)
}

// arguments returns the options of QEMU as its arguments.
func (m *Machine) arguments() []string {
	var arguments []string
	for _, option := range m.QEMUOptions {
		name, value, found := strings.Cut(option, " ")
		if found && strings.HasPrefix(name, "-") {
			arguments = append(arguments, name, strings.TrimLeft(value, " "))
		} else {
			arguments = append(arguments, option)
		}
	}
	return arguments
}
