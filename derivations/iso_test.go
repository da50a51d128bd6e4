package derivations

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testISO returns a spec of an image, as change makes it.
func testISO(t *testing.T, change func(*ISOSpec)) ISOSpec {
	t.Helper()
	var p Packages
	tools, err := p.ToolTree("iso-tools", testPackages("xorriso"))
	if err != nil {
		t.Fatal(err)
	}
	packer, err := p.ToolTree("image-tools", testPackages("squashfs-tools"))
	if err != nil {
		t.Fatal(err)
	}
	spec := ISOSpec{Name: "disc", Tools: tools, Packer: packer}
	if change != nil {
		change(&spec)
	}
	return spec
}

func text(name string) Input {
	return Input{Derivation: MustNew(Spec{Name: name, Builder: "text"}), Output: "out"}
}

func TestISO(t *testing.T) {
	page, program := text("page"), text("program")
	drv, err := ISO(testISO(t, func(s *ISOSpec) {
		s.Publisher, s.Compress = "Example", true
		s.Contents = []ISOFile{{Target: "/doc/page", Source: page, Below: "a/b"}}
		s.StoreContents = []ISOFile{{Target: "program", Source: program}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	wantEnv := map[string]string{
		"name": "disc", "volume_id": "DISC", "publisher": "Example", "compress": "1", "nbuild.copies": "195", "nbuild.self_contained": "1",
	}
	if diff := cmp.Diff(wantEnv, drv.spec.Env); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	image := drv.Inputs()["contents_1"].Derivation
	want := map[string]string{
		"files": "nbuild/store.squashfs=" + image.Placeholder("out") + "\ndoc/page=" + page.text() + "/a/b\n",
		"links": "program=" + program.text() + "\n",
	}
	for name, text := range want {
		if diff := cmp.Diff(text, drv.spec.Files[name]); diff != "" {
			t.Errorf("file %s (-want +got):\n%s", name, diff)
		}
	}
	if _, boots := drv.Inputs()["boot"]; boots {
		t.Error("an image without a kernel has what boots one")
	}
}

func TestISOFaults(t *testing.T) {
	a := text("a")
	contents := func(targets ...string) func(*ISOSpec) {
		return func(s *ISOSpec) {
			for _, target := range targets {
				s.Contents = append(s.Contents, ISOFile{Target: target, Source: a})
			}
		}
	}
	for _, test := range []struct {
		name   string
		change func(*ISOSpec)
		want   string
	}{
		{"long label", func(s *ISOSpec) { s.VolumeID = strings.Repeat("A", 33) }, `volume_id is "` + strings.Repeat("A", 33) + `": it has 33 bytes, and 32 fit`},
		{"label with a blank", func(s *ISOSpec) { s.VolumeID = "A B" }, `volume_id is "A B": want letters, digits and _.- without accents`},
		{"publisher", func(s *ISOSpec) { s.Publisher = "a\nb" }, `publisher is "a\nb": want letters and digits without accents, blanks and !"%&'()*+,-./:;<=>?_`},
		{"long publisher", func(s *ISOSpec) { s.Publisher = strings.Repeat("x", 129) }, `publisher is "` + strings.Repeat("x", 129) + `": it has 129 bytes, and 128 fit`},
		{"profile", func(s *ISOSpec) { s.Profile = "fast" }, `profile is "fast": want dev or release`},
		{"parent", contents("/a/../b"), `contents "/a/../b": want the path of a file without ., .. and empty parts`},
		{"root", contents("/"), `contents "/": want the path of a file without ., .. and empty parts`},
		{"equals sign", contents("a=b"), `contents "a=b": a path on an ISO can't have "=" or "\"`},
		{"newline", contents("a\nb"), `contents "a\nb": a path on an ISO can't have control characters`},
		{"twice", contents("/a", "a"), `contents "a": "/a" has the same place on the ISO`},
		{
			"below a link", func(s *ISOSpec) {
				s.Contents, s.StoreContents = []ISOFile{{Target: "a/b", Source: a}, {Target: "ab", Source: a}}, []ISOFile{{Target: "/a", Source: a}, {Target: "a/c", Source: a}}
			},
			`contents "a/b": "/a" is a link of store_contents, and nothing can be below it
store_contents "a/c": "/a" is a link, and nothing can be below it`,
		},
		{"own folder", contents("/Boot/x"), `contents "/Boot/x": /boot is where the ISO has what it boots with; choose another place`},
		{"part", func(s *ISOSpec) { s.Contents = []ISOFile{{Target: "a", Source: a, Below: "../x"}} }, `contents "a": the source's part "../x": want a path without . and ..`},
		{
			"menu", func(s *ISOSpec) {
				s.Boot = &ISOBoot{Kernel: a, Initrd: a, Params: []string{"a b"}, Menu: Menu{Entries: []string{"serial", "none"}, Default: "normal"}}
			},
			`menu has no entry "none": there are normal, copy_to_ram, serial, verbose or local_disk
menu lacks its default entry "normal"
kernel_params has "a b": want one word without quotes`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ISO(testISO(t, test.change))
			if err == nil {
				t.Fatal("it is taken")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVolumeID(t *testing.T) {
	for name, want := range map[string]string{"web": "WEB", "a+b": "A_B", strings.Repeat("x", 40): strings.Repeat("X", 32)} {
		if got := VolumeID(name); got != want {
			t.Errorf("VolumeID(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestMenu(t *testing.T) {
	b := ISOBoot{Params: []string{"quiet", "a=$x"}, Menu: Menu{Title: "it's", Entries: []string{"verbose", "copy_to_ram"}, Timeout: -7}}
	const want = `set default=copy_to_ram
set timeout=-1
` + menuScreen + `menuentry 'it'\''s, copied to memory: the medium can be taken out' --id copy_to_ram --hotkey r {
	linux /boot/vmlinuz 'quiet' 'a=$x' 'nbuild.copy_to_ram'
	initrd /boot/initrd
}
menuentry 'it'\''s, with messages of all that happens' --id verbose --hotkey m {
	linux /boot/vmlinuz 'a=$x' 'loglevel=7' 'systemd.show_status=1' 'nbuild.shell'
	initrd /boot/initrd
}
`
	if diff := cmp.Diff(want, b.menu()); diff != "" {
		t.Errorf("menu (-want +got):\n%s", diff)
	}
	b.Menu = Menu{Title: "x", Default: "local_disk"}
	b.Theme = text("theme")
	all := b.menu()
	for _, part := range []string{"set default=local_disk\n", menuSerial, menuLocalDisk, "set theme=", "--id serial", "console=ttyS0,115200", "--id normal"} {
		if !strings.Contains(all, part) {
			t.Errorf("the menu lacks %q:\n%s", part, all)
		}
	}
}

// TestMenuHotkeys: GRUB's menu has a meaning for some keys, and takes them for that.
func TestMenuHotkeys(t *testing.T) {
	taken := "cepv^"
	for _, e := range menuEntries() {
		if len(e.hotkey) != 1 || strings.Contains(taken, e.hotkey) {
			t.Errorf("the entry %s has the key %q, which means something else", e.name, e.hotkey)
		}
		taken += e.hotkey
	}
}
