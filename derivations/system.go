package derivations

import (
	"fmt"
	"slices"
	"strings"

	"nbuild/internal/storepath"
)

// A SystemSpec is what a system is made of. NewSystem doesn't keep or change its slices.
type SystemSpec struct {
	Name         string        // the last part of the derivations' names; empty means HostName
	HostName     string        // one label: letters, digits and hyphens
	Suite        string        // of Debian, that the packages are of
	Packages     []PackageFile // BasePackages and what they depend on, and what else is wanted
	Kernel       []PackageFile // KernelPackage and what it depends on; only the image is used
	KernelParams []string      // all of them

	InitrdModules []string // kernel modules in the initrd, besides those that every system starts with
	Files         []SystemFile
	Users         []User   // root among them gets the password and the keys
	Groups        []Group  // besides the users' own
	Pinned        []string // absolute paths that every start puts back as the system has them, whatever the disk says
	Enabled       []string // units to start, "nginx.service"; packages mostly enable their own
	Masked        []string // units that can't be started
	Programs      []*Derivation
	References    []Input // what the texts in Files mention by a placeholder or store path
	Tools         Toolset
	Machine       Machine

	Label    string            // what people call this version of the system; into manifest.json
	Manifest map[string]string // what else the configuration says about the system; into manifest.json
}

// A SystemFile is a file of the configuration. Exactly one of Content, Source and Link is used: Link if it is not empty,
// else Source if it is set.
type SystemFile struct {
	Path    string // absolute
	Content string
	Source  Input  // a file, or a folder, which keeps its files' modes
	Link    string // the target of a symbolic link
	Mode    uint32 // of a file; 0 means 0644, or 0755 when Source is executable, which nobody knows beforehand
	User    string // name or number; empty means root
	Group   string // name or number; empty means root
}

// A User is the account of a person or a service, or root's.
type User struct {
	Name           string
	System         bool   // a service's account: its uid is below 1000
	UID            int    // 0 means the one that follows from the name
	Group          string // the primary group; empty means one of the user's own with the number of UID
	Gecos          string // the full name
	Home           string // empty means /home/NAME, for a service's account /nonexistent
	CreateHome     bool   // make the home of a service's account too; a person's is always made
	Shell          string // empty means /bin/bash, for a service's account /usr/sbin/nologin
	HashedPassword string // as crypt(5) makes it; empty locks the password
	AuthorizedKeys []string
	Groups         []string // further groups, which must be there
}

// A Group is a group of users.
type Group struct {
	Name    string
	GID     int      // 0 means the one that follows from the name
	Members []string // users, declared or of packages
	System  bool     // a service's group: its gid is below 1000
}

// A Toolset has the trees of tools that systems are built and run with.
type Toolset struct {
	Image *Derivation // ToolTree of ImageTools and what they depend on
	VM    *Derivation // ToolTree of VMTools and what they depend on
}

// A System has the derivations that a SystemSpec comes to.
type System struct {
	*Derivation  // the system itself: a folder with kernel, initrd, kernel-params, layers, init and manifest.json
	PackageRoot  *Derivation
	Kernel       *Derivation
	Initrd       *Derivation
	TopLayer     *Derivation
	VM           *Derivation // bin/run-<host>-vm
	KernelParams []string    // all of them

	UnpackedKernel *Derivation // the kernel's package

	spec *SystemSpec // complete
}

// BasePackages returns the packages that each system has, besides those that Debian calls essential: what starts it, what
// nbuild configures it with, and what people need to look at it. All else is what modules stand for.
func BasePackages() []string {
	return []string{
		"dbus", "iproute2", "kmod", "less", "libpam-systemd", "login", "passwd", "procps", "systemd", "systemd-sysv", "udev", "zstd",
	}
}

// KernelPackage returns the package that depends on the kernel of a virtual machine.
func KernelPackage() string { return "linux-image-cloud-amd64" }

// ImageTools returns the packages that kernels, initrds, layers and runners are built with.
func ImageTools() []string {
	return []string{
		"bash", "busybox-static", "coreutils", "cpio", "dash", "findutils", "grep", "kmod", "mawk", "sed", "squashfs-tools",
		"xz-utils", "zstd",
	}
}

