package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"nbuild/config/fault"
	"nbuild/debian"
	"nbuild/derivations"
)

const systemParameters = "name host_name packages files users enable mask kernel kernel_params " +
	"suite recommends memory_size cores disk_size"

// A systemValue is a system, as the project file sees it.
type systemValue struct {
	name   string
	system *derivationValue
	vm     *derivationValue
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
func (v *systemValue) AttrNames() []string { return []string{"name", "system", "vm"} }

// Attr returns the system's name, or a derivation of it.
func (v *systemValue) Attr(name string) (starlark.Value, error) {
	switch name {
	case "name":
		return starlark.String(v.name), nil
	case "system":
		return v.system, nil
	case "vm":
		return v.vm, nil
	}
	return nil, nil // The interpreter makes an error of it that names what is alike.
}

// systemFunction makes a system of plain arguments. All that knows them is below; a system's value and its targets don't.
func (ev *evaluator) systemFunction(c *call) (starlark.Value, error) {
	v := &systemValue{system: ev.wrong(), vm: ev.wrong()}
	spec := c.systemSpec()
	v.name = spec.Name
	names := c.systemPackages(&spec)
	request := debian.Request{
		Suite:      c.suite("suite"),
		Packages:   append(names, derivations.BasePackages()...),
		Recommends: c.boolean("recommends", false),
		Essential:  true,
	}
	kernel := c.kernelPackage()
	if !c.finish() {
		return v, nil
	}
	if other, taken := ev.systems[spec.Name]; taken {
		c.fault(part{argument: "name"}, fmt.Sprintf("another system is called %q, at %s", spec.Name, ev.callStart(other)), "give each a name of its own")
		c.finish()
		return v, nil
	}
	ev.systems[spec.Name] = c.lparen
	if !c.systemArchive(&spec, request, kernel) {
		return v, nil
	}
	made, err := ev.packages.files.NewSystem(spec)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			line = strings.TrimSpace(line)
			c.fault(c.systemPart(&spec, line), line, "")
		}
		c.finish()
		return v, nil
	}
	v.system = ev.output(made.Derivation, "out", c.lparen, KindSystem)
	v.vm = ev.output(made.VM, "out", c.lparen, KindVM)
	return v, nil
}

// systemSpec reads the arguments that need no archive.
func (c *call) systemSpec() derivations.SystemSpec {
	spec := derivations.SystemSpec{
		Name:         c.storeName("name", ""),
		HostName:     c.plainText("host_name"),
		KernelParams: c.plainTexts("kernel_params"),
		Enabled:      c.plainTexts("enable"),
		Masked:       c.plainTexts("mask"),
		Machine: derivations.Machine{
			Memory: c.natural("memory_size"),
			Cores:  c.natural("cores"),
			Disk:   c.natural("disk_size"),
		},
	}
	if spec.HostName == "" {
		spec.HostName = spec.Name
	}
	for _, e := range c.entries("users") {
		spec.Users = append(spec.Users, c.user(e))
	}
	mentioned := derivations.Spec{Files: map[string]string{}}
	for _, e := range c.entries("files") {
		f := c.systemFile(e)
		spec.Files = append(spec.Files, f)
		mentioned.Files[f.Path] = f.Content + f.Link
	}
	if size := c.ev.addMentioned(&mentioned); size > maxText {
		c.fault(part{argument: "files"}, fmt.Sprintf("the files of %s have %d MiB of text, more than %d MiB", spec.Name, size>>20, maxText>>20),
			"put data into a file and use source()")
	}
	for _, slot := range slices.Sorted(maps.Keys(mentioned.Inputs)) {
		spec.References = append(spec.References, mentioned.Inputs[slot])
	}
	return spec
}

// systemPackages returns the names of Debian packages, and puts what else is in packages into the spec.
func (c *call) systemPackages(spec *derivations.SystemSpec) (names []string) {
	for i, v := range c.list("packages") {
		at := part{argument: "packages"}.key(i)
		drv, ok := v.(*derivationValue)
		switch {
		case ok && !drv.valid():
			c.poisoned = true
		case ok && drv.output != "out":
			c.fault(at, fmt.Sprintf("%s of system: want a derivation's output out, not %s", at, drv.output), "")
		case ok:
			spec.Programs = append(spec.Programs, drv.drv)
		default:
			names = append(names, c.asPackageName(at, v))
		}
	}
	return names
}

func (c *call) kernelPackage() string {
	v := c.value("kernel")
	if v == nil {
		return derivations.KernelPackage()
	}
	return c.asPackageName(part{argument: "kernel"}, v)
}

// systemArchive asks for all packages that a system needs, and makes the trees of tools.
func (c *call) systemArchive(spec *derivations.SystemSpec, r debian.Request, kernel string) bool {
	if r.Suite == "" {
		r.Suite = c.ev.packages.suite
	}
	if r.Suite == "" {
		r.Suite = defaultSuite
	}
	slices.Sort(r.Packages)
	r.Packages = slices.Compact(r.Packages)
	var okPackages, okKernel bool
	spec.Packages, okPackages = c.resolve(part{argument: "packages"}, r)
	spec.Kernel, okKernel = c.resolve(part{argument: "kernel"}, debian.Request{Suite: r.Suite, Packages: []string{kernel}})
	spec.Tools.Image = c.systemTools("image-tools", derivations.ImageTools())
	spec.Tools.VM = c.systemTools("vm-tools", derivations.VMTools())
	return okPackages && okKernel && spec.Tools.Image != nil && spec.Tools.VM != nil
}

