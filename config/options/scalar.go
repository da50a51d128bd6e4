package options

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// A scalar is a type of values that don't merge: all definitions must agree.
type scalar struct {
	called  noun
	convert func(starlark.Value) starlark.Value // what readers see, nil when the value isn't one
	hint    func(starlark.Value) string         // what to do about a value that isn't one; may be nil
}

func (s *scalar) noun() noun               { return s.called }
func (s *scalar) submodules() []*submodule { return nil }

func (s *scalar) merge(m *merger, parts []part) starlark.Value {
	var first starlark.Value
	var firstPart part
	for _, p := range parts {
		v := s.convert(p.value)
		switch {
		case v == nil:
			hint := ""
			if s.hint != nil {
				hint = s.hint(p.value)
			}
			m.wrongType(p, s, hint)
		case first == nil:
			first, firstPart = v, p
		case !equal(first, v):
			m.conflict(p, firstPart)
		}
	}
	return first
}

// equal reports whether two values agree.
func equal(x, y starlark.Value) bool {
	same, err := starlark.EqualDepth(x, y, 2*maxDepth)
	return err == nil && same
}

func boolType() *scalar {
	return &scalar{called: noun{"True or False", "bool", "bools"}, convert: func(v starlark.Value) starlark.Value {
		if b, ok := v.(starlark.Bool); ok {
			return b
		}
		return nil
	}}
}

// numberType returns a type of ints that are in a range.
func numberType(called noun, within func(n starlark.Int) bool) *scalar {
	return &scalar{called: called, convert: func(v starlark.Value) starlark.Value {
		if n, ok := v.(starlark.Int); ok && within(n) {
			return n
		}
		return nil
	}}
}

func intType() *scalar {
	return numberType(noun{"an int", "int", "ints"}, func(starlark.Int) bool { return true })
}

func unsignedType() *scalar {
	return numberType(noun{"an int of 0 or more", "unsigned int", "unsigned ints"}, func(n starlark.Int) bool { return n.Sign() >= 0 })
}

func portType() *scalar {
	return numberType(noun{"a port, 1 to 65535", "port", "ports"}, func(n starlark.Int) bool {
		i, ok := n.Int64()
		return ok && 1 <= i && i <= 65535
	})
}

func floatType() *scalar {
	return &scalar{called: noun{"a float", "float", "floats"}, convert: func(v starlark.Value) starlark.Value {
		switch v := v.(type) {
		case starlark.Float:
			return v
		case starlark.Int:
			return v.Float()
		}
		return nil
	}}
}

func strType() *scalar {
	return &scalar{called: noun{"a string", "string", "strings"}, convert: asText}
}

// asText returns a string; that of a store object is its path.
func asText(v starlark.Value) starlark.Value {
	switch v := v.(type) {
	case starlark.String:
		return v
	case StoreObject:
		return starlark.String(v.String())
	}
	return nil
}

func pathType() *scalar {
	return &scalar{called: noun{"an absolute path, a derivation or a source", "path", "paths"}, convert: func(v starlark.Value) starlark.Value {
		switch v := v.(type) {
		case starlark.String:
			if strings.HasPrefix(string(v), "/") {
				return v
			}
		case StoreObject:
			return v
		}
		return nil
	}}
}

func packageType() *scalar {
	called := noun{`a Debian package, "name" or "name=version", or a derivation`, "package", "packages"}
	return &scalar{called: called, convert: func(v starlark.Value) starlark.Value {
		switch v := v.(type) {
		case starlark.String:
			if isPackage(string(v)) {
				return v
			}
		case StoreObject:
			if v.Type() == "derivation" || v.Broken() {
				return v
			}
		}
		return nil
	}}
}

// isPackage reports whether a text names a package as Debian Policy 5.6.1 and 5.6.12 want it.
func isPackage(text string) bool {
	name, version, hasVersion := strings.Cut(text, "=")
	return len(name) > 1 && isLowerOrDigit(name[0]) && consistsOf(name, "+-.") &&
		(!hasVersion || version != "" && consistsOf(strings.ToLower(version), "+-.~:"))
}

func isLowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

func consistsOf(text, others string) bool {
	for i := range len(text) {
		if !isLowerOrDigit(text[i]) && strings.IndexByte(others, text[i]) < 0 {
			return false
		}
	}
	return true
}

func secretType() *scalar {
	return &scalar{
		called: noun{"a secret", "secret", "secrets"},
		convert: func(v starlark.Value) starlark.Value {
			if s, ok := v.(secret); ok {
				return s
			}
			return nil
		},
		hint: func(starlark.Value) string {
			return `write secret("/run/keys/…"), the path of a file on the running system`
		},
	}
}

// enumType is the function types.enum.
func enumType(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) == 0 || len(kwargs) > 0 {
		return nil, fmt.Errorf("%s: want values, as in types.enum(\"tcp\", \"udp\")", b.Name())
	}
	var texts, formatted []string
	for _, v := range args {
		switch v := v.(type) {
		case starlark.String:
			texts = append(texts, string(v))
		case starlark.Int, starlark.Float, starlark.Bool, starlark.NoneType:
		default:
			return nil, fmt.Errorf("%s: want strings and numbers, got %s", b.Name(), describe(v))
		}
		formatted = append(formatted, Format(v))
	}
	list := strings.Join(formatted, ", ")
	return &Type{&scalar{
		called:  noun{"one of " + list, "one of " + list, "values out of " + list},
		convert: func(v starlark.Value) starlark.Value { return member(args, v) },
		hint: func(v starlark.Value) string {
			text, _ := starlark.AsString(v)
			return fault.DidYouMean(text, texts)
		},
	}}, nil
}

// member returns the one of values that equals v, or nil.
func member(values starlark.Tuple, v starlark.Value) starlark.Value {
	for _, value := range values {
		if value.Type() == v.Type() && equal(value, v) {
			return value
		}
	}
	return nil
}

// lines is the type of texts of which several are joined.
type lines struct{}

func (lines) noun() noun               { return noun{"a string", "lines", "lines"} }
func (lines) submodules() []*submodule { return nil }

func (l lines) merge(m *merger, parts []part) starlark.Value {
	var texts []string
	for _, p := range parts {
		text, ok := asText(p.value).(starlark.String)
		if !ok {
			m.wrongType(p, l, "")
			continue
		}
		texts = append(texts, string(text))
	}
	return starlark.String(strings.Join(texts, "\n"))
}
