//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// machines has systems with small disks. What is tested with them needs no guest that runs.
const machines = `
_small = {"virtualisation": {"disk_size": 64, "memory_size": 256}}
one = system("one", modules = [_small])
two = system("two", modules = [_small])
`

// A fleet is a place with the machines of a project, and a folder for what they write elsewhere.
type fleet struct {
	*place
	scratch string
}

func newFleet(t *testing.T, project string, names ...string) fleet {
	t.Helper()
	u := unprivileged()
	f := fleet{place: newProject(t, u)}
	f.scratch = f.beside("scratch")
	f.write("nbuild.star", project)
	f.make(names...)
	return f
}

// make builds machines and links them by their names.
func (f fleet) make(names ...string) {
	f.t.Helper()
	for _, name := range names {
		f.nbuild(name+".vm", "-o", name)
	}
}

// machine returns the command that starts a machine.
func (f fleet) machine(name string, args ...string) *exec.Cmd {
	cmd := f.command(filepath.Join(f.dir, name, "bin/run-"+name+"-vm"), args...)
	cmd.Env = append(cmd.Env, "TMPDIR="+f.scratch)
	return cmd
}

// paused starts a machine whose processors don't run, and waits until QEMU's monitor answers.
func paused(t *testing.T, cmd *exec.Cmd) *guest {
	t.Helper()
	cmd.Args = append(cmd.Args, "-S")
	g := launch(t, cmd)
	g.send("\x01c")
	g.expect("(qemu) ", bootTimeout)
	return g
}

// quit ends a machine by Ctrl-A X.
func (g *guest) quit() {
	g.t.Helper()
	g.send("\x01x")
	if code := g.wait(commandTimeout); code != 0 {
		g.t.Errorf("the runner ended with exit status %d", code)
	}
}

// refused starts a machine that must not start, and compares what it says about that.
func (f fleet) refused(t *testing.T, cmd *exec.Cmd, want string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), want) {
		t.Errorf("it says %q (%v), want %q and exit status 1", out, err, want)
	}
	f.checkGone(t)
}

// living returns the processes that belong to the place, whatever namespaces they are in: their home is its home.
func (p *place) living(t *testing.T) map[int]string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, []byte("HOME="+p.home+"\x00")) {
			continue // It ended meanwhile, or is somebody else's.
		}
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "comm")) // Empty when it ended meanwhile.
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err != nil {
			t.Fatal(err)
		}
		found[pid] = strings.TrimSpace(string(name))
	}
	return found
}

// checkGone waits until no process is left, which a kill takes a moment for, and looks for mounts and temporary files.
func (f fleet) checkGone(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(commandTimeout)
	for left := f.living(t); len(left) > 0; left = f.living(t) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("processes are left: %v", left)
		}
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), filepath.Dir(f.dir)) {
		t.Errorf("a mount is left:\n%s", mounts)
	}
	if left, err := os.ReadDir(f.scratch); err != nil || len(left) > 0 {
		t.Errorf("left in TMPDIR: %v, %v", left, err)
	}
}

// files returns what is in the project's folder besides the project.
func (f fleet) files(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), "nbuild.") {
			names = append(names, e.Name())
		}
	}
	return names
}

func (f fleet) read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestMachines starts machines up to QEMU.
func TestMachines(t *testing.T) {
	t.Parallel()
	f := newFleet(t, machines, "one", "two")
	t.Run("end", func(t *testing.T) { testEnds(t, f) })
	t.Run("interrupted", func(t *testing.T) { testInterrupted(t, f) })
	if err := os.Remove(filepath.Join(f.dir, "one.qcow2")); err != nil {
		t.Fatal(err)
	}
	t.Run("disk", func(t *testing.T) { testDisks(t, f) })
}

