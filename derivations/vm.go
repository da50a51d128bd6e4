package derivations

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nbuild/scripts"
)

// vm returns the derivation of a virtual machine's runner, bin/run-<host>-vm. It is a step of its own, as it names the
// objects of the system's closure, which only a build can know. The medium is the ISO that the machine starts from, or nil
// when QEMU itself starts the kernel.
func vm(spec *SystemSpec, s *System, medium *Derivation) (*Derivation, error) {
	started, err := startedKernel(spec, s, medium)
	if err != nil {
		return nil, err
	}
	texts := append(runnerTexts(spec, s, medium), "@vmlinux@", started.text())
	fill := strings.NewReplacer(texts...).Replace
	inputs := map[string]Input{
		"root":   {Derivation: spec.Tools.Image},
		"system": {Derivation: s.Derivation},
		"image":  s.Kernel.OutputReference("image"),
		"initrd": {Derivation: s.Initrd},
		"tools":  {Derivation: spec.Tools.VM},
		"kernel": started,
	}
	if medium != nil {
		inputs["medium"] = Input{Derivation: medium}
	}
	for i, in := range spec.Machine.References {
		inputs[fmt.Sprintf("reference_%d", i)] = in
	}
	return New(Spec{
		Name:    "vm-" + spec.Name,
		Builder: "sandbox",
		Args:    shell(),
		Env:     map[string]string{"host": spec.HostName, "store_share": spec.Machine.StoreShare},
		Files: map[string]string{
			"script": scripts.VM(),
			"run":    fill(scripts.RunVM()),
			"inside": fill(scripts.RunVMInside()),
			"login":  fill(scripts.RunVMLogin()),
		},
		Inputs: inputs,
	})
}

// startedKernel returns the kernel that QEMU starts when it emulates the processor. Of a machine with a boot loader QEMU
// starts none.
func startedKernel(spec *SystemSpec, s *System, medium *Derivation) (Input, error) {
	if medium != nil {
		return s.Kernel.OutputReference("image"), nil
	}
	started, err := vmlinux(s.UnpackedKernel, s.Kernel, spec.Tools.Image)
	if err != nil {
		return Input{}, err
	}
	return started.OutputReference("out"), nil
}

// runnerTexts returns what the runner's scripts have between @, each followed by what takes its place. What users write is
// quoted, so it can have any character.
func runnerTexts(spec *SystemSpec, s *System, medium *Derivation) []string {
	m := &spec.Machine
	file := ""
	if medium != nil {
		file = medium.Placeholder("out") + "/iso/" + medium.Name()
	}
	image := m.DiskImage
	if image == "" {
		image = "./" + spec.HostName + ".qcow2"
	}
	forwards := make([]string, len(m.ForwardPorts))
	for i, p := range m.ForwardPorts {
		forwards[i] = "hostfwd=" + p.String()
	}
	shared := make([]string, len(m.SharedDirectories))
	for i, d := range m.SharedDirectories {
		shared[i] = `"$1" ` + shellWords(d.Name, d.Source, d.access())
	}
	if len(shared) == 0 {
		shared = []string{":"} // A function of a shell can't be empty.
	}
	return []string{
		"@host@", spec.HostName,
		"@system@", s.Placeholder("out"),
		"@medium@", shellWord(file),
		"@firmware@", m.Firmware,
		"@kernel@", s.Kernel.Placeholder("image"),
		"@initrd@", s.Initrd.Placeholder("out"),
		"@tools@", spec.Tools.VM.Placeholder("out"),
		"@params@", shellWord(strings.Join(s.KernelParams, " ")),
		"@machine_params@", shellWord(strings.Join(m.params(), " ")),
		"@memory@", strconv.Itoa(m.Memory),
		"@cores@", strconv.Itoa(m.Cores),
		"@disk@", strconv.Itoa(m.Disk),
		"@debian@", shellWord(spec.Suite),
		"@disk_image@", shellWord(image),
		"@forward_ports@", shellWord(strings.Join(forwards, ",")),
		"@shared_directories@", strings.Join(shared, "\n\t"),
		"@store_share@", m.StoreShare,
		"@graphics@", strconv.FormatBool(m.Graphics),
		"@qemu_options@", shellWords(m.arguments()...),
		"@login_fault@", shellWord(loginFault(spec.Packages)),
	}
}

// loginFault returns why nobody can log in to the virtual machine of a system with some packages by "nbuild vm ssh"; it is
// empty when that works.
func loginFault(packages []PackageFile) string {
	version := func(name string) string {
		i := slices.IndexFunc(packages, func(p PackageFile) bool { return p.Name == name })
		if i < 0 {
			return ""
		}
		return packages[i].Version
	}
	if version("openssh-server") == "" {
		return "the system has no SSH server; set services.openssh.enable to True, for the virtual machine alone in virtualisation.vm_variant"
	}
	systemd := version("systemd")
	major, _, _ := strings.Cut(systemd, ".")
	if n, err := strconv.Atoi(major); err == nil && n < firstCredentialUnits {
		return "the system's systemd " + systemd + " is too old to be told of a login when it starts; that takes " + strconv.Itoa(firstCredentialUnits)
	}
	return ""
}

// firstCredentialUnits is the version of systemd that takes units from credentials first (systemd-debug-generator(8)).
const firstCredentialUnits = 256

// shellWord returns a word that a shell takes as s.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func shellWords(words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = shellWord(word)
	}
	return strings.Join(quoted, " ")
}
