#!/bin/sh
# Puts a virtual machine's runner together: its three scripts, the list of the store objects that the guest may see, and the
# ways of sharing the store with it. $host is its name, $store_share the way that is wanted; run, inside and login are
# beside this script. The runner is $out/bin/run-$host-vm.
set -eu
: "${host:?}" "${store_share:?}" "${initrd:?}" "${out:?}"

mkdir -p "$out/bin" "$out/libexec"
cp run "$out/bin/run-$host-vm"
cp inside "$out/libexec/run-vm-inside"
cp login "$out/libexec/run-vm-login"
echo virtiofs >"$out/libexec/shares"
# The initrd has a list for it, too, where it is built into the kernel.
if zstd -qdc "$initrd" | cpio --quiet -t | grep -qx modules/9p; then
	echo 9p >>"$out/libexec/shares"
elif [ "$store_share" = 9p ]; then
	echo 'vm: virtualisation.store_share is 9p, and the kernel has no 9p; linux-image-amd64 has it (boot.kernel_package)' >&2
	exit 1
fi
for slot in closure/system closure/reference_*; do
	[ ! -e "$slot" ] || cat "$slot"
done | sort -u >"$out/closure"
chmod 755 "$out/bin/run-$host-vm"
