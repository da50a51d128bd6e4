//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nbuild/internal/fsx"
)

// squashfsProject has images of each kind, with the same files in two objects, and what a program that is none of ours
// says is in one of them.
const squashfsProject = `
_tools = debian("trixie").tree(["bash", "coreutils", "squashfs-tools"])
_bash = [p for p in debian("trixie").packages(["bash"]) if p.name.startswith("bash-")][0]
_again = tree("again", inputs = [_bash], files = {"note": "see %s\n" % _bash})
_link = symlink("link", "/nowhere")
dev = squashfs("dev.squashfs", contents = [_again, _link])
release = squashfs("release.squashfs", contents = [_again, _link], profile = "release")
lz4 = squashfs("lz4.squashfs", contents = [_again, _link], compression = "lz4")
xz = squashfs("xz.squashfs", contents = [_again, _link], compression = "xz", block_size = 1024)
none = squashfs("none.squashfs", contents = [_again, _link], compression = "none")
base = squashfs("base.squashfs", contents = [_bash])
rest = squashfs("rest.squashfs", contents = [_again, _link], without = [_bash])
inputs = tree("inputs", files = {"note": "%s %s" % (_again, _link)})
listing = derivation("listing", tools = _tools, inputs = {"image": dev}, script = "unsquashfs -lln -full -UTC -d '' $image >$out")
small = squashfs("small.squashfs", contents = [_again], max_size = 1)
`

// images are the targets of squashfsProject that are images.
func images() []string { return []string{"dev", "release", "lz4", "xz", "none", "base", "rest"} }

// TestSquashfsIsReproducible builds images at two places, as two users, with one processor and two, and of stores with and
// without hard links between identical files.
func TestSquashfsIsReproducible(t *testing.T) {
	t.Parallel()
	requireRoot(t, "that two users make the same images")
	var paths [2][]string
	lock := ""
	for i, u := range []user{{name: "root"}, nobody} {
		p := newPlace(t, u)
		p.home = filepath.Join(p.home, strings.Repeat("deeper/", i))
		p.write("nbuild.star", squashfsProject)
		if lock != "" {
			p.write("nbuild.lock", lock)
		}
		p.umask = []string{"022", "077"}[i]
		p.nbuild("inputs")
		linked := countLinked(t, p, i == 1)
		if linked == 0 {
			t.Fatal("no file of the store is there twice")
		}
		// One job gets all processors, more jobs share them.
		p.nbuild(append([]string{"--no-link", "--print-out-paths", "-j", []string{"1", "8"}[i]}, images()...)...)
		for _, name := range images() {
			p.nbuild(name, "-o", name)
			paths[i] = append(paths[i], string(p.storePath(name)))
		}
		text, err := os.ReadFile(filepath.Join(p.dir, "nbuild.lock"))
		if err != nil {
			t.Fatal(err)
		}
		lock = string(text)
	}
	if diff := cmp.Diff(paths[0], paths[1]); diff != "" {
		t.Errorf("images (-root, one job +other user, eight jobs, no hard links):\n%s", diff)
	}
}

