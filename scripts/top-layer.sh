#!/bin/sh
# Makes the top layer of a system: a squashfs of all that the configuration generates, and of what the store can't keep.
#
# An overlay shows the attributes of the top-most entry. The store knows neither owners nor modes, so the layer has every
# folder of the layers below it, every file of /etc, and every file with a special owner or mode.
#
# $packages is the package root, $owners its ownership manifest, $kernel and $tables are the layers between. Beside this
# script:
#   groups, users  accounts; accounts.awk says how
#   keys/USER      authorized keys of a user
#   tree/PATH      files with a text
#   texts          mode:user:group:path, a line for each of them
#   sources        mode:user:group:source:path, a line for each file or folder of the store; without a mode, a file has
#                  the one that fits
#   links          target:path, a symbolic link a line
#   enabled        units to start, masked: units to forbid; a unit a line
#   programs       store paths whose programs go to /usr/local/bin and sbin, a path a line
# The layer is $out.
#
# A process costs a millisecond, and all else here takes a tenth of a second: what there may be hundreds of is done by one
# process for all.
set -eu
: "${packages:?}" "${owners:?}" "${kernel:?}" "${tables:?}" "${out:?}"

layer=/build/layer
pseudo=/build/pseudo # mksquashfs' definitions of owners and modes; the last one of a path counts
tab='	'

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
		find "$below" -mindepth 1 -type d -printf '/%P\n'
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

# add_accounts: makes the file accounts with what became of the users.
add_accounts() {
	: >accounts
	[ -s users ] || [ -s groups ] || return 0
	: >>"$layer/etc/gshadow"
	awk -F: -v etc="$layer/etc/" -v day="$((SOURCE_DATE_EPOCH / 86400))" -f accounts.awk groups users >accounts ||
		fail "the accounts above cannot be added"
}

