package debian

import (
	"fmt"
	"strings"
)

// A relation is one "name:arch (op version)" of a dependency field. Source: deb-control(5), Debian policy 7.1.
type relation struct {
	name    string
	arch    string // the qualifier: "any", an architecture, or ""
	op      string // one of << <= = >= >>, or ""
	version string
}

// String returns the relation as it stands in a control file.
func (r relation) String() string {
	s := r.name
	if r.arch != "" {
		s += ":" + r.arch
	}
	if r.op != "" {
		s += " (" + r.op + " " + r.version + ")"
	}
	return s
}

// accepts reports whether a version satisfies the relation's.
func (r relation) accepts(version string) bool {
	if r.op == "" {
		return true
	}
	c := CompareVersions(version, r.version)
	switch r.op {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case ">=":
		return c >= 0
	case ">>":
		return c > 0
	}
	return c == 0
}

// A group is a list of alternatives ("a | b"), the preferred one first.
type group []relation

func (g group) String() string {
	texts := make([]string, len(g))
	for i, r := range g {
		texts[i] = r.String()
	}
	return strings.Join(texts, " | ")
}

// parseGroups reads a dependency field. Empty members, as in "a,, b,", are passed over like dpkg does.
func parseGroups(s string) ([]group, error) {
	var groups []group
	for member := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(member) == "" {
			continue
		}
		var g group
		for alternative := range strings.SplitSeq(member, "|") {
			r, err := parseRelation(alternative)
			if err != nil {
				return nil, err
			}
			g = append(g, r)
		}
		groups = append(groups, g)
	}
	return groups, nil
}

func parseRelation(s string) (relation, error) {
	text := strings.TrimSpace(s)
	head, rest := text, ""
	if i := strings.IndexAny(text, " \t\n("); i >= 0 {
		head, rest = text[:i], strings.TrimSpace(text[i:])
	}
	var r relation
	r.name, r.arch, _ = strings.Cut(head, ":")
	if !isPackageName(r.name) || strings.HasSuffix(head, ":") {
		return relation{}, fmt.Errorf("parse dependency %q: %q is not the name of a package", text, head)
	}
	if rest == "" {
		return r, nil
	}
	inner, ok := strings.CutPrefix(rest, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !ok || !closed {
		return relation{}, fmt.Errorf("parse dependency %q: want \"name (operator version)\"", text)
	}
	r.op, r.version = cutOperator(strings.TrimSpace(inner))
	if strings.ContainsAny(r.version, " \t\n()") || ValidateVersion(r.version) != nil && !looseVersion(r.version) {
		return relation{}, fmt.Errorf("parse dependency %q: %q is not a version", text, r.version)
	}
	return r, nil
}

// cutOperator splits "op version". The old single < and > mean <= and >=, and none at all means =, as dpkg has it.
func cutOperator(s string) (op, version string) {
	n := 0
	for n < len(s) && n < 2 && strings.IndexByte("<=>", s[n]) >= 0 {
		n++
	}
	op, version = s[:n], strings.TrimSpace(s[n:])
	switch op {
	case "<":
		op = "<="
	case ">":
		op = ">="
	case "", "==":
		op = "="
	}
	return op, version
}

// looseVersion reports whether v at least consists of a version's characters: archives hold a few versions that don't
// begin with a digit, and dpkg only warns.
func looseVersion(v string) bool {
	_, ok := firstOutside(v, ".-+~:")
	return v != "" && ok
}

// isPackageName reports whether s consists of the characters of package names. Virtual names hold capitals and
// underscores at times, which policy forbids and dpkg takes.
func isPackageName(s string) bool {
	if s == "" || !isDigit(s[0]) && !isLetter(s[0]) {
		return false
	}
	_, ok := firstOutside(s, "-+._")
	return ok
}
