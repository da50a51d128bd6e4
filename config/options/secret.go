package options

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

// SecretPrefix is what the text of a secret begins with: its path on the running system follows. No store object may
// hold such a text.
const SecretPrefix = "/nbuild/secret"

// A secret names a file of the running system that holds what must not be in the store.
type secret struct{ path string }

var _ starlark.HasAttrs = secret{}

func newSecret(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var path string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "path", &path); err != nil {
		return nil, err
	}
	// The path must be found again in texts that mention it, so it can't hold what ends words there.
	if !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || strings.ContainsRune("\"';,)", r) }) {
		return nil, fmt.Errorf("secret: want an absolute path without blanks and quotes, such as /run/keys/db, got %s", short(starlark.String(path)))
	}
	return secret{path}, nil
}

// Type returns "secret".
func (s secret) Type() string { return "secret" }

// String returns a text that marks where a secret gets into what is written.
func (s secret) String() string { return SecretPrefix + s.path }

// MarshalJSON lets json.encode write the marking text.
func (s secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// Freeze does nothing: the value never changes.
func (s secret) Freeze() {}

// Truth returns True.
func (s secret) Truth() starlark.Bool { return true }

// Hash lets secrets be keys of dictionaries.
func (s secret) Hash() (uint32, error) { return starlark.String(s.path).Hash() }

// Attr returns the path.
func (s secret) Attr(name string) (starlark.Value, error) {
	if name != "path" {
		return nil, nil // The interpreter makes an error of it.
	}
	return starlark.String(s.path), nil
}

// AttrNames returns "path".
func (s secret) AttrNames() []string { return []string{"path"} }
