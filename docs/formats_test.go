// Package docs_test holds the manual to the program: what it shows is what nbuild does.
package docs_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
	"nbuild/debian"
	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/owners"
	"nbuild/internal/registration"
	"nbuild/internal/storepath"
	"nbuild/internal/tree"
)

var update = flag.Bool("update", false, "write the test vectors of formats.md anew")

// block is a code block of formats.md that has a name.
var block = regexp.MustCompile("(?ms)^```text (\\S[^\n]*)\n(.*?)^```$")

func TestFormatsHoldTrue(t *testing.T) {
	text, err := os.ReadFile("formats.md")
	if err != nil {
		t.Fatal(err)
	}
	want := vectors(t)
	got := map[string]string{}
	for _, match := range block.FindAllSubmatch(text, -1) {
		got[string(match[1])] = string(match[2])
	}
	if diff := cmp.Diff(want, got); diff != "" && !*update {
		t.Errorf("vectors of formats.md (-made +documented):\n%s", diff)
	}
	if *update {
		written := block.ReplaceAllFunc(text, func(old []byte) []byte {
			name := string(block.FindSubmatch(old)[1])
			return []byte("```text " + name + "\n" + want[name] + "```")
		})
		if err := os.WriteFile("formats.md", written, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// vectors makes the blocks of formats.md by name.
func vectors(t *testing.T) map[string]string {
	t.Helper()
	greeting := newDerivation(t, derivations.Spec{Name: "greeting.txt", Builder: "text", Args: []string{"Hello, \"world\"\\\n\té\n"}})
	hello := newDerivation(t, derivations.Spec{
		Name:    "hello",
		Builder: "sandbox",
		Args:    []string{"/bin/sh", "-c", "cat " + greeting.Placeholder("out") + " >$out"},
		Env:     map[string]string{"LANG": "C.UTF-8", "A": ""},
		Files:   map[string]string{"note": "a file\n"},
		Inputs: map[string]derivations.Input{
			"src":      {Source: "/nbuild/store/0123456789abcdfghijklmnpqrsvwxyz-src"},
			"greeting": greeting.OutputReference("out"),
		},
		Outputs: []string{"out", "doc"},
	})
	action := resolve(t, hello)
	download := newDerivation(t, derivations.Spec{
		Name: "hello.deb", Builder: "fetch", Args: []string{"https://example.org/hello.deb"},
		Fixed: &derivations.Fixed{Algorithm: "sha256", Digest: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	})
	greetingText := "nbuild store path 1\nname greeting.txt\ndigest " + fileDigest("hello\n") + "\n"
	greetingPath := pathOf(greetingText, "greeting.txt")
	blanked := storepath.Prefix + "/" + strings.Repeat("0", 32) + "-hello\n" + string(greetingPath) + "\n"
	helloText := "nbuild store path 1\nname hello\ndigest " + fileDigest(blanked) + "\nself \"\" 14\nreference " + string(greetingPath) + "\n"
	return map[string]string{
		"contexts": fmt.Sprintf("derivation id    %s\naction key       %s\nstore path       %s\nscratch path     %s\naccount number   %s\n",
			digest.ContextDerivation, digest.ContextAction, digest.ContextStorePath, digest.ContextScratch, digest.ContextAccount),
		"accounts":            accountVectors(),
		"greeting derivation": string(greeting.Text()),
		"hello derivation":    string(hello.Text()),
		"hello action":        string(action.Text()),
		"download derivation": string(download.Text()),
		"download action":     string(resolve(t, download).Text()),
		"digests": lines(
			"greeting derivation", greeting.ID(), "hello derivation", hello.ID(), "hello action", action.Key(),
			"download derivation", download.ID(), "download action", resolve(t, download).Key()),
		"greeting path": greetingText,
		"hello path":    helloText,
		"paths":         lines("greeting", greetingPath, "hello", pathOf(helloText, "hello")),
		"index":         readPage(t, "../store/schema.sql"),

		"trees":  treeVectors(),
		"owners": string(ownersVector()),
		"lock":   lockVector(t),

		"registration": registrationVector(greetingPath, pathOf(helloText, "hello")),

		"evaluation record": string(recordVector(greeting).Bytes()),
	}
}

func recordVector(greeting *derivations.Derivation) *config.Record {
	source := storepath.New(digest.Derive(digest.ContextStorePath, nil), "www")
	return &config.Record{
		Project:   "/home/ann/web",
		Evaluator: "Ab-1/c_2",
		Files:     map[string]digest.Digest{"nbuild.star": digest.Sum([]byte("# a file\n")), "lib/a.star": digest.Sum(nil)},
		Sources:   map[string]storepath.Path{"www": source},
		Variables: map[string]digest.Digest{"EDITOR": digest.Sum([]byte("vi")), "PAGER": {}},
		Messages:  []string{"nbuild.star:3:1: printed"},
		Targets:   map[string]config.RecordedTarget{"greeting": {Derivation: greeting.ID(), Output: "out"}},
	}
}

// lines writes names and values in turn, a pair a line.
func lines(pairs ...any) string {
	var b strings.Builder
	for pair := range slices.Chunk(pairs, 2) {
		fmt.Fprintf(&b, "%-20s %v\n", pair[0], pair[1])
	}
	return b.String()
}

func newDerivation(t *testing.T, spec derivations.Spec) *derivations.Derivation {
	t.Helper()
	drv, err := derivations.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return drv
}

func resolve(t *testing.T, drv *derivations.Derivation) *derivations.Action {
	t.Helper()
	action, err := drv.Resolve(func(derivations.Input) (storepath.Path, error) {
		return "/nbuild/store/zyxwvsrqpnmlkjihgfdcba9876543210-greeting.txt", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return action
}

// pathOf is the store path that formats.md makes of a text.
func pathOf(text, name string) storepath.Path {
	return storepath.New(digest.Derive(digest.ContextStorePath, []byte(text)), name)
}

// fileDigest is the digest of a tree that is a single file.
func fileDigest(content string) string {
	return tree.Digest(&tree.Node{Kind: tree.File, Digest: digest.Sum([]byte(content)), Size: int64(len(content))}).String()
}

func treeVectors() string {
	file := func(name string, executable bool) *tree.Node {
		content := []byte("hello\n")
		return &tree.Node{Name: name, Kind: tree.File, Executable: executable, Digest: digest.Sum(content), Size: int64(len(content))}
	}
	link := func(name string) *tree.Node { return &tree.Node{Name: name, Kind: tree.Symlink, Target: "file"} }
	folder := &tree.Node{Kind: tree.Folder, Children: []*tree.Node{
		{Name: "empty", Kind: tree.Folder}, file("file", false), link("link"), file("program", true),
	}}
	return lines(
		"empty", tree.Digest(&tree.Node{Kind: tree.Folder}), "file", tree.Digest(file("", false)),
		"program", tree.Digest(file("", true)), "link", tree.Digest(link("")), "folder", tree.Digest(folder))
}

func accountVectors() string {
	person := func(name string) int { return derivations.User{Name: name}.Number() }
	service := func(name string) int { return derivations.User{Name: name, System: true}.Number() }
	group := func(name string) int { return derivations.Group{Name: name}.Number() }
	return lines(
		"person ann", person("ann"), "person ben", person("ben"), "person user", person("user"), "service app", service("app"),
		"service backup", service("backup"), "service postgres", service("postgres"), "group devs", group("devs"), "group sudo", group("sudo"))
}

func ownersVector() []byte {
	return owners.Format([]owners.Entry{
		{Kind: 'f', Mode: 0o640, GID: 42, Path: "/etc/shadow"},
		{Kind: 'd', Mode: 0o1777, Path: "/tmp"},
		{Kind: 'f', Mode: 0o4755, Path: "/usr/bin/sudo"},
		{Kind: 'l', Mode: 0o777, UID: 1000, GID: 1000, Path: "/home/a link"},
	})
}

// registrationVector is that of the two objects whose paths are vectors too.
func registrationVector(greeting, hello storepath.Path) string {
	file := func(content string) digest.Digest {
		return tree.Digest(&tree.Node{Kind: tree.File, Digest: digest.Sum([]byte(content)), Size: int64(len(content))})
	}
	content := string(hello) + "\n" + string(greeting) + "\n"
	return string(registration.Format([]registration.Entry{
		{Path: hello, Digest: file(content), Size: int64(len(content)), References: []storepath.Path{greeting}},
		{Path: greeting, Digest: file("hello\n"), Size: 6},
	}))
}

// lockVector is what nbuild writes after it has read the lock of formats.md: the same, if the document is right.
func lockVector(t *testing.T) string {
	t.Helper()
	for _, match := range block.FindAllStringSubmatch(readPage(t, "formats.md"), -1) {
		if match[1] != "lock" {
			continue
		}
		lock, err := debian.ParseLock([]byte(match[2]), "formats.md")
		if err != nil {
			t.Fatal(err)
		}
		if got := len(lock.Packages()); got != 2 {
			t.Errorf("the lock of formats.md has %d packages, want 2", got)
		}
		return string(lock.Bytes())
	}
	t.Fatal("formats.md has no lock")
	return ""
}

// documentedContext is a line of the block of contexts.
var documentedContext = regexp.MustCompile(`(?m)^(derivation id|action key) +(.+)$`)

// Whoever follows the document alone must get the documented ids: the text of a block, hashed under the context that
// the document names.
func TestFormatsAreComplete(t *testing.T) {
	text, err := os.ReadFile("formats.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks, contexts := map[string]string{}, map[string]string{}
	for _, match := range block.FindAllStringSubmatch(string(text), -1) {
		blocks[match[1]] = match[2]
	}
	for _, match := range documentedContext.FindAllStringSubmatch(blocks["contexts"], -1) {
		contexts[match[1]] = match[2]
	}
	checked := 0
	for line := range strings.Lines(blocks["digests"]) {
		fields := strings.Fields(line)
		name := fields[0] + " " + fields[1]
		context := contexts["action key"]
		if fields[1] == "derivation" {
			context = contexts["derivation id"]
		}
		if got := fmt.Sprintf("%x", digest.Derive(context, []byte(blocks[name]))); got != fields[2] {
			t.Errorf("the documented text of the %s has the digest %s, documented is %s", name, got, fields[2])
		}
		checked++
	}
	if checked != 5 {
		t.Errorf("%d digests are documented, want 5", checked)
	}
}

// The documented rule for numbers of accounts, followed here, must give the documented numbers.
func TestAccountNumbersAreComplete(t *testing.T) {
	text := readPage(t, "formats.md")
	context := regexp.MustCompile(`(?m)^account number +(.+)$`).FindStringSubmatch(text)
	ranges := map[string][2]uint64{"person": {2000, 29999}, "group": {2000, 29999}, "service": {600, 899}}
	follow := func(kind, name string) uint64 {
		hash := digest.Derive(context[1], []byte(name))
		var n uint64
		for _, b := range hash[:8] {
			n = n<<8 | uint64(b)
		}
		first, last := ranges[kind][0], ranges[kind][1]
		return n%(last-first+1) + first
	}
	documented := regexp.MustCompile(`(?m)^(person|service|group) (ann|ben|user|app|devs) +(\d+)$`).FindAllStringSubmatch(text, -1)
	if len(context) != 2 || len(documented) != 5 {
		t.Fatalf("formats.md has the context %q and %d numbers that follow from names, want 5", context, len(documented))
	}
	for _, row := range documented {
		if got := fmt.Sprint(follow(row[1], row[2])); got != row[3] {
			t.Errorf("%s %s: the rule gives %s, documented is %s", row[1], row[2], got, row[3])
		}
	}
}
