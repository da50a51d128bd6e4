package derivations

import (
	"fmt"
	"slices"
	"strings"

	"nbuild/scripts"
)

// topLayer returns the derivation of the squashfs of all that the configuration generates. All of it is one action, so
// that a changed host name builds this, the system and its artefacts again, and nothing else.
func topLayer(spec *SystemSpec, packageRoot, unpackedKernel, kernel *Derivation) (*Derivation, error) {
	b := layerBuilder{
		inputs: map[string]Input{
			"root":     {Derivation: spec.Tools.Image},
			"packages": {Derivation: packageRoot},
			"owners":   packageRoot.OutputReference("owners"),
			"kernel":   {Derivation: unpackedKernel},
			"tables":   {Derivation: kernel},
		},
		build: map[string]string{"script": scripts.TopLayer(), "add-users.awk": scripts.AddUsers()},
	}
	for _, f := range slices.Concat(spec.generated(), spec.Files) {
		b.file(f)
	}
	for _, u := range spec.Users {
		b.user(u)
	}
	for i, in := range spec.References {
		b.inputs[fmt.Sprintf("reference_%d", i)] = in
	}
	for i, drv := range spec.Programs {
		b.inputs[fmt.Sprintf("program_%d", i)] = Input{Derivation: drv}
		b.programs.WriteString(drv.Placeholder("out") + "\n")
	}
	b.build["files"], b.build["links"] = b.files.String(), b.links.String()
	b.build["users"], b.build["programs"] = b.users.String(), b.programs.String()
	b.build["enabled"] = lines(append(spec.wantedUnits(), spec.Enabled...))
	b.build["masked"] = lines(spec.Masked)
	return New(Spec{
		Name: "top-layer-" + spec.Name, Builder: "sandbox", Args: shell(), Files: b.build, Inputs: b.inputs,
	})
}

// A layerBuilder collects the tables that the script reads; scripts/top-layer.sh says what is in them.
type layerBuilder struct {
	inputs                        map[string]Input
	build                         map[string]string
	files, links, users, programs strings.Builder
	count                         int // of files
}

func (b *layerBuilder) file(f SystemFile) {
	if f.Link != "" {
		fmt.Fprintf(&b.links, "%s:%s\n", f.Link, f.Path)
		return
	}
	source := fmt.Sprintf("content/%d", b.count)
	if f.Source == (Input{}) {
		b.build[source] = f.Content
	} else {
		b.inputs[fmt.Sprintf("file_%d", b.count)] = f.Source
		source = f.Source.text()
	}
	b.count++
	fmt.Fprintf(&b.files, "%o:%s:%s:%s:%s\n", f.Mode, f.User, f.Group, source, f.Path)
}

// text returns what stands for the input in a derivation's texts.
func (in Input) text() string {
	if in.Derivation == nil {
		return string(in.Source)
	}
	output := in.Output
	if output == "" {
		output = "out"
	}
	return in.Derivation.Placeholder(output)
}

func (b *layerBuilder) user(u User) {
	fmt.Fprintf(&b.users, "%s:%d:%d:%s:%s:%s:%s:%s\n",
		u.Name, u.UID, u.GID, u.Gecos, u.Home, u.Shell, u.HashedPassword, strings.Join(u.Groups, ","))
	if len(u.AuthorizedKeys) > 0 {
		b.build["keys/"+u.Name] = lines(u.AuthorizedKeys)
	}
}

// has reports whether the system has a package.
func (spec *SystemSpec) has(name string) bool {
	return slices.ContainsFunc(spec.Packages, func(f PackageFile) bool { return f.Name == name })
}

// wantedUnits returns the units that nbuild enables because the packages that have them don't.
func (spec *SystemSpec) wantedUnits() []string {
	var units []string
	if spec.has("systemd") {
		units = append(units, "systemd-networkd.service")
	}
	if spec.has("openssh-server") {
		units = append(units, "ssh-host-key.service")
	}
	return units
}

// generated returns the files that nbuild itself configures a system with. A file of the same path in the spec is put
// there later, and so wins.
func (spec *SystemSpec) generated() []SystemFile {
	file := func(path, content string) SystemFile {
		return SystemFile{Path: path, Content: content, Mode: 0o644, User: "root", Group: "root"}
	}
	files := []SystemFile{
		file("/etc/hostname", spec.HostName+"\n"),
		file("/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\t"+spec.HostName+"\n\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"),
		// What the system is on is mounted before it starts.
		file("/etc/fstab", ""),
		// The image is what these times stand for: with them systemd knows that nothing is to be brought up to date
		// (indices, caches, users) because /usr changed.
		file("/etc/.updated", updated),
		file("/var/.updated", updated),
	}
	if spec.has("systemd") {
		files = append(files, file("/etc/systemd/network/80-dhcp.network", dhcpNetwork),
			file("/etc/systemd/system/nbuild-store.mount.d/keep.conf", keepStore))
	}
	if spec.has("systemd-resolved") {
		files = append(files, SystemFile{Path: "/etc/resolv.conf", Link: "../run/systemd/resolve/stub-resolv.conf"})
	}
	if spec.has("openssh-server") {
		files = append(files, file("/etc/systemd/system/ssh-host-key.service", hostKeyUnit))
	}
	for _, u := range spec.Users {
		if u.Sudo && u.HashedPassword == "" && spec.has("sudo") {
			sudoers := file("/etc/sudoers.d/nbuild-"+u.Name, u.Name+" ALL=(ALL:ALL) NOPASSWD: ALL\n")
			sudoers.Mode = 0o440
			files = append(files, sudoers)
		}
	}
	return files
}

const (
	// updated is in the form that systemd-update-done writes; the time is that of every file of the layer.
	updated = "# The time when the image was made.\nTIMESTAMP_NSEC=315532800000000000\n"

	// dhcpNetwork lets every wired network configure itself. A configuration's own file, with a smaller number, comes
	// first.
	dhcpNetwork = "[Match]\nKind=!*\nType=ether\n\n[Network]\nDHCP=yes\n"

	// keepStore lets the store be when the machine goes down: the root is on it, so unmounting it can't succeed.
	keepStore = "[Unit]\nDefaultDependencies=no\n"

	// hostKeyUnit makes the key by which clients know the machine, when it starts without one. An image can't have it:
	// all its copies would have the same. Of the kinds of key ed25519 is the one all clients know, and made at once;
	// an RSA key takes seconds under emulation.
	hostKeyUnit = `[Unit]
Description=Make the host key of the SSH server
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service ssh.socket

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key

[Install]
WantedBy=multi-user.target
`
)
