#!/bin/sh
# Takes the kernel itself out of the image that a boot loader starts, which decompresses itself. An emulated processor takes
# a second for that, and QEMU can start the kernel as it is, by way of PVH.
#
# $kernel is the unpacked kernel package, $image the image. The kernel is $out; it is the image as it is when QEMU couldn't
# start another, or when its compression is unknown.
set -eu
: "${kernel:?}" "${image:?}" "${out:?}"

# field OFFSET BYTES: a number of the image's header. What it has is in the kernel's Documentation/arch/x86/boot.rst.
field() { od -A n -t "u$2" -j "$1" -N "$2" "$image" | tr -d ' '; }

# bytes OFFSET LENGTH: of the image.
bytes() { tail -c "+$(($1 + 1))" "$image" | head -c "$2"; }

# take_out: what is compressed in the image, behind which is its length, in four bytes.
take_out() {
	grep -qx CONFIG_PVH=y "$kernel"/boot/config-* || return 1
	[ "$(bytes 514 4)" = HdrS ] || return 1
	setup=$(field 497 1)
	offset=$(((setup + 1) * 512 + $(field 584 4)))
	length=$(($(field 588 4) - 4))
	case $(bytes $offset 6 | od -A n -t x1 | tr -d ' \n') in
	28b52ffd*) bytes $offset $length | zstd -qdc ;;
	fd377a585a00) bytes $offset $length | xz -dc ;;
	*) return 1 ;;
	esac
}

if ! take_out >"$out" || [ "$(head -c 4 "$out" | tail -c 3)" != ELF ]; then
	cp "$image" "$out"
fi
