package config

import (
	"slices"
	"strings"

	"nbuild/derivations"
)

// loader makes the virtual machine that a boot loader starts, of the system that the machine without one runs.
func (s settings) loader(v *systemValue, variant *derivations.System) *derivationValue {
	menu := s.menu(v.name)
	spec := derivations.LoaderSpec{
		Menu:   derivations.Menu{Title: menu.Title, Timeout: menu.Timeout},
		Tools:  s.ev.isoTools(),
		Packer: s.ev.imageTools(),
		VM:     s.machineTools(s.text("virtualisation.firmware")),
	}
	if spec.Tools == nil || spec.Packer == nil || spec.VM == nil {
		return s.ev.wrong()
	}
	spec.Theme = s.menuTheme()
	drv, err := variant.VMWithLoader(spec)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			s.fault("nbuild.label", "", strings.TrimSpace(line), "")
		}
		return s.ev.wrong()
	}
	return s.ev.output(drv, "out", v.position, KindVM)
}

// machineTools returns the tree of what virtual machines run with, where something has to start from a firmware; an empty
// one means that nothing has to. It is nil when there is a fault.
func (s settings) machineTools(firmware string) *derivations.Derivation {
	name, packages := "vm-tools", derivations.VMTools()
	if s.boolean("virtualisation.graphics") {
		name, packages = "graphics-tools", derivations.GraphicsTools()
	}
	return s.ev.tools(name, slices.Concat(packages, derivations.FirmwareTools(firmware)))
}
