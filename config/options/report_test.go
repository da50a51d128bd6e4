package options_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config/fault"
	"nbuild/config/options"
)

const reported = `-- base.star --
options = {
    "net": {
        "name": option(types.str, default = "none"),
        "domain": option(types.str),
        "ports": option(types.list_of(types.port), default = []),
        "secret": option(types.int, default = 1, internal = True),
    },
    "users": option(types.attrs_of(types.submodule({"shell": option(types.str, default = "sh")})), default = {}),
    "text": option(types.lines, default = "a\nb"),
    "network": option(types.bool, default = False),
    "variant": option(types.module, default = {}),
}
config = {"net.name": default("base"), "net.ports": [80]}
-- web.star --
config = {
    "net.name": "web",
    "net.ports": before([22]),
    "users.ann": {},
    "variant": {"net.name": force("vm")},
}
`

func TestReport(t *testing.T) {
	r := resultOf(t, reported)
	tests := []struct {
		name  string
		query options.Query
		want  string
	}{
		{"text", options.Query{Name: "net.name"}, "web\n"},
		{"lines", options.Query{Name: "text"}, "a\nb\n"},
		{"list", options.Query{Name: "net.ports"}, "[22, 80]\n"},
		{"internal", options.Query{Name: "net.secret"}, "1\n"},
		{"inside", options.Query{Name: "users.ann"}, "{\"shell\": \"sh\"}\n"},
		{"further inside", options.Query{Name: "users.ann.shell"}, "sh\n"},
		{"group", options.Query{Name: "net"}, "net.name = \"web\"\nnet.ports = [22, 80]\n"},
		{"whole group", options.Query{Name: "net", All: true}, "# net.domain is not defined\nnet.name = \"web\"\nnet.ports = [22, 80]\n"},
		{"all that is defined", options.Query{}, `net.name = "web"
net.ports = [22, 80]
users = {"ann": {"shell": "sh"}}
variant = [{"net.name": force("vm")}]
`},
		{"origins", options.Query{Name: "net", Origins: true}, `net.name = "web"
     100 web.star:2:5: "web"
    1000 base.star:13:11: lost: "base"
    1500 base.star:3:9: lost: "none"
net.ports = [22, 80]
     100 web.star:3:5: [22]
     100 base.star:13:40: [80]
    1500 base.star:5:9: lost: []
`},
		{"origins inside", options.Query{Name: "users.ann.shell", Origins: true}, `users.ann.shell = "sh"
     100 web.star:4:5: {"ann": {}}
    1500 base.star:8:5: lost: {}
`},
	}
	for _, test := range tests {
		report, err := r.Report(test.query)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var got strings.Builder
		if err := report.WriteText(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	r := resultOf(t, reported)
	tests := []struct {
		query options.Query
		want  string
	}{
		{options.Query{Name: "net.name"}, `"web"`},
		{options.Query{Name: "users.ann"}, `{"shell": "sh"}`},
		{options.Query{Name: "net", All: true}, `{"net.name": "web", "net.ports": [22, 80]}`},
		{options.Query{Name: "variant"}, `"[{\"net.name\": force(\"vm\")}]"`},
		{options.Query{Name: "net.name", Origins: true}, `{"value": "web", "definitions": [
			{"value": "web", "priority": 100, "place": "web.star:2:5", "module": "web.star", "lost": false},
			{"value": "base", "priority": 1000, "place": "base.star:13:11", "module": "base.star", "lost": true},
			{"value": "none", "priority": 1500, "place": "base.star:3:9", "module": "base.star", "lost": true}]}`},
	}
	for _, test := range tests {
		report, err := r.Report(test.query)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if err := report.WriteJSON(&text); err != nil {
			t.Fatal(err)
		}
		var want, got any
		if err := errors.Join(json.Unmarshal([]byte(test.want), &want), json.Unmarshal([]byte(text.String()), &got)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.query, diff)
		}
	}
}

func TestReportOfNothing(t *testing.T) {
	r := resultOf(t, reported)
	tests := map[string]string{
		"net.nam":          `there is no option net.nam; did you mean "net.name"?`,
		"net.domain":       "base.star:4:9: option net.domain has no value, because nothing defines it",
		"users.bob":        "users has no bob",
		"users.ann.shell2": "there is no option users.ann.shell2",
		"a..b":             `"a..b" is no name of an option: labels, with dots between them, are wanted`,
		"net.name.x":       "net.name has no x",
	}
	for name, want := range tests {
		_, err := r.Report(options.Query{Name: name})
		var wrong *fault.Error
		if !errors.As(err, &wrong) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

func TestResultSize(t *testing.T) {
	r := resultOf(t, reported)
	declared, definitions := r.Size()
	if declared != len(r.Options()) || definitions != 6 {
		t.Errorf("%d options and %d definitions, want %d and 6", declared, definitions, len(r.Options()))
	}
}
