//go:build e2e

package e2e

import (
	"image"
	"image/draw"
	"testing"
)

// menusProject has ISOs that show a menu and have nothing behind it.
const menusProject = qemuTools + `
_debian = debian("trixie")
_kernel = text_file("kernel", "")

def _package(name):
    return [p for p in _debian.packages([name]) if p.name.startswith(name + "-")][0]

def _menu(name, **more):
    return iso(name, kernel = _kernel, initrd = _kernel, menu = ["normal", "verbose", "local_disk"], timeout = 1000, **more)

starfield = theme("starfield", archive = _package("grub-theme-starfield"), kind = "grub")

plain_menu = _menu("plain")
starfield_menu = _menu("starfield", theme = starfield)
`

// TestMenus looks at the menus of ISOs.
func TestMenus(t *testing.T) {
	p := newPlace(t, user{name: "this user"})
	p.write("nbuild.star", menusProject)
	for _, name := range []string{"plain", "starfield"} {
		for _, firmware := range []string{"bios", "uefi"} {
			t.Run(name+" "+firmware, func(t *testing.T) {
				m := p.startMenu(t, name, firmware)
				m.waitScreen(name+"-"+firmware, settled(1024, 768))
			})
		}
	}
}

// startMenu starts the ISO called name and waits until somebody could choose.
func (p *place) startMenu(t *testing.T, name, firmware string) *monitor {
	t.Helper()
	p.nbuild(name+"_menu", "-o", name)
	cmd := p.qemu(firmware, "-vga", "std", "-drive", "media=cdrom,format=raw,readonly=on,file="+p.dir+"/"+name+"/iso/"+name+".iso")
	m := p.monitored(t, cmd)
	launch(t, cmd)
	m.waitScreen("graphics", func(picture image.Image) error { return sized(picture, 1024, 768) })
	// A key that has no meaning ends the countdown, which would change the picture.
	m.press("z")
	return m
}

// rgba returns a picture with its pixels as bytes.
func rgba(picture image.Image) *image.RGBA {
	if same, ok := picture.(*image.RGBA); ok {
		return same
	}
	copied := image.NewRGBA(picture.Bounds())
	draw.Draw(copied, copied.Rect, picture, picture.Bounds().Min, draw.Src)
	return copied
}

// isPlain reports whether all pixels, of four bytes each, are the same.
func isPlain(pixels []byte) bool {
	for i, b := range pixels {
		if b != pixels[i%4] {
			return false
		}
	}
	return true
}
