package scripts

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A layerTest is a run of top-layer.sh in a folder instead of /build, with a small package root.
type layerTest struct {
	t      *testing.T
	folder string
}

func newLayerTest(t *testing.T, build map[string]string) *layerTest {
	t.Helper()
	awk(t)
	if out, err := exec.Command("find", "--version").Output(); err != nil || !strings.Contains(string(out), "GNU") {
		t.Skip("NOT TESTED: top-layer.sh, because this machine's find is not GNU's")
	}
	l := &layerTest{t, t.TempDir()}
	for name, content := range packageAccounts() {
		l.write("packages/etc/"+name, content)
	}
	l.write("packages/etc/skel/.profile", "PATH=x\n")
	l.write("packages/etc/issue", "Debian\n")
	l.write("packages/usr/bin/bash", "")
	l.write("packages/usr/sbin/nologin", "")
	l.write("packages/usr/share/doc/copyright", "")
	l.write("packages/var/www/index.html", "")
	l.write("packages/usr/lib/systemd/system/web.service", "[Unit]\nAfter=x\n[Install]\nWantedBy=multi-user.target\nAlso=web.socket\n")
	l.write("packages/usr/lib/systemd/system/web.socket", "[Install]\nWantedBy=sockets.target\n")
	l.write("packages/usr/lib/systemd/system/getty@.service", "[Install]\n WantedBy = getty.target\n")
	l.write("packages/usr/lib/systemd/system/quiet.service", "[Service]\nExecStart=/bin/true\n")
	for link, target := range map[string]string{"bin": "usr/bin", "etc/systemd/system/old.target.wants/web.socket": "/usr/lib/systemd/system/web.socket"} {
		l.link("packages/"+link, target)
	}
	l.write("kernel/usr/lib/modules/6.1/x.ko", "")
	l.write("tables/usr/lib/modules/6.1/modules.dep", "")
	l.write("program/bin/hello", "")
	l.write("program/sbin/a b", "")
	l.write("source/a", "text of a\n")
	l.write("owners", "f 640 0 42 /etc/shadow\nf 4755 0 0 /usr/bin/bash\nd 2775 0 8 /var/www\nf 444 0 0 /usr/share/doc/copyright\n")
	// What makes the image keeps what it is told.
	l.write("bin/mksquashfs", "#!/bin/sh\ncp definitions \"$2\"\n")
	if err := os.Chmod(filepath.Join(l.folder, "bin/mksquashfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.write("accounts.awk", Accounts())
	l.write("units.awk", Units())
	l.write("script", strings.ReplaceAll(TopLayer(), "/build/", l.folder+"/"))
	for _, table := range []string{"groups", "users", "texts", "sources", "links", "enabled", "masked", "programs"} {
		l.write(table, "")
	}
	for name, content := range build {
		l.write(name, strings.ReplaceAll(content, "FOLDER", l.folder))
	}
	return l
}

func (l *layerTest) write(name, content string) {
	l.t.Helper()
	name = filepath.Join(l.folder, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *layerTest) link(name, target string) {
	l.t.Helper()
	name = filepath.Join(l.folder, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Symlink(target, name); err != nil {
		l.t.Fatal(err)
	}
}

// run runs the script and returns what it said.
func (l *layerTest) run() (string, error) {
	script := exec.Command("/bin/sh", "script")
	script.Dir = l.folder
	script.Env = []string{
		"PATH=" + l.folder + "/bin:" + os.Getenv("PATH"), "LC_ALL=C", "SOURCE_DATE_EPOCH=8640000", "NBUILD_CORES=1",
		"packages=" + l.folder + "/packages", "owners=" + l.folder + "/owners", "kernel=" + l.folder + "/kernel",
		"tables=" + l.folder + "/tables", "out=" + l.folder + "/out",
	}
	said, err := script.CombinedOutput()
	return string(said), err
}

// definitions returns what the image is told of each path, but for plain folders.
func (l *layerTest) definitions() map[string]string {
	l.t.Helper()
	text, err := os.ReadFile(filepath.Join(l.folder, "out"))
	if err != nil {
		l.t.Fatal(err)
	}
	definitions := map[string]string{}
	for line := range strings.Lines(strings.ReplaceAll(string(text), l.folder, "FOLDER")) {
		line = strings.ReplaceAll(strings.TrimSpace(line), `\ `, "_")
		path, definition, _ := strings.Cut(line, " ")
		if definitions[path] != "" {
			l.t.Errorf("%s is defined twice", path)
		}
		if definition != "d 755 0 0" && definition != "m 755 0 0" {
			definitions[path] = definition
		}
	}
	return definitions
}

// files returns the layer's files outside /etc, and those in there that aren't just as in the package root.
func (l *layerTest) files() map[string]string {
	l.t.Helper()
	files := map[string]string{}
	layer := filepath.Join(l.folder, "layer")
	err := filepath.WalkDir(layer, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		path := strings.TrimPrefix(name, layer)
		if entry.Type() == fs.ModeSymlink {
			files[path], err = os.Readlink(name)
			return err
		}
		content, err := os.ReadFile(name)
		before, missing := os.ReadFile(l.folder + "/packages" + path)
		if missing != nil || string(before) != string(content) || !strings.HasPrefix(path, "/etc/") {
			files[path] = string(content)
		}
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return files
}

func TestTopLayer(t *testing.T) {
	l := newLayerTest(t, map[string]string{
		"groups": "devs:20388::\n",
		"users": "ann:person:2001::::::new::devs\n" +
			"app:service:613::devs::/srv/app::always::\nwww-data:service:33:::::::::devs\n",
		"keys/ann":                                "ssh-ed25519 AAAA\n",
		"tree/etc/motd":                           "hello\n",
		"tree/etc/issue":                          "changed\n",
		"tree/home/ann/.config/a b":               "x\n",
		"tree/srv/app/conf":                       "y\n",
		"tree/etc/skel/.new":                      "z\n",
		"tree/srv/tree/b:c":                       "over the source\n",
		"tree/usr/lib/systemd/system/own.service": "[Install]\nRequiredBy=web.service\nAlias=other.service\n",
		"texts": "600:root:root:/etc/issue\n644:root:root:/etc/motd\n644:root:root:/etc/skel/.new\n755:ann:devs:/home/ann/.config/a b\n" +
			"640:app:44:/srv/app/conf\n440:www-data:root:/srv/tree/b:c\n644:root:root:/usr/lib/systemd/system/own.service\n",
		"sources":  ":app:0:FOLDER/source:/srv/tree\n:root:root:FOLDER/bin/mksquashfs:/usr/local/bin/tool\n600:5:devs:FOLDER/source/a:/srv/app/a\n",
		"links":    "../run/resolv.conf:/etc/resolv.conf\n/dev/zero:/srv/links/zero\n",
		"enabled":  "web.service\ngetty@tty1.service\nown.service\n",
		"masked":   "tmp.mount\n",
		"programs": "FOLDER/program\n",
	})
	if said, err := l.run(); err != nil || said != "" {
		t.Fatalf("%v: %s", err, said)
	}
	system := "/etc/systemd/system/"
	want := map[string]string{
		"/etc/issue": "m 600 0 0", "/etc/motd": "m 644 0 0", "/etc/shadow": "m 640 0 42", "/etc/skel/.new": "m 644 0 0",
		"/home/ann": "m 700 2001 2001", "/home/ann/.config": "m 755 2001 2001", "/home/ann/.config/a_b": "m 755 2001 20388",
		"/home/ann/.new": "m 644 2001 2001", "/home/ann/.profile": "m 644 2001 2001",
		"/home/ann/.ssh": "m 700 2001 2001", "/home/ann/.ssh/authorized_keys": "m 600 2001 2001",
		"/srv/app": "m 700 613 20388", "/srv/app/a": "m 600 5 20388", "/srv/app/conf": "m 640 613 44",
		"/srv/tree": "m 755 613 0", "/srv/tree/a": "m 644 613 0", "/srv/tree/b:c": "m 440 33 0",
		"/usr/bin/bash": "m 4755 0 0", "/usr/lib/systemd/system/own.service": "m 644 0 0", "/var/www": "d 2775 0 8",
		"/usr/local/bin/hello": "s 777 0 0 FOLDER/program/bin/hello", "/usr/local/sbin/a_b": "s 777 0 0 FOLDER/program/sbin/a b",
		system + "getty.target.wants/getty@tty1.service": "s 777 0 0 /usr/lib/systemd/system/getty@.service",
		system + "multi-user.target.wants/web.service":   "s 777 0 0 /usr/lib/systemd/system/web.service",
		system + "sockets.target.wants/web.socket":       "s 777 0 0 /usr/lib/systemd/system/web.socket",
		system + "web.service.requires/own.service":      "s 777 0 0 /usr/lib/systemd/system/own.service",
		system + "other.service":                         "s 777 0 0 /usr/lib/systemd/system/own.service",
		system + "tmp.mount":                             "s 777 0 0 /dev/null",
	}
	got := l.definitions()
	delete(got, "/usr/local/bin/tool") // an executable's mode is a plain folder's
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("definitions (-want +got):\n%s", diff)
	}
	files := l.files()
	tool, _ := os.ReadFile(l.folder + "/bin/mksquashfs")
	wantFiles := map[string]string{
		"/etc/group": files["/etc/group"], "/etc/passwd": files["/etc/passwd"], "/etc/shadow": files["/etc/shadow"],
		"/etc/gshadow": files["/etc/gshadow"], // as TestAccounts has them
		"/etc/issue":   "changed\n", "/etc/motd": "hello\n", "/etc/skel/.new": "z\n", "/etc/resolv.conf": "../run/resolv.conf",
		"/etc/systemd/system/old.target.wants/web.socket": "/usr/lib/systemd/system/web.socket",
		"/home/ann/.config/a b":                           "x\n", "/home/ann/.new": "z\n", "/home/ann/.profile": "PATH=x\n",
		"/home/ann/.ssh/authorized_keys": "ssh-ed25519 AAAA\n",
		"/srv/app/a":                     "text of a\n", "/srv/app/conf": "y\n", "/srv/links/zero": "/dev/zero",
		"/srv/tree/a": "text of a\n", "/srv/tree/b:c": "over the source\n",
		"/usr/bin/bash": "", "/usr/lib/systemd/system/own.service": "[Install]\nRequiredBy=web.service\nAlias=other.service\n",
		"/usr/local/bin/tool": string(tool),
	}
	if diff := cmp.Diff(wantFiles, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestTopLayerFaults(t *testing.T) {
	const ann = "ann:person:2001::::::new::\n"
	tests := []struct {
		name  string
		build map[string]string
		want  string
	}{
		{"text below a link", map[string]string{"tree/bin/x": "", "texts": "644:root:root:/bin/x\n"}, "top layer: file /bin/x: /bin is a link in the system; use what it leads to\n"},
		{"link below a link", map[string]string{"links": "x:/bin/y\n"}, "top layer: file /bin/y: /bin is a link in the system; use what it leads to\n"},
		{"source below a link", map[string]string{"sources": ":root:root:FOLDER/source:/bin/y\n"}, "top layer: file /bin/y: /bin is a link in the system; use what it leads to\n"},
		{"text for a folder", map[string]string{"tree/usr/share": "", "texts": "644:root:root:/usr/share\n"}, "top layer: file /usr/share: the packages have a folder there\n"},
		{"link for a folder", map[string]string{"links": "x:/etc/skel\n"}, "top layer: file /etc/skel: the packages have a folder there\n"},
		{"owner", map[string]string{
			"texts": "644:ann:devs:/etc/x\n", "sources": "644:root:devs:FOLDER/source/a:/etc/y\n", "tree/etc/x": "",
		}, "top layer: file /etc/x: there is no user ann\ntop layer: file /etc/x: there is no group devs\ntop layer: file /etc/y: there is no group devs\n"},
		{"no unit", map[string]string{"enabled": "x.service\ny@1.timer\n"}, "unit x.service: there is no such unit in the system\nunit y@1.timer: there is no such unit in the system\ntop layer: the units above cannot be started\n"},
		{"also no unit", map[string]string{
			"enabled": "own.service\n", "tree/etc/systemd/system/own.service": "[Install]\nAlso=gone.socket\n", "texts": "644:root:root:/etc/systemd/system/own.service\n",
		}, "unit gone.socket: there is no such unit in the system\ntop layer: the units above cannot be started\n"},
		{"nothing starts it", map[string]string{"enabled": "quiet.service\n"}, "unit quiet.service: its file does not say what it is started by (WantedBy= in a section [Install])\ntop layer: the units above cannot be started\n"},
		{"shell", map[string]string{"users": "ann:person:2001:::::/bin/zsh:new::\n"}, "top layer: user ann: there is no program /bin/zsh in the system; add the package that has it\n"},
		{"keys", map[string]string{"users": "app:service:613::::/srv/app::::\n", "keys/app": "k\n"}, "top layer: user app: the home /srv/app is not there, and so there is no place for authorized keys\n"},
		{"home below a link", map[string]string{"users": "ann:person:2001::::/bin/ann::new::\n"}, "top layer: file /bin/ann: /bin is a link in the system; use what it leads to\n"},
		{"account", map[string]string{"users": strings.Replace(ann, ":new::", ":new::wheel", 1)}, "user ann: there is no group wheel\ntop layer: the accounts above cannot be added\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLayerTest(t, test.build)
			said, err := l.run()
			if err == nil {
				t.Error("no failure")
			}
			if diff := cmp.Diff(test.want, said); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if _, err := os.Stat(l.folder + "/out"); err == nil {
				t.Error("there is an image in spite of them")
			}
		})
	}
}
