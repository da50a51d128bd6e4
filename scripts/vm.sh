#!/bin/sh
# Puts a virtual machine's runner together: its two scripts, and the list of the store objects that the guest may see.
# $host is its name; run and inside are beside this script. The runner is $out/bin/run-$host-vm.
set -eu
: "${host:?}" "${out:?}"

mkdir -p "$out/bin" "$out/libexec"
cp run "$out/bin/run-$host-vm"
cp inside "$out/libexec/run-vm-inside"
for slot in closure/system closure/reference_*; do
	[ ! -e "$slot" ] || cat "$slot"
done | sort -u >"$out/closure"
chmod 755 "$out/bin/run-$host-vm"
