package options

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// How long a formatted value gets.
const (
	maxFormatted = 16 << 20 // bytes; a value may hold the same value over and over
	maxShort     = 60       // bytes of a value in a message
)

// Format returns a value as it is written in Starlark, derivations by their names: derivation "hello". It depends on
// nothing but the value. What would be longer than 16 MiB or nests deeper than 1,000 levels is cut.
func Format(v starlark.Value) string { return format(v, maxFormatted) }

// short returns a value for a message.
func short(v starlark.Value) string { return format(v, maxShort) }

// describe says in a message what a value is.
func describe(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.String:
		return "the string " + short(v)
	case StoreObject, secret:
		return "the " + short(v)
	case starlark.Callable:
		return "a function"
	case *Type:
		return "a type"
	case *declaration:
		return "an option"
	case *group:
		return "a group of options"
	case starlark.NoneType, starlark.Bool, starlark.Int, starlark.Float, *starlark.List, starlark.Tuple, *starlark.Dict, *attributes, *property:
		return short(v)
	}
	return "a value of type " + v.Type()
}

func format(v starlark.Value, limit int) string {
	p := printer{limit: limit}
	p.value(v, 0)
	return p.b.String()
}

// A printer writes until its limit is reached.
type printer struct {
	b     strings.Builder
	limit int
	full  bool
}

// ellipsis stands for what is cut.
const ellipsis = "…"

func (p *printer) write(text string) {
	if p.full {
		return
	}
	if p.b.Len()+len(text) > p.limit {
		p.full = true
		text = text[:p.limit-p.b.Len()]
		for !utf8.ValidString(text) && len(text) > 0 { // Not half of a character.
			text = text[:len(text)-1]
		}
		text += ellipsis
	}
	p.b.WriteString(text)
}

func (p *printer) value(v starlark.Value, depth int) {
	if p.full {
		return
	}
	if depth > maxDepth {
		p.write(ellipsis)
		return
	}
	switch v := v.(type) {
	case starlark.String:
		p.text(string(v))
	case *starlark.List:
		p.list("[", v, "]", depth)
	case starlark.Tuple:
		p.tuple(v, depth)
	case *starlark.Dict, *attributes:
		p.dict(v, depth)
	case *property:
		name, arguments := v.call()
		p.list(name+"(", starlark.Tuple(append(arguments, v.values...)), ")", depth)
	case secret:
		p.write("secret(")
		p.text(v.path)
		p.write(")")
	case StoreObject:
		p.object(v)
	default:
		p.write(v.String())
	}
}

// text writes a string; of one that is much too long it doesn't look at the end.
func (p *printer) text(text string) {
	p.write(syntax.Quote(text[:min(len(text), p.limit+1)], false))
}

func (p *printer) list(open string, v starlark.Indexable, end string, depth int) {
	p.write(open)
	for i := 0; i < v.Len() && !p.full; i++ {
		if i > 0 {
			p.write(", ")
		}
		p.value(v.Index(i), depth+1)
	}
	p.write(end)
}

func (p *printer) tuple(v starlark.Tuple, depth int) {
	end := ")"
	if len(v) == 1 {
		end = ",)"
	}
	p.list("(", v, end, depth)
}

func (p *printer) dict(v starlark.Value, depth int) {
	entries, _ := entriesOf(v)
	p.write("{")
	first := true
	for k, v := range entries {
		if p.full {
			return
		}
		if !first {
			p.write(", ")
		}
		first = false
		p.value(k, depth+1)
		p.write(": ")
		p.value(v, depth+1)
	}
	p.write("}")
}

// object writes what a derivation is called. Its String is not asked for: that would make its path known to the
// evaluation.
func (p *printer) object(v StoreObject) {
	if named, ok := v.(starlark.HasAttrs); ok {
		if name, err := named.Attr("name"); err == nil && name != nil {
			p.write(v.Type() + " ")
			p.value(name, 0)
			return
		}
	}
	if v.Type() == "derivation" {
		p.write(v.Type())
		return
	}
	p.write(v.Type() + " ")
	p.text(v.String())
}

// JSON returns a value as JSON: derivations, sources and secrets as texts, attributes as objects of what is defined.
func JSON(v starlark.Value) ([]byte, error) {
	var b bytes.Buffer
	if err := writeJSON(&b, v, 0); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func writeJSON(b *bytes.Buffer, v starlark.Value, depth int) error {
	if depth > 2*maxDepth || b.Len() > maxFormatted {
		return fmt.Errorf("write JSON: the value nests too deep or is too long")
	}
	if elements, ok := elementsOf(v); ok {
		separator := byte('[')
		for e := range elements {
			b.WriteByte(separator)
			separator = ','
			if err := writeJSON(b, e, depth+1); err != nil {
				return err
			}
		}
		if separator == '[' {
			b.WriteByte('[')
		}
		b.WriteByte(']')
		return nil
	}
	if entries, ok := entriesOf(v); ok {
		separator := byte('{')
		for k, e := range entries {
			b.WriteByte(separator)
			separator = ','
			key, ok := starlark.AsString(k)
			if !ok {
				return fmt.Errorf("write JSON: want strings for keys, got %s", describe(k))
			}
			if err := writeScalar(b, key); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := writeJSON(b, e, depth+1); err != nil {
				return err
			}
		}
		if separator == '{' {
			b.WriteByte('{')
		}
		b.WriteByte('}')
		return nil
	}
	return writeJSONScalar(b, v)
}

func writeJSONScalar(b *bytes.Buffer, v starlark.Value) error {
	switch v := v.(type) {
	case starlark.NoneType:
		return writeScalar(b, nil)
	case starlark.Bool:
		return writeScalar(b, bool(v))
	case starlark.Int:
		b.WriteString(v.String())
		return nil
	case starlark.Float:
		return writeScalar(b, float64(v))
	case starlark.String:
		return writeScalar(b, string(v))
	case StoreObject, secret:
		return writeScalar(b, v.String())
	}
	return fmt.Errorf("write JSON: %s is no data", describe(v))
}

func writeScalar(b *bytes.Buffer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	b.Write(text)
	return nil
}
