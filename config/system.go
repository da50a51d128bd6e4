package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/options"
	"nbuild/debian"
	"nbuild/derivations"
)

// A systemValue is a system, as the project file sees it.
type systemValue struct {
	name      string
	position  Position // of the call
	system    *derivationValue
	vm        *derivationValue
	loader    *derivationValue // the virtual machine that a boot loader starts
	squashfs  *derivationValue // the image of the system's closure
	iso       *derivationValue // the image that the system starts from
	options   *options.Result
	vmOptions *options.Result
}

var _ starlark.HasAttrs = (*systemValue)(nil)

func (v *systemValue) valid() bool { return v.system.valid() }

// String returns how the value is written.
func (v *systemValue) String() string { return fmt.Sprintf("system(%q)", v.name) }

// Type returns "system".
func (v *systemValue) Type() string { return "system" }

// Freeze does nothing: the value never changes.
func (v *systemValue) Freeze() {}

// Truth returns True.
func (v *systemValue) Truth() starlark.Bool { return true }

// Hash returns an error: there is no use for systems as keys.
func (v *systemValue) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: system") }

// MarshalJSON returns an error, where json.encode would else write the attributes.
func (v *systemValue) MarshalJSON() ([]byte, error) {
	return nil, fmt.Errorf("a system has no form in JSON")
}

// AttrNames returns what Attr knows.
func (v *systemValue) AttrNames() []string {
	return []string{"iso", "name", "squashfs", "system", "vm", "vm_with_bootloader"}
}

// Attr returns the system's name, or a derivation of it.
func (v *systemValue) Attr(name string) (starlark.Value, error) {
	switch name {
	case "name":
		return starlark.String(v.name), nil
	case "iso":
		return v.iso, nil
	case "squashfs":
		return v.squashfs, nil
	case "system":
		return v.system, nil
	case "vm":
		return v.vm, nil
	case "vm_with_bootloader":
		return v.loader, nil
	}
	return nil, nil // The interpreter makes an error of it that names what is alike.
}

// systemFunction makes a system of modules.
//
// Approach: evaluate the modules to the values of their options; read from them what the system is made of; ask the
// archive for its packages; make the derivations. A virtual machine is a system of the same modules and those that are for
// it alone. When these change nothing, both come to the same derivations.
func (ev *evaluator) systemFunction(c *call) (starlark.Value, error) {
	v := &systemValue{position: c.lparen, system: ev.wrong(), vm: ev.wrong(), squashfs: ev.wrong(), iso: ev.wrong(), loader: ev.wrong()}
	v.name = c.storeName("name", "")
	d := declaration{ev: ev, name: v.name, at: c.lparen, suite: c.suite("suite"), unchecked: !c.boolean("check_configuration", true)}
	if ev.inModule > 0 {
		c.fault(part{}, "a module can't declare a system", "call system() in nbuild.star, or in a file that it loads")
	}
	if !c.finish() {
		return v, nil
	}
	if other, taken := ev.systems[v.name]; taken {
		c.fault(part{argument: "name"}, fmt.Sprintf("another system is called %q, at %s", v.name, ev.callStart(other)), "give each a name of its own")
		c.finish()
		return v, nil
	}
	ev.systems[v.name] = c.lparen
	if !d.collect(c) {
		return v, nil
	}
	if v.options = d.evaluate(d.modules); v.options == nil {
		return v, nil
	}
	if v.vmOptions = d.evaluate(d.vmModules(v.options)); v.vmOptions == nil {
		return v, nil
	}
	system := d.derivations(v.options)
	variant := d.derivations(v.vmOptions)
	if system == nil || variant == nil {
		settings{ev, v.options}.checkISO(v.name)
		return v, nil
	}
	if live := d.live(system, v.options); live != nil {
		v.system = ev.output(system.Derivation, "out", c.lparen, KindSystem)
		v.vm = ev.output(variant.VM, "out", c.lparen, KindVM)
		v.loader = settings{ev, v.vmOptions}.loader(v, variant)
		v.squashfs = settings{ev, v.options}.squashfs(v)
		v.iso = settings{ev, v.options}.iso(v, live)
	}
	return v, nil
}

// A declaration is a call of system().
type declaration struct {
	ev        *evaluator
	name      string
	at        Position
	suite     string
	unchecked bool // unknown options are warnings
	modules   []options.Module
}

// collect collects the modules: nbuild's own, what the call says itself, and those of the project.
func (d *declaration) collect(c *call) bool {
	before := len(d.ev.items)
	list := moduleList{ev: d.ev, seen: map[any]bool{}}
	builtin, err := builtinModules()
	if err == nil {
		err = d.ev.parsed.ahead()
	}
	if err != nil {
		_ = d.ev.abort(err)
		return false
	}
	for _, name := range builtin {
		list.addFile(name, d.at)
	}
	list.modules = append(list.modules, d.arguments())
	expr := d.ev.findCall(c.lparen)
	for i, v := range c.list("modules") {
		at := c.lparen
		if expr != nil {
			at = c.locate(expr, part{argument: "modules"}.key(i))
		}
		list.add(v, at)
	}
	d.modules = list.modules
	return c.finish() && len(d.ev.items) == before && d.ev.broken == nil
}

// arguments returns what the call's arguments say as a module.
func (d *declaration) arguments() options.Module {
	definitions := starlark.NewDict(2)
	_ = definitions.SetKey(starlark.String("networking.host_name"), options.Default(starlark.String(d.name)))
	var suite starlark.Value = starlark.String(d.suite)
	if d.suite == "" { // Modules that build something with Debian's tools take them from the system's suite.
		suite = options.Default(starlark.String(cmp.Or(d.ev.packages.suite, defaultSuite)))
	}
	_ = definitions.SetKey(starlark.String("nbuild.suite"), suite)
	at := d.ev.callStart(d.at)
	return options.Module{Name: at.String(), Position: at, Config: definitions}
}

