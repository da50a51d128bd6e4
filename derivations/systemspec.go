package derivations

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A specCheck collects the faults of a SystemSpec.
type specCheck struct{ faults []string }

func (c *specCheck) add(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// complete fills in what the spec leaves out, in copies, and checks all of it.
func (spec *SystemSpec) complete() error {
	var c specCheck
	if spec.Name == "" {
		spec.Name = spec.HostName
	}
	c.name(spec)
	if spec.Tools.Image == nil || spec.Tools.VM == nil {
		c.add("the trees of tools are missing")
	}
	if len(spec.Packages) == 0 {
		c.add("there are no packages")
	}
	spec.Machine.complete()
	spec.Machine.check(&c)
	c.accounts(spec)
	c.files(spec)
	for _, path := range spec.Pinned {
		c.pinned(path)
	}
	for _, module := range spec.InitrdModules {
		if !isModuleName(module) {
			c.add("initrd module %q: want a name of letters, digits, - and _", module)
		}
	}
	for _, unit := range slices.Concat(spec.Enabled, spec.Masked) {
		c.unit(unit)
	}
	for _, unit := range spec.Enabled {
		if strings.Contains(unit, "@.") {
			c.add("unit %q: is a template; say of what it is to be started, as in %q", unit, strings.Replace(unit, "@.", "@tty1.", 1))
		}
	}
	for _, param := range spec.KernelParams {
		if !isKernelParam(param) {
			c.add("kernel parameter %q: want one word without quotes", param)
		}
	}
	for i, fault := range c.faults {
		c.faults[i] = "system " + spec.Name + ": " + fault
	}
	if len(c.faults) > 0 {
		return fmt.Errorf("%s", strings.Join(c.faults, "\n"))
	}
	return nil
}

func (c *specCheck) name(spec *SystemSpec) {
	if !isHostName(spec.HostName) {
		c.add("host name %q: want 1 to 63 letters, digits and hyphens, no hyphen at either end", spec.HostName)
		return
	}
	if err := validName(spec.Name); err != nil {
		c.add("name %q: %v", spec.Name, err)
	}
}

// isHostName reports whether s is one label of a host name by RFC 1123, which is what /etc/hostname should have.
func isHostName(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-')
	})
}

// files checks the files, and completes them in copies.
func (c *specCheck) files(spec *SystemSpec) {
	spec.Files = slices.Clone(spec.Files)
	byPath := map[string]*SystemFile{}
	for i := range spec.Files {
		f := &spec.Files[i]
		complain := func(format string, args ...any) { c.add("file "+fmt.Sprintf("%q", f.Path)+": "+format, args...) }
		f.checkPath(complain)
		if byPath[f.Path] != nil {
			complain("is there twice")
		}
		byPath[f.Path] = f
		f.complete(complain)
	}
	for _, f := range spec.Files {
		for folder := path.Dir(f.Path); len(folder) > 1; folder = path.Dir(folder) {
			// What comes from the store may be a folder.
			if above := byPath[folder]; above != nil && above.Source == (Input{}) {
				c.add("file %q: %s is a file of the configuration, too, and can't have files in it", f.Path, folder)
			}
		}
	}
}

func (f *SystemFile) checkPath(complain func(string, ...any)) {
	if !isPlainPath(f.Path) || f.Path == "/" || strings.ContainsFunc(f.Path, isControl) {
		complain("want an absolute path without . and .., and without control characters")
		return
	}
	if folder := reservedFolder(f.Path); folder != "" {
		complain("%s is not the configuration's: it is made when the system starts", folder)
	}
	if folder, target := linkedFolder(f.Path); folder != "" {
		complain("%s is a link in Debian; write %s", folder, target+strings.TrimPrefix(f.Path, folder))
	}
}

// complete fills in what is left out, and checks all but the path.
func (f *SystemFile) complete(complain func(string, ...any)) {
	if f.User == "" {
		f.User = "root"
	}
	if f.Group == "" {
		f.Group = "root"
	}
	for _, name := range []string{f.User, f.Group} {
		if !isReference(name) && strings.Trim(name, "0123456789") != "" {
			complain("%q can't be the name of a user or a group", name)
		}
	}
	hasSource := f.Source != (Input{})
	if f.Mode == 0 && !hasSource {
		f.Mode = 0o644
	}
	if f.Mode > 0o7777 {
		complain("mode %#o: want at most 07777", f.Mode)
	}
	if strings.ContainsFunc(f.Link, func(r rune) bool { return r == ':' || isControl(r) }) {
		complain("the target %q has a colon or a control character", f.Link)
	}
	if hasSource && f.Content != "" || f.Link != "" && (hasSource || f.Content != "") {
		complain("has more than one of content, source and link")
	}
}

// reservedFolder returns the folder that path is in, of those that something is mounted over, or "".
func reservedFolder(path string) string {
	for _, folder := range []string{"/dev", "/nbuild", "/proc", "/run", "/sys"} {
		if path == folder || strings.HasPrefix(path, folder+"/") {
			return folder
		}
	}
	return ""
}

// linkedFolder returns the folder that path is in, of those that are links since Debian's / and /usr are one, and where it
// leads; or nothing.
func linkedFolder(path string) (folder, target string) {
	links := [][2]string{
		{"/bin", "/usr/bin"},
		{"/sbin", "/usr/sbin"},
		{"/lib", "/usr/lib"},
		{"/lib32", "/usr/lib32"},
		{"/lib64", "/usr/lib64"},
		{"/libx32", "/usr/libx32"},
		{"/var/run", "/run"},
		{"/var/lock", "/run/lock"},
	}
	for _, link := range links {
		if path == link[0] || strings.HasPrefix(path, link[0]+"/") {
			return link[0], link[1]
		}
	}
	return "", ""
}

// pinned checks a path that the initrd deletes from the disk, all that is in it included.
func (c *specCheck) pinned(path string) {
	switch {
	case !isPlainPath(path) || path == "/" || strings.ContainsFunc(path, isControl):
		c.add("pinned file %q: want an absolute path without . and .., and without control characters", path)
	case reservedFolder(path) != "":
		c.add("pinned file %q: %s is made when the system starts", path, reservedFolder(path))
	}
}

// isModuleName reports whether s can be the name of a kernel module.
func isModuleName(s string) bool {
	return s != "" && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	})
}

func (c *specCheck) unit(name string) {
	switch path.Ext(name) {
	case ".service", ".socket", ".timer", ".target", ".path", ".mount", ".automount", ".slice", ".swap":
	default:
		c.add("unit %q: want a name with its kind, as in %q", name, name+".service")
		return
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '/' || r == '\'' || r == '"' || r == 0x7f }) {
		c.add("unit %q: blanks, quotes and slashes can't be in a unit's name", name)
	}
}

// isPlainPath reports whether s is absolute and already clean.
func isPlainPath(s string) bool { return path.IsAbs(s) && path.Clean(s) == s }

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
