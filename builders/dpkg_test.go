package builders

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/derivations"
)

// libControl has its fields in another order than dpkg's, an unknown one, and one that dpkg leaves out.
const libControl = `Package: libsome1
Source: some
Version: 1.2-3
Architecture: amd64
Multi-Arch: same
Essential: no
X-Unknown: kept
Maintainer: M <m@example.org>
Description: a library 
 Its text.
 .
 More.
Depends: libc6
`

const libStatus = `Package: libsome1
Status: install ok unpacked
Maintainer: M <m@example.org>
Architecture: amd64
Multi-Arch: same
Source: some
Version: 1.2-3
Depends: libc6
Description: a library 
 Its text.
 .
 More.
X-Unknown: kept

`

const someStatus = `Package: some
Status: install ok unpacked
Maintainer: M <m@example.org>
Architecture: all
Version: 1
Conffiles:
 /etc/some b1946ac92492d2347c6235b4d2611184
Description: some

`

func controlOf(t testing.TB, control string, more treeOf) string {
	t.Helper()
	tree := treeOf{"control": "file " + control, "list": "file /.\n", "conffiles.md5": "file "}
	for name, what := range more {
		tree[name] = what
	}
	return makeTree(t, tree)
}

func databaseRequest(t testing.TB, inputs map[string]string, env map[string]string) *Request {
	t.Helper()
	return testRequest(t, derivations.Spec{Builder: "dpkg-database", Env: env, Outputs: []string{"out", "owners"}}, inputs)
}

func TestDpkgDatabase(t *testing.T) {
	owners := func(text string) string {
		return filepath.Join(makeTree(t, treeOf{"owners": "file " + text}), "owners")
	}
	r := databaseRequest(t, map[string]string{
		"some": controlOf(t, someControl, treeOf{
			"conffiles":     "file /etc/some\n",
			"conffiles.md5": "file /etc/some b1946ac92492d2347c6235b4d2611184\n",
			"postinst":      "file #!/bin/sh\n", // Shipped without its executable bit.
			"md5sums":       "exec sums",
			"triggers":      "file # comment\ninterest /usr/lib/z\ninterest-noawait /usr/lib/a\ninterest-await update-it # why\nactivate other\n",
		}),
		"lib":         controlOf(t, libControl, treeOf{"triggers": "file interest-noawait update-it\n"}),
		"owners_lib":  owners("d 2755 0 8 /bin/dir\nf 4755 0 0 /usr/bin/x\n"),
		"owners_some": owners("f 755 1 1 /usr/bin/x\nl 777 1 0 /z\n"),
	}, map[string]string{"nbuild.usrmerge": "1"})
	out := mustBuild(t, DpkgDatabase{}, r)
	got := listTree(t, out+"/var/lib/dpkg")
	want := treeOf{
		".": "dir", "alternatives": "dir", "info": "dir", "parts": "dir", "triggers": "dir", "updates": "dir",
		"available": "file ", "diversions": "file ", "statoverride": "file ", "lock": "file ", "lock-frontend": "file ",
		"status":                       "file " + libStatus + someStatus,
		"info/format":                  "file 1\n",
		"info/libsome1:amd64.list":     "file /.\n",
		"info/libsome1:amd64.triggers": "file interest-noawait update-it\n",
		"info/some.list":               "file /.\n",
		"info/some.conffiles":          "file /etc/some\n",
		"info/some.postinst":           "exec #!/bin/sh\n",
		"info/some.md5sums":            "file sums",
		"info/some.triggers":           got["info/some.triggers"],
		"triggers/File":                "file /usr/lib/a some/noawait\n/usr/lib/z some\n",
		"triggers/update-it":           "file libsome1:amd64/noawait\nsome\n",
		"triggers/Lock":                "file ",
		"triggers/Unincorp":            "file ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("database (-want +got):\n%s", diff)
	}
	wantOwners := "d 2755 0 8 /usr/bin/dir\nf 4755 0 0 /usr/bin/x\nl 777 1 0 /z\n"
	if got, _ := os.ReadFile(r.Outputs["owners"].File); string(got) != wantOwners {
		t.Errorf("owners:\n%s\nwant:\n%s", got, wantOwners)
	}
	askDpkg(t, out)
}

