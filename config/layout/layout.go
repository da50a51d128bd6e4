// Package layout lays out the Starlark of projects in the one way in which all files look the same.
package layout

import (
	"bytes"
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
	// The interpreter takes a lone carriage return for the end of a line as well, the formatter for a space.
	text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
	before, file, err := parse(name, text)
	if err != nil {
		return nil, err
	}
	formatted := build.FormatWithoutRewriting(file)
	// A program that replaces what people wrote had better look twice.
	after, _, err := parse(name, formatted)
	if err == nil && !slices.Equal(before, after) {
		err = errors.New("it would say something else")
	}
	if err != nil {
		return nil, fmt.Errorf("lay out %s: %w; this is a bug in nbuild, and the file stays as it was", name, err)
	}
	return formatted, nil
}

// parse returns the syntax tree of a text as the formatter reads it, and what the text says as the interpreter reads it:
// the nodes of its tree without their places, and then the comments.
func parse(name string, text []byte) (said []string, file *build.File, err error) {
	tree, err := config.Parse(name, text, 0)
	if err != nil {
		return nil, nil, err
	}
	if file, err = build.ParseDefault(name, text); err != nil {
		return nil, nil, unknown(name, err)
	}
	var ends []string // of the nodes that are open
	syntax.Walk(tree, func(n syntax.Node) bool {
		text := ""
		switch n.(type) {
		case nil:
			text, ends = ends[len(ends)-1], ends[:len(ends)-1]
		case *syntax.ParenExpr: // What it is about, the tree says as well.
			ends = append(ends, "")
		default:
			text, ends = describe(n), append(ends, "end")
		}
		if text != "" {
			said = append(said, text)
		}
		return true
	})
	return append(said, comments(file)...), file, nil
}

// comments returns the comments of a file, sorted: one may come to belong to another node. The interpreter's parser loses
// those that follow without a space.
func comments(file *build.File) (texts []string) {
	build.Walk(file, func(x build.Expr, _ []build.Expr) {
		c := x.Comment()
		for _, comment := range slices.Concat(c.Before, c.Suffix, c.After) {
			texts = append(texts, strings.TrimSpace(comment.Token))
		}
	})
	slices.Sort(texts)
	return texts
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