// VMTools returns the packages that a virtual machine runs with.
func VMTools() []string {
	return []string{
		"busybox-static", "e2fsprogs", "mount", "netcat-openbsd", "openssh-client", "qemu-system-x86", "qemu-utils", "util-linux", "virtiofsd",
	}
}

// NewSystem returns the derivations of a system. It collects every fault of the spec into one error, a line each.
func (p *Packages) NewSystem(spec SystemSpec) (*System, error) {
	if err := spec.complete(); err != nil {
		return nil, err
	}
	image, err := KernelImage(spec.Kernel)
	if err != nil {
		return nil, err
	}
	unpacked, err := p.Unpack(image)
	if err != nil {
		return nil, err
	}
	s := &System{KernelParams: slices.Clone(spec.KernelParams), UnpackedKernel: unpacked, spec: &spec}
	// The package root is not named for the system: two systems with the same packages share it.
	steps := []struct {
		made **Derivation
		make func() (*Derivation, error)
	}{
		{&s.PackageRoot, func() (*Derivation, error) { return p.PackageRoot("package-root", spec.Packages) }},
		{&s.Kernel, func() (*Derivation, error) { return Kernel(unpacked, spec.Tools.Image) }},
		{&s.Initrd, func() (*Derivation, error) { return Initrd(unpacked, s.Kernel, spec.Tools.Image, spec.InitrdModules) }},
		{&s.TopLayer, func() (*Derivation, error) { return topLayer(&spec, s.PackageRoot, unpacked, s.Kernel) }},
		{&s.Derivation, func() (*Derivation, error) { return s.folder(&spec, unpacked) }},
		{&s.VM, func() (*Derivation, error) { return vm(&spec, s, nil) }},
	}
	for _, step := range steps {
		if *step.made, err = step.make(); err != nil {
			return nil, fmt.Errorf("system %s: %w", spec.Name, err)
		}
	}
	return s, nil
}

// folder returns the derivation of the system itself. It has no step of its own: a tree of links and texts.
func (s *System) folder(spec *SystemSpec, unpackedKernel *Derivation) (*Derivation, error) {
	layers := []*Derivation{s.TopLayer, s.Kernel, unpackedKernel, s.PackageRoot}
	inputs := map[string]Input{"initrd": {Derivation: s.Initrd}, "image": s.Kernel.OutputReference("image")}
	var text strings.Builder
	for i, layer := range layers {
		inputs[fmt.Sprintf("layer_%d", i)] = Input{Derivation: layer}
		text.WriteString(layer.Placeholder("out") + "\n")
	}
	// The top layer is compressed, so that the store can't see what it refers to. Here it can.
	var references strings.Builder
	for i, in := range spec.references() {
		inputs[fmt.Sprintf("reference_%d", i)] = in
		references.WriteString(in.text() + "\n")
	}
	manifest, err := spec.manifest(s.KernelParams)
	if err != nil {
		return nil, err
	}
	return New(Spec{
		Name:    "system-" + spec.Name,
		Builder: "tree",
		Env: map[string]string{
			"link:kernel": s.Kernel.Placeholder("image"),
			"link:initrd": s.Initrd.Placeholder("out"),
		},
		Files: map[string]string{
			"kernel-params": strings.Join(s.KernelParams, " ") + "\n",
			"layers":        text.String(),
			"init":          "/sbin/init\n",
			"manifest.json": manifest,
			"pinned":        lines(sortedOnce(spec.Pinned)),
			"references":    references.String(),
		},
		Inputs: inputs,
	})
}

// references returns what the configuration's files and programs are or mention: all of it belongs to the closure.
func (spec *SystemSpec) references() []Input {
	references := slices.Clone(spec.References)
	for _, f := range spec.Files {
		if f.Source != (Input{}) {
			references = append(references, f.Source)
		}
	}
	for _, drv := range spec.Programs {
		references = append(references, drv.OutputReference("out"))
	}
	return references
}

// validName reports why a system's name can't end the names of store objects.
func validName(name string) error { return storepath.ValidateName("system-" + name) }
