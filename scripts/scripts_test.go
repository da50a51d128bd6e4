package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSyntax lets a shell read each script without running it, also on a machine without shellcheck.
func TestSyntax(t *testing.T) {
	all := map[string]string{
		"package-root.sh": PackageRoot(), "kernel.sh": Kernel(), "initrd.sh": Initrd(), "init": Init(), "top-layer.sh": TopLayer(),
		"vm.sh": VM(), "run-vm.sh": RunVM(), "run-vm-inside.sh": RunVMInside(),
	}
	for name, text := range all {
		if !strings.HasPrefix(text, "#!/bin/sh\n") {
			t.Errorf("%s does not begin with #!/bin/sh", name)
		}
		shell := exec.Command("/bin/sh", "-n")
		shell.Stdin = strings.NewReader(text)
		if out, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestAddUsers runs the program on small account files.
func TestAddUsers(t *testing.T) {
	awk, err := exec.LookPath("awk")
	if err != nil {
		t.Skip("NOT TESTED: add-users.awk, because this machine has no awk")
	}
	before := map[string]string{
		"passwd":  "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\n",
		"group":   "root:x:0:\ndaemon:x:1:\nsudo:x:27:\nvideo:x:44:daemon\n",
		"shadow":  "root:*:3652:0:99999:7:::\ndaemon:*:3652:0:99999:7:::\n",
		"gshadow": "root:*::\nsudo:*::\nvideo:*::daemon\n",
	}
	tests := []struct {
		name  string
		users string
		want  map[string]string // whole files; those that stay as they are left out
		fault string
	}{
		{name: "nobody"},
		{
			name:  "root's password",
			users: "root:0:0::/root:/bin/bash:$6$a$b/c.:\n",
			want:  map[string]string{"shadow": "root:$6$a$b/c.:3652:0:99999:7:::\ndaemon:*:3652:0:99999:7:::\n"},
		},
		{name: "root without a password", users: "root:0:0::/root:/bin/bash::\n"},
		{
			name:  "two with groups",
			users: "alice:1000:1000:Alice:/home/alice:/bin/bash:$y$x:sudo,video\nbob:1001:44::/srv/bob:/bin/sh::sudo\n",
			want: map[string]string{
				"passwd":  before["passwd"] + "alice:x:1000:1000:Alice:/home/alice:/bin/bash\nbob:x:1001:44::/srv/bob:/bin/sh\n",
				"group":   "root:x:0:\ndaemon:x:1:\nsudo:x:27:alice,bob\nvideo:x:44:daemon,alice\nalice:x:1000:\n",
				"shadow":  before["shadow"] + "alice:$y$x:100:0:99999:7:::\nbob:!:100:0:99999:7:::\n",
				"gshadow": "root:*::\nsudo:*::alice,bob\nvideo:*::daemon,alice\nalice:!::\n",
			},
		},
		{name: "a package's name", users: "daemon:1000:1000::/:/bin/sh::\n", fault: "user daemon: a package has a user of that name"},
		{name: "a taken uid", users: "x:1:1000::/:/bin/sh::\n", fault: "user x: uid 1 is daemon's"},
		{name: "no such group", users: "x:1000:1000::/:/bin/sh::wheel\n", fault: "user x: there is no group wheel"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			etc := t.TempDir()
			write(t, etc, before)
			write(t, etc, map[string]string{"../users": test.users, "../program": AddUsers()})
			program := exec.Command(awk, "-F:", "-v", "etc="+etc+"/", "-v", "day=100", "-f", etc+"/../program", etc+"/../users")
			out, err := program.CombinedOutput()
			if (err != nil) != (test.fault != "") || !strings.Contains(string(out), test.fault) {
				t.Fatalf("awk: %v, said %q, want %q", err, out, test.fault)
			}
			for name, old := range before {
				want, changed := test.want[name]
				if !changed {
					want = old
				}
				got, err := os.ReadFile(filepath.Join(etc, name))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, string(got)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
