//go:build e2e

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestExamples builds and boots all that is in examples, without any privilege, in one store.
func TestExamples(t *testing.T) {
	t.Parallel()
	u := unprivileged()
	p := newProject(t, u)
	for name, test := range map[string]func(*testing.T, *place){"hello": testHello, "app": testApp, "web": testWeb, "database": testDatabase} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p.example(t, name))
		})
	}
}

// example copies an example into a project of its own, which uses the place's store. It has no lock file: what is newest
// in the archive must do.
func (p *place) example(t *testing.T, name string) *place {
	t.Helper()
	e := &place{t: t, user: p.user, dir: filepath.Join(filepath.Dir(p.dir), name), home: p.home, shared: p.shared}
	if err := os.CopyFS(e.dir, os.DirFS(filepath.Join("../examples", name))); err != nil {
		t.Fatal(err)
	}
	if p.user.id != 0 {
		if err := os.Chown(e.dir, int(p.user.id), int(p.user.id)); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// edit replaces a text in a file of the project, which must have it once.
func (p *place) edit(file, old, text string) {
	p.t.Helper()
	before, err := os.ReadFile(filepath.Join(p.dir, file))
	if err != nil {
		p.t.Fatal(err)
	}
	if n := strings.Count(string(before), old); n != 1 {
		p.t.Fatalf("%s has %q %d times, want it once", file, old, n)
	}
	p.write(file, strings.Replace(string(before), old, text, 1))
}

// moveForward makes an example's forwarded port another one that is free, and returns that.
func (p *place) moveForward(port int) int {
	p.t.Helper()
	free := freePort(p.t)
	p.edit("nbuild.star", fmt.Sprintf(`"host_port": %d`, port), fmt.Sprintf(`"host_port": %d`, free))
	return free
}

// builds runs nbuild and compares the names of what it built, in any order.
func (p *place) builds(target string, want ...string) {
	p.t.Helper()
	_, stderr := p.nbuild(target)
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(builtNames(stderr)))); diff != "" {
		p.t.Errorf("what nbuild %s built (-want +got):\n%s", target, diff)
	}
}

// testHello compiles a C program with Debian's compiler and runs it in another build.
func testHello(t *testing.T, p *place) {
	_, stderr := p.nbuild("greeting")
	got, err := os.ReadFile(filepath.Join(p.dir, "result"))
	if err != nil || string(got) != "Hello, world!\n" {
		t.Errorf("the greeting is %q, %v\n%s", got, err, stderr)
	}

	// A comment changes the source, but not what the compiler makes of it: the build above doesn't run again.
	p.edit("hello/hello.c", "#include <stdio.h>", "#include <stdio.h> // a comment")
	p.builds("greeting", "hello")
}

// testApp has a program of the project run as a service, which is in the system's closure and follows its source.
func testApp(t *testing.T, p *place) {
	port := p.moveForward(7000)
	p.nbuild("vm")
	g := startGuest(t, p.runner("app"))
	expectGreeting(t, port, "Hello, visitor 1!\n")
	program, _ := g.run("readlink /proc/$(systemctl show -P MainPID greeter)/exe")
	if closure := p.storeClosure(t, "app"); !strings.Contains(closure, strings.Split(strings.TrimPrefix(program, "/nbuild/store/"), "/")[0]+"\n") {
		t.Errorf("the service runs %s, which is not in the closure:\n%s", program, closure)
	}
	g.check("journalctl -u greeter -o cat --no-pager | grep greeted", "greeted visitor 1")
	g.check("systemctl is-system-running --wait", "running")
	g.poweroff()

	p.edit("greeter/greeter.c", "Hello, ", "Welcome, ")
	p.builds("vm", "greeter", "top-layer-app", "system-app", "vm-app")
	g = startGuest(t, p.runner("app"))
	expectGreeting(t, port, "Welcome, visitor 1!\n")
	g.poweroff()
}

// expectGreeting connects to the forwarded port until the machine answers.
func expectGreeting(t *testing.T, port int, want string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	got, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || got != want {
		t.Errorf("the service said %q, %v, want %q", got, err, want)
	}
}

// testWeb looks at a machine from outside and inside, changes a unit and the page, and looks again.
func testWeb(t *testing.T, p *place) {
	port, closed := p.moveForward(8080), freePort(t)
	p.nbuild("vm")
	g := startGuest(t, p.forwarding("web", closed))
	g.check("systemctl is-system-running --wait", "running")
	page, err := os.ReadFile(filepath.Join(p.dir, "site/index.html"))
	if err != nil {
		t.Fatal(err)
	}
	expectPage(t, port, "/", string(page))
	checkAccounts(g)
	checkFirewall(t, g, closed)
	checkJob(t, g, port)
	g.poweroff()

	p.edit("nbuild.star", `"calendar": "minutely",`, `"calendar": "minutely", "description": "Note the load",`)
	p.builds("vm", "top-layer-web", "system-web", "vm-web")
	checkRefused(t, p)
	p.write("site/index.html", "another page\n")
	p.edit("nbuild.star", `"locations": {`, `"locations": {"/again/": {"proxy_pass": "http://127.0.0.1:80/", "proxy_web_sockets": True}, `)
	p.builds("vm", "nginx.conf", "top-layer-web", "system-web", "vm-web")
	g = startGuest(t, p.runner("web"))
	g.check("systemctl show -P Description load.service", "Note the load")
	g.check("systemctl is-system-running --wait", "running")
	expectPage(t, port, "/", "another page\n")
	expectPage(t, port, "/again/", "another page\n")
	g.poweroff()
}

