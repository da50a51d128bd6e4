package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
	"nbuild/internal/storepath"
)

// recordVersion is the version of a record's format. docs/formats.md describes it.
const recordVersion = "nbuild evaluation 2"

// A Record says what an evaluation read and what it came to, so that the next one can be left out while all that was read
// is as it was. Which mirror and which keys were used is no part of it: what they said is in the lock file.
type Record struct {
	Project   string                    // what was evaluated: the absolute path of its folder, or BuiltinFile
	Evaluator string                    // what evaluated; another one may come to something else
	Lock      digest.Digest             // of the lock file after the evaluation, zero when there was none
	Files     map[string]digest.Digest  // the project's files, by path relative to its folder
	Sources   map[string]storepath.Path // by path relative to the project's folder
	Variables map[string]digest.Digest  // digests of the variables' values, zero for those that were not set
	Messages  []string                  // what was printed, and the warnings
	Targets   map[string]RecordedTarget // by every name that Result.Lookup understands
}

// A RecordedTarget is which output of which derivation a name stands for.
type RecordedTarget struct {
	Derivation digest.DerivationID
	Output     string
}

// NewRecord returns the record of an evaluation. It leaves the project's name to the caller, who knows where it is.
func NewRecord(evaluator string, lock digest.Digest, r *Result, messages []string) *Record {
	record := &Record{
		Evaluator: evaluator,
		Lock:      lock,
		Files:     r.Reads.Files,
		Sources:   map[string]storepath.Path{},
		Variables: map[string]digest.Digest{},
		Messages:  messages,
		Targets:   map[string]RecordedTarget{},
	}
	for name, source := range r.Reads.Sources {
		record.Sources[name] = source.Path
	}
	for name, value := range r.Reads.Environment {
		record.Variables[name] = variableDigest(value.Value, value.Set)
	}
	for _, name := range r.names() {
		if t, err := r.Lookup(name); err == nil {
			record.Targets[name] = RecordedTarget{t.Derivation.ID(), t.Output}
		}
	}
	return record
}

// names returns the names that Lookup may understand.
func (r *Result) names() []string {
	names := systemAttributes()
	for _, t := range r.Targets {
		names = append(names, t.Name)
		if t.Kind == KindSystem {
			names = append(names, t.Name+".system")
		}
		for _, output := range t.Derivation.Outputs() {
			names = append(names, t.Name+"."+output)
		}
	}
	return names
}

// variableDigest stands for a value, which may be secret, in a file that lies around.
func variableDigest(value string, set bool) digest.Digest {
	if !set {
		return digest.Digest{}
	}
	return digest.Sum([]byte(value))
}

