package derivations

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testTheme returns the spec of a theme of a folder, as change makes it.
func testTheme(t *testing.T, change func(*ThemeSpec)) ThemeSpec {
	t.Helper()
	var p Packages
	tools, err := p.ToolTree("image-tools", testPackages("coreutils"))
	if err != nil {
		t.Fatal(err)
	}
	spec := ThemeSpec{Name: "menu", Kind: "grub", Archive: Input{Derivation: MustNew(Spec{Name: "a", Builder: "text"})}, Tools: tools}
	if change != nil {
		change(&spec)
	}
	return spec
}

func TestTheme(t *testing.T) {
	for _, test := range []struct {
		format, archive, output string // what the input archive is an output of
	}{
		{"", "a", ""},
		{"tar", "theme-archive", "out"},
		{"zip", "theme-archive", "out"},
		{"deb", "theme-archive", "out"},
	} {
		t.Run("format "+test.format, func(t *testing.T) {
			drv, err := Theme(testTheme(t, func(s *ThemeSpec) { s.Format, s.Path = test.format, "usr/share" }))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"kind": "grub", "name": "menu", "path": "usr/share"}
			if diff := cmp.Diff(want, drv.spec.Env); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
			in := drv.Inputs()["archive"]
			if in.Derivation.Name() != test.archive || test.format != "" && in.Output != test.output {
				t.Errorf("the archive is the output %q of %s, want %q of %s", in.Output, in.Derivation.Name(), test.output, test.archive)
			}
			if test.format == "" {
				return
			}
			if diff := cmp.Diff([]string{test.format}, in.Derivation.spec.Args); diff != "" {
				t.Errorf("format (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"max_size": "1073741824"}, in.Derivation.spec.Env); diff != "" {
				t.Errorf("limits of the archive (-want +got):\n%s", diff)
			}
		})
	}
}

func TestThemeFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*ThemeSpec)
		want   string
	}{
		{"kind", func(s *ThemeSpec) { s.Kind = "lilo" }, `kind is "lilo": want bootsplash, grub or plymouth`},
		{"path above", func(s *ThemeSpec) { s.Path = "../x" }, `path is "../x": want the plain path of a folder in the archive, without "." and ".."`},
		{"absolute path", func(s *ThemeSpec) { s.Path = "/x" }, `path is "/x": want the plain path of a folder in the archive, without "." and ".."`},
		{"path of two lines", func(s *ThemeSpec) { s.Path = "x\ny" }, `path is "x\ny": want the plain path of a folder in the archive, without "." and ".."`},
		{
			"both", func(s *ThemeSpec) { s.Kind, s.Path = "", "." },
			"kind is \"\": want bootsplash, grub or plymouth\npath is \".\": want the plain path of a folder in the archive, without \".\" and \"..\"",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			drv, err := Theme(testTheme(t, test.change))
			if got := fmt.Sprint(err); got != test.want || drv != nil {
				t.Errorf("Theme = %v, %q; want the error %q", drv, got, test.want)
			}
		})
	}
}

func TestThemeKind(t *testing.T) {
	for _, kind := range ThemeKinds() {
		drv, err := Theme(testTheme(t, func(s *ThemeSpec) { s.Kind = kind }))
		if err != nil {
			t.Fatal(err)
		}
		if got := ThemeKind(drv); got != kind {
			t.Errorf("ThemeKind of a theme of %s is %q", kind, got)
		}
	}
	if got := ThemeKind(MustNew(Spec{Name: "a", Builder: "sandbox", Args: []string{"x"}, Env: map[string]string{"kind": "grub"}})); got != "" {
		t.Errorf("ThemeKind of what is no theme is %q", got)
	}
}
