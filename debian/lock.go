package debian

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lockVersion is the version of the lock's format. docs/formats.md describes it.
const lockVersion = "nbuild-lock 1"

const lockHead = lockVersion + `
# Which packages nbuild uses. "nbuild lock" completes this file, "nbuild lock --update" renews it.
`

// A Lock says which packages each request resolved to, and of which state the archives were. The zero value is an empty
// lock. It is not safe for concurrent use.
type Lock struct {
	suites map[string]*lockedSuite
}

type lockedSuite struct {
	releases []Release
	packages map[string]*lockedPackage // by key
	sets     map[string]*lockedSet     // by the request's line
}

// A lockedPackage is all that is known of a package, so that it can be used when the archive has moved on.
type lockedPackage struct {
	Package
	relations []lockedRelation // in the order of lockRelations
}

type lockedRelation struct {
	tag  byte
	text string
}

// lockRelations are the fields that the lock keeps of a package, in this order.
var lockRelations = [...]struct {
	tag  byte
	name string
}{
	{tagPreDepends, "pre-depends"},
	{tagDepends, "depends"},
	{tagProvides, "provides"},
	{tagConflicts, "conflicts"},
	{tagBreaks, "breaks"},
}

type lockedSet struct {
	request Request
	keys    []string // sorted
}

// ReadLock reads a lock file. One that doesn't exist is an empty lock. Errors of its content begin with file and line.
func ReadLock(file string) (*Lock, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &Lock{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read lock: %v", err)
	}
	return ParseLock(data, file)
}

// Set returns the packages that a request resolved to, sorted by name.
func (l *Lock) Set(r Request) ([]Package, bool) {
	suite := l.suites[r.Suite]
	if suite == nil {
		return nil, false
	}
	set := suite.sets[setLine(r.normal())]
	if set == nil {
		return nil, false
	}
	packages := make([]Package, 0, len(set.keys))
	for _, key := range set.keys {
		packages = append(packages, suite.packages[key].Package)
	}
	slices.SortFunc(packages, comparePackages)
	return packages, true
}

// Packages returns every package of the lock once for each suite it is locked in, sorted by suite, name and version.
func (l *Lock) Packages() []Package {
	var all []Package
	for _, name := range slices.Sorted(maps.Keys(l.suites)) {
		for _, p := range l.suites[name].sorted() {
			all = append(all, p.Package)
		}
	}
	return all
}

// Releases returns the state of the archives that the packages of a suite were resolved from last.
func (l *Lock) Releases(suite string) []Release {
	if s := l.suites[suite]; s != nil {
		return slices.Clone(s.releases)
	}
	return nil
}

func comparePackages(a, b Package) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return CompareVersions(a.Version, b.Version)
}

func (s *lockedSuite) sorted() []*lockedPackage {
	return slices.SortedFunc(maps.Values(s.packages), func(a, b *lockedPackage) int { return comparePackages(a.Package, b.Package) })
}

// add enters what a request resolved to.
func (l *Lock) add(r Request, releases []Release, packages []*lockedPackage) {
	if l.suites == nil {
		l.suites = map[string]*lockedSuite{}
	}
	suite := l.suites[r.Suite]
	if suite == nil {
		suite = &lockedSuite{packages: map[string]*lockedPackage{}, sets: map[string]*lockedSet{}}
		l.suites[r.Suite] = suite
	}
	suite.releases = releases
	set := &lockedSet{request: r}
	for _, p := range packages {
		key := p.Key()
		if suite.packages[key] == nil {
			suite.packages[key] = p
		}
		set.keys = append(set.keys, key)
	}
	slices.Sort(set.keys)
	suite.sets[setLine(r)] = set
}

// setLine is the line that names a normal request.
func setLine(r Request) string {
	words := []string{"set"}
	if r.Essential {
		words = append(words, "+essential")
	}
	if r.Recommends {
		words = append(words, "+recommends")
	}
	return strings.Join(append(words, r.Packages...), " ")
}

// Bytes returns the lock as a file holds it: the same for equal locks, whatever order they were made in.
func (l *Lock) Bytes() []byte {
	var b bytes.Buffer
	b.WriteString(lockHead)
	for _, name := range slices.Sorted(maps.Keys(l.suites)) {
		s := l.suites[name]
		fmt.Fprintf(&b, "\nsuite %s\n", name)
		for _, r := range s.releases {
			fmt.Fprintf(&b, "release %s %s %s %s\n", r.Archive, r.Suite, r.Date.UTC().Format(time.RFC3339), r.SHA256)
		}
		for _, p := range s.sorted() {
			p.write(&b)
		}
		for _, line := range slices.Sorted(maps.Keys(s.sets)) {
			fmt.Fprintln(&b, line)
			for _, key := range s.sets[line].keys {
				fmt.Fprintf(&b, "  %s\n", key)
			}
		}
	}
	return b.Bytes()
}

