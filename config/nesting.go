package config

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// The parser and the interpreter go down nested texts and values by recursion, and a Go program whose stack is full ends
// without a chance to say why. So how deep a project nests is checked before they see it.
const (
	maxNesting     = 10_000 // levels of values in each other; 1,000,000 would take some 100 MB of stack
	maxOpenTokens  = 20_000 // tokens of unfinished expressions; each costs the parser up to 2 KB of stack
	maxIndentation = 500    // columns
)

func tooDeepValue(name string) string {
	return fmt.Sprintf("the value of %s nests deeper than %d levels", name, maxNesting)
}

// variableTooDeep returns the name of a variable of the running functions whose value nests deeper than maxNesting, or "".
func variableTooDeep(t *starlark.Thread) string {
	seen := map[any]bool{}
	for depth := range t.CallStackDepth() {
		frame := t.DebugFrame(depth)
		for i := range frame.NumLocals() {
			if binding, v := frame.Local(i); v != nil && nestsTooDeep(v, seen) {
				return binding.Name
			}
		}
		if f, ok := frame.Callable().(*starlark.Function); ok {
			if name := globalTooDeep(f.Globals(), seen); name != "" {
				return name
			}
		}
	}
	return ""
}

// globalTooDeep returns the name of a global whose value nests deeper than maxNesting, or "".
func globalTooDeep(globals starlark.StringDict, seen map[any]bool) string {
	for _, name := range globals.Keys() {
		if nestsTooDeep(globals[name], seen) {
			return name
		}
	}
	return ""
}

// nestsTooDeep reports whether v nests deeper than maxNesting. It leaves out what is in seen, and adds to it.
//
// Approach: walk depth first in the order in which freezing does, with a stack of our own, and never into the same
// container twice.
func nestsTooDeep(v starlark.Value, seen map[any]bool) bool {
	stack := [][]starlark.Value{{v}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(*top) == 0 {
			stack = stack[:len(stack)-1]
			continue
		}
		v := (*top)[0]
		*top = (*top)[1:]
		key, children := contents(v)
		if key == nil || seen[key] {
			continue
		}
		seen[key] = true
		if stack = append(stack, children); len(stack) > maxNesting {
			return true
		}
	}
	return false
}

// contents returns the values in a container, in order, and something that tells it from other containers.
// The key is nil for what holds no values.
func contents(v starlark.Value) (key any, values []starlark.Value) {
	switch v := v.(type) {
	case *starlark.List:
		return v, slices.Collect(v.Elements())
	case starlark.Tuple:
		if len(v) == 0 {
			return nil, nil
		}
		return &v[0], v
	case *starlark.Dict:
		for _, item := range v.Items() {
			values = append(values, item[0], item[1])
		}
		return v, values
	case *starlark.Set:
		return v, slices.Collect(v.Elements())
	case *starlarkstruct.Struct:
		for _, value := range v.Entries() {
			values = append(values, value)
		}
		return v, values
	case *starlark.Builtin:
		return v, []starlark.Value{v.Receiver()}
	case *starlark.Function:
		for i := range v.NumFreeVars() {
			_, value := v.FreeVar(i)
			values = append(values, value)
		}
		for i := range v.NumParams() {
			values = append(values, v.ParamDefault(i))
		}
		return v, values
	}
	return nil, nil
}

// checkText returns what in a file of Starlark the parser can't be given, if anything: what nests too deep for it, and
// what is no text. A zero byte it would take for the end of the file.
//
// Approach: read tokens, roughly. Each token may make the parser go a level deeper until the expression it is part of
// ends: with a comma (but for those between a lambda's parameters), at the end of its brackets, or, outside of brackets,
// with the line. So count the tokens of all expressions that are open.
func checkText(text []byte) Item {
	if at := firstBadByte(text); at >= 0 {
		line := 1 + bytes.Count(text[:at], []byte("\n"))
		return Item{Position: Position{Line: line}, What: fmt.Sprintf("the byte %#02x is not part of a text in UTF-8", text[at])}
	}
	s := tokenScanner{text: text, line: 1, open: make([]openExpression, 1)}
	for s.next() {
		if s.total > maxOpenTokens {
			return Item{
				Position: Position{Line: s.line},
				What:     fmt.Sprintf("an expression has more than %d parts", maxOpenTokens),
				Hint:     "give its parts names of their own",
			}
		}
		if s.indentation > maxIndentation {
			return Item{Position: Position{Line: s.line}, What: fmt.Sprintf("a line is indented by more than %d columns", maxIndentation)}
		}
	}
	return Item{}
}