// askDpkg checks that dpkg, where there is one, reads the database without a complaint and knows both packages.
func askDpkg(t *testing.T, root string) {
	t.Helper()
	query, err := exec.LookPath("dpkg-query")
	if err != nil {
		t.Log("NOT TESTED: what dpkg says of the database, because there is no dpkg-query")
		return
	}
	cmd := exec.Command(query, "--admindir="+root+"/var/lib/dpkg", "-W", "-f", "${binary:Package} ${db:Status-Abbrev}${Version}\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("dpkg-query: %v: %s", err, out)
	}
	const want = "libsome1:amd64 iU 1.2-3\nsome iU 1\n"
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("dpkg-query (-want +got):\n%s", diff)
	}
}

func TestDpkgDatabaseOfBothArchitectures(t *testing.T) {
	out := mustBuild(t, DpkgDatabase{}, databaseRequest(t, map[string]string{
		"a": controlOf(t, libControl, nil),
		"b": controlOf(t, strings.Replace(libControl, "amd64", "i386", 1), nil),
	}, nil))
	for _, name := range []string{"libsome1:amd64.list", "libsome1:i386.list"} {
		stat(t, out+"/var/lib/dpkg/info/"+name)
	}
}

func TestDpkgDatabaseFails(t *testing.T) {
	replaced := func(old, with string) treeOf {
		return treeOf{"control": "file " + strings.Replace(someControl, old, with, 1)}
	}
	for _, test := range []struct {
		name string
		more treeOf
		want string
	}{
		{"no name", replaced("Package: some\n", ""), "input p: its control file has no field Package"},
		{"no version", replaced("Version: 1\n", ""), "no field Version"},
		{"empty version", replaced("Version: 1\n", "Version:\n"), "no field Version"},
		{"name with a slash", replaced("Package: some", "Package: ../some"), "../some is no name of a package"},
		{"architecture with a slash", replaced("Architecture: all", "Architecture: a/b"), "a/b is no name"},
		{"two paragraphs", replaced("Version", "\nVersion"), "an empty line"},
		{"no field", replaced("Version: 1", "Version 1"), "which is no field"},
		{"field twice", replaced("Version: 1", "Version: 1\nversion: 2"), "the field version twice"},
		{"continued nothing", replaced("Package", " x\nPackage"), "begins with a continued line"},
		{"directive", treeOf{"triggers": "file foo bar\n"}, `the unknown directive "foo"`},
		{"trigger without name", treeOf{"triggers": "file interest\n"}, `has the line "interest"`},
		{"trigger outside", treeOf{"triggers": "file interest ../../x\n"}, "../../x, which is no trigger"},
		{"trigger over a file of dpkg's", treeOf{"triggers": "file interest File\n"}, "File, which is no trigger"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantFailure(t, DpkgDatabase{}, databaseRequest(t, map[string]string{"p": controlOf(t, someControl, test.more)}, nil), test.want)
		})
	}
	twice := map[string]string{"p": controlOf(t, someControl, nil), "q": controlOf(t, someControl, nil)}
	wantFailure(t, DpkgDatabase{}, databaseRequest(t, twice, nil), "package some is there twice, in the inputs p and q")
	bad := filepath.Join(makeTree(t, treeOf{"owners": "file nonsense\n"}), "owners")
	wantFailure(t, DpkgDatabase{}, databaseRequest(t, map[string]string{"owners_p": bad}, nil), "input owners_p: parse ownership manifest: line 1")
}

func TestDpkgDatabaseCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := databaseRequest(t, map[string]string{"p": controlOf(t, someControl, nil)}, nil)
	if err := (DpkgDatabase{}).Build(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("Build = %v, want %v", err, context.Canceled)
	}
}
