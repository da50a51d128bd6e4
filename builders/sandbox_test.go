package builders

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"nbuild/internal/storepath"
)

// asRoot is the environment of a build as root, writableRoot that of one whose root becomes its output.
func asRoot() map[string]string { return map[string]string{"nbuild.as_root": "1"} }

func writableRoot() map[string]string {
	return map[string]string{"nbuild.as_root": "1", "nbuild.writable_root": "1"}
}

// refused is the operation of the probe that succeeds if another one fails with an error.
func refused(errno syscall.Errno, operation string) string {
	return fmt.Sprintf("refuse %d %s", int(errno), operation)
}

// writeTree makes files below a new folder: a name that ends in a slash is a folder, content "-> x" makes a symlink.
func writeTree(t testing.TB, files map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for name, content := range files {
		file := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, file)
		} else if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(file, 0o755)
		} else {
			err = os.WriteFile(file, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return top
}

func readText(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSandboxMakesOutputs(t *testing.T) {
	r, log := sandboxTest{
		operations: []string{"echo hello", "write $out content", "mkdir $lib", "write $lib/x y", "chmod $lib 555"},
		outputs:    []string{"out", "lib"},
	}.mustRun(t)
	wantText(t, "log", "hello\n", log)
	wantText(t, "out", "content", readText(t, r.output("out")))
	wantText(t, "lib/x", "y", readText(t, r.output("lib")+"/x"))
}

func TestSandboxEnvironment(t *testing.T) {
	t.Setenv("HOST_SECRET", "leaked")
	_, log := sandboxTest{
		operations: []string{
			"env", "ids", "umask", "limits", "session", "descriptors", "host",
			"status CapInh CapPrm CapEff CapAmb NoNewPrivs Seccomp", "link? /proc/self/cwd", "write $out x",
		},
		env:    map[string]string{"GREETING": "hello world", "TZ": "Europe/Rome"},
		inputs: map[string]string{"src": t.TempDir(), "_hidden": t.TempDir(), "not a name": t.TempDir()},
		cores:  3,
	}.mustRun(t)
	want := `GREETING=hello world
HOME=/build
LC_ALL=C.UTF-8
MAKEFLAGS=-j3
NBUILD_CORES=3
PATH=/usr/sbin:/usr/bin:/sbin:/bin
SOURCE_DATE_EPOCH=315532800
TMPDIR=/tmp
TZ=Europe/Rome
out=` + string(testPath("output-out")) + `
probe=` + string(testPath("probe")) + `
src=` + string(testPath("src")) + `
1000:1000 1000:1000
0022
0
4096
8388608
true true
0 1 2 
nbuild
CapInh: 0000000000000000
CapPrm: 0000000000000000
CapEff: 0000000000000000
CapAmb: 0000000000000000
NoNewPrivs: 1
Seccomp: 2
/build
`
	wantText(t, "what a build sees", want, log)
}

// TestSandboxShowsOnlyInputs lists every file there is but in /proc and /dev.
func TestSandboxShowsOnlyInputs(t *testing.T) {
	root := writeTree(t, map[string]string{
		"usr/bin/tool": "tool", "bin": "-> usr/bin", "etc/passwd": "mine", "etc/sub/x": "x", "etc/link": "-> sub",
		"tmp/hidden": "", "dev/hidden": "", "readme": "file at the top",
	})
	inputs := map[string]string{
		"folder": writeTree(t, map[string]string{"a/b": "c"}),
		"file":   filepath.Join(writeTree(t, map[string]string{"f": "file"}), "f"),
		"link":   filepath.Join(writeTree(t, map[string]string{"l": "-> somewhere"}), "l"),
	}
	_, log := sandboxTest{
		operations: []string{
			"tree /", "list /dev", "cat /etc/passwd", "echo", "cat /etc/hosts", "cat $file", "echo", "link? $link",
			"cat /build/closure/folder", "cat /build/dir/script", "echo", "write $out x",
		},
		root: root, inputs: inputs, files: map[string]string{"dir/script": "script", "dir2/deep/er": ""},
	}.mustRun(t)
	want := []string{
		"/", "/bin", "/build", "/build/closure", "/build/dir", "/build/dir/script", "/build/dir2",
		"/build/dir2/deep", "/build/dir2/deep/er", "/dev", "/etc", "/etc/group", "/etc/hosts", "/etc/link", "/etc/passwd",
		"/etc/sub", "/etc/sub/x", "/nbuild", "/nbuild/closure",
	}
	for _, slot := range []string{"file", "folder", "link", "probe", "root"} {
		want = append(want, "/nbuild/closure/"+slot)
	}
	want = append(want, "/nbuild/store")
	var objects []string
	for _, slot := range []string{"file", "folder", "link", "probe"} {
		objects = append(objects, string(testPath(slot)))
	}
	objects = append(objects, string(testPath("folder"))+"/a", string(testPath("folder"))+"/a/b")
	for _, name := range []string{
		"", "/bin", "/etc", "/readme", "/tmp", "/dev", "/usr", "/etc/passwd", "/etc/sub", "/etc/sub/x",
		"/etc/link", "/tmp/hidden", "/dev/hidden", "/usr/bin", "/usr/bin/tool",
	} {
		objects = append(objects, string(testPath("root"))+name)
	}
	slices.SortFunc(objects, func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
	})
	want = append(want, objects...)
	want = append(want, "/proc", "/readme", "/run", "/tmp", "/usr", "/usr/bin", "/usr/bin/tool",
		"fd full null ptmx pts random shm stderr stdin stdout tty urandom zero",
		"mine", "127.0.0.1 localhost", "::1 localhost", "file", "somewhere", string(testPath("folder")), "script")
	wantText(t, "what a build sees", strings.Join(want, "\n")+"\n", log)
}

func TestSandboxProtectsInputs(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
	}{{"user", nil}, {"root", asRoot()}} {
		t.Run(test.name, func(t *testing.T) {
			root := writeTree(t, map[string]string{"usr/x": "x", "etc/passwd": ""})
			folder := writeTree(t, map[string]string{"a": "a"})
			const remount = syscall.MS_REMOUNT | syscall.MS_BIND
			sandboxTest{
				operations: []string{
					refused(syscall.EROFS, "write $folder/a changed"), refused(syscall.EROFS, "write $folder/new x"),
					refused(syscall.EROFS, "chmod $folder/a 777"), refused(syscall.EROFS, "write $probe x"),
					refused(syscall.EROFS, "write /usr/x changed"), refused(syscall.EROFS, "write /new x"),
					refused(syscall.EROFS, "write /etc/new x"), refused(syscall.EROFS, "write /build/closure/folder x"),
					refused(syscall.EBUSY, "remove $folder"),
					refused(syscall.EPERM, fmt.Sprintf("remount $folder %d", remount)),
					"write $out x", "write /tmp/x y", "write /build/x y", "write /dev/shm/x y",
				},
				root: root, inputs: map[string]string{"folder": folder}, env: test.env,
			}.mustRun(t)
			wantText(t, "input", "a", readText(t, folder+"/a"))
		})
	}
}