// countLinked counts the files of the store's objects that are hard links to others, and makes them files of their own
// if it is told to.
func countLinked(t *testing.T, p *place, separate bool) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(p.store(), "objects"), func(file string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		// One of its names is that in the pool.
		if err != nil || info.Sys().(*syscall.Stat_t).Nlink <= 2 {
			return err
		}
		if n++; separate {
			return separateFile(file, info)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// separateFile replaces a file by a copy with the same properties, and leaves its folder as it was.
func separateFile(file string, info fs.FileInfo) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	folder, err := os.Stat(filepath.Dir(file))
	if err != nil {
		return err
	}
	temporary := file + ".separate"
	stat := info.Sys().(*syscall.Stat_t)
	return errors.Join(
		os.WriteFile(temporary, content, 0o600),
		os.Chown(temporary, int(stat.Uid), int(stat.Gid)),
		os.Chmod(temporary, info.Mode()),
		os.Chtimes(temporary, time.Time{}, info.ModTime()),
		os.Rename(temporary, file),
		os.Chtimes(filepath.Dir(file), time.Time{}, folder.ModTime()),
	)
}

// listed is a line of unsquashfs: mode, owner, size, day, time, and path.
var listed = regexp.MustCompile(`^([-dl][-rwxst]{9}) (\S+) +\d+ (\S+ \S+) (/.*)$`)

// TestSquashfsHoldsWhatIsDeclared looks at an image with unsquashfs: everything is root's, with the modes of the store.
func TestSquashfsHoldsWhatIsDeclared(t *testing.T) {
	t.Parallel()
	p := newProject(t, user{name: "this user"})
	p.write("nbuild.star", squashfsProject)
	p.nbuild("inputs")
	closure := strings.Fields(p.storeClosure(t, "inputs"))
	p.nbuild("listing")
	text, err := os.ReadFile(filepath.Join(p.dir, "result"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(strings.TrimSpace(string(text))) {
		m := listed.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue // the root itself, which has no name
		}
		if m[2] != "0/0" || m[3] != "1970-01-01 00:00:01" {
			t.Errorf("owner or time: %s", line)
		}
		path, _, _ := strings.Cut(m[4], " -> ")
		got[path] = m[1]
	}
	want := map[string]string{"/nbuild": "drwxr-xr-x", "/nbuild/store": "drwxr-xr-x", "/nbuild/registration": "-r--r--r--"}
	for _, path := range closure {
		if !strings.HasSuffix(path, "-inputs") {
			addModes(t, want, filepath.Join(p.store(), "objects", path), "/nbuild/store/"+path)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes of what is in the image (-want +got):\n%s", diff)
	}
}

// addModes adds the modes that an object has in the store, by the path that it has in an image.
func addModes(t *testing.T, modes map[string]string, file, path string) {
	t.Helper()
	err := filepath.WalkDir(file, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := map[fs.FileMode]string{0: "-r--r--r--", fs.ModeDir: "dr-xr-xr-x", fs.ModeSymlink: "lrwxrwxrwx"}[e.Type()]
		if info, err := e.Info(); err != nil {
			return err
		} else if e.Type() == 0 && info.Mode()&0o100 != 0 {
			mode = "-r-xr-xr-x"
		}
		modes[path+strings.TrimPrefix(name, file)] = mode
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSquashfsIsMounted has the kernel mount images of each kind, and finds in them what the store has.
func TestSquashfsIsMounted(t *testing.T) {
	t.Parallel()
	requireRoot(t, "that the kernel reads the images")
	p := newProject(t, user{name: "this user"})
	p.write("nbuild.star", squashfsProject)
	p.nbuild("inputs")
	closure := strings.Fields(p.storeClosure(t, "inputs"))
	for _, name := range images()[:5] {
		t.Run(name, func(t *testing.T) {
			p.nbuild(name)
			mounted := mountImage(t, filepath.Join(p.dir, "result"))
			for _, path := range closure {
				if strings.HasSuffix(path, "-inputs") {
					continue
				}
				want, got := map[string]string{}, map[string]string{}
				addContents(t, want, filepath.Join(p.store(), "objects", path))
				addContents(t, got, filepath.Join(mounted, "nbuild/store", path))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-store +image):\n%.2000s", path, diff)
				}
			}
		})
	}
}

// mountImage mounts an image until the test's end.
func mountImage(t *testing.T, image string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "squashfs", "-o", "loop,ro", image, dir).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: that the kernel reads the images, because it can't mount here: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return dir
}

// addContents adds what is at file, by its path below that.
func addContents(t *testing.T, contents map[string]string, file string) {
	t.Helper()
	err := filepath.WalkDir(file, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		what := e.Type().String()
		switch e.Type() {
		case 0:
			b, err := os.ReadFile(name)
			contents[strings.TrimPrefix(name, file)] = what + string(b)
			return err
		case fs.ModeSymlink:
			target, err := os.Readlink(name)
			contents[strings.TrimPrefix(name, file)] = what + target
			return err
		}
		contents[strings.TrimPrefix(name, file)] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSquashfsIsImported carries objects into an empty store, by an image of each kind and by two that are parts.
func TestSquashfsIsImported(t *testing.T) {
	t.Parallel()
	p := newProject(t, user{name: "this user"})
	p.write("nbuild.star", squashfsProject)
	for _, image := range append(images()[:5], "parts") {
		t.Run(image, func(t *testing.T) {
			other := filepath.Join(t.TempDir(), "store")
			t.Cleanup(func() {
				if err := fsx.RemoveAll(other); err != nil {
					t.Error(err)
				}
			})
			parts := []string{image}
			if image == "parts" {
				parts = []string{"base", "rest"}
			}
			for _, part := range parts {
				p.nbuild(part)
				p.nbuild("store", "import", "result", "--store", other)
			}
			ours, _ := p.nbuild("store", "ls")
			theirs, _ := p.nbuild("store", "ls", "--store", other)
			for line := range strings.Lines(theirs) {
				if !slices.Contains(strings.SplitAfter(ours, "\n"), line) {
					t.Errorf("%s is not in the store that the image was made of", line)
				}
			}
			if got := strings.Count(theirs, "\n"); got != 3 {
				t.Errorf("%d objects came over, want 3:\n%s", got, theirs)
			}
			p.nbuild("store", "verify", "--store", other)
		})
	}
}

// TestSquashfsTooLarge: an image that is larger than it may be is no result, and what is largest in it is named.
func TestSquashfsTooLarge(t *testing.T) {
	t.Parallel()
	p := newProject(t, user{name: "this user"})
	p.write("nbuild.star", squashfsProject+`
host = system("host", modules = [{"squashfs.max_size": 20}])
`)
	for target, want := range map[string][]string{
		"small":         {`squashfs: the image has \d+\.\d MiB, more than max_size, 1 MiB; the largest objects in it`, `MiB  /nbuild/store/\w+-bash-`},
		"host.squashfs": {`more than max_size, 20 MiB`, `MiB  /nbuild/store/\w+-package-root`, `the largest packages in it`, `MiB  libc6`},
	} {
		_, stderr, err := p.try(target)
		if err == nil {
			t.Errorf("%s was built", target)
		}
		for _, line := range want {
			if !regexp.MustCompile(line).MatchString(stderr) {
				t.Errorf("%s: there is no %q in:\n%s", target, line, stderr)
			}
		}
		if _, err := os.Lstat(filepath.Join(p.dir, "result")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s left a result: %v", target, err)
		}
	}
}
