#!/bin/sh
# Makes what firmware starts from a medium, a folder $out:
#   bios.img       GRUB for a BIOS that starts from a CD, by El Torito
#   mbr.img        the first sector of a disk, which finds bios.img on it
#   BOOTX64.EFI    GRUB for UEFI
#   efi.img        a FAT with BOOTX64.EFI where firmware looks for it
#   unicode.pf2    letters for the screen
# Each looks for the volume with the label $volume_id and reads /boot/grub/grub.cfg there.
set -eu
: "${volume_id:?}" "${out:?}"
export MTOOLS_SKIP_CHECK=1 # A FAT that small is no disk that mtools knows.
grub=/usr/lib/grub

cat >early.cfg <<END
search --no-floppy --set=root --label $volume_id
set prefix=(\$root)/boot/grub
configfile \$prefix/grub.cfg
END
# All that a menu needs is built in: nothing else of GRUB is on the medium.
modules="boot chain configfile echo font gfxmenu gfxterm gfxterm_background iso9660 jpeg linux minicmd normal part_gpt part_msdos
	png regexp reboot halt search search_fs_file search_label serial sleep smbios terminal test tga true video"
mkdir "$out"
# shellcheck disable=SC2086 # words are what they are
grub-mkimage -d "$grub/i386-pc" -O i386-pc-eltorito -o "$out/bios.img" -p /boot/grub -c early.cfg \
	biosdisk drivemap vbe $modules
# shellcheck disable=SC2086
grub-mkimage -d "$grub/x86_64-efi" -O x86_64-efi -o "$out/BOOTX64.EFI" -p /boot/grub -c early.cfg \
	efi_gop efi_uga fat $modules
cp "$grub/i386-pc/boot_hybrid.img" "$out/mbr.img"
cp /usr/share/grub/unicode.pf2 "$out"

# A FAT of 64 KiB more than what is in it. Its serial number is of the label, not of the time.
kilobytes=$((($(stat -c %s "$out/BOOTX64.EFI") / 1024 + 128) / 64 * 64 + 64))
truncate -s "${kilobytes}K" "$out/efi.img"
serial=$(printf %s "$volume_id" | sha256sum | cut -c 1-8)
touch -d "@$SOURCE_DATE_EPOCH" "$out/BOOTX64.EFI"
mformat -i "$out/efi.img" -N "$serial" -v EFI ::
mmd -i "$out/efi.img" ::/EFI ::/EFI/BOOT
mcopy -m -i "$out/efi.img" "$out/BOOTX64.EFI" ::/EFI/BOOT/BOOTX64.EFI
