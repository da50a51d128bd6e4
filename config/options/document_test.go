package options_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config/options"
)

const documented = `options = {
    "users": {
        "users": option(types.attrs_of(types.submodule({
            "shell": option(types.nullable(types.str), default = None, description = "The shell.", example = "/bin/sh"),
            "keys": option(types.list_of(types.submodule({"text": option(types.str, description = "A key.")})), default = []),
        })), default = {}, description = """
            Who has an account.

            Everybody else has none.
        """),
        "hidden": option(types.int, default = 1, internal = True),
    },
    "usersfile": option(types.one_of(types.path, types.submodule({"link": option(types.bool)})), description = "A file."),
    "text": option(types.lines, default = "one\ntwo\n", description = "Lines.", example = merge("a", "b")),
}
`

// documentOf describes the options of a text, but for those that every system has.
func documentOf(t *testing.T, text string) *options.Document {
	t.Helper()
	var declared []*options.Option
	for _, o := range resultOf(t, text).Options() {
		if o.Position.File != "" {
			declared = append(declared, o)
		}
	}
	return options.NewDocument(declared)
}

func TestDocumentAsText(t *testing.T) {
	var got strings.Builder
	if err := documentOf(t, documented).WriteText(&got); err != nil {
		t.Fatal(err)
	}
	want := `text
    Lines.
    type: lines
    default: """one
two
"""
    example: merge("a", "b")
    declared: web.star:14:5

users.users
    Who has an account.
    Everybody else has none.
    type: dictionary of submodules
    default: {}
    declared: web.star:3:9

users.users.<name>.keys
    type: list of submodules
    default: []
    declared: web.star:5:27

users.users.<name>.keys[].text
    A key.
    type: string
    declared: web.star:5:73

users.users.<name>.shell
    The shell.
    type: string or None
    default: None
    example: "/bin/sh"
    declared: web.star:4:28

usersfile
    A file.
    type: path or submodule
    declared: web.star:13:5

usersfile.link
    type: bool
    declared: web.star:13:81
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDocumentAsPage(t *testing.T) {
	document, err := documentOf(t, documented).Below("text")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	if err := document.WriteMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	want := "# Options\n\nThis page is what `nbuild options --markdown` prints.\n\n## text\n\n### `text`\n\nLines.\n\n- type: lines\n" +
		"- default:\n  ```python\n  \"\"\"one\ntwo\n\"\"\"\n  ```\n- example: `merge(\"a\", \"b\")`\n- declared: in `web.star`\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDocumentAsJSON(t *testing.T) {
	var text strings.Builder
	if err := documentOf(t, documented).WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal([]byte(text.String()), &got); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"name": "text", "description": "Lines.", "type": "lines", "default": "one\ntwo\n", "example": `merge("a", "b")`, "declared": "web.star:14:5"},
		{"name": "users.users", "description": "Who has an account.\n\nEverybody else has none.", "type": "dictionary of submodules", "default": map[string]any{}, "declared": "web.star:3:9"},
	}
	if diff := cmp.Diff(want, got[:2]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(got) != 7 {
		t.Errorf("%d options, want 7", len(got))
	}
}

func TestDocumentBelow(t *testing.T) {
	document := documentOf(t, documented)
	tests := []struct {
		name string
		want []string // names, or the error
	}{
		{"users", []string{"users.users", "users.users.<name>.keys", "users.users.<name>.keys[].text", "users.users.<name>.shell"}},
		{"users.users.<name>.keys", []string{"users.users.<name>.keys", "users.users.<name>.keys[].text"}},
		{"usersfile.link", []string{"usersfile.link"}},
		{"user", []string{`there is no option user; did you mean "users"?`}},
		{"users.user", []string{`there is no option users.user; did you mean "users.users"?`}},
		{"users.hidden", []string{`there is no option users.hidden; did you mean "usersfile"?`}},
	}
	for _, test := range tests {
		var got []string
		below, err := document.Below(test.name)
		if err != nil {
			got = []string{err.Error()}
		} else {
			var text strings.Builder
			if err := below.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(text.String()) {
				if line[0] != ' ' && line[0] != '\n' && !strings.HasPrefix(line, "two") && line[0] != '"' {
					got = append(got, strings.TrimSpace(line))
				}
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestDocumentWrapsProse(t *testing.T) {
	words := strings.Repeat("word ", 30)
	var got strings.Builder
	document := documentOf(t, `options = {"a": option(types.int, description = "`+words+`")}`)
	if err := document.WriteText(&got); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(got.String(), "\n")
	if want := "    " + strings.TrimSpace(strings.Repeat("word ", 19)); lines[1] != want {
		t.Errorf("the first line of prose is %q, want %q", lines[1], want)
	}
	if strings.Count(got.String(), "word") != 30 {
		t.Errorf("words are lost in:\n%s", got.String())
	}
}

// Systems of one project declare the same options of nbuild's own modules.
func TestDocumentDescribesOptionsOnce(t *testing.T) {
	declared := resultOf(t, `options = {"a": option(types.int)}`).Options()
	var once, twice strings.Builder
	if err := options.NewDocument(declared).WriteText(&once); err != nil {
		t.Fatal(err)
	}
	if err := options.NewDocument(append(declared, declared...)).WriteText(&twice); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(once.String(), twice.String()); diff != "" {
		t.Errorf("(-once +twice):\n%s", diff)
	}
}
