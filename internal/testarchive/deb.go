package testarchive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A Deb describes a binary package.
type Deb struct {
	Name    string
	Version string // "" means 1.0
	Arch    string // "" means amd64

	// Fields are further fields of the control file, as Depends or Essential. Description and Maintainer have values of
	// their own unless they are given.
	Fields map[string]string

	Files       []File            // folders above them are made when they aren't given
	Scripts     map[string]string // preinst, postinst, triggers and so on, with their text
	Conffiles   []string          // absolute paths
	Compression string            // of both tar files: "gz" ("" means the same), "zst" or "none"

	// Data, unless nil, is the tar of the files instead of one made of Files: for what no honest package has.
	Data []byte
}

// A File is an entry of a package's file system.
type File struct {
	Path     string // absolute; with a slash at the end it is a folder
	Content  string
	Link     string // the target of a symlink, when it is one
	HardLink string // the absolute path of an earlier file, when it is another name of that, with the same mode and owner
	Mode     int64  // permissions with setuid and the like; 0 means 0644, of folders 0755
	UID, GID int
}

// mtime is when everything in a package was changed last.
func mtime() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// withDefaults returns the description with what was left out filled in.
func (d Deb) withDefaults() Deb {
	if d.Version == "" {
		d.Version = "1.0"
	}
	if d.Arch == "" {
		d.Arch = "amd64"
	}
	fields := map[string]string{"Maintainer": "Nobody <nobody@example.org>", "Description": "package " + d.Name + " of a test", "Priority": "optional"}
	maps.Copy(fields, d.Fields)
	d.Fields = fields
	return d
}

// paragraph returns the control file without its last line's end.
func (d Deb) paragraph() string {
	lines := []string{"Package: " + d.Name, "Version: " + d.Version, "Architecture: " + d.Arch}
	for _, name := range slices.Sorted(maps.Keys(d.Fields)) {
		lines = append(lines, name+": "+d.Fields[name])
	}
	return strings.Join(lines, "\n")
}

// Build returns the .deb file: the same for equal descriptions.
func (d Deb) Build() ([]byte, error) {
	d = d.withDefaults()
	control, err := d.controlTar()
	if err != nil {
		return nil, err
	}
	data, err := d.dataTar()
	if err != nil {
		return nil, err
	}
	ext, pack, err := compressor(d.Compression)
	if err != nil {
		return nil, err
	}
	members := []struct {
		name    string
		content []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar" + ext, pack(control)}, {"data.tar" + ext, pack(data)}}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, mtime().Unix(), 0, 0, "100644", len(m.content))
		b.Write(m.content)
		if len(m.content)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), nil
}

func compressor(name string) (ext string, pack func([]byte) []byte, err error) {
	switch name {
	case "", "gz":
		return ".gz", compressGzip, nil
	case "zst":
		return ".zst", compressZstd, nil
	case "none":
		return "", func(b []byte) []byte { return b }, nil
	}
	return "", nil, fmt.Errorf("compress by %s: unknown", name)
}

func compressGzip(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data) // A buffer takes everything.
	_ = w.Close()
	return b.Bytes()
}

func compressZstd(data []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // The options are constants.
	}
	return w.EncodeAll(data, nil)
}

func (d Deb) controlTar() ([]byte, error) {
	files := []File{{Path: "/control", Content: d.paragraph() + "\n"}, {Path: "/md5sums", Content: d.sums()}}
	if len(d.Conffiles) > 0 {
		files = append(files, File{Path: "/conffiles", Content: strings.Join(d.Conffiles, "\n") + "\n"})
	}
	for _, name := range slices.Sorted(maps.Keys(d.Scripts)) {
		mode := int64(0o755)
		if name == "triggers" || name == "templates" || name == "shlibs" {
			mode = 0o644
		}
		files = append(files, File{Path: "/" + name, Content: d.Scripts[name], Mode: mode})
	}
	return tarOf(files)
}

// sums returns the md5sums file: what dpkg -V compares with.
func (d Deb) sums() string {
	var b strings.Builder
	for _, f := range d.Files {
		if f.Link == "" && f.HardLink == "" && !strings.HasSuffix(f.Path, "/") && !slices.Contains(d.Conffiles, f.Path) {
			fmt.Fprintf(&b, "%x  %s\n", md5.Sum([]byte(f.Content)), f.Path[1:])
		}
	}
	return b.String()
}

func (d Deb) dataTar() ([]byte, error) {
	if d.Data != nil {
		return d.Data, nil
	}
	given := map[string]bool{"/": true}
	var files []File
	for _, f := range d.Files {
		var above []File
		for dir := path.Dir(path.Clean(f.Path)); !given[dir]; dir = path.Dir(dir) {
			given[dir] = true
			above = append(above, File{Path: dir + "/"})
		}
		slices.Reverse(above)
		files = append(append(files, above...), f)
		given[path.Clean(f.Path)] = true
	}
	return tarOf(files)
}

func tarOf(files []File) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: mtime(), Uname: "root", Gname: "root", Format: tar.FormatGNU})
	written := map[string]File{}
	for _, f := range files {
		if first, ok := written[f.HardLink]; ok {
			// dpkg gives the file the mode and owner of the last of its names.
			f.Mode, f.UID, f.GID = first.Mode, first.UID, first.GID
		}
		if err == nil {
			err = writeEntry(w, f)
		}
		written[f.Path] = f
	}
	err = errors.Join(err, w.Close()) // Writes the end of the archive, without which tar refuses it.
	return b.Bytes(), err
}

func writeEntry(w *tar.Writer, f File) error {
	if !path.IsAbs(f.Path) {
		return fmt.Errorf("make package: the path %q is not absolute", f.Path)
	}
	h := &tar.Header{Name: "." + f.Path, Mode: f.Mode, Uid: f.UID, Gid: f.GID, ModTime: mtime(), Format: tar.FormatGNU, Typeflag: tar.TypeReg}
	standard := int64(0o644)
	switch {
	case strings.HasSuffix(f.Path, "/"):
		h.Typeflag, standard = tar.TypeDir, 0o755
	case f.Link != "":
		h.Typeflag, h.Linkname, standard = tar.TypeSymlink, f.Link, 0o777
	case f.HardLink != "":
		h.Typeflag, h.Linkname = tar.TypeLink, "."+f.HardLink
	default:
		h.Size = int64(len(f.Content))
	}
	if h.Mode == 0 {
		h.Mode = standard
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.WriteString(w, f.Content[:h.Size])
	return err
}
