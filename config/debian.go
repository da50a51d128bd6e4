package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/debian"
	"nbuild/derivations"
)

// defaultSuite is where the tools of builds come from when the project names no suite.
const defaultSuite = "trixie"

// baseTools returns the packages that every tree of tools has: a shell, and what scripts expect beside it.
func baseTools() []string {
	return []string{
		"bash", "bzip2", "coreutils", "dash", "diffutils", "findutils", "gawk", "grep", "gzip", "libc-bin", "patch",
		"sed", "tar", "xz-utils",
	}
}

// packages is what an evaluation knows of the Debian archive.
type packages struct {
	suite    string // of the project's first debian(), or empty
	mirrors  []string
	keyrings []string
	opened   bool // the archive was asked for something, so that mirror and keyring are settled

	resolved map[string][]derivations.PackageFile // by requestKey
	trees    map[string]*derivationValue          // by name and requestKey
	files    derivations.Packages
}

// A debianValue is a suite of a Debian archive, as the project file sees it.
type debianValue struct {
	ev         *evaluator
	suite      string // empty when the call that should have made it was wrong
	recommends bool
}

var _ starlark.HasAttrs = (*debianValue)(nil)

// String returns how the value is written.
func (v *debianValue) String() string { return fmt.Sprintf("debian(%q)", v.suite) }

// Type returns "debian".
func (v *debianValue) Type() string { return "debian" }

// Freeze does nothing: the value never changes.
func (v *debianValue) Freeze() {}

// Truth returns True.
func (v *debianValue) Truth() starlark.Bool { return true }

// Hash returns an error: there is no use for suites as keys.
func (v *debianValue) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: debian") }

// MarshalJSON returns an error, where json.encode would else write the attributes.
func (v *debianValue) MarshalJSON() ([]byte, error) {
	return nil, fmt.Errorf("a debian has no form in JSON")
}

// AttrNames returns what Attr knows.
func (v *debianValue) AttrNames() []string { return []string{"packages", "suite", "tree"} }

// Attr returns the suite's name, or a method.
func (v *debianValue) Attr(name string) (starlark.Value, error) {
	switch name {
	case "suite":
		return starlark.String(v.suite), nil
	case "tree":
		return v.ev.function(signature{"tree", 1, []string{"packages", "name", "base"}}, v.tree), nil
	case "packages":
		return v.ev.function(signature{"packages", 1, []string{"packages"}}, v.packages), nil
	}
	return nil, nil // The interpreter makes an error of it that names what is alike.
}

func (ev *evaluator) debianFunction(c *call) (starlark.Value, error) {
	v := &debianValue{ev: ev, suite: c.suite("suite"), recommends: c.boolean("recommends", false)}
	c.required("suite")
	c.chooseArchive(c.textOrTexts("mirror"), c.keyrings())
	if !c.finish() {
		v.suite = ""
		return v, nil
	}
	if ev.packages.suite == "" {
		ev.packages.suite = v.suite
	}
	return v, nil
}

// suite returns the argument that names a suite of a Debian archive.
func (c *call) suite(name string) string {
	suite := c.plainText(name)
	if c.value(name) != nil && (!fs.ValidPath(suite) || strings.ContainsAny(suite, " \t\n%?#")) && len(c.faults) == 0 {
		c.fault(part{argument: name}, fmt.Sprintf("%q can't be the name of a suite", suite), `write one such as "trixie"`)
	}
	return suite
}

// textOrTexts returns an argument that is a string or a list of strings.
func (c *call) textOrTexts(name string) []string {
	switch v := c.value(name).(type) {
	case nil:
		return nil
	case starlark.String:
		return []string{c.plainText(name)}
	default:
		return c.asPlainTexts(part{argument: name}, v)
	}
}

// keyrings returns the keyrings as files of this machine. Unlike sources they may lie outside of the project: a keyring
// decides what may be used, and is no part of it.
func (c *call) keyrings() []string {
	var files []string
	for _, name := range c.textOrTexts("keyring") {
		if !path.IsAbs(name) {
			name = filepath.Join(c.ev.project.Dir, filepath.FromSlash(name))
		}
		files = append(files, name)
	}
	return files
}

