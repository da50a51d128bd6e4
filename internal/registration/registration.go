// Package registration has the registration of a set of store objects, as text: what a store must know of them besides
// their trees. An image that carries objects into another store has it beside them.
//
// The first line is "nbuild registration 1". Then, for each object, sorted by path, come a line
//
//	object <store path> <digest of the tree> <size>
//
// and, for each other object that it refers to, sorted, a line
//
//	reference <store path>
//
// The digest is in lower-case hexadecimal, the size the sum of the sizes of the object's regular files in bytes.
package registration

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

const header = "nbuild registration 1\n"

// An Entry is what a registration says of one object. The zero value is invalid.
type Entry struct {
	Path       storepath.Path
	Digest     digest.Digest    // of the object's tree
	Size       int64            // sum of the sizes of its regular files in bytes
	References []storepath.Path // other objects that it names, sorted
}

// Format sorts entries by path and returns their registration. Each object may be there once.
func Format(entries []Entry) []byte {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(string(a.Path), string(b.Path)) })
	b := []byte(header)
	for _, e := range entries {
		b = fmt.Appendf(b, "object %s %s %d\n", e.Path, e.Digest, e.Size)
		for _, r := range e.References {
			b = fmt.Appendf(b, "reference %s\n", r)
		}
	}
	return b
}

// Parse reads a registration. What it takes is, byte for byte, what Format returns for the entries; its errors name the
// line.
func Parse(text []byte) ([]Entry, error) {
	rest, ok := bytes.CutPrefix(text, []byte(header))
	if !ok {
		return nil, fmt.Errorf("registration: line 1: want %q", strings.TrimSuffix(header, "\n"))
	}
	var entries []Entry
	number := 1
	for line := range strings.Lines(string(rest)) {
		number++
		var err error
		if entries, err = addLine(entries, line); err != nil {
			return nil, fmt.Errorf("registration: line %d: %w", number, err)
		}
	}
	return entries, nil
}

// addLine adds what a line says to the entries.
func addLine(entries []Entry, line string) ([]Entry, error) {
	line, ended := strings.CutSuffix(line, "\n")
	if !ended {
		return nil, errors.New("the end of the line is missing")
	}
	keyword, rest, _ := strings.Cut(line, " ")
	switch keyword {
	case "object":
		e, err := parseObject(rest)
		if err == nil && len(entries) > 0 && entries[len(entries)-1].Path >= e.Path {
			err = fmt.Errorf("object %s is not in its place", e.Path)
		}
		return append(entries, e), err
	case "reference":
		return entries, addReference(entries, rest)
	}
	return nil, fmt.Errorf("want an object or a reference, got %.80q", line)
}

func parseObject(text string) (e Entry, err error) {
	fields := strings.Split(text, " ")
	if len(fields) != 3 {
		return e, fmt.Errorf("want a store path, a digest and a size, got %.80q", text)
	}
	if e.Path, err = storepath.Parse(fields[0]); err != nil {
		return e, err
	}
	if e.Digest, err = digest.Parse(fields[1]); err != nil || e.Digest.String() != fields[1] {
		return e, fmt.Errorf("want a digest in lower-case hexadecimal, got %.80q", fields[1])
	}
	if e.Size, err = strconv.ParseInt(fields[2], 10, 64); err != nil || e.Size < 0 || strconv.FormatInt(e.Size, 10) != fields[2] {
		return e, fmt.Errorf("want a size in bytes, got %.80q", fields[2])
	}
	return e, nil
}

// addReference adds a reference to the last entry.
func addReference(entries []Entry, text string) error {
	if len(entries) == 0 {
		return errors.New("a reference comes before the first object")
	}
	path, err := storepath.Parse(text)
	if err != nil {
		return err
	}
	last := &entries[len(entries)-1]
	if n := len(last.References); path == last.Path || n > 0 && last.References[n-1] >= path {
		return fmt.Errorf("reference %s is not in its place", path)
	}
	last.References = append(last.References, path)
	return nil
}
