#!/bin/sh
# Starts the virtual machine @host@.
#
# usage: run-@host@-vm [OPTION...] [QEMU-ARGUMENT...]
#
# options, before what is for QEMU:
#   --help              show this
#   --print-command     show QEMU's command line, as a shell would read it, and start nothing
#   --ephemeral         keep nothing: what is written goes to a file in TMPDIR, or /var/tmp, which is gone in the end.
#                       Any number of such machines may run with one disk at once, and there need not be one
#   --keep              take the disk as it is, although it was made for another host or another Debian, and remember that
#   --fresh             begin with an empty disk; the one that is there is deleted, unless --ephemeral is said, too
#
# variables of the environment:
#   QEMU_OPTS           further options of QEMU, separated by blanks
#   QEMU_NET_OPTS       of its network
#   QEMU_KERNEL_PARAMS  further kernel parameters
#   NBUILD_ACCEL        kvm or tcg: the processor's virtualisation, or none, which is slow (default: kvm where it works)
#   NBUILD_DISK_IMAGE   the disk, instead of the configuration's
#   SHARED_DIR          a folder that the guest has at /tmp/shared, and may write to
#
# examples:
#   run-@host@-vm -m 2048
#   QEMU_NET_OPTS=hostfwd=tcp:127.0.0.1:2222-:22 run-@host@-vm
#   SHARED_DIR=. QEMU_KERNEL_PARAMS=systemd.unit=rescue.target run-@host@-vm
#
# Ctrl-A X ends it, and so does poweroff in the guest.

# All that it runs is in the store this script lies in; of the host it takes the shell that runs it, and readlink when
# it is started by a link. It may be there without nbuild.
set -eu

fail() {
	echo "run-@host@-vm: $*" >&2
	exit 1
}

# help: shows the comment at the top.
help() {
	while IFS= read -r line; do
		case $line in
		'#!'*) continue ;;
		'#'*) line=${line#\#} ;;
		*) break ;;
		esac
		printf '%s\n' "${line# }"
	done <"$self"
}

# explain_namespaces: says why a user namespace can't be had, and what to do.
explain_namespaces() {
	setting=
	read_setting kernel/unprivileged_userns_clone 0 && setting='kernel.unprivileged_userns_clone=1'
	read_setting user/max_user_namespaces 0 && setting='user.max_user_namespaces=15000'
	read_setting kernel/apparmor_restrict_unprivileged_userns 1 && setting='kernel.apparmor_restrict_unprivileged_userns=0'
	[ -z "$setting" ] || fail "user namespaces are forbidden on this machine; allow them, as root: sysctl -w $setting"
	fail "user namespaces are forbidden here, and no sysctl says so: in a container, its seccomp or AppArmor profile does;" \
		"for Docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
}

# read_setting NAME DIGIT: whether a sysctl begins with a digit. Some shells read a byte at a time, and these files have
# no second one for them, not even the line's end.
read_setting() {
	value=
	[ -r "/proc/sys/$1" ] || return 1
	read -r value <"/proc/sys/$1" || [ -n "$value" ] || return 1
	[ "$value" = "$2" ]
}

# hold_lease: nbuild store gc leaves alone what somebody has a lock on, and all that this refers to. So the machine has one
# on its own object, by descriptor 7, as long as it runs. It gets it while it shares that of the folder of objects, as gc
# decides on what is garbage when it has that one alone.
hold_lease() {
	exec 6<"$store"
	share_lock <&6 || echo "run-@host@-vm: the store's file system has no locks: nbuild store gc may remove what runs" >&2
	[ -e "$inside" ] || fail "$object is not in the store any more; build the machine again"
	exec 7<"$object"
	share_lock <&7 || true
	exec 6<&-
}

# share_lock: of the standard input, as some shells keep other descriptors to themselves.
share_lock() {
	"$tools/usr/lib64/ld-linux-x86-64.so.2" --inhibit-cache --library-path "$tools/usr/lib/x86_64-linux-gnu" \
		"$tools/usr/bin/flock" --shared 0
}

self=$0
case $self in
*/*) ;;
*) self=$(command -v -- "$self") || fail "cannot find myself" ;;
esac
for argument; do
	case $argument in
	--help)
		help
		exit
		;;
	--print-command | --ephemeral | --fresh | --keep) ;;
	*) break ;;
	esac
done
[ ! -h "$self" ] || self=$(readlink -f -- "$self")
object=$(cd -P -- "${self%/*}/.." && pwd -P)
store=${object%/*}
tools=@tools@
tools=$store/${tools##*/}
inside=$object/libexec/run-vm-inside
if [ ! -x "$tools/usr/bin/busybox" ] || [ ! -e "$inside" ]; then
	fail "$self is not in its store: want $tools"
fi

# A standard input that is closed can't be handed on.
(: 3<&0) 2>/dev/null || exec </dev/null
# What the host's programs are to load is not for the store's.
unset LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT
# unshare NAME...: the store's own, with its own loader and libraries, as there is no root folder of them yet.
unshare() {
	"$tools/usr/lib64/ld-linux-x86-64.so.2" --inhibit-cache --library-path "$tools/usr/lib/x86_64-linux-gnu" \
		"$tools/usr/bin/unshare" "$@"
}
unshare --user --map-root-user --mount --pid "$tools/usr/bin/busybox" true 2>/dev/null || explain_namespaces

hold_lease

# In a user namespace in which its own user is root, the store's files are root's, also for the guest. The process stays
# the same one: who kills it ends the machine.
exec "$tools/usr/lib64/ld-linux-x86-64.so.2" --inhibit-cache --library-path "$tools/usr/lib/x86_64-linux-gnu" \
	"$tools/usr/bin/unshare" --user --map-root-user --mount --pid \
	"$tools/usr/bin/busybox" sh "$inside" supervise "$store" "$object" "$(pwd)" "$@" 7<&7
