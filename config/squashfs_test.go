package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
)

func TestSquashfs(t *testing.T) {
	r := evaluate(t, map[string]string{"nbuild.star": `
_lib = text_file("lib", "l")
_app = text_file("app", "see %s" % _lib)
web = system("web")
app = squashfs("app.squashfs", contents = [_app, web], without = [_lib], profile = "release", level = 5, max_size = 40)
plain = squashfs(name = "plain", contents = [web.system])
`})
	app := target(t, r, "app")
	if app.Kind != config.KindSquashfs || app.Derivation.Name() != "app.squashfs" {
		t.Errorf("app is the %s %s", app.Kind, app.Derivation.Name())
	}
	got := map[string]string{}
	for slot, in := range app.Derivation.Inputs() {
		got[slot] = in.Derivation.Name()
	}
	want := map[string]string{"contents_0": "app", "contents_1": "system-web", "without_0": "lib", "root": "image-tools"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	if got, want := option(t, app, "options"), "-comp zstd -Xcompression-level 5 -b 1048576"; got != want {
		t.Errorf("options %q, want %q", got, want)
	}
	if got := option(t, app, "max_size"); got != "40" {
		t.Errorf("max_size %q, want 40", got)
	}
	if a, b := target(t, r, "plain").Derivation, target(t, r, "squashfs").Derivation; a.Inputs()["contents_0"].Derivation != b.Inputs()["contents_0"].Derivation {
		t.Error("the image of web's closure is of something else than web.system")
	}
}

// option returns a variable of an image's build.
func option(t *testing.T, image config.Target, name string) string {
	t.Helper()
	action, err := image.Derivation.Resolve(anyPath)
	if err != nil {
		t.Fatal(err)
	}
	return action.Env()[name]
}

func TestSquashfsOfSystem(t *testing.T) {
	r := evaluate(t, map[string]string{"nbuild.star": `
web = system("web", modules = [{"squashfs": {"profile": "release", "compression": "lz4", "block_size": 64, "max_size": 300}}])
image = web.squashfs
`})
	for _, name := range []string{"squashfs", "web.squashfs", "image"} {
		image := target(t, r, name)
		if image.Kind != config.KindSquashfs || image.Derivation.Name() != "web.squashfs" {
			t.Errorf("%s is the %s %s", name, image.Kind, image.Derivation.Name())
		}
		if got, want := option(t, image, "options"), "-comp lz4 -b 65536"; got != want {
			t.Errorf("options of %s are %q, want %q", name, got, want)
		}
		if got := option(t, image, "max_size"); got != "300" {
			t.Errorf("max_size of %s is %q, want 300", name, got)
		}
	}
}

func TestSquashfsFaults(t *testing.T) {
	for _, test := range []struct{ name, call, want string }{
		{"nothing at all", `squashfs()`, "nbuild.star:1:5: squashfs needs the argument contents\nnbuild.star:1:5: squashfs needs the argument name"},
		{"nothing in it", `squashfs("x", contents = [])`, "nbuild.star:1:19: contents is empty: the image would have nothing"},
		{"a path", `squashfs("x", contents = ["src"])`, `nbuild.star:1:31: contents[0] of squashfs: want a derivation or a source, got the string "src"; a file of the project is source("its path")`},
		{
			"compression", `squashfs("x", contents = [text_file("a", "a")], compression = "zst")`,
			`nbuild.star:1:53: compression is "zst": want zstd, lz4, xz or none; did you mean "zstd"?`,
		},
		{
			"profile", `squashfs("x", contents = [text_file("a", "a")], profile = "realease")`,
			`nbuild.star:1:53: profile is "realease": want dev or release; did you mean "release"?`,
		},
		{"level", `squashfs("x", contents = [text_file("a", "a")], level = "high")`, `nbuild.star:1:53: level of squashfs: want an int above 0, got the string "high"`},
		{"level 0", `squashfs("x", contents = [text_file("a", "a")], level = 0)`, `nbuild.star:1:53: level of squashfs: want an int above 0, got 0`},
		{"level of lz4", `squashfs("x", contents = [text_file("a", "a")], level = 3, compression = "lz4")`, `nbuild.star:1:53: level is 3, but only zstd has levels`},
		{"block size", `squashfs("x", contents = [text_file("a", "a")], block_size = 5000)`, `nbuild.star:1:53: block_size is 5000: want a power of two from 4 to 1024, in KiB`},
		{
			"two at once", `squashfs("x", contents = [text_file("a", "a")], block_size = 1, level = 99)`,
			"nbuild.star:1:53: block_size is 1: want a power of two from 4 to 1024, in KiB\nnbuild.star:1:69: level is 99: want 1 to 22",
		},
		{"a huge size", `squashfs("x", contents = [text_file("a", "a")], max_size = 1 << 70)`, `nbuild.star:1:53: max_size of squashfs: want an int above 0, got a huge int`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Evaluate(t.Context(), project(t, map[string]string{"nbuild.star": "x = " + test.call + "\n"}))
			if err == nil {
				t.Fatal("it is taken")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// What a wrong call returned is quietly taken: its own fault is all that is told.
func TestSquashfsOfWhatIsWrong(t *testing.T) {
	_, err := config.Evaluate(t.Context(), project(t, map[string]string{"nbuild.star": `x = squashfs("x", contents = [text_file("a")])` + "\n"}))
	if err == nil || strings.Count(err.Error(), "\n") != 0 || !strings.Contains(err.Error(), "text_file needs the argument content") {
		t.Errorf("Evaluate: %v", err)
	}
}
