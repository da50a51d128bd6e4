#!/bin/sh
# Makes a package root of unpacked packages: runs their maintainer scripts, then takes away all that depends on time or
# chance. Runs as root in a writable copy of the tree, with the tree's own programs.
#
# Beside it in /build: passwd and group (entries for packages that use systemd-sysusers), uid-pool and gid-pool (ids for
# packages that use adduser).
set -eu

export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
# A script that asks finds no terminal and no input.
exec </dev/null
cd /

info=/var/lib/dpkg/info

fail() {
	echo "package root: $*" >&2
	exit 1
}

# Before base-passwd is configured its masters are all there is of users. Entries that packages would make through
# systemd-sysusers are there from the start, so that their ids don't depend on which other packages there are; sysusers
# keeps what it finds.
seed_users() {
	[ -e /etc/passwd ] || cat /usr/share/base-passwd/passwd.master >/etc/passwd
	[ -e /etc/group ] || cat /usr/share/base-passwd/group.master >/etc/group
	cat /build/passwd >>/etc/passwd
	cat /build/group >>/etc/group
}

# A script may expect awk before the package that has it is configured, and with that the link. The alternatives take
# it over then.
link_awk() {
	for awk in mawk gawk original-awk; do
		[ ! -e "/usr/bin/$awk" ] || [ -h /usr/bin/awk ] || ln -s "$awk" /usr/bin/awk
	done
}

# adduser has an option for fixed ids. Entries made beforehand would do the same, but then scripts that ask "is the user
# there?" leave out what they do for a new user, such as making the home folder.
use_pools() {
	[ -e /etc/adduser.conf ] || return 0
	cp /etc/adduser.conf /build/adduser.conf
	printf 'UID_POOL=/build/uid-pool\nGID_POOL=/build/gid-pool\n' >>/etc/adduser.conf
}

forget_pools() {
	[ ! -e /build/adduser.conf ] || cat /build/adduser.conf >/etc/adduser.conf
}

# run_preinst FILE: runs a preinst script the way dpkg does.
run_preinst() {
	package=${1##*/}
	package=${package%.preinst}
	package=${package%%:*}
	DPKG_MAINTSCRIPT_PACKAGE=$package DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_ARCH=amd64 \
		DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_DEBUG=0 DPKG_ROOT='' DPKG_ADMINDIR=/var/lib/dpkg \
		DPKG_RUNNING_VERSION="$dpkg_version" "$1" install ||
		fail "package $package: its preinst script ended with status $?"
}

# Diversions first: other scripts may look at what they are about.
run_preinsts() {
	dpkg_version=$(dpkg-query --show --showformat '${Version}' dpkg)
	for script in "$info"/*.preinst; do
		! grep -q dpkg-divert "$script" || run_preinst "$script"
	done
	for script in "$info"/*.preinst; do
		grep -q dpkg-divert "$script" || run_preinst "$script"
	done
}

# It stops at the first package whose script ends badly: what comes after would be its consequences only.
configure() {
	dpkg --force-unsafe-io --abort-after=1 --configure -a || name_culprit "$?"
	dpkg --force-unsafe-io --triggers-only --pending || name_culprit "$?"
}

name_culprit() {
	culprit=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' |
		sed -n 's/^half-configured //p; s/^triggers-pending //p' | tr '\n' ' ')
	fail "package ${culprit% }: a maintainer script ended badly (dpkg: status $1); its output is above"
}

# No service may start in a build, and every script that asks is told so.
forbid_services() {
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod 755 /usr/sbin/policy-rc.d
}

neutralise() {
	rm -f /usr/sbin/policy-rc.d
	# Secrets and identities: each machine makes its own at its first start.
	rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/credential.secret \
		/etc/ssl/certs/ssl-cert-snakeoil.pem /etc/ssl/private/ssl-cert-snakeoil.key
	# Emptied, not removed: without it systemd takes the start for a first one and applies presets.
	: >/etc/machine-id
	chmod 444 /etc/machine-id
	# Data that a server makes for itself, with random ids in it.
	rm -rf /var/lib/mysql/* /var/lib/postgresql/*/main
	# Logs and caches that say when something happened, or hold inode numbers.
	rm -rf /var/log/dpkg.log /var/log/alternatives.log /var/log/bootstrap.log /var/log/fontconfig.log /var/log/apt/* \
		/var/cache/ldconfig/aux-cache /var/cache/apt/*.bin /var/cache/man/* /var/cache/debconf/*-old
	# Backups and locks.
	rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid- /etc/.pwd.lock \
		/var/lib/dpkg/*-old /var/lib/dpkg/lock* /var/lib/dpkg/triggers/Lock /var/lib/dpkg/triggers/Unincorp \
		/var/lib/ucf/*.[0-9]
}

# Programs that write these copy the owner of the file before, and that is one the sandbox shows as root.
own_secrets() {
	for file in /etc/shadow /etc/gshadow; do
		[ ! -e "$file" ] || { chown root:shadow "$file" && chmod 640 "$file"; }
	done
}

seed_users
use_pools
link_awk
ldconfig
forbid_services
run_preinsts
configure
forget_pools
neutralise
own_secrets
