package derivations

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRunnerPrintsCommand lets a shell read what a runner shows, and compares it with what the runner does.
func TestRunnerPrintsCommand(t *testing.T) {
	machine := Machine{
		DiskImage:         "it's a, $disk",
		QEMUOptions:       []string{"-name  two words", "-fw_cfg", `name=x,string="a" 'b' '' $c *`, "''", `back\slash`, "a~b"},
		SharedDirectories: []SharedDirectory{{Name: "work", Source: "a b", Target: "/mnt/a b"}},
	}
	r := newFakeRunner(t, machine)
	env := []string{"QEMU_OPTS=-m 2G", "QEMU_KERNEL_PARAMS=a=`b`", "SHARED_DIR=."}
	printed, err := r.start(append(env, "NBUILD_ACCEL=tcg"), "--print-command", "", "the 'last'")
	if err != nil || strings.Count(printed, "\n") != 1 {
		t.Fatalf("it shows %q (%v), want one line", printed, err)
	}
	if entries, err := os.ReadDir(r.folder); err != nil || len(entries) > 0 {
		t.Errorf("it made %v (%v)", entries, err)
	}
	if started, err := os.ReadDir(filepath.Join(r.top, "records")); err != nil || len(started) > 0 {
		t.Errorf("it started %v (%v)", started, err)
	}
	if out, err := r.start(append(env, "NBUILD_ACCEL=tcg"), "", "the 'last'"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	words, err := exec.Command("/bin/sh", "-c", `for word in `+strings.TrimSuffix(printed, "\n")+`; do printf '%s\0' "$word"; done`).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(words), r.top, ""), "\x00"), "\x00")
	want := append([]string{"/usr/bin/qemu-system-x86_64"}, r.starts("qemu")[0]...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the command (-started +shown):\n%s", diff)
	}
}

// TestRunnerAccelerator asks for a processor. What there is depends on the machine that the test runs on.
func TestRunnerAccelerator(t *testing.T) {
	system := newTestSystem(t, func(*SystemSpec) {})
	kvm := []string{"kvm", "max", system.Kernel.Placeholder("image"), "vhost-user-fs-pci,chardev=store,tag=store"}
	tcg := []string{"tcg,thread=multi", "max,-svm,-la57,-smap", "/nbuild/vmlinux", "intel-iommu,intremap=on,eim=on,dma-translation=off"}
	tests := []struct {
		value string
		fails string   // how it says that there is none; empty when there always is
		want  []string // the accelerator, the processor, the kernel, which an emulated processor doesn't decompress, and the first device
	}{
		{"tcg", "", tcg},
		{"kvm", "NBUILD_ACCEL is kvm, and ", kvm},
		{"xen", "NBUILD_ACCEL is 'xen'; want kvm or tcg\n", nil},
		{"kvm:tcg", "NBUILD_ACCEL is 'kvm:tcg'; want kvm or tcg\n", nil},
	}
	for _, test := range tests {
		t.Run(test.value, func(t *testing.T) {
			r := newFakeRunner(t, Machine{})
			out, err := r.start([]string{"NBUILD_ACCEL=" + test.value})
			if err != nil {
				if test.fails == "" || !strings.Contains(out, test.fails) || strings.Count(out, "\n") != 1 {
					t.Errorf("it says %q, want %q", out, test.fails)
				}
				if entries, _ := os.ReadDir(r.folder); len(entries) > 0 { // Of a folder of our own.
					t.Errorf("it made %v", entries)
				}
				return
			}
			command := r.starts("qemu")[0]
			got := slices.Concat(options(command, "-accel"), options(command, "-cpu"), options(command, "-kernel"), options(command, "-device")[:1])
			if !slices.Equal(got, test.want) || out != "" {
				t.Errorf("QEMU has %q, want %q; it says %q", got, test.want, out)
			}
		})
	}
}

