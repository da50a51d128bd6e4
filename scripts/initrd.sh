#!/bin/sh
# Packs the initrd: busybox, /init, /shutdown, and the modules it loads, in the order to load them.
#
# $kernel is the unpacked kernel package, $tables the layer with its module tables. Beside this script: init, shutdown,
# modules.required, modules.loaded (those that init loads first) and modules.optional, a name a line. The initrd is $out.
set -eu
: "${kernel:?}" "${tables:?}" "${out:?}"

fail() {
	echo "initrd: $*" >&2
	exit 1
}

set -- "$tables"/usr/lib/modules/*
if [ $# -ne 1 ] || [ ! -d "$1" ]; then
	fail "want the modules of one kernel, found: $*"
fi
version=${1##*/}

# modprobe wants modules and tables in one place.
base=/build/base/lib/modules/$version
mkdir -p "$base" tree/modules
for modules in "$kernel/usr/lib/modules/$version" "$tables/usr/lib/modules/$version"; do
	[ ! -d "$modules" ] || cp -Rsf "$modules/." "$base"
done

# add_module NAME: puts the module and all it needs into the tree, softdeps included, and the order of loading into
# modules/NAME. Says on failure that there is no such module.
add_module() {
	modprobe -d /build/base -S "$version" --show-depends "$1" >depends 2>depends.err || return 1
	while read -r verb file _; do
		[ "$verb" = insmod ] || continue
		name=${file##*/}
		name=${name%.xz}
		name=${name%.zst}
		[ -e "tree/modules/$name" ] || unpack_module "$file" >"tree/modules/$name" || fail "module $file: cannot be unpacked"
		echo "$name"
	done <depends >"tree/modules/$1"
}

# Busybox can't decompress modules, and not each kernel does it by itself.
unpack_module() {
	case $1 in
	*.xz) xz -dc "$1" ;;
	*.zst) zstd -qdc "$1" ;;
	*) cat "$1" ;;
	esac
}

missing=
while read -r module; do
	add_module "$module" || missing="$missing $module"
done <modules.required
while read -r module; do
	add_module "$module" || missing="$missing $module"
done <modules.loaded
[ -z "$missing" ] || fail "kernel $version lacks modules that the system starts with:$missing"
while read -r module; do
	add_module "$module" || rm -f "tree/modules/$module"
done <modules.optional

# What is in initramfs is what the system is left to at its end.
mkdir -p tree/initramfs/bin
cp /bin/busybox tree/initramfs/bin/busybox
ln -s busybox tree/initramfs/bin/sh
ln -s initramfs/bin tree/bin
cp shutdown tree/initramfs/shutdown
cp modules.loaded tree/modules.loaded
cp init tree/init
chmod 755 tree/init tree/initramfs/shutdown
for folder in dev proc sys nbuild/store layers iso rw new; do
	mkdir -p "tree/$folder"
done

# Sorted names, one time, no owners, inodes by order: the same content gives the same bytes.
cd tree
find . -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
find . -print0 | sort -z | cpio --quiet -o0 -H newc -R 0:0 --reproducible >../initrd
# Level 19 makes it 5 % smaller than 10 and takes ten times as long.
zstd -q -10 -T1 -c ../initrd >"$out"
