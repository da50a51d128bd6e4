#!/bin/sh
# The inner part of run-@host@-vm. It runs by the store's busybox, in three steps:
#   supervise  in a user and a mount namespace: starts the next as the first process of a pid namespace, which ends with
#              it, hands on signals, and ends with its status; has the machine's lease open meanwhile, as 7
#   prepare    makes a root folder of the tools and the host's folders, and moves there
#   start      makes the disk if there is none, starts virtiofsd for the store and each shared folder, and QEMU; or only
#              shows QEMU's command line
# and in one more, login, that run-vm-login has: it logs in to a machine that is running.
# When the first process of a pid namespace ends, the kernel kills all others in it, and the mount namespace goes with
# the last of them. So nothing is left behind, however it ends.
set -eu

say() { echo "run-@host@-vm: $*" >&2; }

fail() {
	say "$*"
	exit 1
}

# shared_directories COMMAND: runs it for each, with its name, its folder on the host, and rw or ro.
shared_directories() {
	@shared_directories@
}

# --- supervise ---

supervise() {
	child=
	# A shell gives /dev/null to what it starts in the background, unless told before.
	exec 3<&0
	trap 'hand_on TERM' TERM INT HUP
	# A killed supervisor can't hand on anything: then the kernel does.
	"$loader" --inhibit-cache --library-path "$libraries" "$tools/usr/bin/setpriv" --pdeathsig KILL \
		"$busybox" sh "$0" prepare "$store" "$object" "$folder" "$$" "$@" <&3 3<&- 7<&- &
	child=$!
	while :; do
		status=0
		wait "$child" || status=$?
		# A signal ends the wait before the child ends.
		kill -0 "$child" 2>/dev/null || exit "$status"
	done
}

# hand_on SIGNAL: again and again, as the first process of a pid namespace doesn't even notice a signal before it has a
# trap for it. What is started here is in that namespace, and ends with it.
hand_on() {
	[ -n "$child" ] || exit 143
	kill "-$1" "$child" 2>/dev/null || return 0
	while "$busybox" usleep 100000; do
		kill "-$1" 1
	done >/dev/null 2>&1 7<&- &
}

# --- prepare ---

prepare() {
	trap 'exit 143' TERM INT HUP
	supervisor=$1
	shift
	# It may have been killed before this process had asked to be told.
	read -r line <"/proc/$supervisor/stat" || exit 1
	case ${line##*) } in [ZX]*) exit 1 ;; esac

	# Any folder will do to mount the new root on. Unbindable, it isn't in the binds of the host's folders below it.
	new=$object/bin
	"$busybox" mount -t tmpfs -o mode=755 root "$new"
	"$busybox" mount -o unbindable "$new" 2>/dev/null || "$busybox" mount --make-unbindable "$new"
	bind_tools
	bind_host
	bind_closure
	bind_boot
	shared_directories bind_shared
	[ -z "${SHARED_DIR-}" ] || bind_folder @SHARED_DIR "$SHARED_DIR" SHARED_DIR
	"$busybox" mount -t proc proc "$new/proc" 2>/dev/null || "$busybox" mount -o rbind /proc "$new/proc"
	cd "$new"
	# Where / is the initial file system it can't be moved away, only left.
	if "$busybox" pivot_root . old 2>/dev/null; then
		/usr/bin/busybox umount -l /old
		start "$@"
	fi
	exec "$busybox" chroot . /usr/bin/busybox sh /nbuild/run-vm-inside start "$store" "$object" "$folder" "$@"
}

bind_tools() {
	"$busybox" mkdir -p "$new/etc" "$new/nbuild/store" "$new/nbuild/run" "$new/old" "$new/proc" "$new/usr"
	for name in bin sbin lib lib64; do
		"$busybox" ln -s "usr/$name" "$new/$name"
	done
	bind_read_only "$tools/usr" "$new/usr"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$new/etc/passwd"
	echo 'root:x:0:' >"$new/etc/group"
	"$busybox" cp "$0" "${0%/*}/run-vm-login" "$new/nbuild"
	"$busybox" cp "$object/libexec/shares" "$new/nbuild/run/shares"
	# QEMU's network asks the host's name servers. A link is kept: its target may change while the machine runs.
	if [ -h /etc/resolv.conf ]; then
		"$busybox" ln -s "$("$busybox" readlink /etc/resolv.conf)" "$new/etc/resolv.conf"
	elif [ -e /etc/resolv.conf ]; then
		"$busybox" cp /etc/resolv.conf "$new/etc/resolv.conf"
	fi
}

# The store's mount may have options that a user namespace can't take away; mount of util-linux leaves them alone.
bind_read_only() {
	"$loader" --inhibit-cache --library-path "$libraries" "$tools/usr/bin/mount" --no-canonicalize -o bind,ro "$1" "$2"
}

# The host's folders are there under their names, so that a path in the machine's options means the same as outside,
# but for those with the host's programs.
bind_host() {
	for path in /*; do
		case $path in
		/bin | /sbin | /lib* | /usr | /etc | /proc | /nbuild | /old) continue ;;
		esac
		if [ -h "$path" ]; then
			"$busybox" ln -s "$("$busybox" readlink "$path")" "$new$path"
		elif [ -d "$path" ]; then
			"$busybox" mkdir "$new$path"
			"$busybox" mount -o rbind "$path" "$new$path" 2>/dev/null || "$busybox" rmdir "$new$path"
		fi
	done
}

# The guest sees the closure of its system and nothing else of the store.
bind_closure() {
	while read -r path; do
		from=$store/${path##*/}
		if [ -h "$from" ]; then
			"$busybox" cp -P "$from" "$new$path"
			continue
		elif [ -d "$from" ]; then
			"$busybox" mkdir "$new$path"
		else
			: >"$new$path"
		fi
		bind_read_only "$from" "$new$path" || fail "the store lacks $from; build the machine again"
	done <"$object/closure"
}

