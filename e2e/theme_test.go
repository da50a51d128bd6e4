//go:build e2e

package e2e

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// themesProject makes themes of each kind of what people have: packages, and an archive as themes had in 2009.
const themesProject = `
_debian = debian("trixie")

def _package(name):
    return [p for p in _debian.packages([name]) if p.name.startswith(name + "-")][0]

_plymouth = _package("plymouth-themes")
_folder = "usr/share/plymouth/themes/"

starfield = theme("starfield", archive = _package("grub-theme-starfield"), kind = "grub")
solar = theme("splash", archive = _plymouth, kind = "plymouth", path = _folder + "solar")
bgrt = theme("bgrt", archive = _plymouth, kind = "plymouth", path = _folder + "bgrt")
ceratopsian = theme("ceratopsian", archive = _package("desktop-base"), kind = "plymouth", path = _folder + "ceratopsian")
blue = theme("blue", archive = source("blue.zip"), kind = "bootsplash")
`

// themes are the targets of themesProject, with a file of each that has paths.
func themes() map[string]string {
	return map[string]string{
		"starfield": "", "solar": "splash/splash.plymouth", "bgrt": "bgrt/bgrt.plymouth",
		"ceratopsian": "ceratopsian/ceratopsian.plymouth", "blue": "Blue/800x600.cfg",
	}
}

// zipped returns a zip archive of texts by name.
func zipped(t *testing.T, texts map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range texts {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// newThemes makes a place with themesProject.
func newThemes(t *testing.T, u user) *place {
	t.Helper()
	p := newPlace(t, u)
	p.write("nbuild.star", themesProject)
	p.write("blue.zip", zipped(t, map[string]string{
		"Blue/config/bootsplash-800x600.cfg": "version=3\njpeg=/etc/bootsplash/themes/Blue/images/a.jpg\nsilentjpeg=/etc/bootsplash/themes/default/images/a.jpg\n",
		"Blue/images/a.jpg":                  "an image",
	}))
	return p
}

// TestThemesAreReproducible makes themes, which name themselves, at two places and as two users.
func TestThemesAreReproducible(t *testing.T) {
	requireRoot(t, "that two users make the same themes")
	var paths [2]map[string]string
	lock := ""
	archive := ""
	for i, u := range []user{{name: "root"}, nobody} {
		p := newThemes(t, u)
		p.home = filepath.Join(p.home, strings.Repeat("deeper/", i))
		if lock != "" {
			p.write("nbuild.lock", lock)
			p.write("blue.zip", archive)
		}
		old := syscall.Umask([]int{0o022, 0o077}[i])
		paths[i] = map[string]string{}
		for name, file := range themes() {
			p.nbuild("theme", name, "-o", name, "-j", []string{"1", "4"}[i])
			own := string(p.storePath(name))
			paths[i][name] = own
			if file != "" {
				checkThemeIsWhole(t, p, own, name, file)
			}
		}
		syscall.Umask(old)
		lock, archive = readProject(t, p, "nbuild.lock"), readProject(t, p, "blue.zip")
	}
	if diff := cmp.Diff(paths[0], paths[1]); diff != "" {
		t.Errorf("themes (-root, one job +other user, four jobs):\n%s", diff)
	}
}

func readProject(t *testing.T, p *place, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkThemeIsWhole looks whether all paths in a file of a theme are its own, and there.
func checkThemeIsWhole(t *testing.T, p *place, own, link, file string) {
	t.Helper()
	text := readProject(t, p, filepath.Join(link, file))
	paths := regexp.MustCompile(`(?m)=(/.*)$`).FindAllStringSubmatch(text, -1)
	if len(paths) == 0 {
		t.Errorf("%s of %s has no path", file, link)
	}
	for _, match := range paths {
		inside, isOwn := strings.CutPrefix(match[1], own+"/")
		if !isOwn {
			t.Errorf("%s of %s names %s, want a path in %s", file, link, match[1], own)
			continue
		}
		if _, err := os.Stat(filepath.Join(p.dir, link, inside)); err != nil {
			t.Errorf("%s of %s names %s: %v", file, link, match[1], err)
		}
	}
}

// TestGrubThemeIsTaken compares a theme of GRUB with the package it is from.
func TestGrubThemeIsTaken(t *testing.T) {
	p := newThemes(t, user{name: "this user"})
	p.write("nbuild.star", themesProject+"package = _package(\"grub-theme-starfield\")\n")
	p.nbuild("starfield", "-o", "theme")
	p.nbuild("package", "-o", "package")
	want := regularFiles(t, filepath.Join(p.dir, "package/usr/share/grub/themes/starfield"))
	if diff := cmp.Diff(want, regularFiles(t, filepath.Join(p.dir, "theme"))); diff != "" || len(want) < 20 {
		t.Errorf("theme of %d files (-package +theme):\n%s", len(want), diff)
	}
}

// regularFiles returns the files in a folder with their contents.
func regularFiles(t *testing.T, folder string) map[string]string {
	t.Helper()
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	err = fs.WalkDir(os.DirFS(folder), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(folder, name))
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestThemeFails makes themes of what is none, or hostile.
func TestThemeFails(t *testing.T) {
	p := newPlace(t, user{name: "this user"})
	p.write("missing.zip", zipped(t, map[string]string{"t/theme.txt": "title-text: \"x\"\ndesktop-image: \"none.png\"\n"}))
	p.write("none.zip", zipped(t, map[string]string{"t/readme": ""}))
	p.write("evil.zip", zipped(t, map[string]string{"../evil": ""}))
	p.write("bomb.zip", zipped(t, map[string]string{"theme.txt": strings.Repeat("\x00", 80<<20)}))
	p.write("nbuild.star", `
missing = theme("missing", archive = source("missing.zip"), kind = "grub")
none = theme("none", archive = source("none.zip"), kind = "grub")
evil = theme("evil", archive = source("evil.zip"), kind = "grub")
bomb = theme("bomb", archive = source("bomb.zip"), kind = "grub")
`)
	for name, want := range map[string]string{
		"missing": `theme missing: theme.txt:2: desktop-image is "none.png", and there is no such file`,
		"none":    "theme none: there is no theme.txt in the archive",
		"evil":    "unpack evil.zip: entry ../evil: the name leads out of the tree",
		"bomb":    "it looks like a bomb",
	} {
		if _, stderr, err := p.try("theme", name); err == nil || !strings.Contains(stderr, want) {
			t.Errorf("nbuild theme %s: %v, %s; want %q", name, err, stderr, want)
		}
		if _, err := os.Lstat(filepath.Join(p.dir, "result")); err == nil {
			t.Errorf("nbuild theme %s left a result", name)
		}
	}
}
