//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// machineProject has a system whose virtual machine uses each of the options for it. PORT is replaced. What the machine
// makes is beside the project.
const machineProject = `
_data = derivation("data", script = "mkdir $out; echo of the store >$out/file")

machine = system(
    name = "machine",
    modules = [{
        "virtualisation": {
            "memory_size": 768,
            "cores": 3,
            "disk_size": 256,
            "disk_image": "../state, disks/it's $one",
            "graphics": False,
            "kernel_params": ["test.marker=a,b$c"],
            "forward_ports": [{"host_port": PORT, "guest_port": 8001}],
            "shared_directories": {
                "work": {"source": "../work, it's", "target": "/mnt/a b: c,d"},
                "read.only": {"source": "../work, it's", "target": "/mnt/read", "read_only": True},
                "data": {"source": _data, "target": "/mnt/data", "read_only": True},
            },
            "qemu.options": ["-fw_cfg", "name=opt/test,string=it's \"one\" $word", "-name  two words"],
        },
        "networking.firewall.allowed_tcp_ports": [8001],
        "systemd": {
            "services.answer@": {"exec_start": "/usr/bin/printf answer", "service_config": {"StandardInput": "socket"}},
            "sockets.answer": {"listen_streams": [8001], "socket_config": {"Accept": True}},
        },
    }],
)
`

// TestRunner starts a machine that uses each option of virtualisation, without any privilege.
func TestRunner(t *testing.T) {
	t.Parallel()
	u := unprivileged()
	p, port := newProject(t, u), freePort(t)
	p.write("nbuild.star", strings.ReplaceAll(machineProject, "PORT", fmt.Sprint(port)))
	p.nbuild("vm")
	image, work := p.beside("state, disks")+"/it's $one", filepath.Join(filepath.Dir(p.dir), "work, it's")

	t.Run("missing folder", func(t *testing.T) {
		out, err := p.runner("machine").CombinedOutput()
		want := "run-machine-vm: virtualisation.shared_directories.read.only: there is no folder " + p.dir + "/../work, it's; "
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("without the folder: %v, it says %q, want %q", err, out, want)
		}
		if _, err := os.Lstat(image); err == nil {
			t.Error("a disk was made all the same")
		}
	})

	p.beside("work, it's")
	if err := os.WriteFile(filepath.Join(work, "host"), []byte("of the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// A machine that ends at once leaves an empty disk, which is too small for the next.
	if out, err := p.runner("machine", "-no-such-option").CombinedOutput(); err == nil || !strings.Contains(string(out), "no-such-option") {
		t.Fatalf("with an unknown option of QEMU: %v\n%s", err, out)
	}
	p.edit("nbuild.star", `"disk_size": 256`, `"disk_size": 400`)
	p.builds("vm", "vm-machine")

	cmd := p.runner("machine")
	cmd.Env = append(cmd.Env, "SHARED_DIR=../given")
	given := p.beside("given")
	g := startGuest(t, cmd)
	t.Run("guest", func(t *testing.T) {
		g.in(t, func() {
			g.check("systemctl is-system-running --wait", "running")
			g.check("nproc", "3")
			g.check("awk '/MemTotal/ { print ($2 > 600000 && $2 < 768 * 1024) }' /proc/meminfo", "1")
			g.check("grep -o 'test.marker=[^ ]*' /proc/cmdline", "test.marker=a,b$c")
			g.check("cat /sys/firmware/qemu_fw_cfg/by_name/opt/test/raw", `it's "one" $word`)
			g.check("df -m --output=size / | awk 'NR == 2 { print ($1 > 300 && $1 <= 400) }'", "1")
			checkArguments(t, "two words")
		})
	})
	t.Run("shared folders", func(t *testing.T) { g.in(t, func() { checkSharedFolders(g, p, work) }) })
	t.Run("SHARED_DIR", func(t *testing.T) {
		g.in(t, func() {
			g.check("echo of the guest >/tmp/shared/file && stat -c %U /tmp/shared /tmp/shared/file", "root\nroot")
			if text, err := os.ReadFile(filepath.Join(given, "file")); string(text) != "of the guest\n" {
				t.Errorf("on the host the file has %q (%v)", text, err)
			}
		})
	})
	t.Run("forwarded port", func(t *testing.T) {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if got, err := bufio.NewReader(conn).ReadString('r'); got != "answer" {
			t.Errorf("the guest says %q, %v", got, err)
		}
	})
	t.Run("port taken", func(t *testing.T) {
		second := p.runner("machine")
		second.Env = append(second.Env, "NBUILD_DISK_IMAGE=other.qcow2")
		out, err := second.CombinedOutput()
		want := fmt.Sprintf("the port 127.0.0.1:%d is taken by another program; choose another in virtualisation.forward_ports", port)
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("a second machine with the same port: %v\n%s", err, out)
		}
	})
	g.in(t, g.poweroff)
	checkNothingLeft(t, p)
	if _, err := os.Stat(image); err != nil {
		t.Error(err)
	}
	t.Run("graphics", func(t *testing.T) { testGraphics(t, p) })
}

