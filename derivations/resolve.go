package derivations

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// An Action is a resolved derivation: each input is a store path, each placeholder replaced by it.
// It is all that a builder sees, and its key is all that its outputs may depend on. It is immutable.
type Action struct {
	spec Spec // every Input has Source only
}

// Resolve returns the action that d is when its inputs are what lookup says.
// It returns lookup's first error as it is, and an error for a placeholder of something that is no input.
func (d *Derivation) Resolve(lookup func(Input) (storepath.Path, error)) (*Action, error) {
	s := d.spec.clone()
	paths := make(map[string]storepath.Path, len(s.Inputs))
	for slot, in := range s.Inputs {
		path := in.Source
		if in.Derivation != nil {
			var err error
			if path, err = lookup(in); err != nil {
				return nil, err
			}
		}
		paths[slot] = path
	}
	replacer := strings.NewReplacer(placeholders(d.spec.Inputs, paths)...)
	replace := func(text string) string {
		if !strings.Contains(text, storepath.PlaceholderPrefix) {
			return text
		}
		return replacer.Replace(text)
	}
	for i := range s.Args {
		s.Args[i] = replace(s.Args[i])
	}
	for k, v := range s.Env {
		s.Env[k] = replace(v)
	}
	for k, v := range s.Files {
		s.Files[k] = replace(v)
	}
	s.Inputs = resolvedInputs(paths)
	var err error
	s.eachString(func(what, key, text string) {
		if i := strings.Index(text, storepath.PlaceholderPrefix+"/"); i >= 0 && err == nil {
			err = fmt.Errorf("derivation %s: %s %q uses an output that is not among the inputs: %.80s", s.Name, what, key, text[i:])
		}
	})
	if err != nil {
		return nil, err
	}
	return &Action{spec: s}, nil
}

// resolvedInputs names the inputs of an action. A slot that begins with "_" has no meaning to the build: it is there
// because a text mentions its path. In an action it is called by its place in the order of these paths, "_1", "_2", so
// that what the slot was called, which may depend on how the input was made, is not in the key.
func resolvedInputs(paths map[string]storepath.Path) map[string]Input {
	inputs := make(map[string]Input, len(paths))
	var unnamed []storepath.Path
	for slot, path := range paths {
		if slot[0] == '_' {
			unnamed = append(unnamed, path)
			continue
		}
		inputs[slot] = Input{Source: path}
	}
	slices.Sort(unnamed)
	for i, path := range slices.Compact(unnamed) {
		inputs["_"+strconv.Itoa(i+1)] = Input{Source: path}
	}
	return inputs
}

// Name returns the name that the outputs' store paths end in.
func (a *Action) Name() string { return a.spec.Name }

// Builder returns the name of the builder that runs a.
func (a *Action) Builder() string { return a.spec.Builder }

// IsSelfContained reports whether the outputs have in them what they name, as images have, so that the store paths in them
// are no references, and aren't looked for: the variable nbuild.self_contained is 1.
func (a *Action) IsSelfContained() bool { return a.spec.Env[selfContained] == "1" }

const selfContained = "nbuild.self_contained"

// Args returns the builder's arguments. The slice belongs to a.
func (a *Action) Args() []string { return a.spec.Args }

// Env returns the builder's variables. The map belongs to a.
func (a *Action) Env() map[string]string { return a.spec.Env }

// Files returns names and contents of the files given to the builder. The map belongs to a.
func (a *Action) Files() map[string]string { return a.spec.Files }

// Outputs returns the sorted output names. The slice belongs to a.
func (a *Action) Outputs() []string { return a.spec.Outputs }

// Fixed returns what the output must be, or nil. It belongs to a.
func (a *Action) Fixed() *Fixed { return a.spec.Fixed }

// Input returns the store path in a slot, and whether there is one.
func (a *Action) Input(slot string) (storepath.Path, bool) {
	in, ok := a.spec.Inputs[slot]
	return in.Source, ok
}

// Slots returns the sorted slot names of the inputs.
func (a *Action) Slots() []string { return sortedKeys(a.spec.Inputs) }

// Text returns the canonical text that the key is the digest of.
// For a fixed output that is its name and digest alone: however it is had, it is the same.
func (a *Action) Text() []byte {
	if f := a.spec.Fixed; f != nil {
		b := field{"name", []string{a.spec.Name}}.append([]byte(fixedHeader))
		return field{"fixed", []string{f.Algorithm, f.Digest}}.append(b)
	}
	b := []byte(actionHeader)
	walk(&a.spec, inputByPath, func(fl field) { b = fl.append(b) })
	return b
}

// Key returns the digest of a's canonical text.
func (a *Action) Key() digest.ActionKey {
	return digest.ActionKey(digest.Derive(digest.ContextAction, a.Text()))
}

// Explain compares the canonical texts of two actions, as Text returned them, and says line by line why their keys
// differ: "-" lines only the old has, "+" lines only the new. It returns nil when they are the same.
func Explain(old, new []byte) []string {
	count := map[string]int{}
	oldLines, newLines := strings.Split(string(old), "\n"), strings.Split(string(new), "\n")
	for _, line := range oldLines {
		count[line]++
	}
	var plus []string
	for _, line := range newLines {
		if count[line] > 0 {
			count[line]--
			continue
		}
		plus = append(plus, "+"+line)
	}
	var diff []string
	for _, line := range oldLines {
		if count[line] > 0 {
			count[line]--
			diff = append(diff, "-"+line)
		}
	}
	return append(diff, plus...)
}
