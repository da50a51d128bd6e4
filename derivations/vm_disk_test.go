package derivations

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// madeDisk starts a machine and returns the disk that it made, the file and what is in it.
func (r *fakeRunner) madeDisk() (file string, content []byte) {
	r.t.Helper()
	if out, err := r.start(nil); err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	file = filepath.Join(r.folder, "web.qcow2")
	content, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	return file, content
}

// TestRunnerSignsDisk holds the form in which a disk says whose it is: formats.md has it.
func TestRunnerSignsDisk(t *testing.T) {
	_, disk := newFakeRunner(t, Machine{}).madeDisk()
	const header = 112
	text := "nbuild-disk host=web debian=trixie size=8192 system=" + newTestSystem(t, nil).Placeholder("out")
	want := "nbld\x00\x00\x02\x00" + text + strings.Repeat(" ", 512-len(text))
	if got := string(disk[header : header+len(want)]); got != want {
		t.Errorf("the header's first extension (-want +got):\n%s", cmp.Diff(want, got))
	}
	// The fake image has an extension of its own there, which moves behind.
	if rest := string(disk[header+len(want):]); rest != "its own" || !strings.HasPrefix(string(disk), "made") {
		t.Errorf("around it are %q and %q", disk[:header], rest)
	}
}

// TestRunnerAsksWhoseDiskItIs starts machines with disks that were made for others.
func TestRunnerAsksWhoseDiskItIs(t *testing.T) {
	const (
		other = "disk image ./web.qcow2 was made for abc with Debian trixie (8192 MiB, /nbuild/"
		older = "disk image ./web.qcow2 was made for web with Debian buster (8192 MiB, /nbuild/"
	)
	otherHost, otherDebian := []string{"host=web", "host=abc"}, []string{"debian=trixie", "debian=buster"}
	tests := []struct {
		name   string
		change []string // what the disk has another text for
		args   []string
		says   string // and doesn't start; empty when it starts
		signed bool   // whether the disk is as the machine itself would have made it, afterwards
	}{
		{name: "its own", signed: true},
		{name: "its own, kept", args: []string{"--keep"}, signed: true},
		{name: "another system", change: []string{"-web ", "-xyz "}},
		{name: "another size", change: []string{"size=8192", "size=4096"}},
		{name: "nobody's", change: []string{"nbuild-disk", "nothing-at-"}},
		{name: "another host", change: otherHost, says: other},
		{name: "another host, kept", change: otherHost, args: []string{"--keep"}, signed: true},
		{name: "another host, replaced", change: otherHost, args: []string{"--fresh"}, signed: true},
		{name: "another host, for once", change: otherHost, args: []string{"--ephemeral"}, says: other},
		{name: "another host, kept for once", change: otherHost, args: []string{"--ephemeral", "--keep"}},
		{name: "another host, new for once", change: otherHost, args: []string{"--fresh", "--ephemeral"}},
		{name: "another Debian", change: otherDebian, says: older},
		{name: "another Debian, kept", change: otherDebian, args: []string{"--keep"}, signed: true},
		{name: "elsewhere in the header", change: []string{"made\n", "made" + strings.Repeat("\xff", 601)}},
		{name: "another host, elsewhere", change: append([]string{"made\n", "made" + strings.Repeat("\n", 300)}, otherHost...), says: other},
		{name: "both", args: []string{"--fresh", "--keep"}, says: "--fresh and --keep contradict each other", signed: true},
		{name: "a pattern", change: append([]string{"made\n", "[*?]*"}, otherHost...), says: other},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newFakeRunner(t, Machine{})
			file, made := r.madeDisk()
			disk := []byte(strings.NewReplacer(test.change...).Replace(string(made)))
			if err := os.WriteFile(file, disk, 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := r.start(nil, test.args...)
			if starts := len(r.starts("qemu")) == 2; starts != (test.says == "") || starts != (err == nil) || !strings.Contains(out, test.says) {
				t.Errorf("it starts: %v; it says %q (%v), want %q", starts, out, err, test.says)
			}
			if test.says != "" && strings.Count(out, "run-web-vm: ") != 1+strings.Count(out, "emulated") {
				t.Errorf("it says more than one thing: %q", out)
			}
			if test.signed {
				disk = made
			}
			after, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(disk, after) {
				t.Errorf("the disk is another one (-want +got):\n%s", cmp.Diff(string(disk), string(after)))
			}
			if entries, err := os.ReadDir(r.folder); err != nil || len(entries) != 1 {
				t.Errorf("in the folder are %v (%v)", entries, err)
			}
		})
	}
}

// TestRunnerKeepsWhereItIs signs a disk anew whose header QEMU has put into another order.
func TestRunnerKeepsWhereItIs(t *testing.T) {
	r := newFakeRunner(t, Machine{})
	file, made := r.madeDisk()
	moved := bytes.Replace(made, []byte("nbld"), append(bytes.Repeat([]byte("\xff\n"), 700), "nbld"...), 1)
	if err := os.WriteFile(file, bytes.Replace(moved, []byte("host=web"), []byte("host=abc"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := r.start(nil, "--keep"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(moved), string(got)); diff != "" {
		t.Errorf("the disk (-want +got):\n%s", diff)
	}
}

// TestRunnerEphemeral looks at what QEMU is given to write to.
func TestRunnerEphemeral(t *testing.T) {
	r := newFakeRunner(t, Machine{})
	for range 2 { // The first makes no disk.
		if out, err := r.start(nil, "--ephemeral"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if entries, err := os.ReadDir(r.folder); err != nil || len(entries) > 0 {
			t.Errorf("it made %v (%v)", entries, err)
		}
	}
	r.madeDisk()
	if out, err := r.start(nil, "--ephemeral"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const want = "file=/nbuild/run/disk,if=none,id=disk,format=qcow2,snapshot=on"
	starts := r.starts("qemu")
	for _, i := range []int{0, 1, 3} {
		if got := options(starts[i], "-drive"); len(got) != 1 || got[0] != want {
			t.Errorf("the disk of start %d is %q, want %s", i, got, want)
		}
	}
	created, err := os.ReadFile(filepath.Join(r.top, "records/create"))
	if want := "create -q -f qcow2 -F qcow2 -b " + r.folder + "/web.qcow2 /nbuild/run/disk\n"; err != nil || strings.ReplaceAll(string(created), r.top, "") != want {
		t.Errorf("the overlay: %q (%v), want %q", created, err, want)
	}
}
