package derivations

import (
	"encoding/binary"
	"slices"
	"strings"

	"nbuild/internal/digest"
)

// The ranges of uids and gids. Debian has 0 to 99 for its own accounts, 100 to 999 for services and 1000 upwards for
// people; 400 to 599 are those of the table in ids.go.
const (
	lastService             = 999
	firstPerson, lastPerson = 1000, 60000 // UID_MIN and UID_MAX of Debian's login.defs

	// Numbers that follow from names. adduser, on the running system, gives people the first free one from 1000, and
	// system-sysusers services the last free one below 1000: neither gets here before it has made a hundred.
	derivedServices, derivedServicesEnd = 600, 900
	derivedPeople, derivedPeopleEnd     = 2000, 30000
)

// Number returns the user's uid: UID, or the one that is kept for the name, or one that follows from the name alone, so
// that files on a disk keep their owner whoever else comes or goes. If a package has an account of that name, it may have
// another number.
func (u User) Number() int { return u.number(newKeptNumbers()) }

func (u User) number(kept keptNumbers) int {
	if id, ok := kept.users[u.Name]; ok && u.UID == 0 {
		return id
	}
	return accountNumber(u.UID, u.Name, u.System)
}

// Number returns the group's gid, as User.Number does for users. A user and a group of the same kind and name have the
// same.
func (g Group) Number() int { return g.number(newKeptNumbers()) }

func (g Group) number(kept keptNumbers) int {
	if id, ok := kept.groups[g.Name]; ok && g.GID == 0 {
		return id
	}
	return accountNumber(g.GID, g.Name, g.System)
}

func accountNumber(given int, name string, system bool) int {
	if given != 0 {
		return given
	}
	first, end := uint64(derivedPeople), uint64(derivedPeopleEnd)
	if system {
		first, end = derivedServices, derivedServicesEnd
	}
	sum := digest.Derive(digest.ContextAccount, []byte(name))
	return int(first + binary.BigEndian.Uint64(sum[:8])%(end-first))
}

// accounts checks users and groups, and completes them in copies. What packages have is not known here: add-users.awk
// goes on with that.
func (c *specCheck) accounts(spec *SystemSpec) {
	kept := newKeptNumbers()
	spec.Users, spec.Groups = slices.Clone(spec.Users), slices.Clone(spec.Groups)
	for i := range spec.Users {
		c.user(&spec.Users[i], kept)
	}
	for i := range spec.Groups {
		c.group(&spec.Groups[i], kept)
	}
	c.distinctAccounts(spec, kept)
}

func (c *specCheck) user(u *User, kept keptNumbers) {
	_, known := kept.users[u.Name]
	if !known && !isAccountName(u.Name) {
		c.add("user %q: want a name of up to 32 small letters, digits, _ and -, a letter or _ first", u.Name)
		return
	}
	complain := func(format string, args ...any) { c.add("user "+u.Name+": "+format, args...) }
	if u.Name == "root" && (u.Home != "" && u.Home != "/root" || u.Group != "" && u.Group != "root") {
		complain("its home is /root and its group root")
	}
	checkNumber(numberCheck{"uid", u.UID, u.Name, u.System}, kept.users, complain)
	for _, field := range [][2]string{{"full name", u.Gecos}, {"home", u.Home}, {"shell", u.Shell}, {"hashed password", u.HashedPassword}} {
		if strings.ContainsFunc(field[1], func(r rune) bool { return r == ':' || isControl(r) }) {
			complain("the %s %q has a colon or a control character", field[0], field[1])
		}
	}
	if u.HashedPassword != "" && !strings.ContainsRune("$_*!", rune(u.HashedPassword[0])) {
		complain("the hashed password is not one that crypt(5) knows; make one with: openssl passwd -6")
	}
	if u.Home != "" && !isPlainPath(u.Home) || u.Shell != "" && !isPlainPath(u.Shell) {
		complain("home %q and shell %q: want absolute paths without . and ..", u.Home, u.Shell)
	}
	for _, key := range u.AuthorizedKeys {
		if strings.TrimSpace(key) == "" || strings.ContainsAny(key, "\n\r") {
			complain("authorized key %.40q: want one line of a .pub file", key)
		}
	}
	for _, group := range slices.Concat(u.Groups, []string{u.Group}) {
		if group != "" && !isReference(group) {
			complain("%q can't be the name of a group", group)
		}
	}
	u.Groups = sortedOnce(u.Groups)
}