// chooseArchive settles the project's mirror and keyring. There is one archive for all suites: the lock file has one
// version of a package of a suite, wherever it comes from.
func (c *call) chooseArchive(mirrors, keyrings []string) {
	if len(mirrors) == 0 && len(keyrings) == 0 || len(c.faults) > 0 {
		return
	}
	p := &c.ev.packages
	if slices.Equal(p.mirrors, mirrors) && slices.Equal(p.keyrings, keyrings) {
		return
	}
	if p.opened || p.mirrors != nil || p.keyrings != nil {
		c.fault(part{}, "mirror and keyring are those of the whole project, and another debian() has others",
			"give them in the first debian(), and the same or none in all others")
		return
	}
	archive, ok := c.ev.project.Packages.(Archive)
	if !ok {
		c.fault(part{}, "the mirror and keyring can't be chosen here", "")
		return
	}
	p.mirrors, p.keyrings = mirrors, keyrings
	if err := archive.UseArchive(mirrors, keyrings); err != nil {
		c.fault(part{}, err.Error(), "")
	}
}

// tree makes a tree of unpacked packages: the root of a build.
func (v *debianValue) tree(c *call) (starlark.Value, error) {
	names := c.packageNames("packages")
	if c.value("packages") == nil && !c.boolean("base", true) {
		c.required("packages")
	}
	if c.boolean("base", true) {
		names = append(names, baseTools()...)
	}
	name := c.storeName("name", "tools")
	if v.suite == "" {
		c.poisoned = true
	}
	if !c.finish() {
		return v.ev.wrong(), nil
	}
	return v.toolTree(name, names, c.lparen, c.packagePlace), nil
}

// toolTree returns the tree of packages, which it makes once for the same packages. at is the call that wants it, place
// is that of resolve.
func (v *debianValue) toolTree(name string, names []string, at Position, place func(words []string) Position) *derivationValue {
	r := v.request(names)
	key := name + " " + requestKey(r)
	p := &v.ev.packages
	if tree, ok := p.trees[key]; ok {
		return tree
	}
	files, ok := v.ev.resolve(r, place)
	if !ok {
		return v.ev.wrong()
	}
	drv, err := p.files.ToolTree(name, files)
	if err != nil {
		_ = v.ev.abort(fmt.Errorf("%s: %w", at, err))
		return v.ev.wrong()
	}
	tree := v.ev.output(drv, "out", at, KindDerivation)
	if p.trees == nil {
		p.trees = map[string]*derivationValue{}
	}
	p.trees[key] = tree
	return tree
}

// packages returns the unpacked packages, dependencies included, as a list of derivations.
func (v *debianValue) packages(c *call) (starlark.Value, error) {
	c.required("packages")
	names := c.packageNames("packages")
	if v.suite == "" {
		c.poisoned = true
	}
	if !c.finish() {
		return starlark.NewList(nil), nil
	}
	files, ok := v.ev.resolve(v.request(names), c.packagePlace)
	if !ok {
		return starlark.NewList(nil), nil
	}
	var list []starlark.Value
	for _, f := range files {
		drv, err := v.ev.packages.files.Unpack(f)
		if err != nil {
			return nil, v.ev.abort(fmt.Errorf("%s: %w", c.lparen, err))
		}
		list = append(list, v.ev.output(drv, "out", c.lparen, KindDerivation))
	}
	return starlark.NewList(list), nil
}

func (v *debianValue) request(names []string) debian.Request {
	names = slices.Clone(names)
	slices.Sort(names)
	return debian.Request{Suite: v.suite, Packages: slices.Compact(names), Recommends: v.recommends}
}

// defaultTools returns the tools of a build that names none.
func (c *call) defaultTools() *derivationValue {
	suite := c.ev.packages.suite
	if suite == "" {
		suite = defaultSuite
	}
	v := &debianValue{ev: c.ev, suite: suite}
	return v.toolTree("tools", baseTools(), c.lparen, c.packagePlace)
}

