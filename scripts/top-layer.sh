#!/bin/sh
# Makes the top layer of a system: a squashfs of all that the configuration generates, and of what the store can't keep.
#
# An overlay shows the attributes of the top-most entry. The store knows neither owners nor modes, so the layer has every
# folder of the layers below it, every file of /etc, and every file with a special owner or mode.
#
# $packages is the package root, $owners its ownership manifest, $kernel and $tables are the layers between. Beside this
# script:
#   users     name:uid:gid:gecos:home:shell:password hash:groups, a user a line; of root only the password is used
#   keys/USER authorized keys of a user
#   files     mode:user:group:source:path, a file a line; the source is below /build, or a store path
#   links     target:path, a symbolic link a line
#   enabled   units to start, masked: units to forbid; a unit a line
#   programs  store paths whose programs go to /usr/local/bin and sbin, a path a line
# The layer is $out.
set -eu
: "${packages:?}" "${owners:?}" "${kernel:?}" "${tables:?}" "${out:?}"

layer=/build/layer
pseudo=/build/pseudo # mksquashfs' definitions of owners and modes

fail() {
	echo "top layer: $*" >&2
	exit 1
}

# set_owner PATH MODE UID GID: of a path in the layer.
set_owner() {
	printf '%s m %s %s %s\n' "$(escape "$1")" "$2" "$3" "$4" >>"$pseudo"
}

# mksquashfs takes a backslash before what would end a name. Most names need no process for that.
escape() {
	case $1 in
	*[[:space:]\"\\]*) printf %s "$1" | sed 's/[[:space:]"\\]/\\&/g' ;;
	*) printf %s "$1" ;;
	esac
}

# Making a thousand folders takes longer than all the rest; mksquashfs makes those that stay empty by definition.
name_folders() {
	for below in "$packages" "$kernel" "$tables"; do
		find "$below" -type d -printf '/%P\n'
	done | awk '{ gsub(/[ \t\\"]/, "\\\\&"); print $0, "m 755 0 0" }' >>"$pseudo"
	mkdir -p "$layer/etc" "$layer/nbuild/store"
}

copy_etc() {
	cp -RP "$packages/etc/." "$layer/etc"
	chmod -R u+w "$layer/etc"
}

# Entries of the manifest are in the form <f|d|l> <mode> <uid> <gid> <path>, a path in quotes when it is unusual.
copy_special() {
	! grep -q '^[^/]*"' "$owners" || fail "a file with a special owner has an unusual name: $(grep -m1 '"' "$owners")"
	# What nobody may write is so in the store already, as udev's hardware index of 12 MB.
	grep -v '^f \(444\|555\) 0 0 /\([^e]\|e[^t]\)' "$owners" >entries || true
	sed -n 's/^[fl] [^/]*\///p' entries >special
	# cp would make the folders as they are in the store: not to be written to.
	sed 's/[^/]*$//; s/^$/./' special | sort -u | (cd "$layer" && tr '\n' '\0' | xargs -0r mkdir -p --)
	(cd "$packages" && tr '\n' '\0' </build/special | xargs -0r cp -P --parents --remove-destination -t "$layer")
	awk '{ path = $0; sub(/^[^\/]*/, "", path); gsub(/[ \t\\"]/, "\\\\&", path)
		print path, "m", $1 == "l" ? "777" : $2, $3, $4 }' entries >>"$pseudo"
	chmod -R u+w "$layer"
}

# put MODE UID GID SOURCE PATH: a file or a folder of the configuration.
put() {
	[ -d "$layer${5%/*}" ] || mkdir -p "$layer${5%/*}"
	if [ -d "$4" ]; then
		cp -RT "$4" "$layer$5"
		chmod -R u+w "$layer$5"
		own_tree "$5" "$2" "$3"
	else
		cp --remove-destination -T "$4" "$layer$5"
		set_owner "$5" "$1" "$2" "$3"
	fi
}

# own_tree PATH UID GID: gives a folder and all in it to a user, modes as they are.
own_tree() {
	find "$layer$1" -printf '/%P\t%m\n' | while IFS='	' read -r name mode; do
		set_owner "$1${name%/}" "$mode" "$2" "$3"
	done
}

# number_of FILE NAME: the id that etc/passwd or etc/group has for a name; numbers stand for themselves.
number_of() {
	case $2 in
	root) echo 0 ;;
	*[!0-9]*) awk -F: -v name="$2" '$1 == name { print $3; found = 1; exit } END { exit !found }' "$layer/etc/$1" ;;
	*) echo "$2" ;;
	esac
}

add_users() {
	[ -s users ] || return 0
	: >>"$layer/etc/gshadow"
	awk -F: -v etc="$layer/etc/" -v day="$((SOURCE_DATE_EPOCH / 86400))" -f add-users.awk users ||
		fail "the users above cannot be added"
	while IFS=: read -r name uid gid _ home _; do
		[ "$name" = root ] || make_home "$home" "$uid" "$gid"
		[ ! -e "keys/$name" ] || put_keys "$name" "$uid" "$gid" "$home"
	done <users
}

