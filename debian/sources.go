package debian

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// The environment variables that name a mirror and keyrings.
const (
	MirrorVariable  = "NBUILD_DEBIAN_MIRROR"
	KeyringVariable = "NBUILD_DEBIAN_KEYRING"
)

// Mirrors are the places of the archives. The zero value has none.
type Mirrors struct {
	Main     []string // URLs without a slash at the end; each is a whole mirror, tried in this order
	Security []string
}

// URLs returns where to look for an archive's files: append a slash and the path. The caller must not change the slice.
func (m Mirrors) URLs(archive string) []string {
	if archive == ArchiveSecurity {
		return m.Security
	}
	return m.Main
}

// Sources say where Debian's archives are and whose signatures they must bear.
type Sources struct {
	Mirrors
	Keyring []Key
	// IgnoreExpiry is set when the machine's own sources say Check-Valid-Until: no, as for a mirror of the past.
	IgnoreExpiry bool
}

// A Key is a file of OpenPGP keys, binary or armoured, or such keys that stand in a .sources file.
type Key struct {
	Origin string // the file, for errors
	Data   []byte
}

// SourceOptions say where FindSources looks.
type SourceOptions struct {
	// Mirrors are one or two URLs from the project file: of the main archive and of the security archive. Keyrings are
	// paths of key files. When empty, each is looked for in the environment (separated by spaces), then in the
	// machine's APT configuration.
	Mirrors, Keyrings []string

	// Getenv reads the environment; nil means os.Getenv.
	Getenv func(string) string

	// Root is the folder that holds the machine's etc and usr; "" means "/".
	Root string
}

// A SourceError says that there is no mirror or keyring, or that what names them can't be read.
type SourceError struct{ err error }

// Error says what was looked at and what to do.
func (e *SourceError) Error() string { return e.err.Error() }

// IsInput tells that the machine's or the project's settings are to blame, not nbuild.
func (e *SourceError) IsInput() bool { return true }

// FindSources finds the mirrors and keyrings to use. It reads files, but no network. Its errors are *SourceError.
func FindSources(o SourceOptions) (*Sources, error) {
	s, err := findSources(o)
	if err != nil {
		return nil, &SourceError{err}
	}
	return s, nil
}

func findSources(o SourceOptions) (*Sources, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	o.Root = cmp.Or(o.Root, "/")
	f := finder{root: o.Root}
	s := &Sources{}
	mirrors, from := o.Mirrors, "the project's mirror"
	if len(mirrors) == 0 {
		mirrors, from = strings.Fields(o.Getenv(MirrorVariable)), MirrorVariable
	}
	var signedBy []string
	if len(mirrors) > 0 {
		m, err := parseMirrors(mirrors)
		if err != nil {
			return nil, fmt.Errorf("read %s: %v", from, err)
		}
		s.Mirrors = m
	} else {
		entries, err := f.entries()
		if err != nil {
			return nil, err
		}
		if s.Mirrors = chooseMirrors(entries, f.codename()); len(s.Main) == 0 {
			return nil, f.noMirror()
		}
		for _, e := range entries {
			if slices.Contains(s.Main, e.uri) || slices.Contains(s.Security, e.uri) {
				for _, by := range e.signedBy {
					if !slices.Contains(signedBy, by) {
						signedBy = append(signedBy, by)
					}
				}
				s.IgnoreExpiry = s.IgnoreExpiry || e.ignoreExpiry
			}
		}
	}
	keyrings := o.Keyrings
	if len(keyrings) == 0 {
		keyrings = strings.Fields(o.Getenv(KeyringVariable))
	}
	var err error
	s.Keyring, err = f.keyring(keyrings, signedBy)
	return s, err
}

// parseMirrors reads the URLs of the main archive and, if it is given, of the security archive.
func parseMirrors(words []string) (Mirrors, error) {
	if len(words) > 2 {
		return Mirrors{}, fmt.Errorf("%q are more than two URLs; give one, or one each of the main and the security archive", words)
	}
	words = slices.Clone(words)
	for i, word := range words {
		if path.IsAbs(word) {
			word = "file://" + word
		}
		if !isMirrorURL(word) {
			return Mirrors{}, fmt.Errorf("%q is not a URL of http, https or file", word)
		}
		words[i] = strings.TrimRight(word, "/")
	}
	security := securityMirror(words[0])
	if len(words) == 2 {
		security = words[1]
	}
	return Mirrors{Main: words[:1:1], Security: []string{security}}, nil
}

