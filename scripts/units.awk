# Prints the links that "systemctl enable" would make: what each leads to and where it is, with a tab between them. Reads
# the names of units, one a line. layer and packages (variables) are the folders that the system's files are in.

function fail(unit, what) {
	print "unit " unit ": " what > "/dev/stderr"
	faults++
}

# find returns the folder of a unit's file, and sets found to its place in there. Of name@x.service that is the template's.
function find(unit,    i, j, names, line) {
	names[1] = names[2] = unit
	sub(/@.*\./, "@.", names[2])
	for (i = 1; i <= 3; i++) for (j = 1; j <= 2; j++) {
		found = (i == 1 ? "/etc" : "/usr/lib") "/systemd/system/" names[j]
		if ((getline line < (folders[i] found)) >= 0) {
			close(folders[i] found)
			return folders[i]
		}
	}
	return ""
}

# enable reads a unit's section [Install].
function enable(unit,    folder, file, inside, line, at, kind, n, names, i, said) {
	if (unit in done) return
	done[unit]
	if ((folder = find(unit)) == "") {
		fail(unit, "there is no such unit in the system")
		return
	}
	file = folder found
	target = found
	while ((getline line < file) > 0) {
		if (line ~ /^\[/) inside = line ~ /^\[Install\]/
		if (!inside || !(at = index(line, "="))) continue
		kind = substr(line, 1, at - 1)
		gsub(/[ \t]/, "", kind)
		n = split(substr(line, at + 1), names, " ")
		for (i = 1; i <= n; i++) {
			if (kind == "WantedBy") link(names[i] ".wants/" unit)
			else if (kind == "RequiredBy") link(names[i] ".requires/" unit)
			else if (kind == "UpheldBy") link(names[i] ".upholds/" unit)
			else if (kind == "Alias") { if (names[i] != unit) link(names[i]) }
			else if (kind == "Also") also[++count] = names[i]
			else continue
			said = 1
		}
	}
	close(file)
	return said
}

function link(name) { print target "\t/etc/systemd/system/" name }

BEGIN {
	folders[1] = folders[2] = layer
	folders[3] = packages
}

{ wanted[++wanted_count] = $0 }

END {
	for (w = 1; w <= wanted_count; w++)
		if (!(wanted[w] in done) && !enable(wanted[w]) && !faults)
			fail(wanted[w], "its file does not say what it is started by (WantedBy= in a section [Install])")
	for (i = 1; i <= count; i++) enable(also[i])
	if (faults) exit 1
}