// TestRunnerKernel starts emulated machines: with a screen the kernel has to learn of its text mode.
func TestRunnerKernel(t *testing.T) {
	image := newTestSystem(t, func(*SystemSpec) {}).Kernel.Placeholder("image")
	tests := []struct {
		name    string
		machine Machine
		args    []string
		want    string
	}{
		{"console", Machine{}, nil, "/nbuild/vmlinux"},
		{"window", Machine{Graphics: true}, nil, image},
		{"declared card", Machine{QEMUOptions: []string{"-device VGA"}}, nil, image},
		{"card by argument", Machine{}, []string{"-vga", "std"}, image},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newFakeRunner(t, test.machine)
			if out, err := r.start([]string{"NBUILD_ACCEL=tcg"}, test.args...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got := options(r.starts("qemu")[0], "-kernel"); !slices.Equal(got, []string{test.want}) {
				t.Errorf("the kernel is %q, want %q", got, test.want)
			}
		})
	}
}

// TestRunnerSharedDir shares a folder that only whoever starts the machine knows of.
func TestRunnerSharedDir(t *testing.T) {
	for _, value := range []string{"/some/where", ""} {
		r := newFakeRunner(t, Machine{})
		if out, err := r.start([]string{"SHARED_DIR=" + value}); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		args, servers := r.starts("qemu")[0], r.starts("virtiofsd")
		mounted := strings.Contains(options(args, "-append")[0], " systemd.mount-extra=@SHARED_DIR:/tmp/shared:virtiofs:rw ")
		device := slices.Contains(args, "vhost-user-fs-pci,chardev=SHARED_DIR,tag=@SHARED_DIR")
		if want := value != ""; mounted != want || device != want || (len(servers) == 2) != want {
			t.Errorf("SHARED_DIR=%s: mounted %v, device %v, servers %q", value, mounted, device, servers)
		}
		if value != "" && !slices.Contains(servers[1], "--shared-dir=/nbuild/shared/@SHARED_DIR") {
			t.Errorf("the server of SHARED_DIR: %q", servers[1])
		}
	}
}

// TestRunnerStoreShare shares the store in each way, and without a virtiofsd.
func TestRunnerStoreShare(t *testing.T) {
	const (
		both     = "virtiofs\n9p\n"
		fallback = "run-web-vm: virtiofsd cannot start, so the store is shared by 9p, which is slower\n"
		neither  = "run-web-vm: virtiofsd, which shares the store, cannot start, and the kernel has no 9p to do without; " +
			"linux-image-amd64 has it (boot.kernel_package)\n"
	)
	broken := []string{"FAKE_NO_VIRTIOFSD=1"}
	tests := []struct {
		name    string
		machine Machine
		shares  string
		env     []string
		want    string // empty when it doesn't start
		says    string
	}{
		{"virtiofs", Machine{}, both, nil, "virtiofs", ""},
		{"9p", Machine{StoreShare: "9p"}, both, nil, "9p", ""},
		{"9p without virtiofsd", Machine{StoreShare: "9p"}, both, broken, "9p", ""},
		{"fallback", Machine{}, both, broken, "9p", fallback},
		{"neither", Machine{}, "virtiofs\n", broken, "", neither},
		{
			"folders without virtiofsd",
			Machine{StoreShare: "9p", SharedDirectories: []SharedDirectory{{Name: "a", Source: "b", Target: "/c"}}},
			both, broken, "", "run-web-vm: virtiofsd, which shares /nbuild/shared/a, cannot start\n",
		},
	}
	devices := map[string]string{
		"virtiofs": "vhost-user-fs-pci,chardev=store,tag=store",
		"9p":       "virtio-9p-pci,fsdev=store,mount_tag=store",
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newFakeRunner(t, test.machine)
			r.shares = test.shares
			out, err := r.start(append(test.env, "NBUILD_ACCEL=tcg"))
			if strings.ReplaceAll(out, r.top, "") != test.says || (err == nil) != (test.want != "") {
				t.Fatalf("it says %q (%v), want %q", out, err, test.says)
			}
			if test.want == "" {
				return
			}
			args := r.starts("qemu")[0]
			for share, device := range devices {
				if has := slices.Contains(args, device); has != (share == test.want) {
					t.Errorf("the device %s: %v", device, has)
				}
			}
			if got := options(args, "-append")[0]; !strings.Contains(got, " nbuild.store="+test.want+" ") {
				t.Errorf("the kernel's parameters: %q", got)
			}
		})
	}
}
