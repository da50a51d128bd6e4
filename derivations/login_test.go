package derivations

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// systemWith returns a system of which some packages have other versions; those with none are left out.
func systemWith(t *testing.T, versions map[string]string) *System {
	t.Helper()
	return newTestSystem(t, func(s *SystemSpec) {
		for name, version := range versions {
			i := slices.IndexFunc(s.Packages, func(p PackageFile) bool { return p.Name == name })
			if s.Packages[i].Version = version; version == "" {
				s.Packages = slices.Delete(s.Packages, i, i+1)
			}
		}
	})
}

// program puts a shell script into the machine's folder of programs.
func (r *fakeRunner) program(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.top, "usr/bin", name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// TestRunnerOffersLogin looks at how QEMU and the guest hear of the way in.
func TestRunnerOffersLogin(t *testing.T) {
	r := fakeRunnerOf(t, systemWith(t, map[string]string{"systemd": "257.13-1~deb13u1"}).VM)
	if out, err := r.start(nil, "-name", "last"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	args := r.starts("qemu")[0]
	if devices := options(args, "-device"); !slices.Contains(devices, "virtserialport,chardev=login,name=nbuild.login") {
		t.Errorf("QEMU has no port: %q", devices)
	}
	if strings.Contains(strings.Join(args, " "), "the secret key") {
		t.Errorf("the key is in arguments, which all users can read: %q", args)
	}
	got := map[string]string{}
	for _, table := range options(args, "-smbios") {
		file, found := strings.CutPrefix(table, "type=11,path=")
		text, err := os.ReadFile(filepath.Join(r.top, file))
		if !found || err != nil {
			t.Fatalf("-smbios %s: %v", table, err)
		}
		credential, value, found := strings.Cut(strings.TrimPrefix(string(text), "io.systemd.credential:"), "=")
		if !found || !strings.HasPrefix(string(text), "io.systemd.credential:") {
			t.Errorf("%s is no credential: %q", file, text)
		}
		got[credential] = value
	}
	unit := got["systemd.extra-unit.nbuild-login.service"]
	delete(got, "systemd.extra-unit.nbuild-login.service")
	want := map[string]string{
		"nbuild.key":        "the secret key\n",
		"nbuild.authorized": "ssh-ed25519 public \n",
		"systemd.unit-dropin.multi-user.target~nbuild": "[Unit]\nWants=nbuild-login.service\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	for _, line := range []string{"Wants=dev-virtio\\x2dports-nbuild.login.device", "ImportCredential=nbuild.*", "Restart=always"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit lacks the line %s:\n%s", line, unit)
		}
	}
	hosts, err := os.ReadFile(filepath.Join(r.top, "nbuild/run/login.hosts"))
	if err != nil || strings.TrimSpace(string(hosts)) != "guest ssh-ed25519 public" {
		t.Errorf("the hosts that are trusted: %q, %v", hosts, err)
	}
}

// TestNoLogin holds why nobody can log in, and that it is said at once.
func TestNoLogin(t *testing.T) {
	tests := []struct {
		name   string
		system *System
		want   string
	}{
		{"no server", systemWith(t, map[string]string{"openssh-server": ""}), "the system has no SSH server; set services.openssh.enable to True"},
		{"old systemd", systemWith(t, map[string]string{"systemd": "252.38-1~deb12u1"}), "systemd 252.38-1~deb12u1 is too old"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := fakeRunnerOf(t, test.system.VM)
			if out, err := r.start(nil); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if tables := options(r.starts("qemu")[0], "-smbios"); tables != nil {
				t.Errorf("the guest is told all the same: %q", tables)
			}
			out, err := r.step("login", "", nil, "true")
			if code := exitStatus(err); code != 255 || !strings.Contains(out, test.want) {
				t.Errorf("login: exit status %d, it says %q, want %q", code, out, test.want)
			}
		})
	}
	if fault := loginFault([]PackageFile{{Name: "openssh-server", Version: "1"}, {Name: "systemd", Version: "260~rc1-1"}}); fault != "" {
		t.Errorf("with a newer systemd: %s", fault)
	}
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// fakeClient is an SSH client whose connections fail $FAKE_FAILURES times. The command of each login is written down.
const fakeClient = `case " $* " in
*" -O check "*) [ -e "$FAKE_RECORDS/connection" ] ;;
*" -f "*)
	failures=$(cat "$FAKE_RECORDS/failures" 2>/dev/null || echo 0)
	[ "$failures" -lt "$FAKE_FAILURES" ] || { echo >>"$FAKE_RECORDS/connection"; exit 0; }
	echo $((failures + 1)) >"$FAKE_RECORDS/failures"
	echo "Bad packet length" >&2
	exit 255 ;;
*)
	while [ "$1" != guest ]; do shift; done
	shift
	for word; do echo "$word" >>"$FAKE_RECORDS/words"; done
	cat
	exit 7 ;;
esac
`

