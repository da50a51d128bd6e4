// Package owners has the ownership manifest: the owners and modes of a tree that the store doesn't keep, as text.
//
// A manifest has a line for each entry that is not plain, sorted by path:
//
//	<f|d|l> <mode octal> <uid> <gid> <path>
//
// The kind is a file, folder (directory) or link. The mode has the permission, setuid, setgid and sticky bits. The path is
// absolute, and quoted like a string of C when it has blanks, quotes, backslashes or control characters.
package owners

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The kinds of entries.
const (
	File   = 'f'
	Folder = 'd'
	Link   = 'l'
)

// maxMode is the permission bits with setuid, setgid and sticky.
const maxMode = 0o7777

// An Entry is one line of a manifest. The zero value is invalid.
type Entry struct {
	Kind     byte // File, Folder or Link
	Mode     uint32
	UID, GID uint32
	Path     string // absolute
}

// IsPlain reports whether e says nothing that the store doesn't keep: owner 0:0, and mode 0755 of a folder, 0755 or 0644
// of a file. A link's mode means nothing.
func (e Entry) IsPlain() bool {
	if e.UID != 0 || e.GID != 0 {
		return false
	}
	return e.Kind == Link || e.Mode == 0o755 || e.Kind == File && e.Mode == 0o644
}

// Append appends e's line to b.
func Append(b []byte, e Entry) []byte {
	b = append(b, e.Kind, ' ')
	b = strconv.AppendUint(b, uint64(e.Mode), 8)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(e.UID), 10)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(e.GID), 10)
	b = append(b, ' ')
	b = appendPath(b, e.Path)
	return append(b, '\n')
}

// Format sorts entries by path and returns the manifest of them.
func Format(entries []Entry) []byte {
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	var b []byte
	for _, e := range entries {
		b = Append(b, e)
	}
	return b
}

// appendPath writes a path as it is, or quoted: \" and \\, \n, \t, and three octal digits for other control characters.
// Bytes of 0x80 and above stay as they are.
func appendPath(b []byte, path string) []byte {
	if !strings.ContainsFunc(path, needsQuotes) {
		return append(b, path...)
	}
	b = append(b, '"')
	for i := range len(path) {
		switch c := path[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

func needsQuotes(c rune) bool {
	return c <= ' ' || c == '"' || c == '\'' || c == '\\' || c == 0x7f
}

// Parse reads a manifest. The entries must be sorted by path, each path once.
func Parse(b []byte) ([]Entry, error) {
	var entries []Entry
	for n := 1; len(b) > 0; n++ {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("parse ownership manifest: line %d has no end", n)
		}
		e, err := parseLine(string(line))
		if err != nil {
			return nil, fmt.Errorf("parse ownership manifest: line %d: %v", n, err)
		}
		if len(entries) > 0 && entries[len(entries)-1].Path >= e.Path {
			return nil, fmt.Errorf("parse ownership manifest: line %d: %q is not sorted, or there twice", n, e.Path)
		}
		entries, b = append(entries, e), rest
	}
	return entries, nil
}

func parseLine(line string) (Entry, error) {
	fields := strings.SplitN(line, " ", 5)
	if len(fields) != 5 {
		return Entry{}, fmt.Errorf("want 5 fields, got %d", len(fields))
	}
	if kind := fields[0]; kind != "f" && kind != "d" && kind != "l" {
		return Entry{}, fmt.Errorf("kind %q: want f, d or l", kind)
	}
	mode, err := strconv.ParseUint(fields[1], 8, 32)
	if err != nil || mode > maxMode {
		return Entry{}, fmt.Errorf("mode %q: want at most 7777, octal", fields[1])
	}
	uid, err := strconv.ParseUint(fields[2], 10, 32)
	if err != nil {
		return Entry{}, fmt.Errorf("uid %q: want a number", fields[2])
	}
	gid, err := strconv.ParseUint(fields[3], 10, 32)
	if err != nil {
		return Entry{}, fmt.Errorf("gid %q: want a number", fields[3])
	}
	path, err := parsePath(fields[4])
	if err != nil {
		return Entry{}, err
	}
	return Entry{Kind: fields[0][0], Mode: uint32(mode), UID: uint32(uid), GID: uint32(gid), Path: path}, nil
}

func parsePath(text string) (string, error) {
	path := text
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		if quoted, ok = strings.CutSuffix(quoted, `"`); !ok {
			return "", fmt.Errorf("path %s: no closing quote", text)
		}
		var err error
		if path, err = unquote(quoted); err != nil {
			return "", fmt.Errorf("path %s: %v", text, err)
		}
	} else if strings.ContainsFunc(text, needsQuotes) {
		return "", fmt.Errorf("path %q: wants quotes", text)
	}
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "\x00") {
		return "", fmt.Errorf("path %q: want an absolute one", path)
	}
	return path, nil
}

func unquote(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '"' {
			return "", fmt.Errorf("a quote inside")
		}
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		c, length, err := unescape(s[i+1:])
		if err != nil {
			return "", err
		}
		b.WriteByte(c)
		i += length
	}
	return b.String(), nil
}

// unescape returns the byte that what follows a backslash stands for, and how many bytes that is.
func unescape(s string) (c byte, length int, err error) {
	if s == "" {
		return 0, 0, fmt.Errorf("a backslash at the end")
	}
	switch s[0] {
	case '"', '\\':
		return s[0], 1, nil
	case 'n':
		return '\n', 1, nil
	case 't':
		return '\t', 1, nil
	}
	if len(s) < 3 {
		return 0, 0, fmt.Errorf("unknown escape \\%s", s)
	}
	n, err := strconv.ParseUint(s[:3], 8, 8)
	if err != nil {
		return 0, 0, fmt.Errorf("unknown escape \\%s", s[:3])
	}
	return byte(n), 3, nil
}
