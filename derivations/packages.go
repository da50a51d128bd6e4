package derivations

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A PackageFile is one binary package of a Debian archive, as a lock file names it.
type PackageFile struct {
	Name         string
	Version      string
	Architecture string
	Archive      string // which archive has it: "debian", "debian-security"
	Path         string // in the archive: "pool/main/b/bash/bash_5.2.37-2+b5_amd64.deb"
	Size         int64  // in bytes
	SHA256       string // lower-case hexadecimal
	MultiArch    string // "same", "foreign", "allowed" or empty
}

// Packages makes the derivations of packages, and each only once. The zero value is ready to use.
// It is not safe for concurrent use.
type Packages struct {
	unpacked map[PackageFile]*Derivation
}

// Unpack returns the derivation that unpacks f. Its outputs are "out", the tree of files; "control", the control files;
// and "owners", the ownership manifest.
func (p *Packages) Unpack(f PackageFile) (*Derivation, error) {
	if drv, ok := p.unpacked[f]; ok {
		return drv, nil
	}
	deb, err := New(Spec{
		Name:    path.Base(f.Path),
		Builder: "fetch",
		Args:    []string{"mirror:" + f.Archive + "/" + f.Path},
		Env:     map[string]string{"size": strconv.FormatInt(f.Size, 10)},
		Fixed:   &Fixed{Algorithm: "sha256", Digest: f.SHA256},
	})
	if err != nil {
		return nil, fmt.Errorf("package %s %s: %w", f.Name, f.Version, err)
	}
	drv, err := New(Spec{
		Name:    storeName(f.Name + "-" + f.Version),
		Builder: "unpack",
		Args:    []string{"deb"},
		Inputs:  map[string]Input{"src": {Derivation: deb}},
		Outputs: []string{"control", "out", "owners"},
	})
	if err != nil {
		return nil, fmt.Errorf("package %s %s: %w", f.Name, f.Version, err)
	}
	if p.unpacked == nil {
		p.unpacked = map[PackageFile]*Derivation{}
	}
	p.unpacked[f] = drv
	return drv, nil
}

// storeName replaces the colon of a version's epoch and whatever else can't stand in the name of a store object.
func storeName(s string) string {
	return strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("+-._?=~", c) {
			return c
		}
		return '_'
	}, s)
}

// ToolTree returns the derivation of the packages' files merged into one tree that programs can run in: the root of a
// sandbox, or of a virtual machine's emulator. Maintainer scripts don't run, so it has the few links they would make
// that builds rely on. The order of files doesn't matter.
func (p *Packages) ToolTree(name string, files []PackageFile) (*Derivation, error) {
	spec, err := p.merged(name, files)
	if err != nil {
		return nil, err
	}
	names := packageNames(files)
	for _, a := range alternatives() {
		key := "link:" + a.link
		if _, taken := spec.Env[key]; !taken && slices.Contains(names, a.packageName) {
			spec.Env[key] = a.target
		}
	}
	// Packages expect these of base-files' and base-passwd's scripts. A tree that has them already can't meet this one:
	// no package ships them.
	spec.Files = map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/build:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"etc/group":  "root:x:0:\ntty:x:5:\nbuild:x:1000:\nnogroup:x:65534:\n",
		"etc/hosts":  "127.0.0.1 localhost\n::1 localhost\n",
	}
	return New(spec)
}

// merged returns the spec of a tree of packages, with Debian's links from / into /usr.
func (p *Packages) merged(name string, files []PackageFile) (Spec, error) {
	spec := Spec{
		Name:    name,
		Builder: "tree",
		Env:     map[string]string{"nbuild.usrmerge": "1"},
		Inputs:  map[string]Input{},
	}
	for i, f := range sortedPackages(files) {
		drv, err := p.Unpack(f)
		if err != nil {
			return Spec{}, err
		}
		slot := packageSlot(i)
		spec.Args = append(spec.Args, slot)
		spec.Inputs[slot] = Input{Derivation: drv}
	}
	return spec, nil
}

// packageSlot names the input that is the i-th package. The digits keep the order of the packages.
func packageSlot(i int) string { return fmt.Sprintf("package_%04d", i) }

// sortedPackages returns the packages by name, each once, so that a tree doesn't depend on the order it was asked in.
func sortedPackages(files []PackageFile) []PackageFile {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b PackageFile) int { return strings.Compare(a.sortKey(), b.sortKey()) })
	return slices.Compact(files)
}

func (f PackageFile) sortKey() string {
	return f.Name + " " + f.Architecture + " " + f.Version + " " + f.SHA256
}

func packageNames(files []PackageFile) []string {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// An alternative is a link that the package's maintainer script makes, mostly by update-alternatives.
type alternative struct{ link, packageName, target string }

// alternatives returns the links that builds expect, the preferred first where several packages offer the same.
func alternatives() []alternative {
	return []alternative{
		{"usr/bin/cc", "gcc", "gcc"},
		{"usr/bin/c89", "gcc", "c89-gcc"},
		{"usr/bin/c99", "gcc", "c99-gcc"},
		{"usr/bin/cc", "clang", "clang"},
		{"usr/bin/c++", "g++", "g++"},
		{"usr/bin/c++", "clang", "clang++"},
		{"usr/bin/f95", "gfortran", "gfortran"},
		{"usr/bin/awk", "gawk", "gawk"},
		{"usr/bin/awk", "mawk", "mawk"},
		{"usr/bin/awk", "original-awk", "original-awk"},
		{"usr/bin/nawk", "gawk", "gawk"},
		{"usr/bin/nawk", "mawk", "mawk"},
		{"usr/bin/which", "debianutils", "which.debianutils"},
		{"usr/bin/pager", "less", "less"},
		{"usr/bin/pager", "util-linux", "more"},
		{"usr/bin/lzma", "xz-utils", "xz"},
		{"usr/bin/unlzma", "xz-utils", "unxz"},
		{"usr/bin/yacc", "bison", "bison.yacc"},
		{"usr/bin/yacc", "byacc", "byacc"},
		{"usr/bin/fakeroot", "fakeroot", "fakeroot-sysv"},
		{"usr/bin/vi", "vim-tiny", "vim.tiny"},
		{"usr/bin/editor", "vim-tiny", "vim.tiny"},
		{"usr/bin/editor", "nano", "nano"},
		{"usr/bin/nc", "netcat-openbsd", "nc.openbsd"},
		{"usr/bin/nc", "netcat-traditional", "nc.traditional"},
	}
}
