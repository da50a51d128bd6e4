package scripts

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runInit runs a function of init, with a folder in the place of the initrd's root, and returns what it said. What it
// would mount and which modules it would load it only says.
func (l *layerTest) runInit(function string) string {
	l.t.Helper()
	_, rest, _ := strings.Cut(Init(), function+"() {\n")
	body, _, found := strings.Cut(rest, "\n}\n")
	if !found {
		l.t.Fatalf("init has no function %s", function)
	}
	body = strings.NewReplacer("/rw/upper", l.folder+"/upper", "/merged", l.folder+"/merged", "/new", l.folder+"/new",
		">/units", ">"+l.folder+"/units", "</units", "<"+l.folder+"/units", ">/mounts", ">"+l.folder+"/mounts",
		"$busybox mount -a -T /mounts", "cat "+l.folder+"/mounts", "\tload ", "\techo load ").Replace(body)
	shell := exec.Command("/bin/sh", "-euc", "busybox=; system="+l.folder+"; layers="+l.folder+"/layer:/other\n"+body)
	said, err := shell.CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", function, err, said)
	}
	return string(said)
}

// TestMountEarly runs the part of init that mounts what units of systemd mount, and looks at how it would.
func TestMountEarly(t *testing.T) {
	awk(t)
	l := &layerTest{t, t.TempDir()}
	const units = "new/usr/lib/systemd/system/"
	unit := func(name, target, where, options string) {
		l.write(units+name, "[Unit]\nDescription=A unit = a file\n[Mount]\nWhat=what\nWhere="+where+"\nType=tmpfs\nOptions="+options+"\n")
		l.link(units+target+".target.wants/"+name, "../"+name)
	}
	unit("tmp.mount", "local-fs", "/tmp", "mode=1777,size=50%%,nr_inodes=1m")
	unit("run-lock.mount", "local-fs", "/run/lock", "nosuid")
	unit("dev-mqueue.mount", "sysinit", "/dev/mqueue", "nosuid,nodev")
	unit("sys-none.mount", "sysinit", "/sys/none", "ro")
	unit("srv-link.mount", "sysinit", "/srv/link", "ro")
	unit("srv-masked.mount", "sysinit", "/srv/masked", "ro")
	unit("srv-own.mount", "sysinit", "/srv/own", "ro")
	unit("srv-changed.mount", "sysinit", "/srv/changed", "ro")
	unit("srv-table.mount", "sysinit", "/srv/table", "ro")
	unit("srv-blank.mount", "sysinit", "/srv/blank", "a b")
	l.link(units+"sysinit.target.wants/gone.mount", "../gone.mount")
	for _, name := range []string{"tmp", "srv/real", "srv/masked", "srv/own", "srv/changed", "srv/table", "srv/blank", "sys/fs/bpf"} {
		l.write("new/"+name+"/file", "")
	}
	l.link("new/srv/link", "real")
	l.link("new/etc/systemd/system/srv-masked.mount", "/dev/null")
	l.write("new/etc/systemd/system/srv-own.mount", "")
	l.write("new/etc/systemd/system/srv-changed.mount.d/options.conf", "")
	l.write("new/etc/fstab", "# a table\ndevice\t/srv/table ext4 defaults 0 0\n")
	want := "load configfs nfnetlink vsock\n" +
		"what /new/dev/mqueue tmpfs nosuid,nodev\n" +
		"what /new/run/lock tmpfs nosuid\n" +
		"what /new/tmp tmpfs mode=1777,size=50%,nr_inodes=1m\n" +
		"bpf /new/sys/fs/bpf bpf nosuid,nodev,noexec,mode=700\n"
	got := l.runInit("mount_early")
	if diff := cmp.Diff(want, strings.ReplaceAll(got, l.folder, "")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestForgetPinned runs the part of init that takes files off the disk.
func TestForgetPinned(t *testing.T) {
	l := &layerTest{t, t.TempDir()}
	for _, name := range []string{
		"upper/etc/passwd", "upper/etc/passwd-", "upper/etc/other", "upper/whited", "upper/var/lib/a b/x", "upper/var/lib/kept",
		"elsewhere/file", "elsewhere/deep/file", "upper/srv/real/file",
	} {
		l.write(name, "")
	}
	l.link("upper/opt", l.folder+"/elsewhere") // what was a folder became a link
	l.link("upper/srv/link", "real")
	l.write("pinned", strings.Join([]string{
		"/etc/passwd", "/etc/group", "/etc/passwd-", "/whited/file", "/var/lib/a b", "/opt/deep/file", "/srv/link", "/none/at/all", "",
	}, "\n"))
	if said := l.runInit("forget_pinned"); said != "" {
		t.Errorf("init said %q", said)
	}
	left := map[string]bool{}
	err := filepath.WalkDir(l.folder, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			left[strings.TrimPrefix(name, l.folder+"/")] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"elsewhere/deep/file", "elsewhere/file", "pinned", "upper/etc/other", "upper/srv/real/file", "upper/var/lib/kept"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(left))); diff != "" {
		t.Errorf("files that are left (-want +got):\n%s", diff)
	}
}

func TestMergeAccounts(t *testing.T) {
	awk(t)
	l := &layerTest{t, t.TempDir()}
	layer := map[string]string{
		"passwd":  "root:x:0:0:root:/root:/bin/bash\nann:x:2001:2001::/home/ann:/bin/bash\nbob:x:2002:2002::/home/bob:/bin/sh\ntaken:x:1000:2003::/:/bin/sh\n",
		"group":   "root:x:0:\nsudo:x:27:ann,bob\nann:x:2001:\nbob:x:2002:\n",
		"shadow":  "root:!:1:0:99999:7:::\nann:!:1:0:99999:7:::\nbob:!:1:0:99999:7:::\ntaken:!:1:0:99999:7:::\n",
		"gshadow": "root:*::\nsudo:*::ann,bob\nann:!::\nbob:!::\n",
	}
	for name, text := range layer {
		l.write("layer/etc/"+name, text)
	}
	// gshadow was never changed in the running system.
	l.write("upper/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nann:x:2001:2001::/home/ann:/bin/bash\ncarl:x:1000:1000::/home/carl:/bin/sh\n")
	l.write("upper/etc/group", "root:x:0:\nsudo:x:27:carl,ann\nann:x:2001:\ncarl:x:1000:\n")
	l.write("upper/etc/shadow", "root:$y$new:2:0:99999:7:::\nann:!:1:0:99999:7:::\ncarl:!:2:0:99999:7:::\n")
	if err := os.Chmod(l.folder+"/upper/etc/shadow", 0o640); err != nil {
		t.Fatal(err)
	}
	for range 2 { // The second time nothing is left to do.
		const want = "nbuild: /etc/passwd: taken is not added: on the disk, carl has its number 1000\n"
		if diff := cmp.Diff(want, l.runInit("merge_accounts")); diff != "" {
			t.Errorf("init said (-want +got):\n%s", diff)
		}
		got := map[string]string{}
		for _, name := range []string{"passwd", "group", "shadow"} {
			content, err := os.ReadFile(l.folder + "/upper/etc/" + name)
			if err != nil {
				t.Fatal(err)
			}
			got[name] = string(content)
		}
		wantFiles := map[string]string{
			"passwd": "root:x:0:0:root:/root:/bin/sh\nann:x:2001:2001::/home/ann:/bin/bash\ncarl:x:1000:1000::/home/carl:/bin/sh\nbob:x:2002:2002::/home/bob:/bin/sh\n",
			"group":  "root:x:0:\nsudo:x:27:carl,ann,bob\nann:x:2001:\ncarl:x:1000:\nbob:x:2002:\n",
			"shadow": "root:$y$new:2:0:99999:7:::\nann:!:1:0:99999:7:::\ncarl:!:2:0:99999:7:::\nbob:!:1:0:99999:7:::\ntaken:!:1:0:99999:7:::\n",
		}
		if diff := cmp.Diff(wantFiles, got); diff != "" {
			t.Errorf("the disk's files (-want +got):\n%s", diff)
		}
	}
	info, err := os.Stat(l.folder + "/upper/etc/shadow")
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode of shadow: %v, %v", info, err)
	}
	if names, _ := filepath.Glob(l.folder + "/upper/etc/*"); len(names) != 3 {
		t.Errorf("the disk has %q", names)
	}
}

