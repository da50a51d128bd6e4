package config

import (
	"errors"

	"go.starlark.net/syntax"

	"nbuild/config/fault"
)

// Parse parses the text of a project's file, called name in positions, as Evaluate would: with the same dialect and the
// same limits. What is wrong with it comes back as an *Error.
func Parse(name string, text []byte, mode syntax.Mode) (*syntax.File, error) {
	if it := checkText(text); it.What != "" {
		it.Position.File = name
		return nil, fault.New(it)
	}
	options := &syntax.FileOptions{Set: true, While: true, TopLevelControl: true}
	file, err := options.Parse(name, text, mode)
	var wrong syntax.Error
	if errors.As(err, &wrong) {
		at := Position{File: name, Line: int(wrong.Pos.Line), Column: int(wrong.Pos.Col)}
		return nil, fault.New(Item{Position: at, What: wrong.Msg})
	}
	return file, err
}
