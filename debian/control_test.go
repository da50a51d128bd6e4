package debian

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const twoPackages = `Package: a
Version: 1.0-1
Description: not kept
 nor this
Depends: b (>= 2),
 c | d
Filename: pool/a.deb

# a comment

Package: b
Depends: 
Version: 2
SHA256: x`

func TestParsePackages(t *testing.T) {
	want := []string{"a 1.0-1 b (>= 2), c | d|pool/a.deb", "b 2 |"}
	for name, reader := range map[string]io.Reader{
		"whole":    strings.NewReader(twoPackages),
		"by bytes": iotest.OneByteReader(strings.NewReader(twoPackages)),
	} {
		var got []string
		err := parsePackages(reader, "Packages", func(r record) {
			got = append(got, r.name+" "+r.version+" "+r.field(tagDepends)+"|"+r.field(tagFilename))
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParsePackagesKeepsLinesLongerThanTheBuffer(t *testing.T) {
	long := strings.Repeat("x (= 1), ", 60_000)
	var got record
	err := parsePackages(strings.NewReader("Package: a\nProvides: "+long+"y\nVersion: 1\n"), "Packages", func(r record) { got = r })
	if err != nil {
		t.Fatal(err)
	}
	if got.field(tagProvides) != long+"y" || got.version != "1" {
		t.Errorf("Provides has %d bytes, want %d", len(got.field(tagProvides)), len(long)+1)
	}
}

func TestParsePackagesRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no name", "Version: 1\n\n", `Packages:2: the package that ends here has the name ""`},
		{"bad name", "Package: ../a\nVersion: 1\n", `has the name "../a"`},
		{"no version", "\nPackage: a\n\nPackage: b\nVersion: 1\n", "Packages:3: the package that ends here has no Version"},
		{"no field", "Package: a\n<html>\n", `Packages:2: "<html>" is not "Field: value"`},
		{"long line", "Package: a\nDepends: " + strings.Repeat("x", maxLine+1), "Packages:2: the line is longer than"},
	}
	for _, test := range tests {
		err := parsePackages(strings.NewReader(test.text), "Packages", func(record) {})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: parsePackages = %v, want %q", test.name, err, test.want)
		}
	}
	broken := iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(twoPackages)))
	if err := parsePackages(broken, "Packages", func(record) {}); err != iotest.ErrTimeout {
		t.Errorf("parsePackages of a reader that breaks = %v, want its error", err)
	}
}

// naiveField finds a field of the first paragraph that has it, line by line.
func naiveField(text, name string) (string, bool) {
	var value []string
	open := false
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case open && line != "" && strings.Contains(" \t", line[:1]) && strings.TrimSpace(line) != "":
			value = append(value, strings.TrimSpace(line))
		case open:
			return strings.Join(value, "\n"), true
		case strings.HasPrefix(line, name+":"):
			open = true
			value = append(value, strings.TrimSpace(line[len(name)+1:]))
		}
	}
	return strings.Join(value, "\n"), open
}

func FuzzParseParagraphs(f *testing.F) {
	f.Add(twoPackages)
	f.Add("A: b\n c\n\t d\n \nB:x\n")
	f.Fuzz(func(t *testing.T, text string) {
		paragraphs, err := parseParagraphs(strings.NewReader(text), "f")
		if err != nil || len(paragraphs) == 0 || strings.ContainsAny(text, "\r\v\f\u0085\u00a0") || !strings.Contains(text, "Depends") {
			return
		}
		for _, p := range paragraphs {
			got, ok := p.fields["depends"]
			if !ok {
				continue
			}
			want, found := naiveField(text, "Depends")
			if found && got.value != want {
				t.Errorf("Depends = %q, want %q", got.value, want)
			}
			return
		}
	})
}

func TestParseGroups(t *testing.T) {
	tests := []struct {
		in   string
		want []group
	}{
		{"", nil},
		{" , a,, ", []group{{{name: "a"}}}},
		{"a|b", []group{{{name: "a"}, {name: "b"}}}},
		{"libc6 (>= 2.38), default-mta | mail-transport-agent", []group{
			{{name: "libc6", op: ">=", version: "2.38"}}, {{name: "default-mta"}, {name: "mail-transport-agent"}},
		}},
		{"python3:any (>=3.13~),perl:amd64(<<5)", []group{
			{{name: "python3", arch: "any", op: ">=", version: "3.13~"}}, {{name: "perl", arch: "amd64", op: "<<", version: "5"}},
		}},
		{"a (< 1), b (> 1), c (1)", []group{{{"a", "", "<=", "1"}}, {{"b", "", ">=", "1"}}, {{"c", "", "=", "1"}}}},
		{"a\n (= 1:2-3)", []group{{{name: "a", op: "=", version: "1:2-3"}}}},
	}
	for _, test := range tests {
		got, err := parseGroups(test.in)
		if err != nil {
			t.Errorf("parseGroups(%q): %v", test.in, err)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(relation{})); diff != "" {
			t.Errorf("parseGroups(%q) (-want +got):\n%s", test.in, diff)
		}
	}
	for _, bad := range []string{"a b", "a (", "a (>= )", "a (>= 1", "a >= 1", "|", "a | ", "a:", ":any", "a (>=> 1)", "a [amd64]", "-a", "a (>= 1) x", "a (>= 1 2)"} {
		if got, err := parseGroups(bad); err == nil {
			t.Errorf("parseGroups(%q) = %v, want an error", bad, got)
		}
	}
}

// FuzzParseGroups holds that what was parsed reads the same when it is written.
func FuzzParseGroups(f *testing.F) {
	f.Add("libc6 (>= 2.38), default-mta | mail-transport-agent, python3:any (<< 3)")
	f.Add("a (< 1:2-3~x)")
	f.Fuzz(func(t *testing.T, text string) {
		groups, err := parseGroups(text)
		if err != nil {
			return
		}
		var texts []string
		for _, g := range groups {
			texts = append(texts, g.String())
		}
		again, err := parseGroups(strings.Join(texts, ", "))
		if err != nil {
			t.Fatalf("parsing what was written: %v", err)
		}
		if diff := cmp.Diff(groups, again, cmp.AllowUnexported(relation{})); diff != "" {
			t.Errorf("parsed twice (-once +twice):\n%s", diff)
		}
	})
}

func TestRelationAccepts(t *testing.T) {
	tests := []struct {
		op      string
		version string
		want    bool
	}{
		{"", "9", true},
		{"<<", "1", true},
		{"<<", "2", false},
		{"<=", "2", true},
		{"<=", "2.1", false},
		{"=", "2", true},
		{"=", "2-1", false},
		{">=", "2", true},
		{">=", "2~", false},
		{">>", "2", false},
		{">>", "2+b1", true},
	}
	for _, test := range tests {
		if got := (relation{"a", "", test.op, "2"}).accepts(test.version); got != test.want {
			t.Errorf("(%s 2) accepts %s = %t, want %t", test.op, test.version, got, test.want)
		}
	}
}
