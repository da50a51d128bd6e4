package derivations

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// firstUser is the first uid of a person in Debian.
const firstUser = 1000

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
	spec.Users = slices.Clone(spec.Users)
	numberUsers(spec.Users)
	for i := range spec.Users {
		c.user(&spec.Users[i])
	}
	c.distinctUsers(spec.Users)
	spec.Files = slices.Clone(spec.Files)
	seen := map[string]bool{}
	for i := range spec.Files {
		c.file(&spec.Files[i], seen)
	}
	for _, unit := range slices.Concat(spec.Enabled, spec.Masked) {
		c.unit(unit)
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

// numberUsers gives the users without a uid the next free ones.
func numberUsers(users []User) {
	taken := map[int]bool{}
	for _, u := range users {
		taken[u.UID] = true
	}
	next := firstUser
	for i := range users {
		u := &users[i]
		if u.Name != "root" && u.UID == 0 {
			for taken[next] {
				next++
			}
			u.UID, taken[next] = next, true
		}
	}
}

func (c *specCheck) user(u *User) {
	if !isUserName(u.Name) {
		c.add("user %q: want a name of up to 32 small letters, digits, _ and -, a letter or _ first", u.Name)
		return
	}
	complain := func(format string, args ...any) { c.add("user "+u.Name+": "+format, args...) }
	if u.Name == "root" {
		u.completeRoot(complain)
	} else {
		u.complete()
	}
	if u.UID < 0 || u.UID > 60000 || u.GID < 0 || u.GID > 60000 || u.Name != "root" && u.UID < firstUser {
		complain("uid %d and gid %d: want %d to 60000", u.UID, u.GID, firstUser)
	}
	for what, text := range map[string]string{"full name": u.Gecos, "home": u.Home, "shell": u.Shell, "hashed password": u.HashedPassword} {
		if strings.ContainsAny(text, ":\n") {
			complain("the %s %q has a colon or a line break", what, text)
		}
	}
	if u.HashedPassword != "" && !strings.ContainsRune("$_*!", rune(u.HashedPassword[0])) {
		complain("the hashed password is not one that crypt(5) knows; make one with: openssl passwd -6")
	}
	if !isPlainPath(u.Home) || !isPlainPath(u.Shell) {
		complain("home %q and shell %q: want absolute paths without . and ..", u.Home, u.Shell)
	}
	for _, key := range u.AuthorizedKeys {
		if strings.TrimSpace(key) == "" || strings.ContainsAny(key, "\n\r") {
			complain("authorized key %.40q: want one line of a .pub file", key)
		}
	}
	for _, group := range u.Groups {
		if !isUserName(group) {
			complain("%q can't be the name of a group", group)
		}
	}
}

// completeRoot refuses what the package root decides about root.
func (u *User) completeRoot(complain func(string, ...any)) {
	if u.UID != 0 || u.GID != 0 || len(u.Groups) > 0 || u.Sudo || u.Home != "" && u.Home != "/root" {
		complain("only the password and the authorized keys can be set")
	}
	u.Home, u.Shell = "/root", "/bin/bash"
}

func (u *User) complete() {
	if u.GID == 0 {
		u.GID = u.UID
	}
	if u.Home == "" {
		u.Home = "/home/" + u.Name
	}
	if u.Shell == "" {
		u.Shell = "/bin/bash"
	}
	u.Groups = slices.Clone(u.Groups)
	if u.Sudo {
		u.Groups = append(u.Groups, "sudo")
	}
	slices.Sort(u.Groups)
	u.Groups = slices.Compact(u.Groups)
}

func (c *specCheck) distinctUsers(users []User) {
	names, uids := map[string]bool{}, map[int]string{}
	for _, u := range users {
		if names[u.Name] {
			c.add("user %s is there twice", u.Name)
		} else if other, taken := uids[u.UID]; taken {
			c.add("users %s and %s have the same uid %d", other, u.Name, u.UID)
		}
		names[u.Name], uids[u.UID] = true, u.Name
	}
}

// isUserName reports whether s is a name that Debian's adduser takes for users and groups.
func isUserName(s string) bool {
	for i, ch := range s {
		letter := 'a' <= ch && ch <= 'z' || ch == '_'
		if !letter && (i == 0 || !('0' <= ch && ch <= '9' || ch == '-')) {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

func (c *specCheck) file(f *SystemFile, seen map[string]bool) {
	complain := func(format string, args ...any) { c.add("file "+fmt.Sprintf("%q", f.Path)+": "+format, args...) }
	switch {
	case !isPlainPath(f.Path) || f.Path == "/" || strings.ContainsFunc(f.Path, isControl):
		complain("want an absolute path without . and .., and without control characters")
	case reservedFolder(f.Path) != "":
		complain("%s is not the configuration's: it is made when the system starts", reservedFolder(f.Path))
	case seen[f.Path]:
		complain("is there twice")
	}
	seen[f.Path] = true
	if f.User == "" {
		f.User = "root"
	}
	if f.Group == "" {
		f.Group = "root"
	}
	for _, name := range []string{f.User, f.Group} {
		if strings.ContainsAny(name, ":\n") {
			complain("%q can't be the name of a user or a group", name)
		}
	}
	if f.Mode == 0 {
		f.Mode = 0o644
	}
	if f.Mode > 0o7777 {
		complain("mode %#o: want at most 07777", f.Mode)
	}
	if strings.ContainsAny(f.Link, ":\n") {
		complain("the target %q has a colon or a line break", f.Link)
	}
	if hasSource := f.Source != (Input{}); hasSource && f.Content != "" || f.Link != "" && (hasSource || f.Content != "") {
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
