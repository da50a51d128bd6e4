package builders

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recording is a build as root with both outputs; the operations work on files in $out.
func recording(operations ...string) sandboxTest {
	return sandboxTest{
		operations: append([]string{"mkdir $out", "chdir $out"}, operations...),
		env:        asRoot(), outputs: []string{"out", "owners"},
	}
}

// TestRecorderFindsTheFile goes through all ways to name a file to chown.
func TestRecorderFindsTheFile(t *testing.T) {
	for _, test := range []struct {
		name       string
		operations []string
		want       string
	}{
		{"chown", []string{"chown chown 3 4 $out/f"}, "f 644 3 4 /f\n"},
		{"chown relative", []string{"chown chown 3 4 f"}, "f 644 3 4 /f\n"},
		{"chown follows", []string{"chown chown 3 4 link"}, "f 644 3 4 /f\n"},
		{"chown follows absolute", []string{"chown chown 3 4 $out/absolute"}, "f 644 3 4 /f\n"},
		{"relative by absolute link", []string{"chown chown 3 4 absolute"}, "f 644 3 4 /f\n"},
		{"chain of links", []string{"chown chown 3 4 dir/chain"}, "f 644 3 4 /f\n"},
		{"lchown", []string{"chown lchown 3 4 link"}, "l 777 3 4 /link\n"},
		{"lchown of a folder's link with slash", []string{"chown lchown 3 4 dirlink/"}, "d 755 3 4 /dir\n"},
		{"lchown by a folder's link", []string{"chown lchown 3 4 dirlink/g"}, "f 644 3 4 /dir/g\n"},
		{"fchown", []string{"chown fchown 3 4 f"}, "f 644 3 4 /f\n"},
		{"fchown of a folder", []string{"chown fchown 3 4 dir"}, "d 755 3 4 /dir\n"},
		{"fchownat", []string{"chown at 3 4 f"}, "f 644 3 4 /f\n"},
		{"fchownat nofollow", []string{"chown at-nofollow 3 4 link"}, "l 777 3 4 /link\n"},
		{"fchownat with a folder", []string{"chown at-dir 3 4 dir/g"}, "f 644 3 4 /dir/g\n"},
		{"fchownat ignores the folder", []string{"chown at-bad 3 4 $out/f"}, "f 644 3 4 /f\n"},
		{"fchownat with an empty path", []string{"chown at-empty 3 4 f"}, "f 644 3 4 /f\n"},
		{"fchownat with an empty path, of a link", []string{"chown at-empty 3 4 link"}, "l 777 3 4 /link\n"},
		{"fchownat of the working directory", []string{"chown at-empty-cwd 3 4"}, "d 755 3 4 /\n"},
		{"dots", []string{"chdir dir", "chown chown 3 4 .././/dir/../f"}, "f 644 3 4 /f\n"},
		{"many slashes", []string{"chown chown 3 4 dir//g"}, "f 644 3 4 /dir/g\n"},
		{"above the root", []string{"chown chown 3 4 /../../..$out/f"}, "f 644 3 4 /f\n"},
		{"/proc/self", []string{"chown proc-self 3 4 f"}, "f 644 3 4 /f\n"},
		{"/dev/fd", []string{"chown dev-fd 3 4 f"}, "f 644 3 4 /f\n"},
		{"/proc/thread-self", []string{"chown proc-thread 3 4 f"}, "f 644 3 4 /f\n"},
		{"/proc/self/cwd", []string{"chown chown 3 4 /proc/self/cwd/f"}, "f 644 3 4 /f\n"},
		{"path at the end of memory", []string{"chown page-end 3 4 f"}, "f 644 3 4 /f\n"},
		{"in a chroot", []string{"chroot $out", "chown chown 3 4 /f"}, "f 644 3 4 /f\n"},
		{"absolute link in a chroot", []string{"chroot $out", "chdir /", "chown chown 3 4 inchroot"}, "f 644 3 4 /dir/g\n"},
		{"dots in a chroot", []string{"chroot $out", "chdir /dir", "chown chown 3 4 ../../../f"}, "f 644 3 4 /f\n"},
		{"outside a chroot", []string{"chroot dir", "chown chown 3 4 f"}, "f 644 3 4 /f\n"},
		{"deleted folder", []string{"mkdir gone", "chdir gone", "remove $out/gone", "chown at-empty-cwd 3 4"}, ""},
		{"unmapped big ids", []string{"chown chown 4294967294 65534 f"}, "f 644 4294967294 65534 /f\n"},
		{"user only", []string{"chown chown 3 -1 f"}, "f 644 3 0 /f\n"},
		{"user, then group", []string{"chown chown 3 -1 f", "chown chown -1 4 f"}, "f 644 3 4 /f\n"},
		{"back to root", []string{"chown chown 3 4 f", "chown chown 0 0 f"}, ""},
		{"renamed", []string{"chown chown 3 4 f", "rename f dir/g"}, "f 644 3 4 /dir/g\n"},
		{"two names", []string{"link f h", "chown chown 3 4 h"}, "f 644 3 4 /f\nf 644 3 4 /h\n"},
		{"made anew", []string{"chown chown 3 4 f", "remove f", "write f new"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := recording(append([]string{
				"write f x", "mkdir dir", "write dir/g y", "symlink f link", "symlink dir dirlink", "symlink $out/f absolute",
				"symlink ../dirlink/../link dir/chain", "symlink /dir/g inchroot",
			}, test.operations...)...).mustRun(t)
			wantText(t, "owners", test.want, readText(t, r.output("owners")))
		})
	}
}

