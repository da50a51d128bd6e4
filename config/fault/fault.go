// Package fault says what is wrong in a project, and where.
package fault

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Position is a place in a project's file. The zero value is no place.
type Position struct {
	File   string // relative to the project's folder
	Line   int    // from 1; 0 when unknown
	Column int    // in characters, from 1; 0 when unknown
}

// String returns "file:line:col", as far as it is known.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Compare orders positions by file, line and column.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// An Item is one thing that is wrong in a project.
type Item struct {
	Position Position
	What     string     // what is wrong
	Hint     string     // what to do, or empty
	Callers  []Position // the calls that led to Position, the innermost first
}

// String returns "file:line:col: what; hint", and a line more for each caller.
func (it Item) String() string {
	var b strings.Builder
	if it.Position != (Position{}) {
		b.WriteString(it.Position.String() + ": ")
	}
	b.WriteString(it.What)
	if it.Hint != "" {
		b.WriteString("; " + it.Hint)
	}
	for _, caller := range it.Callers {
		b.WriteString("\n\tcalled at " + caller.String())
	}
	return b.String()
}

// An Error says that a project is wrong: the user's input, that is, and not nbuild.
// Items has at least one element; they are sorted by position, and no two are the same.
type Error struct {
	Items []Item
}

// Error returns a line for each item.
func (e *Error) Error() string {
	lines := make([]string, len(e.Items))
	for i, it := range e.Items {
		lines[i] = it.String()
	}
	return strings.Join(lines, "\n")
}

// New returns an error of items, of which there must be one at least. It sorts them in place.
func New(items ...Item) *Error {
	slices.SortStableFunc(items, func(a, b Item) int {
		return cmp.Or(a.Position.Compare(b.Position), cmp.Compare(a.String(), b.String()))
	})
	items = slices.CompactFunc(items, func(a, b Item) bool { return a.String() == b.String() })
	return &Error{Items: items}
}
