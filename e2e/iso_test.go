//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// isoProject follows examples/web in its project: images of each kind, what programs that are none of ours say of them, and
// a system for real hardware.
const isoProject = qemuTools + `
_greet = derivation("greet", script = "mkdir -p $out/bin; printf '#!/bin/sh\\necho greetings\\n' >$out/bin/greet; chmod +x $out/bin/greet")
_manual = text_file("manual", "Read it.\n")
_folder = tree("folder", files = {"b/deep/x": "1\n", "a name, with blanks and ümlaut": "2\n"})
_image = {
    "contents": {"/Doc/manual.txt": _manual, "folder": _folder, "/part": "%s/b" % _folder},
    "store_contents": {"/tools/greet": "%s/bin/greet" % _greet},
    "volume_id": "Plain_2.x",
    "publisher": "Example & Sons",
}
plain = iso("plain", **_image)
packed = iso("plain", compress = True, **_image)
folders = iso("folders", kernel = _folder, initrd = _folder)
lacking = iso("lacking", contents = {"/none": "%s/none" % _folder})
in_file = iso("in_file", contents = {"/a": _manual, "/a/b/c": _folder})
in_folder = iso("in_folder", contents = {"/a": _folder, "/a/b": _manual})
in_merged = iso("in_merged", contents = {"/a": _folder, "/a/b": tree("other", files = {"deep/x": "3\n", "y": ""})})
in_inner_file = iso("in_inner_file", contents = {"/a": _folder, "/a/b/deep/x/y": _manual})

_kernel = derivation("kernel", inputs = {"system": web.system}, script = "cp $system/kernel $out")
_initrd = derivation("initrd", inputs = {"system": web.system}, script = "cp $system/initrd $out")
free = iso("free", kernel = _kernel, initrd = _initrd, kernel_params = ["console=ttyS0", "nbuild.store=none"], timeout = 1)

_readers = debian("trixie").tree(["bash", "coreutils", "diffutils", "genisoimage", "grep", "libarchive-tools", "xorriso", "zstd"])
readings = derivation(
    "readings",
    tools = _readers,
    inputs = {"plain": plain, "packed": packed, "web": web.iso, "folder": _folder},
    script = """
mkdir $out x
image=$plain/iso/plain.iso
bsdtar -tf $image >$out/bsdtar
isoinfo -R -f -i $image >$out/isoinfo
xorriso -indev stdio:$image -find / >$out/xorriso
isoinfo -d -i $image >$out/volume
bsdtar -xf $image -C x
diff -r x/folder $folder
diff -r x/part $folder/b
readlink x/tools/greet >$out/link
zstd -qdc $packed/iso/plain.iso.zst | cmp - $image
for format in report_el_torito report_system_area; do
	xorriso -indev stdio:$web/iso/web.iso -$format plain >$out/$format
done
xorriso -indev stdio:$image -pvd_info | grep Modif >$out/uuid
xorriso -indev stdio:$web/iso/web.iso -pvd_info | grep Modif >$out/uuid_of_web
""",
)

rescue = system("rescue", modules = [{
    "iso": {
        "variant": {"boot.kernel_package": "linux-image-amd64"},
        "volume_id": "Rescue-2",
        "contents": {"/doc/manual.txt": _manual},
        "store_contents": {"/tools": "%s/bin" % _greet},
    },
}])
`

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

// newISO makes a place with examples/web and isoProject, and the ISO of examples/web.
func newISO(t *testing.T) *place {
	t.Helper()
	u := unprivileged()
	p := newProject(t, u).example(t, "web")
	p.write("nbuild.star", readProject(t, p, "nbuild.star")+isoProject)
	p.nbuild("web.iso", "-o", "web")
	return p
}

// TestISOBoots starts machines from the ISO of examples/web.
func TestISOBoots(t *testing.T) {
	t.Parallel()
	p := newISO(t)
	for _, way := range isoBoots() {
		t.Run(way.firmware+" "+way.medium+" "+way.entry, func(t *testing.T) { p.testBoot(t, way) })
	}
}

