package options_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config/fault"
	"nbuild/config/options"
)

const resultText = `-- base.star --
options = {
    "packages": option(types.list_of(types.package), default = ["base-files"], description = "Packages.", example = ["curl"]),
    "net": {"host": option(types.str), "domain": option(types.str, internal = True)},
    "users": option(types.attrs_of(types.submodule({"shell": option(types.path, default = "/bin/sh"), "home": option(types.str)})), default = {}),
    "variant": option(types.module, default = {}),
}
config = {"net.host": default("base")}
-- web.star --
config = {
    "packages": ["curl"],
    "net": {"host": "web"},
    "users.bob.shell": "/bin/bash",
    "variant": [{"net.host": "a"}, {"net.host": "b"}],
}
-- late.star --
def config(cfg):
    return {
        "packages": before(["jq"]),
        "net.host": override(200, "late"),
        "variant": {"net.domain": "x"},
        "warnings": ["short of memory", when(False, "never")],
    }
`

func TestResultOptions(t *testing.T) {
	var got []string
	for _, o := range resultOf(t, resultText).Options() {
		line := fmt.Sprintf("%s (%s) at %s in %q", o.Name, o.Type, o.Position, o.Module)
		if o.Default != nil {
			line += " default " + options.Format(o.Default)
		}
		if o.Example != nil {
			line += " example " + options.Format(o.Example)
		}
		if o.Internal {
			line += " internal"
		}
		got = append(got, line)
	}
	want := []string{
		`assertions (list of submodules) at  in "" default [] example [{"assertion": False, "message": "the firewall needs nftables"}]`,
		`net.domain (string) at base.star:3:40 in "base.star" internal`,
		`net.host (string) at base.star:3:13 in "base.star"`,
		`packages (list of packages) at base.star:2:5 in "base.star" default ["base-files"] example ["curl"]`,
		`users (dictionary of submodules) at base.star:4:5 in "base.star" default {}`,
		`variant (module) at base.star:5:5 in "base.star" default {}`,
		`warnings (list of strings) at  in "" default []`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestResultValue(t *testing.T) {
	r := resultOf(t, resultText)
	tests := []struct{ name, want string }{
		{"packages", `["jq", "curl"]`},
		{"net.host", `"web"`},
		{"net.domain", "undefined"},
		{"users.bob.shell", `"/bin/bash"`},
		{"users.bob.home", "undefined"},
		{"users.alice", "undefined"},
		{"users.bob.shell.x", "undefined"},
		{"packages.x", "undefined"},
		{"net", `{"host": "web"}`},
		{"nothing", "undefined"},
		{"a..b", "undefined"},
		{"", `{"assertions": [], "net": {"host": "web"}, "packages": ["jq", "curl"], "users": {"bob": {"shell": "/bin/bash"}}, ` +
			`"variant": [{"net.host": "a"}, {"net.host": "b"}, {"net.domain": "x"}], "warnings": ["short of memory"]}`},
	}
	for _, test := range tests {
		if got := valueOf(r, test.name); got != test.want {
			t.Errorf("%q: got %s, want %s", test.name, got, test.want)
		}
	}
}

// definitionLines returns a line for each definition.
func definitionLines(definitions []options.Definition) string {
	var b strings.Builder
	for _, d := range definitions {
		lost := ""
		if d.Lost {
			lost = " lost"
		}
		fmt.Fprintf(&b, "%s %s %d at %s%s\n", options.Format(d.Value), d.Module, d.Priority, d.Position, lost)
	}
	return b.String()
}

func TestResultDefinitions(t *testing.T) {
	r := resultOf(t, resultText)
	tests := []struct{ name, want string }{
		{"packages", `["jq"] late.star 100 at late.star:3:9
["curl"] web.star 100 at web.star:2:5
["base-files"] base.star 1500 at base.star:2:5 lost
`},
		{"net.host", `"web" web.star 100 at web.star:3:13
"late" late.star 200 at late.star:4:9 lost
"base" base.star 1000 at base.star:7:11 lost
`},
		{"net.domain", ""},
		{"users", `{"bob": {"shell": "/bin/bash"}} web.star 100 at web.star:4:5
{} base.star 1500 at base.star:4:5 lost
`},
		{"assertions", "[]  1500 at \n"},
		{"net", ""},
		{"nothing", ""},
		{"a..b", ""},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, definitionLines(r.Definitions(test.name))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestResultRaw(t *testing.T) {
	r := resultOf(t, resultText)
	want := `{"net.host": "a"} web.star 100 at web.star:5:17
{"net.host": "b"} web.star 100 at web.star:5:36
{"net.domain": "x"} late.star 100 at late.star:5:9
`
	if diff := cmp.Diff(want, definitionLines(r.Raw("variant"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := r.Raw("nothing"); got != nil {
		t.Errorf("an unknown option has %v", got)
	}
	if got := definitionLines(resultOf(t, "options = {\"variant\": option(types.module, default = {})}").Raw("variant")); got != "{} web.star 1500 at web.star:1:12\n" {
		t.Errorf("the default is %s", got)
	}
}

func TestResultChanged(t *testing.T) {
	r := resultOf(t, resultText)
	for name, want := range map[string]bool{"packages": true, "net.host": true, "net.domain": false, "assertions": false, "nothing": false, "warnings": true} {
		if got := r.Changed(name); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}

func TestResultWarnings(t *testing.T) {
	p, modules := loadText(t, resultText+`-- unknown.star --
config = {"packagse": [], "users.carol": {"shel": "/bin/sh"}, "warnings": "not at all" and ["twice", "twice"]}
`)
	r, faults := options.Evaluate(options.Request{Modules: modules, Interpreter: p, AllowUnknown: true})
	if len(faults) > 0 {
		t.Fatal(itemLines(faults))
	}
	want := `late.star:6:9: short of memory
unknown.star:1:11: there is no option packagse; did you mean "packages"?
unknown.star:1:43: there is no option users.carol.shel; did you mean "users.carol.shell"?
unknown.star:1:63: twice
`
	if diff := cmp.Diff(want, itemLines(r.Warnings())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := r.Warnings(); got[0].Position != (fault.Position{File: "late.star", Line: 6, Column: 9}) {
		t.Errorf("the first is at %v", got[0].Position)
	}
}

// TestResultOfNothing says that no modules are a system of the options that every evaluation has.
func TestResultOfNothing(t *testing.T) {
	r, faults := options.Evaluate(options.Request{Interpreter: &textProject{}})
	if len(faults) > 0 {
		t.Fatal(itemLines(faults))
	}
	if got := valueOf(r, ""); got != `{"assertions": [], "warnings": []}` {
		t.Errorf("got %s", got)
	}
}
