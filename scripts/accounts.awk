# Adds groups and users to the account files in the folder etc (a variable), as groupadd and useradd would. day is the day
# of the last change of passwords. It reads two tables:
#
#   groups  name:gid:fixed:members
#   users   name:person or service:uid:fixed:group:full name:home:shell:new or always:password hash:groups
#
# The third and fourth field say "fixed" of a number that was chosen; another is only proposed, for an account that no
# package has. Empty fields stand for what is usual. Who is in no package gets a home if "new" is said, everybody if
# "always" is.
#
# What it prints is a line for each user, name:uid:gid:home:how:shell, where how is the kind of home to be made, or "no".

function complain(who, what) {
	print who ": " what > "/dev/stderr"
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

function field(line, n,    fields) {
	split(line, fields, ":")
	return fields[n]
}

# with returns a line of a table with another n-th field.
function with(line, n, value,    fields, i, count, result) {
	count = split(line, fields, ":")
	fields[n] = value
	result = fields[1]
	for (i = 2; i <= count; i++) result = result ":" fields[i]
	return result
}

function add_group(name, gid) {
	gids[gid] = name
	add("group", group, name, name ":x:" gid ":")
	add("gshadow", gshadow, name, name ":!::")
}

# join puts a user into the list that a line of group or gshadow ends with.
function join(line, user,    members) {
	members = line
	sub(/.*:/, "", members)
	if (index("," members ",", "," user ",")) return line
	return line (members == "" ? "" : ",") user
}

function join_group(who, name, user) {
	if (!(name in group)) {
		complain(who, "there is no group " name)
		return
	}
	group[name] = join(group[name], user)
	if (name in gshadow) gshadow[name] = join(gshadow[name], user)
}

function chosen(what, fixed) { return fixed ? "choose another " what : "choose the " what }

BEGIN {
	load("passwd", passwd); load("group", group); load("shadow", shadow); load("gshadow", gshadow)
	for (name in passwd) uids[field(passwd[name], 3)] = name
	for (name in group) gids[field(group[name], 3)] = name
}

FILENAME == "groups" {
	declared[$1]
	members[$1] = $4
	group_order[++group_count] = $1
	if ($1 in group) {
		if ($3 == "fixed" && $2 != field(group[$1], 3))
			complain("group " $1, "gid " $2 ": the group that a package has of that name has " field(group[$1], 3) "; leave it out")
	} else if ($2 in gids) {
		complain("group " $1, "gid " $2 " is that of " gids[$2] "; " chosen("gid", $3 == "fixed"))
	} else {
		add_group($1, $2)
	}
	next
}

{ who = "user " $1; memberships[$1] = $11; user_order[++user_count] = $1 }

# What a package says of its account, its files rely on.
$1 in passwd {
	split(passwd[$1], old, ":")
	if ($4 == "fixed" && $3 != old[3]) complain(who, "uid " $3 ": the account that a package has of that name has " old[3] "; leave it out")
	if ($5 != "" && field(group[$5], 3) != old[4]) complain(who, "group " $5 ": the account that a package has of that name has gid " old[4] "; leave it out")
	if ($7 != "" && $7 != old[6]) complain(who, "home " $7 ": the account that a package has of that name has " old[6] "; leave it out")
	if ($6 != "") passwd[$1] = with(passwd[$1], 5, $6)
	if ($8 != "") passwd[$1] = with(passwd[$1], 7, $8)
	if ($10 != "") shadow[$1] = with(shadow[$1], 2, $10)
	make[$1] = $9 == "always" ? "service" : "no"
	next
}

$3 in uids { complain(who, "uid " $3 " is that of " uids[$3] "; " chosen("uid", $4 == "fixed")); next }

{
	primary = $5 == "" ? $1 : $5
	if ($5 == "" && !($1 in group)) {
		if ($3 in gids) complain(who, "gid " $3 " is that of " gids[$3] "; choose another uid, or a group")
		else add_group($1, $3)
	} else if ($5 == "" && !($1 in declared)) {
		complain(who, "a package has a group of that name; choose the group that is to be the user's first")
		next
	} else if (!(primary in group)) {
		complain(who, "there is no group " primary)
		next
	}
	uids[$3] = $1
	home = $7 != "" ? $7 : $2 == "person" ? "/home/" $1 : "/nonexistent"
	shell = $8 != "" ? $8 : $2 == "person" ? "/bin/bash" : "/usr/sbin/nologin"
	add("passwd", passwd, $1, $1 ":x:" $3 ":" field(group[primary], 3) ":" $6 ":" home ":" shell)
	add("shadow", shadow, $1, $1 ":" ($10 == "" ? "!" : $10) ":" day ":0:99999:7:::")
	make[$1] = $9 == "" || home == "/nonexistent" ? "no" : $2
}

END {
	for (i = 1; i <= group_count; i++) {
		n = split(members[group_order[i]], names, ",")
		for (j = 1; j <= n; j++) {
			if (names[j] in passwd) join_group("group " group_order[i], group_order[i], names[j])
			else if (!(names[j] in memberships)) complain("group " group_order[i], "there is no user " names[j])
		}
	}
	for (i = 1; i <= user_count; i++) {
		n = split(memberships[user_order[i]], names, ",")
		for (j = 1; j <= n; j++) join_group("user " user_order[i], names[j], user_order[i])
	}
	if (faults) exit 1
	save("passwd", passwd); save("group", group); save("shadow", shadow); save("gshadow", gshadow)
	for (i = 1; i <= user_count; i++) {
		split(passwd[user_order[i]], fields, ":")
		print fields[1] ":" fields[3] ":" fields[4] ":" fields[6] ":" make[fields[1]] ":" fields[7]
	}
}