// firstBadByte returns where text isn't UTF-8 or has a zero byte, or -1.
func firstBadByte(text []byte) int {
	if utf8.Valid(text) {
		return bytes.IndexByte(text, 0)
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == 0 || r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

type tokenScanner struct {
	text        []byte
	line        int
	open        []openExpression // one at each depth of brackets
	total       int              // the sum of their tokens
	indentation int              // of the line, until its first token
	started     bool             // the line has a token
}

type openExpression struct {
	tokens int
	lambda bool // has one, so that a comma may not be its end
}

// next takes a token, comment, blank or newline off the text. It reports false at the end.
func (s *tokenScanner) next() bool {
	if len(s.text) == 0 {
		return false
	}
	switch c := s.text[0]; {
	case c == '\n':
		s.newline()
	case c == ' ' || c == '\t' || c == '\r':
		if !s.started && len(s.open) == 1 {
			s.indentation++
		}
		s.text = s.text[1:]
	case c == '#':
		s.skip(func(c byte) bool { return c != '\n' })
	case c == '"' || c == '\'':
		s.token()
		s.quoted(c)
	case isWord(c):
		s.token()
		if word := s.skip(isWord); string(word) == "lambda" {
			s.top().lambda = true
		}
	case c == '\\' && bytes.HasPrefix(s.text[1:], []byte("\n")):
		s.text = s.text[2:]
		s.line++
	default:
		s.token()
		s.bracket(c)
		s.text = s.text[1:]
	}
	return true
}

func (s *tokenScanner) newline() {
	s.text = s.text[1:]
	s.line++
	s.started = false
	if len(s.open) == 1 {
		s.end()
		s.indentation = 0
	}
}

func (s *tokenScanner) token() {
	s.started = true
	s.top().tokens++
	s.total++
}

func (s *tokenScanner) top() *openExpression { return &s.open[len(s.open)-1] }

// end ends the expression at the present depth.
func (s *tokenScanner) end() {
	s.total -= s.top().tokens
	*s.top() = openExpression{}
}

func (s *tokenScanner) bracket(c byte) {
	switch c {
	case '(', '[', '{':
		s.open = append(s.open, openExpression{})
	case ')', ']', '}':
		s.end()
		if len(s.open) > 1 {
			s.open = s.open[:len(s.open)-1]
		}
	case ',', ';':
		if !s.top().lambda {
			s.end()
		}
	}
}

func (s *tokenScanner) skip(while func(byte) bool) []byte {
	i := 0
	for i < len(s.text) && while(s.text[i]) {
		i++
	}
	skipped := s.text[:i]
	s.text = s.text[i:]
	return skipped
}

// quoted takes a literal in one or three quotes off the text; one in single quotes ends with the line at the latest,
// unless a backslash joins the next line to it.
func (s *tokenScanner) quoted(quote byte) {
	long := len(s.text) > 2 && s.text[1] == quote && s.text[2] == quote
	i := 1
	if long {
		i = 3
	}
	for ; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '\\' && i+1 < len(s.text):
			i++
			if s.text[i] == '\n' {
				s.line++
			}
		case c == '\n' && !long:
			s.text = s.text[i:]
			return
		case c == '\n':
			s.line++
		case c == quote && !long:
			s.text = s.text[i+1:]
			return
		case c == quote && i+2 < len(s.text) && s.text[i+1] == quote && s.text[i+2] == quote:
			s.text = s.text[i+3:]
			return
		}
	}
	s.text = nil
}

func isWord(c byte) bool {
	return c == '_' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
