package options

import "strings"

// parseName takes a dotted name apart. A label in double quotes may hold dots. It reports whether the name is one: it
// has no empty label, but for "", and quotes only around labels.
func parseName(name string) (labels []string, ok bool) {
	for {
		var label, rest string
		var more bool
		if quoted, isQuoted := strings.CutPrefix(name, `"`); isQuoted {
			var closed bool
			if label, rest, closed = strings.Cut(quoted, `"`); !closed {
				return nil, false
			}
			if rest, more = strings.CutPrefix(rest, "."); !more && rest != "" {
				return nil, false
			}
		} else if label, rest, more = strings.Cut(name, "."); label == "" || strings.Contains(label, `"`) {
			return nil, false
		}
		labels = append(labels, label)
		if !more {
			return labels, true
		}
		name = rest
	}
}

// joinName is the opposite of parseName. What no name can hold it writes in quotes all the same.
func joinName(labels ...string) string {
	if len(labels) == 1 {
		return quoteLabel(labels[0])
	}
	var b strings.Builder
	for i, label := range labels {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(quoteLabel(label))
	}
	return b.String()
}

func quoteLabel(label string) string {
	if label == "" || strings.ContainsAny(label, `."`) {
		return `"` + label + `"`
	}
	return label
}

// under returns the name of something in a group; the group's name is empty for the root of all names.
func under(group, name string) string {
	if group == "" {
		return name
	}
	return group + "." + name
}
