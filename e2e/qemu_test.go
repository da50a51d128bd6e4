//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// qemuTools declares a target, qemu, for p.qemu: QEMU, and firmware of both kinds.
const qemuTools = `
qemu = debian("trixie").tree(["ovmf", "qemu-system-x86"])
`

// qemu prepares a machine that has what the arguments add and no more, for what nbuild makes but doesn't run. The firmware is
// "bios" or "uefi". The console is its first serial port; launch starts it.
func (p *place) qemu(firmware string, arguments ...string) *exec.Cmd {
	p.t.Helper()
	path, _ := p.nbuild("qemu", "--no-link", "--print-out-paths")
	tools := filepath.Join(p.store(), "objects", filepath.Base(strings.TrimSpace(path)))
	share := tools + "/usr/share/"
	words := []string{
		"--inhibit-cache", "--library-path", tools + "/usr/lib/x86_64-linux-gnu", tools + "/usr/bin/qemu-system-x86_64",
		"-L", share + "qemu", "-L", share + "seabios", "-L", tools + "/usr/lib/ipxe/qemu",
		"-nodefaults", "-no-user-config", "-machine", "q35", "-m", "1024",
		"-display", "none", "-serial", "stdio",
	}
	if hasKVM() {
		words = append(words, "-cpu", "max", "-smp", "2", "-accel", "kvm") // The place's user may not be allowed to: then the next one is taken.
	} else {
		words = append(words, "-cpu", "max,-svm,-la57,-smap", "-smp", "1") // Two cost a third more time of the host's processors.
	}
	words = append(words, "-accel", "tcg,thread=multi")
	if firmware == "uefi" {
		// What it would keep is lost at the end.
		words = append(words,
			"-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+share+"OVMF/OVMF_CODE_4M.fd",
			"-drive", "if=pflash,unit=1,format=raw,snapshot=on,file="+share+"OVMF/OVMF_VARS_4M.fd")
	}
	return p.command(tools+"/usr/lib64/ld-linux-x86-64.so.2", append(words, arguments...)...)
}

// hasKVM reports whether this machine can run guests without emulating their processor.
func hasKVM() bool {
	file, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	return file.Close() == nil && !hasBrokenKVM()
}

// A monitor is the connection to a QEMU by which it is asked for things. The protocol, QMP, is in QEMU's manual: each side
// writes JSON objects.
type monitor struct {
	t        *testing.T
	listener *net.UnixListener
	conn     *net.UnixConn // nil before the first command
	answers  *json.Decoder
	picture  string // the file that QEMU writes a picture of the screen to
}

// monitored makes a command connect to the test: that of p.qemu, or of p.runner.
func (p *place) monitored(t *testing.T, cmd *exec.Cmd) *monitor {
	t.Helper()
	// Not in the project's folder, where files that are left are faults.
	dir, err := os.MkdirTemp(p.home, "monitor-*")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	// QEMU may run as another user.
	if err := errors.Join(os.Chmod(dir, 0o777), os.Chmod(socket, 0o777)); err != nil {
		t.Fatal(err)
	}
	cmd.Args = append(cmd.Args, "-chardev", "socket,id=monitor,path="+socket, "-mon", "chardev=monitor,mode=control")
	return &monitor{t: t, listener: listener, picture: filepath.Join(dir, "screen.png")}
}

// monitorTimeout is how long QEMU may take to answer. A machine that is busy with others needs a second or two.
const monitorTimeout = time.Minute

// do runs a command of QMP and returns what it returns.
func (m *monitor) do(command string, arguments any) json.RawMessage {
	m.t.Helper()
	if m.conn == nil {
		m.connect()
	}
	question := map[string]any{"execute": command}
	if arguments != nil {
		question["arguments"] = arguments
	}
	text, err := json.Marshal(question)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.conn.SetDeadline(time.Now().Add(monitorTimeout)); err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.conn.Write(append(text, '\n')); err != nil {
		m.t.Fatalf("QEMU: %s: %v", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
			// Anything else is news, which nobody asked for.
		}
		if err := m.answers.Decode(&answer); err != nil {
			m.t.Fatalf("QEMU: %s: %v", command, err)
		}
		if answer.Error != nil {
			m.t.Fatalf("QEMU: %s: %s", command, answer.Error.Desc)
		}
		if answer.Return != nil {
			return answer.Return
		}
	}
}

// connect waits for QEMU, which begins.
func (m *monitor) connect() {
	m.t.Helper()
	if err := m.listener.SetDeadline(time.Now().Add(monitorTimeout)); err != nil {
		m.t.Fatal(err)
	}
	conn, err := m.listener.AcceptUnix()
	if err != nil {
		m.t.Fatalf("QEMU doesn't connect: %v", err)
	}
	m.t.Cleanup(func() { _ = conn.Close() })
	m.conn, m.answers = conn, json.NewDecoder(conn)
	m.do("qmp_capabilities", nil)
}

// press types a key, by the name that QEMU has for it.
func (m *monitor) press(key string) {
	m.t.Helper()
	m.do("send-key", map[string]any{"keys": []any{map[string]any{"type": "qcode", "data": key}}})
}

// screen returns what the machine shows.
func (m *monitor) screen() image.Image {
	m.t.Helper()
	m.do("screendump", map[string]any{"filename": m.picture, "format": "png"})
	file, err := os.Open(m.picture)
	if err != nil {
		m.t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		m.t.Fatalf("QEMU's picture of the screen: %v", err)
	}
	return picture
}

// screenTimeout is how long a picture may take to come: firmware needs two to ten seconds to GRUB's menu without KVM.
const screenTimeout = 3 * time.Minute

// waitScreen looks at the screen until check finds nothing to complain about, and returns that picture. It is kept as
// name.png among the test's artifacts, or the last one is.
func (m *monitor) waitScreen(name string, check func(image.Image) error) image.Image {
	m.t.Helper()
	deadline := time.Now().Add(screenTimeout)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		picture := m.screen()
		err := check(picture)
		late := time.Now().After(deadline)
		if err == nil || late {
			m.keep(name, picture)
		}
		if err == nil {
			return picture
		}
		if late {
			m.t.Fatalf("the screen after %s: %v", screenTimeout, err)
		}
		<-tick.C
	}
}

// keep writes a picture for somebody to look at.
func (m *monitor) keep(name string, picture image.Image) {
	m.t.Helper()
	file, err := os.Create(filepath.Join(m.t.ArtifactDir(), name+".png"))
	if err != nil {
		m.t.Fatal(err)
	}
	if err := errors.Join(png.Encode(file, picture), file.Close()); err != nil {
		m.t.Fatal(err)
	}
}

// settled returns a check for a picture of a size, of more than one colour, that is the same as the last two.
func settled(width, height int) func(image.Image) error {
	last, same := "", 0
	return func(picture image.Image) error {
		if err := sized(picture, width, height); err != nil {
			return err
		}
		pixels := rgba(picture).Pix
		if text := string(pixels); text != last {
			last, same = text, 0
		} else {
			same++
		}
		if same < 2 {
			return errors.New("it changes")
		}
		if isPlain(pixels) {
			return errors.New("it has one colour")
		}
		return nil
	}
}

func sized(picture image.Image, width, height int) error {
	if size := picture.Bounds().Size(); size != image.Pt(width, height) {
		return fmt.Errorf("it has %d×%d pixels, want %d×%d", size.X, size.Y, width, height)
	}
	return nil
}