// packageNames returns a list of names of packages, each as "name" or "name=version".
func (c *call) packageNames(name string) []string {
	var names []string
	for i, v := range c.list(name) {
		names = append(names, c.asPackageName(part{argument: name}.key(i), v))
	}
	return names
}

func (c *call) asPackageName(at part, v starlark.Value) string {
	name := c.asPlainText(at, v)
	if _, isString := v.(starlark.String); isString && !isPackageName(name) {
		c.fault(at, fmt.Sprintf("%.80q can't be the name of a package", name), `write "name" or "name=version", with small letters, digits and "+-."`)
	}
	return name
}

func isPackageName(s string) bool {
	name, version, pinned := strings.Cut(s, "=")
	ok := len(name) > 1 && name[0] != '-' && name[0] != '.' && name[0] != '+' && !(pinned && version == "")
	for _, c := range name {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("+-.", c))
	}
	return ok && !strings.ContainsAny(version, " \t\n/")
}

func requestKey(r debian.Request) string {
	return fmt.Sprintf("%s %t %t %s", r.Suite, r.Recommends, r.Essential, strings.Join(r.Packages, " "))
}

// resolve asks for the packages of a request, once for each. It reports false when there is no answer, which is recorded
// then. place returns where the project asks for the first of some names, which occur in a message, that it asks for.
func (ev *evaluator) resolve(r debian.Request, place func(words []string) Position) ([]derivations.PackageFile, bool) {
	p := &ev.packages
	key := requestKey(r)
	if files, ok := p.resolved[key]; ok {
		return files, files != nil
	}
	if ev.broken != nil {
		return nil, false // It would most likely end the same way, and after as long a wait.
	}
	p.opened = true
	if p.resolved == nil {
		p.resolved = map[string][]derivations.PackageFile{}
	}
	found, err := ev.project.Packages.Resolve(ev.ctx, r)
	if err != nil {
		p.resolved[key] = nil
		ev.resolveFault(err, place)
		return nil, false
	}
	files := make([]derivations.PackageFile, len(found))
	for i, f := range found {
		files[i] = packageFile(f)
	}
	p.resolved[key] = files
	return files, true
}

// resolveFault records why a request has no answer. What is the project's fault is put at the package it is about, when
// the project names that itself; anything else, such as a mirror that doesn't answer, ends the evaluation.
func (ev *evaluator) resolveFault(err error, place func(words []string) Position) {
	var wrong *debian.ResolveError
	var locked *debian.LockedError
	switch {
	case errors.As(err, &wrong):
		for _, what := range wrong.Faults {
			ev.report(Item{Position: place(messageWords(what)), What: fmt.Sprintf("packages of %s: %s", wrong.Suite, what), Callers: ev.callers()})
		}
	case errors.As(err, &locked):
		ev.report(Item{Position: place(messageWords(strings.Join(locked.Missing, " "))), What: err.Error(), Callers: ev.callers()})
	default:
		_ = ev.abort(err)
	}
}

func messageWords(message string) []string {
	return strings.FieldsFunc(message, func(r rune) bool { return strings.ContainsRune(" \t\n,;:()\"'", r) })
}

// packagePlace returns where the call's list of packages has the first of the words that it has, or else the list.
func (c *call) packagePlace(words []string) Position {
	at := part{argument: "packages"}
	if list, ok := c.value(at.argument).(*starlark.List); ok {
		for i := range list.Len() {
			name, _ := starlark.AsString(list.Index(i))
			if name, _, _ = strings.Cut(name, "="); slices.Contains(words, name) {
				at = at.key(i)
				break
			}
		}
	}
	if expr := c.ev.findCall(c.lparen); expr != nil {
		return c.locate(expr, at)
	}
	return c.lparen
}

func packageFile(p debian.Package) derivations.PackageFile {
	return derivations.PackageFile{
		Name:         p.Name,
		Version:      p.Version,
		Architecture: p.Architecture,
		Archive:      p.Archive,
		Path:         p.Path,
		Size:         p.Size,
		SHA256:       p.SHA256,
		MultiArch:    p.MultiArch,
	}
}