// Change returns what is not as it was when the record was made, as in "the variable EDITOR changed", or "" when nothing
// changed but maybe sources.
func (r *Record) Change(p Project, evaluator string, lock digest.Digest) string {
	switch {
	case r.Evaluator != evaluator:
		return "nbuild changed"
	case r.Lock != lock:
		return "the lock file changed"
	}
	for _, name := range slices.Sorted(maps.Keys(r.Variables)) {
		if variableDigest(p.getenv(name)) != r.Variables[name] {
			return fmt.Sprintf("the variable %s changed", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		if sum, err := fileDigest(filepath.Join(p.Dir, filepath.FromSlash(name))); err != nil || sum != r.Files[name] {
			return name + " changed"
		}
	}
	return ""
}

// SourceChange returns which source is not as it was when the record was made, or "" when all are. It puts the sources
// into the store, as evaluating would.
func (r *Record) SourceChange(ctx context.Context, p Project) string {
	for _, name := range slices.Sorted(maps.Keys(r.Sources)) {
		was := r.Sources[name]
		is, err := p.Sources.AddSource(ctx, was.Name(), filepath.Join(p.Dir, filepath.FromSlash(name)))
		if err != nil || is != was {
			return fmt.Sprintf("the source %s changed", name)
		}
	}
	return ""
}

// getenv looks a variable up.
func (p Project) getenv(name string) (value string, set bool) {
	if p.Getenv == nil {
		return "", false
	}
	return p.Getenv(name)
}

// fileDigest returns the digest of a file of a project.
func fileDigest(name string) (sum digest.Digest, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer func() { _ = f.Close() }() // It was only read.
	h := digest.New()
	if _, err = io.Copy(h, io.LimitReader(f, maxFile+1)); err == nil {
		h.Sum(sum[:0])
	}
	return sum, err
}

// Trace returns what was read, a line for each, with the values that the project's variables have now.
func (r *Record) Trace(p Project) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		lines = append(lines, "read "+name)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Sources)) {
		lines = append(lines, fmt.Sprintf("read the source %s: %s", name, r.Sources[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Variables)) {
		text := "it is not set"
		if value, set := p.getenv(name); set {
			text = strconv.Quote(value)
		}
		lines = append(lines, fmt.Sprintf("read the variable %s: %s", name, text))
	}
	return lines
}

// Bytes returns the record as a file holds it.
func (r *Record) Bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nproject %q\nevaluator %q\nlock %s\n", recordVersion, r.Project, r.Evaluator, r.Lock)
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		fmt.Fprintf(&b, "file %s %q\n", r.Files[name], name)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Sources)) {
		fmt.Fprintf(&b, "source %s %q\n", r.Sources[name], name)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Variables)) {
		fmt.Fprintf(&b, "variable %s %q\n", r.Variables[name], name)
	}
	for _, message := range r.Messages {
		fmt.Fprintf(&b, "message %q\n", message)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Targets)) {
		fmt.Fprintf(&b, "target %s %s %q\n", r.Targets[name].Derivation, r.Targets[name].Output, name)
	}
	fmt.Fprintf(&b, "end %s\n", digest.Sum(b.Bytes()))
	return b.Bytes()
}

// Write writes the record to a file, in one step that others see whole. It need not survive a loss of power: what is lost
// or broken then is made anew.
func (r *Record) Write(file string) error {
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = fsx.WriteFile(file, r.Bytes(), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write record of the evaluation: %w", err)
	}
	return nil
}

// ReadRecord reads a record that Write wrote. It returns nil when there is none that can be read, or when it is damaged or
// of another version of nbuild: then the project is evaluated, and the record written anew.
func ReadRecord(file string) *Record {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	r, err := ParseRecord(text)
	if err != nil {
		return nil
	}
	return r
}

// ParseRecord reads the text of a record. It takes only what Bytes returns for some record, which the digest at its end
// is a part of: so nothing that is cut off or damaged passes.
func ParseRecord(text []byte) (*Record, error) {
	r := &Record{
		Files:     map[string]digest.Digest{},
		Sources:   map[string]storepath.Path{},
		Variables: map[string]digest.Digest{},
		Targets:   map[string]RecordedTarget{},
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if err := r.parseLine(line); err != nil {
			return nil, fmt.Errorf("parse record: %.80q: %v", line, err)
		}
	}
	if !bytes.Equal(r.Bytes(), text) {
		return nil, errors.New("parse record: it is of another version, cut off or damaged")
	}
	return r, nil
}

// parseLine takes a line of the text: a word, values without spaces, and a quoted text.
func (r *Record) parseLine(line string) (err error) {
	word, rest, _ := strings.Cut(line, " ")
	values, quoted := rest, ""
	if i := strings.IndexByte(rest, '"'); i >= 0 {
		values = strings.TrimSuffix(rest[:i], " ")
		if quoted, err = strconv.Unquote(rest[i:]); err != nil {
			return err
		}
	}
	switch word {
	case "project":
		r.Project = quoted
	case "evaluator":
		r.Evaluator = quoted
	case "lock":
		r.Lock, err = digest.Parse(values)
	case "file":
		r.Files[quoted], err = digest.Parse(values)
	case "source":
		r.Sources[quoted], err = storepath.Parse(values)
	case "variable":
		r.Variables[quoted], err = digest.Parse(values)
	case "message":
		r.Messages = append(r.Messages, quoted)
	case "target":
		id, output, _ := strings.Cut(values, " ")
		t := RecordedTarget{Output: output}
		t.Derivation, err = digest.ParseDerivationID(id)
		r.Targets[quoted] = t
	}
	return err
}
