package derivations

import (
	"slices"

	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// The first lines of the two canonical texts; docs/formats.md has both formats with test vectors.
const (
	textHeader   = "nbuild-derivation 1\n"
	actionHeader = "nbuild-action 1\n"
	fixedHeader  = "nbuild-fixed 1\n"
)

// A field is one line of a canonical text: a keyword and the values after it.
// Text, Key and Explain all come from the one walk over fields that is in walk.
type field struct {
	keyword string
	values  []string
}

// walk calls f for each field of a derivation in canonical order. input gives the values that stand for an input.
func walk(s *Spec, input func(Input) []string, f func(field)) {
	f(field{"name", []string{s.Name}})
	f(field{"builder", []string{s.Builder}})
	for _, arg := range s.Args {
		f(field{"arg", []string{arg}})
	}
	for _, k := range sortedKeys(s.Env) {
		f(field{"env", []string{k, s.Env[k]}})
	}
	for _, k := range sortedKeys(s.Files) {
		f(field{"file", []string{k, s.Files[k]}})
	}
	for _, slot := range sortedKeys(s.Inputs) {
		f(field{"input", append([]string{slot}, input(s.Inputs[slot])...)})
	}
	for _, out := range s.Outputs {
		f(field{"output", []string{out}})
	}
	if s.Fixed != nil {
		f(field{"fixed", []string{s.Fixed.Algorithm, s.Fixed.Digest}})
	}
}

// sortedKeys returns m's keys. Projects have thousands of derivations, and walk is most of what making one costs: this
// takes half the time of slices.Sorted, which doesn't know how many there are.
func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// append writes the field as a line: the keyword, then each value as a quoted string.
func (fl field) append(b []byte) []byte {
	b = append(b, fl.keyword...)
	for _, v := range fl.values {
		b = append(b, ' ')
		b = appendQuoted(b, v)
	}
	return append(b, '\n')
}

// appendQuoted writes s between quotes, with backslash escapes for the quote, the backslash, newline and the other
// control characters (\n, or \x and two hexadecimal digits) and every other byte as it is. The same string has one form.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// Text returns d's canonical text, inputs named by derivation id. Equal derivations have equal texts.
func (d *Derivation) Text() []byte {
	b := append(make([]byte, 0, d.spec.textSize()), textHeader...)
	walk(&d.spec, inputByID, func(fl field) { b = fl.append(b) })
	return b
}

// textSize returns about how long the canonical text becomes, so that it needn't grow while it is written.
func (s *Spec) textSize() int {
	const line = 24 // keyword, quotes, some escapes
	size := 256 + len(s.Inputs)*(line+2*digest.Size+storepath.MaxName/2)
	for _, arg := range s.Args {
		size += line + len(arg)
	}
	for _, m := range []map[string]string{s.Env, s.Files} {
		for k, v := range m {
			size += line + len(k) + len(v)
		}
	}
	return size + size/16
}

func inputByID(in Input) []string {
	if in.Derivation != nil {
		return []string{"derivation", in.Derivation.idText, in.Output}
	}
	return []string{"path", string(in.Source)}
}

func inputByPath(in Input) []string { return []string{"path", string(in.Source)} }

// placeholders returns the text that stands for each derivation input, and the store path it becomes.
func placeholders(inputs map[string]Input, paths map[string]storepath.Path) []string {
	var pairs []string
	for _, slot := range sortedKeys(inputs) {
		if in := inputs[slot]; in.Derivation != nil {
			pairs = append(pairs, in.Derivation.Placeholder(in.Output), string(paths[slot]))
		}
	}
	return pairs
}
