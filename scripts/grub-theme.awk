# Reads a theme.txt of GRUB and prints what it names, a line each, with tabs between:
#   kind        image: a file; pixmaps: files that a * stands in for the parts of; font: the name of a font
#   line        where it is named
#   property    by which
#   value
# What can't be read ends the program with a line of the kind "wrong", whose value says why and whose property is "-".
#
# The format is that of GRUB's manual: "name: value" for the whole screen, and components, + type { name = value ... }, which
# may have components in them. Values are in quotes, in parentheses, or one word; for the screen, the rest of the line.
# Lines that begin with # are comments.
BEGIN {
	kinds["desktop-image"] = "image"
	kinds["file"] = kinds["center_bitmap"] = kinds["tick_bitmap"] = "image"
	pixmaps = "terminal-box menu_pixmap_style item_pixmap_style selected_item_pixmap_style scrollbar_frame scrollbar_thumb"
	for (i = split(pixmaps " bar_style highlight_style", names, " "); i > 0; i--) kinds[names[i]] = "pixmaps"
	fonts = "title-font message-font terminal-font item_font selected_item_font font"
	for (i = split(fonts, names, " "); i > 0; i--) kinds[names[i]] = "font"
}

{
	sub(/\r$/, "")
	text = text $0 "\n"
}

function wrong(why) {
	print "wrong\t" line "\t-\t" why
	exit
}

# take: removes n letters, and counts the lines they end.
function take(n, taken) {
	taken = substr(text, 1, n)
	text = substr(text, n + 1)
	line += gsub(/\n/, "\n", taken)
	return taken
}

function skip() {
	while (match(text, /^([ \t\n]+|#[^\n]*\n)/)) take(RLENGTH)
}

function skip_blanks() {
	if (match(text, /^[ \t]+/)) take(RLENGTH)
}

# name: the name of a property or of a component's type.
function name() {
	if (!match(text, /^[A-Za-z0-9_-]+/)) wrong("a name should be here, not " (text == "" ? "the end" : "\"" substr(text, 1, 1) "\""))
	return take(RLENGTH)
}

# value: that of a property. unquoted matches one that has neither quotes nor parentheses.
function value(unquoted) {
	if (text ~ /^"/) {
		if (!match(text, /^"[^"]*"/)) wrong("a quote is open to the end")
		return unwrapped(take(RLENGTH))
	}
	if (text ~ /^\(/) {
		if (!match(text, /^\([^)]*\)/)) wrong("a parenthesis is open to the end")
		return unwrapped(take(RLENGTH))
	}
	if (!match(text, unquoted)) wrong("a value should be here")
	return take(RLENGTH)
}

function unwrapped(s) {
	return substr(s, 2, length(s) - 2)
}

function property(mark, unquoted, start, key, v) {
	start = line
	key = name()
	skip_blanks()
	if (substr(text, 1, 1) != mark) wrong("there should be a \"" mark "\" after " key)
	take(1)
	skip_blanks()
	v = value(unquoted)
	sub(/[ \t]+$/, "", v)
	if (v ~ /[\t\n]/) {
		if (key in kinds) wrong(key " has a tab or a newline in its value")
	} else if (key in kinds && v != "") print kinds[key] "\t" start "\t" key "\t" v
}

END {
	line = 1
	depth = 0
	for (skip(); text != ""; skip()) {
		if (text ~ /^\+/) {
			take(1)
			skip()
			name()
			skip()
			if (text !~ /^\{/) wrong("there should be a { here")
			take(1)
			depth++
		} else if (text ~ /^\}/) {
			if (depth == 0) wrong("there is a } too many")
			take(1)
			depth--
		} else if (depth > 0) property("=", "^[^ \t\n}]+")
		else property(":", "^[^\n]*")
	}
	if (depth > 0) wrong("a { is open to the end")
}
