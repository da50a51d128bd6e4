#!/bin/sh
# Makes the layer that an unpacked kernel package lacks: the tables of its modules, which the package's own scripts would
# make with depmod. The package is never configured: its scripts want to build an initrd with whatever is installed.
#
# $kernel is the unpacked package. The layer is $out, what the boot loader needs is $image.
set -eu
: "${kernel:?}" "${image:?}" "${out:?}"

fail() {
	echo "kernel: $*" >&2
	exit 1
}

set -- "$kernel"/boot/vmlinuz-*
if [ $# -ne 1 ] || [ ! -e "$1" ]; then
	fail "want one boot/vmlinuz-* in the kernel's package, found: $*"
fi
version=${1##*/vmlinuz-}
cp "$1" "$image"

# depmod takes and writes lib/modules, whether the package has it under usr or not.
mkdir -p base "$out/usr/lib/modules/$version"
if [ -d "$kernel/usr/lib/modules/$version" ]; then
	ln -s "$kernel/usr/lib" base/lib
elif [ -d "$kernel/lib/modules/$version" ]; then
	# A package from before the merge of / and /usr: its own lib would hide behind the link that the system has.
	cp -R "$kernel/lib/modules/$version" "$out/usr/lib/modules"
	chmod -R u+w "$out/usr/lib/modules/$version"
	ln -s "$kernel/lib" base/lib
else
	fail "the kernel's package has no modules for $version"
fi
depmod -b base -o tables -F "$kernel/boot/System.map-$version" "$version"
cp tables/lib/modules/"$version"/modules.* "$out/usr/lib/modules/$version/"

# Devices whose modules are loaded when somebody opens them: what kmod would list at each start, as tmpfiles.d has it.
mkdir "$out/usr/lib/tmpfiles.d"
awk '/^[^#]/ {
	folder = $2
	if (sub("/[^/]*$", "", folder) && !made[folder]++) print "d /dev/" folder " 0755 - - -"
	print substr($3, 1, 1) "! /dev/" $2 " 0600 - - - " substr($3, 2)
}' "$out/usr/lib/modules/$version/modules.devname" | sort >"$out/usr/lib/tmpfiles.d/static-nodes-$version.conf"
