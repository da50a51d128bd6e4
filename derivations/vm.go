package derivations

import (
	"strconv"
	"strings"

	"nbuild/scripts"
)

// vm returns the derivation of a virtual machine's runner, bin/run-<host>-vm. It is a step of its own, as it names the
// objects of the system's closure, which only a build can know.
func vm(spec *SystemSpec, s *System) (*Derivation, error) {
	replacer := strings.NewReplacer(
		"@host@", spec.HostName,
		"@system@", s.Placeholder("out"),
		"@kernel@", s.Kernel.Placeholder("image"),
		"@initrd@", s.Initrd.Placeholder("out"),
		"@tools@", spec.Tools.VM.Placeholder("out"),
		"@params@", strings.Join(s.KernelParams, " "),
		"@memory@", strconv.Itoa(spec.Machine.Memory),
		"@cores@", strconv.Itoa(spec.Machine.Cores),
		"@disk@", strconv.Itoa(spec.Machine.Disk),
	)
	return New(Spec{
		Name:    "vm-" + spec.Name,
		Builder: "sandbox",
		Args:    shell(),
		Env:     map[string]string{"host": spec.HostName},
		Files: map[string]string{
			"script": scripts.VM(),
			"run":    replacer.Replace(scripts.RunVM()),
			"inside": replacer.Replace(scripts.RunVMInside()),
		},
		Inputs: map[string]Input{
			"root":   {Derivation: spec.Tools.Image},
			"system": {Derivation: s.Derivation},
			"image":  s.Kernel.OutputReference("image"),
			"initrd": {Derivation: s.Initrd},
			"tools":  {Derivation: spec.Tools.VM},
		},
	})
}