# number_owners: makes texts.pseudo, the definitions of the texts, and sources.numbered, where users and groups are numbers.
number_owners() {
	awk -F: -v etc="$layer/etc/" '
		function load(file, table,    line, fields) {
			while ((getline line < (etc file)) > 0) { split(line, fields, ":"); table[fields[1]] = fields[3] }
		}
		# number returns the id of a name; numbers stand for themselves.
		function number(noun, table, name) {
			if (name ~ /^[0-9]+$/) return name
			if (name in table) return table[name]
			print "top layer: file " path ": there is no " noun " " name > "/dev/stderr"
			faults++
		}
		BEGIN { load("passwd", users); load("group", groups) }
		{ start = length($1 $2 $3) + 4 + (FILENAME == "sources" ? length($4) + 1 : 0)
			path = substr($0, start); uid = number("user", users, $2); gid = number("group", groups, $3) }
		FILENAME == "sources" { print $1 ":" uid ":" gid ":" $4 ":" path > "sources.numbered"; next }
		{ gsub(/[ \t\\"]/, "\\\\&", path); print path, "m", $1, uid, gid > "texts.pseudo" }
		END { exit faults > 0 }' texts sources
}

# check_folders PATH: a folder of the layer where packages have a link would hide all that the link leads to.
check_folders() {
	folder=${1%/*}
	[ "$folder" != "$checked" ] || return 0
	checked=$folder
	while [ -n "$folder" ]; do
		[ ! -h "$packages$folder" ] || fail "file $1: $folder is a link in the system; use what it leads to"
		folder=${folder%/*}
	done
}

# check_file PATH: a file where packages have a folder would hide all that is in it.
check_file() {
	check_folders "$1"
	[ ! -d "$packages$1" ] || [ -h "$packages$1" ] || fail "file $1: the packages have a folder there"
}

# What the configuration says about a file comes after what is said about the home that it is in.
put_sources() {
	earlier=$pseudo
	pseudo=/build/sources.pseudo
	while IFS=: read -r mode uid gid source path; do
		put "$mode" "$uid" "$gid" "$source" "$path"
	done <sources.numbered
	pseudo=$earlier
}

# put MODE UID GID SOURCE PATH: a file or a folder of the store.
put() {
	check_folders "$5"
	[ -d "$layer${5%/*}" ] || mkdir -p "$layer${5%/*}"
	if [ -d "$4" ]; then
		cp -RT "$4" "$layer$5" || fail "file $5: cannot be put there"
		chmod -R u+w "$layer$5"
		own_tree "$5" "$2" "$3"
	else
		check_file "$5"
		cp --remove-destination -T "$4" "$layer$5"
		mode=$1
		[ -n "$mode" ] || if [ -x "$4" ]; then mode=755; else mode=644; fi
		set_owner "$5" "$mode" "$2" "$3"
	fi
}

# own_tree PATH UID GID: gives a folder and all in it to a user, modes as they are.
own_tree() {
	find "$layer$1" -printf '/%P\t%m\n' | while IFS="$tab" read -r name mode; do
		set_owner "$1${name%/}" "$mode" "$2" "$3"
	done
}

put_texts() {
	[ -s texts ] || return 0
	while IFS=: read -r _ _ _ path; do
		check_file "$path"
	done <texts
	cp -RT --remove-destination tree "$layer"
}

put_links() {
	while IFS=: read -r target path; do
		check_file "$path"
		[ -d "$layer${path%/*}" ] || mkdir -p "$layer${path%/*}"
		ln -sfT "$target" "$layer$path" || fail "file $path: there is a folder"
	done <links
}

# make_homes: as adduser does it; the homes of services are empty. What packages have stays as it is, and of users who
# share a home it is the first one's.
make_homes() {
	: >homes
	made=:
	while IFS=: read -r _ uid gid home make _; do
		if [ "$make" = no ] || [ -e "$packages$home" ]; then continue; fi
		case $made in *:"$home":*) continue ;; esac
		made=$made$home:
		check_folders "$home"
		mkdir -p "$layer$home"
		echo "$uid:$gid:$home" >>homes
		[ "$make" = person ] || continue
		for skeleton in "$packages/etc/skel" tree/etc/skel; do
			[ ! -d "$skeleton" ] || cp -RP "$skeleton/." "$layer$home"
		done
		chmod -R u+w "$layer$home"
	done <accounts
}

# own_homes: what is in a home is its owner's, what the configuration put there too if it says nothing else. A home in
# another one comes after it.
own_homes() {
	sort -t: -k3 -o homes homes
	while IFS=: read -r uid gid home; do
		chmod 700 "$layer$home"
		own_tree "$home" "$uid" "$gid"
	done <homes
	while IFS=: read -r name uid gid home _; do
		[ ! -e "keys/$name" ] || put_keys "$name" "$uid" "$gid" "$home"
	done <accounts
}

# put_keys NAME UID GID HOME
put_keys() {
	[ -d "$packages$4" ] || [ -d "$layer$4" ] || fail "user $1: the home $4 is not there, and so there is no place for authorized keys"
	check_folders "$4/.ssh/authorized_keys"
	mkdir -p "$layer$4/.ssh"
	cp --remove-destination "keys/$1" "$layer$4/.ssh/authorized_keys"
	set_owner "$4/.ssh" 700 "$2" "$3"
	set_owner "$4/.ssh/authorized_keys" 600 "$2" "$3"
}

# find_links: the links of units and programs. mksquashfs makes them; what is in their places must go before.
find_links() {
	awk -v layer="$layer" -v packages="$packages" -f units.awk enabled >symlinks || fail "the units above cannot be started"
	while read -r unit; do
		printf '/dev/null\t/etc/systemd/system/%s\n' "$unit"
	done <masked >>symlinks
	while read -r object; do
		for file in "$object"/bin/* "$object"/sbin/*; do
			[ ! -e "$file" ] && [ ! -h "$file" ] || printf '%s\t/usr/local%s\n' "$file" "${file#"$object"}"
		done
	done <programs >>symlinks
	sed "s,^[^$tab]*$tab,$layer," symlinks | tr '\n' '\0' | xargs -0r rm -f --
}

# check_shells: nobody can log in with a shell that isn't there.
check_shells() {
	while IFS=: read -r name _ _ _ _ shell; do
		[ -e "$packages$shell" ] || [ -h "$packages$shell" ] || [ -e "$layer$shell" ] || [ -h "$layer$shell" ] ||
			grep -q "$tab$shell\$" symlinks || fail "user $name: there is no program $shell in the system; add the package that has it"
	done <accounts
}

# define: the last word on a path counts, as the configuration's comes after the packages'; mksquashfs would take the
# first. What is not in the layer is a folder, which has to be made (d) before it can have a mode (m). Links need folders.
define() {
	find "$layer" -mindepth 1 -printf '/%P\n' >existing
	awk 'FILENAME == "existing" { gsub(/[ \t\\"]/, "\\\\&"); there[$0]; next }
		FILENAME == "symlinks" {
			target = path = $0; sub(/\t.*/, "", target); sub(/[^\t]*\t/, "", path); gsub(/[ \t\\"]/, "\\\\&", path)
			if (!(path in link)) links[++m] = path
			link[path] = target
			while (sub(/\/[^\/]*$/, "", path) && path != "" && !(path in there) && !(path in owner)) { order[++n] = path; owner[path] = "755 0 0" }
			next }
		{ path = $0; sub(/ m [0-7]+ [0-9]+ [0-9]+$/, "", path) }
		!(path in owner) { order[++n] = path }
		{ owner[path] = substr($0, length(path) + 4) }
		END {
			for (i = 1; i <= n; i++) if (!(order[i] in link)) print order[i], order[i] in there ? "m" : "d", owner[order[i]]
			for (i = 1; i <= m; i++) print links[i], "s 777 0 0", link[links[i]]
		}' existing "$pseudo" sources.pseudo texts.pseudo symlinks >definitions
}

mkdir "$layer"
: >"$pseudo"
: >sources.numbered
: >sources.pseudo
: >texts.pseudo
checked=
name_folders
copy_etc
copy_special
add_accounts
number_owners
make_homes
put_sources
put_texts
put_links
own_homes
find_links
check_shells
define
mksquashfs "$layer" "$out" -quiet -no-progress -comp zstd -Xcompression-level 3 -no-exports -no-xattrs \
	-processors "$NBUILD_CORES" -all-root -pseudo-override -pf definitions
