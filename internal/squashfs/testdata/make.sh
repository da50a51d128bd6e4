#!/bin/sh
# Makes the images of this folder anew, with mksquashfs 4.6.1 of Debian 13. TREE is what "go test -run TestTree -tree TREE"
# made in an empty folder.
set -eu
: "${TREE:?}"
cd "$(dirname "$0")"
for kind in zstd lz4 xz; do
	mksquashfs "$TREE" $kind.squashfs -comp $kind -b 4096 -noappend -quiet -no-progress -all-root -all-time 1 -mkfs-time 1 -no-xattrs
done
mksquashfs "$TREE" none.squashfs -comp zstd -b 4096 -noI -noD -noF -noappend -quiet -no-progress -all-root -all-time 1 -mkfs-time 1 -no-xattrs
mksquashfs "$TREE" gzip.squashfs -comp gzip -noappend -quiet -no-progress -all-root -all-time 1 -mkfs-time 1 -no-xattrs
