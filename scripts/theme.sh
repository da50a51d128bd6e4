#!/bin/sh
# Makes a boot theme, $out, of what an archive has: the files with the paths in them made their own, all that they name
# being there. The caller's variables:
#   archive  the unpacked archive
#   kind     bootsplash, grub or plymouth
#   name     what the theme is called
#   path     the theme's folder in the archive; when it is empty, the only one that looks like a theme's
#
# What is made, by kind:
#   bootsplash  THEME/RESOLUTION.cfg and the other files of THEME, and a link, default, to THEME
#   grub        theme.txt and what is beside it
#   plymouth    NAME/NAME.plymouth and what is beside it, and the folders of themes whose files this one uses
set -euf
: "${archive:?}" "${kind:?}" "${name:?}" "${out:?}" "${path?}"

tab=$(printf '\t')

fail() {
	echo "theme $name: $*" >&2
	exit 1
}

# listed: the lines of stdin as "a, b and c", or the first ones of many.
listed() {
	sort | awk '{ l[NR] = $0 }
		END {
			if (NR == 0) printf "none"
			n = NR > 8 ? 8 : NR
			for (i = 1; i <= n; i++) printf "%s%s", (i == 1 ? "" : i == NR ? " and " : ", "), l[i]
			if (NR > n) printf " and %d more", NR - n
		}'
}

# folder: the theme's folder. $1 says by which files, relative to the folder, it is known, in words; the other arguments are
# what find finds these files by. depth is how many folders up from such a file the theme's is.
folder() {
	what=$1
	shift
	if [ -n "$path" ]; then
		[ -d "$archive/$path" ] || fail "there is no folder $path in the archive"
		cd "$archive/$path"
		find . -mindepth "$depth" -maxdepth "$depth" "$@" -print | grep -q . || fail "the folder $path has no $what"
		folder=$archive/$path
		return
	fi
	cd "$archive"
	find . "$@" -print | sed -e 's,^\./,,' >/build/marks
	for _ in $(seq "$depth"); do
		sed -e 's,/\{0\,1\}[^/]*$,,' /build/marks >/build/above
		mv /build/above /build/marks
	done
	sort -u /build/marks >/build/folders
	case $(wc -l </build/folders) in
	0) fail "there is no $what in the archive" ;;
	1) folder=$archive/$(cat /build/folders) ;;
	*) fail "there are several themes in the archive: $(sed -e 's,^$,.,' /build/folders | listed); say which by path" ;;
	esac
	folder=${folder%/}
}

# within: whether a file is in the archive, and not one of the sandbox's, to which an absolute link leads.
within() {
	case $(readlink -e "$1") in
	"$(readlink -e "$archive")"/*) ;;
	*) return 1 ;;
	esac
}

# take: copies a folder, with what links in it lead to, as they may lead out of it.
take() {
	mkdir -p "$2"
	find -L "$1" -xtype l >/build/links # Those in folders that links lead to, too.
	while IFS= read -r link; do
		within "$link" || fail "${link#"$archive"/} is a link to $(readlink "$link"), which is not in the archive"
	done </build/links
	cp -RL "$1/." "$2" || fail "the folder ${1#"$archive"/} can't be copied"
	chmod -R u+w "$2"
}

# A bootsplash theme, as those of 2005 to 2009: its configuration is config/bootsplash-RESOLUTION.cfg in the theme's folder,
# and has absolute paths.
bootsplash() {
	depth=2
	folder config/bootsplash-RESOLUTION.cfg -regex '.*/config/bootsplash-[^/]+\.cfg' '(' -type f -o -type l ')'
	theme=${folder##*/}
	[ "$folder" != "$archive" ] || theme=$name
	take "$folder" "$out/$theme"
	[ "$theme" = default ] || ln -s "$theme" "$out/default"
	cd "$out/$theme/config"
	set +f
	for file in *.cfg; do
		sed -e "s|/etc/bootsplash/themes|$out|g" "$file" >/build/rewritten
		there "$theme/config/$file" </build/rewritten
		case $file in
		bootsplash-?*.cfg)
			rm "$file"
			file=../${file#bootsplash-}
			[ ! -e "$file" ] || fail "there is both ${file#../} and config/bootsplash-${file#../}"
			;;
		esac
		cat /build/rewritten >"$file"
	done
	set -f
	cd ..
	rmdir --ignore-fail-on-non-empty config
}

# there: whether the files of the theme that a configuration, $1, names are there.
there() {
	grep -no "$out/[^ $tab\"';,]*" >/build/named || [ $? = 1 ]
	while IFS=: read -r line used; do
		[ -e "$used" ] || fail "$1:$line: /etc/bootsplash/themes${used#"$out"} is not in the archive"
	done </build/named
}

# A theme of GRUB: all paths are relative, and just have to be there. Where they aren't, GRUB shows its plain menu.
grub() {
	depth=1
	folder theme.txt -name theme.txt '(' -type f -o -type l ')'
	take "$folder" "$out"
	cd "$out"
	[ "$(wc -c <theme.txt)" -le 262144 ] || fail "theme.txt is larger than 256 KiB"
	find . -name '*.pf2' | while read -r file; do font_name "$file"; done >/build/fonts
	awk -f /build/grub-theme.awk theme.txt >/build/named
	while IFS=$tab read -r what line property value; do
		at="theme.txt:$line: $property"
		case $what in
		wrong) fail "theme.txt:$line: $value" ;;
		image) image "$at" "$value" ;;
		pixmaps) pixmaps "$at" "$value" ;;
		font)
			# GRUB's own font is always there.
			case $value in
			Unifont\ * | unifont\ *) continue ;;
			esac
			grep -qxF -e "$value" /build/fonts ||
				fail "$at is \"$value\", and the theme has no such font; grub-mkfont makes a .pf2 of a font (it has $(listed </build/fonts))"
			;;
		esac
	done </build/named
}