// TestISO makes ISOs, without any privilege, has them read by programs that are none of ours, and starts machines from
// those that differ from what examples/web has.
func TestISO(t *testing.T) {
	t.Parallel()
	p := newISO(t)
	t.Run("readers", func(t *testing.T) { testReaders(t, p) })
	t.Run("faults", func(t *testing.T) { testISOFaults(t, p) })
	t.Run("local disk", func(t *testing.T) { testLocalDisk(t, p) })
	t.Run("rescue", func(t *testing.T) { testRescue(t, p) })
	t.Run("changes", func(t *testing.T) { testISOChanges(t, p) })
}

// testBoot starts examples/web as it is.
func (p *place) testBoot(t *testing.T, way isoBoot) {
	port := freePort(t)
	cmd := p.fromISO(way, "web", "-nic", fmt.Sprintf("user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:%d-:80", port))
	m := p.monitored(t, cmd)
	g := launch(t, cmd)
	g.choose(way.entry)
	g.login()
	g.checkRunning()
	page := readProject(t, p, "site/index.html")
	expectPage(t, port, "/", page)
	if way.entry == "copy_to_ram" {
		checkMediumIsFree(g, m)
		expectPage(t, port, "/", page)
	} else {
		g.check("ls -m /run/nbuild/medium", "EFI, boot, nbuild")
	}
	g.check("findmnt -n -o FSTYPE /nbuild/store; ls -d $(readlink /run/nbuild/system)/layers | grep -c ^/nbuild/store/", "overlay\n1")
	g.poweroff()
}

