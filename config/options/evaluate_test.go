package options_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEvaluate(t *testing.T) {
	r := resultOf(t, `-- nginx.star --
options = {
    "services.nginx": {
        "enable": option(types.bool, default = False, description = "Serve."),
        "virtual_hosts": option(types.attrs_of(types.submodule({
            "root": option(types.path),
            "port": option(types.port, default = 80),
            "names": option(types.list_of(types.str), default = []),
        })), default = {}),
    },
    "environment.packages": option(types.list_of(types.package), default = []),
    "networking.host_name": option(types.str),
    "text": option(types.lines, default = ""),
}
def config(cfg):
    nginx = cfg.services.nginx
    if not nginx.enable:
        return None
    return {
        "environment.packages": ["nginx"],
        "text": "\n".join(["%s %s" % (name, host.root) for name, host in nginx.virtual_hosts.items()]),
    }
-- web.star --
config = {
    "services.nginx": {
        "enable": True,
        "virtual_hosts": {"b.example.org": {"root": "/srv/b"}},
    },
    "services.nginx.virtual_hosts.\"a.example.org\".root": "/srv/a",
    "services.nginx.virtual_hosts": {"b.example.org": {"names": before(["x"])}},
    "networking": {"host_name": default("web")},
    "environment.packages": before(["curl"]),
}
-- late.star --
def config(cfg):
    return merge(
        {"networking.host_name": "late"},
        when(len(cfg.services.nginx.virtual_hosts) == 2, {"services.nginx.virtual_hosts": {"b.example.org": {"names": ["y"]}}}),
    )
`)
	want := map[string]string{
		"services.nginx.enable":        "True",
		"services.nginx.virtual_hosts": `{"a.example.org": {"names": [], "port": 80, "root": "/srv/a"}, "b.example.org": {"names": ["x", "y"], "port": 80, "root": "/srv/b"}}`,
		"environment.packages":         `["curl", "nginx"]`,
		"networking.host_name":         `"late"`,
		"text":                         `"a.example.org /srv/a\nb.example.org /srv/b"`,
		`services.nginx.virtual_hosts."a.example.org".port`: "80",
		"assertions": "[]",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = valueOf(r, name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
