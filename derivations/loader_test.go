package derivations

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newTestLoader returns a machine that a boot loader starts, of the test's system, with that system.
func newTestLoader(t *testing.T, m Machine, menu Menu) (*Derivation, *System) {
	t.Helper()
	s := newTestSystem(t, func(spec *SystemSpec) { spec.Machine = m })
	var p Packages
	tree := func(name string, packages ...string) *Derivation {
		drv, err := p.ToolTree(name, testPackages(packages...))
		if err != nil {
			t.Fatal(err)
		}
		return drv
	}
	vm, err := s.VMWithLoader(LoaderSpec{
		Menu: menu, Tools: tree("iso-tools", "xorriso"), Packer: tree("image-tools", "kmod"), VM: tree("vm-tools", "ovmf"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return vm, s
}

// TestVMWithLoader compares a machine that a boot loader starts with the one that QEMU starts: the kernel has to get the same.
func TestVMWithLoader(t *testing.T) {
	const (
		medium    = "file=/nbuild/medium.iso,if=none,id=medium,format=raw,readonly=on"
		code      = "file=/usr/share/OVMF/OVMF_CODE_4M.fd,if=pflash,unit=0,format=raw,readonly=on"
		variables = "file=/nbuild/run/variables,if=pflash,unit=1,format=raw"
		disk      = "file=./web.qcow2,if=none,id=disk,format=qcow2"
	)
	for _, test := range []struct {
		firmware string
		drives   []string
	}{
		{"bios", []string{medium, disk}},
		{"uefi", []string{medium, code, variables, disk}},
	} {
		t.Run(test.firmware, func(t *testing.T) {
			vm, s := newTestLoader(t, Machine{Firmware: test.firmware, KernelParams: []string{"a=*$x%s"}}, Menu{})
			env := []string{"QEMU_KERNEL_PARAMS=b=ä  c;{d}"}
			plain, r := fakeRunnerOf(t, s.VM), fakeRunnerOf(t, vm)
			if err := os.WriteFile(filepath.Join(r.top, "usr/share/OVMF/OVMF_VARS_4M.fd"), []byte("none"), 0o444); err != nil {
				t.Fatal(err)
			}
			for _, runner := range []*fakeRunner{plain, r} {
				if out, err := runner.start(env); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			args := r.starts("qemu")[0]
			if diff := cmp.Diff(test.drives, options(args, "-drive")); diff != "" {
				t.Errorf("drives (-want +got):\n%s", diff)
			}
			if slices.Contains(args, "-kernel") || slices.Contains(args, "-append") || !slices.Contains(args, "ide-cd,drive=medium,bootindex=0") {
				t.Errorf("QEMU starts the kernel, or not the medium: %q", args)
			}
			got, err := os.ReadFile(filepath.Join(r.top, strings.TrimPrefix(options(args, "-smbios")[0], "file=")))
			if err != nil {
				t.Fatal(err)
			}
			want := "\xc8\x05\x00\xfe\x01" + options(plain.starts("qemu")[0], "-append")[0] + "\x00\x00"
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("the table with the kernel's parameters (-want +got):\n%s", diff)
			}
			left, err := os.ReadFile(filepath.Join(r.top, "nbuild/run/variables"))
			if uefi := test.firmware == "uefi"; uefi != (err == nil) || uefi && string(left) != "none" {
				t.Errorf("UEFI's variables are %q, %v", left, err)
			}
		})
	}
}

// TestVMWithLoaderRefuses gives kernels parameters that they would get otherwise than they were said.
func TestVMWithLoaderRefuses(t *testing.T) {
	const altered = "the boot loader puts a backslash before each backslash and quote of the kernel's parameters; do without them: "
	vm, s := newTestLoader(t, Machine{}, Menu{})
	// The longest that the kernel takes, of which GRUB needs some.
	length := 2047 - len(kernelParameters(t, s))
	for _, test := range []struct{ name, params, want string }{
		{"backslash", `a=\x20`, altered + `a=\x20` + " \n"},
		{"quotes", `a="b c"`, altered + "a=\"b c\" \n"},
		{"apostrophe", "a=it's b", altered + "a=it's \n"},
		{"one too long", strings.Repeat("x", length-len("BOOT_IMAGE=/boot/vmlinuz ")+1), "have 2048 bytes, and 2047 is the most"},
		{"as long as can be", strings.Repeat("x", length-len("BOOT_IMAGE=/boot/vmlinuz ")), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := fakeRunnerOf(t, vm).start([]string{"QEMU_KERNEL_PARAMS=" + test.params})
			if !strings.Contains(out, test.want) || (err == nil) != (test.want == "") {
				t.Errorf("it says %q (%v), want %q", out, err, test.want)
			}
			if out, err := fakeRunnerOf(t, s.VM).start([]string{"QEMU_KERNEL_PARAMS=" + test.params}); err != nil {
				t.Errorf("the machine without a boot loader: %v\n%s", err, out)
			}
		})
	}
}

// TestVMWithLoaderPrints looks at what is shown of a machine that isn't started: QEMU's command, and what it doesn't have.
func TestVMWithLoaderPrints(t *testing.T) {
	vm, s := newTestLoader(t, Machine{}, Menu{})
	out, err := fakeRunnerOf(t, vm).start(nil, "--print-command")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		" -device ide-cd,drive=medium,bootindex=0 ",
		"run-web-vm: the boot loader gives the kernel these parameters: " + kernelParameters(t, s) + "\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it says %q, want %q", out, want)
		}
	}
}

// kernelParameters returns what the system's machine gives the kernel when nobody adds to it.
func kernelParameters(t *testing.T, s *System) string {
	t.Helper()
	r := fakeRunnerOf(t, s.VM)
	if out, err := r.start(nil); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return options(r.starts("qemu")[0], "-append")[0]
}

// TestLoaderMedium holds that the medium is of the kernel and the menu alone, and that the guest's store lacks it.
func TestLoaderMedium(t *testing.T) {
	vm, _ := newTestLoader(t, Machine{}, Menu{Title: "web"})
	medium := vm.Inputs()["medium"].Derivation
	other, _ := newTestLoader(t, Machine{Memory: 999, KernelParams: []string{"other"}}, Menu{Title: "web"})
	if other.ID() == vm.ID() || other.Inputs()["medium"].Derivation.ID() != medium.ID() {
		t.Error("another parameter makes another medium, or not another runner")
	}
	menu, _ := newTestLoader(t, Machine{}, Menu{Title: "web", Timeout: 3})
	if menu.Inputs()["medium"].Derivation.ID() == medium.ID() {
		t.Error("another menu makes no other medium")
	}
	for slot, in := range vm.Inputs() {
		if in.Derivation == medium && slot != "medium" {
			t.Errorf("the medium is the input %s too, whose closure the guest sees", slot)
		}
	}
	const want = `smbios --type 200 --get-string 4 --set more
menuentry 'web' --id normal --hotkey n {
	linux /boot/vmlinuz $more
	initrd /boot/initrd
}
menuentry 'web, with messages of all that happens' --id verbose --hotkey m {
	linux /boot/vmlinuz $more 'loglevel=7' 'systemd.show_status=1' 'nbuild.shell'
	initrd /boot/initrd
}
`
	if diff := cmp.Diff("set default=normal\nset timeout=0\n"+menuScreen+menuSerial+want, medium.spec.Files["grub.cfg"]); diff != "" {
		t.Errorf("menu (-want +got):\n%s", diff)
	}
}
