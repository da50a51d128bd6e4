package derivations

// A Machine is how a virtual machine of the system is started, unless the one who starts it says otherwise.
type Machine struct {
	Memory            int    // in MiB; 0 means 1024
	Cores             int    // 0 means 2
	Disk              int    // in MiB; 0 means 8192. The file grows with what is written
	DiskImage         string // absolute, or relative to where the machine is started; empty means ./<host>.qcow2
	ForwardPorts      []ForwardPort
	SharedDirectories []SharedDirectory
	KernelParams      []string // besides the system's
	QEMUOptions       []string // each is one argument of QEMU, whatever characters it has
	Graphics          bool     // a window, where there is a display
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
	Name     string // letters, digits and hyphens; the tag of the file system in the guest
	Source   string // on the host: absolute, or relative to where the machine is started
	Target   string // in the guest: absolute
	ReadOnly bool
}

// complete fills in what is left out.
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
}
