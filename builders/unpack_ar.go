package builders

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The ar format as deb(5) uses it: a magic line, then members of a 60-byte header and the data, padded to even length.
const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	arHeaderEnd  = "`\n"

	// maxMembers bounds the walk: a .deb has three members, and a few more when it is signed.
	maxMembers = 64
)

// An arMember is one file of an ar archive, and where its data lies.
type arMember struct {
	name         string
	offset, size int64
}

// readAr returns the members of an archive of the given size.
func readAr(r io.ReaderAt, size int64) ([]arMember, error) {
	magic := make([]byte, len(arMagic))
	if err := readFullAt(r, magic, 0); err != nil || string(magic) != arMagic {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, refusef("not an ar archive: it begins with %q, not with %q", bytes.TrimRight(magic, "\x00"), arMagic)
	}
	var members []arMember
	for offset := int64(len(arMagic)); offset < size; {
		if len(members) == maxMembers {
			return nil, refusef("more than %d members", maxMembers)
		}
		m, err := readArMember(r, offset)
		if err != nil {
			return nil, err
		}
		if m.size > size-m.offset {
			return nil, refusef("truncated: member %s has %d bytes, only %d are there", quoteName(m.name), m.size, size-m.offset)
		}
		members = append(members, m)
		offset = m.offset + m.size + m.size&1
	}
	return members, nil
}

func readArMember(r io.ReaderAt, offset int64) (arMember, error) {
	var header [arHeaderSize]byte
	if err := readFullAt(r, header[:], offset); errors.Is(err, io.EOF) {
		return arMember{}, refusef("truncated: the member header at byte %d is not whole", offset)
	} else if err != nil {
		return arMember{}, err
	}
	if string(header[58:]) != arHeaderEnd {
		return arMember{}, refusef("no member header at byte %d", offset)
	}
	// dpkg-deb writes "name            ", GNU ar "name/           ".
	name := strings.TrimSuffix(strings.TrimRight(string(header[:16]), " "), "/")
	text := strings.TrimRight(string(header[48:58]), " ")
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil {
		return arMember{}, refusef("member %s has the size %q", quoteName(name), text)
	}
	return arMember{name: name, offset: offset + arHeaderSize, size: int64(n)}, nil
}

// readFullAt fills b, or returns an error that is io.EOF when the file ends before.
func readFullAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	return err
}

// A debFile says where in a .deb its two archives lie and how they are compressed.
type debFile struct {
	control, data             arMember
	controlMethod, dataMethod method
}

// readDeb finds the parts of a binary package, by the rules of deb(5): debian-binary, control.tar and data.tar in this
// order, members whose names begin with "_" ignored, anything after data.tar ignored.
func readDeb(r io.ReaderAt, size int64) (debFile, error) {
	members, err := readAr(r, size)
	if err != nil {
		return debFile{}, err
	}
	if err := checkDebVersion(r, members); err != nil {
		return debFile{}, err
	}
	var deb debFile
	parts := []struct {
		stem   string
		member *arMember
		method *method
	}{{"control.tar", &deb.control, &deb.controlMethod}, {"data.tar", &deb.data, &deb.dataMethod}}
	rest := members[1:]
	for _, part := range parts {
		for len(rest) > 0 && strings.HasPrefix(rest[0].name, "_") {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return debFile{}, refusef("it has no member %s", part.stem)
		}
		suffix, ok := strings.CutPrefix(rest[0].name, part.stem)
		if !ok {
			return debFile{}, refusef("member %s where %s should be", quoteName(rest[0].name), part.stem)
		}
		if *part.method, ok = methodOfSuffix(suffix); !ok {
			return debFile{}, refusef("member %s: unknown compression %q", quoteName(rest[0].name), strings.TrimPrefix(suffix, "."))
		}
		*part.member, rest = rest[0], rest[1:]
	}
	return deb, nil
}

func checkDebVersion(r io.ReaderAt, members []arMember) error {
	if len(members) == 0 || members[0].name != "debian-binary" {
		return refusef("not a Debian package: the first member is not debian-binary")
	}
	version := make([]byte, min(members[0].size, 16))
	if err := readFullAt(r, version, members[0].offset); err != nil {
		return fmt.Errorf("read debian-binary: %w", err)
	}
	if !bytes.HasPrefix(version, []byte("2.")) {
		return refusef("debian-binary says format %q, only 2.0 is known", bytes.TrimSpace(version))
	}
	return nil
}
