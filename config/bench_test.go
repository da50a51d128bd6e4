package config_test

import (
	"testing"

	"nbuild/config"
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
