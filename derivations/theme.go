package derivations

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nbuild/scripts"
)

// A ThemeSpec says what a boot theme is made of.
type ThemeSpec struct {
	Name    string
	Kind    string      // one of ThemeKinds
	Archive Input       // an archive, or a folder
	Format  string      // of the archive: "tar", "zip" or "deb"; empty for a folder
	Path    string      // the theme's folder in it; empty for the only one that looks like one
	Tools   *Derivation // ToolTree of ImageTools and what they depend on
}

// ThemeKinds returns the kinds of themes: those of bootsplash, the kernel's of 2009; of the boot loader GRUB; and of
// Plymouth, which draws while a system starts.
func ThemeKinds() []string { return []string{"bootsplash", "grub", "plymouth"} }

// Theme returns the derivation of a boot theme: its files, with the paths in them those of where it is in the store, and
// everything that they name being there. By kind, it has
//
//   - bootsplash: THEME/RESOLUTION.cfg, and a link, default, to THEME;
//   - grub: theme.txt, and anywhere beside it the fonts, *.pf2;
//   - plymouth: NAME/NAME.plymouth, where NAME is that of the spec.
//
// The error has all faults of the spec, a line each, which begins with what it is about: "kind" or "path".
func Theme(spec ThemeSpec) (*Derivation, error) {
	if err := spec.validate(); err != nil {
		return nil, err
	}
	archive := spec.Archive
	if spec.Format != "" {
		unpacked := Spec{
			Name: "theme-archive", Builder: "unpack", Args: []string{spec.Format},
			Env:    map[string]string{"max_size": strconv.Itoa(maxTheme)},
			Inputs: map[string]Input{"src": archive},
		}
		if spec.Format == "deb" {
			unpacked.Outputs = []string{"control", "out", "owners"}
		}
		drv, err := New(unpacked)
		if err != nil {
			return nil, err
		}
		archive = drv.OutputReference("out")
	}
	return New(Spec{
		Name: spec.Name, Builder: "sandbox", Args: shell(),
		Env:    map[string]string{themeKind: spec.Kind, "name": spec.Name, "path": spec.Path},
		Inputs: map[string]Input{"root": {Derivation: spec.Tools}, "archive": archive},
		Files:  map[string]string{"script": scripts.Theme(), "grub-theme.awk": scripts.GrubTheme()},
	})
}

// ThemeKind returns the kind of theme that Theme made d for, or "" when it didn't make it.
func ThemeKind(d *Derivation) string {
	if d.spec.Files["script"] != scripts.Theme() {
		return ""
	}
	return d.spec.Env[themeKind]
}

// maxTheme is how many bytes a theme's archive may unpack to: ten times what the largest themes have. A theme is often taken
// from somewhere, unlike the packages of the archive, so it gets less room on the disk than they.
const maxTheme = 1 << 30

// themeKind is the variable that has the kind of a theme.
const themeKind = "kind"

func (spec *ThemeSpec) validate() error {
	var faults []string
	if !slices.Contains(ThemeKinds(), spec.Kind) {
		faults = append(faults, fmt.Sprintf("kind is %q: want %s", spec.Kind, orList(ThemeKinds())))
	}
	if spec.Path != "" && (!isPlainPath("/"+spec.Path) || strings.ContainsFunc(spec.Path, isControl)) {
		faults = append(faults, fmt.Sprintf("path is %q: want the plain path of a folder in the archive, without \".\" and \"..\"", spec.Path))
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s", strings.Join(faults, "\n"))
	}
	return nil
}
