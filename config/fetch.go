package config

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/derivations"
	"nbuild/internal/digest"
)

func (ev *evaluator) fetchFunction(c *call) (starlark.Value, error) {
	spec := derivations.Spec{Builder: "fetch", Args: c.locations(), Fixed: c.fixed("digest")}
	fallback := ""
	if len(spec.Args) > 0 {
		fallback = locationName(spec.Args[0])
	}
	if len(spec.Args) > 0 || c.value("name") != nil {
		spec.Name = c.storeName("name", fallback)
	}
	return c.derive(spec, KindDerivation), nil
}

// locations returns the URLs of url or urls, either of which may be one or a list: people mix them up.
func (c *call) locations() []string {
	var locations []string
	for _, name := range []string{"url", "urls"} {
		at := part{argument: name}
		switch v := c.value(name).(type) {
		case nil:
		case starlark.String:
			locations = append(locations, c.location(at, v))
		default:
			for i, v := range c.asList(at, v) {
				locations = append(locations, c.location(at.key(i), v))
			}
		}
	}
	if len(locations) == 0 && len(c.faults) == 0 {
		c.fault(part{}, "fetch needs the argument url", "")
	}
	return locations
}

func (c *call) location(at part, v starlark.Value) string {
	s := c.asPlainText(at, v)
	if _, isString := v.(starlark.String); !isString {
		return s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		c.fault(at, fmt.Sprintf("%q is not a URL: %v", s, err.(*url.Error).Err), "")
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file":
		c.fault(at, fmt.Sprintf("%q is not a URL that can be fetched", s), "it begins with https://, http:// or file:///")
	case u.Scheme != "file" && u.Host == "" || u.Path == "":
		c.fault(at, fmt.Sprintf("the URL %q has no host or no path", s), "")
	}
	return s
}

// locationName returns the last element of a URL's path as the name of a store object.
func locationName(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "source"
	}
	return storeName(path.Base(u.Path))
}

// fixed reads a digest such as "sha256:9f86…".
func (c *call) fixed(name string) *derivations.Fixed {
	v := c.required(name)
	if v == nil {
		return nil
	}
	at := part{argument: name}
	s := c.asPlainText(at, v)
	algorithm, hex, _ := strings.Cut(s, ":")
	_, err := digest.Parse(hex)
	if _, isString := v.(starlark.String); isString && (err != nil || algorithm != "sha256" && algorithm != "blake3") {
		c.fault(at, fmt.Sprintf("%.80q is not a digest", s), `write "sha256:" and the 64 digits that sha256sum prints`)
	}
	return &derivations.Fixed{Algorithm: algorithm, Digest: strings.ToLower(hex)}
}

func (ev *evaluator) unpackFunction(c *call) (starlark.Value, error) {
	spec := derivations.Spec{Builder: "unpack", Env: map[string]string{}, Inputs: map[string]derivations.Input{}}
	file := "source"
	if v := c.required("src"); v != nil {
		if in, ok := c.asInput(part{argument: "src"}, v); ok {
			spec.Inputs["src"] = in
			file = inputName(in)
		}
	}
	format := c.plainText("format")
	if format == "" {
		format = cmp.Or(archiveFormat(file), "tar")
	}
	switch format {
	case "deb":
		spec.Outputs = []string{"out", "control", "owners"}
	case "tar", "zip":
	default:
		c.fault(part{argument: "format"}, fmt.Sprintf("there is no format %q", format), `it is "tar", "zip" or "deb"`)
	}
	spec.Args = []string{format}
	if strip := c.natural("strip"); strip > 0 {
		spec.Env["strip"] = strconv.Itoa(strip)
	}
	spec.Name = c.storeName("name", archiveName(file))
	return c.derive(spec, KindDerivation), nil
}

func inputName(in derivations.Input) string {
	if in.Derivation != nil {
		return in.Derivation.Name()
	}
	return in.Source.Name()
}

// archiveSuffixes returns what the names of archives end with, and the format that it says.
func archiveSuffixes() [][2]string {
	return [][2]string{
		{".tar", "tar"},
		{".tar.gz", "tar"},
		{".tar.bz2", "tar"},
		{".tar.xz", "tar"},
		{".tar.zst", "tar"},
		{".tgz", "tar"},
		{".tbz2", "tar"},
		{".tbz", "tar"},
		{".txz", "tar"},
		{".tzst", "tar"},
		{".deb", "deb"},
		{".zip", "zip"},
	}
}

// archiveFormat returns the format that a file's name says, or "" when it is no archive by its name.
func archiveFormat(file string) string {
	for _, suffix := range archiveSuffixes() {
		if base, ok := strings.CutSuffix(file, suffix[0]); ok && base != "" {
			return suffix[1]
		}
	}
	return ""
}

// archiveName returns the name of an archive's file without what says that it is an archive.
func archiveName(file string) string {
	shortest := file
	for _, suffix := range append(archiveSuffixes(), [][2]string{{".gz"}, {".xz"}, {".zst"}, {".bz2"}}...) {
		if base, ok := strings.CutSuffix(file, suffix[0]); ok && base != "" && len(base) < len(shortest) {
			shortest = base
		}
	}
	return shortest
}

// natural returns an int argument that is not negative and fits 31 bits, or 0 when it is left out.
func (c *call) natural(name string) int {
	if v := c.value(name); v != nil {
		return c.asNatural(part{argument: name}, v)
	}
	return 0
}

func (c *call) asNatural(at part, v starlark.Value) int {
	n, err := starlark.AsInt32(v)
	if _, isInt := v.(starlark.Int); !isInt || err != nil || n < 0 {
		c.wrongType(at, "a number from 0 on", v)
		return 0
	}
	return n
}
