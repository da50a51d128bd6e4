//go:build e2e

package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// web is a project with one system. HOST and KEY are replaced.
const web = `
greet = derivation("greet", script = "mkdir -p $out/bin; printf '#!/bin/sh\necho greetings\n' >$out/bin/greet; chmod +x $out/bin/greet")

web = system(
    name = "web",
    modules = [{
        "networking.host_name": "HOST",
        "environment.packages": ["file", greet],
        "environment.files": {"/etc/test.conf": {"text": "declared\n", "mode": "640", "group": "adm"}},
        "boot.kernel_params": ["test.marker=declared"],
        "services.openssh.enable": True,
        "users.users": {
            "root": {"authorized_keys": ["KEY"]},
            "ann": {"uid": 1234, "sudo": True, "authorized_keys": ["KEY"]},
        },
    }],
)
`

// A key is an SSH key pair for one test.
type key struct {
	signer ssh.Signer
	line   string // as in a .pub file
}

func newKey(t *testing.T) key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key{signer, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " test"}
}

func webProject(host string, k key) string {
	return strings.NewReplacer("HOST", host, "KEY", k.line).Replace(web)
}

// freePort returns a TCP port of the loopback interface that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// runner returns the command that starts a machine as a user would, with nothing on PATH.
func (p *place) runner(host string, args ...string) *exec.Cmd {
	return p.command(filepath.Join(p.dir, "result/bin/run-"+host+"-vm"), args...)
}

// TestVM builds a system without any privilege, boots it, looks, and boots it again.
func TestVM(t *testing.T) {
	t.Parallel()
	u := unprivileged()
	p, k := newProject(t, u), newKey(t)
	p.write("nbuild.star", webProject("webhost", k))
	p.nbuildGone("vm")
	closure := strings.Fields(p.storeClosure(t, "web"))

	port := freePort(t)
	cmd := p.runner("webhost")
	cmd.Env = append(cmd.Env, fmt.Sprintf("QEMU_NET_OPTS=hostfwd=tcp:127.0.0.1:%d-:22", port))
	g := startGuest(t, cmd)
	t.Run("first boot", func(t *testing.T) {
		g.in(t, func() {
			checkSystem(g)
			checkEarly(g)
			checkDebian(g)
			checkStore(g, closure)
			checkSSH(t, g, port, k)
			if !hasKVM() {
				// Otherwise QEMU breaks down at one start in a hundred, and systemd gives up on a busy machine.
				g.check("dmesg | grep -o 'x2apic enabled'; systemctl show -P DefaultDeviceTimeoutUSec | cat", "x2apic enabled\n10min")
			}
			g.check("echo kept >/root/kept; sync; cat /root/kept", "kept")
		})
	})
	t.Run("disk in use", func(t *testing.T) {
		second := p.runner("webhost")
		out, err := second.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "webhost.qcow2") {
			t.Errorf("a second machine with the same disk: %v\n%s", err, out)
		}
	})
	t.Run("port taken", func(t *testing.T) {
		second := p.runner("webhost")
		second.Env = append(second.Env, "NBUILD_DISK_IMAGE=other.qcow2", fmt.Sprintf("QEMU_NET_OPTS=hostfwd=tcp:127.0.0.1:%d-:22", port))
		out, err := second.CombinedOutput()
		if err == nil || !strings.Contains(string(out), fmt.Sprint(port)) {
			t.Errorf("a second machine with the same port: %v\n%s", err, out)
		}
	})
	g.in(t, g.poweroff)
	checkNothingLeft(t, p)

	cmd = p.runner("webhost", "-name", "from-arguments")
	cmd.Env = append(cmd.Env, "QEMU_OPTS=-m 768", "QEMU_KERNEL_PARAMS=test.extra=given")
	g = startGuest(t, cmd)
	t.Run("second boot", func(t *testing.T) {
		g.in(t, func() {
			g.check("cat /root/kept", "kept")
			g.check("dmesg | grep 'EXT4-fs.*vda' | grep -c -e mounted -e recover", "1") // It was unmounted.
			g.check("grep -o 'test[.][a-z]*=[a-z]*' /proc/cmdline", "test.marker=declared\ntest.extra=given")
			g.check("awk '/MemTotal/ { print ($2 > 600000 && $2 < 800000) }' /proc/meminfo", "1")
			checkArguments(t, "from-arguments")
		})
	})
	if err := g.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	g.in(t, func() { g.wait(commandTimeout) })
	checkNothingLeft(t, p)
}

