//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// splashProject has a system with themes for all that is on its screen. That of Plymouth has a background which runs from
// one colour to another, as its file says, and a name that no theme of the packages has;
// it links to a picture of another package.
const splashProject = qemuTools + `
_debian = debian("trixie")

def _package(name):
    return [p for p in _debian.packages([name]) if p.name.startswith(name + "-")][0]

starfield = theme("starfield", archive = _package("grub-theme-starfield"), kind = "grub")
blue = theme("blue", archive = _debian.tree(["plymouth-themes"]), kind = "plymouth", path = "usr/share/plymouth/themes/spinfinity")

desk = system("desk", modules = [{
    "theme.grub": starfield,
    "theme.plymouth": blue,
    "boot.kernel_package": "linux-image-amd64",
    "boot.loader_timeout": None,
    "virtualisation.graphics": True,
}])
`

// TestThemedSystem looks at the screen of a system before it starts, from an ISO and by a machine's boot loader, and when it
// ends.
func TestThemedSystem(t *testing.T) {
	t.Parallel()
	u := unprivileged()
	p := newProject(t, u)
	p.write("nbuild.star", splashProject)
	p.nbuild("iso")
	t.Run("menu of the ISO", func(t *testing.T) {
		checkSystemMenu(t, p, p.qemu("uefi", "-vga", "std", "-drive", "media=cdrom,format=raw,readonly=on,file="+p.dir+"/result/iso/desk.iso"))
	})
	p.nbuild("vm", "--bootloader")
	t.Run("menu of the boot loader", func(t *testing.T) { checkSystemMenu(t, p, p.runner("desk")) })
	p.nbuild("vm")
	t.Run("splash", func(t *testing.T) { checkSplash(t, p) })
}

// checkSystemMenu starts a machine and looks whether its menu has the theme starfield, and obeys.
func checkSystemMenu(t *testing.T, p *place, cmd *exec.Cmd) {
	t.Helper()
	l := looks()[0]
	p.nbuild(l.theme, "-o", l.theme)
	background := rgba(readPicture(t, filepath.Join(p.dir, l.theme, l.background)))
	m := p.monitored(t, cmd)
	g := launch(t, cmd)
	still := settled(1024, 768)
	before := rgba(m.waitScreen("menu", func(picture image.Image) error {
		if err := still(picture); err != nil {
			return err
		}
		return checkBackground(rgba(picture), background, l.bare)
	}))
	m.press("down")
	m.waitScreen("second", func(picture image.Image) error { return l.checkMoved(before, rgba(picture)) })
	m.do("quit", nil)
	g.wait(commandTimeout)
}

// checkSplash looks at the screen of a system that ends, and before at the unit which draws there, so that a failure says
// which of both it is.
func checkSplash(t *testing.T, p *place) {
	p.nbuild("blue", "-o", "blue")
	top, bottom := gradient(t, readProject(t, p, "blue/blue/blue.plymouth"))
	check := func(picture image.Image) error { return checkGradient(rgba(picture), top, bottom) }

	// The machine stays when the system has ended, with what was on its screen.
	cmd := p.runner("desk", "-no-shutdown")
	m := p.monitored(t, cmd)
	g := startGuest(t, cmd)
	g.check("systemctl is-system-running --wait", "running")
	before := m.screen()
	m.keep("before", before)
	if check(before) == nil {
		t.Fatal("the screen has the theme already")
	}
	g.check("cat /etc/plymouth/plymouthd.conf", "[Daemon]\nTheme=blue\nThemeDir=/nbuild/store/"+filepath.Base(string(p.storePath("blue"))))
	g.check("systemctl start plymouth-poweroff.service && plymouth --ping && echo drawn", "drawn")
	m.waitScreen("drawn", check)
	g.check("plymouth quit && systemctl stop plymouth-poweroff.service && echo cleared", "cleared")
	m.waitScreen("cleared", func(picture image.Image) error {
		if check(picture) == nil {
			return errors.New("it still has the theme")
		}
		return nil
	})
	g.send("poweroff\n")
	m.waitScreen("stopping", check)
	m.waitStatus("shutdown")
	m.do("quit", nil)
	g.wait(commandTimeout)
}

// gradient returns the colours that a theme's file has for the top and the bottom of the screen.
func gradient(t *testing.T, text string) (top, bottom [3]int) {
	t.Helper()
	for name, colour := range map[string]*[3]int{"Start": &top, "End": &bottom} {
		m := regexp.MustCompile(`(?m)^Background` + name + `Color=0x([0-9a-f]{6})$`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no background in:\n%s", text)
		}
		n, err := strconv.ParseInt(m[1], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		*colour = [3]int{int(n >> 16), int(n >> 8 & 0xff), int(n & 0xff)}
	}
	return top, bottom
}

// checkGradient looks at the left edge of a picture, where nothing but the background is.
func checkGradient(picture *image.RGBA, top, bottom [3]int) error {
	const rows, tolerance = 16, 4
	height := picture.Rect.Dy()
	for y := 0; y+rows <= height; y += rows {
		r, g, b := mean(picture, image.Rect(0, y, 32, y+rows))
		for i, got := range []int{r, g, b} {
			want := top[i] + (bottom[i]-top[i])*(y+rows/2)/height
			if distance(got, want) > tolerance {
				return fmt.Errorf("the background of row %d has the colour %d %d %d, want it between %v and %v", y, r, g, b, top, bottom)
			}
		}
	}
	return nil
}

// waitStatus waits until the machine is in a state, by the name that QEMU has for it.
func (m *monitor) waitStatus(want string) {
	m.t.Helper()
	deadline := time.Now().Add(commandTimeout)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var state struct{ Status string }
		if err := json.Unmarshal(m.do("query-status", nil), &state); err != nil {
			m.t.Fatal(err)
		}
		if state.Status == want {
			return
		}
		if <-tick.C; time.Now().After(deadline) {
			m.t.Fatalf("the machine is %s, want %s", state.Status, want)
		}
	}
}
