package builders

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The files of a "control" output that nbuild adds to those the package ships.
const (
	listFile      = "list"
	conffilesFile = "conffiles.md5"
)

// A controlFolder is the "control" output of a package while it is made.
type controlFolder struct {
	dir       *beneath
	conffiles []byte // as shipped
}

// control unpacks a package's control archive: a few flat files, checked more strictly than a tree.
func (u *unpacking) control(ctx context.Context, deb debFile) (*controlFolder, error) {
	x, err := u.newExtraction(ctx, "control")
	if err != nil {
		return nil, err
	}
	g := gauge{max: maxControlSize, compressed: deb.control.size}
	c := &controlFolder{dir: x.dir}
	hasControl := false
	err = u.decompress(deb.controlMethod, u.section(deb.control.offset, deb.control.size), g, func(g *gauge) error {
		return eachControl(g, func(h *tar.Header, name string, content []byte) error {
			hasControl = hasControl || name == "control"
			if name == "conffiles" {
				c.conffiles = content
			}
			return x.dir.writeFile(name, content, h.Mode&0o111 != 0)
		})
	})
	if err == nil && !hasControl {
		err = refusef("the file control is missing")
	}
	if err != nil {
		_ = x.dir.Close()
		var refused *refusal
		if errors.As(err, &refused) {
			return nil, refusef("control archive: %s", refused.reason)
		}
		return nil, err
	}
	return c, nil
}

// eachControl calls f for each file of a control archive.
func eachControl(g *gauge, f func(h *tar.Header, name string, content []byte) error) error {
	archive := tar.NewReader(g)
	for n := 0; ; n++ {
		g.zeros = 0
		h, err := archive.Next()
		if err == io.EOF {
			return wholeTar(g)
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return tarError(err)
		}
		if n == maxControlEntries {
			return refusef("more than %d entries", maxControlEntries)
		}
		name, err := controlName(h)
		if err == nil && name != "." {
			var content []byte
			if content, err = io.ReadAll(archive); err != nil {
				return tarError(err)
			}
			err = f(h, name, content)
		}
		var refused *refusal
		if errors.As(err, &refused) {
			return refusef("entry %s: %s", quoteName(h.Name), refused.reason)
		}
		if err != nil {
			return err
		}
	}
}

// controlName returns the name of a control file, or "." for the folder. dpkg takes no folders and links either.
func controlName(h *tar.Header) (string, error) {
	name, err := cleanName(h.Name)
	switch {
	case err != nil:
		return "", err
	case name == "." && h.Typeflag == tar.TypeDir:
		return name, nil
	case h.Typeflag != tar.TypeReg:
		return "", refusef("it is not a regular file")
	case strings.Contains(name, "/") || name == ".":
		return "", refusef("it is not directly in the control archive")
	case name == listFile || name == conffilesFile:
		return "", refusef("the name is reserved")
	}
	return name, nil
}

// finish adds what is known only after the tree was made.
func (c *controlFolder) finish(tree *extraction) error {
	if err := c.dir.writeFile(listFile, tree.list, false); err != nil {
		return err
	}
	files, err := parseConffiles(c.conffiles)
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, file := range files {
		if file.removed { // This is how dpkg itself notes it.
			fmt.Fprintf(&sums, "%s newconffile remove-on-upgrade\n", file.path)
			continue
		}
		sum, ok, err := tree.md5(strings.TrimPrefix(file.path, "/"))
		if err != nil {
			return err
		}
		if ok {
			fmt.Fprintf(&sums, "%s %s\n", file.path, sum)
		}
	}
	return c.dir.writeFile(conffilesFile, sums.Bytes(), false)
}

// A conffile is a configuration file of a package.
type conffile struct {
	path    string
	removed bool // the package has it no longer, and wants it gone
}

// parseConffiles reads a conffiles control file (deb-conffiles(5)).
func parseConffiles(b []byte) ([]conffile, error) {
	var files []conffile
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" {
			continue
		}
		var file conffile
		file.path, file.removed = strings.CutPrefix(line, "remove-on-upgrade ")
		if !path.IsAbs(file.path) || path.Clean(file.path) != file.path || file.path == "/" {
			return nil, refusef("conffiles: %s is not a clean absolute path", quoteName(file.path))
		}
		if !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files, nil
}

// md5 returns the MD5 of a regular file in the tree, the digest that dpkg knows configuration files by, and whether
// there is one.
func (x *extraction) md5(name string) (sum string, ok bool, err error) {
	const inside = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS
	fd, err := openBeneath(x.dir.fd, name, unix.O_RDONLY|unix.O_NONBLOCK, inside)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EXDEV), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("open %s: %w", quoteName(name), err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return "", false, fmt.Errorf("stat %s: %w", quoteName(name), err)
	} else if !info.Mode().IsRegular() {
		return "", false, nil
	}
	h := md5.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", false, fmt.Errorf("read %s: %w", quoteName(name), err)
	}
	return hex.EncodeToString(h.Sum(nil)), true, nil
}
