package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// awk returns the program that scripts for awk are tested with. Builds have mawk.
func awk(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"mawk", "awk"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	t.Skip("NOT TESTED: programs for awk, because this machine has no awk")
	return ""
}

// packageAccounts returns account files as packages leave them.
func packageAccounts() map[string]string {
	return map[string]string{
		"passwd":  "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n",
		"group":   "root:x:0:\ndaemon:x:1:\nsudo:x:27:\nwww-data:x:33:\nvideo:x:44:daemon\n",
		"shadow":  "root:*:3652:0:99999:7:::\ndaemon:*:3652:0:99999:7:::\nwww-data:*:3652:0:99999:7:::\n",
		"gshadow": "root:*::\nsudo:*::\nwww-data:*::\nvideo:*::daemon\n",
	}
}

func TestAccounts(t *testing.T) {
	before := packageAccounts()
	tests := []struct {
		name          string
		groups, users string
		want          map[string]string // files that change
		accounts      string
	}{
		{name: "nobody"},
		{
			name:     "root's password",
			users:    "root:person:0::::::new:$6$a$b/c.:\n",
			want:     map[string]string{"shadow": strings.Replace(before["shadow"], "root:*", "root:$6$a$b/c.", 1)},
			accounts: "root:0:0:/root:no:/bin/bash\n",
		},
		{
			name:  "two people with groups",
			users: "alice:person:1000:fixed::Alice:::new:$y$x:sudo,video\nbob:person:2001::video::/srv/bob:/bin/sh:new::sudo\n",
			want: map[string]string{
				"passwd":  before["passwd"] + "alice:x:1000:1000:Alice:/home/alice:/bin/bash\nbob:x:2001:44::/srv/bob:/bin/sh\n",
				"group":   "root:x:0:\ndaemon:x:1:\nsudo:x:27:alice,bob\nwww-data:x:33:\nvideo:x:44:daemon,alice\nalice:x:1000:\n",
				"shadow":  before["shadow"] + "alice:$y$x:100:0:99999:7:::\nbob:!:100:0:99999:7:::\n",
				"gshadow": "root:*::\nsudo:*::alice,bob\nwww-data:*::\nvideo:*::daemon,alice\nalice:!::\n",
			},
			accounts: "alice:1000:1000:/home/alice:person:/bin/bash\nbob:2001:44:/srv/bob:person:/bin/sh\n",
		},
		{
			name:   "a service and its group",
			groups: "data:610::daemon,app\n",
			users:  "app:service:700::data::::::\nnew:service:701::::/var/lib/new::always::\n",
			want: map[string]string{
				"passwd":  before["passwd"] + "app:x:700:610::/nonexistent:/usr/sbin/nologin\nnew:x:701:701::/var/lib/new:/usr/sbin/nologin\n",
				"group":   before["group"] + "data:x:610:daemon,app\nnew:x:701:\n",
				"shadow":  before["shadow"] + "app:!:100:0:99999:7:::\nnew:!:100:0:99999:7:::\n",
				"gshadow": before["gshadow"] + "data:!::daemon,app\nnew:!::\n",
			},
			accounts: "app:700:610:/nonexistent:no:/usr/sbin/nologin\nnew:701:701:/var/lib/new:service:/usr/sbin/nologin\n",
		},
		{
			name:   "what packages have, extended",
			groups: "video:44:fixed:daemon,www-data\n",
			users:  "www-data:person:33:fixed:www-data:Web::/bin/sh:new:!:video,sudo\n",
			want: map[string]string{
				"passwd":  strings.Replace(before["passwd"], "www-data:x:33:33::/var/www:/usr/sbin/nologin", "www-data:x:33:33:Web:/var/www:/bin/sh", 1),
				"group":   "root:x:0:\ndaemon:x:1:\nsudo:x:27:www-data\nwww-data:x:33:\nvideo:x:44:daemon,www-data\n",
				"shadow":  strings.Replace(before["shadow"], "www-data:*", "www-data:!", 1),
				"gshadow": "root:*::\nsudo:*::www-data\nwww-data:*::\nvideo:*::daemon,www-data\n",
			},
			accounts: "www-data:33:33:/var/www:no:/bin/sh\n",
		},
		{
			name:   "a number that only was proposed",
			groups: "video:22222::\n", users: "www-data:service:22222::::/var/www::always::\n",
			accounts: "www-data:33:33:/var/www:service:/usr/sbin/nologin\n",
		},
		{
			name:   "a user's own group, declared",
			groups: "ann:1500::bob\n", users: "ann:person:1500::::::::\nbob:person:1600::ann:::::\n",
			want: map[string]string{
				"passwd":  before["passwd"] + "ann:x:1500:1500::/home/ann:/bin/bash\nbob:x:1600:1500::/home/bob:/bin/bash\n",
				"group":   before["group"] + "ann:x:1500:bob\n",
				"shadow":  before["shadow"] + "ann:!:100:0:99999:7:::\nbob:!:100:0:99999:7:::\n",
				"gshadow": before["gshadow"] + "ann:!::bob\n",
			},
			accounts: "ann:1500:1500:/home/ann:no:/bin/bash\nbob:1600:1500:/home/bob:no:/bin/bash\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			etc, accounts, said := runAccounts(t, test.groups, test.users)
			if said != "" {
				t.Fatalf("awk said %q", said)
			}
			if diff := cmp.Diff(test.accounts, accounts); diff != "" {
				t.Errorf("accounts (-want +got):\n%s", diff)
			}
			for name, old := range before {
				want, changed := test.want[name]
				if !changed {
					want = old
				}
				if diff := cmp.Diff(want, etc[name]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func TestAccountsFaults(t *testing.T) {
	tests := []struct{ name, groups, users, want string }{
		{"a package's uid", "", "x:person:1:fixed:::::::\n", "user x: uid 1 is that of daemon; choose another uid\n"},
		{"by chance", "", "x:person:33::::::::\n", "user x: uid 33 is that of www-data; choose the uid\n"},
		{"a package's gid", "g:44:fixed:\n", "", "group g: gid 44 is that of video; choose another gid\n"},
		{"own gid", "", "x:person:44::::::::\n", "user x: gid 44 is that of video; choose another uid, or a group\n"},
		{"own group's name", "", "video:person:1000::::::::\n", "user video: a package has a group of that name; choose the group that is to be the user's first\n"},
		{"first group", "", "x:person:1000::wheel:::::\n", "user x: there is no group wheel\n"},
		{"group", "", "x:person:1000::::::::wheel,sudo\n", "user x: there is no group wheel\n"},
		{"member", "g:1000::ann\n", "", "group g: there is no user ann\n"},
		{"changed uid", "", "daemon:person:5:fixed:::::::\n", "user daemon: uid 5: the account that a package has of that name has 1; leave it out\n"},
		{"changed gid", "video:5:fixed:\n", "", "group video: gid 5: the group that a package has of that name has 44; leave it out\n"},
		{"changed group", "", "daemon:person:1::video:::::\n", "user daemon: group video: the account that a package has of that name has gid 1; leave it out\n"},
		{"changed home", "", "daemon:person:1::::/home/daemon::::\n", "user daemon: home /home/daemon: the account that a package has of that name has /; leave it out\n"},
		{
			"all at once", "g:44:fixed:ann\n", "x:person:1:fixed:::::::\ny:person:1000::::::::wheel\n",
			"group g: gid 44 is that of video; choose another gid\nuser x: uid 1 is that of daemon; choose another uid\n" +
				"group g: there is no user ann\nuser y: there is no group wheel\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			etc, accounts, said := runAccounts(t, test.groups, test.users)
			if diff := cmp.Diff(test.want, said); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(packageAccounts(), etc); diff != "" || accounts != "" {
				t.Errorf("changed in spite of them: %q (-before +after):\n%s", accounts, diff)
			}
		})
	}
}

// runAccounts runs the program on packageAccounts and returns the files afterwards, what it printed, and its faults.
func runAccounts(t *testing.T, groups, users string) (etc map[string]string, accounts, said string) {
	t.Helper()
	folder := t.TempDir()
	write(t, folder, packageAccounts())
	write(t, folder, map[string]string{"groups": groups, "users": users, "program": Accounts()})
	program := exec.Command(awk(t), "-F:", "-v", "etc="+folder+"/", "-v", "day=100", "-f", "program", "groups", "users")
	program.Dir = folder
	var stdout, stderr strings.Builder
	program.Stdout, program.Stderr = &stdout, &stderr
	if err := program.Run(); (err != nil) != (stderr.Len() > 0) {
		t.Fatalf("awk: %v, said %q", err, stderr.String())
	}
	etc = map[string]string{}
	for name := range packageAccounts() {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		etc[name] = string(content)
	}
	return etc, stdout.String(), stderr.String()
}
