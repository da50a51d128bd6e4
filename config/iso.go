package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
	"nbuild/config/options"
	"nbuild/derivations"
	"nbuild/internal/storepath"
)

// isoFunction makes an image of a CD.
func (ev *evaluator) isoFunction(c *call) (starlark.Value, error) {
	spec := derivations.ISOSpec{
		Name:          c.storeName("name", ""),
		VolumeID:      c.plainText("volume_id"),
		Publisher:     c.plainText("publisher"),
		Contents:      c.isoFiles("contents"),
		StoreContents: c.isoFiles("store_contents"),
		Compress:      c.boolean("compress", false),
		Profile:       c.plainText("profile"),
	}
	spec.Boot = c.isoBoot(spec.Name)
	if len(c.faults) > 0 || c.poisoned {
		c.finish()
		return ev.wrong(), nil
	}
	return c.iso(spec), nil
}

// isoBoot returns what the image boots, or nil when nothing is said of that.
func (c *call) isoBoot(title string) *derivations.ISOBoot {
	kernel, initrd := c.value("kernel"), c.value("initrd")
	if kernel == nil && initrd == nil {
		for _, name := range []string{"kernel_params", "menu", "timeout", "theme"} {
			if c.value(name) != nil {
				c.fault(part{argument: name}, name+" is for an image that boots, and this one has no kernel", "give it kernel and initrd")
			}
		}
		return nil
	}
	boot := &derivations.ISOBoot{Params: c.plainTexts("kernel_params")}
	boot.Menu = derivations.Menu{Title: title, Entries: c.plainTexts("menu"), Timeout: c.atLeast(0, "timeout", "an int of 0 or more")}
	switch menu := c.value("menu").(type) {
	case nil:
		boot.Menu.Entries = []string{"normal"} // The others are for systems.
	case starlark.Sequence:
		if menu.Len() == 0 {
			c.fault(part{argument: "menu"}, "menu is empty: nothing could be started", `leave it out, which means ["normal"]`)
		}
	}
	boot.Kernel, _ = c.isoInput("kernel")
	boot.Initrd, _ = c.isoInput("initrd")
	if c.value("theme") != nil {
		boot.Theme, _ = c.isoInput("theme")
	}
	return boot
}

func (c *call) isoInput(name string) (derivations.Input, bool) {
	v := c.required(name)
	if v == nil {
		return derivations.Input{}, false
	}
	return c.asInput(part{argument: name}, v)
}

// isoFiles returns what a dictionary puts on the image: by its place, an output, a source, or the path of a part of one.
func (c *call) isoFiles(name string) []derivations.ISOFile {
	var files []derivations.ISOFile
	for _, e := range c.entries(name) {
		if in, ok := e.value.(input); ok && !in.valid() {
			c.poisoned = true
			continue
		}
		if file, ok := c.ev.isoFile(e.key, e.value); ok {
			files = append(files, file)
		} else {
			c.fault(e.at, fmt.Sprintf("%s %q: %s", name, e.key, notInStore(e.value)), `a file of the project is source("its path")`)
		}
	}
	return files
}

func notInStore(v starlark.Value) string {
	return "want a derivation, a source or a path in one, got " + describe(v)
}

// isoFile returns what a value means as a file of an image, or false when it isn't of the store.
func (ev *evaluator) isoFile(target string, v starlark.Value) (derivations.ISOFile, bool) {
	switch v := v.(type) {
	case input:
		return derivations.ISOFile{Target: target, Source: v.input()}, true
	case starlark.String:
		text := string(v)
		in, known := ev.inputs[cmp.Or(hashPart(text, storepath.PlaceholderPrefix), hashPart(text, storepath.Prefix))]
		// The path of an object has three parts: "", nbuild, store or what stands for it, and a name.
		parts := strings.SplitN(text, "/", 5)
		if !known {
			return derivations.ISOFile{}, false
		}
		file := derivations.ISOFile{Target: target, Source: in}
		if len(parts) == 5 {
			file.Below = strings.TrimSuffix(parts[4], "/")
		}
		return file, true
	}
	return derivations.ISOFile{}, false
}