# bind_boot: what the machine starts from is QEMU's, and not of the store that the guest sees.
bind_boot() {
	if [ -n "$medium" ]; then
		bind_file "$medium" medium.iso
	else
		bind_file @vmlinux@ vmlinux
	fi
}

# bind_file PATH NAME: has the store's file as /nbuild/NAME.
bind_file() {
	: >"$new/nbuild/$2"
	bind_read_only "$store/${1#/nbuild/store/}" "$new/nbuild/$2" || fail "the store lacks $1; build the machine again"
}

bind_shared() { bind_folder "$1" "$2" "virtualisation.shared_directories.$1"; }

# bind_folder NAME FOLDER OPTION: a shared folder may be one of those that bind_host leaves out.
bind_folder() {
	from=$2
	case $from in
	/nbuild/store/*) from=$store/${from#/nbuild/store/} ;;
	/*) ;;
	*) from=$folder/$from ;;
	esac
	[ -d "$from" ] || fail "$3: there is no folder $from; make it, or name another"
	"$busybox" mkdir -p "$new/nbuild/shared/$1"
	"$busybox" mount -o rbind "$from" "$new/nbuild/shared/$1" 2>/dev/null ||
		fail "$3: the folder $from cannot be mounted; look at its permissions"
}

# --- start ---

start() {
	busybox=/usr/bin/busybox
	qemu='' daemon='' reader='' unfinished='' login=''
	trap 'hand_on_all' TERM INT HUP
	printing='' ephemeral='' fresh='' keep=''
	while :; do
		case ${1-} in
		--print-command) printing=yes ;;
		--ephemeral) ephemeral=yes ;;
		--fresh) fresh=yes ;;
		--keep) keep=yes ;;
		*) break ;;
		esac
		shift
	done
	[ -z "$fresh" ] || [ -z "$keep" ] || fail '--fresh and --keep contradict each other; choose one'
	# Options of the one who starts it come last, as the last one counts. They are separated by blanks, and no patterns.
	set -f
	# shellcheck disable=SC2086
	set -- @qemu_options@ ${QEMU_OPTS-} "$@"
	set +f
	find_disk
	choose_accelerator
	choose_memory "$@"
	choose_display
	take_disk
	devices=
	share_store
	shared_directories share_directory
	[ -z "${SHARED_DIR-}" ] || share_folder SHARED_DIR @SHARED_DIR rw
	offer_login
	run_qemu "$@"
}

# find_disk: sets image, and place, the folder that it is in.
find_disk() {
	is_visible "$folder" ||
		fail "the folder $folder is one of the host's system, which the machine's programs do not see; start it elsewhere"
	cd "$folder" || fail "the folder $folder cannot be entered"
	image=${NBUILD_DISK_IMAGE:-}
	[ -n "$image" ] || image=@disk_image@
	case $image in
	/* | ./*) ;;
	# Nobody takes it for an option then, or for a protocol of QEMU's.
	*) image=./$image ;;
	esac
	if [ -h "$image" ]; then
		image=$($busybox readlink -f "$image") || fail "disk image $image is a link that leads nowhere; delete it, or name another"
	fi
	place=${image%/*}
	if ! place=$(cd -P "${place:-/}" 2>/dev/null && pwd) || ! is_visible "$place"; then
		fail "disk image $image: there is no folder ${image%/*}, or it is one of the host's system; make it, or name another"
	fi
}

# take_disk: makes it if there is none, and looks whose it is.
take_disk() {
	replacing='' release=@debian@
	if [ -n "$ephemeral" ]; then
		borrow_disk
	elif [ -z "$printing" ]; then
		if [ -n "$fresh" ] && [ -e "$image" ]; then
			lock_disk # Nobody's disk goes while a machine uses it.
			replacing=yes
		fi
		if [ ! -e "$image" ] || [ -n "$replacing" ]; then make_disk; fi
		lock_disk
		$busybox rm -f "$image.new" # Of a start that was killed.
		check_owner
	fi
	grow_disk
}

# borrow_disk: takes an overlay over the disk, or over none. The overlay is not written to either, it can only grow: on
# top of it QEMU puts one of its own, in a file that it deletes as soon as it has opened it.
borrow_disk() {
	overlay=/nbuild/run/disk
	if [ -n "$printing" ]; then
		:
	elif [ -e "$image" ] && [ -z "$fresh" ]; then
		lock_disk
		check_owner
		/usr/bin/qemu-img create -q -f qcow2 -F qcow2 -b "$place/${image##*/}" $overlay || fail "disk image $image cannot be used"
	else
		make_file_system $overlay
	fi
	image=$overlay
}

