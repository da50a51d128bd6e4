package derivations

import (
	"fmt"
	"slices"
	"strings"
)

// A Menu is what GRUB shows when a medium boots.
type Menu struct {
	Title   string   // what is booted; one line
	Entries []string // of MenuEntries, in any order; empty means all
	Default string   // the entry that is chosen when nobody is there; empty means the first
	Timeout int      // in seconds, until that; negative means never
	Serial  bool     // on the serial port too, even if there is no entry for it
}

// A menuEntry is a way to boot.
type menuEntry struct {
	name   string
	hotkey string // none of c, e, p, v and ^, which GRUB's menu takes itself
	title  string // follows that of the menu
	params func(params []string) []string
}

// menuEntries returns the entries there are, in the menu's order.
func menuEntries() []menuEntry {
	more := func(words ...string) func([]string) []string {
		return func(params []string) []string { return slices.Concat(params, words) }
	}
	return []menuEntry{
		{"normal", "n", "", more()},
		{"copy_to_ram", "r", ", copied to memory: the medium can be taken out", more("nbuild.copy_to_ram")},
		{"serial", "s", ", serial console", more("console=tty0", "console=ttyS0,115200")},
		{"verbose", "m", ", with messages of all that happens", verbose},
		{"local_disk", "l", "", nil},
	}
}

// verbose returns parameters with which kernel, initrd and systemd say what they do.
func verbose(params []string) []string {
	params = slices.DeleteFunc(slices.Clone(params), func(p string) bool {
		return p == "quiet" || p == "splash" || strings.HasPrefix(p, "loglevel=") || strings.HasPrefix(p, "systemd.show_status=")
	})
	return append(params, "loglevel=7", "systemd.show_status=1", "nbuild.shell")
}

// MenuEntries returns the names of the entries that a Menu can have.
func MenuEntries() []string {
	var names []string
	for _, e := range menuEntries() {
		names = append(names, e.name)
	}
	return names
}

// entries returns those of the menu in order.
func (m *Menu) entries() []menuEntry {
	return slices.DeleteFunc(menuEntries(), func(e menuEntry) bool { return len(m.Entries) > 0 && !slices.Contains(m.Entries, e.name) })
}

// check reports the faults of what an ISO boots.
func (b *ISOBoot) check(add func(string, ...any)) {
	for _, name := range append(slices.Clone(b.Menu.Entries), b.Menu.Default) {
		if name != "" && !slices.Contains(MenuEntries(), name) {
			add("menu has no entry %q: there are %s", name, orList(MenuEntries()))
		}
	}
	if d := b.Menu.Default; d != "" && len(b.Menu.Entries) > 0 && !slices.Contains(b.Menu.Entries, d) {
		add("menu lacks its default entry %q", d)
	}
	if strings.ContainsFunc(b.Menu.Title, isControl) {
		add("menu has the title %q: want one line", b.Menu.Title)
	}
	for _, param := range b.Params {
		if !isKernelParam(param) {
			add("kernel_params has %q: want one word without quotes", param)
		}
	}
}

// menu returns GRUB's configuration. It is on the screen in letters that every language has, and on the serial port when
// there is an entry for one.
func (b *ISOBoot) menu() string {
	m := &b.Menu
	entries := m.entries()
	first := m.Default
	if first == "" {
		first = entries[0].name
	}
	var text strings.Builder
	fmt.Fprintf(&text, "set default=%s\nset timeout=%d\n", first, max(m.Timeout, -1))
	text.WriteString(menuScreen)
	if m.Serial || slices.ContainsFunc(entries, func(e menuEntry) bool { return e.name == "serial" }) {
		text.WriteString(menuSerial)
	}
	if b.Theme != (Input{}) {
		text.WriteString("set theme=$prefix/theme/theme.txt\nexport theme\n")
	}
	more := ""
	if b.MoreParams {
		text.WriteString(menuMoreParams)
		more = " $more"
	}
	for _, e := range entries {
		if e.params == nil {
			text.WriteString(menuLocalDisk)
			continue
		}
		fmt.Fprintf(&text, "menuentry %s --id %s --hotkey %s {\n\tlinux /boot/vmlinuz%s%s\n\tinitrd /boot/initrd\n}\n",
			grubWord(m.Title+e.title), e.name, e.hotkey, more, grubWords(e.params(b.Params)))
	}
	return text.String()
}

const (
	// menuScreen falls back to the firmware's text where there are no graphics. Fonts.cfg loads those of the theme.
	menuScreen = `if loadfont $prefix/unicode.pf2; then
	set gfxmode=1024x768,auto
	if terminal_output gfxterm; then
		set screen=1
		source $prefix/fonts.cfg
	fi
fi
`
	// menuSerial leaves to UEFI what it does itself: its console is on the serial port too. When both read there, the keys
	// that are several bytes come in pieces; when both write, as they do without a screen, everything is there twice.
	menuSerial = `if serial --unit=0 --speed=115200; then
	if [ "$grub_platform" != efi ]; then
		terminal_input --append serial
		terminal_output --append serial
	elif [ -n "$screen" ]; then
		terminal_output --append serial
	fi
fi
`
	// menuMoreParams reads what hand_over_parameters in scripts/run-vm-inside.sh writes.
	menuMoreParams = "smbios --type 200 --get-string 4 --set more\n"

	// menuLocalDisk looks on other disks than the medium's for what UEFI firmware would start: to leave it to the firmware, by
	// exit, means success, after which it may show its boot manager (UEFI 2.10, 3.1.1). A BIOS has one way: the first sector of a disk, which wants
	// to be the first one; when the medium itself is a disk, it is that already.
	menuLocalDisk = `menuentry 'Boot from the disk of this machine' --id local_disk --hotkey l {
	regexp --set=1:own '^([^,]*)' "$root"
	if [ "$grub_platform" = efi ]; then
		for loader in (*)/EFI/BOOT/BOOTX64.EFI (*)/EFI/*/shimx64.efi (*)/EFI/*/grubx64.efi (*)/EFI/Microsoft/Boot/bootmgfw.efi; do
			regexp --set=1:disk '^.([^,)]*)' "$loader"
			if [ "$disk" != "$own" -a -f "$loader" ]; then
				chainloader "$loader"
				boot
			fi
		done
		exit
	fi
	if [ "$own" = hd0 ]; then
		set root=hd1
		drivemap -s hd0 hd1
	else
		set root=hd0
	fi
	chainloader +1
}
`
)

// grubWord returns a word that GRUB's shell takes as s.
func grubWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// grubWords returns further words of a command.
func grubWords(words []string) string {
	var text strings.Builder
	for _, word := range words {
		text.WriteString(" " + grubWord(word))
	}
	return text.String()
}
