// Package derivations has the Derivation, the pure value that says how outputs are made, its canonical text and its ids,
// and one file for each kind nbuild knows: packages, package root, kernel, initrd, top layer, system, vm.
//
// Nothing in here does I/O, reads a clock or starts a goroutine.
package derivations

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// A Spec is what a derivation is made of. New copies it, so the caller keeps its maps and slices.
type Spec struct {
	Name    string            // the outputs' store paths end in it; valid by storepath.ValidateName
	Builder string            // which builder runs it: "sandbox", "fetch", "unpack", "tree", "text", ...
	Args    []string          // what the builder makes of them is its own business; order matters
	Env     map[string]string // likewise
	Files   map[string]string // name → content, for what is too long for an argument
	Inputs  map[string]Input  // slot name → input
	Outputs []string          // names; nil means ["out"]
	Fixed   *Fixed            // the expected digest of a fixed-output derivation, or nil
}

// An Input is an output of another derivation or a source that is in the store already: exactly one of Derivation and
// Source is set.
type Input struct {
	Derivation *Derivation
	Output     string // the output's name; empty means "out"
	Source     storepath.Path
}

// Fixed says what the single output of a derivation must be: a file with this digest.
// Where it comes from doesn't matter then, and its action key is made of nothing else.
type Fixed struct {
	Algorithm string // "sha256" or "blake3"
	Digest    string // lower-case hexadecimal
}

// A Derivation says how outputs are made. It is immutable and safe for concurrent use.
// As inputs are values that exist already, derivations can't form a cycle.
type Derivation struct {
	spec   Spec
	id     digest.DerivationID
	idText string // id.String(), which the texts of all that have d as an input repeat
}

// New checks spec and returns the derivation with its id. It collects every fault into one error, a line each.
func New(spec Spec) (*Derivation, error) {
	spec = spec.clone()
	if err := spec.validate(); err != nil {
		return nil, err
	}
	d := &Derivation{spec: spec}
	d.id = digest.DerivationID(digest.Derive(digest.ContextDerivation, d.Text()))
	d.idText = d.id.String()
	return d, nil
}

// MustNew is New for specs that are right by construction; it panics where New returns an error.
func MustNew(spec Spec) *Derivation {
	d, err := New(spec)
	if err != nil {
		panic(err)
	}
	return d
}

func (s Spec) clone() Spec {
	s.Args = slices.Clone(s.Args)
	s.Env = maps.Clone(s.Env)
	s.Files = maps.Clone(s.Files)
	s.Inputs = maps.Clone(s.Inputs)
	s.Outputs = slices.Clone(s.Outputs)
	if len(s.Outputs) == 0 {
		s.Outputs = []string{"out"}
	}
	slices.Sort(s.Outputs)
	for slot, in := range s.Inputs {
		if in.Derivation != nil && in.Output == "" {
			in.Output = "out"
			s.Inputs[slot] = in
		}
	}
	if s.Fixed != nil {
		fixed := *s.Fixed
		s.Fixed = &fixed
	}
	return s
}

// Name returns the name that the outputs' store paths end in.
func (d *Derivation) Name() string { return d.spec.Name }

// Builder returns the name of the builder that runs d.
func (d *Derivation) Builder() string { return d.spec.Builder }

// ID returns the digest of d's canonical text.
func (d *Derivation) ID() digest.DerivationID { return d.id }

// Outputs returns the sorted output names. The slice belongs to d.
func (d *Derivation) Outputs() []string { return d.spec.Outputs }

// Fixed returns what the output must be, or nil. It belongs to d.
func (d *Derivation) Fixed() *Fixed { return d.spec.Fixed }

// Inputs returns the inputs by slot name. The map belongs to d.
func (d *Derivation) Inputs() map[string]Input { return d.spec.Inputs }

// OutputReference returns the input that stands for one of d's outputs.
func (d *Derivation) OutputReference(output string) Input {
	return Input{Derivation: d, Output: output}
}

