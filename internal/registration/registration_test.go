package registration

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// testPath returns a store path that sorts as its name does.
func testPath(name string) storepath.Path { return storepath.New(digest.Digest{name[0]}, name) }

// testEntries returns some objects, sorted.
func testEntries() []Entry {
	a, b, c := testPath("a"), testPath("b"), testPath("c")
	return []Entry{
		{Path: a, Digest: digest.Sum([]byte("a")), Size: 0},
		{Path: b, Digest: digest.Sum([]byte("b")), Size: 1 << 40, References: []storepath.Path{a}},
		{Path: c, Digest: digest.Sum([]byte("c")), Size: 7, References: []storepath.Path{a, b}},
	}
}

func TestFormatAndParse(t *testing.T) {
	entries := testEntries()
	shuffled := []Entry{entries[2], entries[0], entries[1]}
	text := Format(shuffled)
	got, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(entries, got); diff != "" {
		t.Errorf("Parse(Format) (-want +got):\n%s", diff)
	}
	if shuffled[0].Path != entries[2].Path {
		t.Error("Format sorted its caller's slice")
	}
	if got, err := Parse(Format(nil)); err != nil || got != nil {
		t.Errorf("Parse(Format(nil)) = %v, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	entries := testEntries()
	text := string(Format(entries))
	object := strings.SplitAfter(text, "\n")[1]
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", `registration: line 1: want "nbuild registration 1"`},
		{"other version", strings.Replace(text, " 1\n", " 2\n", 1), `registration: line 1: want "nbuild registration 1"`},
		{"cut off", strings.TrimSuffix(text, "\n"), "registration: line 7: the end of the line is missing"},
		{"unknown line", text + "owner root\n", `registration: line 8: want an object or a reference, got "owner root"`},
		{"empty line", text + "\n", `registration: line 8: want an object or a reference, got ""`},
		{"twice", header + object + object, "registration: line 3: object " + string(entries[0].Path) + " is not in its place"},
		{"missing size", header + "object " + string(entries[0].Path) + "\n", `registration: line 2: want a store path, a digest and a size, got "` + string(entries[0].Path) + `"`},
		{"not a path", header + strings.Replace(object, "/nbuild/store/", "/nbuild/store/../", 1), "registration: line 2: "},
		{"capitals", header + strings.ToUpper(object[:1]) + object[1:], "registration: line 2: want an object or a reference, got "},
		{"digest", header + strings.Replace(object, entries[0].Digest.String(), strings.Repeat("Z", 64), 1), "registration: line 2: want a digest in lower-case hexadecimal, got "},
		{"negative", header + strings.Replace(object, " 0\n", " -1\n", 1), `registration: line 2: want a size in bytes, got "-1"`},
		{"huge", header + strings.Replace(object, " 0\n", " 9223372036854775808\n", 1), `registration: line 2: want a size in bytes, got "9223372036854775808"`},
		{"leading zero", header + strings.Replace(object, " 0\n", " 01\n", 1), `registration: line 2: want a size in bytes, got "01"`},
		{"orphan", header + "reference " + string(entries[0].Path) + "\n", "registration: line 2: a reference comes before the first object"},
		{"to itself", header + object + "reference " + string(entries[0].Path) + "\n", "registration: line 3: reference " + string(entries[0].Path) + " is not in its place"},
	} {
		t.Run(test.name, func(t *testing.T) {
			entries, err := Parse([]byte(test.text))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("Parse = %v, %v; want the error %q", entries, err, test.want)
			}
		})
	}
}

// FuzzParse: there is one text for a registration, so what is taken is written the same.
func FuzzParse(f *testing.F) {
	f.Add(Format(testEntries()))
	f.Add([]byte(header))
	f.Add([]byte(header + "object /nbuild/store/0123456789abcdfghijklmnpqrsvwxyz-x 00 1\nreference \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := Parse(text)
		if err != nil {
			return
		}
		if again := Format(entries); !bytes.Equal(again, text) {
			t.Errorf("Parse took %q, which is written %q", text, again)
		}
	})
}
