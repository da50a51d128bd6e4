package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
)

// One test for each cause: the whole message, with its place.
func TestErrors(t *testing.T) {
	const d64 = `"sha256:" + "0" * 64`
	tests := []struct{ name, file, want string }{
		{"syntax", "a = (1,\nb = 2\n", "nbuild.star:2:4: got '=', want ')'"},
		{"undefined names", "a = x1\nb = x2\n", "nbuild.star:1:5: undefined: x1\nnbuild.star:2:5: undefined: x2"},
		{"json", `a = json.encode(debian("trixie"))`, `nbuild.star:1:16: json.encode: a debian has no form in JSON`},
		{"undefined function", "a = text_fil('a', 'b')", "nbuild.star:1:5: undefined: text_fil; did you mean \"text_file\"?"},
		{"two values", "a = 1\na = 2\n", "nbuild.star:2:1: cannot reassign global a declared at nbuild.star:1:1"},
		{"division", "a = 1 // 0", "nbuild.star:1:7: floored division by zero"},
		{"fail", "def f(x):\n    fail('no', x)\nf(1)\n", "nbuild.star:2:9: fail: no 1\n\tcalled at nbuild.star:3:2"},
		{"recursion", "def f(x):\n    return f(x)\nf(1)\n", "nbuild.star:2:12: function f called recursively; a function can't call itself here: use a loop\n\tcalled at nbuild.star:2:13\n\tcalled at nbuild.star:3:2"},
		{"endless", "def f():\n    while True:\n        pass\nf()\n", "nbuild.star:1:1: the evaluation takes more than 50 million steps; is there a loop that never ends?\n\tcalled at nbuild.star:4:2"},
		{"attribute", `a = text_file("a", "").outt`, "nbuild.star:1:23: derivation has no .outt field or method (did you mean .out?)"},
		{"derivations in order", `a = text_file("a", "") < text_file("b", "")`, "nbuild.star:1:24: two values of type derivation have no order"},

		{"no arguments", "a = derivation()", "nbuild.star:1:5: derivation needs the argument name\nnbuild.star:1:5: derivation needs the argument script or args"},
		{"too many", `a = derivation("a", "b")`, "nbuild.star:1:5: derivation needs the argument script or args\nnbuild.star:1:5: derivation takes 1 argument without a name, not 2; write name = value; it takes name, script, args, inputs, tools, env, files, outputs"},
		{"unknown argument", `a = derivation("a", script = "", ouputs = ["x"])`, `nbuild.star:1:34: derivation has no argument "ouputs"; did you mean "outputs"?`},
		{"unknown argument far", `a = text_file("a", "b", zzz = 1)`, `nbuild.star:1:25: text_file has no argument "zzz"; it takes name, content, executable`},
		{"argument twice", `a = text_file("a", "b", name = "c")`, `nbuild.star:1:25: text_file has two values for name`},
		{"types", "a = derivation(\n    name = 1,\n    script = None,\n    args = 'x',\n    env = {'A': [], 2: 'b'},\n    outputs = [1],\n    tools = 'gcc',\n)", strings.Join([]string{
			`nbuild.star:2:5: name of derivation: want a string, got 1`,
			`nbuild.star:4:5: args of derivation: want a list, got the string "x"`,
			`nbuild.star:5:5: env of derivation: want strings for keys, got 2`,
			`nbuild.star:5:12: env["A"] of derivation: want a string, got a list`,
			`nbuild.star:6:16: outputs[0] of derivation: want a string, got 1`,
			`nbuild.star:7:5: tools of derivation: want a derivation, got the string "gcc"`,
		}, "\n")},
		{"name", `a = text_file("a b", "")`, `nbuild.star:1:15: name of text_file: the name "a b" has the character ' '; letters, digits and any of +-._?=~ are allowed`},
		{"script and args", `a = derivation("a", script = "", args = ["x"])`, `nbuild.star:1:34: derivation has both script and args; leave one out: args is the command to run, script a script for a shell`},
		{"empty args", `a = derivation("a", args = [])`, `nbuild.star:1:21: args of derivation is empty; its first element is the program to run`},
		{"script file", `a = derivation("a", script = "", files = {"script": ""})`, `nbuild.star:1:43: the file "script" is where the script goes; call the file something else`},
		{"file name", `a = derivation("a", script = "", files = {"../x": ""})`, `nbuild.star:1:43: "../x" can't be the name of a file of the build; write a relative path without ".."`},
		{"variable", `a = derivation("a", script = "", env = {"nbuild.as_root": "1"})`, `nbuild.star:1:41: "nbuild.as_root" can't be the name of a variable; use letters, digits and _`},
		{"input is text", `a = derivation("a", script = "", inputs = {"src": "hello"})`, `nbuild.star:1:44: inputs["src"] of derivation: want a derivation or a source, got the string "hello"; a file of the project is source("its path")`},
		{"input names", "x = source('src')\na = derivation('a', script = '', inputs = {'root': x, 'out': x, '_y': x, 'V': x, 'ok': x}, env = {'V': ''})", strings.Join([]string{
			`nbuild.star:2:44: the input "root" is taken; give the tree of tools as tools = …`,
			`nbuild.star:2:55: "out" is both an input and an output; rename one`,
			`nbuild.star:2:65: "_y" can't be the name of an input, which becomes a variable; begin with a letter, and use letters, digits and _`,
			`nbuild.star:2:74: "V" is both an input and a variable of env; rename one`,
		}, "\n")},
		{"output names", `a = derivation("a", script = "", outputs = ["out", "o-x", "out", "name"])`, strings.Join([]string{
			`nbuild.star:1:52: "o-x" can't be the name of an output; use letters, digits and _`,
			`nbuild.star:1:59: the output "out" is named twice`,
			`nbuild.star:1:66: an output can't be called "name"; the name is taken`,
		}, "\n")},
		{"no outputs", `a = derivation("a", script = "", outputs = [])`, `nbuild.star:1:34: outputs of derivation is empty; leave it out for the one output "out"`},
		{"invalid UTF-8", `a = text_file("a", "\xff" + "a")`, `nbuild.star:1:20: non-ASCII hex escape \xff (use \u00FF for the UTF-8 encoding of U+00FF)`},
		{"huge text", `a = text_file("a", "x" * (20 << 20))`, `nbuild.star:1:5: the texts of a have 20 MiB, more than 16 MiB; put data into a file and use source()`},
		{"executable", `a = text_file("a", "", executable = "yes")`, `nbuild.star:1:24: executable of text_file: want True or False, got the string "yes"`},

		{"missing source", `a = text_file("a", source("nowhere"))`, `nbuild.star:1:27: source "nowhere": no such file or directory`},
		{"source outside", `a = text_file("a", source("../x"))`, `nbuild.star:1:27: the path "../x" is not below the project's folder; copy or move what it names there`},
		{"source absolute", `a = source(path = "/etc/passwd")`, `nbuild.star:1:12: the path "/etc/passwd" is not below the project's folder; copy or move what it names there`},
		{"no source", `a = source()`, `nbuild.star:1:5: source needs the argument path`},

		{"fetch without digest", `a = fetch("https://example.org/a")`, `nbuild.star:1:5: fetch needs the argument digest`},
		{"fetch without url", `a = fetch(digest = ` + d64 + `)`, `nbuild.star:1:5: fetch needs the argument url`},
		{"digest", `a = fetch("https://example.org/a", digest = "sha256:12")`, `nbuild.star:1:36: "sha256:12" is not a digest; write "sha256:" and the 64 digits that sha256sum prints`},
		{"digest algorithm", `a = fetch("https://example.org/a", digest = "md5:" + "0" * 64)`, `nbuild.star:1:36: "md5:0000000000000000000000000000000000000000000000000000000000000000" is not a digest; write "sha256:" and the 64 digits that sha256sum prints`},
		{"url", `a = fetch(["https://example.org/a", "ftp://example.org/a"], digest = ` + d64 + `)`, `nbuild.star:1:37: "ftp://example.org/a" is not a URL that can be fetched; it begins with https://, http:// or file:///`},
		{"url host", `a = fetch("https:///a", digest = ` + d64 + `)`, `nbuild.star:1:11: the URL "https:///a" has no host or no path`},
		{"url unbuilt", `a = fetch("https://h/" + text_file("a", ""), digest = ` + d64 + `)`, `nbuild.star:1:11: url of fetch holds the path of something that is not built yet`},

		{"unpack format", `a = unpack(source("src"), format = "rar")`, `nbuild.star:1:27: there is no format "rar"; it is "tar", "zip" or "deb"`},
		{"unpack strip", `a = unpack(source("src"), strip = -1)`, `nbuild.star:1:27: strip of unpack: want a number from 0 on, got -1`},
		{"unpack source", `a = unpack("src")`, `nbuild.star:1:12: src of unpack: want a derivation or a source, got the string "src"; a file of the project is source("its path")`},
		{"tree paths", `a = tree("a", files = {"/x": "", "b/../c": ""}, links = {"": ""})`, strings.Join([]string{
			`nbuild.star:1:24: "/x" is not a path in the tree; write a relative path without ".."`,
			`nbuild.star:1:34: "b/../c" is not a path in the tree; write a relative path without ".."`,
			`nbuild.star:1:58: "" is not a path in the tree; write a relative path without ".."`,
		}, "\n")},
		{"tree executable", `a = tree("a", files = {"bin/run": ""}, executable = ["bin/rum"])`, `nbuild.star:1:54: "bin/rum" is none of the texts in files; did you mean "bin/run"?`},
		{"symlink", `a = symlink("a", "")`, `nbuild.star:1:18: the target of a symlink can't be empty`},

		{"suite", `a = debian("a b")`, `nbuild.star:1:12: "a b" can't be the name of a suite; write one such as "trixie"`},
		{"no suite", `a = debian()`, `nbuild.star:1:5: debian needs the argument suite`},
		{"package name", `a = debian("trixie").tree(["gcc", "GCC", 3])`, `nbuild.star:1:35: "GCC" can't be the name of a package; write "name" or "name=version", with small letters, digits and "+-."` + "\nnbuild.star:1:42: packages[2] of tree: want a string, got 3"},
		{"unknown packages", `a = debian("trixie").tree(["gcc", "no-such-a", "no-such-b"])`, `nbuild.star:1:35: packages of trixie: there is no package no-such-a` + "\n" + `nbuild.star:1:48: packages of trixie: there is no package no-such-b`},
		{"two archives", "a = debian('trixie', mirror = 'https://a/')\nb = debian('sid', mirror = 'https://b/')", `nbuild.star:2:5: mirror and keyring are those of the whole project, and another debian() has others; give them in the first debian(), and the same or none in all others`},
		{"from_env", `a = from_env("NOWHERE")`, `nbuild.star:1:5: the environment variable NOWHERE is not set; set it, or give from_env a default`},
		{"from_env name", `a = from_env("A B")`, `nbuild.star:1:14: "A B" can't be the name of a variable`},

		{"load nothing", `load("lib.star", "a")`, `nbuild.star:1:1: read lib.star: no such file or directory`},
		{"load outside", `load("../lib.star", "a")`, `nbuild.star:1:1: load "../lib.star": not a plain path below the project's folder; write it without "..", "." and a leading "/"`},
		{"load other", `load("lib.py", "a")`, `nbuild.star:1:1: load "lib.py": not the name of a .star file; name it relative to the project's folder`},
		{"load itself", `load("nbuild.star", "a")`, `nbuild.star:1:1: files load each other in a circle: nbuild.star → nbuild.star; move what both need into a third file`},

		{"system name", `a = system("a b", modules = 1)`, "nbuild.star:1:12: name of system: the name \"a b\" has the character ' '; letters, digits and any of +-._?=~ are allowed"},
		{"two systems", "a = system('a')\nb = system('a')\n", `nbuild.star:2:12: another system is called "a", at nbuild.star:1:5; give each a name of its own`},
		{"system packages", `a = system("a", modules = [{"environment.packages": ["nginx", "no-such-one"]}])`, `nbuild.star:1:29: packages of trixie: there is no package no-such-one`},
		{"package of a system", `a = system("a", modules = [{"environment.packages": ["nginx", "X"]}])`, `nbuild.star:1:29: option environment.packages[1]: want a Debian package, "name" or "name=version", or a derivation, got the string "X"`},
		{"kernel", `a = system("a", modules = [{"boot.kernel_package": "vmlinuz"}])`, `nbuild.star:1:29: kernel: want one package linux-image-<version> among 1 packages, there are none`},
		{"system attribute", `a = system("a").dvd`, "nbuild.star:1:16: system has no .dvd field or method"},
		{"system contents", `a = system("a", modules = [{
    "environment.files": {
        "etc/x": {"text": ""},
        "/proc/x": {"text": ""},
        "/a": {"text": "", "link": "b"},
        "/b": {"text": "", "mode": "888"},
    },
    "systemd.masked_units": ["x"],
    "boot.kernel_params": ["a b"],
}])`, strings.Join([]string{
			`nbuild.star:5:9: the file /a wants one of text, source and link, and has 2 of them`,
			`nbuild.star:6:9: the file /b has the mode "888"; write it in octal: "0644"`,
		}, "\n")},
		{"system spec", `a = system("a", modules = [{
    "environment.files": {
        "etc/x": {"text": ""},
        "/proc/x": {"text": ""},
    },
    "users.users": {"A": {}, "u": {"uid": 7}},
    "systemd.masked_units": ["x"],
    "boot.kernel_params": ["a b"],
}])`, strings.Join([]string{
			`nbuild.star:3:9: file "etc/x": want an absolute path without . and .., and without control characters`,
			`nbuild.star:4:9: file "/proc/x": /proc is not the configuration's: it is made when the system starts`,
			`nbuild.star:6:21: user "A": want a name of up to 32 small letters, digits, _ and -, a letter or _ first`,
			`nbuild.star:6:30: user u: uid 7: want 1000 to 60000`,
			`nbuild.star:7:5: unit "x": want a name with its kind, as in "x.service"`,
			`nbuild.star:8:5: kernel parameter "a b": want one word without quotes`,
		}, "\n")},
		{
			"secret in a file", `a = system("a", modules = [{"environment.etc": {"key": {"text": "key=%s\n" % secret("/run/keys/a")}}}])`,
			`nbuild.star:1:29: the secret /run/keys/a would be written into the file /etc/key, which everybody can read in the store; let the program read it at run time: its path is .path, or use the credentials of a systemd service`,
		},
		{
			"secret in a derivation", `a = text_file("a", "key=%s" % secret("/run/keys/a"))`,
			`nbuild.star:1:5: the secret /run/keys/a would be written into a, which everybody can read in the store; let the program read it at run time: its path is .path, or use the credentials of a systemd service`,
		},
		{"modules", "x = source('src')\na = system('a', modules = [1, 'none.star', x, '../a.star'])", strings.Join([]string{
			`nbuild.star:2:28: want a module: the name of a .star file, a dictionary or a function, got 1`,
			`nbuild.star:2:31: read none.star: no such file or directory`,
			`nbuild.star:2:44: a module is the name of a .star file, a dictionary or a function, not a source; evaluation can't wait for what is built; write its path in the project`,
			`nbuild.star:2:47: load "../a.star": not a plain path below the project's folder; write it without "..", "." and a leading "/"`,
		}, "\n")},
		{
			"system in a module", "a = system('a', modules = [lambda cfg: {'environment.packages': [system('b').name]}])",
			"nbuild.star:1:66: a module can't declare a system; call system() in nbuild.star, or in a file that it loads",
		},
		{
			"whole module", "a = system('a', modules = [{'config': {}, 'environment.packages': []}])",
			`nbuild.star:1:43: a module with options, imports or config has nothing beside them, but there is "environment.packages"; put definitions into config`,
		},

		{"independent faults", "a = derivation('a')\nb = source('nowhere')\nc = derivation('c', script = '%s' % a, inputs = {'b': b}, tools = a)\nd = text_file('d')\n", strings.Join([]string{
			`nbuild.star:1:5: derivation needs the argument script or args`,
			`nbuild.star:2:12: source "nowhere": no such file or directory`,
			`nbuild.star:4:5: text_file needs the argument content`,
		}, "\n")},
		{"callers", "def make(n):\n    return text_file(n, 1)\na = make('a')\n", "nbuild.star:2:25: content of text_file: want a string, got 1\n\tcalled at nbuild.star:3:9"},
		{"variables", "args = {'content': 1}\na = text_file('a', **args)\n", "nbuild.star:2:5: content of text_file: want a string, got 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Evaluate(t.Context(), project(t, map[string]string{"nbuild.star": test.file, "src": ""}))
			var wrong *config.Error
			if !errors.As(err, &wrong) {
				t.Fatalf("error %v, want a *config.Error", err)
			}
			if diff := cmp.Diff(test.want, fmt.Sprint(err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
