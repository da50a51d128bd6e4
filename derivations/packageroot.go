package derivations

import (
	"fmt"

	"nbuild/scripts"
)

// shell returns the arguments that run the file "script" of a build.
func shell() []string { return []string{"/bin/sh", "/build/script"} }

// PackageRoot returns the derivation of a root folder with the packages installed and configured. Its outputs are "out",
// the tree, and "owners", its ownership manifest. The packages must have all that they depend on.
func (p *Packages) PackageRoot(name string, files []PackageFile) (*Derivation, error) {
	files = sortedPackages(files)
	database, err := p.database(name+"-dpkg", files)
	if err != nil {
		return nil, err
	}
	spec, err := p.merged(name+"-unpacked", files)
	if err != nil {
		return nil, err
	}
	spec.Args = append(spec.Args, "database")
	spec.Inputs["database"] = Input{Derivation: database}
	unpacked, err := New(spec)
	if err != nil {
		return nil, fmt.Errorf("package root: %w", err)
	}
	build := seedFiles(files)
	build["script"] = scripts.PackageRoot()
	return New(Spec{
		Name:    name,
		Builder: "sandbox",
		Args:    shell(),
		Env:     map[string]string{"nbuild.as_root": "1", "nbuild.writable_root": "1"},
		Files:   build,
		Inputs:  map[string]Input{"root": {Derivation: unpacked}, "root_owners": database.OutputReference("owners")},
		Outputs: []string{"out", "owners"},
	})
}

// database returns the derivation of dpkg's database with all the packages in the state "unpacked".
func (p *Packages) database(name string, files []PackageFile) (*Derivation, error) {
	inputs := map[string]Input{}
	for i, f := range files {
		drv, err := p.Unpack(f)
		if err != nil {
			return nil, err
		}
		slot := packageSlot(i)
		inputs[slot] = drv.OutputReference("control")
		inputs["owners_"+slot] = drv.OutputReference("owners")
	}
	return New(Spec{
		Name:    name,
		Builder: "dpkg-database",
		Env:     map[string]string{"nbuild.usrmerge": "1"},
		Inputs:  inputs,
		Outputs: []string{"out", "owners"},
	})
}