// systemTools returns a tree of the tools that nbuild makes and runs systems with, or nil when there is a fault. They are
// of the suite that nbuild is made for, whatever the suite of the system: older ones lack what its scripts use.
func (c *call) systemTools(name string, packages []string) *derivations.Derivation {
	tools := &debianValue{ev: c.ev, suite: defaultSuite}
	tree, err := tools.toolTree(c, name, packages)
	if err != nil || !tree.valid() {
		return nil
	}
	return tree.drv
}

// fields returns the entries of a dictionary, or the fields of a struct, of which there may only be the known.
func (c *call) fields(at part, v starlark.Value, known ...string) []entry {
	var entries []entry
	if s, ok := v.(*starlarkstruct.Struct); ok {
		for name, value := range s.Entries() {
			entries = append(entries, entry{name, at.key(name), value})
		}
	} else {
		entries = c.asEntries(at, v)
	}
	return slices.DeleteFunc(entries, func(e entry) bool {
		if slices.Contains(known, e.key) {
			return e.value == starlark.None
		}
		hint := fault.DidYouMean(e.key, known)
		if hint == "" {
			hint = "it has " + strings.Join(known, ", ")
		}
		c.fault(e.at, fmt.Sprintf("%s of %s: there is no %q", at, c.signature.name, e.key), hint)
		return true
	})
}

func (c *call) user(user entry) derivations.User {
	u := derivations.User{Name: user.key}
	fields := c.fields(user.at, user.value,
		"uid", "gid", "full_name", "home", "shell", "hashed_password", "authorized_keys", "groups", "sudo")
	for _, f := range fields {
		switch f.key {
		case "uid":
			u.UID = c.asNatural(f.at, f.value)
		case "gid":
			u.GID = c.asNatural(f.at, f.value)
		case "full_name":
			u.Gecos = c.asPlainText(f.at, f.value)
		case "home":
			u.Home = c.asPlainText(f.at, f.value)
		case "shell":
			u.Shell = c.asPlainText(f.at, f.value)
		case "hashed_password":
			u.HashedPassword = c.asPlainText(f.at, f.value)
		case "authorized_keys":
			u.AuthorizedKeys = c.asPlainTexts(f.at, f.value)
		case "groups":
			u.Groups = c.asPlainTexts(f.at, f.value)
		case "sudo":
			u.Sudo = c.asBoolean(f.at, f.value)
		}
	}
	return u
}

// systemFile reads a file of the system: its text, what to copy, or a struct that says more.
func (c *call) systemFile(file entry) derivations.SystemFile {
	f := derivations.SystemFile{Path: file.key}
	switch v := file.value.(type) {
	case starlark.String:
		f.Content = string(v)
		return f
	case input:
		f.Source, _ = c.asInput(file.at, v)
		return f
	case *starlark.Dict, *starlarkstruct.Struct:
	default:
		c.wrongType(file.at, "a text, a derivation, a source or a struct", v)
		return f
	}
	var contents []string
	for _, field := range c.fields(file.at, file.value, "text", "source", "link", "mode", "user", "group") {
		switch field.key {
		case "text":
			f.Content, _ = c.asText(field.at, field.value)
			contents = append(contents, field.key)
		case "source":
			f.Source, _ = c.asInput(field.at, field.value)
			contents = append(contents, field.key)
		case "link":
			f.Link, _ = c.asText(field.at, field.value)
			contents = append(contents, field.key)
		case "mode":
			f.Mode = c.asMode(field.at, field.value)
		case "user":
			f.User = c.asPlainText(field.at, field.value)
		case "group":
			f.Group = c.asPlainText(field.at, field.value)
		}
	}
	if len(contents) != 1 {
		c.fault(file.at, fmt.Sprintf("%s of system: want one of text, source and link, got %d of them", file.at, len(contents)), "")
	}
	return f
}

// asMode reads a file's mode: 0o644 or "644".
func (c *call) asMode(at part, v starlark.Value) uint32 {
	mode := -1
	switch v := v.(type) {
	case starlark.Int:
		mode, _ = starlark.AsInt32(v)
	case starlark.String:
		if n, err := strconv.ParseUint(string(v), 8, 16); err == nil {
			mode = int(n)
		}
	}
	if mode < 0 || mode > 0o7777 {
		c.fault(at, fmt.Sprintf("%s of system: want a mode, got %s", at, describe(v)), `write it as 0o644 or "644"`)
		return 0
	}
	return uint32(mode)
}

// systemPart returns the argument that a message of derivations.NewSystem is about.
func (c *call) systemPart(spec *derivations.SystemSpec, message string) part {
	message = strings.TrimPrefix(message, "system "+spec.Name+": ")
	for _, f := range spec.Files {
		if strings.HasPrefix(message, fmt.Sprintf("file %q: ", f.Path)) {
			return part{argument: "files"}.key(f.Path)
		}
	}
	for _, u := range spec.Users {
		if strings.HasPrefix(message, "user "+u.Name+": ") || strings.HasPrefix(message, fmt.Sprintf("user %q: ", u.Name)) {
			return part{argument: "users"}.key(u.Name)
		}
	}
	for _, list := range []struct {
		argument, noun string
		elements       []string
	}{{"kernel_params", "kernel parameter", spec.KernelParams}, {"enable", "unit", spec.Enabled}, {"mask", "unit", spec.Masked}} {
		for i, e := range list.elements {
			if strings.HasPrefix(message, fmt.Sprintf("%s %q: ", list.noun, e)) {
				return part{argument: list.argument}.key(i)
			}
		}
	}
	if strings.HasPrefix(message, "host name ") && c.value("host_name") != nil {
		return part{argument: "host_name"}
	}
	if strings.HasPrefix(message, "kernel: ") {
		return part{argument: "kernel"}
	}
	if strings.HasPrefix(message, "host name ") || strings.HasPrefix(message, "name ") {
		return part{argument: "name"}
	}
	return part{}
}
