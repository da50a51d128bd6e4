package options

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// lineWidth is how many characters a line may have before a value in it is put on several.
const lineWidth = 100

// FormatLines returns a value as Format does, but on several lines where it is long: a list or dictionary has then a line
// for each element, and a text of several lines stands in triple quotes. On its first line there are column characters
// before it; its other lines are indented by indent.
func FormatLines(v starlark.Value, indent, column int) string {
	p := printer{limit: maxFormatted}
	p.lines(v, indent, column, 0)
	return p.b.String()
}

func (p *printer) lines(v starlark.Value, indent, column, depth int) {
	if text, ok := v.(starlark.String); ok && isReadableLines(string(text)) {
		p.write(`"""` + string(text) + `"""`)
		return
	}
	room := max(1, lineWidth-column)
	elements, isList := elementsOf(v)
	entries, isDict := entriesOf(v)
	switch line := format(v, room); {
	case utf8.RuneCountInString(line) <= room && !strings.HasSuffix(line, ellipsis):
		p.write(line)
	case p.full || depth > maxDepth:
		p.write(ellipsis)
	case isList:
		open, end := "[", "]"
		if _, isTuple := v.(starlark.Tuple); isTuple {
			open, end = "(", ")"
		}
		p.write(open)
		for e := range elements {
			p.line(indent + 4)
			p.lines(e, indent+4, indent+4, depth+1)
			p.write(",")
		}
		p.line(indent)
		p.write(end)
	case isDict:
		p.write("{")
		for k, e := range entries {
			p.line(indent + 4)
			key := format(k, maxFormatted) + ": "
			p.write(key)
			p.lines(e, indent+4, indent+4+utf8.RuneCountInString(key), depth+1)
			p.write(",")
		}
		p.line(indent)
		p.write("}")
	default:
		p.value(v, depth)
	}
}

func (p *printer) line(indent int) { p.write("\n" + strings.Repeat(" ", indent)) }

// isReadableLines reports whether a text has several lines, and means in triple quotes what it is.
func isReadableLines(text string) bool {
	if !strings.Contains(strings.TrimSuffix(text, "\n"), "\n") || strings.HasSuffix(text, `"`) || strings.Contains(text, `"""`) {
		return false
	}
	for _, c := range text {
		if c == '\\' || c == utf8.RuneError || c != '\n' && c != '\t' && !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}