// securityMirror derives the security archive's place from the main one's, as on Debian's own mirrors: …/debian, and
// …/archive/debian/20250520T000000Z of the past. A mirror of another shape is expected to hold all suites in one place.
func securityMirror(main string) string {
	if i := strings.LastIndex(main+"/", "/debian/"); i >= 0 {
		return main[:i] + "/debian-security" + main[i+len("/debian"):]
	}
	return main
}

func isMirrorURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	switch u.Scheme {
	case "http", "https":
		return u.Host != ""
	case "file":
		return u.Host == "" && path.IsAbs(u.Path)
	}
	return false
}

// A finder reads a machine's APT configuration and remembers where it looked.
type finder struct {
	root   string
	looked []string // files as the user knows them, without the root
}

// read returns the content of a file below the root, nil when there is none.
func (f *finder) read(name string) ([]byte, error) {
	f.looked = append(f.looked, name)
	data, err := os.ReadFile(filepath.Join(f.root, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// glob returns the files that match a pattern below the root, sorted.
func (f *finder) glob(pattern string) []string {
	f.looked = append(f.looked, pattern)
	matches, _ := filepath.Glob(filepath.Join(f.root, pattern)) // The patterns are constants and well formed.
	for i, m := range matches {
		rel, err := filepath.Rel(f.root, m)
		if err != nil {
			rel = m
		}
		matches[i] = "/" + rel
	}
	return matches
}

// entries returns the machine's package sources that nbuild could use, in APT's order.
func (f *finder) entries() ([]sourceEntry, error) {
	var entries []sourceEntry
	files := append([]string{"/etc/apt/sources.list"}, f.glob("/etc/apt/sources.list.d/*.list")...)
	for _, name := range append(files, f.glob("/etc/apt/sources.list.d/*.sources")...) {
		data, err := f.read(name)
		if err != nil {
			return nil, err
		}
		parse := parseOneLineSources
		if strings.HasSuffix(name, ".sources") {
			parse = parseDeb822Sources
		}
		found, err := parse(string(data), name)
		if err != nil {
			return nil, err
		}
		entries = append(entries, found...)
	}
	return entries, nil
}

// codename returns the Debian release that the machine runs, "" when it runs another system.
func (f *finder) codename() string {
	data, err := f.read("/etc/os-release")
	if err != nil {
		return ""
	}
	values := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[key] = strings.Trim(value, `"'`)
		}
	}
	if values["ID"] != "debian" {
		return ""
	}
	return values["VERSION_CODENAME"]
}

func (f *finder) noMirror() error {
	return fmt.Errorf("find a Debian mirror: none among the APT sources (looked at %s); set %s to a mirror's URL",
		strings.Join([]string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources"}, ", "),
		MirrorVariable)
}

// chooseMirrors tells Debian's archive from other sources. Third parties use Debian's suite names too, so the place or the
// keyring must speak for Debian; only a source that has neither is judged by its suite, and only on a Debian machine.
func chooseMirrors(entries []sourceEntry, codename string) Mirrors {
	var m Mirrors
	for _, likely := range []func(sourceEntry) bool{
		func(e sourceEntry) bool { return e.byDebian() },
		func(e sourceEntry) bool { return e.bySuite(codename) },
	} {
		for _, e := range entries {
			list := &m.Main
			if e.isSecurity() {
				list = &m.Security
			}
			if likely(e) && !slices.Contains(*list, e.uri) {
				*list = append(*list, e.uri)
			}
		}
		if len(m.Main)+len(m.Security) > 0 {
			break
		}
	}
	if len(m.Main) == 0 {
		for _, uri := range m.Security {
			if i := strings.LastIndex(uri+"/", "/debian-security/"); i >= 0 {
				m.Main = append(m.Main, uri[:i]+"/debian"+uri[i+len("/debian-security"):])
			}
		}
	}
	if len(m.Security) == 0 {
		for _, uri := range m.Main {
			m.Security = append(m.Security, securityMirror(uri))
		}
	}
	return m
}
