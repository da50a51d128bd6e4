//go:build e2e

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everyKind follows webProject in a project that has each kind of what a system becomes.
const everyKind = `
_starfield = [p for p in debian("trixie").packages(["grub-theme-starfield"]) if p.name.startswith("grub-theme-starfield-")][0]
starfield = theme("starfield", archive = _starfield, kind = "grub")
themed = system("themed", modules = [{"theme.grub": starfield}])
release = squashfs("release.squashfs", contents = [web], profile = "release")
packed = iso("packed", contents = {"/web.squashfs": release}, store_contents = {"/greet": greet}, compress = True)
`

// kinds are the targets of everyKind.
func kinds() []string {
	return []string{"web", "web.vm", "web.vm_with_bootloader", "web.squashfs", "web.iso", "release", "packed", "starfield", "themed.iso"}
}

// TestReproducible builds everything in two stores: at places of different length, as two users, with one job and with
// two, which divides the processors in other ways, with other masks of modes, and in one of them without hard links
// between identical files. All store paths are the same, and so are all bytes.
func TestReproducible(t *testing.T) {
	t.Parallel()
	requireRoot(t, "that two users build the same bytes")
	k := newKey(t)
	lock := ""
	var made [2]map[string]string
	for i, u := range []user{{name: "root"}, nobody} {
		p := newPlace(t, u)
		p.home = filepath.Join(p.home, strings.Repeat("deeper/", i))
		p.write("nbuild.star", webProject("same", k)+everyKind)
		if lock != "" {
			p.write("nbuild.lock", lock)
		}
		p.umask = []string{"022", "077"}[i]
		jobs := []string{"2", "1"}[i]
		if i == 1 {
			p.nbuild("web", "-j", jobs)
			if countLinked(t, p, true) == 0 {
				t.Error("no file of the store is there twice")
			}
		}
		made[i] = buildKinds(t, p, jobs)
		lock = readProject(t, p, "nbuild.lock")
	}
	if diff := cmp.Diff(made[0], made[1]); diff != "" {
		t.Errorf("store paths and digests (-root, two jobs +other user, one job, no hard links):\n%s", diff)
	}
}

// buildKinds builds all kinds and returns the store path of each, and the digests of the files of their images.
func buildKinds(t *testing.T, p *place, jobs string) map[string]string {
	t.Helper()
	p.nbuild(append([]string{"-j", jobs}, kinds()...)...)
	made := map[string]string{}
	for i, name := range kinds() {
		link := "result"
		if i > 0 {
			link = fmt.Sprintf("result-%d", i+1)
		}
		made[name] = string(p.storePath(link))
		object := filepath.Join(p.store(), "objects", filepath.Base(made[name]))
		err := filepath.WalkDir(object, func(file string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			made[name+strings.TrimPrefix(file, object)+" has"], err = sum(file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// sum returns the SHA-256 of a file, which is not the digest that the store names it by.
func sum(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return fmt.Sprintf("%x", h.Sum(nil)), err
}
