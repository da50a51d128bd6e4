package options_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config/options"
)

// declarations are the options that the tests of faults define.
const declarations = `-- base.star --
options = {
    "boot.timeout": option(types.int, default = 5),
    "networking": {
        "host_name": option(types.str),
        "domain": option(types.nullable(types.str), default = None),
        "port": option(types.port, default = 80),
    },
    "environment.packages": option(types.list_of(types.package), default = []),
    "environment.variables": option(types.attrs_of(types.str), default = {}),
    "users.users": option(types.attrs_of(types.submodule({
        "uid": option(types.nullable(types.unsigned), default = None),
        "shell": option(types.path, default = "/bin/sh"),
        "home": option(types.str),
        "login.keys": option(types.list_of(types.str), default = []),
    })), default = {}),
    "mode": option(types.enum("fast", "safe", 3), default = "safe"),
    "choice": option(types.one_of(types.int, types.list_of(types.str), types.submodule({"a": option(types.int)})), default = 0),
    "data": option(types.anything, default = None),
    "key": option(types.nullable(types.secret), default = None),
    "file": option(types.nullable(types.path), default = None),
    "text": option(types.lines, default = ""),
    "flag": option(types.bool, default = False),
    "ratio": option(types.float, default = 1),
    "variant": option(types.module, default = {}),
}
`