func (c *specCheck) group(g *Group, kept keptNumbers) {
	if _, known := kept.groups[g.Name]; !known && !isAccountName(g.Name) {
		c.add("group %q: want a name of up to 32 small letters, digits, _ and -, a letter or _ first", g.Name)
		return
	}
	complain := func(format string, args ...any) { c.add("group "+g.Name+": "+format, args...) }
	checkNumber(numberCheck{"gid", g.GID, g.Name, g.System}, kept.groups, complain)
	for _, member := range g.Members {
		if !isReference(member) {
			complain("%q can't be the name of a user", member)
		}
	}
	g.Members = sortedOnce(g.Members)
}

// A numberCheck is a number that is given for an account, or 0.
type numberCheck struct {
	noun   string // "uid" or "gid"
	given  int
	name   string
	system bool
}

// checkNumber checks a number that is given against the ranges, and against those that are kept for other names.
func checkNumber(n numberCheck, kept map[string]int, complain func(string, ...any)) {
	own, known := kept[n.name]
	switch {
	case n.given == 0 || known && own == n.given:
		return
	case known:
		complain("%s %d: Debian's account of that name has %d; leave it out", n.noun, n.given, own)
		return
	case n.system && (n.given < 0 || n.given > lastService):
		complain("%s %d: want 1 to %d for a service's account", n.noun, n.given, lastService)
		return
	case !n.system && (n.given < firstPerson || n.given > lastPerson):
		complain("%s %d: want %d to %d", n.noun, n.given, firstPerson, lastPerson)
		return
	}
	for _, other := range sortedKeys(kept) {
		if kept[other] == n.given {
			complain("%s %d is kept for %s, of Debian; choose another", n.noun, n.given, other)
			return
		}
	}
}

// distinctAccounts reports names and numbers that are there twice.
func (c *specCheck) distinctAccounts(spec *SystemSpec, kept keptNumbers) {
	users, groups := numbering{noun: "uid"}, numbering{noun: "gid"}
	declared := map[string]bool{}
	for _, g := range spec.Groups {
		if declared[g.Name] {
			c.add("group %s: is there twice", g.Name)
			continue
		}
		declared[g.Name] = true
		groups.take(c, "group "+g.Name, g.Name, spec.gid(g, kept))
	}
	names := map[string]bool{}
	for _, u := range spec.Users {
		if names[u.Name] {
			c.add("user %s: is there twice", u.Name)
			continue
		}
		names[u.Name] = true
		free := users.take(c, "user "+u.Name, u.Name, u.number(kept))
		if free && u.Group == "" && !declared[u.Name] && !kept.has(u.Name) {
			groups.take(c, "user "+u.Name, u.Name, u.number(kept))
		}
	}
}

// gid returns a declared group's number. A user's own group has the user's.
func (spec *SystemSpec) gid(g Group, kept keptNumbers) int {
	for _, u := range spec.Users {
		if _, known := kept.groups[g.Name]; !known && g.GID == 0 && u.Name == g.Name && u.Group == "" {
			return u.number(kept)
		}
	}
	return g.number(kept)
}

// has reports whether a user of that name is Debian's, so that its groups are too.
func (kept keptNumbers) has(user string) bool {
	_, known := kept.users[user]
	return known
}

// A numbering remembers who has a number.
type numbering struct {
	noun  string
	owner map[int]string
}

// take reports whether the number was free; if not, it adds a fault.
func (n *numbering) take(c *specCheck, who, name string, number int) bool {
	if other, taken := n.owner[number]; taken {
		c.add("%s: %s %d is that of %s, too; set the %s of one of them to another number", who, n.noun, number, other, n.noun)
		return false
	}
	if n.owner == nil {
		n.owner = map[int]string{}
	}
	n.owner[number] = name
	return true
}

// isAccountName reports whether s is a name that Debian's adduser takes for users and groups.
func isAccountName(s string) bool {
	for i, ch := range s {
		letter := 'a' <= ch && ch <= 'z' || ch == '_'
		if !letter && (i == 0 || !('0' <= ch && ch <= '9' || ch == '-')) {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// isReference reports whether s can name an account that a package makes: those may have capitals ("Debian-exim") and dots.
func isReference(s string) bool {
	return isAccountName(strings.ReplaceAll(strings.ToLower(s), ".", "_"))
}

func sortedOnce(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