// testEnds ends machines in each way there is, and looks for what they leave.
func testEnds(t *testing.T, f fleet) {
	send := func(s syscall.Signal) func(*guest) {
		return func(g *guest) {
			if signal.Ignored(s) { // Inherited, and then a shell can't have a trap for it.
				g.t.Skipf("NOT TESTED: what %v ends, because the tests were started with that signal ignored", s)
			}
			if err := g.cmd.Process.Signal(s); err != nil {
				g.t.Fatal(err)
			}
		}
	}
	killQEMU := func(g *guest) {
		for pid, name := range f.living(g.t) {
			if strings.HasPrefix(name, "qemu-system") {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					g.t.Error(err)
				}
				return
			}
		}
		g.t.Fatal("there is no QEMU")
	}
	tests := []struct {
		name   string
		end    func(*guest)
		status int // -1: a signal
	}{
		{"Ctrl-A X", func(g *guest) { g.send("\x01x") }, 0},
		{"monitor", func(g *guest) { g.send("quit\n") }, 0},
		{"SIGTERM", send(syscall.SIGTERM), 0},
		{"SIGINT", send(syscall.SIGINT), 0},
		{"SIGHUP", send(syscall.SIGHUP), 0},
		{"SIGKILL", send(syscall.SIGKILL), -1},
		{"QEMU killed", killQEMU, 128 + int(syscall.SIGKILL)},
	}
	for _, test := range tests {
		for _, args := range [][]string{nil, {"--ephemeral"}} {
			t.Run(strings.Join(append([]string{test.name}, args...), " "), func(t *testing.T) {
				cmd := f.machine("one", args...)
				cmd.Env = append(cmd.Env, "SHARED_DIR=.")
				g := paused(t, cmd)
				test.end(g)
				if status := g.wait(commandTimeout); status != test.status {
					t.Errorf("the exit status is %d, want %d", status, test.status)
				}
				f.checkGone(t)
				if diff := cmp.Diff([]string{"one.qcow2"}, f.files(t)); diff != "" {
					t.Errorf("files (-want +got):\n%s", diff)
				}
			})
		}
	}
	t.Run("QEMU ends at once", func(t *testing.T) {
		f.refused(t, f.machine("one", "-no-such-option"), "-no-such-option: invalid option")
		f.refused(t, f.machine("one", "--such"), "--such: invalid option")
		raw := filepath.Join(filepath.Dir(f.dir), "raw")
		if err := errors.Join(os.WriteFile(raw, make([]byte, 1<<20), 0o666), os.Chmod(raw, 0o666)); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{nil, {"--ephemeral"}} {
			cmd := f.machine("one", args...)
			cmd.Env = append(cmd.Env, "NBUILD_DISK_IMAGE="+raw)
			f.refused(t, cmd, "Image is not in qcow2 format")
		}
	})
	t.Run("bad variables", func(t *testing.T) {
		for variable, want := range map[string]string{
			"NBUILD_ACCEL=xen":         "run-one-vm: NBUILD_ACCEL is 'xen'; want kvm or tcg\n",
			"SHARED_DIR=none":          "run-one-vm: SHARED_DIR: there is no folder " + f.dir + "/none; make it, or name another\n",
			"NBUILD_DISK_IMAGE=no/x":   "run-one-vm: disk image ./no/x: there is no folder ./no, or",
			"NBUILD_DISK_IMAGE=.":      "run-one-vm: disk image ./. cannot be opened for writing\n",
			"QEMU_NET_OPTS=no=such":    "Invalid parameter 'no'",
			"QEMU_OPTS=-device nobody": "'nobody' is not a valid device model name",
		} {
			cmd := f.machine("one")
			cmd.Env = append(cmd.Env, variable)
			f.refused(t, cmd, want)
		}
	})
	t.Run("closed input", func(t *testing.T) {
		cmd := exec.Command("/bin/sh", "-c", `exec "$0" --print-command <&-`, f.machine("one").Path)
		cmd.Env = f.machine("one").Env
		if out, err := cmd.Output(); err != nil || !bytes.HasPrefix(out, []byte("/usr/bin/qemu-system-x86_64 ")) {
			t.Errorf("it shows %q, %v", out, err)
		}
	})
}

// starts is how often testInterrupted starts a machine for each signal.
const starts = 10

