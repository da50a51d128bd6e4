// Package modules has the modules of every system: the options that nbuild declares and what they come to, in Starlark.
package modules

import (
	"embed"
	"io/fs"
)

//go:embed *.star
var files embed.FS

// Files returns the modules, *.star in one folder. vm.star is for virtual machines alone, and what begins with lib is
// loaded by others.
func Files() fs.FS { return files }
