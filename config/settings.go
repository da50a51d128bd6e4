package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/options"
	"nbuild/derivations"
)

// Settings read the final values of a system's options, which the modules of nbuild declare with these names and types.
// A value of another type is a mistake in those modules, not in the project: then they panic, and Evaluate reports it.
type settings struct {
	ev      *evaluator
	options *options.Result
}

func (s settings) value(name string) starlark.Value {
	v, defined := s.options.Value(name)
	if !defined {
		panic(fmt.Sprintf("the modules declare no option %s with a value", name))
	}
	return v
}

func (s settings) text(name string) string     { return text(s.value(name)) }
func (s settings) boolean(name string) bool    { return bool(s.value(name).(starlark.Bool)) }
func (s settings) number(name string) int      { return number(s.value(name)) }
func (s settings) texts(name string) []string  { return texts(s.value(name)) }
func (s settings) entries(name string) []entry { return entriesOf(s.value(name)) }

// text returns a string, and "" for None.
func text(v starlark.Value) string {
	if v == starlark.None {
		return ""
	}
	return string(v.(starlark.String))
}

// number returns an int, and 0 for None. What doesn't fit becomes the largest there is.
func number(v starlark.Value) int {
	if v == starlark.None {
		return 0
	}
	n, err := starlark.AsInt32(v)
	if err != nil {
		return maxNumber
	}
	return n
}

const maxNumber = 1<<31 - 1

func texts(v starlark.Value) []string {
	var list []string
	for _, e := range elements(v) {
		list = append(list, text(e))
	}
	return list
}

func elements(v starlark.Value) []starlark.Value {
	list := v.(*starlark.List)
	values := make([]starlark.Value, list.Len())
	for i := range values {
		values[i] = list.Index(i)
	}
	return values
}

// entriesOf returns the entries of a dictionary, which the option's type has sorted.
func entriesOf(v starlark.Value) []entry {
	dict := v.(*starlark.Dict)
	entries := make([]entry, 0, dict.Len())
	for k, v := range dict.Entries() {
		entries = append(entries, entry{key: text(k), value: v})
	}
	return entries
}

// field returns an option of a submodule.
func field(v starlark.Value, name string) starlark.Value {
	f, err := v.(starlark.HasAttrs).Attr(name)
	if err != nil || f == nil {
		panic(fmt.Sprintf("the modules declare no option %s in %s: %v", name, v.Type(), err))
	}
	return f
}

// place returns where an option, or an entry or element of it, is defined.
func (s settings) place(name, key string) Position {
	var at Position
	for _, d := range s.options.Definitions(name) {
		if d.Lost {
			continue
		}
		if at == (Position{}) {
			at = d.Position
		}
		switch v := d.Value.(type) {
		case *starlark.Dict:
			if _, found, _ := v.Get(starlark.String(key)); found {
				if entry := s.ev.entry(v, key); entry.Line > 0 {
					return entry
				}
				return d.Position
			}
		case *starlark.List:
			for i := range v.Len() {
				if e, ok := v.Index(i).(starlark.String); ok && (string(e) == key || strings.HasPrefix(string(e), key+"=")) {
					return d.Position
				}
			}
		}
	}
	return at
}

// mention returns the first place where the project's own modules define something with a text in it, or the zero value.
func (s settings) mention(text string) Position {
	for _, o := range s.options.Options() {
		for _, d := range s.options.Definitions(o.Name) {
			if !strings.HasPrefix(d.Position.File, builtinPrefix) && strings.Contains(d.Value.String(), text) {
				return d.Position
			}
		}
	}
	return Position{}
}

// fault reports something wrong with an option, or an entry or element of it.
func (s settings) fault(name, key, what, hint string) {
	s.ev.report(Item{Position: s.place(name, key), What: what, Hint: hint})
}

