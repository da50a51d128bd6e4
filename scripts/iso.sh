#!/bin/sh
# Makes an image of a CD, $out/iso/$name.iso, which is one of a disk too. The caller's variables:
#   volume_id, publisher   of the volume
#   compress               1: compress it with zstd
#   boot                   what boot-images.sh made, or unset: then the image doesn't boot
#   contents_kernel, contents_initrd
#   contents_theme         a theme of GRUB's, or unset
# Beside this script: files, a line TARGET=SOURCE for each; links, likewise, of symbolic links; grub.cfg.
set -eu
: "${name:?}" "${volume_id:?}" "${publisher?}" "${compress?}" "${out:?}"

fail() {
	echo "iso: $*" >&2
	exit 1
}

while IFS='=' read -r target source; do
	[ -e "$source" ] || [ -h "$source" ] || fail "$target: there is no $source"
	printf '%s=%s\n' "/$target" "$source"
done <files >paths

# What is put into a folder may not be there already, and a file has nothing in it.
awk '{
	target = $0
	sub(/=.*/, "", target)
	source[target] = substr($0, length(target) + 2)
}
END {
	for (inner in source)
		for (outer = inner; sub(/\/[^\/]*$/, "", outer) && outer != ""; )
			if (outer in source) printf "%s\t%s\t%s\t%s\n", inner, source[inner], outer, source[outer]
}' paths >nested
[ ! -s nested ] || LC_ALL=C sort -o nested nested
while IFS="$(printf '\t')" read -r inner source outer folder; do
	[ -d "$folder" ] || fail "${inner#/}: ${outer#/} is a file, and nothing can be in it"
	there=$folder${inner#"$outer"}
	above=${there%/*}
	while [ ! -e "$above" ]; do above=${above%/*}; done
	[ -d "$above" ] || fail "${inner#/}: ${outer#/}${above#"$folder"} is a file, and nothing can be in it"
	[ -e "$there" ] || [ -h "$there" ] || continue
	{ [ -d "$there" ] && [ -d "$source" ]; } || fail "${inner#/}: the folder ${outer#/} has that already"
	# Two folders of one place are merged.
	twice=$(cd "$source" && find . -mindepth 1 -exec sh -c 'there=$0; for file; do
		{ [ ! -e "$there/$file" ] && [ ! -h "$there/$file" ]; } || { [ -d "$file" ] && [ -d "$there/$file" ]; } || echo "${file#./}"
	done' "$there" {} + | LC_ALL=C sort | sed 1q)
	[ -z "$twice" ] || fail "${inner#/}/$twice: the folder ${outer#/} has that already"
done <nested

while IFS='=' read -r target source; do
	mkdir -p "links.made/$(dirname "$target")"
	ln -s "$source" "links.made/$target"
	printf '%s=%s\n' "/$target" "/build/links.made/$target"
done <links >>paths

set --
if [ -n "${boot-}" ]; then
	: "${contents_kernel:?}" "${contents_initrd:?}"
	for file in "$contents_kernel" "$contents_initrd"; do
		[ -f "$file" ] || fail "want a kernel and an initrd to boot, and $file is no file"
	done
	: >fonts.cfg
	if [ -n "${contents_theme-}" ]; then
		[ -f "$contents_theme/theme.txt" ] || fail "the theme $contents_theme has no theme.txt"
		echo "/boot/grub/theme=$(readlink -f "$contents_theme")" >>paths
		(cd "$contents_theme/" && find . -name '*.pf2' | LC_ALL=C sort) | sed "s,^\.,loadfont \$prefix/theme," >fonts.cfg
	fi
	readlink -f "$contents_kernel" "$contents_initrd" >started
	{ read -r kernel && read -r initrd; } <started
	echo "/boot/vmlinuz=$kernel
/boot/initrd=$initrd
/boot/grub/grub.cfg=/build/grub.cfg
/boot/grub/fonts.cfg=/build/fonts.cfg
/boot/grub/unicode.pf2=$boot/unicode.pf2
/boot/grub/bios.img=$boot/bios.img
/EFI/BOOT/BOOTX64.EFI=$boot/BOOTX64.EFI" >>paths
	# A partition table of both kinds: old firmware wants the first sector, some of it an active partition too, UEFI the
	# partition with the FAT.
	set -- --grub2-mbr "$boot/mbr.img" --mbr-force-bootable -partition_offset 16 \
		-append_partition 2 0xef "$boot/efi.img" -appended_part_as_gpt \
		-c boot/boot.cat -b boot/grub/bios.img -no-emul-boot -boot-load-size 4 -boot-info-table --grub2-boot-info \
		-eltorito-alt-boot -e --interval:appended_partition_2:all:: -no-emul-boot
fi

# The same content gives the same bytes: what others make of the time or by chance follows from what the image has. The
# time of the volume too, as the names of disks by UUID are made of it: a moment of the first 34 years, in hundredths.
LC_ALL=C sort -o paths paths
[ -e grub.cfg ] || : >grub.cfg
id=$(printf '%s\n' "$volume_id" "$publisher" | cat - paths links grub.cfg | sha256sum |
	sed 's/^\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.\{12\}\)\(.\{10\}\).*/\1-\2-4\3-8\4-\5 \6/')
guid=${id% *}
moment=$((0x${id#* }))
{ echo "@$((moment >> 10))" && echo "@$SOURCE_DATE_EPOCH"; } >moments
date -u -f moments +%Y%m%d%H%M%S >dates
{ read -r volume_date && read -r date; } <dates
volume_date=$volume_date$(printf %02d $((moment % 100)))
date=${date}00
mkdir -p "$out/iso"
image=$out/iso/$name.iso
[ -z "$compress" ] || image=/build/image
# Without an interval of its messages, xorriso notices only when the clock's next second has begun that it is done.
xorriso -no_rc -pacifier interval=0.1 -as mkisofs -quiet -iso-level 3 -r -volid "$volume_id" -publisher "$publisher" -o "$image" \
	--modification-date="$volume_date" --set_all_file_dates "$date" --gpt_disk_guid "$guid" "$@" \
	-graft-points -path-list paths >log 2>&1 || {
	status=$?
	cat log >&2
	fail "xorriso ended with exit status $status"
}
# Any number of processors makes the same of the same.
[ -z "$compress" ] || zstd -q -3 -T"$NBUILD_CORES" -o "$out/iso/$name.iso.zst" "$image"