func TestRecorderAnswersLikeTheKernel(t *testing.T) {
	long := strings.Repeat("n", 256)
	folder := writeTree(t, map[string]string{"a": ""})
	test := recording(
		"write f x", "symlink loop loop", "symlink nowhere broken", "symlink f link",
		refused(syscall.ENOENT, "chown chown 1 1 missing"), refused(syscall.ENOENT, "chown chown 1 1 missing/f"),
		refused(syscall.ENOENT, "chown chown 1 1 broken"), refused(syscall.ENOENT, "chown empty 1 1"),
		refused(syscall.ENOTDIR, "chown chown 1 1 f/g"), refused(syscall.ENOTDIR, "chown chown 1 1 f/"),
		refused(syscall.ENOTDIR, "chown lchown 1 1 link/"),
		refused(syscall.ELOOP, "chown chown 1 1 loop"), refused(syscall.ENAMETOOLONG, "chown chown 1 1 "+long),
		refused(syscall.ENAMETOOLONG, "chown chown 1 1 "+strings.Repeat("./", 2048)+"f"),
		refused(syscall.EFAULT, "chown fault 1 1"), refused(syscall.EFAULT, "chown page-fault 1 1 f"),
		refused(syscall.EINVAL, "chown at-flags 1 1 f"), refused(syscall.EBADF, "chown at-bad 1 1 f"),
		refused(syscall.EBADF, "chown fchown-bad 1 1 f"), refused(syscall.EBADF, "chown fchown-negative 1 1 f"),
		refused(syscall.EBADF, "chown fchown-path 1 1 f"), refused(syscall.EROFS, "chown chown 1 1 $folder/a"),
		refused(syscall.EROFS, "chown chown 1 1 $folder"), refused(syscall.EACCES, "chown chown 1 1 /proc/1/exe"),
		refused(syscall.EACCES, "chown chown 1 1 /proc/1/root/etc"),
		"chown lchown 1 1 broken", "chown chown 5 5 /dev/null", "chown chown 5 5 /tmp",
		refused(syscall.EOPNOTSUPP, fmt.Sprintf("raw %d", syscall.SYS_FSETXATTR)),
		"raw 105 7", "raw 106 7", "raw 116 0", "raw 117 7 7 7", "raw 119 7 7 7", "ids", // set*id
	)
	test.inputs = map[string]string{"folder": folder}
	r, log := test.mustRun(t)
	wantText(t, "ids", "0:0 0:0\n", log)
	wantText(t, "owners", "l 777 1 1 /broken\n", readText(t, r.output("owners")))
}