# is_visible FOLDER: bind_host left the others out.
is_visible() {
	case $1/ in
	/bin/* | /sbin/* | /lib*/* | /usr/* | /etc/* | /proc/* | /nbuild/*) return 1 ;;
	esac
}

hand_on_all() {
	if [ -z "$qemu" ]; then
		[ -z "$unfinished" ] || $busybox rm -f "$unfinished"
		exit 143
	fi
	kill -TERM "$qemu" 2>/dev/null || true
}

# make_disk: it takes its name when it is whole; in the meantime another machine of the same folder waits.
make_disk() {
	exec 8<"$place"
	/usr/bin/flock 8
	if [ ! -e "$image" ] || [ -n "$replacing" ]; then
		made=/nbuild/run/disk unfinished=$image.new
		make_file_system $made
		$busybox dd if=$made of="$unfinished" bs=1M conv=fsync status=none || {
			$busybox rm -f "$unfinished"
			fail "disk image $image cannot be made; name another place by NBUILD_DISK_IMAGE, or do without a disk by --ephemeral"
		}
		$busybox mv -f "$unfinished" "$image"
		$busybox rm $made
		unfinished=
	fi
	exec 8<&-
}

# make_file_system IMAGE: an empty one. Whose it is stands in the image's header, in an extension as qcow2 has them: QEMU
# keeps those that it doesn't know, wherever the file goes and whatever is done to it. It is put before the others, so that
# none has to be understood; all of them are in the first 64 KiB, where else is nothing.
make_file_system() {
	raw=/nbuild/run/raw header=/nbuild/run/header
	$busybox truncate -s @disk@M $raw
	/usr/sbin/mke2fs -q -F -t ext4 -L nbuild -E lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0,nodiscard $raw
	/usr/bin/qemu-img convert -f raw -O qcow2 $raw "$1" || fail 'an empty disk cannot be made'
	{
		printf 'nbld\000\000\002\000'
		owner
		$busybox head -c 4096 "$1" | $busybox tail -c +113
	} >$header
	$busybox dd if=$header of="$1" bs=112 seek=1 conv=notrunc status=none
	$busybox rm $raw $header
}

# owner: whom a disk is made for, in the 512 bytes that the extension has.
owner() {
	printf 'nbuild-disk %-500.500s' "host=@host@ debian=$release size=@disk@ system=@system@"
}

# check_owner: what another host has left on a disk, or another release of Debian, is no state of this system. Its own
# system may be another than the last time: that is what disks are kept for. A disk that doesn't say whose it is is taken
# as it is.
check_owner() {
	mark='nbld....nbuild-disk ' # Of its length there is nothing that can be printed.
	header=$($busybox head -c 4096 "$image" | $busybox tr -c ' -~' .)
	before=${header%%"$mark"*}
	[ "$before" != "$header" ] || return 0
	host='' debian='' size='' system=''
	set -f
	for word in ${header#"$before$mark"}; do
		case $word in
		host=*) host=${word#*=} ;;
		debian=*) debian=${word#*=} ;;
		size=*) size=${word#*=} ;;
		system=*) system=${word#*=} ;;
		*) break ;;
		esac
	done
	set +f
	[ "$host" != @host@ ] || [ "$debian" != "$release" ] || return 0
	[ -n "$keep" ] || fail "disk image $image was made for $host with Debian $debian ($size MiB, $system), and this is @host@ with Debian $release:" \
		"--keep takes it as it is, --fresh deletes it and makes a new one"
	[ -n "$ephemeral" ] || owner | $busybox dd of="$image" bs=$((${#before} + 8)) seek=1 conv=notrunc status=none
}

# lock_disk: for this machine alone, or, where nothing is written to it, together with others that only read. QEMU locks the
# image too, and would tell it in its own words.
lock_disk() {
	if [ -n "$ephemeral" ]; then
		(: <"$image") 2>/dev/null || fail "disk image $image cannot be read"
		exec 9<"$image"
	else
		(: <>"$image") 2>/dev/null || fail "disk image $image cannot be opened for writing"
		exec 9<>"$image"
	fi
	# It may have been replaced since it was opened.
	# shellcheck disable=SC3013 # Busybox has it.
	if ! /usr/bin/flock -n ${ephemeral:+-s} 9 || ! [ "$image" -ef /proc/self/fd/9 ]; then
		fail "disk image $image is in use by another virtual machine; stop that one, or set NBUILD_DISK_IMAGE"
	fi
}

# grow_disk: a disk that is smaller than the configuration's becomes as large. Its file system grows in the guest, by
# systemd, which mounts it once more for that. The file system itself says how large it is, so it doesn't matter when that
# was interrupted. What it can't say is left to QEMU and the guest.
grow_disk() {
	grow='' superblock=/nbuild/run/superblock
	/usr/bin/qemu-img dd -f qcow2 -O raw if="$image" of=$superblock bs=2048 count=1 2>/dev/null || return 0
	# The words 2, 7 and 15 have the count of blocks, the logarithm of their size in KiB, and ext4's number in a half.
	# shellcheck disable=SC2046 # They are words.
	set -- $($busybox od -v -A n -t u4 -j 1024 -N 64 $superblock)
	[ $# = 16 ] && [ $((${15} & 0xffff)) = $((0xef53)) ] || return 0
	size=$((($2 << $7) / 1024)) declared=@disk@
	[ $size -lt $declared ] || return 0
	if [ -z "$printing" ]; then
		[ -n "$ephemeral" ] || say "disk image $image grows from $size to $declared MiB"
		/usr/bin/qemu-img resize -q -f qcow2 "$image" ${declared}M || say "disk image $image stays as it is"
	fi
	grow='systemd.mount-extra=/dev/disk/by-id/virtio-nbuild:/run/nbuild-disk:ext4:noatime,x-systemd.growfs'
}

# share_store: sets shared to how, and store_device to QEMU's options for it. The whole process tree is a sandbox already, and
# the store doesn't change: the guest may keep what it has read.
share_store() {
	# virtiofsd keeps a file open for each file that the guest knows of, and QEMU for 9p.
	# shellcheck disable=SC3045 # Busybox has it.
	ulimit -n "$(ulimit -H -n)"
	shared=@store_share@
	if [ $shared = virtiofs ] && ! share store /nbuild/store --readonly --sandbox=none --cache=always --no-announce-submounts; then
		$busybox grep -qx 9p /nbuild/run/shares ||
			fail 'virtiofsd, which shares the store, cannot start, and the kernel has no 9p to do without; linux-image-amd64 has it (boot.kernel_package)'
		say 'virtiofsd cannot start, so the store is shared by 9p, which is slower'
		shared=9p
	fi
	case $shared in
	virtiofs) store_device='-chardev socket,id=store,path=/nbuild/run/store.socket -device vhost-user-fs-pci,chardev=store,tag=store' ;;
	# Objects that are links are in another file system than the rest, so numbers of inodes may meet.
	9p) store_device='-fsdev local,id=store,path=/nbuild/store,security_model=none,readonly=on,multidevs=remap -device virtio-9p-pci,fsdev=store,mount_tag=store' ;;
	esac
}

share_directory() { share_folder "shared-$1" "$1" "$3"; }

# share_folder SOCKET NAME ACCESS: its user is the only one there is here, so whatever user of the guest makes a file, it is
# that user's on the host.
share_folder() {
	devices="$devices -chardev socket,id=$1,path=/nbuild/run/$1.socket -device vhost-user-fs-pci,chardev=$1,tag=$2"
	set -- "$1" "/nbuild/shared/$2" "$3"
	everybody=squash-guest:0:0:4294967295
	if [ "$3" = ro ]; then
		share "$1" "$2" --sandbox=chroot --readonly
	else
		share "$1" "$2" --sandbox=chroot --translate-uid=$everybody --translate-gid=$everybody
	fi || fail "virtiofsd, which shares $2, cannot start"
}

# share NAME FOLDER OPTION...: starts a virtiofsd and waits until it listens, or ends, which is a failure.
share() {
	[ -z "$printing" ] || return 0
	socket=/nbuild/run/$1.socket source=$2
	shift 2
	/usr/libexec/virtiofsd --socket-path="$socket" --shared-dir="$source" "$@" --rlimit-nofile=0 --log-level=error </dev/null &
	daemon=$!
	tries=0
	until [ -S "$socket" ]; do
		kill -0 $daemon 2>/dev/null || return 1
		tries=$((tries + 1))
		[ $tries -lt 1000 ] || fail "virtiofsd, which shares $source, does not answer"
		$busybox usleep 10000
	done
}

# A /dev/kvm that is there may still not work: in a virtual machine without nesting, or for want of permission. An emulated
# processor could have virtualisation itself, for which each guest would load its KVM.
choose_accelerator() {
	accelerator='-accel tcg,thread=multi' processor=max,-svm,-la57,-smap wanted=${NBUILD_ACCEL-}
	# QEMU 10 finds the device behind an address by its number in a table, and another processor may have replaced that table
	# meanwhile, as it does while the kernel looks at its devices. About one emulated start in a hundred ended so, by an
	# assertion in msix_table_mmio_write or iotlb_to_section. What processors write to then are the registers of their
	# interrupt controllers. As x2APIC these have no addresses, and Linux has them so where interrupts are remapped.
	interrupts='-device intel-iommu,intremap=on,eim=on,dma-translation=off'
	case $wanted in
	tcg) return ;;
	kvm | '') ;;
	*) fail "NBUILD_ACCEL is '$wanted'; want kvm or tcg" ;;
	esac
	if [ ! -e /dev/kvm ]; then
		why='there is no /dev/kvm'
	elif ! $busybox grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then
		why='/dev/kvm is there, but the processor has no virtualisation'
	elif ! (: <>/dev/kvm) 2>/dev/null; then
		why='/dev/kvm cannot be opened'
	else
		# What looks well may fail nevertheless; then QEMU takes the next.
		accelerator="-accel kvm $accelerator" processor=max interrupts=''
		[ "$wanted" != kvm ] || accelerator='-accel kvm'
		return
	fi
	[ -z "$wanted" ] || fail "NBUILD_ACCEL is kvm, and $why"
	say "$why: the processor is emulated, which is slow"
}

# choose_memory ARGUMENT...: the memory is shared with virtiofsd, so its size stands in two places: what the user's -m
# says goes to both.
choose_memory() {
	memory=@memory@M
	previous=
	for argument; do
		if [ "$previous" = -m ]; then
			memory=${argument#size=}
			memory=${memory%%,*}
			case $memory in *[!0-9]*) ;; *) memory=${memory}M ;; esac
		fi
		previous=$argument
	done
}

# choose_display: the guest has its graphics card also when nobody can see it, so that it is the same machine.
choose_display() {
	display=none cards='' graphics=@graphics@
	[ $graphics = true ] || return 0
	cards='-device virtio-vga -device virtio-tablet-pci'
	if [ -n "${DISPLAY-}${WAYLAND_DISPLAY-}" ]; then
		display=sdl
		# Where neither works, SDL would take what nobody sees, without a word.
		export SDL_VIDEODRIVER="${SDL_VIDEODRIVER-x11,wayland}"
	else
		say 'virtualisation.graphics: neither DISPLAY nor WAYLAND_DISPLAY is set, so there is no window, only this console'
	fi
}

# run_qemu ARGUMENT...: until it ends.
run_qemu() {
	choose_parameters
	choose_kernel "$@"
	forwards=@forward_ports@
	# shellcheck disable=SC2086 # Of these texts each is several words.
	set -- /usr/bin/qemu-system-x86_64 -name @host@ -nodefaults -no-user-config $accelerator -cpu "$processor" \
		-machine q35,memory-backend=memory $interrupts -object "memory-backend-memfd,id=memory,size=$memory,share=on" -m "$memory" \
		-smp @cores@ -display "$display" -vga none $cards \
		-chardev stdio,id=console,mux=on,signal=off -serial chardev:console -mon chardev=console \
		$kernel ${append:+-append "$append"} \
		$store_device $devices \
		-drive "file=$(escape "$image"),if=none,id=disk,format=qcow2${ephemeral:+,snapshot=on}" -device virtio-blk-pci,drive=disk,serial=nbuild \
		-netdev "user,id=net0${forwards:+,$forwards}${QEMU_NET_OPTS:+,$QEMU_NET_OPTS}" -device virtio-net-pci,netdev=net0,romfile= \
		$login -device virtio-rng-pci "$@"
	[ -z "$printing" ] || { print_command "$@"; exit; }
	mkfifo_errors
	exec 3<&0
	"$@" <&3 2>/nbuild/run/errors 3<&- 9<&- &
	qemu=$!
	while :; do
		status=0
		wait $qemu || status=$?
		kill -0 $qemu 2>/dev/null || break
	done
	wait $reader || true
	exit "$status"
}

# print_command WORD...: as a shell reads them.
print_command() {
	separator=
	for word; do
		printf %s "$separator"
		separator=' '
		case $word in
		'' | *[!a-zA-Z0-9_./:,=@%+-]*) print_quoted "$word" ;;
		*) printf %s "$word" ;;
		esac
	done
	echo
}

print_quoted() {
	rest=$1
	printf "'"
	while :; do
		case $rest in
		*\'*) printf "%s'\\\\''" "${rest%%\'*}" ;;
		*) break ;;
		esac
		rest=${rest#*\'}
	done
	printf "%s'" "$rest"
}

# escape NAME: a comma in an option's value is written twice.
escape() {
	printf %s "$1" | $busybox sed 's/,/,,/g'
}

# choose_parameters: the kernel cuts off, without a word, what is more than 2047 bytes.
choose_parameters() {
	parameters=@params@
	parameters="$parameters nbuild.store=$shared nbuild.system=@system@ nbuild.disk=serial:nbuild $(speed_parameters)"
	more=@machine_params@
	[ -z "${SHARED_DIR-}" ] || more="$more systemd.mount-extra=@SHARED_DIR:/tmp/shared:virtiofs:rw"
	parameters="$parameters $grow $more ${QEMU_KERNEL_PARAMS-}"
}

# choose_kernel ARGUMENT...: QEMU starts the kernel itself, or the firmware does by way of the boot loader on the medium. Either way
# the kernel gets the same parameters. An emulated processor would need a second to decompress it, so QEMU starts it
# decompressed; a real one is as fast, and the kernel puts itself in a random place meanwhile. Without its image's own
# start the kernel isn't told of the screen's text mode, so what has a screen, also by the user's arguments, starts the image.
choose_kernel() {
	if [ -z "$medium" ]; then
		case "$accelerator $cards $*" in
		*kvm* | *[vV][gG][aA]*) kernel=@kernel@ ;;
		*) kernel=/nbuild/vmlinux ;;
		esac
		kernel="-kernel $kernel -initrd @initrd@" append=$parameters
		check_length "$parameters"
		return
	fi
	# GRUB puts that in front.
	check_length "BOOT_IMAGE=/boot/vmlinuz $parameters"
	hand_over_parameters
	[ -z "$printing" ] || say "the boot loader gives the kernel these parameters: $parameters"
	firmware=@firmware@
	kernel='-drive file=/nbuild/medium.iso,if=none,id=medium,format=raw,readonly=on -device ide-cd,drive=medium,bootindex=0'
	kernel="$kernel -smbios file=/nbuild/run/parameters" append=''
	[ "$firmware" = uefi ] || return 0
	# What the guest tells the firmware to remember is forgotten at its end: only the medium can be started anyway.
	$busybox cat /usr/share/OVMF/OVMF_VARS_4M.fd >/nbuild/run/variables
	kernel="$kernel -drive file=/usr/share/OVMF/OVMF_CODE_4M.fd,if=pflash,unit=0,format=raw,readonly=on"
	kernel="$kernel -drive file=/nbuild/run/variables,if=pflash,unit=1,format=raw"
}

check_length() {
	length=$(printf %s "$1" | $busybox wc -c)
	[ "$length" -le 2047 ] || fail "the kernel's parameters have $length bytes, and 2047 is the most: $1"
}

# hand_over_parameters: as a structure in the tables that a BIOS describes its machine with, which GRUB can read: type 200,
# 5 bytes long, number 0xfe00, and the number of its one string. Types from 128 on are for whoever wants one.
hand_over_parameters() {
	altered=$(printf %s "$parameters" | $busybox grep -o "[^ ]*[\\\"'][^ ]*" | $busybox tr '\n' ' ')
	[ -z "$altered" ] ||
		fail "the boot loader puts a backslash before each backslash and quote of the kernel's parameters; do without them: $altered"
	printf '\310\005\000\376\001%s\000\000' "$parameters" >/nbuild/run/parameters
}

# speed_parameters: none of them changes what a program in the guest sees. On a busy machine an emulated one may need more
# than systemd's 90 s until it knows its devices.
speed_parameters() {
	case $accelerator in
	*kvm*) ;;
	*) printf %s 'mitigations=off no_timer_check tsc=reliable rcupdate.rcu_expedited=1 cryptomgr.notests nokaslr ' \
		'systemd.default_device_timeout_sec=600 ' ;;
	esac
	echo random.trust_cpu=on 8250.nr_uarts=1 systemd.gpt_auto=0
}

# mkfifo_errors: reads what QEMU complains about, says it, and explains what the user can mend.
mkfifo_errors() {
	$busybox mkfifo /nbuild/run/errors
	while IFS= read -r line; do
		echo "$line" >&2
		case $line in
		*'Could not set up host forwarding rule'*) explain_port "${line##*rule }" ;;
		*'Could not initialize SDL'*)
			say "virtualisation.graphics: no window can be opened on DISPLAY=${DISPLAY-} WAYLAND_DISPLAY=${WAYLAND_DISPLAY-};" \
				"unset both to start without a window" ;;
		*'Could not open temporary file'*) say "--ephemeral keeps what is written in TMPDIR; set it to a folder that you may write to" ;;
		*'lock'*'Is another process using the image'*)
			say "a disk image is in use by another virtual machine; stop that one, or set NBUILD_DISK_IMAGE" ;;
		esac
	done </nbuild/run/errors &
	reader=$!
}

# explain_port RULE: as QEMU has it, 'tcp:127.0.0.1:80-:80' with the quotes.
explain_port() {
	rule=${1#\'}
	rule=${rule%\'*}
	case ,$forwards, in
	*",hostfwd=$rule,"*) where='virtualisation.forward_ports, as host_port' ;;
	*) where=QEMU_NET_OPTS ;;
	esac
	address=${rule%%-*}
	port=${address##*:}
	# These files have no second byte for a shell that reads them one by one.
	least=$($busybox cat /proc/sys/net/ipv4/ip_unprivileged_port_start)
	if [ "$port" -lt "$least" ]; then
		say "the port ${address#*:} is below $least, and those are for root alone, which the machine never is; choose another in $where"
	else
		say "the port ${address#*:} is taken by another program; choose another in $where"
	fi
}

# shellcheck source=scripts/run-vm-login.sh
. "${0%/*}/run-vm-login"
step=$1 store=$2 object=$3 folder=$4
shift 4
tools=@tools@
tools=$store/${tools##*/}
loader=$tools/usr/lib64/ld-linux-x86-64.so.2
libraries=$tools/usr/lib/x86_64-linux-gnu
busybox=$tools/usr/bin/busybox
medium=@medium@
"$step" "$@"
