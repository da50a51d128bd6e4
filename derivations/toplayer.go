package derivations

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nbuild/scripts"
)

// topLayer returns the derivation of the squashfs of all that the configuration generates. All of it is one action, so
// that a changed host name builds this, the system and its artefacts again, and nothing else.
func topLayer(spec *SystemSpec, packageRoot, unpackedKernel, kernel *Derivation) (*Derivation, error) {
	b := layerBuilder{
		kept: newKeptNumbers(),
		inputs: map[string]Input{
			"root":     {Derivation: spec.Tools.Image},
			"packages": {Derivation: packageRoot},
			"owners":   packageRoot.OutputReference("owners"),
			"kernel":   {Derivation: unpackedKernel},
			"tables":   {Derivation: kernel},
		},
		build: map[string]string{"script": scripts.TopLayer(), "accounts.awk": scripts.Accounts(), "units.awk": scripts.Units()},
	}
	for i, f := range spec.allFiles() {
		b.file(i, f)
	}
	for _, u := range spec.Users {
		b.user(u)
	}
	for _, g := range spec.Groups {
		fmt.Fprintf(&b.groups, "%s:%d:%s:%s\n", g.Name, spec.gid(g, b.kept), fixed(g.GID), strings.Join(g.Members, ","))
	}
	for i, in := range spec.References {
		b.inputs[fmt.Sprintf("reference_%d", i)] = in
	}
	for i, drv := range spec.Programs {
		b.inputs[fmt.Sprintf("program_%d", i)] = Input{Derivation: drv}
		b.programs.WriteString(drv.Placeholder("out") + "\n")
	}
	b.build["texts"], b.build["sources"], b.build["links"] = b.texts.String(), b.sources.String(), b.links.String()
	b.build["users"], b.build["groups"], b.build["programs"] = b.users.String(), b.groups.String(), b.programs.String()
	b.build["enabled"] = lines(spec.Enabled)
	b.build["masked"] = lines(spec.Masked)
	return New(Spec{
		Name: "top-layer-" + spec.Name, Builder: "sandbox", Args: shell(), Files: b.build, Inputs: b.inputs,
	})
}

// A layerBuilder collects the tables that the script reads; scripts/top-layer.sh says what is in them.
type layerBuilder struct {
	kept                  keptNumbers
	inputs                map[string]Input
	build                 map[string]string
	texts, sources, links strings.Builder
	users, groups         strings.Builder
	programs              strings.Builder
}

// file adds the i-th file.
func (b *layerBuilder) file(i int, f SystemFile) {
	switch {
	case f.Link != "":
		fmt.Fprintf(&b.links, "%s:%s\n", f.Link, f.Path)
	case f.Source != (Input{}):
		b.inputs[fmt.Sprintf("file_%d", i)] = f.Source
		fmt.Fprintf(&b.sources, "%s:%s:%s:%s:%s\n", octal(f.Mode), f.User, f.Group, f.Source.text(), f.Path)
	default:
		b.build["tree"+f.Path] = f.Content
		fmt.Fprintf(&b.texts, "%s:%s:%s:%s\n", octal(f.Mode), f.User, f.Group, f.Path)
	}
}

// octal writes a mode, and nothing for none.
func octal(mode uint32) string {
	if mode == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(mode), 8)
}

// text returns what stands for the input in a derivation's texts.
func (in Input) text() string {
	if in.Derivation == nil {
		return string(in.Source)
	}
	output := in.Output
	if output == "" {
		output = "out"
	}
	return in.Derivation.Placeholder(output)
}

func (b *layerBuilder) user(u User) {
	kind, home := "person", "new"
	if u.System {
		kind, home = "service", ""
	}
	if u.CreateHome {
		home = "always"
	}
	fmt.Fprintf(&b.users, "%s:%s:%d:%s:%s:%s:%s:%s:%s:%s:%s\n", u.Name, kind, u.number(b.kept), fixed(u.UID), u.Group, u.Gecos,
		u.Home, u.Shell, home, u.HashedPassword, strings.Join(u.Groups, ","))
	if len(u.AuthorizedKeys) > 0 {
		b.build["keys/"+u.Name] = lines(u.AuthorizedKeys)
	}
}

// fixed tells the script a number that was chosen from one that follows from a name.
func fixed(given int) string {
	if given == 0 {
		return ""
	}
	return "fixed"
}

// allFiles returns the spec's files, and those of nbuild that the spec doesn't have, by path: what is in a folder comes
// after the folder.
func (spec *SystemSpec) allFiles() []SystemFile {
	files := slices.Clone(spec.Files)
	for _, own := range generated() {
		if !slices.ContainsFunc(spec.Files, func(f SystemFile) bool { return f.Path == own.Path }) {
			files = append(files, own)
		}
	}
	slices.SortFunc(files, func(a, b SystemFile) int { return strings.Compare(a.Path, b.Path) })
	return files
}

// generated returns the files that nbuild itself configures a system with. A file of the same path in the spec wins.
func generated() []SystemFile {
	file := func(path, content string) SystemFile {
		return SystemFile{Path: path, Content: content, Mode: 0o644, User: "root", Group: "root"}
	}
	return []SystemFile{
		// The image is what these times stand for: with them systemd knows that nothing is to be brought up to date
		// (indices, caches, users) because /usr changed.
		file("/etc/.updated", updated),
		file("/var/.updated", updated),
		file("/etc/systemd/system/nbuild-store.mount.d/keep.conf", keepStore),
	}
}

const (
	// updated is in the form that systemd-update-done writes; the time is that of every file of the layer.
	updated = "# The time when the image was made.\nTIMESTAMP_NSEC=315532800000000000\n"

	// keepStore lets the store be when the machine goes down: the root is on it, so unmounting it can't succeed.
	keepStore = "[Unit]\nDefaultDependencies=no\n"
)
