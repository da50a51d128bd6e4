package debian

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// maxLine bounds a line of a control file. The longest of trixie is 35 kB (a Provides of a Rust crate); a line without
// end must not fill the memory.
const maxLine = 1 << 20

// A fieldScanner reads the fields of a file of paragraphs (deb822(5)), line by line, without keeping anything.
type fieldScanner struct {
	in   *bufio.Reader
	file string // for errors
	line int    // of what next returned last
	long []byte // holds a line that is longer than the reader's buffer
}

func newFieldScanner(r io.Reader, file string) *fieldScanner {
	return &fieldScanner{in: bufio.NewReaderSize(r, 256<<10), file: file}
}

// next returns the next line: a field's name and the value behind it; or no name and what continues the value before; or
// neither, which is the blank line between paragraphs. Comments (lines that begin with #) are passed over. The slices are
// valid until the next call. It ends with io.EOF; errors of the reader are returned as they are.
func (s *fieldScanner) next() (name, value []byte, err error) {
	for {
		line, err := s.readLine()
		if err != nil {
			return nil, nil, err
		}
		s.line++
		switch {
		case len(line) == 0:
			return nil, nil, nil
		case line[0] == '#':
			continue
		case line[0] == ' ' || line[0] == '\t':
			value := bytes.TrimSpace(line)
			if len(value) == 0 {
				return nil, nil, nil // Only spaces: a blank line to dpkg.
			}
			return nil, value, nil
		}
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || bytes.IndexByte(line[:colon], ' ') >= 0 {
			return nil, nil, fmt.Errorf("%s:%d: %.60q is not \"Field: value\"", s.file, s.line, line)
		}
		return line[:colon], bytes.TrimSpace(line[colon+1:]), nil
	}
}

// readLine returns a line without its end. The last one may lack it.
func (s *fieldScanner) readLine() ([]byte, error) {
	line, err := s.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		s.long = s.long[:0]
		for err == bufio.ErrBufferFull && len(s.long) <= maxLine {
			s.long = append(s.long, line...)
			line, err = s.in.ReadSlice('\n')
		}
		s.long = append(s.long, line...)
		line = s.long
		if len(line) > maxLine {
			return nil, fmt.Errorf("%s:%d: the line is longer than %d bytes", s.file, s.line+1, maxLine)
		}
	}
	if err != nil && (err != io.EOF || len(line) == 0) {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// A paragraph is a small control paragraph: a Release file, or an entry of a .sources file.
type paragraph struct {
	line   int                  // of the first field
	fields map[string]fieldText // by name in lower case
}

type fieldText struct {
	line  int
	value string // lines that continue it follow after a newline each
}

// value returns the text of a field, whatever the case of its name; "" when it is missing.
func (p paragraph) value(name string) string { return p.fields[strings.ToLower(name)].value }

// words returns the words of a field.
func (p paragraph) words(name string) []string { return strings.Fields(p.value(name)) }

// parseParagraphs reads a small control file as a whole. A field that stands twice in a paragraph is an error.
func parseParagraphs(r io.Reader, file string) ([]paragraph, error) {
	s := newFieldScanner(r, file)
	var all []paragraph
	var current string // the field that a line may continue
	open := false
	for {
		name, value, err := s.next()
		switch {
		case err == io.EOF:
			return all, nil
		case err != nil:
			return nil, err
		case name == nil && value == nil:
			open, current = false, ""
			continue
		case name == nil && current == "":
			return nil, fmt.Errorf("%s:%d: %.60q continues no field", file, s.line, value)
		case name == nil:
			last := all[len(all)-1].fields
			last[current] = fieldText{last[current].line, last[current].value + "\n" + string(value)}
			continue
		case !open:
			all = append(all, paragraph{line: s.line, fields: map[string]fieldText{}})
			open = true
		}
		fields := all[len(all)-1].fields
		current = strings.ToLower(string(name))
		if before, twice := fields[current]; twice {
			return nil, fmt.Errorf("%s:%d: the field %s is in line %d already", file, s.line, name, before.line)
		}
		fields[current] = fieldText{s.line, string(value)}
	}
}