// beside makes a folder of the place's user beside the project and returns its name.
func (p *place) beside(name string) string {
	p.t.Helper()
	dir := filepath.Join(filepath.Dir(p.dir), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if p.user.id != 0 {
		if err := os.Chown(dir, int(p.user.id), int(p.user.id)); err != nil {
			p.t.Fatal(err)
		}
	}
	return dir
}

// checkSharedFolders looks at shared folders from both sides.
func checkSharedFolders(g *guest, p *place, work string) {
	g.t.Helper()
	g.check("cat '/mnt/a b: c,d/host' /mnt/read/host /mnt/data/file", "of the host\nof the host\nof the store")
	g.check("findmnt -n -o SOURCE,FSTYPE /mnt/data", "data virtiofs")
	for _, name := range []string{"/mnt/read/x", "/mnt/data/x"} {
		if out, code := g.run("touch " + name); code == 0 || !strings.Contains(out, "Read-only") {
			g.t.Errorf("touch %s: exit status %d, %s", name, code, out)
		}
	}
	// Whoever writes it there, here it is of who started the machine.
	g.check("cd '/mnt/a b: c,d' && chmod 777 . && umask 022 && echo of the guest >root && su nobody -s /bin/sh -c 'echo of nobody >nobody' && "+
		"mkdir folder && chown 1234:1234 root && mv host folder && cd / && cat /mnt/read/nobody", "of nobody")
	uid := p.user.id
	if uid == 0 {
		uid = uint32(os.Getuid())
	}
	got := map[string]string{}
	err := filepath.WalkDir(work, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(work, path)
		if got[name] = info.Mode().String(); info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			got[name] += " " + string(text)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != uid && name != "folder/host" {
			g.t.Errorf("%s belongs to %d, want %d", name, owner, uid)
		}
		return nil
	})
	if err != nil {
		g.t.Error(err)
	}
	want := map[string]string{
		".": "drwxrwxrwx", "folder": "drwxr-xr-x", "folder/host": "-rw-r--r-- of the host\n",
		"nobody": "-rw-r--r-- of nobody\n", "root": "-rw-r--r-- of the guest\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		g.t.Errorf("the folder on the host (-want +got):\n%s", diff)
	}
}

// testGraphics starts the machine with a window and paints it.
func testGraphics(t *testing.T, p *place) {
	server, err := exec.LookPath("Xvfb")
	if err != nil {
		t.Skip("NOT TESTED: a machine's window, because this machine has no Xvfb to show it on")
	}
	p.edit("nbuild.star", `"graphics": False`, `"graphics": True`)
	p.nbuild("vm")
	display, screen := startDisplay(t, server)
	cmd := p.runner("machine")
	cmd.Env = append(cmd.Env, "DISPLAY="+display)
	g := startGuest(t, cmd)
	g.in(t, func() {
		if n := lightBytes(t, screen); n > 100_000 {
			t.Fatalf("the screen is light already: %d bytes", n)
		}
		// A light background for all of the text console, on which root is logged in.
		g.check("until pgrep -t tty1 bash >/dev/null; do sleep 0.1; done; printf '\\033[47m\\033[2J' >/dev/tty1; echo painted", "painted")
		deadline := time.Now().Add(commandTimeout)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for lightBytes(t, screen) < 500_000 { // Of the 720x400 points each has three, and a fourth that is not used.
			if <-tick.C; time.Now().After(deadline) {
				t.Fatalf("the screen shows %d light bytes", lightBytes(t, screen))
			}
		}
		g.poweroff()
	})
}

// startDisplay starts an X server without a screen. It returns its name and the file of what it shows.
func startDisplay(t *testing.T, server string) (display, screen string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dir := t.TempDir()
	cmd := exec.Command(server, "-displayfd", "3", "-fbdir", dir, "-screen", "0", "1024x768x24", "-ac", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{w}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	number, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb: %v\n%s", err, errs.String())
	}
	return ":" + strings.TrimSpace(number), filepath.Join(dir, "Xvfb_screen0")
}

// lightBytes counts the bytes of a screen that are more than half as large as can be.
func lightBytes(t *testing.T, screen string) (n int) {
	t.Helper()
	text, err := os.ReadFile(screen)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range text {
		if b > 0x7f {
			n++
		}
	}
	return n
}