// spec returns the system that the options declare, but for what an archive has to say. Faults are reported.
func (s settings) spec(name string) derivations.SystemSpec {
	spec := derivations.SystemSpec{
		Name:          name,
		HostName:      s.text("networking.host_name"),
		KernelParams:  s.texts("boot.kernel_params"),
		InitrdModules: s.texts("boot.initrd_modules"),
		Enabled:       s.texts("systemd.enabled_units"),
		Masked:        s.texts("systemd.masked_units"),
		Label:         s.text("nbuild.label"),
		Manifest:      map[string]string{},
		Machine:       s.machine(),
	}
	for _, e := range s.entries("nbuild.manifest") {
		spec.Manifest[e.key] = text(e.value)
	}
	for _, e := range s.entries("users.users") {
		spec.Users = append(spec.Users, user(e))
	}
	for _, e := range s.entries("users.groups") {
		spec.Groups = append(spec.Groups, derivations.Group{
			Name: e.key, GID: number(field(e.value, "gid")), Members: texts(field(e.value, "members")),
			System: bool(field(e.value, "system").(starlark.Bool)),
		})
	}
	if !s.boolean("users.mutable_users") {
		spec.Pinned = accountFiles()
	}
	s.files(&spec)
	return spec
}

// accountFiles returns the files that hold accounts.
func accountFiles() []string {
	var files []string
	for _, name := range []string{"passwd", "group", "shadow", "gshadow", "subuid", "subgid"} {
		files = append(files, "/etc/"+name, "/etc/"+name+"-")
	}
	return files
}

func user(e entry) derivations.User {
	flag := func(name string) bool { return bool(field(e.value, name).(starlark.Bool)) }
	return derivations.User{
		Name:           e.key,
		UID:            number(field(e.value, "uid")),
		Group:          text(field(e.value, "group")),
		Gecos:          text(field(e.value, "description")),
		Home:           text(field(e.value, "home")),
		CreateHome:     flag("create_home"),
		Shell:          text(field(e.value, "shell")),
		HashedPassword: text(field(e.value, "hashed_password")),
		AuthorizedKeys: texts(field(e.value, "authorized_keys")),
		Groups:         texts(field(e.value, "groups")),
		System:         flag("system"),
	}
}

// files puts the files into the spec, and what their texts mention.
func (s settings) files(spec *derivations.SystemSpec) {
	mentioned := derivations.Spec{Files: map[string]string{}}
	for _, e := range s.entries("environment.files") {
		f := s.file(e)
		spec.Files = append(spec.Files, f)
		texts := derivations.Spec{Files: map[string]string{"": f.Content, "link": f.Link}}
		for _, secret := range s.ev.addMentioned(&texts).secrets {
			s.ev.report(Item{
				Position: cmp.Or(s.mention(options.SecretPrefix+secret), s.place("environment.files", e.key)),
				What:     fmt.Sprintf("the secret %s would be written into the file %s, which everybody can read in the store", secret, e.key),
				Hint:     readSecrets,
			})
		}
		mentioned.Files[f.Path], mentioned.Files["link:"+f.Path] = f.Content, f.Link
	}
	found := s.ev.addMentioned(&mentioned)
	if found.size > maxText {
		s.fault("environment.files", "", fmt.Sprintf("the files of %s have %d MiB of text, more than %d MiB", spec.Name, found.size>>20, maxText>>20),
			"put data into a file and use source()")
	}
	spec.References = append(spec.References, found.inputs()...)
}

