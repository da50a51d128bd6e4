package debian

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// The archives of Debian. A mirror has a place for each.
const (
	ArchiveMain     = "debian"
	ArchiveSecurity = "debian-security"
)

// architecture is the only one that nbuild resolves for; packages of architecture "all" belong to it too.
const architecture = "amd64"

// A Package is a binary package of an archive: what is needed to fetch it and to write its entry in dpkg's database.
type Package struct {
	Name, Version string
	Architecture  string // "amd64" or "all"
	Archive       string // ArchiveMain or ArchiveSecurity; see Mirrors.URLs
	Path          string // of the .deb below the archive: pool/…
	Size          int64  // of the .deb in bytes
	SHA256        string // of the .deb, in lower-case hexadecimal
	MultiArch     string // "same", "foreign", "allowed" or ""
	Essential     bool
	Priority      string // "required", "important", "standard", "optional" or other
}

// Key names a package among all of one suite: "name=version".
func (p Package) Key() string { return p.Name + "=" + p.Version }

// validate reports a property that nbuild can't work with, or that would lead out of the archive.
func (p Package) validate() error {
	switch {
	case !isPackageName(p.Name):
		return fmt.Errorf("the name is %q", p.Name)
	case !looseVersion(p.Version):
		return fmt.Errorf("the version is %q", p.Version)
	case p.Architecture != architecture && p.Architecture != "all":
		return fmt.Errorf("the architecture %q is not %s or all", p.Architecture, architecture)
	case p.Archive != ArchiveMain && p.Archive != ArchiveSecurity:
		return fmt.Errorf("the archive is %q", p.Archive)
	case !isArchivePath(p.Path):
		return fmt.Errorf("the path %q is not one below the archive", p.Path)
	case p.Size <= 0:
		return fmt.Errorf("the size is %d", p.Size)
	case !isSHA256(p.SHA256):
		return fmt.Errorf("the SHA-256 digest is %q", p.SHA256)
	}
	switch p.MultiArch {
	case "", "no", "same", "foreign", "allowed":
		return nil
	}
	return errors.New("the value of Multi-Arch is " + p.MultiArch)
}

// isArchivePath reports whether p is a clean relative path that stays below its folder.
func isArchivePath(p string) bool {
	return p != "" && path.Clean(p) == p && p[0] != '/' && p != "." && p != ".." && !strings.HasPrefix(p, "../") &&
		!strings.ContainsAny(p, " \t\r\n\\?#%")
}

// isSHA256 reports whether s is a digest in lower-case hexadecimal.
func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