# font_name: what a font of GRUB calls itself. Its first section is the format's name, its second this one.
font_name() {
	[ "$(tail -c +9 "$1" | head -c 8)" = PFF2NAME ] || fail "${1#./} is not a font of GRUB"
	length=$(od -An -tu1 -j 19 -N 1 "$1" | tr -d ' ')
	tail -c +21 "$1" | head -c $((length - 1))
	echo
}

inside() {
	case /$2/ in
	//* | /\(* | */../*) fail "$1 is \"$2\", which is not in the theme" ;;
	esac
}

image() {
	inside "$1" "$2"
	[ -f "$2" ] || fail "$1 is \"$2\", and there is no such file"
	is_image "$1" "$2"
}

is_image() {
	case $2 in
	*.png | *.PNG | *.jpg | *.JPG | *.jpeg | *.JPEG | *.tga | *.TGA) ;;
	*) fail "$1 is \"$2\"; GRUB shows .png, .jpg, .jpeg and .tga" ;;
	esac
}

# pixmaps: a box is up to nine images, whose names have a part of nw, n, ne and so on where the * is.
pixmaps() {
	inside "$1" "$2"
	is_image "$1" "$2"
	case $2 in
	*\**\** | *\**/*) fail "$1 is \"$2\"; want one *, in the name of the file" ;;
	*\**) ;;
	*) fail "$1 is \"$2\"; want a * where the names of the parts have nw, n, ne, e, se, s, sw, w or c" ;;
	esac
	for part in c n ne e se s sw w nw; do
		[ ! -f "${2%%\**}$part${2#*\*}" ] || return 0
	done
	fail "$1 is \"$2\", and there is none of its files"
}

# A theme of Plymouth: NAME.plymouth has absolute paths into the folder of themes. It becomes a theme called $name, as
# Plymouth finds themes by the names of their folders.
plymouth() {
	depth=1
	folder 'file *.plymouth' -name '*.plymouth' '(' -type f -o -type l ')'
	set +f
	set -- "$folder"/*.plymouth
	set -f
	[ $# -eq 1 ] || fail "the folder ${folder#"$archive"/} has $# files *.plymouth, and a theme has one"
	original=${1##*/}
	original=${original%.plymouth}
	take "$folder" "$out/$name"
	cd "$out/$name"
	rm "$original.plymouth"
	base=${folder##*/} # Some are unpacked to a folder with a version.
	export original base name out
	awk "$plymouth_paths" "$1" >"$name.plymouth"
	grep -q "^ModuleName[ $tab]*=[ $tab]*[^ $tab]" "$name.plymouth" ||
		fail "$original.plymouth has no ModuleName, which says what draws the theme"
	while IFS=$tab read -r line key written other file; do
		beside "$other"
		case $file in
		- | */../* | */..) ;;
		*) [ ! -e "$file" ] || continue ;;
		esac
		fail "$original.plymouth:$line: $key is $written, which is not in the archive"
	done </build/named
}

# plymouth_paths rewrites the paths of a theme's file, and puts each into /build/named, with tabs between: the line, the
# key, the path as it was, the theme that it is of, and what it became; "-" where it is none of a theme's. Plymouth's own
# themes have "//" in them.
# shellcheck disable=SC2016 # the dollars are awk's
plymouth_paths='
	BEGIN { printf "" >"/build/named" }
	{ sub(/\r$/, "") }
	/^(ImageDir|ScriptFile)[ \t]*=/ || /^[A-Za-z]+[ \t]*=[ \t]*\// {
		match($0, /^[A-Za-z]+/)
		key = substr($0, 1, RLENGTH)
		written = $0
		sub(/^[^=]*=[ \t]*/, "", written)
		sub(/[ \t]+$/, "", written)
		path = written
		gsub(/\/\/+/, "/", path)
		theme = file = "-"
		if (match(path, /^\/.*plymouth\/themes\//)) {
			theme = path = substr(path, RLENGTH + 1)
			sub(/\/.*/, "", theme)
			if (theme == ENVIRON["original"] || theme == ENVIRON["base"]) path = ENVIRON["name"] substr(path, length(theme) + 1)
			file = ENVIRON["out"] "/" path
		}
		print NR "\t" key "\t" written "\t" theme "\t" file >"/build/named"
		$0 = key "=" file
	}
	{ print }'

# beside: takes the folder of another theme, one that the theme names a file of, if it is there.
beside() {
	case $1 in
	"$original" | "$base" | - | . | .. | "") return 0 ;;
	"$name") fail "it uses files of the theme $1, which is another; give this one another name" ;;
	esac
	[ "$folder" != "$archive" ] && [ -d "${folder%/*}/$1" ] && [ ! -d "$out/$1" ] || return 0
	take "${folder%/*}/$1" "$out/$1"
	find "$out/$1" -name '*.plymouth' -delete # It is no theme by itself here.
}

[ -d "$archive" ] || fail 'it is made of a file whose name is no archive'"'"'s; say what it is: unpack(..., format = "tar")'
case $kind in
bootsplash | grub | plymouth) "$kind" ;;
*) fail "there is no kind $kind" ;;
esac
