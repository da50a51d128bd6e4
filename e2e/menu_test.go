//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"path/filepath"
	"strings"
	"testing"
)

// menusProject has ISOs that show a menu and have nothing behind it: with a theme of a package, with one that is made of a
// picture and a font of packages, without any, and with a theme that lost its fonts or its picture, which is what GRUB
// shows when nobody checks.
const menusProject = qemuTools + `
_debian = debian("trixie")
_kernel = text_file("kernel", "")

def _package(name):
    return [p for p in _debian.packages([name]) if p.name.startswith(name + "-")][0]

def _menu(name, **more):
    return iso(name, kernel = _kernel, initrd = _kernel, menu = ["normal", "verbose", "local_disk"], timeout = 1000, **more)

starfield = theme("starfield", archive = _package("grub-theme-starfield"), kind = "grub")

_made = derivation(
    name = "made",
    tools = _debian.tree(["bash", "coreutils", "fonts-dejavu-core", "grub-common"]),
    inputs = {"desktop": _package("desktop-base"), "text": source("theme.txt"), "box": source("box.png")},
    script = """
        mkdir $out
        cp $text $out/theme.txt
        cp $box $out/select_c.png
        cp $desktop/usr/share/desktop-base/ceratopsian-theme/grub/grub-4x3.png $out/background.png
        grub-mkfont -s 24 -o $out/sans.pf2 /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
    """,
)
ceratopsian = theme("ceratopsian", archive = _made, kind = "grub")

starfield_menu = _menu("starfield", theme = starfield)
ceratopsian_menu = _menu("ceratopsian", theme = ceratopsian)

def _without(name, pattern):
    return derivation(name, inputs = {"all": starfield}, script = "cp -R $all $out; chmod u+w $out; rm -f $out/" + pattern)

plain_menu = _menu("plain")
fontless_menu = _menu("fontless", theme = _without("fontless", "*.pf2"))
blind_menu = _menu("blind", theme = _without("blind", "starfield.png"))
`

const ceratopsianTheme = `
title-text: ""
desktop-image: "background.png"
+ boot_menu {
	left = 10%
	top = 30%
	width = 80%
	height = 40%
	item_font = "DejaVu Sans Regular 24"
	item_color = "#10e0d0"
	selected_item_color = "#ffff40"
	selected_item_pixmap_style = "select_*.png"
	item_height = 40
	item_spacing = 10
	item_padding = 0
}
`

// A look is what a theme makes of a menu of three entries on 1024×768 pixels.
type look struct {
	theme, background string
	bare              []image.Rectangle  // where nothing but the background is
	entries           [3]image.Rectangle // the first is selected
	text              color.RGBA         // that of the second
	letters           int                // pixels that it has of this colour, at least
	selected          color.RGBA         // a colour that is only where the selection is, or the zero value
}

func looks() []look {
	rows := func(top, height, step int) (entries [3]image.Rectangle) {
		for i := range entries {
			entries[i] = image.Rect(96, top+i*step, 928, top+i*step+height)
		}
		return entries
	}
	return []look{
		{
			theme: "starfield", background: "starfield.png",
			bare:    []image.Rectangle{image.Rect(0, 64, 1024, 160), image.Rect(0, 160, 96, 704), image.Rect(928, 160, 1024, 704), image.Rect(0, 544, 1024, 736)},
			entries: rows(183, 26, 27), text: color.RGBA{0, 0, 0, 255}, letters: 300,
		},
		{
			theme: "ceratopsian", background: "background.png",
			bare:    []image.Rectangle{image.Rect(0, 0, 1024, 224), image.Rect(0, 224, 96, 768), image.Rect(928, 224, 1024, 768), image.Rect(0, 544, 1024, 768)},
			entries: rows(230, 40, 50), text: color.RGBA{0x10, 0xe0, 0xd0, 255}, letters: 1000, selected: boxColour(),
		},
	}
}

func boxColour() color.RGBA { return color.RGBA{0x80, 0x10, 0x60, 255} }

// newMenus makes a place with menusProject.
func newMenus(t *testing.T) *place {
	t.Helper()
	u := unprivileged()
	p := newProject(t, u)
	p.write("nbuild.star", menusProject)
	p.write("theme.txt", ceratopsianTheme)
	box := image.NewRGBA(image.Rect(0, 0, 4, 4))
	for i := range 16 {
		box.SetRGBA(i%4, i/4, boxColour())
	}
	var text strings.Builder
	if err := png.Encode(&text, box); err != nil {
		t.Fatal(err)
	}
	p.write("box.png", text.String())
	return p
}