// iso makes the image, or faults of the call's arguments.
func (c *call) iso(spec derivations.ISOSpec) *derivationValue {
	image := c.ev.iso(spec, c.lparen, derivations.ISO, func(field, key, what string) {
		at := part{argument: field}
		if key != "" {
			at = at.key(key)
		}
		hint := ""
		if field == "profile" {
			hint = fault.DidYouMean(spec.Profile, derivations.SquashfsProfiles())
		}
		c.fault(at, what, hint)
	})
	c.finish()
	return image
}

// iso makes the image from which the system starts, or faults of the options iso.*.
func (s settings) iso(v *systemValue, live *derivations.System) *derivationValue {
	return s.ev.iso(s.isoSpec(v.name), v.position, live.ISO, s.isoFault)
}

// checkISO reports the faults of the options iso.* of a system that can't be made because of others.
func (s settings) checkISO(name string) {
	spec := s.isoSpec(name)
	reportISO(spec.Check(), s.isoFault)
}

func (s settings) isoFault(field, key, what string) { s.fault("iso."+field, key, what, "") }

// isoSpec returns what the options say about the image, but for what it starts.
func (s settings) isoSpec(name string) derivations.ISOSpec {
	spec := derivations.ISOSpec{
		Name:          name,
		VolumeID:      s.text("iso.volume_id"),
		Publisher:     s.text("iso.publisher"),
		Contents:      s.isoFiles("iso.contents"),
		StoreContents: s.isoFiles("iso.store_contents"),
		Compress:      s.boolean("iso.compress"),
		Profile:       s.text("iso.profile"),
		Boot:          &derivations.ISOBoot{Menu: s.menu(name)},
	}
	spec.Boot.Theme = s.menuTheme()
	return spec
}

// menu returns what the options say about the menu.
func (s settings) menu(name string) derivations.Menu {
	m := derivations.Menu{Title: name, Default: s.text("iso.default_entry"), Timeout: -1}
	if label := s.text("nbuild.label"); label != "" {
		m.Title += " " + label
	}
	for _, entry := range derivations.MenuEntries() {
		if s.boolean("iso.menu." + entry) {
			m.Entries = append(m.Entries, entry)
		}
	}
	if timeout := s.value("boot.loader_timeout"); timeout != starlark.None {
		m.Timeout = number(timeout)
	}
	return m
}

func (s settings) isoFiles(option string) []derivations.ISOFile {
	var files []derivations.ISOFile
	for _, e := range s.entries(option) {
		if in, ok := e.value.(input); ok && !in.valid() {
			continue // It is reported already.
		}
		if file, ok := s.ev.isoFile(e.key, e.value); ok {
			files = append(files, file)
		} else {
			s.fault(option, e.key, fmt.Sprintf("%s %q: %s", option, e.key, notInStore(e.value)), `a file of the project is source("its path")`)
		}
	}
	return files
}

// iso makes an image with one of the functions that do. What is wrong with the spec is told to report: the name of the
// field, the file's place on the image if it is about one, and a message.
func (ev *evaluator) iso(
	spec derivations.ISOSpec, at Position, make func(derivations.ISOSpec) (*derivations.Derivation, error), report func(field, key, what string),
) *derivationValue {
	if spec.Packer = ev.imageTools(); spec.Packer == nil {
		return ev.wrong()
	}
	if spec.Tools = ev.isoTools(); spec.Tools == nil {
		return ev.wrong()
	}
	drv, err := make(spec)
	if err == nil {
		return ev.output(drv, "out", at, KindISO)
	}
	reportISO(err, report)
	return ev.wrong()
}

// reportISO tells report the faults of a spec, if err isn't nil.
func reportISO(err error, report func(field, key, what string)) {
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		field, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		key := ""
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			key, _ = strconv.Unquote(quoted)
		}
		report(field, key, strings.TrimSpace(line))
	}
}

// live returns the system that the ISO starts: the same modules, and those that are for it alone. When these change nothing
// it is the system itself, and nothing is evaluated again.
func (d *declaration) live(system *derivations.System, r *options.Result) *derivations.System {
	if !slices.ContainsFunc([]string{"file_systems", "swap_devices", "iso.variant"}, r.Changed) {
		return system
	}
	list := moduleList{ev: d.ev, seen: map[any]bool{}, modules: slices.Clone(d.modules)}
	list.addFile(liveModule, d.at)
	for _, variant := range r.Raw("iso.variant") {
		list.add(variant.Value, variant.Position)
	}
	live := d.evaluate(list.modules)
	if live == nil {
		return nil
	}
	return d.derivations(live)
}
