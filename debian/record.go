package debian

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A record is a package as an index or the lock describes it. Of 70,000 records of an archive a few hundred are ever
// looked at, so only name and version are cut out when the index is read; the rest is found in text when it is asked for.
type record struct {
	name, version string // parts of text
	text          string // the kept fields: for each the tag, the value, a newline
	pocket        *pocket
	essential     bool
	next          int32 // the next record of the same name in the universe, -1 for none
}

// A pocket is a part of an archive with its own Release file, as trixie-security is.
type pocket struct {
	archive string // ArchiveMain or ArchiveSecurity
	suite   string
}

// The tags of kept fields. A byte instead of the name saves 8 MB on trixie.
const (
	tagPackage      = 'n'
	tagVersion      = 'v'
	tagArchitecture = 'a'
	tagMultiArch    = 'm'
	tagEssential    = 'e'
	tagPriority     = 'p'
	tagPreDepends   = 'P'
	tagDepends      = 'D'
	tagRecommends   = 'R'
	tagProvides     = 'V'
	tagConflicts    = 'C'
	tagBreaks       = 'B'
	tagFilename     = 'f'
	tagSize         = 's'
	tagSHA256       = 'h'
)

// fieldTag returns the tag of a field of Packages, 0 for one that isn't kept. The archive's tools write the names in this
// case; folding it would double the time of the scan.
func fieldTag(name []byte) byte {
	switch string(name) {
	case "Package":
		return tagPackage
	case "Version":
		return tagVersion
	case "Architecture":
		return tagArchitecture
	case "Multi-Arch":
		return tagMultiArch
	case "Essential":
		return tagEssential
	case "Priority":
		return tagPriority
	case "Pre-Depends":
		return tagPreDepends
	case "Depends":
		return tagDepends
	case "Recommends":
		return tagRecommends
	case "Provides":
		return tagProvides
	case "Conflicts":
		return tagConflicts
	case "Breaks":
		return tagBreaks
	case "Filename":
		return tagFilename
	case "Size":
		return tagSize
	case "SHA256":
		return tagSHA256
	}
	return 0
}

// parsePackages reads a Packages file and calls add for each paragraph. file is for errors, which name the line. Errors of
// the reader are returned as they are.
func parsePackages(r io.Reader, file string, add func(record)) error {
	s := newFieldScanner(r, file)
	var b recordBuilder
	for {
		name, value, err := s.next()
		if err != nil && err != io.EOF {
			return err
		}
		if name != nil || value != nil {
			b.take(name, value)
			continue
		}
		if len(b.text) > 0 {
			rec, reason := b.record()
			if reason != "" {
				return fmt.Errorf("%s:%d: the package that ends here has %s", file, s.line, reason)
			}
			add(rec)
		}
		if err == io.EOF {
			return nil
		}
	}
}

// A recordBuilder collects the kept fields of a paragraph. It is used again for the next one.
type recordBuilder struct {
	text          []byte
	keep          bool // whether a line that continues the field is kept
	name, version span
	essential     bool
}

type span struct{ from, to int }

func (b *recordBuilder) take(name, value []byte) {
	if name == nil {
		if b.keep {
			b.text[len(b.text)-1] = ' ' // The newline behind the field.
			b.text = append(append(b.text, value...), '\n')
		}
		return
	}
	tag := fieldTag(name)
	b.keep = tag != 0
	if !b.keep {
		return
	}
	b.text = append(b.text, tag)
	at := span{len(b.text), len(b.text) + len(value)}
	b.text = append(append(b.text, value...), '\n')
	switch tag {
	case tagPackage:
		b.name = at
	case tagVersion:
		b.version = at
	case tagEssential:
		b.essential = string(value) == "yes"
	}
}

// record returns what was collected, or what is wrong with it, and begins anew.
func (b *recordBuilder) record() (rec record, reason string) {
	text := string(b.text)
	rec = record{
		name:      text[b.name.from:b.name.to],
		version:   text[b.version.from:b.version.to],
		text:      text,
		essential: b.essential,
		next:      -1,
	}
	*b = recordBuilder{text: b.text[:0]}
	if !isPackageName(rec.name) {
		return rec, fmt.Sprintf("the name %q", rec.name)
	}
	if rec.version == "" {
		return rec, "no Version"
	}
	return rec, ""
}

// field returns the value of a kept field, "" when the package lacks it.
func (r *record) field(tag byte) string {
	for text := r.text; text != ""; {
		end := strings.IndexByte(text, '\n')
		if text[0] == tag {
			return text[1:end]
		}
		text = text[end+1:]
	}
	return ""
}

// groups parses the dependency field of a tag.
func (r *record) groups(tag byte) ([]group, error) {
	groups, err := parseGroups(r.field(tag))
	if err != nil {
		return nil, fmt.Errorf("read package %s %s: %v", r.name, r.version, err)
	}
	return groups, nil
}

// asPackage reads the rest of the record, and checks what later steps rely on.
func (r *record) asPackage() (Package, error) {
	p := Package{
		Name:         r.name,
		Version:      r.version,
		Architecture: r.field(tagArchitecture),
		Archive:      r.pocket.archive,
		Path:         r.field(tagFilename),
		SHA256:       r.field(tagSHA256),
		MultiArch:    r.field(tagMultiArch),
		Essential:    r.essential,
		Priority:     r.field(tagPriority),
	}
	var err error
	p.Size, err = strconv.ParseInt(r.field(tagSize), 10, 64)
	if err != nil {
		return p, fmt.Errorf("read package %s %s: the size %q is not a number", r.name, r.version, r.field(tagSize))
	}
	if err := p.validate(); err != nil {
		return p, fmt.Errorf("read package %s %s of %s: %v", r.name, r.version, r.pocket.suite, err)
	}
	return p, nil
}
