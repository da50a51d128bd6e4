package options

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
)

// A Document describes options to people: those that it is given, and those of submodules that are in their values.
type Document struct {
	entries []entry
}

// An entry describes an option, or one inside of another's value.
type entry struct {
	*Option
	name string // as in users.users.<name>.shell
	file string // that declares it
}

// NewDocument returns the document of options, but for internal ones. One that is there twice is described once.
func NewDocument(options []*Option) *Document {
	d := &Document{}
	for _, o := range options {
		d.add(o.Name, cmp.Or(o.Position.File, o.Module), o, 0)
	}
	slices.SortStableFunc(d.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	d.entries = slices.CompactFunc(d.entries, func(a, b entry) bool { return a.name == b.name && a.Position == b.Position })
	return d
}

func (d *Document) add(name, file string, o *Option, depth int) {
	if o.Internal || depth > maxDepth {
		return
	}
	d.entries = append(d.entries, entry{o, name, file})
	for _, f := range fields(o.Type, name) {
		d.add(f.name, file, f.option, depth+1)
	}
}

// A field is an option of a submodule by its name from outside.
type field struct {
	name   string
	option *Option
}

// fields returns the options of the submodules that the values of an option are or hold.
func fields(t *Type, name string) (found []field) {
	switch r := t.rules.(type) {
	case *attrsOf:
		return fields(r.of, name+".<name>")
	case *listOf:
		return fields(r.of, name+"[]")
	case *nullable:
		return fields(r.of, name)
	case *oneOf:
		for _, t := range r.types {
			found = append(found, fields(t, name)...)
		}
	case *submodule:
		for _, o := range r.tree.options {
			found = append(found, field{under(name, o.Name), o})
		}
	}
	return found
}

// Below returns the document of the option or group of a name, and of all inside of it. When there is none, the error is
// a *fault.Error.
func (d *Document) Below(name string) (*Document, error) {
	inside := &Document{}
	for _, e := range d.entries {
		if rest, ok := strings.CutPrefix(e.name, name); ok && (rest == "" || name == "" || rest[0] == '.' || rest[0] == '[') {
			inside.entries = append(inside.entries, e)
		}
	}
	if len(inside.entries) > 0 {
		return inside, nil
	}
	it := fault.Item{What: "there is no option " + name, Hint: d.suggest(name)}
	return nil, fault.New(it)
}

// suggest returns a hint that names options and groups that may be meant by name.
func (d *Document) suggest(name string) string {
	depth := strings.Count(name, ".") + 1
	seen := map[string]bool{}
	var names []string
	for _, e := range d.entries {
		labels := strings.SplitN(e.name, ".", depth+1)
		group := strings.Join(labels[:min(depth, len(labels))], ".")
		if !seen[group] {
			seen[group] = true
			names = append(names, group)
		}
	}
	return fault.DidYouMean(name, names)
}

// documentWidth is where lines of prose are wrapped.
const documentWidth = 100

// WriteText writes the document for a terminal.
func (d *Document) WriteText(w io.Writer) error {
	var b bytes.Buffer
	for i, e := range d.entries {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s\n", e.name)
		for _, paragraph := range paragraphs(e.Description) {
			for _, line := range wrap(paragraph, documentWidth-4) {
				fmt.Fprintf(&b, "    %s\n", line)
			}
		}
		for _, line := range e.facts() {
			column := 4 + len(line.name) + 2
			text := line.text
			if line.value != nil {
				text = FormatLines(line.value, 4, column)
			}
			fmt.Fprintf(&b, "    %s: %s\n", line.name, text)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// A fact is something about an option: a text or a value.
type fact struct {
	name, text string
	value      starlark.Value
}

func (e entry) facts() []fact {
	facts := []fact{{name: "type", text: e.Type.String()}}
	if e.Default != nil {
		facts = append(facts, fact{name: "default", value: e.Default})
	}
	if e.Example != nil {
		facts = append(facts, fact{name: "example", value: e.Example})
	}
	if at := e.Position.String(); at != "" {
		facts = append(facts, fact{name: "declared", text: at})
	}
	return facts
}

// WriteMarkdown writes the document as a page. Places have no lines, so that the page changes only when options do.
func (d *Document) WriteMarkdown(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# Options\n\nThis page is what `nbuild options --markdown` prints.\n")
	group := ""
	for _, e := range d.entries {
		if first := e.name[:strings.IndexAny(e.name+".", ".[")]; first != group {
			group = first
			fmt.Fprintf(&b, "\n## %s\n", group)
		}
		fmt.Fprintf(&b, "\n### `%s`\n", e.name)
		for _, paragraph := range paragraphs(e.Description) {
			fmt.Fprintf(&b, "\n%s\n", strings.Join(wrap(paragraph, documentWidth), "\n"))
		}
		b.WriteByte('\n')
		e.writeMarkdownFacts(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (e entry) writeMarkdownFacts(b *bytes.Buffer) {
	for _, f := range e.facts() {
		text := f.text
		if f.name == "declared" {
			text = "in `" + e.file + "`"
		}
		if f.value != nil {
			text = FormatLines(f.value, 2, 0)
			if strings.ContainsAny(text, "\n`") {
				fence := "```"
				for strings.Contains(text, fence) {
					fence += "`"
				}
				fmt.Fprintf(b, "- %s:\n  %spython\n  %s\n  %[2]s\n", f.name, fence, text)
				continue
			}
			text = "`" + text + "`"
		}
		fmt.Fprintf(b, "- %s: %s\n", f.name, text)
	}
}

// WriteJSON writes the document as an array with an object for each option.
func (d *Document) WriteJSON(w io.Writer) error {
	type object struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Type        string          `json:"type"`
		Default     json.RawMessage `json:"default,omitempty"`
		Example     json.RawMessage `json:"example,omitempty"`
		Declared    string          `json:"declared"`
	}
	objects := []object{}
	for _, e := range d.entries {
		o := object{Name: e.name, Description: strings.Join(paragraphs(e.Description), "\n\n"), Type: e.Type.String(), Declared: e.Position.String()}
		if e.Default != nil {
			o.Default = jsonOrText(e.Default)
		}
		if e.Example != nil {
			o.Example = jsonOrText(e.Example)
		}
		objects = append(objects, o)
	}
	return writeDocument(w, objects)
}

// jsonOrText returns a value as JSON; one that has no form in JSON is a text as in Starlark.
func jsonOrText(v starlark.Value) json.RawMessage {
	if text, err := JSON(v); err == nil {
		return text
	}
	text, err := json.Marshal(Format(v))
	if err != nil {
		panic(err) // A string always has a form in JSON.
	}
	return text
}

// writeDocument writes JSON for people and programs.
func writeDocument(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// paragraphs returns the paragraphs of a text, which empty lines divide, each on one line.
func paragraphs(text string) (found []string) {
	var words []string
	flush := func() {
		if len(words) > 0 {
			found = append(found, strings.Join(words, " "))
		}
		words = nil
	}
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			flush()
			continue
		}
		words = append(words, strings.Fields(line)...)
	}
	flush()
	return found
}

// wrap divides a text into lines of width characters at most, where its words let it.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line == "" {
		return lines
	}
	return append(lines, line)
}
