package options_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An assertion that names an option is shown where that is defined, not where the module is that has the assertion.
func TestAssertionsAreShownAtTheirOption(t *testing.T) {
	const file = `-- base.star --
options = {
    "hosts": option(types.attrs_of(types.submodule({
        "names": option(types.list_of(types.str), default = []),
        "port": option(types.port, default = 80),
        "inner": option(types.anything, default = None),
    })), default = {}),
    "list": option(types.list_of(types.int), default = [1]),
    "other": option(types.int, default = 1),
}
config = {"assertions": [{"assertion": False, "message": "wrong", "option": %q}]}
-- web.star --
config = {
    "hosts": {
        "a": {
            "names": ["x"],
        },
        "b.c": default({
            "names": ["y"],
        }),
    },
    "hosts.\"b.c\".inner": {
        "deep": 1,
    },
    "list": [2, 3],
}
-- late.star --
config = {
    "hosts": {"a": {
        "port": force(81),
        "names": merge(
            ["z"],
            before(["first"]),
        ),
    }},
    "list": before([4]),
}
`
	for _, test := range []struct{ option, want string }{
		{"hosts", "web.star:2:5"},
		{"hosts.a", "web.star:3:9"},
		{"hosts.a.names", "late.star:4:9"},
		{"hosts.a.names[0]", "late.star:4:9"},
		{"hosts.a.names[1]", "web.star:4:13"},
		{"hosts.a.names[2]", "late.star:4:9"},
		{"hosts.a.names[9]", "late.star:4:9"},
		{"hosts.a.port", "late.star:3:9"},
		{`hosts."b.c".inner.deep`, "web.star:11:9"},
		{`hosts."b.c".inner.deeper`, "web.star:10:5"},
		{`hosts."b.c".names`, "web.star:10:5"}, // What is there by default doesn't count beside it.
		{"hosts.nobody", "web.star:2:5"},
		{"list[0]", "late.star:9:5"},
		{"list[2]", "web.star:13:5"},
		{"list[x]", "base.star:10:26"},
		{"other", "base.star:10:26"},
		{"unknown", "base.star:10:26"},
		{"", "base.star:10:26"},
	} {
		got := faultsOf(t, fmt.Sprintf(file, test.option))
		if diff := cmp.Diff(test.want+": wrong\n", got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.option, diff)
		}
	}
}