// testInterrupted ends machines at random moments of their start. All of it is gone then, but for a whole disk, and the
// next machine starts with that.
func testInterrupted(t *testing.T, f fleet) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	paused(t, f.machine("one")).quit()
	whole := len(f.read(t, "one.qcow2"))
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		for i := range starts {
			if i%2 == 0 { // Otherwise it is replaced.
				if err := os.Remove(filepath.Join(f.dir, "one.qcow2")); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			}
			// An input that stays open, as otherwise QEMU might end by itself.
			g := launch(t, f.machine("one", "--fresh", "-S"))
			end := time.AfterFunc(time.Duration(random.Int64N(int64(600*time.Millisecond))), func() { _ = g.cmd.Process.Signal(signal) })
			g.wait(commandTimeout)
			end.Stop()
			f.checkGone(t)
			names := slices.DeleteFunc(f.files(t), func(name string) bool {
				return name == "one.qcow2.new" && signal == syscall.SIGKILL // Under a name that nobody takes for a disk.
			})
			if len(names) == 0 {
				continue
			}
			if size := len(f.read(t, "one.qcow2")); len(names) > 1 || size != whole {
				t.Errorf("after %v there are %v; the disk has %d bytes, want %d", signal, names, size, whole)
			}
		}
	}
	paused(t, f.machine("one")).quit()
	if diff := cmp.Diff([]string{"one.qcow2"}, f.files(t)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// testDisks gives machines disks of their own, of others, and none.
func testDisks(t *testing.T, f fleet) {
	others := func(args ...string) *exec.Cmd {
		cmd := f.machine("two", args...)
		cmd.Env = append(cmd.Env, "NBUILD_DISK_IMAGE=one.qcow2")
		return cmd
	}
	if out, err := f.machine("one", "--print-command").Output(); err != nil || !bytes.Contains(out, []byte("file=./one.qcow2,")) {
		t.Errorf("--print-command shows %q, %v", out, err)
	}
	g := paused(t, f.machine("one", "--ephemeral"))
	g.quit()
	if got := f.files(t); len(got) > 0 {
		t.Fatalf("a disk was made all the same: %v", got)
	}
	g = paused(t, f.machine("one"))
	f.refusedBeside(t, f.machine("one"), "disk image ./one.qcow2 is in use by another virtual machine; stop that one")
	f.refusedBeside(t, f.machine("one", "--fresh"), "is in use by another virtual machine")
	f.refusedBeside(t, f.machine("one", "--ephemeral"), "is in use by another virtual machine")
	g.quit()
	f.checkGone(t)
	made := f.read(t, "one.qcow2")

	want := "run-two-vm: disk image ./one.qcow2 was made for one with Debian trixie (64 MiB, /nbuild/store/"
	f.refused(t, others(), want)
	f.refused(t, others("--ephemeral"), want)
	f.refused(t, others("--fresh", "--keep"), "--fresh and --keep contradict each other")

	t.Run("ephemeral", func(t *testing.T) {
		first, second := paused(t, f.machine("one", "--ephemeral")), paused(t, others("--ephemeral", "--keep"))
		f.refusedBeside(t, f.machine("one"), "is in use by another virtual machine")
		third := paused(t, others("--fresh", "--ephemeral")) // It doesn't look at the disk.
		for _, g := range []*guest{first, second, third} {
			g.quit()
		}
		f.checkGone(t)
		if got := f.read(t, "one.qcow2"); !bytes.Equal(made, got) {
			t.Error("the disk was written to")
		}
	})
	t.Run("grown", func(t *testing.T) {
		f.edit("nbuild.star", `"disk_size": 64`, `"disk_size": 100`)
		f.make("one", "two")
		for _, args := range [][]string{{"--ephemeral"}, nil} {
			g := paused(t, f.machine("one", args...))
			g.send("info block -v disk\n")
			g.expect("virtual size: 100 MiB", commandTimeout)
			g.quit()
		}
		f.refused(t, others(), want) // What QEMU has changed in the header has not changed that.
	})
	t.Run("kept", func(t *testing.T) {
		before := f.read(t, "one.qcow2")
		g := paused(t, others("--keep"))
		g.quit()
		if got := f.read(t, "one.qcow2"); bytes.Equal(before, got) || len(before) != len(got) {
			t.Error("the disk does not remember")
		}
		g = paused(t, others())
		g.quit()
		f.refused(t, f.machine("one"), "disk image ./one.qcow2 was made for two with Debian trixie (100 MiB, ")
	})
	t.Run("fresh", func(t *testing.T) {
		if err := os.Rename(filepath.Join(f.dir, "one.qcow2"), filepath.Join(f.scratch, "one.qcow2")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../scratch/one.qcow2", filepath.Join(f.dir, "one.qcow2")); err != nil {
			t.Fatal(err)
		}
		g := paused(t, f.machine("one", "--fresh"))
		g.quit()
		if target, err := os.Readlink(filepath.Join(f.dir, "one.qcow2")); err != nil || target != "../scratch/one.qcow2" {
			t.Errorf("the link to the disk leads to %q, %v", target, err)
		}
		if !bytes.Contains(f.read(t, "one.qcow2")[:4096], []byte("host=one ")) {
			t.Error("the disk is the old one")
		}
	})
}

// refusedBeside is refused while other machines run.
func (f fleet) refusedBeside(t *testing.T, cmd *exec.Cmd, want string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("it says %q (%v), want %q", out, err, want)
	}
}

