package derivations

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"nbuild/scripts"
)

// TestMain lets the test's own program stand in for those that a runner starts.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "qemu-system-x86_64":
		record("qemu")
		fmt.Fprint(os.Stderr, os.Getenv("FAKE_ERROR"))
	case "virtiofsd":
		record("virtiofsd")
		if os.Getenv("FAKE_NO_VIRTIOFSD") != "" {
			os.Exit(1)
		}
		for _, arg := range os.Args {
			if name, ok := strings.CutPrefix(arg, "--socket-path="); ok {
				listen(name)
			}
		}
	default:
		os.Exit(m.Run())
	}
}

// record adds the arguments of this program to a file.
func record(name string) {
	f, err := os.OpenFile(filepath.Join(os.Getenv("FAKE_RECORDS"), name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if err := json.NewEncoder(f).Encode(os.Args[1:]); err != nil {
		panic(err)
	}
}

// listen leaves a socket behind, which is all that the runner looks for.
func listen(name string) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		panic(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

// fakeImageTool reads $FAKE_SUPERBLOCK from every disk, and writes down how it changes one.
const fakeImageTool = `for last; do :; done
case $1 in
dd) for arg; do case $arg in of=*) cp "$FAKE_SUPERBLOCK" "${arg#of=}" 2>/dev/null || exit 1 ;; esac; done ;;
resize | create) echo "$*" >"$FAKE_RECORDS/$1" ;;
*) { printf 'made\n%107s' '' && printf 'its own'; } >"$last" ;;
esac`

// A fakeRunner is the inner script of a runner, whose programs only tell what they were given.
type fakeRunner struct {
	t      *testing.T
	top    string // stands in for /
	folder string // where the machine is started
	shares string // ways of sharing the store that the kernel has
	script string
}

func newFakeRunner(t *testing.T, m Machine) *fakeRunner {
	t.Helper()
	return fakeRunnerOf(t, newTestSystem(t, func(s *SystemSpec) { s.Machine = m }).VM)
}

func fakeRunnerOf(t *testing.T, vm *Derivation) *fakeRunner {
	t.Helper()
	r := &fakeRunner{t: t, top: t.TempDir(), folder: t.TempDir(), shares: "virtiofs\n"}
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/libexec", "usr/share/OVMF", "nbuild", "records"} {
		if err := os.MkdirAll(filepath.Join(r.top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"usr/bin/qemu-system-x86_64", "usr/libexec/virtiofsd"} {
		if err := os.Symlink(self, filepath.Join(r.top, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"usr/bin/busybox": `case $1 in usleep) exec sleep 0.01 ;; *) exec "$@" ;; esac`,
		"usr/bin/flock":   "exit 0",
		"usr/bin/setpriv": `shift 2; exec "$@"`,
		// It writes what a real one would, with words instead of keys.
		"usr/bin/ssh-keygen": `for last; do :; done; echo "the secret key" >"$last"; echo "ssh-ed25519 public " >"$last.pub"`,
		"usr/sbin/mke2fs":    "exit 0",
		"usr/bin/qemu-img":   fakeImageTool,
	} {
		if err := os.WriteFile(filepath.Join(r.top, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, file := range map[string]string{"inside": "run-vm-inside", "login": "run-vm-login"} {
		text := vm.spec.Files[name]
		for _, dir := range []string{"/usr/bin/", "/usr/sbin/", "/usr/libexec/", "/usr/share/", "/nbuild/run/"} {
			text = strings.ReplaceAll(text, dir, r.top+dir)
		}
		if err := os.WriteFile(filepath.Join(r.top, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.script = filepath.Join(r.top, "run-vm-inside")
	return r
}

// start starts the machine with further variables of the environment and arguments for QEMU. It returns what it says.
func (r *fakeRunner) start(env []string, args ...string) (string, error) {
	r.t.Helper()
	run := filepath.Join(r.top, "nbuild/run") // Each start has one of its own.
	if err := errors.Join(os.RemoveAll(run), os.Mkdir(run, 0o755)); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run, "shares"), []byte(r.shares), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return r.step("start", "", env, args...)
}

// step runs a step of the script, which reads input.
func (r *fakeRunner) step(name, input string, env []string, args ...string) (string, error) {
	r.t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{r.script, name, "/store", "/store/object", r.folder}, args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "FAKE_RECORDS=" + filepath.Join(r.top, "records")}, env...)
	cmd.Stdin = strings.NewReader(input)
	cmd.WaitDelay = time.Minute // Outside of its pid namespace a runner can leave processes behind.
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// starts returns the arguments of each start of a program, without the test's own folder.
func (r *fakeRunner) starts(name string) (all [][]string) {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.top, "records", name))
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(text), r.top, "")) {
		var args []string
		if err := json.Unmarshal([]byte(line), &args); err != nil {
			r.t.Fatal(err)
		}
		all = append(all, args)
	}
	return all
}

// options returns the values of an option, in order.
func options(args []string, name string) (values []string) {
	for i, arg := range args {
		if arg == name && i+1 < len(args) {
			values = append(values, args[i+1])
		}
	}
	return values
}

// TestRunner runs runners as a shell would, up to QEMU.
func TestRunner(t *testing.T) {
	const disk = ",if=none,id=disk,format=qcow2"
	tests := []struct {
		name    string
		machine Machine
		env     []string
		args    []string
		want    map[string][]string // values of options; those of -append must occur in it
		last    []string            // the last arguments
		image   string
	}{
		{
			name: "all left out", image: "web.qcow2",
			want: map[string][]string{
				"-m": {"1024M"}, "-smp": {"2"}, "-netdev": {"user,id=net0"}, "-drive": {"file=./web.qcow2" + disk},
				"-append": {"panic=5 nbuild.store=virtiofs ", " console=ttyS0 systemd.set_cred", "nbuild.disk=serial:nbuild"},
			},
			last: []string{"-device", "virtio-rng-pci"},
		},
		{
			name: "nasty texts", image: "it's a, $disk",
			machine: Machine{
				Memory: 256, Cores: 3, DiskImage: "it's a, $disk",
				KernelParams: []string{`a=$HOME,*\n`, "b=`x`&;|"},
				QEMUOptions:  []string{"-name  two words", "-fw_cfg", `name=x,string="a" 'b' $c *`, "@tools@"},
				ForwardPorts: []ForwardPort{
					{HostAddress: "127.0.0.1", HostPort: 8080, GuestPort: 80},
					{Protocol: "udp", HostPort: 53, GuestAddress: "10.0.2.15", GuestPort: 5353},
				},
			},
			want: map[string][]string{
				"-m": {"256M"}, "-smp": {"3"}, "-drive": {"file=./it's a,, $disk" + disk},
				"-netdev": {"user,id=net0,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp::53-10.0.2.15:5353"},
				"-append": {` a=$HOME,*\n b=` + "`x`&;|"},
			},
			last: []string{"-name", "two words", "-fw_cfg", `name=x,string="a" 'b' $c *`, "@tools@"},
		},
		{
			name: "whoever starts it has the last word", image: "-other",
			machine: Machine{
				QEMUOptions: []string{"-m 512"}, DiskImage: "/nowhere/x", KernelParams: []string{"a=1"},
				ForwardPorts: []ForwardPort{{HostPort: 1, GuestPort: 2}},
			},
			env:  []string{"QEMU_OPTS=-m 2G  -x *", "NBUILD_DISK_IMAGE=-other", "QEMU_NET_OPTS=hostfwd=x", "QEMU_KERNEL_PARAMS=a=2 b"},
			args: []string{"-name", "last one"},
			want: map[string][]string{
				"-m": {"2G", "512", "2G"}, "-drive": {"file=./-other" + disk},
				"-netdev": {"user,id=net0,hostfwd=tcp::1-:2,hostfwd=x"}, "-append": {" a=1 a=2 b"},
			},
			last: []string{"-m", "512", "-m", "2G", "-x", "*", "-name", "last one"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newFakeRunner(t, test.machine)
			if out, err := r.start(test.env, test.args...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			args := r.starts("qemu")[0]
			for name, want := range test.want {
				got := options(args, name)
				if name == "-append" {
					want = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return strings.Contains(got[0], s) })
					got = got[1:]
				}
				if diff := cmp.Diff(want, got, cmp.Transformer("nil", func(s []string) string { return strings.Join(s, "\n") })); diff != "" {
					t.Errorf("%s (-want +got):\n%s\nof %q", name, diff, args)
				}
			}
			if got := args[len(args)-len(test.last):]; !slices.Equal(got, test.last) {
				t.Errorf("the last arguments are %q, want %q", got, test.last)
			}
			if text, err := os.ReadFile(filepath.Join(r.folder, test.image)); !strings.Contains(string(text), "nbuild-disk host=web debian=trixie ") {
				t.Errorf("the disk %s: %q, %v", test.image, text, err)
			}
		})
	}
}

// TestRunnerShares looks at the servers of shared folders, and what QEMU and the guest are told about them.
func TestRunnerShares(t *testing.T) {
	r := newFakeRunner(t, Machine{SharedDirectories: []SharedDirectory{
		{Name: "work", Source: "a b", Target: "/mnt/a b"},
		{Name: "0.doc", Source: "/x", Target: "/mnt/doc", ReadOnly: true},
	}})
	if out, err := r.start(nil); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const all = "squash-guest:0:0:4294967295"
	want := [][]string{
		{"--socket-path=/nbuild/run/store.socket", "--shared-dir=/nbuild/store", "--readonly", "--sandbox=none", "--cache=always", "--no-announce-submounts"},
		{"--socket-path=/nbuild/run/shared-work.socket", "--shared-dir=/nbuild/shared/work", "--sandbox=chroot", "--translate-uid=" + all, "--translate-gid=" + all},
		{"--socket-path=/nbuild/run/shared-0.doc.socket", "--shared-dir=/nbuild/shared/0.doc", "--sandbox=chroot", "--readonly"},
	}
	for i := range want {
		want[i] = append(want[i], "--rlimit-nofile=0", "--log-level=error")
	}
	if diff := cmp.Diff(want, r.starts("virtiofsd")); diff != "" {
		t.Errorf("virtiofsd (-want +got):\n%s", diff)
	}
	args := r.starts("qemu")[0]
	for _, want := range []string{"store", "shared-work", "shared-0.doc"} {
		tag := strings.TrimPrefix(want, "shared-")
		if !slices.Contains(args, "vhost-user-fs-pci,chardev="+want+",tag="+tag) ||
			!slices.Contains(args, "socket,id="+want+",path=/nbuild/run/"+want+".socket") {
			t.Errorf("QEMU has no device for %s: %q", want, args)
		}
	}
	mounts := ` systemd.set_credential_binary=fstab.extra:` + base64.StdEncoding.EncodeToString([]byte("work /mnt/a\\040b virtiofs rw\n0.doc /mnt/doc virtiofs ro\n"))
	if got := options(args, "-append")[0]; !strings.Contains(got, mounts) {
		t.Errorf("the kernel's parameters %q lack %q", got, mounts)
	}
}

// TestRunnerGraphics starts a machine with a screen, with and without somebody to look at it.
func TestRunnerGraphics(t *testing.T) {
	const silent = "neither DISPLAY nor WAYLAND_DISPLAY is set"
	tests := []struct {
		name     string
		graphics bool
		env      []string
		display  string
		says     bool
	}{
		{"none", false, []string{"DISPLAY=:0"}, "none", false},
		{"X11", true, []string{"DISPLAY=:0"}, "sdl", false},
		{"Wayland", true, []string{"WAYLAND_DISPLAY=wayland-0"}, "sdl", false},
		{"no display", true, nil, "none", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newFakeRunner(t, Machine{Graphics: test.graphics})
			out, err := r.start(test.env)
			if err != nil || strings.Contains(out, silent) != test.says {
				t.Errorf("it says %q (%v)", out, err)
			}
			args := r.starts("qemu")[0]
			if got := options(args, "-display"); !slices.Equal(got, []string{test.display}) {
				t.Errorf("the display is %q, want %s", got, test.display)
			}
			if card := slices.Contains(args, "virtio-vga"); card != test.graphics {
				t.Errorf("there is a graphics card: %v", card)
			}
			consoles := strings.Contains(options(args, "-append")[0], " console=tty0 console=ttyS0 ")
			login := strings.Contains(options(args, "-append")[0], "tty.virtual.tty1.agetty.autologin:root ")
			if consoles != test.graphics || login != test.graphics {
				t.Errorf("the kernel's parameters: %q", options(args, "-append"))
			}
		})
	}
}

// TestRunnerGrowsDisk gives runners disks with file systems of other sizes than the machine's 8192 MiB.
func TestRunnerGrowsDisk(t *testing.T) {
	// ext4 makes a superblock of a size in blocks, and the logarithm of a block's size in KiB.
	ext4 := func(blocks, size uint32) []byte {
		b := make([]byte, 2048)
		binary.LittleEndian.PutUint32(b[1024+4:], blocks)
		binary.LittleEndian.PutUint32(b[1024+24:], size)
		binary.LittleEndian.PutUint16(b[1024+56:], 0xef53)
		binary.LittleEndian.PutUint16(b[1024+58:], 0xffff)
		return b
	}
	tests := []struct {
		name       string
		superblock []byte
		grows      string // from which size, in MiB
	}{
		{"unreadable", nil, ""},
		{"empty", []byte{}, ""},
		{"another file system", make([]byte, 2048), ""},
		{"as large", ext4(8192<<8, 2), ""},
		{"larger", ext4(10000<<8, 2), ""},
		{"smaller", ext4(8191<<8, 2), "8191"},
		{"small blocks", ext4(64<<10, 0), "64"},
		{"much larger", ext4(1<<32-1, 2), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newFakeRunner(t, Machine{})
			superblock := filepath.Join(r.top, "superblock")
			if test.superblock != nil {
				if err := os.WriteFile(superblock, test.superblock, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			out, err := r.start([]string{"FAKE_SUPERBLOCK=" + superblock})
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			resized, _ := os.ReadFile(filepath.Join(r.top, "records/resize")) // Empty when there is none.
			mounted := strings.Contains(options(r.starts("qemu")[0], "-append")[0], ":ext4:noatime,x-systemd.growfs ")
			if test.grows == "" {
				if len(resized) > 0 || mounted || strings.Contains(out, "grows") {
					t.Errorf("the disk grows (%q, %v): %s", resized, mounted, out)
				}
				return
			}
			if string(resized) != "resize -q -f qcow2 ./web.qcow2 8192M\n" || !mounted || !strings.Contains(out, "grows from "+test.grows+" to 8192 MiB") {
				t.Errorf("the disk does not grow (%q, %v): %s", resized, mounted, out)
			}
		})
	}
}

// TestRunnerFaults holds what a runner says about what its user can mend.
func TestRunnerFaults(t *testing.T) {
	const taken = "qemu: -netdev user: Could not set up host forwarding rule '%s'\n"
	machine := Machine{
		DiskImage:    "no/such/disk",
		ForwardPorts: []ForwardPort{{HostAddress: "127.0.0.1", HostPort: 8080, GuestPort: 80}, {HostPort: 1, GuestPort: 80}},
	}
	here := "NBUILD_DISK_IMAGE=disk"
	low := "for root alone, which the machine never is"
	if start, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err != nil || string(start) < "1" {
		low = "taken by another program" // As containers mostly have it.
	}
	tests := []struct {
		name string
		env  []string
		want string
	}{
		{"no window", []string{here, "FAKE_ERROR=Could not initialize SDL(x11 not available) - exiting\n", "DISPLAY=:9"}, "no window can be opened on DISPLAY=:9 WAYLAND_DISPLAY=; unset both"},
		{"no folder", nil, "disk image ./no/such/disk: there is no folder ./no/such, or"},
		{"folder nobody writes to", []string{"NBUILD_DISK_IMAGE=/sys/disk"}, "disk image /sys/disk cannot be made; name another place by NBUILD_DISK_IMAGE"},
		{"folder of the system", []string{"NBUILD_DISK_IMAGE=/etc/disk"}, "disk image /etc/disk: there is no folder /etc, or it is one of the host's system"},
		{"declared port", []string{here, "FAKE_ERROR=" + fmt.Sprintf(taken, "tcp:127.0.0.1:8080-:80")}, "the port 127.0.0.1:8080 is taken by another program; choose another in virtualisation.forward_ports"},
		{"given port", []string{here, "FAKE_ERROR=" + fmt.Sprintf(taken, "tcp:127.0.0.1:8081-:80")}, "the port 127.0.0.1:8081 is taken by another program; choose another in QEMU_NET_OPTS"},
		{"root's port", []string{here, "FAKE_ERROR=" + fmt.Sprintf(taken, "tcp::1-:80")}, low + "; choose another in virtualisation.forward_ports"},
		{"locked image", []string{here, "FAKE_ERROR=Failed to get \"write\" lock\nIs another process using the image [x]?\n"}, ""},
		{"no temporary folder", []string{here, "TMPDIR=/none", "FAKE_ERROR=Could not open temporary file '/none/vl.XXXXXX': No such file or directory\n"}, "keeps what is written in TMPDIR; set it to a folder"},
		{"long parameters", []string{here, "QEMU_KERNEL_PARAMS=" + strings.Repeat("x", 2000)}, "and 2047 is the most"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := newFakeRunner(t, machine).start(test.env)
			if !strings.Contains(out, test.want) {
				t.Errorf("it says %q (%v), want %q", out, err, test.want)
			}
		})
	}
}

// TestRunnerIsComplete fails when a script has a name between @ that vm doesn't replace, or none at all.
func TestRunnerIsComplete(t *testing.T) {
	name := regexp.MustCompile(`@[a-z_]+@`)
	files := newTestSystem(t, nil).VM.spec.Files
	for file, text := range map[string]string{"run": scripts.RunVM(), "inside": scripts.RunVMInside(), "login": scripts.RunVMLogin()} {
		if !strings.Contains(text, "@host@") {
			t.Errorf("%s has no @host@", file)
		}
		if left := name.FindAllString(files[file], -1); left != nil {
			t.Errorf("%s: %q are left", file, left)
		}
	}
}

// FuzzShellWords compares what a shell makes of a quoted text with the text.
func FuzzShellWords(f *testing.F) {
	for _, s := range []string{"", "a b", "it's", "''", `\'`, "$HOME `id` \"*\"", "a\nb", "-n", "ä€"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "\x00") || !utf8.ValidString(s) {
			t.Skip()
		}
		shell := exec.Command("/bin/sh")
		shell.Stdin = strings.NewReader("set -- " + shellWords(s, "end") + "\nprintf %s. \"$@\"\n")
		out, err := shell.CombinedOutput()
		if want := s + ".end."; err != nil || string(out) != want {
			t.Errorf("the shell made %q of %q (%v)", out, s, err)
		}
	})
}
