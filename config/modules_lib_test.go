package config_test

import (
	"io/fs"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"nbuild/config/options"
	"nbuild/modules"
)

// library returns what a file of modules/ defines that modules load.
func library(t testing.TB, name string) starlark.StringDict {
	t.Helper()
	text, err := fs.ReadFile(modules.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	thread := &starlark.Thread{Load: func(_ *starlark.Thread, module string) (starlark.StringDict, error) {
		return library(t, strings.TrimPrefix(module, "@nbuild/")), nil
	}}
	globals, err := starlark.ExecFileOptions(&syntax.FileOptions{}, thread, name, text, options.Functions())
	if err != nil {
		t.Fatal(err)
	}
	globals.Freeze()
	return globals
}

// call calls a function of a library with a text.
func call(t testing.TB, globals starlark.StringDict, function, text string) starlark.Value {
	t.Helper()
	v, err := starlark.Call(new(starlark.Thread), globals[function], starlark.Tuple{starlark.String(text)}, nil)
	if err != nil {
		t.Fatalf("%s(%q): %v", function, text, err)
	}
	return v
}

// FuzzAddress compares what modules take for an address, and for one with a prefix, with what Go does.
func FuzzAddress(f *testing.F) {
	lib := library(f, "lib.star")
	for _, seed := range []string{
		"192.0.2.1", "192.0.2.256", "01.2.3.4", "1.2.3", "1.2.3.4.5", "", "::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::",
		"1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:::2", "1::2::3", "12345::", "::ffff:192.0.2.1", "192.0.2.1::", "1:2:3:4:5:6:192.0.2.1",
		"1:2:3:4:5:6:7:192.0.2.1", "::1.2.3", "2001:DB8::a", "g::", ":", ":1", "1:", "192.0.2.1/24", "::/128", "::/129", "1.2.3.4/33", "1.2.3.4/024", "1.2.3.4/", "/8",
		"fe80::1%eth0", "1.2.3.4\n", "١.2.3.4",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		address, err := netip.ParseAddr(text)
		if want, got := err == nil && address.Zone() == "", call(t, lib, "is_address", text) == starlark.True; want != got {
			t.Errorf("is_address(%q) = %t", text, got)
		}
		_, err = netip.ParsePrefix(text)
		if want, got := err == nil, call(t, lib, "is_network", text) == starlark.True; want != got {
			t.Errorf("is_network(%q) = %t", text, got)
		}
	})
}

func TestHostNames(t *testing.T) {
	lib := library(t, "lib.star")
	long := strings.Repeat("a", 63)
	for text, want := range map[string]bool{
		"web": true, "WEB-1": true, "1": true, long: true, "": false, "-a": false, "a-": false, "a_b": false, "a.b": false, long + "a": false, "ä": false,
	} {
		if got := call(t, lib, "is_label", text) == starlark.True; got != want {
			t.Errorf("is_label(%q) = %t", text, got)
		}
	}
	for text, want := range map[string]bool{
		"example.org": true, "a": true, "a..b": false, ".": false, "": false, "a.": false, strings.Repeat(long+".", 3) + strings.Repeat("a", 61): true,
		strings.Repeat(long+".", 3) + strings.Repeat("a", 62): false,
	} {
		if got := call(t, lib, "is_domain", text) == starlark.True; got != want {
			t.Errorf("is_domain(%q) = %t", text, got)
		}
	}
}

// FuzzEscapedPath takes the names of mounts apart again, which have to be names of units.
func FuzzEscapedPath(f *testing.F) {
	lib := library(f, "libunit.star")
	for _, seed := range []string{"/", "/srv", "/srv/my-data.d", "/.hidden", "/a/.b", "//a//b/", "/ä b\\x", "/a:b_c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		if strings.ContainsRune(file, 0) || path.Clean("/"+file) != "/"+strings.Trim(squeeze(file), "/") {
			t.Skip("no plain path")
		}
		name := string(call(t, lib, "escaped_path", file).(starlark.String))
		if call(t, lib, "is_unit_name", name+".mount") != starlark.True {
			t.Errorf("escaped_path(%q) = %q, which can't be the name of a unit", file, name)
		}
		if got, want := unescapedPath(t, name), path.Clean("/"+file); got != want {
			t.Errorf("escaped_path(%q) = %q, which is the path %q", file, name, got)
		}
	})
}

// squeeze makes one slash of several.
func squeeze(file string) string {
	for strings.Contains(file, "//") {
		file = strings.ReplaceAll(file, "//", "/")
	}
	return file
}

// unescapedPath is systemd-escape --unescape --path.
func unescapedPath(t *testing.T, name string) string {
	t.Helper()
	if name == "-" {
		return "/"
	}
	return "/" + unescaped(t, strings.ReplaceAll(name, "-", "/"))
}

// unescaped replaces \x and two digits by the byte, and other letters after a backslash by what they are in C.
func unescaped(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	for len(text) > 0 {
		if text[0] != '\\' {
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		if len(text) >= 4 && text[1] == 'x' {
			n, err := strconv.ParseUint(text[2:4], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteByte(byte(n))
			text = text[4:]
			continue
		}
		i := strings.IndexByte(`ntr"\`, text[1])
		if i < 0 {
			t.Fatalf("systemd knows no %q", text[:2])
		}
		b.WriteByte("\n\t\r\"\\"[i])
		text = text[2:]
	}
	return b.String()
}

// FuzzQuoted takes the words of units apart again.
func FuzzQuoted(f *testing.F) {
	lib := library(f, "libunit.star")
	for _, seed := range []string{"", "word", "two words", "a\"b\\c\nd%e$f 'g'\t\r", "100%", "%%", `\n`, "ä"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		word := string(call(t, lib, "quoted", text).(starlark.String))
		inner, ok := strings.CutPrefix(strings.TrimSuffix(word, `"`), `"`)
		if !ok || len(word) < 2 || strings.ContainsAny(word, "\n\r") || strings.Contains(strings.ReplaceAll(inner, "%%", ""), "%") {
			t.Fatalf("quoted(%q) = %q", text, word)
		}
		if got := unescaped(t, strings.ReplaceAll(inner, "%%", "%")); got != text {
			t.Errorf("quoted(%q) = %q, which is %q", text, word, got)
		}
	})
}

// Ports that overlap are refused by nft, and the machine would be open.
func TestFirewallJoinsPorts(t *testing.T) {
	r := evaluateFile(t, `web = system("web", modules = [{"networking.firewall": {
    "allowed_tcp_ports": [5, 1, 5, 9, 10],
    "allowed_tcp_port_ranges": [{"first": 3, "last": 5}, {"first": 4, "last": 8}, {"first": 8, "last": 8}, {"first": 10, "last": 12}],
}}])`)
	text, _ := r.Systems[0].Options.Value(`environment.files."/etc/nftables.conf".text`)
	_, rule, _ := strings.Cut(text.String(), "tcp dport ")
	rule, _, _ = strings.Cut(rule, " accept")
	if diff := cmp.Diff("{ 1, 3-8, 9, 10-12 }", rule); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
