package derivations

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A package's maintainer script gives its user the next free id, which depends on all that was configured before it. So
// that a file of the disk of a virtual machine keeps its owner when the package set changes, nbuild's own table gives
// the ids: the range 400 to 599, which adduser (from 100 upwards) and systemd-sysusers (from 999 downwards) don't reach
// before they have made hundreds of users. A row is never changed or given to another name: disks have files with it.

// A sysuser is an entry that systemd-sysusers would make for a package. It keeps one that is there, so the entry is
// made beforehand, when the package is in the set.
type sysuser struct {
	packageName string
	name        string
	id          int
	user        bool   // a user with a group of its own, else only a group
	group       string // of the user, when it is not its own
	gecos       string
	home        string // empty means "/"
	shell       string // empty means "/usr/sbin/nologin"
}

// sysusers returns the rows for packages that use systemd-sysusers. Names, homes and shells are those of the packages'
// sysusers.d files in Debian 13.
func sysusers() []sysuser {
	return []sysuser{
		{packageName: "dbus-system-bus-common", name: "messagebus", id: 400, user: true, gecos: "System Message Bus", home: "/nonexistent"},
		{packageName: "openssh-server", name: "sshd", id: 401, user: true, group: "nogroup", gecos: "sshd user", home: "/run/sshd"},
		{packageName: "systemd", name: "systemd-journal", id: 402},
		{packageName: "systemd", name: "systemd-network", id: 403, user: true, gecos: "systemd Network Management"},
		{packageName: "systemd-resolved", name: "systemd-resolve", id: 404, user: true, gecos: "systemd Resolver"},
		{packageName: "systemd-timesyncd", name: "systemd-timesync", id: 405, user: true, gecos: "systemd Time Synchronization"},
		{packageName: "systemd-coredump", name: "systemd-coredump", id: 406, user: true, gecos: "systemd Core Dumper"},
		{packageName: "systemd-journal-remote", name: "systemd-journal-remote", id: 407, user: true, gecos: "systemd Journal Remote"},
		{packageName: "systemd-oomd", name: "systemd-oom", id: 408, user: true, gecos: "systemd Userspace OOM Killer"},
		{packageName: "udev", name: "input", id: 410},
		{packageName: "udev", name: "sgx", id: 411},
		{packageName: "udev", name: "clock", id: 412},
		{packageName: "udev", name: "kvm", id: 413},
		{packageName: "udev", name: "render", id: 414},
		{packageName: "polkitd", name: "polkitd", id: 415, user: true, gecos: "User for polkitd"},
		{packageName: "flatpak", name: "_flatpak", id: 416, user: true, gecos: "Flatpak system helper", home: "/nonexistent"},
		{packageName: "fwupd", name: "fwupd-refresh", id: 417, user: true, gecos: "Firmware update daemon", home: "/var/lib/fwupd"},
		{packageName: "gnome-remote-desktop", name: "gnome-remote-desktop", id: 418, user: true, gecos: "GNOME Remote Desktop", home: "/var/lib/gnome-remote-desktop"},
		{packageName: "incus-base", name: "incus", id: 419},
		{packageName: "incus-base", name: "incus-admin", id: 420},
		{packageName: "tomcat10", name: "tomcat", id: 421, user: true, gecos: "Apache Tomcat", home: "/var/lib/tomcat"},
		{packageName: "varnish", name: "varnish", id: 422, user: true, gecos: "Varnish Cache", home: "/nonexistent"},
		{packageName: "varnish", name: "vcache", id: 423, user: true, group: "varnish", gecos: "Varnish Cache daemon", home: "/nonexistent"},
		{packageName: "varnish", name: "varnishlog", id: 424, user: true, group: "varnish", gecos: "Varnish Cache logs", home: "/nonexistent"},
		{packageName: "stunnel4", name: "stunnel4", id: 425, user: true, gecos: "stunnel service system account", home: "/var/run/stunnel4"},
		// dnsmasq-base calls useradd, which has no pool of ids but is called only when there is no such user.
		{packageName: "dnsmasq-base", name: "dnsmasq", id: 426, user: true, group: "nogroup", gecos: "dnsmasq", home: "/var/lib/misc"},
	}
}