// Placeholder returns the text that args, env and files of a derivation use for the store path of one of d's outputs.
// A derivation that uses it must have that output among its inputs.
func (d *Derivation) Placeholder(output string) string {
	return storepath.Placeholder(d.id, output, OutputName(d.spec.Name, output))
}

// OutputName returns the name of the store object made for an output: the derivation's for "out", else with a suffix.
func OutputName(name, output string) string {
	if output == "out" {
		return name
	}
	return name + "-" + output
}

// IsOutputName reports whether s can name an output or, as they become variables of the build alike, an input.
func IsOutputName(s string) bool {
	for i, c := range s {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func (s Spec) validate() error {
	var faults []string
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if err := storepath.ValidateName(s.Name); err != nil {
		add("derivation: %v", err)
	}
	if s.Builder == "" {
		add("derivation %s: no builder", s.Name)
	}
	for i, out := range s.Outputs {
		if !IsOutputName(out) {
			add("derivation %s: output name %q: want letters, digits and _", s.Name, out)
		}
		if i > 0 && s.Outputs[i-1] == out {
			add("derivation %s: output %q is named twice", s.Name, out)
		}
		if _, clash := s.Inputs[out]; clash {
			add("derivation %s: %q is both an input and an output", s.Name, out)
		}
	}
	for _, slot := range sortedKeys(s.Inputs) {
		if err := s.Inputs[slot].validate(slot); err != nil {
			add("derivation %s: %v", s.Name, err)
		}
	}
	if s.Fixed != nil {
		if err := s.Fixed.validate(s.Outputs); err != nil {
			add("derivation %s: %v", s.Name, err)
		}
	}
	s.eachString(func(what, key, text string) {
		if !utf8.ValidString(text) {
			add("derivation %s: %s %q is not valid UTF-8", s.Name, what, key)
		}
	})
	if len(faults) > 0 {
		return fmt.Errorf("%s", strings.Join(faults, "\n"))
	}
	return nil
}

// eachString calls f for every text of s in a fixed order; what and key say which one it is.
func (s Spec) eachString(f func(what, key, text string)) {
	f("builder", "", s.Builder)
	for i, arg := range s.Args {
		f("argument", strconv.Itoa(i), arg)
	}
	for _, k := range sortedKeys(s.Env) {
		f("name of variable", k, k)
		f("variable", k, s.Env[k])
	}
	for _, k := range sortedKeys(s.Files) {
		f("name of file", k, k)
		f("file", k, s.Files[k])
	}
	for _, slot := range sortedKeys(s.Inputs) {
		f("name of input", slot, slot)
	}
}

func (in Input) validate(slot string) error {
	switch {
	case slot == "":
		return fmt.Errorf("an input has no name")
	case in.Derivation == nil && in.Source == "":
		return fmt.Errorf("input %q is neither a derivation's output nor a source", slot)
	case in.Derivation != nil && in.Source != "":
		return fmt.Errorf("input %q is both a derivation's output and a source", slot)
	case in.Derivation != nil && !slices.Contains(in.Derivation.spec.Outputs, in.Output):
		return fmt.Errorf("input %q: %s has no output %q", slot, in.Derivation.spec.Name, in.Output)
	}
	if in.Source != "" {
		_, err := storepath.Parse(string(in.Source))
		return err
	}
	return nil
}

func (f Fixed) validate(outputs []string) error {
	if len(outputs) != 1 || outputs[0] != "out" {
		return fmt.Errorf("a fixed-output derivation has the one output \"out\"")
	}
	if f.Algorithm != "sha256" && f.Algorithm != "blake3" {
		return fmt.Errorf("digest algorithm %q: want sha256 or blake3", f.Algorithm)
	}
	if _, err := digest.Parse(f.Digest); err != nil || strings.ToLower(f.Digest) != f.Digest {
		return fmt.Errorf("%s digest %q: want 64 lower-case hexadecimal digits", f.Algorithm, f.Digest)
	}
	return nil
}
