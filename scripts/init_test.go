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

// runInit runs a function of init, with a folder in the place of the initrd's root, and returns what it said.
func (l *layerTest) runInit(function string) string {
	l.t.Helper()
	_, rest, _ := strings.Cut(Init(), function+"() {\n")
	body, _, found := strings.Cut(rest, "\n}\n")
	if !found {
		l.t.Fatalf("init has no function %s", function)
	}
	body = strings.NewReplacer("/rw/upper", l.folder+"/upper", "/merged", l.folder+"/merged").Replace(body)
	shell := exec.Command("/bin/sh", "-euc", "busybox=; system="+l.folder+"; layers="+l.folder+"/layer:/other\n"+body)
	said, err := shell.CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", function, err, said)
	}
	return string(said)
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
