package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
)

func TestISOOfSystem(t *testing.T) {
	iso := func(settings string) config.Target {
		t.Helper()
		r := evaluate(t, map[string]string{"nbuild.star": `
note = text_file("note", "n")
web = system("web", modules = [{"networking.host_name": "one"}, {` + settings + `}])
`})
		return target(t, r, "web.iso")
	}
	plain := iso(``)
	if plain.Kind != config.KindISO || option(t, plain, "volume_id") != "WEB" || option(t, plain, "compress") != "" {
		t.Errorf("the image is a %s with the label %q", plain.Kind, option(t, plain, "volume_id"))
	}
	base := func(image config.Target) any { return image.Derivation.Inputs()["contents_1"].Derivation.ID() }
	for _, test := range []struct {
		settings, variable, want string
		sameBase                 bool
	}{
		{`"iso.volume_id": "RESCUE"`, "volume_id", "RESCUE", true},
		{`"iso.publisher": "Example"`, "publisher", "Example", true},
		{`"iso.compress": True`, "compress", "1", true},
		{`"iso.profile": "release"`, "name", "web", false},
		{`"iso.contents": {"/note": note}`, "name", "web", true},
		{`"iso.store_contents": {"/note": note}`, "name", "web", true},
		{`"iso.menu.serial": False`, "name", "web", true},
		{`"iso.default_entry": "verbose"`, "name", "web", true},
		{`"iso.variant": {"boot.kernel_params": ["live"]}`, "name", "web", true},
		{`"boot.loader_timeout": None`, "name", "web", true},
		{`"file_systems./srv": {"device": "LABEL=srv"}`, "name", "web", true},
	} {
		image := iso(test.settings)
		if got := option(t, image, test.variable); got != test.want {
			t.Errorf("%s: %s is %q, want %q", test.settings, test.variable, got, test.want)
		}
		if test.settings != `"file_systems./srv": {"device": "LABEL=srv"}` && image.Derivation.ID() == plain.Derivation.ID() {
			t.Errorf("%s has no effect", test.settings)
		}
		if same := base(image) == base(plain); same != test.sameBase {
			t.Errorf("%s: the packages are packed as before: %t, want %t", test.settings, same, test.sameBase)
		}
	}
}

func TestISOFaults(t *testing.T) {
	for _, test := range []struct{ name, call, want string }{
		{
			"long label", `iso("x", volume_id = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_01234567")`,
			`nbuild.star:1:14: volume_id is "ABCDEFGHIJKLMNOPQRSTUVWXYZ_01234567": it has 35 bytes, and 32 fit`,
		},
		{
			"places", `iso("x", contents = {"/a/../b": text_file("a", "a"), "b=c": source("y"), "c\nd": source("y"), "e": source("y")}, store_contents = {"/e": source("y")})`,
			`nbuild.star:1:26: contents "/a/../b": want the path of a file without ., .. and empty parts
nbuild.star:1:58: contents "b=c": a path on an ISO can't have "=" or "\"
nbuild.star:1:78: contents "c\nd": a path on an ISO can't have control characters
nbuild.star:1:136: store_contents "/e": "e" has the same place on the ISO`,
		},
		{
			"missing boot image", `iso("x", kernel = source("none"), initrd = source("y"))`,
			`nbuild.star:1:30: source "none": no such file or directory`,
		},
		{"profile", `iso("x", profile = "relase")`, `nbuild.star:1:14: profile is "relase": want dev or release; did you mean "release"?`},
		{
			"publisher", `iso("x", publisher = "a@b")`,
			`nbuild.star:1:14: publisher is "a@b": want letters and digits without accents, blanks and !"%&'()*+,-./:;<=>?_`,
		},
		{"label", `iso("x", volume_id = "a b")`, `nbuild.star:1:14: volume_id is "a b": want letters, digits and _.- without accents`},
		{
			"a path", `iso("x", contents = {"/a": "/etc/passwd"})`,
			`nbuild.star:1:26: contents "/a": want a derivation, a source or a path in one, got the string "/etc/passwd"; a file of the project is source("its path")`,
		},
		{"initrd", `iso("x", kernel = text_file("k", "k"))`, `nbuild.star:1:5: iso needs the argument initrd`},
		{
			"menu", `iso("x", kernel = source("y"), initrd = source("y"), menu = [], timeout = -1)`,
			`nbuild.star:1:58: menu is empty: nothing could be started; leave it out, which means ["normal"]
nbuild.star:1:69: timeout of iso: want an int of 0 or more, got -1`,
		},
		{"menu of a number", `iso("x", kernel = source("y"), initrd = source("y"), menu = [3])`, `nbuild.star:1:66: menu[0] of iso: want a string, got 3`},
		{"timeout", `iso("x", timeout = 3)`, `nbuild.star:1:14: timeout is for an image that boots, and this one has no kernel; give it kernel and initrd`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Evaluate(t.Context(), project(t, map[string]string{"nbuild.star": "x = " + test.call + "\n", "y": "y"}))
			if err == nil {
				t.Fatal("it is taken")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// TestISOTimeout: not to wait can be said, too.
func TestISOTimeout(t *testing.T) {
	image := func(timeout string) config.Target {
		return target(t, evaluate(t, map[string]string{
			"nbuild.star": `x = iso("x", kernel = source("y"), initrd = source("y")` + timeout + ")\n", "y": "y",
		}), "x")
	}
	if none, zero := image(""), image(", timeout = 0"); none.Derivation.ID() != zero.Derivation.ID() {
		t.Error("a timeout of 0 is another than none")
	}
	if none, three := image(""), image(", timeout = 3"); none.Derivation.ID() == three.Derivation.ID() {
		t.Error("a timeout of 3 has no effect")
	}
}

// TestISOOptionFaults: what is wrong with the image of a system shows where the option is defined.
func TestISOOptionFaults(t *testing.T) {
	_, err := config.Evaluate(t.Context(), project(t, map[string]string{"nbuild.star": `
note = text_file("note", "n")
web = system("web", modules = [{
    "iso.volume_id": "a label of more than thirty-two bytes",
    "iso.publisher": "a@b",
    "iso.contents": {"/boot/note": note, "a": note},
    "iso.store_contents": {"/a": note},
}])
web_iso = web.iso
`}))
	if err == nil {
		t.Fatal("it is taken")
	}
	const want = `nbuild.star:4:5: volume_id is "a label of more than thirty-two bytes": it has 37 bytes, and 32 fit
nbuild.star:4:5: volume_id is "a label of more than thirty-two bytes": want letters, digits and _.- without accents
nbuild.star:5:5: publisher is "a@b": want letters and digits without accents, blanks and !"%&'()*+,-./:;<=>?_
nbuild.star:6:22: contents "/boot/note": /boot is where the ISO has what it boots with; choose another place
nbuild.star:7:28: store_contents "/a": "a" has the same place on the ISO`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}
