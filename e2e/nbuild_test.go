//go:build e2e

// Package e2e builds real systems from a Debian archive, boots them and looks. The archive is found as on a user's
// machine; $NBUILD names the nbuild to test. Everything else is made here: stores, projects, keys and users.
package e2e

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"nbuild/internal/fsx"
	"nbuild/internal/storepath"
)

// binary returns the nbuild to test.
func binary(t *testing.T) string {
	t.Helper()
	name := os.Getenv("NBUILD")
	if name == "" {
		t.Fatal("set NBUILD to the nbuild to test, or run make e2e")
	}
	return name
}

// A user runs nbuild: whoever runs the tests, or somebody without any privilege.
type user struct {
	name string
	id   uint32 // 0: whoever runs the tests
}

// nobody has no entry in /etc/passwd and no subordinate ids, which is all that most users have, or more.
var nobody = user{"unprivileged user", 61234}

// unprivileged returns a user without any privilege: whoever runs the tests, unless that is root.
func unprivileged() user {
	if os.Getuid() == 0 {
		return nobody
	}
	return user{name: "this user"}
}

// A place is a store and a project that belong to a user.
type place struct {
	t      *testing.T
	user   user
	dir    string // project
	home   string // no other place's: its processes are known by it
	shared string // store that other places have too; "" is one of its own, below home
	umask  string // of its processes; "" is that of the tests
}

// storesVariable names the folder of the stores that tests share.
const storesVariable = "NBUILD_E2E_STORES"

// TestMain makes the folder of the stores that tests share, and removes it.
func TestMain(m *testing.M) {
	stores, err := os.MkdirTemp("", "nbuild-e2e-stores-*")
	if err == nil {
		err = errors.Join(os.Chmod(stores, 0o755), os.Setenv(storesVariable, stores))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if err := fsx.RemoveAll(stores); err != nil { // The stores' objects are read-only.
		fmt.Fprintln(os.Stderr, err)
		status = max(status, 1)
	}
	os.Exit(status)
}

// newPlace makes an empty store and an empty project. The store lies below a path whose length is no other's.
func newPlace(t *testing.T, u user) *place {
	t.Helper()
	p := newProject(t, u)
	p.shared = ""
	return p
}

// newProject makes an empty project. Its store is that of the user's other projects, so that a test which isn't about an
// empty store has at hand what others have downloaded and unpacked.
func newProject(t *testing.T, u user) *place {
	t.Helper()
	top, err := os.MkdirTemp("", "nbuild-e2e-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fsx.RemoveAll(top); err != nil { // The store's objects are read-only.
			t.Errorf("clean up: %v", err)
		}
	})
	p := &place{
		t: t, user: u, dir: filepath.Join(top, "project"), home: filepath.Join(top, "home"),
		shared: filepath.Join(os.Getenv(storesVariable), strconv.Itoa(int(u.id))),
	}
	for _, dir := range []string{top, p.dir, p.home, p.shared} {
		u.mkdir(t, dir)
	}
	return p
}

// mkdir makes a folder of the user's that everybody can read, unless it is there.
func (u user) mkdir(t *testing.T, dir string) {
	t.Helper()
	err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755))
	if u.id != 0 {
		err = errors.Join(err, os.Chown(dir, int(u.id), int(u.id)))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// write puts a file into the project.
func (p *place) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) store() string {
	return cmp.Or(p.shared, filepath.Join(p.home, ".local/share/nbuild"))
}

// command prepares a program as the place's user, in the project's folder, with a PATH on which there is nothing: what a
// build or a machine needs is in the store.
func (p *place) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	if p.umask != "" {
		cmd = exec.Command("/bin/sh", append([]string{"-c", "umask " + p.umask + ` && exec "$0" "$@"`, name}, args...)...)
	}
	cmd.Dir = p.dir
	cmd.Env = []string{"HOME=" + p.home, "PATH=/nonexistent", "TERM=dumb"}
	if p.shared != "" {
		cmd.Env = append(cmd.Env, "NBUILD_STORE="+p.shared)
	}
	for _, pass := range []string{"NBUILD_DEBIAN_MIRROR", "NBUILD_DEBIAN_KEYRING", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if value, ok := os.LookupEnv(pass); ok {
			cmd.Env = append(cmd.Env, pass+"="+value)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.user.id != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: p.user.id, Gid: p.user.id}
	}
	return cmd
}

// nbuild runs nbuild, which must succeed, and returns what it wrote to stdout and stderr.
func (p *place) nbuild(args ...string) (stdout, stderr string) {
	p.t.Helper()
	stdout, stderr, err := p.try(args...)
	if err != nil {
		p.t.Fatalf("nbuild %s as %s: %v\n%s%s", strings.Join(args, " "), p.user.name, err, stdout, stderr)
	}
	return stdout, stderr
}

func (p *place) try(args ...string) (stdout, stderr string, err error) {
	p.t.Helper()
	var out, errs bytes.Buffer
	cmd := p.command(binary(p.t), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// counts are the numbers at the end of a run.
type counts struct{ built, fetched, cached int }

var countsLine = regexp.MustCompile(`(?m)^nbuild: (\d+) built, (\d+) fetched, (\d+) cached in `)

func parseCounts(t *testing.T, stderr string) counts {
	t.Helper()
	m := countsLine.FindStringSubmatch(stderr)
	if m == nil {
		t.Fatalf("no counts at the end of:\n%s", stderr)
	}
	number := func(s string) int {
		n, _ := strconv.Atoi(s)
		return n
	}
	return counts{number(m[1]), number(m[2]), number(m[3])}
}

var builtLine = regexp.MustCompile(`(?m)^nbuild: built (\S+) `)

// builtNames returns what a run built, in order.
func builtNames(stderr string) (names []string) {
	for _, m := range builtLine.FindAllStringSubmatch(stderr, -1) {
		names = append(names, m[1])
	}
	return names
}

// storePath returns the store path that a result link leads to.
func (p *place) storePath(link string) storepath.Path {
	p.t.Helper()
	target, err := os.Readlink(filepath.Join(p.dir, link))
	if err != nil {
		p.t.Fatal(err)
	}
	path, err := storepath.Parse(storepath.Prefix + "/" + filepath.Base(target))
	if err != nil {
		p.t.Fatal(err)
	}
	return path
}

// requireRoot skips, loudly, what only root can test: that somebody else can do it too.
func requireRoot(t *testing.T, what string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skipf("NOT TESTED: %s, because only root can become another user", what)
	}
}
