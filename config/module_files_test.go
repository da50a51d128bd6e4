package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
	"nbuild/config/options"
)

// value returns what an option of the system web comes to, as text.
func value(t *testing.T, r *options.Result, name string) string {
	t.Helper()
	v, defined := r.Value(name)
	if !defined {
		return "undefined"
	}
	return options.Format(v)
}

func web(t *testing.T, files map[string]string) config.System {
	t.Helper()
	r := evaluate(t, files)
	if len(r.Systems) != 1 {
		t.Fatalf("there are %d systems", len(r.Systems))
	}
	return r.Systems[0]
}

func TestModuleFiles(t *testing.T) {
	system := web(t, map[string]string{
		"nbuild.star": `
def _inline(cfg):
    return {"boot.kernel_params": ["function=" + cfg.my.text]}
web = system("web", modules = ["modules/a.star", {"boot.kernel_params": ["dict"]}, _inline, "modules/b.star"])
`,
		"modules/a.star": `
imports = ["modules/b.star", "modules/c.star", {"boot.kernel_params": ["imported"]}]
options = {"my.text": option(types.str, default = "x", description = "A text.")}
config = {"boot.kernel_params": ["a"]}
`,
		"modules/b.star": `
imports = ["modules/c.star"]
def config(cfg):
    return {"boot.kernel_params": ["b"]}
`,
		"modules/c.star": `config = {"boot": {"kernel_params": force(["c"]) if False else ["c"]}, "my.text": "y"}`,
	})
	// What is imported comes first, and once.
	want := `["quiet", "loglevel=3", "c", "b", "imported", "a", "dict", "function=y"]`
	if diff := cmp.Diff(want, value(t, system.Options, "boot.kernel_params")); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

func TestDefinitionsHavePlaces(t *testing.T) {
	system := web(t, map[string]string{
		"nbuild.star": `
web = system(
    name = "web",
    modules = [
        "a.star",
        {
            "my": {"text": "inline"},
            "networking.host_name": "www",
        },
    ],
)
`,
		"a.star": `
options = {"my.text": option(types.lines)}
def _more():
    return {"my.text": "helper"}
def config(cfg):
    definitions = {
        "my.text": "first",
    }
    return merge(definitions, when(True, {"my": {"text":
        "second"}}), _more(), {k: "comprehension" for k in ["my.text"]})
`,
	})
	var got []string
	for _, d := range system.Options.Definitions("my.text") {
		got = append(got, fmt.Sprintf("%s %s", d.Position, options.Format(d.Value)))
	}
	want := []string{
		`a.star:7:9 "first"`,
		`a.star:9:50 "second"`,
		`a.star:4:13 "helper"`,
		`a.star:10:31 "comprehension"`,
		`nbuild.star:7:20 "inline"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("definitions (-want +got):\n%s", diff)
	}
}

func TestModuleFaults(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"circle", map[string]string{
			"nbuild.star": `web = system("web", modules = ["a.star"])`,
			"a.star":      "imports = ['b.star']\n",
			"b.star":      "imports = [\n    'a.star',\n]\n",
		}, "b.star:2:5: modules import each other in a circle: a.star → b.star → a.star; take one of the imports out; options are seen by all modules, whoever imports them"},
		{"no module", map[string]string{
			"nbuild.star": `web = system("web", modules = ["a.star"])`,
			"a.star":      "_x = 1\noption_s = {}\n",
		}, `a.star:2:1: a.star is no module: it has none of the globals options, imports and config; did you mean "options"?`},
		{"imports", map[string]string{
			"nbuild.star": `web = system("web", modules = ["a.star"])`,
			"a.star":      "imports = 'b.star'\n",
		}, `a.star:1:1: imports: want a list of modules, got the string "b.star"`},
		{"faults in two files", map[string]string{
			"nbuild.star": `web = system("web", modules = ["a.star", "b.star", {"my.text": 1}])`,
			"a.star":      "options = {'my.text': option(types.str)}\ndef config(cfg):\n    return fail('no')\n",
			"b.star":      "config = {'boot.quit': True}\n",
		}, "a.star:3:16: fail: no\n" +
			`b.star:1:11: there is no option boot.quit; did you mean "boot.quiet"?` + "\n" +
			`nbuild.star:1:53: option my.text: want a string, got 1`},
		{"a derivation with a fault", map[string]string{
			"nbuild.star": `web = system("web", modules = ["a.star"])`,
			"a.star":      "def config(cfg):\n    return {'environment.packages': [derivation(nam = 'x', script = '')]}\n",
		}, "a.star:2:38: derivation needs the argument name\n" +
			`a.star:2:49: derivation has no argument "nam"; did you mean "name"?`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Evaluate(t.Context(), project(t, test.files))
			var wrong *config.Error
			if !errors.As(err, &wrong) {
				t.Fatalf("error %v, want a *config.Error", err)
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What is for the virtual machine alone changes nothing of the system.
func TestVMVariant(t *testing.T) {
	file := `web = system("web", modules = [{
    "file_systems": {"/": {"device": "/dev/sda1", "fs_type": "ext4"}},
    "environment.variables.WHERE": "machine",
    %s
}])`
	r := evaluateFile(t, fmt.Sprintf(file, `"virtualisation.vm_variant": {"environment.variables.WHERE": force("vm")},`))
	plain := evaluateFile(t, fmt.Sprintf(file, ""))
	if target(t, r, "web").Derivation.ID() != target(t, plain, "web").Derivation.ID() {
		t.Error("the variant for the virtual machine changes the system")
	}
	if target(t, r, "web.vm").Derivation.ID() == target(t, plain, "web.vm").Derivation.ID() {
		t.Error("the variant changes nothing of the virtual machine")
	}
	system := r.Systems[0]
	if got := value(t, system.VM, "environment.variables.WHERE"); got != `"vm"` {
		t.Errorf("in the virtual machine the variable is %s", got)
	}
	if got := value(t, system.VM, "file_systems"); got != "{}" {
		t.Errorf("the virtual machine has the file systems %s", got)
	}
	if got := value(t, system.Options, "file_systems"); !strings.Contains(got, "/dev/sda1") {
		t.Errorf("the system has the file systems %s", got)
	}
}

func TestUnknownOptionsAsWarnings(t *testing.T) {
	r := evaluateFile(t, `web = system("web", check_configuration = False, modules = [{"boot.quit": True, "warnings": ["mind this"]}])`)
	var got []string
	for _, w := range r.Warnings {
		got = append(got, w.String())
	}
	want := []string{
		`nbuild.star:1:62: there is no option boot.quit; did you mean "boot.quiet"?`,
		`nbuild.star:1:81: mind this`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestModulesPrintOnce(t *testing.T) {
	p := project(t, map[string]string{"nbuild.star": `
def _m(cfg):
    print("host", cfg.networking.host_name)
    return {"networking.host_name": "b"}
web = system("web", modules = [_m])
`})
	var printed []string
	p.Print = func(at config.Position, text string) { printed = append(printed, fmt.Sprintf("%s %s", at, text)) }
	if _, err := config.Evaluate(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	want := []string{"nbuild.star:3:10 host web", "nbuild.star:3:10 host b"}
	if diff := cmp.Diff(want, printed); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}