// full is a system whose kernel has 9p, and one that wants it.
const full = `
_modules = [{"boot.kernel_package": "linux-image-amd64", "virtualisation.disk_size": 64}]
full = system("full", modules = _modules)
nine = system("nine", modules = _modules + [{"virtualisation.store_share": "9p"}])
cloud = system("cloud")
`

// TestStoreShare boots a machine from a store whose virtiofsd is gone, so that it has to be done with 9p.
func TestStoreShare(t *testing.T) {
	t.Parallel()
	f := newFleet(t, full, "full", "nine", "cloud")
	out, err := f.machine("nine", "--print-command").Output()
	if err != nil || !bytes.Contains(out, []byte("virtio-9p-pci,fsdev=store,")) || bytes.Contains(out, []byte("vhost-user-fs-pci")) {
		t.Errorf("with 9p the command is %q, %v", out, err)
	}
	copied := filepath.Join(filepath.Dir(f.dir), "copy")
	f.copyClosure(t, copied, "full", "cloud")
	start := func(name string, args ...string) *exec.Cmd {
		cmd := f.machine(name, args...)
		cmd.Path = filepath.Join(copied, filepath.Base(string(f.storePath(name))), "bin/run-"+name+"-vm")
		cmd.Args[0] = cmd.Path
		return cmd
	}
	f.refused(t, start("cloud", "--ephemeral"), "virtiofsd, which shares the store, cannot start, and the kernel has no 9p")
	g := startGuest(t, start("full", "--ephemeral"))
	g.check("systemctl is-system-running --wait", "running")
	g.check("findmnt -n -o FSTYPE,OPTIONS /nbuild/store | sed 's/  */ /g; s/,.*//'", "9p ro")
	g.check("dpkg -V | grep -v nftables.conf; test -x /nbuild/store/*-system-full/init; touch /nbuild/store/x 2>&1 | grep -o Read-only", "Read-only")
	g.check("echo kept >/root/kept; sync; df --output=size -m / | awk 'NR == 2 { print ($1 <= 64) }'", "1")
	seen, _ := g.console.after(0)
	if !strings.Contains(seen, "run-full-vm: virtiofsd cannot start, so the store is shared by 9p, which is slower") {
		t.Error("it doesn't say that virtiofsd cannot start")
	}
	g.poweroff()
	f.checkGone(t)
	if got := f.files(t); len(got) > 0 {
		t.Errorf("files are left: %v", got)
	}
}

// copyClosure makes a store of what machines need, but for virtiofsd.
func (f fleet) copyClosure(t *testing.T, to string, names ...string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o755); err != nil { // An object can be a file.
		t.Fatal(err)
	}
	for _, name := range names {
		paths, _ := f.nbuild("store", "closure", name)
		for _, path := range strings.Fields(paths) {
			object := filepath.Base(path)
			err := filepath.WalkDir(filepath.Join(f.store(), "objects", object), func(file string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				rest := strings.TrimPrefix(file, filepath.Join(f.store(), "objects"))
				target := filepath.Join(to, rest)
				switch {
				case d.IsDir():
					err = os.MkdirAll(target, 0o755)
				case d.Name() != "virtiofsd":
					err = os.Link(file, target)
				}
				if errors.Is(err, fs.ErrExist) { // Both machines have it.
					return nil
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
