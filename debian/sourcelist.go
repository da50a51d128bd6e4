package debian

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A sourceEntry is one place and suite of the machine's package sources. Source: sources.list(5).
type sourceEntry struct {
	uri          string // without a slash at the end
	suite        string
	components   []string
	signedBy     []string // paths, fingerprints or keys themselves
	ignoreExpiry bool
}

// sourceOptions are what one-line and deb822 entries may say beside their place.
type sourceOptions struct {
	arch, signedBy  []string
	checkValidUntil string
}

// add appends the entries for each URI and suite, unless they can't serve packages of our architecture.
func appendEntries(entries []sourceEntry, uris, suites, components []string, o sourceOptions) []sourceEntry {
	if len(o.arch) > 0 && !slices.Contains(o.arch, architecture) {
		return entries
	}
	for _, uri := range uris {
		if !isMirrorURL(uri) {
			continue // cdrom:, mirror+file: and the like: nothing that one could fetch a path from.
		}
		for _, suite := range suites {
			entries = append(entries, sourceEntry{
				uri:          strings.TrimRight(uri, "/"),
				suite:        strings.TrimRight(suite, "/"),
				components:   components,
				signedBy:     o.signedBy,
				ignoreExpiry: isNo(o.checkValidUntil),
			})
		}
	}
	return entries
}

func isNo(s string) bool {
	switch strings.ToLower(s) {
	case "no", "false", "without", "off", "disable", "0":
		return true
	}
	return false
}

// parseOneLineSources reads sources.list: "deb [option=value …] URI SUITE COMPONENT…". file is for errors.
func parseOneLineSources(text, file string) ([]sourceEntry, error) {
	var entries []sourceEntry
	line := 0
	for s := range strings.Lines(text) {
		line++
		s, _, _ = strings.Cut(s, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(s, "\t", " ")), " ")
		if kind != "deb" {
			if kind == "" || kind == "deb-src" {
				continue
			}
			return nil, fmt.Errorf("%s:%d: %q is not deb or deb-src", file, line, kind)
		}
		var o sourceOptions
		rest = strings.TrimSpace(rest)
		if options, ok := strings.CutPrefix(rest, "["); ok {
			options, rest, ok = strings.Cut(options, "]")
			if !ok {
				return nil, fmt.Errorf("%s:%d: the bracket of the options is not closed", file, line)
			}
			o = parseOptions(options)
		}
		words := strings.Fields(rest)
		if len(words) < 2 {
			return nil, fmt.Errorf("%s:%d: want \"deb URI SUITE COMPONENT…\"", file, line)
		}
		entries = appendEntries(entries, words[:1], words[1:2], words[2:], o)
	}
	return entries, nil
}

func parseOptions(s string) sourceOptions {
	var o sourceOptions
	for option := range strings.FieldsSeq(s) {
		name, value, _ := strings.Cut(option, "=")
		switch strings.ToLower(strings.TrimRight(name, "+-")) {
		case "arch":
			o.arch = strings.Split(value, ",")
		case "signed-by":
			o.signedBy = strings.Split(value, ",")
		case "check-valid-until":
			o.checkValidUntil = value
		}
	}
	return o
}

// parseDeb822Sources reads a .sources file. file is for errors.
func parseDeb822Sources(text, file string) ([]sourceEntry, error) {
	paragraphs, err := parseParagraphs(strings.NewReader(text), file)
	if err != nil {
		return nil, err
	}
	var entries []sourceEntry
	for _, p := range paragraphs {
		if isNo(p.value("Enabled")) || !slices.Contains(p.words("Types"), "deb") {
			continue
		}
		uris, suites := p.words("URIs"), p.words("Suites")
		if len(uris) == 0 || len(suites) == 0 {
			return nil, fmt.Errorf("%s:%d: the entry has no URIs or no Suites", file, p.line)
		}
		entries = appendEntries(entries, uris, suites, p.words("Components"), sourceOptions{
			arch:            p.words("Architectures"),
			signedBy:        parseSignedBy(p.value("Signed-By")),
			checkValidUntil: p.value("Check-Valid-Until"),
		})
	}
	return entries, nil
}

// parseSignedBy splits a list of paths and fingerprints, or returns a key that stands in the field itself, in which " ."
// is an empty line.
func parseSignedBy(value string) []string {
	if !strings.Contains(value, armorBegin) {
		return strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune(" \t\n,", c) })
	}
	lines := strings.Split(strings.TrimSpace(value), "\n")
	for i, line := range lines {
		if line == "." {
			lines[i] = ""
		}
	}
	return []string{strings.Join(lines, "\n") + "\n"}
}

// isSecurity reports whether the suite is one of the security archive: trixie-security, or buster/updates as before 2021.
func (e sourceEntry) isSecurity() bool {
	return strings.HasSuffix(e.suite, "-security") || path.Base(e.suite) == "updates"
}

// byDebian reports whether the place or the keyring says that the source is Debian's own archive.
func (e sourceEntry) byDebian() bool {
	if !slices.Contains(e.components, "main") {
		return false
	}
	if slices.ContainsFunc(e.signedBy, func(s string) bool { return strings.HasPrefix(path.Base(s), "debian-archive-") }) {
		return true
	}
	// The archive's usual places: …/debian, …/debian-security, and …/archive/debian/20250520T000000Z of a snapshot.
	for dir := e.uri; dir != path.Dir(dir); dir = path.Dir(dir) {
		if base := path.Base(dir); base == ArchiveMain || base == ArchiveSecurity {
			return true
		}
	}
	return false
}

// bySuite reports whether the source can be taken for Debian's by its suite: on a Debian machine, with the machine's own
// release or a suite that only Debian has, and no keyring of somebody else.
func (e sourceEntry) bySuite(codename string) bool {
	if codename == "" || len(e.signedBy) > 0 || !slices.Contains(e.components, "main") {
		return false
	}
	base, _, _ := strings.Cut(e.suite, "-")
	return base == codename || slices.Contains([]string{"stable", "testing", "unstable", "sid", "oldstable"}, base)
}