// TestMenus looks at the themed menus of ISOs, as firmware of both kinds shows them.
func TestMenus(t *testing.T) {
	t.Parallel()
	p := newMenus(t)
	for _, l := range looks() {
		p.nbuild(l.theme, "-o", l.theme)
		background := rgba(readPicture(t, filepath.Join(p.dir, l.theme, l.background)))
		for _, firmware := range []string{"bios", "uefi"} {
			t.Run(l.theme+" "+firmware, func(t *testing.T) {
				m := p.startMenu(t, l.theme, firmware)
				before := rgba(m.waitScreen("menu", settled(1024, 768)))
				if *updateScreens {
					keepReference(t, l.theme, before)
				}
				if err := l.check(before, background, reference(t, l.theme)); err != nil {
					t.Error(err)
				}
				m.press("down")
				m.waitScreen("second", func(picture image.Image) error { return l.checkMoved(before, rgba(picture)) })
			})
		}
	}
}

// TestMenuIsOfTheme holds the menus that GRUB shows when something of the theme is missing against the theme: what
// TestMenus looks at tells them from it.
func TestMenuIsOfTheme(t *testing.T) {
	t.Parallel()
	p := newMenus(t)
	l := looks()[0]
	p.nbuild(l.theme, "-o", l.theme)
	background := rgba(readPicture(t, filepath.Join(p.dir, l.theme, l.background)))
	for name, want := range map[string]string{"plain": "the background at", "blind": "the background at", "fontless": "are not those of the reference"} {
		t.Run(name, func(t *testing.T) {
			m := p.startMenu(t, name, "bios")
			menu := rgba(m.waitScreen("menu", settled(1024, 768)))
			err := l.check(menu, background, reference(t, l.theme))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the menu is taken for one with the theme, or not for this reason: %v; want %q", err, want)
			}
		})
	}
}

// startMenu starts the ISO of the target name_menu and waits until somebody could choose.
func (p *place) startMenu(t *testing.T, name, firmware string) *monitor {
	t.Helper()
	p.nbuild(name+"_menu", "-o", name+"_menu")
	return p.startDisc(t, filepath.Join(p.dir, name+"_menu", "iso", name+".iso"), firmware)
}

func (p *place) startDisc(t *testing.T, file, firmware string) *monitor {
	t.Helper()
	cmd := p.qemu(firmware, "-vga", "std", "-drive", "media=cdrom,format=raw,readonly=on,file="+file)
	m := p.monitored(t, cmd)
	launch(t, cmd)
	m.waitScreen("graphics", func(picture image.Image) error { return sized(picture, 1024, 768) })
	// A key that has no meaning ends the countdown, which would change the picture.
	m.press("z")
	return m
}

// check looks for all that makes the look.
func (l *look) check(menu, background *image.RGBA, kept *image.Gray) error {
	var faults []error
	faults = append(faults, checkBackground(menu, background, l.bare), checkReference(menu, kept))
	for i, entry := range l.entries[1:] {
		if n := countColour(menu, entry, l.text); n < l.letters {
			faults = append(faults, fmt.Errorf("entry %d has %d pixels of the text's colour, want %d", i+2, n, l.letters))
		}
	}
	if l.selected != (color.RGBA{}) {
		faults = append(faults, l.checkSelected(menu, 0))
	}
	return errors.Join(faults...)
}

// checkSelected looks whether the box of a selection is at one entry, and at no other.
func (l *look) checkSelected(menu *image.RGBA, selected int) error {
	for i, entry := range l.entries {
		n := countColour(menu, entry, l.selected)
		if is := n > entry.Dx()*entry.Dy()/2; is != (i == selected) || !is && n > 0 {
			return fmt.Errorf("entry %d has %d pixels of the selection's colour", i+1, n)
		}
	}
	return nil
}

// checkMoved looks whether the second entry is selected instead of the first, and all else is as before.
func (l *look) checkMoved(before, after *image.RGBA) error {
	part := changed(before, after)
	if part.Intersect(l.entries[0]).Empty() || part.Intersect(l.entries[1]).Empty() || !part.In(l.entries[0].Union(l.entries[1])) {
		return fmt.Errorf("a key changes %v, want the entries at %v", part, l.entries[:2])
	}
	if l.selected != (color.RGBA{}) {
		return l.checkSelected(after, 1)
	}
	return nil
}
