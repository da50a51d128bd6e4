package builders

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// zip unpacks a zip archive. Its table of contents, at its end, is what counts: what programs that read it from the front
// would find is not looked at.
//
// Approach: refuse what the table alone shows to be hostile (more than the limits allow, entries that share bytes, which
// is how small files become petabytes), then make each entry as that of a tar, which has all other checks.
func (u *unpacking) zip(ctx context.Context) error {
	// What a table says of places before the file is no error of the machine's with a section.
	table, err := zip.NewReader(io.NewSectionReader(u.src, 0, u.size), u.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // Names are checked by stricter rules.
		return zipError(err)
	}
	if err := u.checkZip(table.File); err != nil {
		return err
	}
	tree, err := u.newExtraction(ctx, "out")
	if err != nil {
		return err
	}
	defer tree.dir.Close()
	tree.strip = u.limits.strip
	tree.buffer = make([]byte, copySize)
	for _, f := range table.File {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		if err := u.zipEntry(tree, f); err != nil {
			var refused *refusal
			if errors.As(err, &refused) {
				return refusef("entry %s: %s", quoteName(f.Name), refused.reason)
			}
			return err
		}
	}
	return u.writeOwners(tree)
}

// checkZip holds the table against the limits: what comes out can't be more than it says, as reading an entry ends there.
func (u *unpacking) checkZip(files []*zip.File) error {
	if int64(len(files)) > u.limits.entries {
		return refusef("it has %d entries, more than %d (max_entries)", len(files), u.limits.entries)
	}
	var total uint64
	for _, f := range files {
		if f.UncompressedSize64 > uint64(u.limits.size) || total+f.UncompressedSize64 > uint64(u.limits.size) {
			return refusef("entry %s: with it, the archive unpacks to more than %d bytes (max_size)", quoteName(f.Name), u.limits.size)
		}
		total += f.UncompressedSize64
	}
	if total > ratioFrom && total/maxRatio > uint64(u.size) {
		return refusef("%d bytes unpack to more than %d times as much: it looks like a bomb", u.size, maxRatio)
	}
	return checkZipOverlaps(files)
}

// checkZipOverlaps refuses entries that share data with one another.
func checkZipOverlaps(files []*zip.File) error {
	type span struct {
		name       string
		start, end int64
	}
	spans := make([]span, 0, len(files))
	for _, f := range files {
		start, err := f.DataOffset()
		if err != nil {
			return zipError(err)
		}
		if f.CompressedSize64 > 0 {
			spans = append(spans, span{f.Name, start, start + int64(f.CompressedSize64)})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.start, b.start), strings.Compare(a.name, b.name)) })
	for i := 1; i < len(spans); i++ {
		if a, b := spans[i-1], spans[i]; b.start < a.end || b.end < b.start {
			return refusef("the entries %s and %s share data: it looks like a bomb", quoteName(a.name), quoteName(b.name))
		}
	}
	return nil
}

// zipEntry makes one entry. The owner is never said, and of the mode only what a store keeps.
func (u *unpacking) zipEntry(tree *extraction, f *zip.File) error {
	h, err := zipHeader(f)
	if err != nil {
		return err
	}
	content, err := f.Open()
	if err != nil {
		return zipError(err)
	}
	defer content.Close()
	r := &zipReader{content}
	if h.Typeflag == tar.TypeSymlink {
		target, err := io.ReadAll(io.LimitReader(r, unix.PathMax))
		if err != nil {
			return err
		}
		if len(target) == unix.PathMax {
			return refusef("it is a link to a name that is too long")
		}
		h.Linkname = string(target)
	}
	if err := tree.entry(h, r); err != nil {
		return err
	}
	// What stands behind the end of a folder or link is checked, too, so that a damaged archive is never taken.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	done := u.read.Add(int64(f.CompressedSize64))
	if u.r.Progress != nil {
		u.r.Progress(min(done, u.size), u.size)
	}
	return nil
}

// zipHeader returns the entry of a tar that is the same.
func zipHeader(f *zip.File) (*tar.Header, error) {
	const encrypted = 1
	switch {
	case f.Flags&encrypted != 0:
		return nil, refusef("it is encrypted")
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return nil, refusef("its method of compression is %d: 0 (store) and 8 (deflate) are known", f.Method)
	case strings.Contains(f.Name, `\`):
		// Some programs write them for slashes, others mean them.
		return nil, refusef("the name has a backslash; zip wants slashes between folders")
	}
	h := &tar.Header{Name: f.Name, Size: int64(f.UncompressedSize64), Mode: 0o644}
	switch mode := f.Mode(); {
	case strings.HasSuffix(f.Name, "/"):
		h.Typeflag, h.Mode = tar.TypeDir, 0o755
		if mode&^(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky|fs.ModeDir) != 0 {
			return nil, refusef("its name is a folder's, its mode is %v", mode)
		}
	case mode.IsRegular():
		h.Typeflag = tar.TypeReg
		if mode&0o111 != 0 {
			h.Mode = 0o755
		}
	case mode.Type() == fs.ModeSymlink:
		h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
	case mode.IsDir():
		h.Typeflag, h.Mode = tar.TypeDir, 0o755
	default:
		return nil, refusef("%s can't be in a store object", zipKindName(mode))
	}
	return h, nil
}

func zipKindName(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeDevice != 0:
		return "a device"
	case mode&fs.ModeNamedPipe != 0:
		return "a fifo"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return fmt.Sprintf("an entry of mode %v", mode)
}

// A zipReader turns what is wrong with an entry's data into refusals: it is not the machine's fault.
type zipReader struct{ io.Reader }

// Read implements io.Reader.
func (z *zipReader) Read(p []byte) (int, error) {
	n, err := z.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = zipError(err)
	}
	return n, err
}

// zipError tells what is wrong with an archive from what is with the machine.
func zipError(err error) error {
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return fmt.Errorf("read archive: %w", err)
	case errors.Is(err, zip.ErrChecksum):
		return refusef("its check sum is wrong: the archive is damaged")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return refusef("truncated: the archive ends inside an entry")
	case errors.Is(err, zip.ErrFormat):
		return refusef("not a zip archive, or a damaged or truncated one")
	}
	return refusef("the zip archive is damaged: %v", err)
}