// noteInit runs a command with all functions of init, with a folder in the place of its root. What would mount, or end the
// machine, is noted among what it says; the folder's name is left out. Images are texts, which say whether there is a store in
// them.
func (l *layerTest) noteInit(command string) string {
	l.t.Helper()
	functions, _, found := strings.Cut(Init(), "\necho \"dev /dev devtmpfs")
	if !found {
		l.t.Fatal("init doesn't begin with mounting /dev")
	}
	var places []string
	for _, place := range []string{"/iso", "/ram", "/images", "/proc/meminfo"} {
		places = append(places, place, l.folder+place)
	}
	script := strings.NewReplacer(places...).Replace(functions + "\ncmdline=; medium=/iso\n" + command)
	const note = `
busybox=note
note() {
	case $1 in
	mount) echo "$@"; [ "$3" != squashfs ] || ! grep -q store "$6" || mkdir -p "$7/nbuild/store" ;;
	umount) echo "$@" ;;
	poweroff) echo "$@"; exit ;;
	sleep) ;;
	usleep) echo "$@" ;;
	du) echo "102400 $3" ;;
	*) "$@" ;;
	esac
}
`
	said, err := exec.Command("/bin/sh", "-euc", strings.Replace(script, "\nsay() {", note+"\nsay() {", 1)).CombinedOutput()
	if err != nil {
		l.t.Errorf("%s: %v", command, err)
	}
	return strings.ReplaceAll(string(said), l.folder, "")
}

