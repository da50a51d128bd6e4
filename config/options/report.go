package options

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// A Query says what of a result is shown.
type Query struct {
	Name    string // of an option, of a group of them, or of something in an option's value; "" is all options
	All     bool   // of a group, also the options that have nothing but their own default
	Origins bool   // the definitions as well
}

// A Report is the answer to a query.
type Report struct {
	query   Query
	bare    starlark.Value // what the query names, when that is no group
	options []reported     // those of a group, or the one
}

type reported struct {
	name        string
	value       starlark.Value // nil: undefined
	definitions []Definition
}

// Report answers a query. When it names nothing, or something that has no value, the error is a *fault.Error.
func (r *Result) Report(q Query) (*Report, error) {
	report := &Report{query: q}
	var labels []string
	if q.Name != "" {
		var ok bool
		if labels, ok = parseName(q.Name); !ok {
			return nil, fault.New(fault.Item{What: notAName(q.Name)})
		}
	}
	n, last, rest := r.tree.root.find(labels)
	switch {
	case n == nil:
		return nil, fault.New(fault.Item{What: "there is no option " + q.Name, Hint: r.tree.root.suggest(labels, "")})
	case n == last && n.children != nil:
		for _, o := range r.tree.options {
			if inGroup(o.Name, q.Name) && !o.Internal && (q.All || r.Changed(o.Name)) {
				report.options = append(report.options, r.reported(o.Name))
			}
		}
		return report, nil
	}
	one := r.reported(n.name)
	if one.value == nil {
		return nil, fault.New(fault.Item{Position: n.option.Position, What: fmt.Sprintf("option %s has no value, because nothing defines it", n.name)})
	}
	var err error
	if report.bare, err = descend(one.value, n.name, rest); err != nil {
		return nil, fault.New(fault.Item{What: err.Error()})
	}
	one.name, one.value = q.Name, report.bare
	report.options = []reported{one}
	return report, nil
}

func inGroup(name, group string) bool {
	return group == "" || strings.HasPrefix(name, group+".")
}

func (r *Result) reported(name string) reported {
	v, _ := r.Value(name)
	return reported{name, v, r.Definitions(name)}
}

// Size returns how many options there are, and how many definitions of them beside their own defaults.
func (r *Result) Size() (options, definitions int) {
	for _, s := range r.states {
		definitions += len(s.definitions)
	}
	return len(r.tree.options), definitions
}

// WriteText writes the report for a terminal: a value that is asked for by its name as it is, a string without quotes;
// else a line or more for each option.
func (r *Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	if r.bare != nil && !r.query.Origins {
		writeBare(&b, r.bare)
	} else {
		for _, o := range r.options {
			r.writeOption(&b, o)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func writeBare(b *bytes.Buffer, v starlark.Value) {
	text, isText := starlark.AsString(v)
	if !isText {
		text = FormatLines(v, 0, 0)
	}
	b.WriteString(text)
	if !strings.HasSuffix(text, "\n") {
		b.WriteByte('\n')
	}
}

func (r *Report) writeOption(b *bytes.Buffer, o reported) {
	if o.value == nil {
		fmt.Fprintf(b, "# %s is not defined\n", o.name)
	} else {
		fmt.Fprintf(b, "%s = %s\n", o.name, FormatLines(o.value, 0, len(o.name)+3))
	}
	if !r.query.Origins {
		return
	}
	for _, d := range o.definitions {
		head := fmt.Sprintf("%8d %s: ", d.Priority, place(d))
		if d.Lost {
			head += "lost: "
		}
		fmt.Fprintf(b, "%s%s\n", head, FormatLines(d.Value, 9, len(head)))
	}
}

// place returns where a definition is written, as far as that is known.
func place(d Definition) string {
	switch {
	case d.Position != (fault.Position{}):
		return d.Position.String()
	case d.Module != "":
		return d.Module
	}
	return "every system"
}

// WriteJSON writes the report as JSON: the value that is asked for, or an object with the values of a group's options that
// have one, by name. With origins, each value is an object of value and definitions.
func (r *Report) WriteJSON(w io.Writer) error {
	if r.bare != nil {
		return writeDocument(w, r.json(r.options[0]))
	}
	// An array of pairs would keep the order, too, but is more to write for who reads it: the encoder sorts by name.
	all := map[string]any{}
	for _, o := range r.options {
		if o.value != nil {
			all[o.name] = r.json(o)
		}
	}
	return writeDocument(w, all)
}

func (r *Report) json(o reported) any {
	if !r.query.Origins {
		return jsonOrText(o.value)
	}
	type definition struct {
		Value    json.RawMessage `json:"value"`
		Priority int             `json:"priority"`
		Place    string          `json:"place"`
		Module   string          `json:"module"`
		Lost     bool            `json:"lost"`
	}
	definitions := []definition{}
	for _, d := range o.definitions {
		definitions = append(definitions, definition{jsonOrText(d.Value), d.Priority, place(d), d.Module, d.Lost})
	}
	return struct {
		Value       json.RawMessage `json:"value"`
		Definitions []definition    `json:"definitions"`
	}{jsonOrText(o.value), definitions}
}