// TestSandboxHidesInit: through /proc/1 a build could get to nbuild's own executable and to the host's files.
func TestSandboxHidesInit(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
	}{{"user", nil}, {"root", asRoot()}} {
		t.Run(test.name, func(t *testing.T) {
			sandboxTest{
				operations: []string{
					refused(syscall.EACCES, "cat /proc/1/exe"), refused(syscall.EACCES, "list /proc/1/root/"),
					refused(syscall.EACCES, "link? /proc/1/cwd"), refused(syscall.EACCES, "cat /proc/1/environ"),
					refused(syscall.EACCES, "cat /proc/1/mem"), refused(syscall.EACCES, "link? /proc/1/fd/3"),
					"kill 1 15", "kill 1 2", "kill 1 9", "kill 1 10", "write $out x",
				},
				env: test.env,
			}.mustRun(t)
		})
	}
}

func TestSandboxHasNoNetwork(t *testing.T) {
	_, log := sandboxTest{operations: []string{"dial", "write $out x"}}.mustRun(t)
	wantText(t, "network", "lo true\ndial tcp 192.0.2.1:80: connect: network is unreachable\n", log)
}

func TestSandboxFiltersSystemCalls(t *testing.T) {
	const fsync, keyctl, ioUringSetup, chown, chown32, x32 = 74, 250, 425, 92, 212, 0x40000000
	sandboxTest{
		operations: []string{
			fmt.Sprintf("raw %d 999", fsync), // Else EBADF.
			refused(syscall.ENOSYS, fmt.Sprintf("raw %d", keyctl)),
			refused(syscall.ENOSYS, fmt.Sprintf("raw %d", ioUringSetup)),
			refused(syscall.ENOSYS, fmt.Sprintf("raw %d", chown|x32)),
			refused(syscall.ENOSYS, fmt.Sprintf("int80 %d", chown32)),
			"write $out x",
		},
		env: asRoot(),
	}.mustRun(t)
}

func TestSandboxLogIsInOrder(t *testing.T) {
	var operations []string
	var want strings.Builder
	for i := range 200 {
		operations = append(operations, fmt.Sprintf("%s %d", []string{"echo", "warn"}[i%2], i))
		fmt.Fprintln(&want, i)
	}
	_, log := sandboxTest{operations: append(operations, "write $out x")}.mustRun(t)
	wantText(t, "log", want.String(), log)
}

