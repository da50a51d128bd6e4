package builders

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"nbuild/internal/owners"
)

// An extraction makes a tree of a tar stream.
type extraction struct {
	u     *unpacking
	ctx   context.Context // of the Build that this is the inside of
	dir   *beneath
	strip int
	deb   bool // dpkg's rules for names hold, and list is kept

	entries int64
	list    []byte // the names of all entries as dpkg's info/*.list has them
	special map[string]owners.Entry
	buffer  []byte
}

func (u *unpacking) newExtraction(ctx context.Context, output string) (*extraction, error) {
	out, err := u.r.output(output)
	if err != nil {
		return nil, err
	}
	dir, err := newBeneath(out)
	if err != nil {
		return nil, err
	}
	return &extraction{u: u, ctx: ctx, dir: dir, special: map[string]owners.Entry{}}, nil
}

// read makes entries until the archive ends.
func (x *extraction) read(g *gauge) error {
	buffer, ok := x.u.copies.Get().(*[]byte)
	if !ok {
		buffer = new(make([]byte, copySize))
	}
	defer x.u.copies.Put(buffer)
	x.buffer = *buffer

	archive := tar.NewReader(g)
	for {
		if err := x.ctx.Err(); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		// All data of the entry before has been read, so that what zeros there are from here are padding and the end.
		g.zeros = 0
		header, err := archive.Next()
		if err == io.EOF {
			return wholeTar(g)
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // Names are checked below, by stricter rules.
			return tarError(err)
		}
		if err := x.entry(header, archive); err != nil {
			var refused *refusal
			if errors.As(err, &refused) {
				return refusef("entry %s: %s", quoteName(header.Name), refused.reason)
			}
			return err
		}
	}
}

// wholeTar checks that an archive ended by a block of zeros. Without it, it was cut between two entries, which
// package tar takes for an end like any other.
func wholeTar(g *gauge) error {
	if g.zeros < 512 {
		return refusef("truncated: the archive has no end")
	}
	return nil
}

func tarError(err error) error {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return refusef("truncated: the archive ends inside an entry")
	}
	return refusef("not a tar archive, or a damaged one: %v", err)
}

// entry makes one entry.
func (x *extraction) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	x.entries++
	if x.entries > x.u.limits.entries {
		return refusef("more than %d entries (max_entries)", x.u.limits.entries)
	}
	name, err := x.name(h.Name)
	if err != nil || name == "" {
		return err
	}
	if x.deb {
		x.list = appendListed(x.list, name)
	}
	kind := byte(owners.File)
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		err = x.file(h, name, content)
	case tar.TypeDir:
		kind = owners.Folder
		err = x.dir.mkdir(name)
	case tar.TypeSymlink:
		kind = owners.Link
		err = x.symlink(h.Linkname, name)
	case tar.TypeLink:
		return x.link(h.Linkname, name)
	default:
		err = refusef("%s can't be in a store object", kindName(h.Typeflag))
	}
	if err != nil {
		return err
	}
	return x.note(h, kind, name)
}

func kindName(flag byte) string {
	switch flag {
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	case tar.TypeFifo:
		return "a fifo"
	}
	return fmt.Sprintf("an entry of type %q", flag)
}

// name returns the clean relative name of an entry, "." for the tree itself, and "" when nothing is left after
// stripping.
func (x *extraction) name(name string) (string, error) {
	clean, err := cleanName(name)
	if err != nil {
		return "", err
	}
	for range x.strip {
		_, rest, ok := strings.Cut(clean, "/")
		if !ok {
			return "", nil
		}
		clean = rest
	}
	return clean, nil
}

// cleanName returns an archive's name without "./" and double slashes. It refuses what leads elsewhere, and what
// can't be in a store object or in dpkg's lists.
func cleanName(name string) (string, error) {
	switch {
	case name == "":
		return "", refusef("the name is empty")
	case name[0] == '/':
		return "", refusef("the name is absolute")
	case strings.ContainsAny(name, "\x00\n"):
		return "", refusef("the name has a zero byte or a newline")
	case !utf8.ValidString(name):
		return "", refusef("the name is not valid UTF-8")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", refusef("the name leads out of the tree")
		}
	}
	return path.Clean(name), nil
}

// appendListed appends a line of dpkg's info/*.list.
func appendListed(list []byte, name string) []byte {
	list = append(list, '/')
	list = append(list, name...) // The tree itself is "/." there.
	return append(list, '\n')
}

func (x *extraction) file(h *tar.Header, name string, content io.Reader) error {
	if name == "." {
		return refusef("it is a file, and the name is the tree's own")
	}
	if h.Size > x.u.limits.size {
		return refusef("it has %d bytes, more than %d (max_size)", h.Size, x.u.limits.size)
	}
	fd, err := x.dir.create(name, h.Mode&0o111 != 0)
	if err != nil {
		return err
	}
	if err := x.copy(fd, name, content); err != nil {
		_ = unix.Close(fd)
		return err
	}
	return closeWritten(fd, name)
}

func (x *extraction) copy(fd int, name string, content io.Reader) error {
	for {
		n, err := readBuffer(content, x.buffer)
		if werr := writeAll(fd, x.buffer[:n]); werr != nil {
			return fmt.Errorf("write %s: %w", quoteName(name), werr)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return tarError(err)
		}
		if err := x.ctx.Err(); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
}

// symlink makes a link. An absolute target is fine, as packages ship many: it means a place in the system that the tree
// becomes part of. A relative one that climbs above the tree means nothing good.
func (x *extraction) symlink(target, name string) error {
	if err := checkTarget(target); err != nil {
		return err
	}
	if !utf8.ValidString(target) {
		return refusef("the link's target is not valid UTF-8")
	}
	if !path.IsAbs(target) {
		if to := path.Join(path.Dir(name), target); to == ".." || strings.HasPrefix(to, "../") {
			return refusef("it is a link to %s, out of the tree", quoteName(target))
		}
	}
	if name == "." {
		return refusef("it is a link, and the name is the tree's own")
	}
	return x.dir.symlink(target, name)
}

func (x *extraction) link(target, name string) error {
	old, err := x.name(target)
	if err != nil {
		return refusef("it is a hard link to %s: %v", quoteName(target), err)
	}
	if old == "" || old == "." || name == "." {
		return refusef("it is a hard link to %s, which is not in the tree", quoteName(target))
	}
	if err := x.dir.link(old, name); err != nil {
		return err
	}
	if e, ok := x.special["/"+old]; ok { // One inode has one owner: the file's header counts.
		e.Path = "/" + name
		x.special[e.Path] = e
	}
	return nil
}

// note keeps the owner and the mode if the store doesn't. A folder's last entry counts, as when tar sets it.
func (x *extraction) note(h *tar.Header, kind byte, name string) error {
	const maxID = 1<<32 - 2
	if h.Uid < 0 || h.Uid > maxID || h.Gid < 0 || h.Gid > maxID {
		return refusef("its owner %d:%d is no owner", h.Uid, h.Gid)
	}
	e := owners.Entry{Kind: kind, Mode: uint32(h.Mode) & 0o7777, UID: uint32(h.Uid), GID: uint32(h.Gid), Path: "/" + name}
	if name == "." {
		e.Path = "/"
	}
	if e.IsPlain() {
		delete(x.special, e.Path)
		return nil
	}
	x.special[e.Path] = e
	return nil
}

// manifest returns the ownership manifest of the tree.
func (x *extraction) manifest() []byte {
	entries := make([]owners.Entry, 0, len(x.special))
	for _, e := range x.special {
		entries = append(entries, e)
	}
	return owners.Format(entries)
}
