# Adds users to the account files in the folder etc (a variable), as useradd would. day is the day of the last change of
# passwords. Each line is name:uid:gid:gecos:home:shell:password hash:groups.

function complain(what) {
	print "user " $1 ": " what > "/dev/stderr"
	faults++
}

# load reads FILE's lines into table by name, and remembers their order.
function load(file, table,    line, name) {
	while ((getline line < (etc file)) > 0) {
		name = line
		sub(/:.*/, "", name)
		table[name] = line
		order[file, ++count[file]] = name
	}
	close(etc file)
}

function add(file, table, name, line) {
	if (!(name in table)) order[file, ++count[file]] = name
	table[name] = line
}

function save(file, table,    i) {
	for (i = 1; i <= count[file]; i++) print table[order[file, i]] > (etc file)
	close(etc file)
}

# id returns the third field of an entry: uid or gid.
function id(line,    fields) {
	split(line, fields, ":")
	return fields[3]
}

function join_group(name,    separator) {
	if (!(name in group)) {
		complain("there is no group " name)
		return
	}
	separator = group[name] ~ /:$/ ? "" : ","
	group[name] = group[name] separator $1
	if (name in gshadow) {
		separator = gshadow[name] ~ /:$/ ? "" : ","
		gshadow[name] = gshadow[name] separator $1
	}
}

BEGIN {
	load("passwd", passwd); load("group", group); load("shadow", shadow); load("gshadow", gshadow)
	for (name in passwd) uids[id(passwd[name])] = name
	for (name in group) gids[id(group[name])] = name
}

$1 == "root" {
	if ($7 != "") sub(/:[^:]*/, ":" $7, shadow["root"])
	next
}

$1 in passwd { complain("a package has a user of that name"); next }
$2 in uids { complain("uid " $2 " is " uids[$2] "'s"); next }

{
	uids[$2] = $1
	add("passwd", passwd, $1, $1 ":x:" $2 ":" $3 ":" $4 ":" $5 ":" $6)
	add("shadow", shadow, $1, $1 ":" ($7 == "" ? "!" : $7) ":" day ":0:99999:7:::")
	if (!($3 in gids)) {
		gids[$3] = $1
		add("group", group, $1, $1 ":x:" $3 ":")
		add("gshadow", gshadow, $1, $1 ":!::")
	}
	n = split($8, names, ",")
	for (i = 1; i <= n; i++) join_group(names[i])
}

END {
	if (faults) exit 1
	save("passwd", passwd); save("group", group); save("shadow", shadow); save("gshadow", gshadow)
}
