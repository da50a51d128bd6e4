package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
)

const twoThemes = `
menu = theme("menu", archive = fetch("https://example.org/menu-1.tar.bz2", digest = "sha256:" + "0" * 64), kind = "grub", path = "menu/")
splash = theme(name = "dark", archive = text_file("unpacked", ""), kind = "plymouth")
`

func TestTheme(t *testing.T) {
	r := evaluate(t, map[string]string{"nbuild.star": twoThemes})
	for _, test := range []struct{ target, name, kind, path, archive, format string }{
		{"menu", "menu", "grub", "menu", "theme-archive", "tar"},
		{"splash", "dark", "plymouth", "", "unpacked", ""},
		{"menu.theme", "menu", "grub", "menu", "theme-archive", "tar"},
	} {
		theme := target(t, r, test.target)
		if theme.Kind != config.KindTheme || theme.Derivation.Name() != test.name {
			t.Errorf("%s is the %s %s", test.target, theme.Kind, theme.Derivation.Name())
		}
		got := []string{option(t, theme, "kind"), option(t, theme, "path")}
		if diff := cmp.Diff([]string{test.kind, test.path}, got); diff != "" {
			t.Errorf("kind and path of %s (-want +got):\n%s", test.target, diff)
		}
		archive := theme.Derivation.Inputs()["archive"].Derivation
		if archive.Name() != test.archive {
			t.Errorf("the archive of %s is %s, want %s", test.target, archive.Name(), test.archive)
		}
		if action, err := archive.Resolve(anyPath); err != nil || test.format != "" && action.Args()[0] != test.format {
			t.Errorf("the archive of %s is unpacked as %q, %v; want %q", test.target, action.Args(), err, test.format)
		}
	}
}

// TestOwnAttribute: "theme" is the only theme there is, and each theme and image is its own attribute.
func TestOwnAttribute(t *testing.T) {
	for _, test := range []struct{ name, file, target, want string }{
		{"one", "a = theme('x', archive = text_file('a', ''), kind = 'grub')\nb = text_file('b', '')\n", "theme", ""},
		{"one of two", "a = theme('x', archive = text_file('a', ''), kind = 'grub')\nb = theme('y', archive = a, kind = 'grub')\n", "a.theme", ""},
		{
			"none", "a = text_file('a', '')\n", "theme",
			`there is no target "theme", because the project declares no theme; declare one: menu = theme("menu", archive = source("menu.tar.gz"), kind = "grub")`,
		},
		{"two", twoThemes, "theme", `"theme" could be any of 2 themes; name one: menu, splash`},
		{"an ISO", "a = iso('x', contents = {'/a': text_file('a', '')})\n", "a.iso", ""},
		{"an image", "a = squashfs('x', contents = [text_file('a', '')])\n", "a.squashfs", ""},
		{"an image of another kind", "a = squashfs('x', contents = [text_file('a', '')])\n", "a.iso", `the target "a" has no "iso"; it has squashfs, which is itself`},
		{"another kind", "a = text_file('a', '')\n", "a.theme", `the target "a" has no "theme"; it has out`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := evaluate(t, map[string]string{"nbuild.star": test.file}).Lookup(test.target)
			if test.want == "" {
				if err != nil || got.Name != "a" {
					t.Errorf("Lookup = %s, %v; want a", got.Name, err)
				}
				return
			}
			if err == nil || err.Error() != test.want {
				t.Errorf("Lookup: %v, want %s", err, test.want)
			}
		})
	}
}

func TestThemeFaults(t *testing.T) {
	for _, test := range []struct{ name, call, want string }{
		{"nothing at all", `theme()`, "nbuild.star:1:5: theme needs the argument archive\nnbuild.star:1:5: theme needs the argument kind\nnbuild.star:1:5: theme needs the argument name"},
		{"kind", `theme("x", archive = text_file("a", ""), kind = "grup")`, `nbuild.star:1:46: kind is "grup": want bootsplash, grub or plymouth; did you mean "grub"?`},
		{"archive", `theme("x", archive = "a.zip", kind = "grub")`, `nbuild.star:1:16: archive of theme: want a derivation or a source, got the string "a.zip"; a file of the project is source("its path")`},
		{
			"path", `theme("x", archive = text_file("a", ""), kind = "grub", path = "../a")`,
			`nbuild.star:1:61: path is "../a": want the plain path of a folder in the archive, without "." and ".."`,
		},
		{"what is wrong already", `theme("x", archive = text_file("a"), kind = "grub")`, "nbuild.star:1:26: text_file needs the argument content"},
		{
			"a system with the wrong kind", `system("web", modules = [{"theme.plymouth": theme("m", archive = text_file("a", ""), kind = "grub")}])`,
			`nbuild.star:1:31: option theme.plymouth: m is a theme of the kind "grub"`,
		},
		{
			"a system with a name", `system("web", modules = [{"theme.grub": "grub-theme-starfield"}])`,
			`nbuild.star:1:31: option theme.grub: "grub-theme-starfield" is the name of a package: want a derivation, that of theme(kind = "grub")`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Evaluate(t.Context(), project(t, map[string]string{"nbuild.star": "x = " + test.call + "\n"}))
			if err == nil {
				t.Fatal("it is taken")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
