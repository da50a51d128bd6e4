package config_test

import (
	"strings"
	"testing"

	"nbuild/config"
)

func TestLoader(t *testing.T) {
	const project = `
web = system("web", modules = [{"boot.loader_timeout": 7, "nbuild.label": "one", "virtualisation.vm_variant": {"nbuild.label": force("two")}, FIRMWARE}])
machine = web.vm_with_bootloader
`
	bios := evaluateFile(t, strings.ReplaceAll(project, "FIRMWARE", ""))
	uefi := evaluateFile(t, strings.ReplaceAll(project, "FIRMWARE", `"virtualisation.firmware": "uefi"`))
	for _, name := range []string{"vm_with_bootloader", "web.vm_with_bootloader", "machine"} {
		a, b := target(t, bios, name), target(t, uefi, name)
		if a.Kind != config.KindVM || a.Derivation.Name() != "vm-web" {
			t.Errorf("%s is the %s %s", name, a.Kind, a.Derivation.Name())
		}
		if a.Derivation.Inputs()["tools"].Derivation == b.Derivation.Inputs()["tools"].Derivation {
			t.Errorf("%s has the same tools with BIOS and UEFI", name)
		}
		if a.Derivation.Inputs()["medium"].Derivation.ID() != b.Derivation.Inputs()["medium"].Derivation.ID() {
			t.Errorf("%s has another medium with UEFI", name)
		}
	}
	medium := string(target(t, bios, "machine").Derivation.Inputs()["medium"].Derivation.Text())
	for _, want := range []string{`set timeout=7\n`, `menuentry 'web two' --id normal`} {
		if !strings.Contains(medium, want) {
			t.Errorf("the medium lacks %q:\n%s", want, medium)
		}
	}
	if a, b := target(t, bios, "vm").Derivation, target(t, uefi, "vm").Derivation; a.Inputs()["tools"].Derivation.ID() != b.Inputs()["tools"].Derivation.ID() {
		t.Error("the firmware is a tool of the machine that has none")
	}
}

func TestLoaderFaults(t *testing.T) {
	for _, test := range []struct{ name, module, want string }{
		{"firmware", `{"virtualisation.firmware": "efi"}`, `nbuild.star:1:33: option virtualisation.firmware: want one of "bios", "uefi", got the string "efi"; did you mean "uefi"?`},
		{"attribute", `{"virtualisation.firmwares": "uefi"}`, "virtualisation.firmware"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Evaluate(t.Context(), project(t, map[string]string{"nbuild.star": `web = system("web", modules = [` + test.module + `])`}))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it says %v, want %s", err, test.want)
			}
		})
	}
}
