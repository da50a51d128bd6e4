package options_test

import (
	"fmt"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
	"nbuild/config/options"
)

// A placelessInterpreter is an interpreter that knows no places: what finding them costs is not this package's.
type placelessInterpreter struct{ *textProject }

func (placelessInterpreter) Entry(*starlark.Dict, string) fault.Position { return fault.Position{} }
func (placelessInterpreter) Literal(starlark.Value) fault.Position       { return fault.Position{} }

// largeProject has 200 modules that declare 10 options each and define 25 each, most by config functions that read
// others: chains of 10 modules hand a number on.
func largeProject() string {
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "-- m%03d.star --\n", i)
		fmt.Fprintf(&b, `
options = {"services.s%03[1]d": {
    "enable": option(types.bool, default = False, description = "Whether to run it."),
    "level": option(types.int, default = 0, description = "How far it is from the first of its chain."),
    "port": option(types.port, default = 80, description = "Where it listens."),
    "name": option(types.str, description = "What it is called."),
    "mode": option(types.enum("fast", "safe", "both"), default = "safe", description = "How it works."),
    "packages": option(types.list_of(types.package), default = [], description = "What it needs."),
    "text": option(types.lines, default = "", description = "Its configuration."),
    "root": option(types.nullable(types.path), default = None, description = "What it serves."),
    "environment": option(types.attrs_of(types.str), default = {}, description = "Its variables."),
    "hosts": option(types.attrs_of(types.submodule({
        "root": option(types.path, default = "/srv", description = "What to serve."),
        "port": option(types.port, default = 80, description = "Where."),
        "names": option(types.list_of(types.str), default = [], description = "Other names."),
    })), default = {}, description = "The hosts."),
}}
def config(cfg):
    s = cfg.services.s%03[1]d
    if not s.enable:
        return {"services.s%03[1]d.enable": True}
    previous = cfg.services.s%03[2]d
    return {
        "services.s%03[1]d": {
            "enable": True,
            "name": "service-%%d" %% s.level,
            "level": previous.level + 1 if %[1]d %% 10 else 0,
            "port": 8000 + s.level,
            "packages": ["curl", "nginx"],
            "text": "port = %%d" %% s.port,
            "root": default("/srv/%[1]d"),
            "hosts": {"example.org": {"port": s.port, "names": ["a", "b"]}},
            "hosts.\"www.example.org\".root": "/srv/www",
        },
        "services.s%03[2]d": {
            "packages": before(["jq"]),
            "text": after("# used by %[1]d"),
            "environment": {"USER_%[1]d": str(s.level), "A": "b"},
            "hosts": {"example.org": {"names": ["of-%[1]d"]}},
        },
        "services.s%03[3]d": {
            "packages": ["git"],
            "text": "# seen by %[1]d",
            "environment.SEEN_%[1]d": "yes",
            "hosts": {"host-%[1]d.example.org": {}},
            "mode": default("fast"),
            "root": default("/srv/%[3]d"),
        },
        "services.s%03[4]d": {"environment.C_%[1]d": "1", "packages": when(s.level > 3, ["vim"]), "text": "x", "port": default(1)},
        "warnings": [],
    }
`, i, (i+199)%200, (i+7)%200, (i+11)%200)
	}
	return b.String()
}

func BenchmarkEvaluate(b *testing.B) {
	p, modules := loadText(b, largeProject())
	for b.Loop() {
		r, faults := options.Evaluate(options.Request{Modules: modules, Interpreter: placelessInterpreter{p}})
		if len(faults) > 0 {
			b.Fatal(itemLines(faults))
		}
		if len(r.Options()) != 2002 {
			b.Fatalf("%d options", len(r.Options()))
		}
	}
	b.ReportMetric(float64(p.calls())/float64(b.N), "calls/op")
}
