package config_test

import (
	"strings"
	"testing"

	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// kitchenSink uses every function of the project file but system.
const kitchenSink = `
_trixie = debian("trixie")
_cc = _trixie.tree(["gcc", "libc6-dev"])
plain = derivation("plain", script = "echo > $out")
command = derivation("command", args = ["/bin/cp", source("src") + "/hello.c", plain], tools = _cc)
hello = derivation(
    "hello",
    script = "cc -o $out $src/hello.c",
    inputs = {"src": source("src"), "plain": plain},
    tools = _cc,
    outputs = ["out", "dev"],
    env = {"CFLAGS": "-O2", "JOBS": 4},
    files = {"sub/data": "see " + plain},
)
page = text_file("index.html", "<p>%s" % hello)
run = text_file("run", "#!/bin/sh\nexec %s/bin/hello\n" % hello, executable = True)
link = symlink("hello-link", hello + "/bin/hello")
archive = fetch("https://example.org/x/hello-1.0.tar.gz", digest = "sha256:" + "0123456789abcdef" * 4)
unpacked = unpack(archive, strip = 1)
zipped = unpack(archive, format = "zip")
package = unpack(fetch("https://example.org/hello_1_amd64.deb", "blake3:" + "0" * 64))
site = tree(
    "site",
    inputs = [unpacked, plain],
    files = {"index.html": page, "about.html": "about", "bin/x": "#!/bin/sh\n"},
    links = {"bin/hello": hello + "/bin/hello"},
    executable = ["bin/x"],
)
config_file = text_file("config.json", json.encode({"hello": hello, "list": [1, None, struct(a = "b")]}))
`

// anyPath stands for a store that has everything.
func anyPath(in derivations.Input) (storepath.Path, error) {
	return storepath.New(digest.Sum([]byte(in.Derivation.ID().String()+in.Output)), in.Derivation.Name()), nil
}

// What each function makes, line by line of the canonical text. {x} stands for the placeholder of target x.
func TestFunctions(t *testing.T) {
	r := evaluateFile(t, kitchenSink)
	tests := []struct {
		target string
		want   []string
	}{
		{"plain", []string{`name "plain"`, `builder "sandbox"`, `arg "/bin/bash"`, `arg "-eu"`, `arg "pipefail"`, `file "script" "echo > $out"`, `output "out"`}},
		{"command", []string{`arg "/bin/cp"`, `arg "{plain}"`, `/hello.c"`}},
		{"hello", []string{`env "CFLAGS" "-O2"`, `env "JOBS" "4"`, `file "sub/data" "see {plain}"`, `output "dev"`, `input "plain" "derivation"`, `input "src" "path"`}},
		{"page", []string{`builder "text"`, `name "index.html"`, `arg "<p>{hello}"`}},
		{"run", []string{`builder "text"`, `env "executable" "1"`}},
		{"link", []string{`builder "symlink"`, `arg "{hello}/bin/hello"`}},
		{"archive", []string{`name "hello-1.0.tar.gz"`, `builder "fetch"`, `arg "https://example.org/x/hello-1.0.tar.gz"`, `fixed "sha256" "` + strings.Repeat("0123456789abcdef", 4) + `"`}},
		{"unpacked", []string{`name "hello-1.0"`, `builder "unpack"`, `arg "tar"`, `env "strip" "1"`, `input "src" "derivation"`}},
		{"zipped", []string{`name "hello-1.0"`, `builder "unpack"`, `arg "zip"`}},
		{"package", []string{`name "hello_1_amd64"`, `arg "deb"`, `output "control"`, `output "owners"`}},
		{"site", []string{`builder "tree"`, `arg "input1"`, `arg "input2"`, `arg "input3=index.html"`, `file "about.html" "about"`, `env "link:bin/hello" "{hello}/bin/hello"`, `env "executable" "bin/x"`}},
		{"config_file", []string{`arg "{\"hello\":\"{hello}\",\"list\":[1,null,{\"a\":\"b\"}]}"`}},
	}
	for _, test := range tests {
		got := text(t, r, test.target)
		for _, want := range test.want {
			for _, name := range []string{"plain", "hello"} {
				want = strings.ReplaceAll(want, "{"+name+"}", placeholder(t, r, name))
			}
			if !strings.Contains(got, want) {
				t.Errorf("%s: no line %s in\n%s", test.target, want, got)
			}
		}
	}
}
