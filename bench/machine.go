package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A machine is the demo's virtual machine, and what it is made of, as files.
type machine struct {
	project, runner                        string
	objects, tools, kernel, initrd, system string
}

// machine builds the demo's virtual machine.
func (s *suite) machine() (*machine, error) {
	m := &machine{project: filepath.Join(s.dir, "machine")}
	if _, err := os.Stat(m.project); err != nil {
		if err := os.MkdirAll(m.project, 0o777); err != nil {
			return nil, err
		}
		if err := s.setUp(m.project, s.command(m.project+"-store", "init")); err != nil {
			return nil, err
		}
	}
	paths, err := s.lines(m.project, s.command(m.project+"-store", "vm", "-q", "--no-link", "--print-out-paths"))
	if err != nil {
		return nil, err
	}
	if len(paths) != 1 {
		return nil, fmt.Errorf("want the path of one machine, got %q", paths)
	}
	m.runner, m.objects = filepath.Join(paths[0], "bin/run-demo-vm"), filepath.Dir(paths[0])
	closure, err := s.lines(m.project, s.command(m.project+"-store", "store", "closure", paths[0]))
	if err != nil {
		return nil, err
	}
	for name, file := range map[string]*string{
		"vm-tools": &m.tools, "kernel-image": &m.kernel, "initrd": &m.initrd, "system-demo": &m.system,
	} {
		i := slices.IndexFunc(closure, func(p string) bool { return strings.HasSuffix(p, "-"+name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no %s among %q", name, closure)
		}
		*file = filepath.Join(m.objects, filepath.Base(closure[i]))
	}
	return m, nil
}

// start measures how long it takes from the runner's start to the first instruction of the guest's kernel, beside QEMU
// alone: the kernel's first instruction turns the machine off.
func (s *suite) start() error {
	m, err := s.machine()
	if err != nil {
		return err
	}
	kernel := filepath.Join(s.dir, "kernel")
	if err := os.WriteFile(kernel, stubKernel(), 0o666); err != nil {
		return err
	}
	disk := filepath.Join(m.project, "start.qcow2")
	run := []string{"env", "NBUILD_DISK_IMAGE=" + disk, m.runner, "-kernel", kernel}
	removeDisk := func() error {
		files, err := filepath.Glob(disk + "*")
		for _, file := range files {
			err = errors.Join(err, os.Remove(file))
		}
		return err
	}
	qemu := append(m.qemu(), strings.Fields("-no-user-config -cpu max -machine q35 -m 1024 -smp 2 -display none")...)
	alone := &contender{name: "QEMU alone", dir: s.dir, command: append(qemu, "-initrd", m.initrd, "-kernel", kernel)}
	return s.measure("from run-demo-vm to the guest's kernel", "0.5 s more than QEMU",
		&contender{name: "run-demo-vm", dir: m.project, command: run},
		&contender{name: "run-demo-vm, which makes its disk", dir: m.project, command: run, prepare: removeDisk},
		alone)
}

// qemu returns the beginning of a command line of the machine's QEMU, without the runner.
func (m *machine) qemu() []string {
	return append(program(m.tools, "/usr/bin/qemu-system-x86_64"), "-L", m.tools+"/usr/share/qemu", "-L", m.tools+"/usr/share/seabios",
		"-nodefaults", "-accel", accelerator())
}

// accelerator returns what the runner chooses too: a /dev/kvm may be there that works for nobody.
func accelerator() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	kvm, openErr := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if openErr == nil {
		openErr = kvm.Close()
	}
	if errors.Join(err, openErr) == nil && regexp.MustCompile(`(?m)^flags.* (vmx|svm)( |$)`).Match(info) {
		return "kvm"
	}
	return "tcg,thread=multi"
}

// stubKernel returns a kernel of which a boot loader believes that it is Linux. The place of each field is in the kernel's
// Documentation/arch/x86/boot.rst. Its first instruction, in real mode, is at 0x200; what it does is what ACPI would do to
// turn a q35 off.
func stubKernel() []byte {
	kernel := make([]byte, 2048)
	field := func(offset int, content ...byte) { copy(kernel[offset:], content) }
	field(0x1f1, 1)          // sectors of the part for real mode, after the first
	field(0x1fe, 0x55, 0xaa) // boot_flag
	field(0x200, 0xeb, 0x7e) // jmp 0x280, over the header
	field(0x202, 'H', 'd', 'r', 'S')
	field(0x206, 0x03, 0x02)                                  // protocol 2.03
	field(0x211, 1)                                           // loaded_high
	binary.LittleEndian.PutUint32(kernel[0x22c:], 0x37ffffff) // where an initrd may end
	field(0x280,
		0xba, 0x04, 0x06, // mov dx, 0x604: PM1a_CNT
		0xb8, 0x00, 0x20, // mov ax, 0x2000: SLP_EN
		0xef,             // out dx, ax
		0xf4, 0xeb, 0xfd) // hlt, for ever
	return kernel
}

// ssh measures the time to the greeting of the demo's SSH server, beside a command line of QEMU by hand on the same images
// and with a fresh disk too, with all that was found to be fast.
func (s *suite) ssh() error {
	m, err := s.machine()
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	greets := func() bool { return greets(port) }
	disk := filepath.Join(m.project, "ssh.qcow2")
	nbuild := &contender{
		name: "run-demo-vm", dir: m.project, ready: greets,
		command: []string{"env", "NBUILD_DISK_IMAGE=" + disk, fmt.Sprintf("QEMU_NET_OPTS=hostfwd=tcp:127.0.0.1:%d-:22", port), m.runner},
		prepare: func() error {
			files, err := filepath.Glob(disk + "*")
			for _, file := range files {
				err = errors.Join(err, os.Remove(file))
			}
			return err
		},
	}
	peer := &contender{name: "QEMU by hand, units masked, qemu64", dir: s.dir, ready: greets, command: m.byHand(port)}
	return s.measure("demo VM to the SSH server's greeting", "1.1 × QEMU by hand", nbuild, peer)
}

// byHand returns the command line of a machine made by hand.
func (m *machine) byHand(port int) []string {
	return append(program(m.tools, "/usr/bin/unshare"), "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child",
		"sh", "-euc", byHand, "sh", m.tools, m.objects, m.kernel, m.initrd, filepath.Base(m.system), fmt.Sprint(port),
		accelerator(), strings.Join(fastParams(), " ")+" systemd.mask="+strings.Join(maskedUnits(), " systemd.mask="))
}

// byHand is a shell script, with its arguments in the order in which it names them.
const byHand = `
tools=$1 objects=$2 kernel=$3 initrd=$4 system=$5 port=$6 accelerator=$7 params=$8
run() {
	program=$tools$1
	shift
	"$tools/usr/lib64/ld-linux-x86-64.so.2" --inhibit-cache --library-path "$tools/usr/lib/x86_64-linux-gnu" "$program" "$@"
}
rm -f hand.raw hand.socket
truncate -s 8G hand.raw
run /usr/sbin/mke2fs -q -F -t ext4 -L nbuild -E lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0,nodiscard hand.raw
run /usr/libexec/virtiofsd --socket-path=hand.socket --shared-dir="$objects" --sandbox=none --cache=always --log-level=error &
until [ -S hand.socket ]; do sleep 0.02; done
run /usr/bin/qemu-system-x86_64 -L "$tools/usr/share/qemu" -L "$tools/usr/share/seabios" -nodefaults -no-reboot 	-accel "$accelerator" -cpu qemu64 -machine q35 -smp 2 -m 1024 -display none -serial stdio 	-object memory-backend-memfd,id=memory,size=1024M,share=on -numa node,memdev=memory 	-kernel "$kernel" -initrd "$initrd" 	-append "console=ttyS0 nbuild.store=virtiofs nbuild.system=/nbuild/store/$system nbuild.disk=serial:nbuild $params" 	-netdev "user,id=net,hostfwd=tcp:127.0.0.1:$port-:22" -device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci 	-drive file=hand.raw,if=none,id=disk,cache=unsafe,format=raw -device virtio-blk-pci,drive=disk,serial=nbuild 	-chardev socket,id=store,path=hand.socket -device vhost-user-fs-pci,chardev=store,tag=store
`

// fastParams returns kernel parameters that make a guest start faster when its processor is emulated.
func fastParams() []string {
	return []string{
		"quiet", "loglevel=3", "mitigations=off", "nokaslr", "audit=0", "apparmor=0", "selinux=0", "no_timer_check",
		"cryptomgr.notests", "rcupdate.rcu_expedited=1", "random.trust_cpu=on", "tsc=reliable", "8250.nr_uarts=1",
		"systemd.show_status=0", "systemd.log_level=warning", "systemd.gpt_auto=0", "net.ifnames=0",
	}
}

// maskedUnits returns units that nothing on the way to the SSH server needs.
func maskedUnits() []string {
	return []string{
		"dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount",
		"sys-fs-fuse-connections.mount", "tmp.mount", "run-lock.mount", "kmod-static-nodes", "systemd-modules-load",
		"systemd-udev-load-credentials", "ldconfig", "systemd-hwdb-update", "systemd-journal-catalog-update",
		"systemd-update-done", "systemd-sysusers", "systemd-random-seed", "systemd-journal-flush",
		"systemd-networkd-persistent-storage", "systemd-tmpfiles-setup-dev-early", "systemd-remount-fs",
		"systemd-machine-id-commit", "systemd-firstboot", "systemd-boot-update", "getty-static", "getty@tty1", "remote-fs.target",
	}
}

// freePort returns a TCP port of the loopback interface that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// patience is for one connection: QEMU takes it long before the guest does, and asks the guest less and less often. An emulated
// server needs up to half a second for a greeting.
const patience = time.Second

// greets reports whether an SSH server says hello at a port. It takes up to patience.
func greets(port int) bool {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), patience)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return false
	}
	greeting := make([]byte, len("SSH-"))
	_, err = io.ReadFull(conn, greeting)
	return err == nil && string(greeting) == "SSH-"
}