func (p *lockedPackage) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "package %s %s %s %s %s %d %s", p.Name, p.Version, p.Architecture, p.Archive, p.Path, p.Size, p.SHA256)
	if p.Essential {
		b.WriteString(" essential")
	}
	if p.MultiArch != "" {
		b.WriteString(" multi-arch=" + p.MultiArch)
	}
	if p.Priority != "" {
		b.WriteString(" priority=" + p.Priority)
	}
	b.WriteByte('\n')
	for _, r := range p.relations {
		for _, field := range lockRelations {
			if field.tag == r.tag {
				fmt.Fprintf(b, "  %s: %s\n", field.name, r.text)
			}
		}
	}
}

// Write writes the lock file, in one step that others see whole. A file that is the same already isn't touched.
func (l *Lock) Write(file string) error {
	data := l.Bytes()
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, data) {
		return nil
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return fmt.Errorf("write lock: %v", err)
	}
	_, err = temporary.Write(data)
	// A lock is read by others than its writer, which os.CreateTemp doesn't expect.
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write lock: %v", errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}

// ParseLock reads a lock's text. Errors begin with file and line.
func ParseLock(data []byte, file string) (*Lock, error) {
	p := lockParser{lock: &Lock{suites: map[string]*lockedSuite{}}}
	line := 0
	for text := range strings.Lines(string(data)) {
		line++
		if err := p.take(strings.TrimRight(text, "\r\n"), line); err != nil {
			return nil, fmt.Errorf("%s:%d: %v", file, line, err)
		}
	}
	if line == 0 {
		return nil, fmt.Errorf("%s:1: the lock is empty; delete it, and nbuild makes a new one", file)
	}
	if at, err := p.checkSets(); err != nil {
		return nil, fmt.Errorf("%s:%d: %v", file, at, err)
	}
	return p.lock, nil
}

// A lockParser is what the lines before the next one made.
type lockParser struct {
	lock    *Lock
	suite   *lockedSuite
	name    string         // of the suite
	current *lockedPackage // takes indented lines, unless set does
	set     *lockedSet
	seen    map[string]bool // the members of set
	members []member
}

// A member is an indented line of a set; which packages there are is only known at the end.
type member struct {
	suite *lockedSuite
	key   string
	line  int
}

func (p *lockParser) take(text string, line int) error {
	if line == 1 {
		return checkLockVersion(text)
	}
	if indented, ok := strings.CutPrefix(text, "  "); ok {
		return p.takeIndented(indented, line)
	}
	kind, rest, _ := strings.Cut(text, " ")
	if p.suite == nil && (kind == "release" || kind == "package" || kind == "set") {
		return fmt.Errorf("%s stands before the first suite", kind)
	}
	switch {
	case text == "" || text[0] == '#':
		return nil
	case kind == "suite":
		return p.takeSuite(rest)
	case kind == "release":
		return p.takeRelease(rest)
	case kind == "package":
		return p.takePackage(rest)
	case kind == "set":
		return p.takeSet(rest)
	case isConflictMarker(text):
		return errors.New("unsolved merge conflict; keep either side and run nbuild lock")
	}
	return fmt.Errorf("unknown line %.60q", text)
}

func checkLockVersion(text string) error {
	switch {
	case text == lockVersion:
		return nil
	case isConflictMarker(text):
		return errors.New("unsolved merge conflict; keep either side and run nbuild lock")
	case strings.HasPrefix(text, "nbuild-lock "):
		return fmt.Errorf("the lock's format is %q, and this nbuild knows %q", text, lockVersion)
	}
	return fmt.Errorf("not a lock: the first line is not %q", lockVersion)
}

func isConflictMarker(text string) bool {
	for _, marker := range []string{"<<<<<<<", "=======", ">>>>>>>", "|||||||"} {
		if strings.HasPrefix(text, marker) {
			return true
		}
	}
	return false
}

func (p *lockParser) takeSuite(name string) error {
	if !isArchivePath(name) {
		return fmt.Errorf("%q is not the name of a suite", name)
	}
	if p.lock.suites[name] != nil {
		return fmt.Errorf("the suite %s stands here for the second time", name)
	}
	p.suite = &lockedSuite{packages: map[string]*lockedPackage{}, sets: map[string]*lockedSet{}}
	p.name, p.current, p.set = name, nil, nil
	p.lock.suites[name] = p.suite
	return nil
}

func (p *lockParser) takeRelease(rest string) error {
	p.current, p.set = nil, nil
	words := strings.Fields(rest)
	if len(words) != 4 || !isSHA256(words[3]) || words[0] != ArchiveMain && words[0] != ArchiveSecurity {
		return errors.New("want \"release ARCHIVE SUITE DATE SHA256\"")
	}
	date, err := time.Parse(time.RFC3339, words[2])
	if err != nil {
		return fmt.Errorf("%q is not a date", words[2])
	}
	p.suite.releases = append(p.suite.releases, Release{words[0], words[1], date.UTC(), words[3]})
	return nil
}