// pooledNames returns the users and groups that maintainer scripts make with adduser, with their ids. adduser looks
// names up in a pool of ids; what no script asks for doesn't come into being.
func pooledNames() map[string]int {
	return map[string]int{
		"_ssh": 450, "_chrony": 451, "Debian-exim": 452, "postgres": 453, "ssl-cert": 454, "mysql": 455, "tss": 456,
		"uuidd": 457, "avahi": 458, "netdev": 459, "bind": 460, "clamav": 461, "colord": 462, "scanner": 463,
		"dhcpcd": 464, "dovecot": 465, "dovenull": 466, "Debian-gdm": 467, "memcache": 468, "rtkit": 469, "usbmux": 470,
		"debian-tor": 471, "unbound": 472, "haproxy": 473, "docker": 474, "etcd": 475, "geoclue": 476, "knot": 477,
		"rdma": 478, "lightdm": 479, "mosquitto": 480, "mpd": 481, "statd": 482, "nsd": 483, "ntpsec": 484,
		"opendkim": 485, "pdns": 486, "plocate": 487, "postfix": 488, "postdrop": 489, "ftp": 490, "proftpd": 491,
		"prometheus": 492, "pulse": 493, "pulse-access": 494, "rabbitmq": 495, "_rpc": 496, "saned": 497, "sddm": 498,
		"openldap": 499, "Debian-snmp": 500, "speech-dispatcher": 501, "sssd": 502, "strongswan": 503, "tcpdump": 504,
		"tftp": 505, "debian-transmission": 506, "wireshark": 507, "xrdp": 508, "lpadmin": 509, "redis": 510,
		"crontab": 511, "gnats": 512, "libvirt": 513, "libvirt-dnsmasq": 514,
		// Of packages that use systemd-sysusers and adduser both.
		"messagebus": 400, "sshd": 401, "polkitd": 415, "_flatpak": 416,
	}
}

// keptNumbers has the names that a number is kept for: Debian's own, which every system has, and those of the tables
// above. Nobody else gets these numbers.
type keptNumbers struct{ users, groups map[string]int }

func newKeptNumbers() keptNumbers {
	kept := keptNumbers{users: pooledNames(), groups: pooledNames()}
	for _, u := range sysusers() {
		if u.user {
			kept.users[u.name] = u.id
		}
		if u.group == "" {
			kept.groups[u.name] = u.id
		}
	}
	maps.Copy(kept.users, baseUsers())
	maps.Copy(kept.groups, baseGroups())
	return kept
}

// baseUsers returns the users of every system: those of base-passwd's passwd.master, which Debian never changes.
func baseUsers() map[string]int {
	return map[string]int{
		"root": 0, "daemon": 1, "bin": 2, "sys": 3, "sync": 4, "games": 5, "man": 6, "lp": 7, "mail": 8, "news": 9, "uucp": 10,
		"proxy": 13, "www-data": 33, "backup": 34, "list": 38, "irc": 39, "_apt": 42, "nobody": 65534,
	}
}

// baseGroups returns the groups of every system: those of base-passwd's group.master.
func baseGroups() map[string]int {
	return map[string]int{
		"root": 0, "daemon": 1, "bin": 2, "sys": 3, "adm": 4, "tty": 5, "disk": 6, "lp": 7, "mail": 8, "news": 9, "uucp": 10,
		"man": 12, "proxy": 13, "kmem": 15, "dialout": 20, "fax": 21, "voice": 22, "cdrom": 24, "floppy": 25, "tape": 26,
		"sudo": 27, "audio": 29, "dip": 30, "www-data": 33, "backup": 34, "operator": 37, "list": 38, "irc": 39, "src": 40,
		"shadow": 42, "utmp": 43, "video": 44, "sasl": 45, "plugdev": 46, "staff": 50, "games": 60, "users": 100,
		"nogroup": 65534,
	}
}

// seedFiles returns the files that the package root's script takes ids from.
func seedFiles(packages []PackageFile) map[string]string {
	names := packageNames(packages)
	var passwd, group strings.Builder
	for _, u := range sysusers() {
		if !slices.Contains(names, u.packageName) {
			continue
		}
		if u.group == "" {
			fmt.Fprintf(&group, "%s:!*:%d:\n", u.name, u.id)
		}
		if u.user {
			passwd.WriteString(u.passwdLine())
		}
	}
	users, groups := pools()
	return map[string]string{"passwd": passwd.String(), "group": group.String(), "uid-pool": users, "gid-pool": groups}
}

// passwdLine returns the user's entry, locked as systemd-sysusers does it.
func (u sysuser) passwdLine() string {
	gid, home, shell := u.id, u.home, u.shell
	switch u.group {
	case "":
	case "nogroup":
		gid = 65534
	default:
		for _, other := range sysusers() {
			if other.name == u.group {
				gid = other.id
			}
		}
	}
	if home == "" {
		home = "/"
	}
	if shell == "" {
		shell = "/usr/sbin/nologin"
	}
	return fmt.Sprintf("%s:!*:%d:%d:%s:%s:%s\n", u.name, u.id, gid, u.gecos, home, shell)
}

// pools returns the pools of user and group ids in the format of adduser.conf's UID_POOL and GID_POOL.
func pools() (users, groups string) {
	var lines []string
	for name, id := range pooledNames() {
		lines = append(lines, fmt.Sprintf("%s:%d\n", name, id))
	}
	slices.Sort(lines)
	text := strings.Join(lines, "")
	return text, text
}
