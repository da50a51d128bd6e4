//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

// roomProject has two images and two ISOs of the same things, so that the first tells how large the second is.
const roomProject = `
_tree = debian("trixie").tree(["coreutils", "perl-base", "systemd", "python3-minimal"])
inputs = tree("inputs", files = {"note": "%s" % _tree})
dev_first = squashfs("dev-first", contents = [_tree])
dev = squashfs("dev", contents = [_tree])
release_first = squashfs("release-first", contents = [_tree], profile = "release")
release = squashfs("release", contents = [_tree], profile = "release")
disc_first = iso("disc_first", contents = {"/image": dev_first})
disc = iso("disc", contents = {"/image": dev_first})
packed_first = iso("packed_first", contents = {"/image": dev_first}, compress = True)
packed = iso("packed", contents = {"/image": dev_first}, compress = True)
`

// noRoom is what is said where an image doesn't fit.
var noRoom = regexp.MustCompile(`(?m)^nbuild: build \S+: it needs about (\d+) MiB on (\S+), where (\d+) MiB are free: no space left on device$`)

// TestNoRoom makes images on a small file system: an image that just fits is made, and of one that doesn't, it is said
// before the work begins how much room it needs and how much there is.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	requireRoot(t, "a disk without room for an image")
	p := newPlace(t, user{name: "root"})
	resize := mountSmall(t, p.home)
	p.write("nbuild.star", roomProject)
	p.nbuild("inputs", "dev_first", "release_first", "disc_first", "packed_first")
	p.nbuild("dev_first", "-o", "first")
	for _, test := range []struct {
		name, file string
		disk       float64 // how much of the disk it takes, of its own size: what is compressed as a whole is there twice
	}{
		{"dev", "", 1},
		{"release", "", 1},
		{"disc", "iso/disc_first.iso", 1},
		{"packed", "iso/packed_first.iso.zst", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.t = t
			p.nbuild(test.name+"_first", "-o", "first")
			info, err := os.Stat(filepath.Join(p.dir, "first", test.file))
			if err != nil {
				t.Fatal(err)
			}
			size := int64(float64(info.Size()) * test.disk)

			resize(size * 3 / 4)
			_, stderr, err := p.try(test.name, "-o", "made-"+test.name)
			m := noRoom.FindStringSubmatch(stderr)
			if err == nil || m == nil {
				t.Fatalf("made where it doesn't fit: %v\n%s", err, stderr)
			}
			if m[2] != p.home {
				t.Errorf("the disk is called %s, want %s", m[2], p.home)
			}
			if have, _ := strconv.Atoi(m[3]); have != int(size*3/4>>20) {
				t.Errorf("%d MiB are said to be free, want %d", have, size*3/4>>20)
			}
			if need, _ := strconv.ParseInt(m[1], 10, 64); need<<20 < size*85/100 || need<<20 > size+(2<<20) {
				t.Errorf("it is said to need %d MiB, and takes %d", need, size>>20)
			}
			if _, err := os.Lstat(filepath.Join(p.dir, "made-"+test.name)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is a result: %v", err)
			}
			if left, err := os.ReadDir(filepath.Join(p.store(), "tmp")); err != nil || len(left) > 0 {
				t.Errorf("left in tmp: %v, %v", left, err)
			}

			resize(size + 4<<20)
			p.nbuild(test.name, "-o", "made-"+test.name)
			p.nbuild("store", "verify")
			resize(1 << 30)
		})
	}
}

// mountSmall mounts a file system in memory at dir until the test's end, and returns a function that gives it some more
// bytes than what is on it takes.
func mountSmall(t *testing.T, dir string) (resize func(free int64)) {
	t.Helper()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2G,mode=755", "room", dir).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: a disk without room for an image, because nothing can be mounted here: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return func(free int64) {
		t.Helper()
		var stat syscall.Statfs_t
		if err := syscall.Statfs(dir, &stat); err != nil {
			t.Fatal(err)
		}
		used := int64(stat.Blocks-stat.Bfree) * stat.Bsize
		option := fmt.Sprintf("remount,size=%d", used+free)
		if out, err := exec.Command("mount", "-o", option, dir).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", option, err, out)
		}
	}
}