// TestCopyToRAM copies a medium of 100 MiB, as du says, where there is less memory than that and a running system need, and
// where there is just as much.
func TestCopyToRAM(t *testing.T) {
	l := &layerTest{t, t.TempDir()}
	l.write("iso/nbuild/base.squashfs", "with a store")
	for _, test := range []struct{ memory, want string }{
		{"299007", `nbuild: the medium stays in use: its 100 MiB and a running system need more memory than the 291 MiB there are
/iso
base.squashfs
`},
		{"299008", `nbuild: copying 100 MiB to memory
mount -t tmpfs -o mode=755,size=106496k ram /ram
umount /iso
nbuild: the medium can be taken out
/ram
base.squashfs
`},
	} {
		l.write("proc/meminfo", "MemTotal: 900000 kB\nMemAvailable:     "+test.memory+" kB\nBuffers: 2 kB\n")
		if err := os.RemoveAll(l.folder + "/ram"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, l.noteInit("copy_to_ram; echo $medium; ls $medium/nbuild")); diff != "" {
			t.Errorf("with %s KiB (-want +got):\n%s", test.memory, diff)
		}
	}
}

// TestMountStores makes one store of one image, of two, and none of what is none.
func TestMountStores(t *testing.T) {
	l := &layerTest{t, t.TempDir()}
	l.write("iso/nbuild/base.squashfs", "with a store")
	l.write("iso/nbuild/system.squashfs", "with a store")
	l.write("iso/other", "with files alone")
	const base = "mount -t squashfs -o ro,loop /iso/nbuild/base.squashfs /images/base.squashfs\n"
	for _, test := range []struct{ images, want string }{
		{"/iso/nbuild/base.squashfs", base + "mount -o bind /images/base.squashfs/nbuild/store /nbuild/store\n"},
		{
			"/iso/nbuild/*.squashfs", base + "mount -t squashfs -o ro,loop /iso/nbuild/system.squashfs /images/system.squashfs\n" +
				"mount -t overlay -o ro,lowerdir=/images/base.squashfs/nbuild/store:/images/system.squashfs/nbuild/store store /nbuild/store\n",
		},
		{"/iso/other", "mount -t squashfs -o ro,loop /iso/other /images/other\nnbuild: cannot start the system: /iso/other has no store in it\npoweroff -f\n"},
		{"/dev/null", "mount -t squashfs -o ro /dev/null /images/null\nnbuild: cannot start the system: /dev/null has no store in it\npoweroff -f\n"},
	} {
		if diff := cmp.Diff(test.want, l.noteInit("mount_stores "+test.images)); diff != "" {
			t.Errorf("mount_stores %s (-want +got):\n%s", test.images, diff)
		}
	}
}

// TestUntilFound waits for a device that doesn't come, and for one that is there.
func TestUntilFound(t *testing.T) {
	l := &layerTest{t, t.TempDir()}
	want := strings.Repeat("usleep 50000\n", 39) + "none\nfound\n"
	if diff := cmp.Diff(want, l.noteInit("until_found 2 false || echo none; until_found 2 test -d /proc && echo found")); diff != "" {
		t.Errorf("init said (-want +got):\n%s", diff)
	}
}