func TestFaultsOfDefinitions(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{
			"unknown", `-- web.star --
config = {"networking.hostname": "web"}`,
			"web.star:1:11: there is no option networking.hostname; did you mean \"networking.host_name\"?\n",
		},
		{
			"unknown in groups", `-- web.star --
config = {"netwroking": {"host_nmae": "web"}, "nothing.like.this": 1}`,
			"web.star:1:11: there is no option netwroking; did you mean \"networking\"?\n" +
				"web.star:1:47: there is no option nothing.like.this\n",
		},
		{
			"unknown by a wrong group", `-- web.star --
config = {"netwroking.host_nmae": "web"}`,
			"web.star:1:11: there is no option netwroking.host_nmae; did you mean \"networking.host_name\"?\n",
		},
		{
			"unknown in a submodule", `-- web.star --
config = {"users.users": {"bob": {"shel": "/bin/sh", "login": {"keyz": []}}}}`,
			"web.star:1:35: there is no option users.users.bob.shel; did you mean \"users.users.bob.shell\"?\n" +
				"web.star:1:64: there is no option users.users.bob.login.keyz; did you mean \"users.users.bob.login.keys\"?\n",
		},
		{
			"wrong type", `-- web.star --
config = {"boot.timeout": "5"}`,
			"web.star:1:11: option boot.timeout: want an int, got the string \"5\"\n",
		},
		{
			"wrong types inside", `-- web.star --
config = {
    "users.users": {"bob": {"uid": -1, "shell": "sh"}, "a.b": {"home": 1}},
    "environment.packages": ["curl", "Big", 7],
    "environment.variables": {"A": 1},
}`,
			`web.star:2:29: option users.users.bob.uid: want an int of 0 or more, got -1
web.star:2:40: option users.users.bob.shell: want an absolute path, a derivation or a source, got the string "sh"
web.star:2:64: option users.users."a.b".home: want a string, got 1
web.star:3:5: option environment.packages[1]: want a Debian package, "name" or "name=version", or a derivation, got the string "Big"
web.star:3:5: option environment.packages[2]: want a Debian package, "name" or "name=version", or a derivation, got 7
web.star:4:31: option environment.variables.A: want a string, got 1
`,
		},
		{
			"enum", `-- web.star --
config = {"mode": "save"}`,
			"web.star:1:11: option mode: want one of \"fast\", \"safe\", 3, got the string \"save\"; did you mean \"safe\"?\n",
		},
		{
			"enum of another type", `-- web.star --
config = {"mode": 3.0}`,
			"web.star:1:11: option mode: want one of \"fast\", \"safe\", 3, got 3.0\n",
		},
		{
			"secret", `-- web.star --
config = {"key": "/run/keys/db"}`,
			"web.star:1:11: option key: want a secret, got the string \"/run/keys/db\"; write secret(\"/run/keys/…\"), the path of a file on the running system\n",
		},
		{
			"path", `-- web.star --
config = {"file": "srv", "text": None, "flag": 1, "ratio": "1", "networking.port": 65536}`,
			`web.star:1:11: option file: want an absolute path, a derivation or a source, got the string "srv"
web.star:1:26: option text: want a string, got None
web.star:1:40: option flag: want True or False, got 1
web.star:1:51: option ratio: want a float, got the string "1"
web.star:1:65: option networking.port: want a port, 1 to 65535, got 65536
`,
		},
		{
			"keys", `-- web.star --
config = {"environment.variables": {1: "a"}, 2: "b", "a..b": 1}`,
			`web.star:1:1: want names of options for keys, got 2
web.star:1:11: option environment.variables: want strings for keys, got 1
web.star:1:54: "a..b" is no name of an option: labels, with dots between them, are wanted
`,
		},
		{
			"module", `-- web.star --
config = {"variant": [{}, 5]}
-- other.star --
config = {"variant": "x"}`,
			`other.star:1:11: option variant: want a dictionary of definitions, got the string "x"
web.star:1:11: option variant: want a dictionary of definitions, got 5
`,
		},
		{
			"conflict", `-- a.star --
config = {"networking.host_name": "a"}
-- b.star --
config = {"networking": {"host_name": "b"}}
-- c.star --
config = {"networking.host_name": "a"}`,
			"b.star:1:26: option networking.host_name is \"b\" here and \"a\" at a.star:1:11; remove one, or put force() around the one that counts\n",
		},
		{
			"conflicts inside", `-- a.star --
config = {"users.users.bob": {"uid": 1}, "data": {"k": [1], "j": 1}, "file": None, "choice": 1}
-- b.star --
config = {"users.users.bob": {"uid": 2}, "data": {"k": 1, "j": 2}, "file": "/srv", "choice": ["a"]}`,
			`b.star:1:31: option users.users.bob.uid is 2 here and 1 at a.star:1:31; remove one, or put force() around the one that counts
b.star:1:51: option data.k is 1 here and [1] at a.star:1:51; remove one, or put force() around the one that counts
b.star:1:59: option data.j is 2 here and 1 at a.star:1:61; remove one, or put force() around the one that counts
b.star:1:68: option file is "/srv" here and None at a.star:1:70; remove one, or put force() around the one that counts
b.star:1:84: option choice is ["a"] here and 1 at a.star:1:84; remove one, or put force() around the one that counts
`,
		},
		{
			"none of several types", `-- web.star --
config = {"choice": "x"}`,
			"web.star:1:11: option choice: want an int, a list of strings or a dictionary, got the string \"x\"\n",
		},
		{
			"inside one of several types", `-- web.star --
config = {"choice": {"a": "x"}}`,
			"web.star:1:22: option choice.a: want an int, got the string \"x\"\n",
		},
		{
			"a function as data", `-- web.star --
config = {"data": {"f": len}}`,
			"web.star:1:20: option data.f: want data, got a function\n",
		},
		{
			"group", `-- web.star --
config = {"networking": "x", "boot": None}`,
			"web.star:1:11: networking is a group of options: want a dictionary, got the string \"x\"\n",
		},
		{
			"config is no dictionary", `-- web.star --
config = [1]`,
			"web.star:1:1: config: want a dictionary of definitions, got [1]\n",
		},
		{
			"config returns no dictionary", `-- web.star --
def config(cfg):
    return "x"`,
			"web.star:1:1: config: want a dictionary of definitions, got the string \"x\"\n",
		},
		{
			"many at once", `-- web.star --
config = {"boot.timeout": "5", "flag": 1, "nothing": 1}
-- other.star --
def config(cfg):
    fail("no")`,
			`other.star:2:9: fail: no
web.star:1:11: option boot.timeout: want an int, got the string "5"
web.star:1:32: option flag: want True or False, got 1
web.star:1:43: there is no option nothing
`,
		},
		{
			"long values are cut", `-- web.star --
config = {"boot.timeout": list(range(1000))}`,
			"web.star:1:11: option boot.timeout: want an int, got [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 1…\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, faultsOf(t, declarations+test.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaultsOfReads(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{
			"undefined", `-- web.star --
def config(cfg):
    return {"text": cfg.networking.host_name}`,
			"web.star:2:35: option networking.host_name is read here, but nothing defines it; define it in one of the modules, by what does not read it\n",
		},
		{
			"undefined in a submodule", `-- web.star --
config = {"users.users": {"bob": {}}}
-- other.star --
def config(cfg):
    return {"text": cfg.users.users["bob"].home}`,
			"other.star:2:43: option users.users.bob.home is read here, but nothing defines it; define it in one of the modules, by what does not read it\n",
		},
		{
			"unknown", `-- web.star --
def config(cfg):
    return {"text": cfg.networking.hostname}`,
			"web.star:2:35: there is no option networking.hostname; did you mean \"networking.host_name\"?\n",
		},
		{
			"unknown by a dotted name", `-- web.star --
def config(cfg):
    return {"text": cfg["networking.hostname"]}`,
			"web.star:2:24: there is no option networking.hostname; did you mean \"networking.host_name\"?\n",
		},
		{
			"unknown in a submodule", `-- web.star --
config = {"users.users": {"bob": {}}}
-- other.star --
def config(cfg):
    return {"text": cfg.users.users["bob"].login.keyz}`,
			"other.star:2:49: there is no option users.users.bob.login.keyz; did you mean \"users.users.bob.login.keys\"?\n",
		},
		{
			"below an option", `-- web.star --
config = {"users.users": {"bob": {}}}
-- a.star --
def config(cfg):
    return {"text": cfg["users.users.alice.home"]}
-- b.star --
def config(cfg):
    return {"text": cfg["boot.timeout.x"]}
-- c.star --
def config(cfg):
    return {"text": cfg["users..users"]}
-- d.star --
def config(cfg):
    return {"text": cfg[5]}`,
			`a.star:2:24: users.users has no alice.home
b.star:2:24: boot.timeout has no x
c.star:2:24: "users..users" is no name of an option: labels, with dots between them, are wanted
d.star:2:24: want the name of an option, got 5
`,
		},
		{
			"only root causes", `-- web.star --
config = {"boot.timeout": "5", "networking.host_name": "a"}
-- b.star --
config = {"networking.host_name": "b"}
-- reader.star --
def config(cfg):
    return {"text": str(cfg.boot.timeout)}
-- reader_of_conflict.star --
def config(cfg):
    return {"text": cfg.networking.host_name}`,
			`b.star:1:11: option networking.host_name is "b" here and "a" at web.star:1:32; remove one, or put force() around the one that counts
web.star:1:11: option boot.timeout: want an int, got the string "5"
`,
		},
		{
			"waiting for each other", `-- a.star --
def config(cfg):
    return {"networking.host_name": cfg.users.users["bob"].home}
-- b.star --
config = {"users.users": {"bob": {}}}
-- c.star --
def config(cfg):
    return {"users.users.bob.home": cfg.networking.host_name}`,
			`a.star:2:59: option users.users.bob.home is read here, but nothing defines it; define it in one of the modules, by what does not read it
c.star:2:51: option networking.host_name is read here, but nothing defines it; define it in one of the modules, by what does not read it
`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, faultsOf(t, declarations+test.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaultsOfDeclarations(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{
			"twice", `-- a.star --
options = {"x": {"y": option(types.int)}}
-- b.star --
options = {"x.y": option(types.str)}
config = {"x.y": "text"}`,
			"b.star:1:12: option x.y is declared here and at a.star:1:18; rename one\nb.star:2:11: option x.y: want an int, got the string \"text\"\n",
		},
		{
			"one of every evaluation", `-- a.star --
options = {"warnings": option(types.int)}`,
			"a.star:1:12: option warnings is declared here and in every system; rename one\n",
		},
		{
			"inside of another", `-- a.star --
options = {"x": option(types.int)}
config = {"x.y": 1, "x": {"anything": 2}}
-- b.star --
options = {"x.y": option(types.int), "x.z": {"w": option(types.int)}}
def config(cfg):
    return {"x": cfg.x}`,
			`b.star:1:12: option x.y is inside of option x, which is declared at a.star:1:12; rename one
b.star:1:46: option x.z.w is inside of option x, which is declared at a.star:1:12; rename one
`,
		},
		{
			"around others", `-- a.star --
options = {"x.y": option(types.int), "x.z": {"w": option(types.int)}}
-- b.star --
options = {"x": option(types.int)}
config = {"x.y": "wrong"}`,
			`a.star:1:12: option x.y is inside of option x, which is declared at b.star:1:12; rename one
a.star:1:46: option x.z.w is inside of option x, which is declared at b.star:1:12; rename one
`,
		},
		{
			"no option", `-- a.star --
options = {"x": 5, "y.z": types.int, 7: option(types.int), "a.": option(types.int), "b.\"c.d\"": option(types.int)}
config = {"x": 1, "y.z": 2}
-- b.star --
options = [1]
-- c.star --
options = {"x": option(types.int), "x.y": option(types.int)}`,
			`a.star:1:1: options: want names for keys, got 7
a.star:1:12: options: x: want option(...) or a dictionary of options, got 5
a.star:1:20: options: y.z: want option(...) or a dictionary of options, got a type
a.star:1:60: "a." is no name of an option: labels, with dots between them, are wanted
a.star:1:85: "b.\"c.d\"" is no name of an option: labels, with dots between them, are wanted
b.star:1:1: options: want a dictionary of options, got [1]
`,
		},
		{
			"default of another type", `-- a.star --
options = {
    "x": option(types.int, default = "5"),
    "y": option(types.submodule({"z": option(types.port, default = 0)}), default = {}),
}
def config(cfg):
    return {"x": 1}`,
			`a.star:2:5: option x: want an int, got the string "5"
a.star:3:45: option y.z: want a port, 1 to 65535, got 0
`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, faultsOf(t, test.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaultsOfEndlessEvaluation(t *testing.T) {
	got := faultsOf(t, `-- a.star --
options = {"n": option(types.int, default = 0), "m": option(types.int), "still": option(types.int, default = 0)}
def config(cfg):
    return {"n": cfg.n + 1}
-- b.star --
def config(cfg):
    return when(cfg.n % 2 == 1, {"m": cfg.n})
-- c.star --
config = {"still": "wrong"}`)
	want := `a.star:3:13: option n keeps changing: after 99 rounds it is 99, after 100 rounds 100; its definitions depend on each other: a.star:3:13
b.star:2:34: option m keeps changing: after 99 rounds it is undefined, after 100 rounds 99; its definitions depend on each other: b.star:2:34
c.star:1:11: option still: want an int, got the string "wrong"
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFaultsBehindEndlessEvaluation says that what is wrong is told when it makes the values change for ever.
func TestFaultsBehindEndlessEvaluation(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{
			"it reads what it defines wrongly", `-- web.star --
def config(cfg):
    return {"environment.packages": ["Wrong"], "flag": "curl" in cfg.environment.packages}`,
			`web.star:2:13: option environment.packages[0]: want a Debian package, "name" or "name=version", or a derivation, got the string "Wrong"
`,
		},
		{
			"it reads what only it defines, in the end", `-- web.star --
def config(cfg):
    if not cfg.flag:
        return {"flag": True}
    return {"flag": True, "networking.host_name": "web", "text": cfg.networking.host_name}`,
			`web.star:3:17: option flag keeps changing: after 99 rounds it is True, after 100 rounds False; its definitions depend on each other: web.star:3:17
web.star:4:80: option networking.host_name is read here, but nothing defines it; define it in one of the modules, by what does not read it
`,
		},
		{
			"an unknown option that comes and goes", `-- web.star --
def config(cfg):
    if cfg.flag:
        return {"nothing": 1}
    return {"flag": True}`,
			`web.star:3:17: there is no option nothing
web.star:4:13: option flag keeps changing: after 99 rounds it is True, after 100 rounds False; its definitions depend on each other: web.star:4:13
`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, faultsOf(t, declarations+test.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLongChainIsNotEndless(t *testing.T) {
	chain := func(length int) string {
		var b strings.Builder
		b.WriteString("-- a.star --\noptions = {\"n\": option(types.int, default = 0)}\ndef config(cfg):\n")
		b.WriteString("    return {\"n\": min(cfg.n + 1, " + options.Format(starlarkInt(length)) + ")}\n")
		return b.String()
	}
	if got := valueOf(resultOf(t, chain(99)), "n"); got != "99" {
		t.Errorf("n is %s after 99 rounds", got)
	}
	if got := faultsOf(t, chain(100)); !strings.Contains(got, "option n keeps changing: after 99 rounds it is 99, after 100 rounds 100") {
		t.Errorf("100 rounds: %s", got)
	}
}

func TestAssertions(t *testing.T) {
	got := faultsOf(t, declarations+`-- a.star --
config = {"assertions": [
    {"assertion": False, "message": "first"},
    {"assertion": True, "message": "second"},
    when(True, {"assertion": False, "message": "third"}),
]}
-- b.star --
def config(cfg):
    return {"assertions": [{"assertion": cfg.boot.timeout > 5, "message": "boot.timeout is too low"}, {"message": "no assertion"}]}`)
	want := `a.star:2:5: first
a.star:4:16: third
b.star:2:28: boot.timeout is too low
b.star:2:103: an assertion needs both assertion and message
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAssertionsWaitForConfigFunctions(t *testing.T) {
	got := faultsOf(t, declarations+`-- a.star --
config = {"assertions": [{"assertion": False, "message": "nobody says how to start it"}]}
-- b.star --
def config(cfg):
    fail("first")`)
	if want := "b.star:2:9: fail: first\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
