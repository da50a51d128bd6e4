package config

import (
	"strings"

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
// and sources. Their slots are called "_" and the hash part, a name that builders make no variable of. It returns how many
// bytes the texts have.
func (ev *evaluator) addMentioned(spec *derivations.Spec) (size int) {
	m := mentions{ev: ev, spec: spec}
	for _, text := range spec.Args {
		m.scan(text)
		size += len(text)
	}
	for _, texts := range []map[string]string{spec.Env, spec.Files} {
		for _, text := range texts {
			m.scan(text)
			size += len(text)
		}
	}
	return size
}

// mentions collects the inputs that texts mention.
type mentions struct {
	ev   *evaluator
	spec *derivations.Spec
	have map[derivations.Input]bool // the spec's inputs; nil until a text mentions one
}

// pathStart is what storepath.Prefix and storepath.PlaceholderPrefix begin with, so that one search finds both.
const pathStart = "/nbuild/"

func (m *mentions) scan(text string) {
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
