#!/bin/sh
# Packs store objects into a squashfs, $out: they are at nbuild/store, and what a store must know of them is in the file
# nbuild/registration. Which ones they are is in registration, beside this script. The caller's variables:
#   options   options of mksquashfs for compression and block size, words with blanks between
#   max_size  how many MiB the image may have, or nothing
#
# The same objects give the same bytes: every owner and time is said here, the modes are those of the store, and hard
# links, which depend on what else a store has, are taken for files of their own. mksquashfs itself makes the same of the
# same with any number of processors. Identical files are in the image once all the same.
#
# mksquashfs would take up to a quarter of the machine's memory, and new pages for nearly every block. 32 MiB for each
# processor, used again and again, save a tenth of its time, and many such builds at once leave memory for others.
set -euf
: "${options:?}" "${max_size?}" "${out:?}"

# The objects are named by their paths below the root, which -no-strip has in the image too.
cd /
objects=$(sed -n 's,^object /\([^ ]*\) .*,\1,p' /build/registration)

strip=-no-strip

# What is above the objects comes from the sandbox, and so its modes are said. Times are as in the store. Without objects
# it doesn't come from anywhere, and the source that mksquashfs wants is an empty root.
folder=m
if [ -z "$objects" ]; then
	folder=d
	mkdir /build/nothing
	objects=build/nothing
	strip=
fi
echo "nbuild $folder 755 0 0
nbuild/store $folder 755 0 0
nbuild/registration f 444 0 0 cat /build/registration" >/build/definitions
unset SOURCE_DATE_EPOCH # mksquashfs wants to be told one way only.
export GLIBC_TUNABLES=glibc.malloc.arena_max=1 # Else each thread keeps what it has freed.
# shellcheck disable=SC2086 # words are what they are
mksquashfs $objects "$out" $options -quiet -no-progress -exit-on-error $strip -no-hardlinks -no-xattrs \
	-no-exports -all-root -root-mode 755 -all-time 1 -mkfs-time 1 -pf /build/definitions \
	-processors "$NBUILD_CORES" -mem $((NBUILD_CORES * 32))M

# largest: the ten largest objects, and the packages that say most of themselves, in MiB.
largest() {
	echo "the largest objects in it, before compression:"
	sed -n 's,^object \([^ ]*\) [^ ]* ,\1 ,p' /build/registration | sort -k 2nr | head |
		awk '{ printf "%8.1f MiB  %s\n", $2 / 1048576, $1 }'
	for object in $objects; do
		[ ! -f "$object/var/lib/dpkg/status" ] || echo "$object/var/lib/dpkg/status"
	done >/build/databases
	[ -s /build/databases ] || return 0
	echo "the largest packages in it, by their own word:"
	# shellcheck disable=SC2046 # words are what they are
	awk '/^Package: / { name = $2 } /^Installed-Size: / { print $2, name }' $(cat /build/databases) | sort -k 1nr | head |
		awk '{ printf "%8.1f MiB  %s\n", $1 / 1024, $2 }'
}

[ -n "$max_size" ] || exit 0
size=$(stat -c %s "$out")
if [ "$size" -gt $((max_size << 20)) ]; then
	{
		awk -v size="$size" -v most="$max_size" 'BEGIN {
			printf "squashfs: the image has %.1f MiB, more than max_size, %d MiB; ", size / 1048576, most }'
		largest
	} >&2
	exit 1
fi
