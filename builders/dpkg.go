package builders

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nbuild/internal/owners"
)

// DpkgDatabase makes the database of a system in which packages are unpacked and not configured yet, as dpkg itself
// would have left it, so that "dpkg --configure -a" goes on from there.
//
// Each input is the "control" output of an unpacked package; slot "owners_<slot>", if there is one, its "owners".
// Output "out" is a tree with var/lib/dpkg, output "owners" the one ownership manifest of all packages. With
// "nbuild.usrmerge"="1" paths in it lead through usr where Debian's links do. The zero value is ready to use.
type DpkgDatabase struct{}

// ownersPrefix begins the slots of ownership manifests.
const ownersPrefix = "owners_"

// adminFolder is dpkg's database in the tree.
const adminFolder = "var/lib/dpkg/"

// Build implements Builder.
func (DpkgDatabase) Build(ctx context.Context, r *Request) error {
	err := buildDatabase(ctx, r)
	var refused *refusal
	if errors.As(err, &refused) {
		return r.Failf("dpkg database: %s", refused.reason)
	}
	return err
}

func buildDatabase(ctx context.Context, r *Request) error {
	packages, err := readPackages(ctx, r)
	if err != nil {
		return err
	}
	out, err := r.output("out")
	if err != nil {
		return err
	}
	dir, err := newBeneath(out)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, write := range []func(*beneath, []*debPackage) error{writeFrame, writeStatus, writeInfo, writeTriggers} {
		if err := write(dir, packages); err != nil {
			return err
		}
	}
	return writeMergedOwners(r)
}

// A debPackage is an unpacked package as its control files tell it.
type debPackage struct {
	slot      string
	name      string // Package
	arch      string // Architecture
	same      bool   // Multi-Arch: same
	fields    []controlField
	conffiles []byte   // as they stand in the status file, without the blank before
	folder    string   // of the control files
	files     []string // their names, sorted
	triggers  []byte
}

// A controlField is one field of a control file. The value has the lines after the first as they are.
type controlField struct{ name, value string }

// infoName is what the names of the package's files in dpkg's info folder begin with, and what triggers know it by.
func (p *debPackage) infoName() string {
	if p.same {
		return p.name + ":" + p.arch
	}
	return p.name
}

// readPackages reads all inputs, sorted as dpkg sorts its status file.
func readPackages(ctx context.Context, r *Request) ([]*debPackage, error) {
	var packages []*debPackage
	for _, slot := range r.Action.Slots() {
		if strings.HasPrefix(slot, ownersPrefix) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("make dpkg database: %w", err)
		}
		folder, err := r.input(slot)
		if err != nil {
			return nil, err
		}
		p, err := readPackage(folder)
		var refused *refusal
		if errors.As(err, &refused) {
			return nil, refusef("input %s: %s", slot, refused.reason)
		}
		if err != nil {
			return nil, err
		}
		p.slot = slot
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(a, b *debPackage) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.arch, b.arch)
	})
	return packages, checkUnique(packages)
}

// checkUnique refuses two versions of a package, and two architectures of one that can't be there twice.
func checkUnique(packages []*debPackage) error {
	for i := 1; i < len(packages); i++ {
		a, b := packages[i-1], packages[i]
		if a.name == b.name && (a.arch == b.arch || !a.same || !b.same) {
			return refusef("package %s is there twice, in the inputs %s and %s", a.name, a.slot, b.slot)
		}
	}
	return nil
}

func readPackage(folder string) (*debPackage, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read control files: %w", err)
	}
	p := &debPackage{folder: folder}
	for _, e := range entries {
		p.files = append(p.files, e.Name())
	}
	text, err := p.read("control")
	if err != nil {
		return nil, err
	}
	if p.conffiles, err = p.read(conffilesFile); err != nil {
		return nil, err
	}
	if p.triggers, err = p.read("triggers"); err != nil {
		return nil, err
	}
	if p.fields, err = parseControl(string(text)); err != nil {
		return nil, err
	}
	return p, p.identify()
}

// read returns a control file, or nothing if the package has none of the name.
func (p *debPackage) read(name string) ([]byte, error) {
	if !slices.Contains(p.files, name) {
		return nil, nil
	}
	b, err := os.ReadFile(filepath.Join(p.folder, name))
	if err != nil {
		return nil, fmt.Errorf("read control file: %w", err)
	}
	return b, nil
}

func (p *debPackage) identify() error {
	p.name, p.arch = strings.TrimSpace(p.field("Package")), strings.TrimSpace(p.field("Architecture"))
	p.same = strings.TrimSpace(p.field("Multi-Arch")) == "same"
	for _, name := range []string{"Package", "Version", "Architecture", "Maintainer", "Description"} {
		if p.field(name) == "" {
			return refusef("its control file has no field %s", name)
		}
	}
	for _, name := range []string{p.name, p.arch} {
		if !isPackageName(name) {
			return refusef("%s is no name of a package or an architecture", quoteName(name))
		}
	}
	return nil
}

// isPackageName reports whether s can be part of a file name in dpkg's database, by the letters that deb-control(5)
// allows in a package's name.
func isPackageName(s string) bool {
	for i, c := range s {
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("+-.", c)) {
			return false
		}
	}
	return s != ""
}

