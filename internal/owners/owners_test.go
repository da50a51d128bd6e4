package owners

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var sample = []Entry{
	{Kind: Folder, Mode: 0o1777, Path: "/tmp"},
	{Kind: File, Mode: 0o4755, Path: "/usr/bin/sudo"},
	{Kind: File, Mode: 0o644, UID: 65534, GID: 4294967295, Path: "/with \"quotes\"\\ and\n\t\x01\x7fblanks"},
	{Kind: Link, Mode: 0o777, GID: 42, Path: "/é"},
}

const sampleText = "d 1777 0 0 /tmp\n" +
	"f 4755 0 0 /usr/bin/sudo\n" +
	`f 644 65534 4294967295 "/with \"quotes\"\\ and\n\t\001\177blanks"` + "\n" +
	"l 777 0 42 /é\n"

func TestFormat(t *testing.T) {
	shuffled := []Entry{sample[3], sample[1], sample[0], sample[2]}
	if diff := cmp.Diff(sampleText, string(Format(shuffled))); diff != "" {
		t.Errorf("Format (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	got, err := Parse([]byte(sampleText))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"f 644 0 0 /a":                         "line 1 has no end",
		"f 644 0 /a\n":                         "want 5 fields",
		"x 644 0 0 /a\n":                       `kind "x"`,
		"f 10000 0 0 /a\n":                     `mode "10000"`,
		"f 648 0 0 /a\n":                       `mode "648"`,
		"f 644 -1 0 /a\n":                      `uid "-1"`,
		"f 644 0 4294967296 /a\n":              `gid "4294967296"`,
		"f 644 0 0 a\n":                        "want an absolute one",
		"f 644 0 0 /a b\n":                     "wants quotes",
		"f 644 0 0 \"/a\n":                     "no closing quote",
		"f 644 0 0 \"/a\\q\"\n":                "unknown escape",
		"f 644 0 0 \"/a\\\"\n":                 "backslash at the end",
		"f 644 0 0 \"/a\\000\"\n":              "want an absolute one",
		"f 644 0 0 /a\nf 644 0 0 /a\n":         "line 2: \"/a\" is not sorted",
		"f 644 0 0 /b\nf 644 0 0 /a\nmore\n\n": "line 2: \"/a\" is not sorted",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want an error with %q", text, err, want)
		}
	}
}

func TestIsPlain(t *testing.T) {
	for _, test := range []struct {
		e    Entry
		want bool
	}{
		{Entry{Kind: File, Mode: 0o644}, true},
		{Entry{Kind: File, Mode: 0o755}, true},
		{Entry{Kind: File, Mode: 0o600}, false},
		{Entry{Kind: File, Mode: 0o4755}, false},
		{Entry{Kind: File, Mode: 0o644, GID: 1}, false},
		{Entry{Kind: Folder, Mode: 0o755}, true},
		{Entry{Kind: Folder, Mode: 0o644}, false},
		{Entry{Kind: Folder, Mode: 0o1777}, false},
		{Entry{Kind: Link, Mode: 0o777}, true},
		{Entry{Kind: Link, Mode: 0o777, UID: 1}, false},
	} {
		if got := test.e.IsPlain(); got != test.want {
			t.Errorf("%+v.IsPlain() = %t, want %t", test.e, got, test.want)
		}
	}
}

// Whatever Parse accepts, Format writes so that Parse reads the same again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sampleText))
	f.Add([]byte("f 0 0 0 \"/\\001\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := Parse(text)
		if err != nil {
			return
		}
		written := Format(entries)
		again, err := Parse(written)
		if err != nil {
			t.Fatalf("Parse of what Format wrote: %v\n%s", err, written)
		}
		if diff := cmp.Diff(entries, again); diff != "" {
			t.Errorf("Parse, Format, Parse (-want +got):\n%s", diff)
		}
		if second := Format(again); !bytes.Equal(written, second) {
			t.Errorf("Format writes %q, then %q", written, second)
		}
	})
}
