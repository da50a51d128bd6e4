package config_test

import (
	"strings"
	"testing"

	"nbuild/config"
	"nbuild/config/options"
	"nbuild/internal/testproject"
)

// layers is a project of 1,001 derivations in 10 layers, each of the 100 in a layer with ten of the layer below as inputs.
const layers = `
def _layers():
    below = [derivation("d0-%d" % i, script = "echo d0-%d > $out\n" % i) for i in range(100)]
    for layer in range(1, 10):
        below = [
            derivation(
                "d%d-%d" % (layer, i),
                inputs = {"in%d" % j: below[(i + j) % 100] for j in range(10)},
                script = "cat $in0 $in9 > $out\necho d%d-%d >> $out\n" % (layer, i),
            )
            for i in range(100)
        ]
    return below
_last = _layers()
all = derivation("all", script = "\n".join(["cat %s >> $out" % d for d in _last]))
`

func benchmark(b *testing.B, file string) {
	p := project(b, map[string]string{"nbuild.star": file, "src/hello.c": "int main(void) { return 0; }\n"})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := config.Evaluate(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLayers(b *testing.B)    { benchmark(b, layers) }
func BenchmarkFunctions(b *testing.B) { benchmark(b, kitchenSink) }
func BenchmarkEmpty(b *testing.B)     { benchmark(b, "") }

func BenchmarkDemo(b *testing.B) { benchmark(b, config.Demo()) }

// The large project is given 0.5 s by its goal, for two evaluations: of the system and of its virtual machine.
func BenchmarkLargeProject(b *testing.B) {
	p := project(b, testproject.Large())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := config.Evaluate(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}

// What the benchmark measures must be what it claims.
func TestLargeProject(t *testing.T) {
	r, err := config.Evaluate(t.Context(), project(t, testproject.Large()))
	if err != nil {
		t.Fatal(err)
	}
	system := r.Systems[0].Options
	declared, defined := 0, 0
	for _, o := range system.Options() {
		if !strings.HasPrefix(o.Name, "large.") {
			continue
		}
		declared++
		for _, d := range system.Definitions(o.Name) {
			if d.Position != o.Position { // Else it is the option's own default.
				defined++
			}
		}
	}
	if declared != testproject.Options || defined != testproject.Definitions {
		t.Errorf("%d options with %d definitions, want %d with %d", declared, defined, testproject.Options, testproject.Definitions)
	}
	want := map[string]string{
		"large.m000.level":         "1",
		"large.m001.level":         "1",
		"large.m019.level":         "10",
		"large.m005.names":         `["m001-4", "m002-3", "m003-2", "m004-1"]`,
		"large.m005.users.user4":   `{"groups": ["m001"], "shell": "/bin/sh"}`,
		"large.m000.settings.m199": `"on"`,
	}
	for name, text := range want {
		v, _ := system.Value(name)
		if got := options.Format(v); got != text {
			t.Errorf("%s is %s, want %s", name, got, text)
		}
	}
}