# make_home HOME UID GID: as adduser makes it.
make_home() {
	[ ! -e "$layer$1" ] || return 0
	mkdir -p "$layer$1"
	[ ! -d "$packages/etc/skel" ] || cp -RP "$packages/etc/skel/." "$layer$1"
	chmod -R u+w "$layer$1"
	chmod 700 "$layer$1"
	own_tree "$1" "$2" "$3"
}

put_keys() {
	mkdir -p "$layer$4/.ssh"
	cp "keys/$1" "$layer$4/.ssh/authorized_keys"
	set_owner "$4/.ssh" 700 "$2" "$3"
	set_owner "$4/.ssh/authorized_keys" 600 "$2" "$3"
}

put_files() {
	while IFS=: read -r mode user group source path; do
		uid=$(number_of passwd "$user") || fail "file $path: there is no user $user"
		gid=$(number_of group "$group") || fail "file $path: there is no group $group"
		put "$mode" "$uid" "$gid" "$source" "$path"
	done <files
}

put_links() {
	while IFS=: read -r target path; do
		mkdir -p "$layer${path%/*}"
		ln -sfn "$target" "$layer$path"
	done <links
}

# find_unit NAME: where a unit's file is. Of an instance name@x.service that is the template's.
find_unit() {
	template=$(printf %s "$1" | sed 's/@.*\././; t at; b; : at; s/\.\([^.]*\)$/@.\1/')
	for folder in "$layer/etc" "$packages/etc" "$packages/usr/lib"; do
		for name in "$1" "$template"; do
			[ ! -f "$folder/systemd/system/$name" ] || { echo "$folder/systemd/system/$name"; return; }
		done
	done
	return 1
}

# enable_unit NAME: makes the links that "systemctl enable" would make for the unit's [Install] section.
enable_unit() {
	file=$(find_unit "$1") || fail "unit $1: there is no such unit in the system"
	target=${file#"$layer"}
	target=${target#"$packages"}
	awk -F= '/^\[/ { inside = $0 == "[Install]" }
		inside && $1 ~ /^(WantedBy|RequiredBy|UpheldBy|Alias|Also)$/ { n = split($2, names, " "); for (i = 1; i <= n; i++) print $1, names[i] }' \
		"$file" >"install.$1"
	while read -r kind name; do
		case $kind in
		WantedBy) link_unit "$name.wants/$1" ;;
		RequiredBy) link_unit "$name.requires/$1" ;;
		UpheldBy) link_unit "$name.upholds/$1" ;;
		Alias) link_unit "$name" ;;
		Also) [ -e "install.$name" ] || echo "$name" >>also ;;
		esac
	done <"install.$1"
}

link_unit() {
	mkdir -p "$layer/etc/systemd/system/${1%/*}"
	ln -sfn "$target" "$layer/etc/systemd/system/$1"
}

enable_units() {
	while read -r unit; do
		enable_unit "$unit"
	done <enabled
	while [ -s also ]; do
		mv also enabled
		while read -r unit; do
			[ -e "install.$unit" ] || enable_unit "$unit"
		done <enabled
		rm enabled
	done
}

mask_units() {
	while read -r unit; do
		ln -sfn /dev/null "$layer/etc/systemd/system/$unit"
	done <masked
}

link_programs() {
	while read -r object; do
		for folder in bin sbin; do
			[ -d "$object/$folder" ] || continue
			mkdir -p "$layer/usr/local/$folder"
			ln -sfn "$object/$folder"/* "$layer/usr/local/$folder/"
		done
	done <programs
}

# define: the last word on a path counts, as the configuration's comes after the packages'; mksquashfs would take the
# first. What is not in the layer is a folder, which has to be made (d) before it can have a mode (m).
define() {
	find "$layer" -printf '/%P\n' >existing
	awk 'FILENAME == "existing" { gsub(/[ \t\\"]/, "\\\\&"); there[$0]; next }
		{ path = $0; sub(/ m [0-7]+ [0-9]+ [0-9]+$/, "", path) }
		!(path in owner) { order[++n] = path }
		{ owner[path] = substr($0, length(path) + 4) }
		END {
			for (i = 1; i <= n; i++) print order[i], order[i] in there ? "m" : "d", owner[order[i]]
		}' existing "$pseudo" >definitions
}

mkdir "$layer"
: >"$pseudo"
name_folders
copy_etc
copy_special
add_users
put_files
put_links
enable_units
mask_units
link_programs
define
mksquashfs "$layer" "$out" -quiet -no-progress -comp zstd -Xcompression-level 3 -no-exports -no-xattrs \
	-processors "$NBUILD_CORES" -all-root -pseudo-override -pf definitions
