//go:build e2e

package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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

// tarred returns a tar archive of empty entries.
func tarred(t *testing.T, entries ...*tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, entry := range entries {
		if err := w.WriteHeader(entry); err != nil {
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
	t.Parallel()
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
		p.umask = []string{"022", "077"}[i]
		paths[i] = map[string]string{}
		for name, file := range themes() {
			p.nbuild("theme", name, "-o", name, "-j", []string{"1", "4"}[i])
			own := string(p.storePath(name))
			paths[i][name] = own
			if file != "" {
				checkThemeIsWhole(t, p, own, name, file)
			}
		}
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
	t.Parallel()
	p := newThemes(t, user{name: "this user"})
	p.write("nbuild.star", themesProject+"package = _package(\"grub-theme-starfield\")\n")
	p.nbuild("starfield", "-o", "theme")
	p.nbuild("package", "-o", "package")
	want := contentsOf(t, filepath.Join(p.dir, "package/usr/share/grub/themes/starfield"))
	if diff := cmp.Diff(want, contentsOf(t, filepath.Join(p.dir, "theme"))); diff != "" || len(want) < 20 {
		t.Errorf("theme of %d files (-package +theme):\n%s", len(want), diff)
	}
}

// contentsOf returns the files in a folder with their contents, and the links with what they lead to.
func contentsOf(t *testing.T, folder string) map[string]string {
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
		if d.Type() == fs.ModeSymlink {
			target, err := os.Readlink(filepath.Join(folder, name))
			files[name] = "link to " + target
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

// archivesProject has a theme of 2009, as a folder, and of each archive that themes are in. The archives are made by the
// programs that people make them with.
const archivesProject = `
_tar = debian("trixie").tree(["bash", "bzip2", "coreutils", "gzip", "tar", "xz-utils", "zip", "zstd"])

def _archive(name, command):
    return derivation(name, tools = _tar, inputs = {"blue": source("blue")}, script = "cd $blue/..; cp -RL $blue /build/Blue; cd /build; " + command)

def _theme(archive):
    return theme("blue", archive = archive, kind = "bootsplash")

folder = _theme(derivation("folder", inputs = {"blue": source("blue")}, script = "mkdir $out; cp -RL $blue $out/Blue"))
tar = _theme(_archive("blue.tar", "tar -cf $out Blue"))
bz2 = _theme(_archive("blue.tar.bz2", "tar -cjf $out Blue"))
gz = _theme(_archive("blue.tar.gz", "tar -czf $out Blue"))
xz = _theme(_archive("blue.tar.xz", "tar -cJf $out Blue"))
zst = _theme(_archive("blue.tar.zst", "tar --zstd -cf $out Blue"))
zip = _theme(_archive("blue.zip", "zip -qr $out.zip Blue; mv $out.zip $out"))
`

// TestBootsplashTheme makes a theme of the layout of 2009 of each kind of archive and looks at what unpacking one did then.
func TestBootsplashTheme(t *testing.T) {
	t.Parallel()
	p := newProject(t, user{name: "this user"})
	p.write("nbuild.star", archivesProject)
	cfg := func(jpeg string) string {
		return "version=3\n# of /etc/bootsplash/themes/Blue\nstate=1\njpeg=/etc/bootsplash/themes/Blue/images/" + jpeg +
			"\nsilentjpeg=/etc/bootsplash/themes/default/images/silent.jpg\n"
	}
	for name, text := range map[string]string{
		"config/bootsplash-800x600.cfg": cfg("small.jpg"), "config/bootsplash-1024x768.cfg": cfg("large.jpg"),
		"config/common.cfg": "overpaintok=1\ntheme=/etc/bootsplash/themes/Blue\n",
		"images/small.jpg":  "small", "images/large.jpg": "large", "images/silent.jpg": "silent", "README": "of 2009",
	} {
		file := filepath.Join(p.dir, "blue", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	var themes []string
	for _, target := range []string{"folder", "tar", "bz2", "gz", "xz", "zst", "zip"} {
		p.nbuild("theme", target, "-o", target+".theme")
		themes = append(themes, target+" "+string(p.storePath(target+".theme")))
	}
	own := string(p.storePath("folder.theme"))
	for _, theme := range themes {
		if !strings.HasSuffix(theme, " "+own) {
			t.Errorf("not all archives make the same theme:\n%s", strings.Join(themes, "\n"))
			break
		}
	}
	want := map[string]string{
		"Blue/800x600.cfg":       strings.ReplaceAll(cfg("small.jpg"), "/etc/bootsplash/themes", own),
		"Blue/1024x768.cfg":      strings.ReplaceAll(cfg("large.jpg"), "/etc/bootsplash/themes", own),
		"Blue/config/common.cfg": "overpaintok=1\ntheme=" + own + "/Blue\n",
		"Blue/images/small.jpg":  "small", "Blue/images/large.jpg": "large", "Blue/images/silent.jpg": "silent", "Blue/README": "of 2009",
		"default": "link to Blue",
	}
	if diff := cmp.Diff(want, contentsOf(t, filepath.Join(p.dir, "folder.theme"))); diff != "" {
		t.Errorf("the theme (-want +got):\n%s", diff)
	}
	// It refers to itself: its closure is itself, and a store that takes it over takes what names it.
	if closure := p.storeClosure(t, "folder"); strings.TrimSpace(closure) != filepath.Base(own) {
		t.Errorf("the closure of the theme is %q, want itself", closure)
	}
	p.nbuild("store", "verify")
}

// TestThemeFails makes themes of what is none, or hostile.
func TestThemeFails(t *testing.T) {
	t.Parallel()
	p := newProject(t, user{name: "this user"})
	p.write("missing.zip", zipped(t, map[string]string{"t/theme.txt": "title-text: \"x\"\ndesktop-image: \"none.png\"\n"}))
	p.write("none.zip", zipped(t, map[string]string{"t/readme": ""}))
	p.write("evil.zip", zipped(t, map[string]string{"../evil": ""}))
	p.write("evil.tar", tarred(t, &tar.Header{Name: "t/out", Linkname: "../../..", Typeflag: tar.TypeSymlink}, &tar.Header{Name: "t/out/evil", Typeflag: tar.TypeReg}))
	p.write("absolute.tar", tarred(t, &tar.Header{Name: "/etc/evil", Typeflag: tar.TypeReg}))
	p.write("device.tar", tarred(t, &tar.Header{Name: "t/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}))
	p.write("gone.zip", zipped(t, map[string]string{"B/config/bootsplash-1x1.cfg": "version=3\njpeg=/etc/bootsplash/themes/B/images/none.jpg\n"}))
	p.write("bomb.zip", zipped(t, map[string]string{"theme.txt": strings.Repeat("\x00", 80<<20)}))
	p.write("nbuild.star", `
missing = theme("missing", archive = source("missing.zip"), kind = "grub")
none = theme("none", archive = source("none.zip"), kind = "grub")
evil = theme("evil", archive = source("evil.zip"), kind = "grub")
bomb = theme("bomb", archive = source("bomb.zip"), kind = "grub")
through = theme("through", archive = source("evil.tar"), kind = "grub")
absolute = theme("absolute", archive = source("absolute.tar"), kind = "grub")
device = theme("device", archive = source("device.tar"), kind = "grub")
gone = theme("gone", archive = source("gone.zip"), kind = "bootsplash")
`)
	for name, want := range map[string]string{
		"missing":  `theme missing: theme.txt:2: desktop-image is "none.png", and there is no such file`,
		"none":     "theme none: there is no theme.txt in the archive",
		"evil":     "unpack evil.zip: entry ../evil: the name leads out of the tree",
		"bomb":     "it looks like a bomb",
		"through":  "unpack evil.tar: entry t/out",
		"absolute": "unpack absolute.tar: entry /etc/evil",
		"device":   "unpack device.tar: entry t/null",
		"gone":     "theme gone: B/config/bootsplash-1x1.cfg:2: /etc/bootsplash/themes/B/images/none.jpg is not in the archive",
	} {
		if _, stderr, err := p.try("theme", name); err == nil || !strings.Contains(stderr, want) {
			t.Errorf("nbuild theme %s: %v, %s; want %q", name, err, stderr, want)
		}
		if _, err := os.Lstat(filepath.Join(p.dir, "result")); err == nil {
			t.Errorf("nbuild theme %s left a result", name)
		}
	}
}