// checkRefused has a build refuse what nginx doesn't understand, and take certificates and addresses that only the
// running machine has.
func checkRefused(t *testing.T, p *place) {
	t.Helper()
	const open = `"open_firewall": True,`
	wrong := open + ` "virtual_hosts.localhost.extra_config": "lisen 81;",`
	p.edit("nbuild.star", open, wrong)
	_, stderr, err := p.try("vm")
	if want := regexp.MustCompile(`unknown directive "lisen" in /etc/nginx/nginx.conf:\d+\n`); err == nil || !want.MatchString(stderr) {
		t.Errorf("a wrong directive: %v, want %s in:\n%s", err, want, stderr)
	}
	elsewhere := open + ` "virtual_hosts.\"b.example\"": {
		"tls": {"certificate": "/run/pem", "key": secret("/run/key")},
		"locations./": {"proxy_pass": "http://server.invalid:3000"},
	},`
	p.edit("nbuild.star", wrong, elsewhere)
	p.builds("vm", "nginx.conf", "top-layer-web", "system-web", "vm-web")
	p.edit("nbuild.star", elsewhere, open)
}

// forwarding returns a runner that forwards another port of the host to port 8081 of the guest.
func (p *place) forwarding(host string, port int) *exec.Cmd {
	cmd := p.runner(host)
	cmd.Env = append(cmd.Env, fmt.Sprintf("QEMU_NET_OPTS=hostfwd=tcp:127.0.0.1:%d-:8081", port))
	return cmd
}

// expectPage gets a page from the machine, which has to be one that clients ask for anew each time.
func expectPage(t *testing.T, port int, path, want string) {
	t.Helper()
	client := &http.Client{Timeout: time.Minute}
	answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		t.Error(err)
		return
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || string(body) != want {
		t.Errorf("%s: %s, %q, %v, want %q", path, answer.Status, body, err, want)
	}
	if got := answer.Header.Get("Cache-Control"); got != "no-cache" || answer.Header.Get("ETag") != "" {
		t.Errorf("%s: clients would keep the page: %v", path, answer.Header)
	}
}

func checkAccounts(g *guest) {
	g.t.Helper()
	g.check("su ann -c 'sudo -n id -u'", "0")
	g.check("getent passwd ann ben | cut -d: -f5", "Ann, who looks after the machine\nBen, who writes the pages")
	if out, code := g.run("su ben -c 'sudo -n id -u'"); code == 0 {
		g.t.Errorf("ben may become root: %s", out)
	}
}

// checkFirewall has the guest listen on a port that the firewall doesn't name, and takes the firewall away.
func checkFirewall(t *testing.T, g *guest, port int) {
	t.Helper()
	g.run("systemd-run --unit listener systemd-socket-activate --listen 8081 --accept --inetd /bin/echo open")
	inside := "until exec 3<>/dev/tcp/127.0.0.1/8081; do :; done 2>/dev/null; cat <&3; exec 3<&-"
	g.check(inside, "open")
	if got, err := readLine(port, 5*time.Second); !isTimeout(err) {
		t.Errorf("a port that the firewall doesn't open: got %q, %v, want a timeout", got, err)
	}
	g.check("nft flush ruleset", "")
	if got, err := readLine(port, time.Minute); err != nil || got != "open\n" {
		t.Errorf("the port without the firewall: got %q, %v", got, err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// readLine connects to a port of this machine and reads a line.
func readLine(port int, timeout time.Duration) (string, error) {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), timeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString('\n')
}

// checkJob waits for a run that the timer has started.
func checkJob(t *testing.T, g *guest, port int) {
	t.Helper()
	g.check("journalctl -f -n all -o cat -u load.service | grep -q -m 1 Finished; systemctl show -P TriggeredBy load.service", "load.timer")
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/load.txt", port))
	if err != nil {
		t.Error(err)
		return
	}
	defer answer.Body.Close()
	var load [3]float64
	if _, err := fmt.Fscan(answer.Body, &load[0], &load[1], &load[2]); err != nil {
		t.Errorf("what the job wrote: %s, %v", answer.Status, err)
	}
}

// testDatabase writes a row, starts the machine again, and reads it.
func testDatabase(t *testing.T, p *place) {
	p.nbuild("vm")
	const table = "su ann -c 'psql -At notes -c \"SELECT text FROM note ORDER BY id\"'"
	g := startGuest(t, p.runner("database"))
	g.check("systemctl start postgresql; systemctl is-active postgresql", "active")
	g.check(table, "The first note.")
	g.check("su ann -c 'psql -q notes -c \"INSERT INTO note (text) VALUES (\\$\\$kept\\$\\$)\"'", "")
	g.check("systemctl is-system-running --wait", "running")
	g.poweroff()

	g = startGuest(t, p.runner("database"))
	g.check("systemctl start postgresql; systemctl is-active postgresql", "active")
	g.check(table, "The first note.\nkept")
	g.check("journalctl -b -u postgresql -o cat --no-pager | grep -c 'was not properly shut down'; true", "0")
	g.poweroff()
}