// field returns the value of a field, "" if there is none.
func (p *debPackage) field(name string) string {
	for _, f := range p.fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// parseControl reads the one paragraph of a control file.
func parseControl(text string) ([]controlField, error) {
	var fields []controlField
	seen := map[string]bool{}
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		line = strings.TrimRight(line, "\r\n") // Blanks at the end of a line are kept, as dpkg does.
		switch {
		case strings.TrimSpace(line) == "":
			return nil, refusef("its control file has an empty line")
		case line[0] == '#':
			continue
		case line[0] == ' ' || line[0] == '\t':
			if len(fields) == 0 {
				return nil, refusef("its control file begins with a continued line")
			}
			fields[len(fields)-1].value += "\n" + line
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, refusef("its control file has the line %s, which is no field", quoteName(line))
		}
		if key := strings.ToLower(name); seen[key] {
			return nil, refusef("its control file has the field %s twice", name)
		} else {
			seen[key] = true
		}
		fields = append(fields, controlField{name, strings.TrimLeft(value, " \t")})
	}
	return fields, nil
}

// statusOrder is the order in which dpkg writes the fields of its status file (lib/dpkg/parse.c, fieldinfos); all others
// follow as the package has them.
func statusOrder() []string {
	return []string{
		"Package", "Essential", "Protected", "Status", "Priority", "Section", "Installed-Size", "Origin", "Maintainer",
		"Bugs", "Architecture", "Multi-Arch", "Source", "Version", "Replaces", "Provides", "Depends", "Pre-Depends",
		"Recommends", "Suggests", "Breaks", "Conflicts", "Enhances", "Conffiles", "Description",
	}
}

// writeStatus writes the status file, in dpkg's order of packages and fields.
func writeStatus(dir *beneath, packages []*debPackage) error {
	var b bytes.Buffer
	order := statusOrder()
	for _, p := range packages {
		p.appendStatus(&b, order)
		b.WriteByte('\n')
	}
	return dir.writeFile(adminFolder+"status", b.Bytes(), false)
}

func (p *debPackage) appendStatus(b *bytes.Buffer, order []string) {
	for _, name := range order {
		switch value := p.field(name); {
		case name == "Status":
			b.WriteString("Status: install ok unpacked\n")
		case name == "Conffiles":
			if len(p.conffiles) > 0 {
				b.WriteString("Conffiles:\n")
			}
			for line := range strings.Lines(string(p.conffiles)) {
				b.WriteString(" " + line)
			}
		case value == "no" && (name == "Essential" || name == "Protected" || name == "Multi-Arch"):
			// dpkg doesn't write what is the default.
		case value != "":
			writeField(b, name, value)
		}
	}
	for _, f := range p.fields {
		known := func(name string) bool { return strings.EqualFold(name, f.name) }
		if !slices.ContainsFunc(order, known) {
			writeField(b, f.name, f.value)
		}
	}
}

func writeField(b *bytes.Buffer, name, value string) {
	b.WriteString(name + ":")
	if !strings.HasPrefix(value, "\n") {
		b.WriteByte(' ')
	}
	b.WriteString(value + "\n")
}

// writeFrame makes the files and folders that are the same in every database.
func writeFrame(dir *beneath, _ []*debPackage) error {
	for _, name := range []string{"alternatives", "info", "parts", "triggers", "updates"} {
		if err := dir.mkdir(adminFolder + name); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{
		"available": "", "diversions": "", "statoverride": "",
		"lock": "", "lock-frontend": "", "triggers/Lock": "", "triggers/Unincorp": "",
		"info/format": "1\n", // Names in info have an architecture when Multi-Arch is same.
	} {
		if err := dir.writeFile(adminFolder+name, []byte(content), false); err != nil {
			return err
		}
	}
	return nil
}

// writeMergedOwners writes the ownership manifests of all packages as one.
func writeMergedOwners(r *Request) error {
	out, ok := r.Outputs["owners"]
	if !ok {
		return nil
	}
	merged, err := mergeOwners(r)
	if err != nil {
		return err
	}
	return writeNewFile(out.File, owners.Format(merged), false)
}

// mergeOwners reads the manifests in the order of their slots. Where packages share a folder, the first one's owner
// counts: dpkg leaves a folder that is there as it is.
func mergeOwners(r *Request) ([]owners.Entry, error) {
	usrMerge, err := r.flag("nbuild.usrmerge")
	if err != nil {
		return nil, err
	}
	var merged []owners.Entry
	seen := map[string]bool{}
	for _, slot := range r.Action.Slots() {
		if !strings.HasPrefix(slot, ownersPrefix) {
			continue
		}
		b, err := os.ReadFile(r.Inputs[slot].File)
		if err != nil {
			return nil, fmt.Errorf("read input %s: %w", slot, err)
		}
		entries, err := owners.Parse(b)
		if err != nil {
			return nil, refusef("input %s: %v", slot, err)
		}
		for _, e := range entries {
			if usrMerge {
				e.Path = throughUsr(e.Path)
			}
			if !seen[e.Path] {
				seen[e.Path] = true
				merged = append(merged, e)
			}
		}
	}
	return merged, nil
}

// throughUsr returns where a path leads in a system with a merged /usr.
func throughUsr(path string) string {
	for _, folder := range []string{"/bin/", "/sbin/", "/lib/", "/lib64/"} {
		if strings.HasPrefix(path, folder) {
			return "/usr" + path
		}
	}
	return path
}
