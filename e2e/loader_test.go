//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

const loaderProject = `
web = system(
    name = "web",
    modules = [{
        "networking.host_name": "webhost",
        "boot.loader_timeout": 1,
        "virtualisation": {
            "disk_size": 256,
            "firmware": "bios",
            "shared_directories.work": {"source": "../work", "target": "/mnt/a b: c,d"},
        },
    }],
)
`

// TestLoader starts a machine by BIOS and by UEFI, without any privilege: by what the menu chooses when nobody is there, and
// by what somebody chooses on the console. The disk stays, and grows in between.
func TestLoader(t *testing.T) {
	t.Parallel()
	u := unprivileged()
	p := newProject(t, u)
	p.write("nbuild.star", loaderProject)
	p.beside("work")
	p.nbuild("vm", "--bootloader")
	closure := strings.Fields(p.storeClosure(t, "web"))

	// All that a word can have besides what GRUB can't hand on.
	const given = `test.a=*?[a-z]$b;{c}|d&e<f>#g test.b=ä~!%^()+,@`
	cmd := p.runner("webhost")
	cmd.Env = append(cmd.Env, "QEMU_KERNEL_PARAMS="+given)
	g := startGuest(t, cmd)
	t.Run("bios", func(t *testing.T) {
		g.in(t, func() {
			checkLoaded(g, closure)
			g.check("test ! -e /sys/firmware/efi; grep -o 'test[.]a=.*' /proc/cmdline", given)
			g.check("grep -c nbuild.shell /proc/cmdline; echo kept >/root/kept", "0")
			g.poweroff()
		})
	})
	checkNothingLeft(t, p)

	p.edit("nbuild.star", `"firmware": "bios"`, `"firmware": "uefi"`)
	p.edit("nbuild.star", `"disk_size": 256`, `"disk_size": 400`)
	p.edit("nbuild.star", `"boot.loader_timeout": 1`, `"boot.loader_timeout": None`)
	p.nbuild("vm_with_bootloader")
	g = launch(t, p.runner("webhost"))
	g.expect("*web ", bootTimeout)
	g.send("\x1b[B")
	g.expect("*web, with messages", bootTimeout)
	g.send("\r")
	g.login()
	t.Run("uefi", func(t *testing.T) {
		g.in(t, func() {
			checkLoaded(g, closure)
			g.check("test -d /sys/firmware/efi; grep -o nbuild.shell /proc/cmdline; cat /root/kept", "nbuild.shell\nkept")
			g.check("df -m --output=size / | awk 'NR == 2 { print ($1 > 300 && $1 <= 400) }'", "1")
			// It has all messages on the console, those too of what systemd leaves to the last program of the system.
			g.check("dmesg -n 3", "")
			g.poweroff()
		})
	})
	checkNothingLeft(t, p)
	t.Run("changes", func(t *testing.T) { testLoaderChanges(t, p) })
}

// checkLoaded looks at a machine that GRUB started.
func checkLoaded(g *guest, closure []string) {
	g.t.Helper()
	if line, _ := g.run("cat /proc/cmdline"); !strings.HasPrefix(line, "BOOT_IMAGE=/boot/vmlinuz ") {
		g.t.Errorf("not GRUB started the kernel: %s", line)
	}
	g.check("systemctl is-system-running --wait", "running")
	g.check("findmnt -n -o FSTYPE /; findmnt -n -o SOURCE,FSTYPE /nbuild/store", "overlay\nstore virtiofs")
	g.check("findmnt -n -o FSTYPE '/mnt/a b: c,d'", "virtiofs")
	checkStore(g, closure) // So the guest doesn't see the medium.
}

// testLoaderChanges holds what has to be made anew for what.
func testLoaderChanges(t *testing.T, p *place) {
	p.edit("nbuild.star", `"webhost"`, `"other"`)
	p.builds("vm_with_bootloader", "top-layer-web", "system-web", "vm-web")
	p.edit("nbuild.star", `"boot.loader_timeout": None`, `"boot.loader_timeout": 9`)
	p.builds("vm_with_bootloader", "loader-web.iso", "vm-web")
}