// in makes a guest report to the test t while f runs.
func (g *guest) in(t *testing.T, f func()) {
	t.Helper()
	before := g.t
	g.t = t
	defer func() { g.t = before }()
	f()
}

// nbuildGone builds a target with a copy of nbuild and deletes the copy: what was built needs the store alone.
func (p *place) nbuildGone(target string) {
	p.t.Helper()
	program, err := os.ReadFile(binary(p.t))
	if err != nil {
		p.t.Fatal(err)
	}
	name := filepath.Join(p.home, "nbuild-copy")
	if err := os.WriteFile(name, program, 0o755); err != nil {
		p.t.Fatal(err)
	}
	out, err := p.command(name, target).CombinedOutput()
	if err != nil {
		p.t.Fatalf("nbuild %s as %s: %v\n%s", target, p.user.name, err, out)
	}
	if err := os.Remove(name); err != nil {
		p.t.Fatal(err)
	}
}

// storeClosure returns the base names of a target's closure, a line each.
func (p *place) storeClosure(t *testing.T, target string) string {
	t.Helper()
	out, _ := p.nbuild("build", target, "-q", "-o", "closure-of")
	paths, _ := p.nbuild("store", "closure", "closure-of")
	return strings.ReplaceAll(out+paths, "/nbuild/store/", "")
}

func checkSystem(g *guest) {
	g.t.Helper()
	g.check("hostname", "webhost")
	if state, _ := g.run("systemctl is-system-running --wait"); state != "running" {
		failed, _ := g.run("systemctl --failed --no-legend --no-pager; journalctl -b -p err --no-pager | tail -20")
		g.t.Errorf("the system is %q\n%s", state, failed)
	}
	g.check("systemctl --failed --no-legend --no-pager", "")
	g.check("greet", "greetings")
	g.check("cat /etc/test.conf; stat -c '%a %U:%G' /etc/test.conf", "declared\n640 root:adm")
	g.check("id -u ann; su ann -c 'sudo -n id -u'", "1234\n0")
}

// checkEarly looks at what is done before systemd starts: it must be as systemd would have it.
func checkEarly(g *guest) {
	g.t.Helper()
	g.check("systemctl is-active dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-config.mount run-lock.mount tmp.mount",
		strings.TrimSpace(strings.Repeat("active\n", 6)))
	g.check("journalctl -b -o cat | grep '^Mounting ' || echo none", "none")
	g.check("findmnt -no FSTYPE,OPTIONS /dev/mqueue | tr -s ' '; findmnt -no FSTYPE,OPTIONS /run/lock | tr -s ' '; stat -c %a /run/lock /tmp",
		"mqueue rw,nosuid,nodev,noexec,relatime\ntmpfs rw,nosuid,nodev,noexec,relatime,size=5120k,inode64\n1777\n1777")
	g.check("kmod static-nodes --format=tmpfiles | sort | cmp - /usr/lib/tmpfiles.d/static-nodes-$(uname -r).conf", "")
	g.check("stat -c '%a %t:%T' /dev/net/tun; systemctl show -P ConditionResult kmod-static-nodes modprobe@configfs modprobe@efi_pstore | grep .", "666 a:c8\nno\nno\nno")
}

func checkDebian(g *guest) {
	g.t.Helper()
	g.check("dpkg --audit", "")
	// The one file of a package that the configuration replaces has the firewall's rules.
	g.check("dpkg -V", "??5?????? c /etc/nftables.conf")
	g.check("stat -c '%a %U:%G %n' /usr/bin/sudo /usr/bin/passwd /usr/sbin/unix_chkpwd /etc/shadow "+
		"/usr/lib/dbus-1.0/dbus-daemon-launch-helper /var/mail /tmp /etc/passwd /usr /root",
		`4755 root:root /usr/bin/sudo
4755 root:root /usr/bin/passwd
2755 root:shadow /usr/sbin/unix_chkpwd
640 root:shadow /etc/shadow
4754 root:messagebus /usr/lib/dbus-1.0/dbus-daemon-launch-helper
2775 root:mail /var/mail
1777 root:root /tmp
644 root:root /etc/passwd
755 root:root /usr
700 root:root /root`)
}

