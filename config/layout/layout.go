// Package layout lays out the Starlark of projects in the one way in which all files look the same.
package layout

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/bazelbuild/buildtools/build"
	"go.starlark.net/syntax"

	"nbuild/config"
	"nbuild/config/fault"
)

// Format returns the text of a file in the usual layout: that of buildifier, but nothing is put into another order. The text
// does the same as before; laid out again it stays as it is. What is wrong with the text comes back as a *fault.Error,
// whose positions have the name as their file.
func Format(name string, text []byte) ([]byte, error) {
	before, err := parse(name, text)
	if err != nil {
		return nil, err
	}
	file, err := build.ParseDefault(name, text)
	if err != nil {
		return nil, unknown(name, err)
	}
	formatted := build.FormatWithoutRewriting(file)
	// A program that replaces what people wrote had better look twice.
	after, err := parse(name, formatted)
	if err == nil && !slices.Equal(before, after) {
		err = errors.New("it would say something else")
	}
	if err != nil {
		return nil, fmt.Errorf("lay out %s: %w; this is a bug in nbuild, and the file stays as it was", name, err)
	}
	return formatted, nil
}

// parse returns what a text says, as the interpreter reads it: the nodes of its syntax tree without their places, and then
// its comments.
func parse(name string, text []byte) ([]string, error) {
	file, err := config.Parse(name, text, syntax.RetainComments)
	if err != nil {
		return nil, err
	}
	var nodes, comments []string
	syntax.Walk(file, func(n syntax.Node) bool {
		if n == nil {
			nodes = append(nodes, "end")
			return true
		}
		nodes = append(nodes, describe(n))
		if c := n.Comments(); c != nil {
			for _, comment := range slices.Concat(c.Before, c.Suffix, c.After) {
				comments = append(comments, "comment "+strings.TrimSpace(comment.Text))
			}
		}
		return true
	})
	slices.Sort(comments) // A comment may come to belong to another node.
	return append(nodes, comments...), nil
}

// describe returns a node's kind and what it says beside its children.
func describe(n syntax.Node) string {
	kind := reflect.TypeOf(n).Elem().Name()
	switch n := n.(type) {
	case *syntax.Ident:
		return kind + " " + n.Name
	case *syntax.Literal:
		return fmt.Sprintf("%s %s %v", kind, n.Token, n.Value)
	case *syntax.BinaryExpr:
		return kind + " " + n.Op.String()
	case *syntax.UnaryExpr:
		return kind + " " + n.Op.String()
	case *syntax.AssignStmt:
		return kind + " " + n.Op.String()
	case *syntax.BranchStmt:
		return kind + " " + n.Token.String()
	}
	return kind
}

// unknown returns the fault of a text that the interpreter understands and the formatter does not.
func unknown(name string, err error) error {
	it := fault.Item{Position: fault.Position{File: name}, What: "this can't be laid out: " + err.Error()}
	var wrong build.ParseError
	if errors.As(err, &wrong) {
		it.Position.Line, it.Position.Column = wrong.Pos.Line, wrong.Pos.LineRune
		it.What, it.Hint = "this can't be laid out: "+wrong.Message, "all of Starlark is known but while"
	}
	return fault.New(it)
}
