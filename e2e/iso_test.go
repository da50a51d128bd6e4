//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// isoBoots are the ways to start the ISO of examples/web: the firmware, what it takes the image for, and the menu's entry.
func isoBoots() []isoBoot {
	return []isoBoot{
		{"bios", "cd", "normal"},
		{"bios", "disk", "normal"},
		{"uefi", "cd", "normal"},
		{"uefi", "disk", "serial"},
		{"bios", "cd", "copy_to_ram"},
	}
}

type isoBoot struct{ firmware, medium, entry string }

// TestISO starts examples/web as it is from its ISO in each way that there is.
func TestISO(t *testing.T) {
	u := user{name: "this user"}
	if os.Getuid() == 0 {
		u = nobody
	}
	p := newPlace(t, u).example(t, "web")
	p.edit("nbuild.star", "web = system(", qemuTools+"\nweb = system(")
	page := readProject(t, p, "site/index.html")
	p.nbuild("web.iso", "-o", "web")
	for _, way := range isoBoots() {
		t.Run(way.firmware+" "+way.medium+" "+way.entry, func(t *testing.T) {
			port := freePort(t)
			cmd := p.fromISO(way, "web", fmt.Sprintf("hostfwd=tcp:127.0.0.1:%d-:80", port))
			m := p.monitored(t, cmd)
			g := launch(t, cmd)
			g.choose(way.entry)
			g.login()
			g.checkRunning()
			expectPage(t, port, "/", page)
			if way.entry == "copy_to_ram" {
				checkMediumIsFree(t, g, m)
				expectPage(t, port, "/", page)
			} else {
				g.check("ls -m /run/nbuild/medium", "EFI, boot, nbuild")
			}
			g.poweroff()
		})
	}
}

// fromISO prepares a machine that starts from an image of the project. Its only other disks are what the arguments add. Who
// it lets in, and where, is said by systemd's credentials, so that the image can be one that isn't made for a test.
func (p *place) fromISO(way isoBoot, name, forward string, more ...string) *exec.Cmd {
	image := filepath.Join(p.dir, name, "iso", name+".iso")
	drive := "format=raw,readonly=on,id=medium,file=" + image
	words := map[string][]string{
		"cd":   {"-drive", "media=cdrom," + drive},
		"disk": {"-drive", "if=virtio," + drive},
		"usb":  {"-device", "qemu-xhci", "-device", "usb-storage,drive=medium", "-drive", "if=none," + drive},
	}[way.medium]
	words = append(words, "-vga", "std", "-nic", "user,model=virtio-net-pci,"+forward)
	for name, text := range map[string]string{
		"getty.ttys.serial": "ttyS0", "agetty.autologin": "root", "login.noauth": "yes",
	} {
		words = append(words, "-fw_cfg", "name=opt/io.systemd.credentials/"+name+",string="+text)
	}
	return p.qemu(way.firmware, append(words, more...)...)
}

// choose waits for the menu and presses the key of an entry.
func (g *guest) choose(entry string) {
	g.t.Helper()
	g.expect("with messages of all", bootTimeout)
	g.send(map[string]string{"normal": "n", "copy_to_ram": "r", "serial": "s", "verbose": "v", "local_disk": "l"}[entry])
}

// checkRunning expects a system in which everything has started.
func (g *guest) checkRunning() {
	g.t.Helper()
	g.check("systemctl is-system-running --wait", "running")
	g.check("systemctl --failed --no-legend --no-pager", "")
}

// checkMediumIsFree takes the medium away, as sticks are, and reads all of the system.
func checkMediumIsFree(t *testing.T, g *guest, m *monitor) {
	t.Helper()
	g.check("grep -c iso9660 /proc/mounts; ls /run/nbuild", "0\nsystem")
	m.do("eject", map[string]any{"device": "medium", "force": true})
	g.check("! dd if=/dev/sr0 of=/dev/null count=1 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches; find /usr /nbuild/store -type f -exec cat {} + >/dev/null", "")
}