func checkStore(g *guest, closure []string) {
	g.t.Helper()
	listing, _ := g.run("ls -1 /nbuild/store")
	visible := strings.Fields(listing)
	slices.Sort(visible)
	slices.Sort(closure)
	if diff := cmp.Diff(closure, visible); diff != "" {
		g.t.Errorf("what the guest sees of the store (-closure +visible):\n%s", diff)
	}
	if out, code := g.run("touch /nbuild/store/x"); code == 0 || !strings.Contains(out, "Read-only") {
		g.t.Errorf("touch /nbuild/store/x: exit status %d, %s", code, out)
	}
	if out, code := g.run("echo x >/nbuild/store/$(ls /nbuild/store | head -n 1)/x"); code == 0 {
		g.t.Errorf("an object can be written: %s", out)
	}
}

func checkSSH(t *testing.T, g *guest, port int, k key) {
	t.Helper()
	g.run("systemctl is-active --wait ssh.service ssh.socket")
	for _, name := range []string{"root", "ann"} {
		client, err := dialSSH(port, name, k)
		if err != nil {
			t.Errorf("ssh as %s: %v", name, err)
			continue
		}
		defer client.Close()
		session, err := client.NewSession()
		if err != nil {
			t.Error(err)
			continue
		}
		out, err := session.Output("id -un")
		if err != nil || string(out) != name+"\n" {
			t.Errorf("ssh as %s: id -un printed %q, %v", name, out, err)
		}
	}
	stranger := newKey(t)
	if client, err := dialSSH(port, "root", stranger); err == nil {
		client.Close()
		t.Error("ssh as root works with a key that was not declared")
	}
}

func dialSSH(port int, name string, k key) (*ssh.Client, error) {
	return ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &ssh.ClientConfig{
		User:            name,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(k.signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // The guest made its key a moment ago.
		Timeout:         time.Minute,
	})
}

// processes returns the command lines of all processes whose command line contains a text.
func processes(t *testing.T, text string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(text)) {
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

func checkArguments(t *testing.T, text string) {
	t.Helper()
	if len(processes(t, text)) == 0 {
		t.Errorf("no process has %q among its arguments", text)
	}
}

// checkNothingLeft looks for processes, mounts and files that a machine left behind.
func checkNothingLeft(t *testing.T, p *place) {
	t.Helper()
	top := filepath.Dir(p.dir)
	for _, line := range processes(t, top) {
		t.Errorf("a process is left: %s", line)
	}
	for process, name := range p.living(t) {
		t.Errorf("a process is left: %d %s", process, name)
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), top) {
		t.Errorf("a mount is left:\n%s", mounts)
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains([]string{"nbuild.star", "nbuild.lock", "result", "closure-of", "webhost.qcow2", "other.qcow2", "demo.qcow2"}, e.Name()) {
			t.Errorf("a file is left: %s", e.Name())
		}
	}
}

// TestDemoAsRoot is what `make vm` does as root: the built-in demo, with nothing but nbuild, to a shell.
func TestDemoAsRoot(t *testing.T) {
	t.Parallel()
	requireRoot(t, "the demo as root")
	p := newProject(t, user{name: "root"})
	cmd := p.command(binary(t), "vm", "--run")
	g := startGuest(t, cmd)
	g.check("hostname", "demo")
	g.check("systemctl is-system-running --wait", "running")
	seen, _ := g.console.after(0)
	if !strings.Contains(seen, "built-in demo") {
		t.Error("nothing says that the built-in demo is used")
	}
	if hasBrokenKVM() && !strings.Contains(seen, "emulated") {
		t.Error("nothing says that the processor is emulated although there is a /dev/kvm")
	}
	// Ctrl-A X ends it at once.
	if _, err := io.WriteString(g.stdin, "\x01x"); err != nil {
		t.Fatal(err)
	}
	g.wait(commandTimeout)
	checkNothingLeft(t, p)
}

// hasBrokenKVM reports whether /dev/kvm is there but the processor has nothing that it could use.
func hasBrokenKVM() bool {
	_, err := os.Stat("/dev/kvm")
	info, readErr := os.ReadFile("/proc/cpuinfo")
	return err == nil && readErr == nil && !bytes.Contains(info, []byte(" vmx ")) && !bytes.Contains(info, []byte(" svm "))
}