func (s settings) file(e entry) derivations.SystemFile {
	f := derivations.SystemFile{Path: e.key, User: text(field(e.value, "user")), Group: text(field(e.value, "group"))}
	contents := 0
	if v := field(e.value, "text"); v != starlark.None {
		f.Content = text(v)
		contents++
	}
	if v := field(e.value, "link"); v != starlark.None {
		f.Link = text(v)
		contents++
	}
	switch v := field(e.value, "source").(type) {
	case starlark.NoneType:
	case input:
		if v.valid() {
			f.Source = v.input()
		}
		contents++
	default:
		f.Link = text(v)
		contents++
	}
	if contents != 1 {
		s.fault("environment.files", e.key, fmt.Sprintf("the file %s wants one of text, source and link, and has %d of them", e.key, contents), "")
	}
	if mode := text(field(e.value, "mode")); mode != "" {
		n, err := strconv.ParseUint(mode, 8, 16)
		if err != nil || n > 0o7777 {
			s.fault("environment.files", e.key, fmt.Sprintf("the file %s has the mode %q", e.key, mode), `write it in octal: "0644"`)
		}
		f.Mode = uint32(n)
	}
	return f
}

// packages returns the Debian packages that the system wants by name, and puts its derivations into the spec.
func (s settings) packages(spec *derivations.SystemSpec) (names []string) {
	for _, v := range elements(s.value("environment.packages")) {
		switch v := v.(type) {
		case *derivationValue:
			if !v.valid() {
				continue
			}
			if v.output != "out" {
				s.fault("environment.packages", "", fmt.Sprintf("the package %s is the output %s of a derivation; want its output out", v.drv.Name(), v.output), "")
				continue
			}
			spec.Programs = append(spec.Programs, v.drv)
		default:
			names = append(names, s.packageName("environment.packages", text(v)))
		}
	}
	return names
}

func (s settings) packageName(option, name string) string {
	if !isPackageName(name) {
		s.fault(option, name, fmt.Sprintf("%.80q can't be the name of a package", name), `write "name" or "name=version", with small letters, digits and "+-."`)
	}
	return name
}

// machine returns what the options under virtualisation say.
func (s settings) machine() derivations.Machine {
	m := derivations.Machine{
		Memory:       s.number("virtualisation.memory_size"),
		Cores:        s.number("virtualisation.cores"),
		Disk:         s.number("virtualisation.disk_size"),
		DiskImage:    s.text("virtualisation.disk_image"),
		KernelParams: s.texts("virtualisation.kernel_params"),
		QEMUOptions:  s.texts("virtualisation.qemu.options"),
		Graphics:     s.boolean("virtualisation.graphics"),
		Firmware:     s.text("virtualisation.firmware"),
		StoreShare:   s.text("virtualisation.store_share"),
	}
	for _, v := range elements(s.value("virtualisation.forward_ports")) {
		m.ForwardPorts = append(m.ForwardPorts, derivations.ForwardPort{
			Protocol:    text(field(v, "protocol")),
			HostAddress: text(field(v, "host_address")), HostPort: number(field(v, "host_port")),
			GuestAddress: text(field(v, "guest_address")), GuestPort: number(field(v, "guest_port")),
		})
	}
	for _, e := range s.entries("virtualisation.shared_directories") {
		m.SharedDirectories = append(m.SharedDirectories, derivations.SharedDirectory{
			Name: e.key, Source: text(field(e.value, "source")), Target: text(field(e.value, "target")),
			ReadOnly: bool(field(e.value, "read_only").(starlark.Bool)),
		})
	}
	m.References = s.machineReferences(&m)
	return m
}

// machineReferences returns what the texts of a machine mention.
func (s settings) machineReferences(m *derivations.Machine) []derivations.Input {
	mentioned := derivations.Spec{Args: slices.Concat(m.KernelParams, m.QEMUOptions)}
	for _, d := range m.SharedDirectories {
		mentioned.Args = append(mentioned.Args, d.Source)
	}
	found := s.ev.addMentioned(&mentioned)
	for _, secret := range found.secrets {
		s.ev.report(Item{
			Position: cmp.Or(s.mention(options.SecretPrefix+secret), s.place("virtualisation.qemu.options", "")),
			What:     fmt.Sprintf("the secret %s would be written into the virtual machine's runner, which everybody can read in the store", secret),
			Hint:     readSecrets,
		})
	}
	return found.inputs()
}
