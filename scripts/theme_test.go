package scripts

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// makeTheme runs theme.sh in a folder instead of /build and returns what it made, by name: the text of a file, with the
// theme's own path as OUT, or the target of a link; or what it said when it failed.
func makeTheme(t *testing.T, kind, path string, archive map[string]string) (made map[string]string, failure string) {
	t.Helper()
	mawk := awk(t)
	if out, err := exec.Command("cp", "--version").Output(); err != nil || !strings.Contains(string(out), "GNU") {
		t.Skip("NOT TESTED: theme.sh, because this machine's cp is not GNU's")
	}
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, isLink := strings.CutPrefix(content, "-> "); isLink {
			err = os.Symlink(target, name)
		} else {
			err = os.WriteFile(name, []byte(content), 0o444)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("archive/README", "")
	for name, content := range archive {
		write("archive/"+name, content)
	}
	write("build/script", strings.ReplaceAll(Theme(), "/build/", dir+"/build/"))
	write("build/grub-theme.awk", GrubTheme())
	write("bin/awk", "-> "+mawk)
	out := filepath.Join(dir, "out-of.theme+1")
	shell := exec.Command("/bin/sh", dir+"/build/script")
	shell.Dir = filepath.Join(dir, "build")
	shell.Env = []string{"PATH=" + dir + "/bin:" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "archive=" + dir + "/archive", "kind=" + kind, "path=" + path, "name=mine", "out=" + out}
	if said, err := shell.CombinedOutput(); err != nil {
		return nil, strings.ReplaceAll(string(said), dir, "DIR")
	} else if len(said) > 0 {
		t.Errorf("theme.sh says: %s", said)
	}
	return themeFiles(t, out), ""
}

func themeFiles(t *testing.T, out string) map[string]string {
	t.Helper()
	made := map[string]string{}
	err := filepath.WalkDir(out, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(out, file)
		if d.Type() == fs.ModeSymlink {
			target, err := os.Readlink(file)
			made[name] = "-> " + target
			return err
		}
		text, err := os.ReadFile(file)
		made[name] = strings.ReplaceAll(string(text), out, "OUT")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// pf2 returns the beginning of a font of GRUB with a name.
func pf2(name string) string {
	section := func(what, content string) string {
		return what + "\x00\x00\x00" + string(rune(len(content))) + content
	}
	return section("FILE", "PFF2") + section("NAME", name+"\x00") + section("FAMI", "x\x00")
}

func TestBootsplashTheme(t *testing.T) {
	cfg := "version=3\njpeg=/etc/bootsplash/themes/Blue/images/a.jpg\nsilentjpeg=/etc/bootsplash/themes/default/images/a.jpg\n"
	want := "version=3\njpeg=OUT/Blue/images/a.jpg\nsilentjpeg=OUT/default/images/a.jpg\n"
	t.Run("of 2009", func(t *testing.T) {
		made, failure := makeTheme(t, "bootsplash", "", map[string]string{
			"Blue/config/bootsplash-800x600.cfg": cfg, "Blue/config/bootsplash-1024x768.cfg": cfg, "Blue/images/a.jpg": "a",
		})
		files := map[string]string{"Blue/800x600.cfg": want, "Blue/1024x768.cfg": want, "Blue/images/a.jpg": "a", "default": "-> Blue"}
		if diff := cmp.Diff(files, made); diff != "" {
			t.Errorf("theme (-want +got):\n%s%s", diff, failure)
		}
	})
	t.Run("by path, with other configuration", func(t *testing.T) {
		cfg := "jpeg=/etc/bootsplash/themes/default/a.jpg\n"
		made, failure := makeTheme(t, "bootsplash", "sub/default", map[string]string{
			"sub/default/config/bootsplash-800x600.cfg": cfg, "sub/default/a.jpg": "a",
			"sub/default/config/other.cfg": "x=/etc/bootsplash/themes/default;y", "other/config/bootsplash-1x1.cfg": "",
		})
		files := map[string]string{"default/800x600.cfg": "jpeg=OUT/default/a.jpg\n", "default/a.jpg": "a", "default/config/other.cfg": "x=OUT/default;y"}
		if diff := cmp.Diff(files, made); diff != "" {
			t.Errorf("theme (-want +got):\n%s%s", diff, failure)
		}
	})
	t.Run("at the top", func(t *testing.T) {
		made, failure := makeTheme(t, "bootsplash", "", map[string]string{"config/bootsplash-1x1.cfg": "v=3\n"})
		files := map[string]string{"mine/1x1.cfg": "v=3\n", "mine/README": "", "default": "-> mine"}
		if diff := cmp.Diff(files, made); diff != "" {
			t.Errorf("theme (-want +got):\n%s%s", diff, failure)
		}
	})
}

const grubText = "# A theme.\r\ntitle-text: \"\"\nterminal-box: \"box_*.png\"\nterminal-font: \"Sans Regular 12\"\ndesktop-image: back.png  \n" + `
+ hbox { # Components may be in components.
	left = 10%
	+ image { file = "img/logo.jpg" }
	+ label { text = "two
lines" color = (1, 2, 3) font = "Sans Regular 12" }
}
+ boot_menu { item_font="Unifont Regular 16" selected_item_pixmap_style = "" }
`

func grubFiles(change map[string]string) map[string]string {
	files := map[string]string{
		"t/theme.txt": grubText, "t/back.png": "b", "t/box_nw.png": "nw", "t/img/logo.jpg": "-> ../../logo.jpg", "logo.jpg": "logo",
		"t/fonts/sans.pf2": pf2("Sans Regular 12"),
	}
	for name, content := range change {
		files[name] = content
	}
	return files
}

func TestGrubTheme(t *testing.T) {
	made, failure := makeTheme(t, "grub", "", grubFiles(nil))
	want := map[string]string{
		"theme.txt": grubText, "back.png": "b", "box_nw.png": "nw", "img/logo.jpg": "logo", "fonts/sans.pf2": pf2("Sans Regular 12"),
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("theme (-want +got):\n%s%s", diff, failure)
	}
}

func TestPlymouthTheme(t *testing.T) {
	spinner := "[Plymouth Theme]\nModuleName=two-step\n[two-step]\nImageDir=/usr/share/plymouth/themes//spinner\n"
	for _, test := range []struct {
		name, path string
		files      map[string]string
		want       map[string]string
	}{
		{
			"a package", "",
			map[string]string{
				"usr/share/plymouth/themes/old/old.plymouth":   "[Plymouth Theme]\r\nName=x\nModuleName = script\n[script]\nImageDir=/usr/share/plymouth/themes//old\nScriptFile = /usr/share/plymouth/themes/old/sub/old.script\n",
				"usr/share/plymouth/themes/old/sub/old.script": "Image(\"a.png\");",
			},
			map[string]string{
				"mine/mine.plymouth":  "[Plymouth Theme]\nName=x\nModuleName = script\n[script]\nImageDir=OUT/mine\nScriptFile=OUT/mine/sub/old.script\n",
				"mine/sub/old.script": "Image(\"a.png\");",
			},
		},
		{
			"an archive", "",
			map[string]string{
				"old-1.0/old.plymouth":   "[Plymouth Theme]\r\nModuleName = script\n[script]\nImageDir=/lib/plymouth/themes/old\nScriptFile = /usr/share/plymouth/themes/old-1.0/sub/old.script\n",
				"old-1.0/sub/old.script": "Image(\"a.png\");",
			},
			map[string]string{
				"mine/mine.plymouth":  "[Plymouth Theme]\nModuleName = script\n[script]\nImageDir=OUT/mine\nScriptFile=OUT/mine/sub/old.script\n",
				"mine/sub/old.script": "Image(\"a.png\");",
			},
		},
		{
			"with another's images", "themes/bgrt",
			map[string]string{"themes/bgrt/bgrt.plymouth": spinner, "themes/spinner/spinner.plymouth": spinner, "themes/spinner/a.png": "a"},
			map[string]string{"mine/mine.plymouth": strings.Replace(spinner, "/usr/share/plymouth/themes//spinner", "OUT/spinner", 1), "spinner/a.png": "a"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			made, failure := makeTheme(t, "plymouth", test.path, test.files)
			if diff := cmp.Diff(test.want, made); diff != "" {
				t.Errorf("theme (-want +got):\n%s%s", diff, failure)
			}
		})
	}
}

func TestThemeFaults(t *testing.T) {
	outside := t.TempDir()
	plymouth := func(text string) map[string]string { return map[string]string{"a/a.plymouth": text} }
	grub := func(text string) map[string]string { return grubFiles(map[string]string{"t/theme.txt": text}) }
	for _, test := range []struct {
		name, kind, path string
		files            map[string]string
		want             string
	}{
		{"no theme of bootsplash", "bootsplash", "", nil, "there is no config/bootsplash-RESOLUTION.cfg in the archive"},
		{"no theme.txt", "grub", "", nil, "there is no theme.txt in the archive"},
		{"no theme of plymouth", "plymouth", "", nil, "there is no file *.plymouth in the archive"},
		{"no folder", "grub", "x/y", nil, "there is no folder x/y in the archive"},
		{"no theme.txt there", "grub", "img", map[string]string{"img/a.png": "", "theme.txt": ""}, "the folder img has no theme.txt"},
		{
			"several", "grub", "",
			map[string]string{"b/theme.txt": "", "a/theme.txt": "", "theme.txt": ""},
			"there are several themes in the archive: ., a and b; say which by path",
		},
		{
			"a missing image of bootsplash", "bootsplash", "",
			map[string]string{"B/config/bootsplash-1x1.cfg": "version=3\njpeg=/etc/bootsplash/themes/B/images/a.jpg\n"},
			"B/config/bootsplash-1x1.cfg:2: /etc/bootsplash/themes/B/images/a.jpg is not in the archive",
		},
		{
			"a resolution twice", "bootsplash", "",
			map[string]string{"B/config/bootsplash-1x1.cfg": "", "B/1x1.cfg": ""},
			"there is both 1x1.cfg and config/bootsplash-1x1.cfg",
		},
		{"a missing background", "grub", "", grub("\ndesktop-image: \"none.png\"\n"), `theme.txt:2: desktop-image is "none.png", and there is no such file`},
		{"a missing image", "grub", "", grub("+ image {\n\n file = \"a.png\" }\n"), `theme.txt:3: file is "a.png", and there is no such file`},
		{"missing pixmaps", "grub", "", grub("+ boot_menu { item_pixmap_style = \"s_*.png\" }\n"), `theme.txt:1: item_pixmap_style is "s_*.png", and there is none of its files`},
		{"pixmaps of one", "grub", "", grub("terminal-box: \"back.png\"\n"), `terminal-box is "back.png"; want a * where`},
		{"two stars", "grub", "", grub("terminal-box: \"b_*_*.png\"\n"), `terminal-box is "b_*_*.png"; want one *, in the name of the file`},
		{"a star in a folder's name", "grub", "", grub("terminal-box: \"b_*/a.png\"\n"), `want one *, in the name of the file`},
		{"an image of another format", "grub", "", grub("desktop-image: \"theme.txt\"\n"), `desktop-image is "theme.txt"; GRUB shows .png, .jpg, .jpeg and .tga`},
		{"an image elsewhere", "grub", "", grub("desktop-image: \"/boot/a.png\"\n"), `desktop-image is "/boot/a.png", which is not in the theme`},
		{"an image above", "grub", "", grub("desktop-image: \"../logo.jpg\"\n"), `desktop-image is "../logo.jpg", which is not in the theme`},
		{
			"a missing font", "grub", "", grub("title-font: \"Serif 9\"\n"),
			`theme.txt:1: title-font is "Serif 9", and the theme has no such font; grub-mkfont makes a .pf2 of a font (it has Sans Regular 12)`,
		},
		{"no font", "grub", "", grubFiles(map[string]string{"t/fonts/sans.pf2": "TrueType"}), "fonts/sans.pf2 is not a font of GRUB"},
		{"an open quote", "grub", "", grub("\ntitle-text: \"a\n\n"), "theme.txt:2: a quote is open to the end"},
		{"an open component", "grub", "", grub("+ hbox { + label { }\n"), "theme.txt:2: a { is open to the end"},
		{"too many ends", "grub", "", grub("+ hbox { } }\n"), "theme.txt:1: there is a } too many"},
		{"no value", "grub", "", grub("+ image {\nfile }\n"), `theme.txt:2: there should be a "=" after file`},
		{"no name", "grub", "", grub("!\n"), `theme.txt:1: a name should be here, not "!"`},
		{"a huge theme.txt", "grub", "", grub(strings.Repeat("# \n", 90_000)), "theme.txt is larger than 256 KiB"},
		{"a link out of the archive", "grub", "", grubFiles(map[string]string{"t/more.png": "-> /etc/passwd"}), "t/more.png is a link to /etc/passwd, which is not in the archive"},
		{"a folder out of the archive", "grub", "", grubFiles(map[string]string{"t/more": "-> ../more", "more": "-> " + outside}), "t/more is a link to ../more, which is not in the archive"},
		{"no font", "grub", "", map[string]string{"t/theme.txt": `title-font: "Serif 9"`}, `theme.txt:1: title-font is "Serif 9", and the theme has no such font; grub-mkfont makes a .pf2 of a font (it has none)`},
		{"a dangling link", "grub", "", grubFiles(map[string]string{"t/more.png": "-> nowhere"}), "t/more.png is a link to nowhere, which is not in the archive"},
		{"no module", "plymouth", "", plymouth("[Plymouth Theme]\n"), "a.plymouth has no ModuleName"},
		{
			"a missing script", "plymouth", "", plymouth("ModuleName=script\nImageDir=/usr/share/plymouth/themes/a\nScriptFile=/usr/share/plymouth/themes/a/a.script\n"),
			"a.plymouth:3: ScriptFile is /usr/share/plymouth/themes/a/a.script, which is not in the archive",
		},
		{"images of another", "plymouth", "", plymouth("ModuleName=x\nImageDir=/usr/share/plymouth/themes/b\n"), "a.plymouth:2: ImageDir is /usr/share/plymouth/themes/b, which is not"},
		{"images elsewhere", "plymouth", "", plymouth("ModuleName=x\nImageDir=/usr/share/images\n"), "a.plymouth:2: ImageDir is /usr/share/images, which is not"},
		{"images above", "plymouth", "", plymouth("ModuleName=x\nImageDir=/usr/share/plymouth/themes/a/../../..\n"), "which is not in the archive"},
		{"a relative path", "plymouth", "", plymouth("ModuleName=x\nImageDir=images\n"), "a.plymouth:2: ImageDir is images, which is not in the archive"},
		{"two files", "plymouth", "", map[string]string{"a/a.plymouth": "", "a/b.plymouth": ""}, "the folder a has 2 files *.plymouth, and a theme has one"},
		{
			"another of its name", "plymouth", "a",
			map[string]string{"a/a.plymouth": "ModuleName=x\nImageDir=/usr/share/plymouth/themes/mine\n", "mine/x.png": ""},
			"it uses files of the theme mine, which is another; give this one another name",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			made, failure := makeTheme(t, test.kind, test.path, test.files)
			lines := strings.Split(strings.TrimSpace(failure), "\n")
			last := lines[len(lines)-1]
			if !strings.HasPrefix(last, "theme mine: ") || !strings.Contains(last, test.want) {
				t.Errorf("theme.sh says %q, want %q; made %v", failure, test.want, made)
			}
		})
	}
}
