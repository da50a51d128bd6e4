package derivations

import (
	"encoding/json"
	"maps"
	"slices"
)

// A systemManifest is what manifest.json says. A change that isn't an addition is a change of its version.
type systemManifest struct {
	Version      int               `json:"version"`
	HostName     string            `json:"host_name"`
	Label        string            `json:"label"`
	KernelParams []string          `json:"kernel_params"`
	Kernel       manifestPackage   `json:"kernel"`
	Packages     []manifestPackage `json:"packages"`
	Users        []manifestUser    `json:"users"`
	Groups       []manifestGroup   `json:"groups"`
	Files        []string          `json:"files"`
	Enabled      []string          `json:"enabled"`
	Masked       []string          `json:"masked"`
	Programs     []string          `json:"programs"`
	Manifest     map[string]string `json:"manifest"`
}

type manifestPackage struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
}

type manifestUser struct {
	Name string `json:"name"`
	UID  int    `json:"uid"`
}

type manifestGroup struct {
	Name string `json:"name"`
	GID  int    `json:"gid"`
}

// manifest returns what the system is made of, for people and programs that look at it later.
func (spec *SystemSpec) manifest(params []string) (string, error) {
	image, err := KernelImage(spec.Kernel)
	if err != nil {
		return "", err
	}
	// No list and no map is null: whoever reads it needn't ask.
	m := systemManifest{
		Version: 1, HostName: spec.HostName, Label: spec.Label, KernelParams: append([]string{}, params...),
		Kernel:   manifestPackage{image.Name, image.Version, image.Architecture},
		Packages: []manifestPackage{}, Users: []manifestUser{}, Groups: []manifestGroup{}, Files: []string{},
		Enabled: append([]string{}, spec.Enabled...), Masked: append([]string{}, spec.Masked...), Programs: []string{},
		Manifest: map[string]string{},
	}
	for _, f := range sortedPackages(spec.Packages) {
		m.Packages = append(m.Packages, manifestPackage{f.Name, f.Version, f.Architecture})
	}
	kept := newKeptNumbers()
	for _, u := range spec.Users {
		m.Users = append(m.Users, manifestUser{u.Name, u.number(kept)})
	}
	for _, g := range spec.Groups {
		m.Groups = append(m.Groups, manifestGroup{g.Name, spec.gid(g, kept)})
	}
	for _, f := range spec.Files {
		m.Files = append(m.Files, f.Path)
	}
	slices.Sort(m.Files)
	for _, drv := range spec.Programs {
		m.Programs = append(m.Programs, drv.Name())
	}
	maps.Copy(m.Manifest, spec.Manifest)
	b, err := json.MarshalIndent(m, "", "  ")
	return string(b) + "\n", err
}