// testReaders has libarchive, cdrkit and xorriso read images, and compares what they say with what was declared.
func testReaders(t *testing.T, p *place) {
	p.nbuild("readings")
	read := func(name string) string { return readProject(t, p, "result/"+name) }
	want := []string{
		"/Doc", "/Doc/manual.txt", "/folder", "/folder/a name, with blanks and ümlaut", "/folder/b", "/folder/b/deep",
		"/folder/b/deep/x", "/nbuild", "/nbuild/store.squashfs", "/part", "/part/deep", "/part/deep/x", "/tools", "/tools/greet",
	}
	for name, line := range map[string]func(string) string{
		"bsdtar":  func(line string) string { return strings.TrimPrefix("/"+line, "/.") },
		"isoinfo": func(line string) string { return line },
		"xorriso": func(line string) string { return strings.Trim(line, "'") },
	} {
		var got []string
		for text := range strings.Lines(read(name)) {
			if file := line(strings.TrimSuffix(text, "\n")); file != "" && file != "/" {
				got = append(got, file)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("files that %s lists (-want +got):\n%s", name, diff)
		}
	}
	if link := read("link"); !strings.HasPrefix(link, "/nbuild/store/") || !strings.HasSuffix(link, "-greet/bin/greet\n") {
		t.Errorf("the link into the store leads to %s", link)
	}
	for name, lines := range map[string][]string{
		"volume":           {"Volume id: Plain_2.x", "Publisher id: EXAMPLE & SONS", "NO Joliet present", "Rock Ridge signatures version 1 found"},
		"report_el_torito": {"El Torito boot img :   1  BIOS  y ", "El Torito boot img :   2  UEFI  y ", "El Torito img path :   1  /boot/grub/bios.img"},
		"report_system_area": {
			"System area summary: MBR protective-msdos-label grub2-mbr cyl-align-off GPT", "MBR partition      :   1   0x00  0xee            1 ",
			"MBR partition      :   2   0x80  0x00            0            1", "GPT partname local :   1  ISO9660",
			"GPT type GUID      :   2  28732ac11ff8d211ba4b00a0c93ec93b", // an EFI system partition
		},
	} {
		for _, line := range lines {
			if !strings.Contains("\n"+read(name), "\n"+line) {
				t.Errorf("%s lacks %q:\n%s", name, line, read(name))
			}
		}
	}
	if ours, others := read("uuid"), read("uuid_of_web"); ours == others || !strings.HasPrefix(ours, "Modif. Time  : ") {
		t.Errorf("disks are told from each other by %s and %s", ours, others)
	}
}

// testISOFaults makes what can be seen to be wrong only when the image is made.
func testISOFaults(t *testing.T, p *place) {
	for target, want := range map[string]string{
		"folders": "iso: want a kernel and an initrd to boot, and /nbuild/store/",
		"lacking": "iso: none: there is no /nbuild/store/",

		"in_file":       "iso: a/b/c: a is a file, and nothing can be in it",
		"in_folder":     "iso: a/b: the folder a has that already",
		"in_merged":     "iso: a/b/deep/x: the folder a has that already",
		"in_inner_file": "iso: a/b/deep/x/y: a/b/deep/x is a file, and nothing can be in it",
	} {
		_, stderr, err := p.try(target, "-o", "wrong")
		if err == nil || !strings.Contains(stderr, want) {
			t.Errorf("%s: %v, want %q in:\n%s", target, err, want, stderr)
		}
		if _, err := os.Lstat(filepath.Join(p.dir, "wrong")); err == nil {
			t.Errorf("%s left a result", target)
		}
	}
}

// testLocalDisk has the ISO start a disk, which is another image: its kernel says that it has no store.
func testLocalDisk(t *testing.T, p *place) {
	p.nbuild("free", "-o", "free")
	for _, way := range []isoBoot{{"bios", "cd", "local_disk"}, {"bios", "disk", "local_disk"}, {"uefi", "cd", "local_disk"}} {
		t.Run(way.firmware+" "+way.medium, func(t *testing.T) {
			g := launch(t, p.fromISO(way, "web", "-drive", "if=virtio,format=raw,readonly=on,file="+p.dir+"/free/iso/free.iso"))
			g.choose(way.entry)
			g.expect("nbuild: cannot start the system: nbuild.store is 'none'", bootTimeout)
			g.wait(commandTimeout)
		})
	}
}

// testRescue starts a system with a kernel for real hardware from a stick, and looks at what else is on that.
func testRescue(t *testing.T, p *place) {
	p.nbuild("rescue.iso", "-o", "rescue")
	g := launch(t, p.fromISO(isoBoot{"uefi", "usb", "verbose"}, "rescue"))
	g.choose("verbose")
	g.login()
	g.checkRunning()
	g.check("uname -r | grep -c cloud; grep -c quiet /proc/cmdline; findmnt -n -o SOURCE,LABEL /run/nbuild/medium", "0\n0\n/dev/sda Rescue-2")
	g.check("cat /run/nbuild/medium/doc/manual.txt; /run/nbuild/medium/tools/greet", "Read it.\ngreetings")
	g.poweroff()
}

// testISOChanges holds what is made anew for what: packages are compressed only when they change.
func testISOChanges(t *testing.T, p *place) {
	p.edit("nbuild.star", `"users.star",`, `"users.star", {"networking.host_name": "other"},`)
	p.builds("web.iso", "top-layer-web", "system-web", "system.squashfs", "web.iso")
	p.edit("nbuild.star", `{"networking.host_name": "other"}`, `{"networking.host_name": "other", "iso.default_entry": "verbose"}`)
	p.builds("web.iso", "web.iso")
}

// fromISO prepares a machine that starts from an image of the project. Its only other disks are what the arguments add. Who
// it lets in, and where, is said by systemd's credentials, so that the image can be one that isn't made for a test.
func (p *place) fromISO(way isoBoot, name string, more ...string) *exec.Cmd {
	image := filepath.Join(p.dir, name, "iso", name+".iso")
	drive := "format=raw,readonly=on,id=medium,file=" + image
	words := map[string][]string{
		"cd":   {"-boot", "d", "-drive", "media=cdrom," + drive},
		"disk": {"-drive", "if=virtio," + drive},
		"usb":  {"-device", "qemu-xhci", "-device", "usb-storage,drive=medium", "-drive", "if=none," + drive},
	}[way.medium]
	words = append(words, "-vga", "std")
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
	g.send(map[string]string{"normal": "n", "copy_to_ram": "r", "serial": "s", "verbose": "m", "local_disk": "l"}[entry])
}

// checkRunning expects a system in which everything has started.
func (g *guest) checkRunning() {
	g.t.Helper()
	g.check("systemctl is-system-running --wait", "running")
	g.check("systemctl --failed --no-legend --no-pager", "")
}

// checkMediumIsFree takes the medium away, as sticks are, and reads programs that nobody has read before.
func checkMediumIsFree(g *guest, m *monitor) {
	g.t.Helper()
	g.check("grep -c iso9660 /proc/mounts; ls /run/nbuild", "0\nsystem")
	m.do("eject", map[string]any{"device": "medium", "force": true})
	g.check("dd if=/dev/sr0 of=/dev/null count=1 2>/dev/null || echo gone", "gone")
	g.check("echo 3 >/proc/sys/vm/drop_caches; cat /usr/bin/* >/dev/null", "")
}
