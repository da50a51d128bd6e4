package layout

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config/fault"
)

func TestFormat(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", ""},
		{"laid out", "a = 1\n", "a = 1\n"},
		{"spaces and quotes", "a=[1,2 , 'x']\n\n\n\nb = f( x=1,y = 2 )", "a = [1, 2, \"x\"]\n\nb = f(x = 1, y = 2)\n"},
		{"broken lists stay broken", "a = [1,\n  2]\n", "a = [\n    1,\n    2,\n]\n"},
		{"comments", "#one\na = 1 # two\n# three", "#one\na = 1  # two\n# three\n"},
		{"order", "load('b.star', 'z', 'a')\nb = 2\nload('a.star', 'c')\na = ['z', 'a']\n", "load(\"b.star\", \"z\", \"a\")\n\nb = 2\n\nload(\"a.star\", \"c\")\n\na = [\"z\", \"a\"]\n"},
		{"function", "def config(cfg):\n  if cfg.x: return {}\n  return { 'a.b' : True }\n", "def config(cfg):\n    if cfg.x:\n        return {}\n    return {\"a.b\": True}\n"},
		{"old macintosh", "a = 1\rb=2\r", "a = 1\nb = 2\n"},
		{"windows", "a = 1\r\nb = [2,\r\n3]\r\n", "a = 1\nb = [\n    2,\n    3,\n]\n"},
	}
	for _, test := range tests {
		got, err := Format("x.star", []byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestFormatFaults(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"syntax", "a = 1\nb = (2\n", "x.star:3:1: got end of file, want ')'"},
		{"characters, not bytes", "é = 1; é é\n", "x.star:1:11: got identifier, want newline"},
		{"what buildifier doesn't know", "a = 1\nwhile True:\n    pass\n", "x.star:2:11: this can't be laid out: syntax error near True; all of Starlark is known but while"},
		{"no text", "a = '\x00'", "x.star:1: the byte 0x00 is not part of a text in UTF-8"},
		{"deep", "a = " + strings.Repeat("[", 201) + strings.Repeat("]", 201), "x.star:1:82: excessive nesting"},
	}
	for _, test := range tests {
		_, err := Format("x.star", []byte(test.text))
		var wrong *fault.Error
		if !errors.As(err, &wrong) || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
}

// FuzzFormat holds Format to its promise. That the text still says the same is looked at by Format itself.
func FuzzFormat(f *testing.F) {
	for _, pattern := range []string{"../*.star", "../../modules/*.star", "../../examples/*/*.star"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add([]byte("0#00\n++0\n"))
	f.Add([]byte("a = [x for x in {1: 2} if not -x] + b'c' \"d\" # e\n"))
	f.Add([]byte("def f(a, *, b = 1, **c):\n  '''doc\n  more'''\n  return lambda x: (x, ) if a else a[1:2]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		once, err := Format("x.star", text)
		var wrong *fault.Error
		if errors.As(err, &wrong) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		twice, err := Format("x.star", once)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(once, twice) {
			t.Errorf("laid out again (-first +second):\n%s", cmp.Diff(string(once), string(twice)))
		}
	})
}

// What nbuild brings along looks as it makes others' files look.
func TestOwnFilesAreLaidOut(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../*.star", "../../modules/*.star", "../../examples/*/*.star"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 3 {
		t.Fatalf("found only %q", files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		formatted, err := Format(file, text)
		if err != nil {
			t.Error(err)
		} else if diff := cmp.Diff(string(formatted), string(text)); diff != "" {
			t.Errorf("%s (-as nbuild fmt has it +got):\n%s", file, diff)
		}
	}
}