// evaluate returns what the modules come to, or nil when that is reported.
func (d *declaration) evaluate(modules []options.Module) *options.Result {
	r, faults := options.Evaluate(options.Request{Modules: modules, Interpreter: moduleInterpreter{d.ev}, AllowUnknown: d.unchecked})
	d.ev.report(faults...)
	if len(faults) > 0 || d.ev.broken != nil {
		return nil
	}
	d.ev.warn(r.Warnings()...)
	return r
}

// vmModules returns the modules of the system's virtual machine.
func (d *declaration) vmModules(system *options.Result) []options.Module {
	list := moduleList{ev: d.ev, seen: map[any]bool{}, modules: slices.Clone(d.modules)}
	list.addFile(vmModule, d.at)
	for _, variant := range system.Raw("virtualisation.vm_variant") {
		list.add(variant.Value, variant.Position)
	}
	return list.modules
}

// derivations returns the derivations of a system whose options are evaluated, or nil when there is a fault.
func (d *declaration) derivations(r *options.Result) *derivations.System {
	s := settings{d.ev, r}
	before := len(d.ev.items)
	spec := s.spec(d.name)
	request := debian.Request{
		Suite:      s.text("nbuild.suite"),
		Packages:   append(s.packages(&spec), derivations.BasePackages()...),
		Recommends: s.boolean("nbuild.recommends"),
		Essential:  true,
	}
	s.checkThemes()
	kernel := s.packageName("boot.kernel_package", s.text("boot.kernel_package"))
	if len(d.ev.items) > before || !s.archive(&spec, request, kernel) {
		return nil
	}
	system, err := d.ev.packages.files.NewSystem(spec)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			s.specFault(&spec, strings.TrimSpace(line))
		}
		return nil
	}
	return system
}

// archive asks for all packages that a system needs, and makes the trees of tools.
func (s settings) archive(spec *derivations.SystemSpec, r debian.Request, kernel string) bool {
	if r.Suite == "" {
		r.Suite = s.ev.packages.suite
	}
	if r.Suite == "" {
		r.Suite = defaultSuite
	}
	spec.Suite = r.Suite
	slices.Sort(r.Packages)
	r.Packages = slices.Compact(r.Packages)
	var okPackages, okKernel bool
	spec.Packages, okPackages = s.resolve("environment.packages", r)
	spec.Kernel, okKernel = s.resolve("boot.kernel_package", debian.Request{Suite: r.Suite, Packages: []string{kernel}})
	spec.Tools.Image = s.ev.imageTools()
	spec.Tools.VM = s.machineTools("")
	return okPackages && okKernel && spec.Tools.Image != nil && spec.Tools.VM != nil
}

func (s settings) resolve(option string, r debian.Request) ([]derivations.PackageFile, bool) {
	return s.ev.resolve(r, func(words []string) Position {
		for _, name := range words {
			if slices.Contains(r.Packages, name) || slices.ContainsFunc(r.Packages, func(p string) bool { return strings.HasPrefix(p, name+"=") }) {
				return s.place(option, name)
			}
		}
		return s.place(option, "")
	})
}

// specFault reports a fault that derivations.NewSystem found, at the option it is about.
func (s settings) specFault(spec *derivations.SystemSpec, message string) {
	message = strings.TrimPrefix(message, "system "+spec.Name+": ")
	about := func(prefix string) bool { return strings.HasPrefix(message, prefix+": ") }
	option, key := "networking.host_name", ""
	for _, f := range spec.Files {
		if about(fmt.Sprintf("file %q", f.Path)) {
			option, key = "environment.files", f.Path
		}
	}
	for _, u := range spec.Users {
		if about("user "+u.Name) || about(fmt.Sprintf("user %q", u.Name)) {
			option, key = "users.users", u.Name
		}
	}
	for _, g := range spec.Groups {
		if about("group "+g.Name) || about(fmt.Sprintf("group %q", g.Name)) {
			option, key = "users.groups", g.Name
		}
	}
	for _, list := range []struct {
		option, noun string
		elements     []string
	}{
		{"boot.kernel_params", "kernel parameter", spec.KernelParams},
		{"boot.initrd_modules", "initrd module", spec.InitrdModules},
		{"systemd.enabled_units", "unit", spec.Enabled},
		{"systemd.masked_units", "unit", spec.Masked},
	} {
		for _, e := range list.elements {
			if about(fmt.Sprintf("%s %q", list.noun, e)) {
				option, key = list.option, e
			}
		}
	}
	switch {
	case about("kernel"):
		option = "boot.kernel_package"
	case about("machine"):
		option = machineOption(message)
		for _, d := range spec.Machine.SharedDirectories {
			if about(fmt.Sprintf("machine: shared directory %q", d.Name)) {
				key = d.Name
			}
		}
	}
	s.fault(option, key, message, "")
}

// machineOption returns the option that a fault of a derivations.Machine is about.
func machineOption(message string) string {
	for _, o := range []struct{ word, option string }{
		{"port", "forward_ports"},
		{"shared", "shared_directories"},
		{"share of the store", "store_share"},
		{"kernel parameter", "kernel_params"},
		{"QEMU", "qemu.options"},
		{"disk image", "disk_image"},
		{"memory", "memory_size"},
		{"cores", "cores"},
		{"disk", "disk_size"},
	} {
		if strings.Contains(message, o.word) {
			return "virtualisation." + o.option
		}
	}
	return "virtualisation.memory_size"
}
