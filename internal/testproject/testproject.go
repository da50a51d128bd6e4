// Package testproject makes projects for tests and for measuring.
package testproject

import (
	"fmt"
	"strings"
)

// The size of the large project. Each module declares and defines the same number of options.
const (
	Modules     = 200
	Options     = 10 * Modules
	Definitions = 25 * Modules
)

// rounds is how many modules hang together by what they read, so that their evaluation takes as many rounds.
const rounds = 10

// Large returns the files of a project with one system, "large", whose modules have as many options and definitions as a
// big configuration. Every second module is a function that reads what the module before it comes to.
func Large() map[string]string {
	files := map[string]string{}
	var names strings.Builder
	for i := range Modules {
		name := fmt.Sprintf("modules/%s.star", moduleName(i))
		files[name] = largeModule(i)
		fmt.Fprintf(&names, "    %q,\n", name)
	}
	files["nbuild.star"] = "large = system(\"large\", modules = [\n" + names.String() + "])\n"
	return files
}

func moduleName(i int) string { return fmt.Sprintf("m%03d", i%Modules) }

const largeOptions = `_user = types.submodule({
    "shell": option(types.str, default = "/bin/bash", description = "What the user runs."),
    "groups": option(types.list_of(types.str), default = [], description = "What the user is in."),
})

options = {
    "large.%s": {
        "enable": option(types.bool, default = False, description = "Whether it is there."),
        "name": option(types.str, default = "nothing", description = "What it is called."),
        "port": option(types.port, default = 1, description = "Where it listens."),
        "level": option(types.int, default = 0, description = "How many others it stands on."),
        "limit": option(types.nullable(types.unsigned), default = None, description = "How much it may take."),
        "names": option(types.list_of(types.str), default = [], description = "What others call it."),
        "text": option(types.lines, default = "", description = "What others have to say."),
        "settings": option(types.attrs_of(types.str), default = {}, description = "What others want of it."),
        "users": option(types.attrs_of(_user), default = {}, description = "Who may use it."),
        "extra": option(types.anything, default = {}, description = "What else there is."),
    },
}
`

// largeModule returns the i-th module. It defines five options of its own and five of each of the four modules behind it.
func largeModule(i int) string {
	var b strings.Builder
	name := moduleName(i)
	fmt.Fprintf(&b, largeOptions+"\n", name)
	level, indent, end := "1", "", "}\n"
	if i%2 == 0 {
		fmt.Fprintf(&b, "config = {\n")
	} else {
		fmt.Fprintf(&b, "def config(cfg):\n")
		if i%(2*rounds) != 1 {
			below := moduleName(i + Modules - 2)
			fmt.Fprintf(&b, "    below = cfg.large.%s\n    if not below.enable:\n        return {}\n", below)
			level = "below.level + 1"
		}
		fmt.Fprintf(&b, "    return {\n")
		indent, end = "    ", "    }\n"
	}
	fmt.Fprintf(&b, "%s    \"large.%s\": {\"enable\": True, \"name\": %q, \"port\": default(%d), \"level\": %s, \"limit\": force(%d)},\n",
		indent, name, "the "+name, 1000+i, level, i)
	for j := 1; j <= 4; j++ {
		fmt.Fprintf(&b, `%[1]s    "large.%[2]s": {
%[1]s        "names": ["%[3]s-%[4]d"],
%[1]s        "text": before("%[3]s says %[4]d"),
%[1]s        "settings": {"%[3]s": "on", "shared": "on"},
%[1]s        "users.user%[4]d": {"shell": default("/bin/sh"), "groups": ["%[3]s"]},
%[1]s        "extra": {"by": {"%[3]s": [%[4]d]}},
%[1]s    },
`, indent, moduleName(i+j), name, j)
	}
	b.WriteString(indent + strings.TrimLeft(end, " "))
	return b.String()
}