func (p *lockParser) takePackage(rest string) error {
	p.set = nil
	words := strings.Fields(rest)
	if len(words) < 7 {
		return errors.New("want \"package NAME VERSION ARCHITECTURE ARCHIVE PATH SIZE SHA256 …\"")
	}
	pkg := Package{Name: words[0], Version: words[1], Architecture: words[2], Archive: words[3], Path: words[4], SHA256: words[6]}
	var err error
	if pkg.Size, err = strconv.ParseInt(words[5], 10, 64); err != nil {
		return fmt.Errorf("%q is not a size", words[5])
	}
	for _, word := range words[7:] {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case word == "essential":
			pkg.Essential = true
		case name == "multi-arch" && value != "":
			pkg.MultiArch = value
		case name == "priority" && value != "":
			pkg.Priority = value
		default:
			return fmt.Errorf("unknown property %q of package %s", word, pkg.Name)
		}
	}
	if err := pkg.validate(); err != nil {
		return fmt.Errorf("package %s: %v", pkg.Name, err)
	}
	if p.suite.packages[pkg.Key()] != nil {
		return fmt.Errorf("the package %s stands here for the second time", pkg.Key())
	}
	p.current = &lockedPackage{Package: pkg}
	p.suite.packages[pkg.Key()] = p.current
	return nil
}

func (p *lockParser) takeSet(rest string) error {
	p.current = nil
	r := Request{Suite: p.name}
	for _, word := range strings.Fields(rest) {
		switch {
		case word == "+essential":
			r.Essential = true
		case word == "+recommends":
			r.Recommends = true
		case checkRequested(word) != nil:
			return checkRequested(word)
		default:
			r.Packages = append(r.Packages, word)
		}
	}
	r = r.normal()
	line := setLine(r)
	if p.suite.sets[line] != nil {
		return fmt.Errorf("the set %q stands here for the second time", rest)
	}
	p.set, p.seen = &lockedSet{request: r}, map[string]bool{}
	p.suite.sets[line] = p.set
	return nil
}

func (p *lockParser) takeIndented(text string, line int) error {
	switch {
	case p.set != nil:
		if p.seen[text] {
			return fmt.Errorf("the set has %s already", text)
		}
		p.seen[text] = true
		p.set.keys = append(p.set.keys, text)
		p.members = append(p.members, member{p.suite, text, line})
		return nil
	case p.current != nil:
		name, value, _ := strings.Cut(text, ": ")
		for _, field := range lockRelations {
			if field.name == name {
				return p.takeRelation(field.tag, value)
			}
		}
		return fmt.Errorf("unknown field %q of package %s", name, p.current.Name)
	}
	return errors.New("an indented line that belongs to no package or set")
}

func (p *lockParser) takeRelation(tag byte, text string) error {
	// Parsing them would take most of the time that reading a lock does, and few are ever used.
	if _, ok := firstOutside(text, "-+._~:()<>=|, "); !ok || text == "" {
		return fmt.Errorf("%q is not a list of dependencies", text)
	}
	if slices.ContainsFunc(p.current.relations, func(r lockedRelation) bool { return r.tag == tag }) {
		return fmt.Errorf("the field stands here for the second time")
	}
	p.current.relations = append(p.current.relations, lockedRelation{tag, text})
	return nil
}

// checkSets checks that every member of a set is a package of its suite.
func (p *lockParser) checkSets() (line int, err error) {
	for _, m := range p.members {
		if m.suite.packages[m.key] == nil {
			return m.line, fmt.Errorf("the set names %s, which the lock doesn't have; run nbuild lock --update", m.key)
		}
	}
	for _, s := range p.lock.suites {
		for _, set := range s.sets {
			slices.Sort(set.keys)
		}
	}
	return 0, nil
}

// checkRequested reports why word can't be asked for.
func checkRequested(word string) error {
	name, version, pinned := strings.Cut(word, "=")
	if !isPackageName(name) {
		return fmt.Errorf("%q is not the name of a package", name)
	}
	if pinned {
		return ValidateVersion(version)
	}
	return nil
}

// lockedPackageOf makes the lock's entry of a record.
func lockedPackageOf(r *record) (*lockedPackage, error) {
	p, err := r.asPackage()
	if err != nil {
		return nil, err
	}
	locked := &lockedPackage{Package: p}
	for _, field := range lockRelations {
		if text := strings.Join(strings.Fields(r.field(field.tag)), " "); text != "" {
			locked.relations = append(locked.relations, lockedRelation{field.tag, text})
		}
	}
	return locked, nil
}

// record is the inverse of lockedPackageOf.
func (p *lockedPackage) record(at *pocket) record {
	var b recordBuilder
	for _, field := range []struct{ name, value string }{
		{"Package", p.Name},
		{"Version", p.Version},
		{"Architecture", p.Architecture},
		{"Multi-Arch", p.MultiArch},
		{"Priority", p.Priority},
		{"Filename", p.Path},
		{"Size", strconv.FormatInt(p.Size, 10)},
		{"SHA256", p.SHA256},
	} {
		b.take([]byte(field.name), []byte(field.value))
	}
	if p.Essential {
		b.take([]byte("Essential"), []byte("yes"))
	}
	for _, r := range p.relations {
		b.text = append(append(append(b.text, r.tag), r.text...), '\n')
	}
	rec, _ := b.record() // Name and version were checked when the lock was read or made.
	rec.pocket = at
	return rec
}