func TestSandboxFailures(t *testing.T) {
	file := filepath.Join(writeTree(t, map[string]string{"f": ""}), "f")
	for _, test := range []struct {
		name string
		test sandboxTest
		want string
	}{
		{"status", sandboxTest{operations: []string{"exit 3"}}, "exit status 3"},
		{"signal", sandboxTest{operations: []string{"kill self 9"}}, "killed by signal 9 (killed)"},
		{"terminated", sandboxTest{operations: []string{"kill self 15"}}, "killed by signal 15 (terminated)"},
		{"no output", sandboxTest{operations: []string{"echo"}}, "did not make its output out"},
		{"one output missing", sandboxTest{operations: []string{"write $out x"}, outputs: []string{"out", "doc"}}, "did not make its output doc"},
		{"no program", sandboxTest{args: []string{"/bin/sh"}}, "run /bin/sh: no such program in the sandbox, or its interpreter is missing"},
		{"not executable", sandboxTest{args: []string{"/etc/passwd"}}, "run /etc/passwd: permission denied"},
		{"no arguments", sandboxTest{args: []string{}}, "no program to run"},
		{"relative program", sandboxTest{args: []string{"sh"}}, `program "sh": want an absolute path inside the sandbox`},
		{"zero byte", sandboxTest{args: []string{"/x", "a\x00b"}}, `an argument or a variable has a zero byte: "a\x00b"`},
		{"unknown option", sandboxTest{env: map[string]string{"nbuild.as_rot": "1"}}, "there is no option nbuild.as_rot: want nbuild.as_root, nbuild.copies, nbuild.packs, nbuild.self_contained or nbuild.writable_root"},
		{"option's value", sandboxTest{env: map[string]string{"nbuild.as_root": "yes"}}, `option nbuild.as_root is "yes": want 0 or 1`},
		{"percentage", sandboxTest{env: map[string]string{"nbuild.packs": "0"}}, `option nbuild.packs is "0": want a number from 1 to 1000`},
		{"writable root of a user", sandboxTest{env: map[string]string{"nbuild.writable_root": "1"}}, "nbuild.writable_root wants nbuild.as_root"},
		{"writable root without root", sandboxTest{env: writableRoot()}, `nbuild.writable_root wants an input "root"`},
		{"owners of nothing", sandboxTest{env: asRoot(), outputs: []string{"owners"}}, `an output "owners" wants an output "out"`},
		{"root is a file", sandboxTest{inputs: map[string]string{"root": file}}, `input "root" is not a folder`},
		{"variable is an input", sandboxTest{env: map[string]string{"src": "x"}, inputs: map[string]string{"src": file}}, `variable "src" is also an input or an output`},
		{"variable is an output", sandboxTest{env: map[string]string{"out": "x"}}, `variable "out" is also an input or an output`},
		{"variable's name", sandboxTest{env: map[string]string{"a=b": "x"}}, `"a=b" can't be the name of a variable`},
		{"file above", sandboxTest{files: map[string]string{"../x": ""}}, `file "../x": want a relative path without empty, . and .. parts`},
		{"absolute file", sandboxTest{files: map[string]string{"/x": ""}}, `file "/x": want a relative path without empty, . and .. parts`},
		{"file below file", sandboxTest{files: map[string]string{"a": "", "a/b": ""}}, `file "a/b": a is not a folder`},
		{"file in closures", sandboxTest{files: map[string]string{"closure/x": ""}}, `file "closure/x": closure is not a folder`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := test.test.run(t)
			failure, ok := r.err.(*Failure)
			if !ok {
				t.Fatalf("Build = %v (%T), want a *Failure; log:\n%s", r.err, r.err, r.log)
			}
			if !strings.HasPrefix(failure.Reason, test.want) {
				t.Errorf("reason %q, want %q", failure.Reason, test.want)
			}
		})
	}
}

func TestIsVariable(t *testing.T) {
	for name, want := range map[string]bool{
		"src": true, "S2_x": true, "": false, "_hash": false, "2x": false, "a-b": false, "a b": false, "é": false,
	} {
		if got := isVariable(name); got != want {
			t.Errorf("isVariable(%q) = %v", name, got)
		}
	}
}

// TestSandboxWithTree runs a tree's program by way of the tree's links, as Debian's trees have them.
func TestSandboxWithTree(t *testing.T) {
	probe, err := compileProbe()
	if err != nil {
		t.Fatal(err)
	}
	root := writeTree(t, map[string]string{"usr/bin/": "", "bin": "-> usr/bin", "etc/passwd": "", "etc/group": "", "etc/hosts": "h"})
	b, err := os.ReadFile(probe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/usr/bin/probe", b, 0o755); err != nil {
		t.Fatal(err)
	}
	r, log := sandboxTest{args: []string{"/bin/probe", "cat /etc/hosts", "write $out x"}, root: root}.mustRun(t)
	wantText(t, "log", "h", log)
	wantText(t, "out", "x", readText(t, r.output("out")))
}

func TestInsideStore(t *testing.T) {
	p := storepath.Path("/nbuild/store/0123-x")
	if got := insideStore(p); got != "nbuild/store/0123-x" {
		t.Errorf("insideStore(%s) = %s", p, got)
	}
}
