package config_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
	"nbuild/config/options"
)

func optionNames(declared []*options.Option) []string {
	var names []string
	for _, o := range declared {
		names = append(names, o.Name)
	}
	return names
}

func TestBuiltinOptionsAreThoseOfEverySystem(t *testing.T) {
	builtin, err := config.BuiltinOptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := evaluate(t, map[string]string{
		"nbuild.star": `web = system(name = "web", modules = ["mine.star"])`,
		"mine.star":   `options = {"mine.own": option(types.int)}`,
	})
	want := append(optionNames(builtin), "mine.own")
	slices.Sort(want)
	if diff := cmp.Diff(want, optionNames(r.Options())); diff != "" {
		t.Errorf("options (-builtin and own +of the system):\n%s", diff)
	}
	if !slices.Contains(want, "networking.host_name") {
		t.Errorf("nbuild's own modules declare %v", want)
	}
}

func TestOptionsOf(t *testing.T) {
	one := evaluate(t, map[string]string{"nbuild.star": `
web = system(name = "www", modules = [{"virtualisation.vm_variant": {"virtualisation.cores": 7}}])
text = text_file("text", "")
`})
	two := evaluate(t, map[string]string{"nbuild.star": `
a = system(name = "a")
b = system(name = "b")
`})
	none := evaluate(t, map[string]string{"nbuild.star": `text = text_file("text", "")`})
	tests := []struct {
		project *config.Result
		args    []string
		host    string // networking.host_name of what is found
		cores   string // virtualisation.cores
		option  string
		fault   string
	}{
		{project: one, host: "www", cores: "2"},
		{project: one, args: []string{"web"}, host: "www", cores: "2"},
		{project: one, args: []string{"web.system"}, host: "www", cores: "2"},
		{project: one, args: []string{"web.vm"}, host: "www", cores: "7"},
		{project: one, args: []string{"vm"}, host: "www", cores: "7"},
		{project: one, args: []string{"system"}, host: "www", cores: "2"},
		{project: one, args: []string{"networking.domain"}, host: "www", cores: "2", option: "networking.domain"},
		{project: one, args: []string{"vm", "networking"}, host: "www", cores: "7", option: "networking"},
		{project: one, args: []string{"wbe", "networking"}, fault: `there is no system "wbe"; did you mean "web"?`},
		{project: one, args: []string{"text", "networking"}, fault: `there is no system "text"`},
		{project: two, args: []string{"b"}, host: "b", cores: "2"},
		{project: two, args: []string{"b.vm", "boot"}, host: "b", cores: "2", option: "boot"},
		{project: two, args: []string{"boot"}, fault: `"system" could be of any of 2 systems; name one: a.system, b.system`},
		{project: none, fault: `there is no target "system", because the project declares no system; declare one: web = system(name = "web")`},
	}
	for _, test := range tests {
		found, option, err := test.project.Find(test.args)
		if err != nil || test.fault != "" {
			if err == nil || err.Error() != test.fault {
				t.Errorf("%q: %v, want %s", test.args, err, test.fault)
			}
			continue
		}
		host, _ := found.Value("networking.host_name")
		cores, _ := found.Value("virtualisation.cores")
		if options.Format(host) != `"`+test.host+`"` || options.Format(cores) != test.cores || option != test.option {
			t.Errorf("%q: host %v, cores %v, option %q", test.args, host, cores, option)
		}
	}
}