// TestRecorderKeepsModes holds that the manifest has the modes that Debian's files may have, and the tree plain ones.
func TestRecorderKeepsModes(t *testing.T) {
	r, _ := recording(
		"write su x", "chmod su 4755", "write was x", "chmod was 6755", "chown chown 0 7 was", "write sgid x", "chown chown 0 42 sgid",
		"chmod sgid 2755", "write lock x", "chmod lock 2644", "chown chown 0 1 lock", "write shadow x", "chmod shadow 0", "mkdir tmp", "chmod tmp 1777",
		"mkdir mail", "chmod mail 2775", "chown chown 0 8 mail", "mkdir closed", "write closed/x x", "chmod closed 0",
		"write private x", "chmod private 600", "write run x", "chmod run 755", "write other x", "chmod other 645", "link su su2", "mkdir a", "write a/b x",
		"chmod a/b 700", "write a-b x", "chmod a-b 700",
	).mustRun(t)
	want := `f 700 0 0 /a-b
f 700 0 0 /a/b
d 0 0 0 /closed
f 2644 0 1 /lock
d 2775 0 8 /mail
f 645 0 0 /other
f 600 0 0 /private
f 2755 0 42 /sgid
f 0 0 0 /shadow
f 4755 0 0 /su
f 4755 0 0 /su2
d 1777 0 0 /tmp
f 755 0 7 /was
`
	wantText(t, "owners", want, readText(t, r.output("owners")))
	err := filepath.WalkDir(r.output("out"), func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if mode := info.Mode(); mode&(os.ModeSetuid|os.ModeSetgid|os.ModeSticky) != 0 || mode&0o400 == 0 {
			t.Errorf("%s has mode %v", name, mode)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRecorderWithoutOutput: without an output for them, modes stay in the tree, for the store to refuse.
func TestRecorderWithoutOutput(t *testing.T) {
	test := recording("write su x", "chmod su 4755", "chown chown 1 1 $out")
	test.outputs = nil
	r, _ := test.mustRun(t)
	info, err := os.Stat(r.output("out") + "/su")
	if err != nil || info.Mode()&os.ModeSetuid == 0 {
		t.Errorf("mode %v, %v: want setuid", info.Mode(), err)
	}
}

// TestRecorderKeepsFilesApart has processes at once chown files that get the inode numbers of deleted ones.
func TestRecorderKeepsFilesApart(t *testing.T) {
	const processes, files = 4, 60
	r, _ := recording(fmt.Sprintf("parallel %d %d .", processes, files)).mustRun(t)
	var want []string
	for id := 1; id <= processes; id++ {
		for i := 0; i < files; i += 2 {
			want = append(want, fmt.Sprintf("f 644 %d 0 /%d-%d\n", id, id, i))
		}
	}
	slices.SortFunc(want, func(a, b string) int { return strings.Compare(a[strings.Index(a, "/"):], b[strings.Index(b, "/"):]) })
	wantText(t, "owners", strings.Join(want, ""), readText(t, r.output("owners")))
}

func TestModeAfterChown(t *testing.T) {
	const file, folder = syscall.S_IFREG, syscall.S_IFDIR
	for before, want := range map[uint32]uint32{
		file | 0o4755: file | 0o755, file | 0o6755: file | 0o755, file | 0o2644: file | 0o2644, file | 0o6644: file | 0o2644,
		file | 0o1644: file | 0o1644, folder | 0o6755: folder | 0o6755,
	} {
		if got := modeAfterChown(before); got != want {
			t.Errorf("modeAfterChown(%o) = %o, want %o", before, got, want)
		}
	}
}

func TestRecorderMerge(t *testing.T) {
	a, b := inodeKey{inode: 1}, inodeKey{inode: 2}
	var r recorder
	r.set(a, owner{3, unset})
	r.set(b, owner{5, 5})
	r.merge(recorder{a: {unset, 4}, b: {unset, unset}})
	if diff := cmp.Diff(recorder{a: {3, 4}, b: {5, 5}}, r, cmp.AllowUnexported(inodeKey{}, owner{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var none recorder
	if uid, gid := none.owner(a); uid != 0 || gid != 0 {
		t.Errorf("owner of an unknown file is %d:%d", uid, gid)
	}
}

// rootTree is a small root: the probe, a file to append to, and what packages have special owners for.
func rootTree(t testing.TB) string {
	t.Helper()
	probe, err := compileProbe()
	if err != nil {
		t.Fatal(err)
	}
	root := writeTree(t, map[string]string{
		"usr/lib/data": "data", "usr/lib/shadow": "s", "lib": "-> usr/lib", "etc/conf": "old", "var/mail/": "", "tmp/kept": "k", "proc/": "",
	})
	b, err := os.ReadFile(probe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/usr/probe", b, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"usr/lib/data", "usr/lib/shadow", "usr/lib", "etc/conf"} { // as in the store
		if err := os.Chmod(filepath.Join(root, name), 0o555); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(root+"/usr/lib", 0o755) })
	if err := os.Chmod(root+"/etc/conf", 0o444); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestWritableRoot(t *testing.T) {
	root := rootTree(t)
	manifest := filepath.Join(writeTree(t, map[string]string{
		"owners": "l 777 5 5 /lib\nf 640 0 42 /lib/shadow\nf 4755 0 0 /usr/probe\nd 2775 0 8 /var/mail\n",
	}), "owners")
	r, log := sandboxTest{
		args: []string{
			"/usr/probe", "stat /lib/data /lib/shadow /usr/probe /var/mail /etc/conf /usr", "append /etc/conf +new", "write /usr/lib/made x",
			"chown chown 0 9 /var/mail", "mkdir /var/lib", "chown chown 100 101 /var/lib", "write /tmp/t x", "write /run/r x", "write /build/b x",
			"write /dev/shm/s x", "list /tmp", "list /",
			refused(syscall.EROFS, "write /nbuild/x y"), refused(syscall.EROFS, "append $root/etc/conf x"),
		},
		root: root, inputs: map[string]string{"root_owners": manifest}, env: writableRoot(), outputs: []string{"out", "owners"}, cores: 2,
	}.mustRun(t)
	wantText(t, "log", `100755 0:0 1 /lib/data
100640 0:0 1 /lib/shadow
104755 0:0 1 /usr/probe
42775 0:0 1 /var/mail
100644 0:0 1 /etc/conf
40755 0:0 1 /usr
t
build dev etc lib nbuild proc run tmp usr var
`, log)
	wantText(t, "owners", `l 777 5 5 /lib
f 640 0 42 /usr/lib/shadow
f 4755 0 0 /usr/probe
d 755 100 101 /var/lib
d 2775 0 9 /var/mail
`, readText(t, r.output("owners")))
	wantText(t, "input", "old", readText(t, root+"/etc/conf"))
	out := r.output("out")
	wantText(t, "etc/conf", "old+new", readText(t, out+"/etc/conf"))
	wantText(t, "made", "x", readText(t, out+"/usr/lib/made"))
	var names []string
	err := filepath.WalkDir(out, func(name string, _ os.DirEntry, err error) error {
		names = append(names, strings.TrimPrefix(name, out))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"", "/etc", "/etc/conf", "/lib", "/proc", "/tmp", "/tmp/kept", "/usr", "/usr/lib", "/usr/lib/data", "/usr/lib/made",
		"/usr/lib/shadow", "/usr/probe", "/var", "/var/lib", "/var/mail",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestWritableRootFailures(t *testing.T) {
	for _, test := range []struct {
		name, manifest string
		tree           map[string]string
		want           string
	}{
		{"mount point is a file", "", map[string]string{"dev": "x"}, `/dev in input "root" is not a folder`},
		{"mount point is a link", "", map[string]string{"run": "-> /etc"}, `/run in input "root" is not a folder`},
		{"unknown path", "f 644 1 1 /x\n", nil, "input root_owners names /x, which input root does not have: no such file or directory"},
		{"wrong kind", "f 644 1 1 /etc\n", map[string]string{"etc/": ""}, `input root_owners has /etc as 'f', which it is not in input root`},
		{"out of the root", "f 644 1 1 /l/x\n", map[string]string{"l": "-> ../../../.."}, "input root_owners names /l/x, which input root does not have: no such file or directory"},
		{"damaged", "x\n", nil, "input root_owners: parse ownership manifest: line 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inputs := map[string]string{}
			if test.manifest != "" {
				inputs["root_owners"] = filepath.Join(writeTree(t, map[string]string{"m": test.manifest}), "m")
			}
			r := sandboxTest{
				args: []string{"/x"}, root: writeTree(t, test.tree), inputs: inputs, env: writableRoot(),
			}.run(t)
			failure, ok := r.err.(*Failure)
			if !ok || !strings.HasPrefix(failure.Reason, test.want) {
				t.Errorf("Build = %v, want %q", r.err, test.want)
			}
		})
	}
}
