package config

import (
	"maps"
	"slices"
	"strings"

	"nbuild/config/options"
	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// hashPart returns the hash part of a text that begins with prefix, a slash and a hash part, or "".
func hashPart(text, prefix string) string {
	rest, ok := strings.CutPrefix(text, prefix+"/")
	if !ok || len(rest) < digest.Base32Length || !digest.IsBase32(rest[:digest.Base32Length]) {
		return ""
	}
	return rest[:digest.Base32Length]
}

// addMentioned adds to a spec's inputs what its texts mention by a path that this evaluation made: outputs of derivations,
// and sources. Their slots are called "_" and the hash part, a name that builders make no variable of.
func (ev *evaluator) addMentioned(spec *derivations.Spec) *mentions {
	m := &mentions{ev: ev, spec: spec}
	for _, text := range spec.Args {
		m.scan(text)
	}
	for _, texts := range []map[string]string{spec.Env, spec.Files} {
		for _, text := range texts {
			m.scan(text)
		}
	}
	slices.Sort(m.secrets) // Texts are looked at in the order of a map.
	m.secrets = slices.Compact(m.secrets)
	return m
}

// mentions collects the inputs that texts mention.
type mentions struct {
	ev   *evaluator
	spec *derivations.Spec
	have map[derivations.Input]bool // the spec's inputs; nil until a text mentions one

	size    int      // bytes of the texts
	secrets []string // paths of the secrets that they mention, sorted
}

// inputs returns the spec's inputs in the order of their slots.
func (m *mentions) inputs() []derivations.Input {
	var inputs []derivations.Input
	for _, slot := range slices.Sorted(maps.Keys(m.spec.Inputs)) {
		inputs = append(inputs, m.spec.Inputs[slot])
	}
	return inputs
}

// pathStart is what storepath.Prefix and storepath.PlaceholderPrefix begin with, so that one search finds both.
const pathStart = "/nbuild/"

func (m *mentions) scan(text string) {
	m.size += len(text)
	for {
		i := strings.Index(text, pathStart)
		if i < 0 {
			return
		}
		text = text[i:]
		hash := hashPart(text, storepath.PlaceholderPrefix)
		if hash == "" {
			hash = hashPart(text, storepath.Prefix)
		}
		if in, known := m.ev.inputs[hash]; known {
			m.add(hash, in)
		} else if secret, ok := strings.CutPrefix(text, options.SecretPrefix+"/"); ok {
			m.secrets = append(m.secrets, "/"+secretPath(secret))
		}
		text = text[len(pathStart):]
	}
}

func (m *mentions) add(hash string, in derivations.Input) {
	if m.have == nil {
		m.have = map[derivations.Input]bool{}
		for _, in := range m.spec.Inputs {
			m.have[in] = true
		}
	}
	if m.have[in] {
		return
	}
	m.have[in] = true
	if m.spec.Inputs == nil {
		m.spec.Inputs = map[string]derivations.Input{}
	}
	m.spec.Inputs["_"+hash] = in
}

// secretPath returns the path that a text begins with, as far as it can be told from what comes after.
func secretPath(text string) string {
	if end := strings.IndexAny(text, " \t\n\"';,)"); end >= 0 {
		return text[:end]
	}
	return text
}