// TestLogin logs in twice, by one connection, which some tries may take.
func TestLogin(t *testing.T) {
	tests := []struct {
		name     string
		failures string
		code     int
		says     string
	}{
		{"at once", "0", 7, ""},
		{"after a restart of the guest", "3", 7, ""},
		{"never", "1000", 255, "run-web-vm: the guest cannot be logged in to: Bad packet length\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newFakeRunner(t, Machine{})
			r.program("ssh", fakeClient)
			if err := os.Mkdir(filepath.Join(r.top, "nbuild/run"), 0o755); err != nil {
				t.Fatal(err)
			}
			listen(filepath.Join(r.top, "nbuild/run/login.socket"))
			for range 2 {
				out, err := r.step("login", "", []string{"FAKE_FAILURES=" + test.failures}, "echo", "a  b", "")
				if code := exitStatus(err); code != test.code || out != test.says {
					t.Errorf("exit status %d, it says %q; want %d, %q", code, out, test.code, test.says)
				}
			}
			if test.code == 255 {
				return
			}
			words, err := os.ReadFile(filepath.Join(r.top, "records/words"))
			if want := strings.Repeat("echo\na  b\n\n", 2); err != nil || string(words) != want {
				t.Errorf("the client got the words %q (%v), want %q", words, err, want)
			}
			if connections, err := os.ReadFile(filepath.Join(r.top, "records/connection")); err != nil || string(connections) != "\n" {
				t.Errorf("%d connections were made (%v), want 1", len(connections), err)
			}
		})
	}
}

// TestReach connects the host's end of the port with the guest's, when the port has the rests of other connections in it.
func TestReach(t *testing.T) {
	r := newFakeRunner(t, Machine{})
	text, err := os.ReadFile(filepath.Join(r.top, "run-vm-login"))
	if err != nil || os.Mkdir(filepath.Join(r.top, "nbuild/run"), 0o755) != nil {
		t.Fatal(err)
	}
	_, unit, found := strings.Cut(string(text), "ExecStart=/bin/sh -c '")
	script, _, closed := strings.Cut(unit, "'\n")
	if !found || !closed {
		t.Fatalf("the unit starts no shell: %s", unit)
	}
	// systemd would see to the dollars and the lines.
	script = strings.NewReplacer("$$", "$", "\\\n", " ").Replace(script)
	server := regexp.MustCompile(`exec /\S*/sshd [^;]*;`)
	if !server.MatchString(script) {
		t.Fatalf("the guest starts no server: %s", script)
	}
	script = server.ReplaceAllString(script, "exec cat;")
	answers := regexp.MustCompile(`^(hello \S+\n)*`)
	tests := []struct{ name, toGuest, toHost string }{
		{"nothing", "", ""},
		{"a server that ended", "", "SSH-2.0-old\r\n\x00\xff no line's end"},
		{"another connection's greetings", "hello 1\nhello 2\ngo 1\nxx", "hello 1\nhello 2\n"},
		{"a client that ended", "SSH-2.0-old\r\n\x00\xffgo", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, text := range map[string]string{"guest": script, "to-guest": test.toGuest, "to-host": test.toHost} {
				if err := os.WriteFile(filepath.Join(r.top, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r.program("nc.openbsd", fmt.Sprintf("cd '%s'; cat to-host; cat to-guest - | /bin/sh guest\n", r.top))
			want := "SSH-2.0-new\r\nand \x00 bytes\n"
			out, err := r.step("reach", want, nil)
			// A client skips what comes before the server's name: here, answers to repeated greetings.
			if got := answers.ReplaceAllString(out, ""); err != nil || got != want {
				t.Errorf("%v: the client's %q came back as %q", err, want, out)
			}
		})
	}
}
