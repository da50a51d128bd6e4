package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nbuild/config"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
)

// recordedProject is a project that reads something of each kind.
var recordedProject = map[string]string{
	"nbuild.star": `
load("lib.star", "name")
notes = derivation(name = name, script = from_env("EDITOR", ""), outputs = ["out", "doc"], tools = tree("t", inputs = [source("data")]))
web = text_file(from_env("NAME"), "")
_private = text_file("private", "")
`,
	"lib.star": `name = "notes"`,
	"data/a":   "1",
}

func environment(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := variables[name]
		return value, set
	}
}

// record evaluates a project and returns what is recorded.
func record(t *testing.T, p config.Project) (*config.Record, *config.Result) {
	t.Helper()
	r, err := config.Evaluate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return config.NewRecord("this nbuild", digest.Sum([]byte("lock")), r, []string{"a \"message\"\n", "another"}), r
}

func TestRecordKeepsTargets(t *testing.T) {
	p := project(t, recordedProject)
	p.Getenv = environment(map[string]string{"NAME": "web"})
	record, r := record(t, p)
	want := map[string]config.RecordedTarget{}
	for _, name := range []string{"notes", "notes.out", "notes.doc", "web", "web.out"} {
		target, err := r.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = config.RecordedTarget{Derivation: target.Derivation.ID(), Output: target.Output}
	}
	if diff := cmp.Diff(want, record.Targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
}

func TestRecordKeepsNoValuesOfVariables(t *testing.T) {
	p := project(t, recordedProject)
	p.Getenv = environment(map[string]string{"NAME": "a-name", "EDITOR": "very-secret"})
	record, _ := record(t, p)
	if text := record.Bytes(); bytes.Contains(text, []byte("very-secret")) {
		t.Errorf("the value of EDITOR is in:\n%s", text)
	}
	want := []string{
		"read lib.star", "read nbuild.star", "read the source data: " + string(record.Sources["data"]),
		`read the variable EDITOR: "very-secret"`, `read the variable NAME: "a-name"`,
	}
	if diff := cmp.Diff(want, record.Trace(p)); diff != "" {
		t.Errorf("trace (-want +got):\n%s", diff)
	}
}

func TestRecordSeesChanges(t *testing.T) {
	lock := digest.Sum([]byte("lock"))
	tests := []struct {
		name      string
		write     map[string]string // files; an empty text means that it is removed
		variables map[string]string
		evaluator string
		lock      digest.Digest
		want      string
	}{
		{name: "nothing"},
		{name: "unrelated", write: map[string]string{"other.star": "x", "other": "y"}, variables: map[string]string{"OTHER": "1"}},
		{name: "written anew", write: map[string]string{"lib.star": recordedProject["lib.star"], "data/a": "1"}},
		{name: "project file", write: map[string]string{"nbuild.star": recordedProject["nbuild.star"] + "\n"}, want: "nbuild.star changed"},
		{name: "loaded file", write: map[string]string{"lib.star": `name = "others"`}, want: "lib.star changed"},
		{name: "file gone", write: map[string]string{"lib.star": ""}, want: "lib.star changed"},
		{name: "variable", variables: map[string]string{"NAME": "x"}, want: "the variable NAME changed"},
		{name: "variable that wasn't set", variables: map[string]string{"EDITOR": ""}, want: "the variable EDITOR changed"},
		{name: "source", write: map[string]string{"data/a": "2"}, want: "the source data changed"},
		{name: "source grows", write: map[string]string{"data/b": "2"}, want: "the source data changed"},
		{name: "source gone", write: map[string]string{"data": ""}, want: "the source data changed"},
		{name: "lock", lock: digest.Sum([]byte("other")), want: "the lock file changed"},
		{name: "nbuild", evaluator: "other", want: "nbuild changed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := project(t, recordedProject)
			variables := map[string]string{"NAME": "web"}
			p.Getenv = environment(variables)
			record, _ := record(t, p)
			for name, text := range test.write {
				changeFile(t, filepath.Join(p.Dir, name), text)
			}
			for name, value := range test.variables {
				variables[name] = value
			}
			if test.lock.IsZero() {
				test.lock = lock
			}
			if test.evaluator == "" {
				test.evaluator = "this nbuild"
			}
			got := record.Change(p, test.evaluator, test.lock)
			if got == "" {
				got = record.SourceChange(t.Context(), p)
			}
			if got != test.want {
				t.Errorf("changed: %q, want %q", got, test.want)
			}
		})
	}
}

// changeFile writes a file; without a text it removes what is there.
func changeFile(t *testing.T, file, text string) {
	t.Helper()
	err := os.RemoveAll(file)
	if err == nil && text != "" {
		err = os.WriteFile(file, []byte(text), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecordWithoutEnvironment(t *testing.T) {
	p := project(t, map[string]string{"nbuild.star": `a = text_file("a", from_env("A", ""))`})
	record, _ := record(t, p)
	if got := record.Change(p, record.Evaluator, record.Lock); got != "" {
		t.Errorf("changed: %q", got)
	}
}

func TestRecordOnDisk(t *testing.T) {
	p := project(t, recordedProject)
	p.Getenv = environment(map[string]string{"NAME": "web"})
	want, _ := record(t, p)
	file := filepath.Join(t.TempDir(), "evaluations", "record")
	if got := config.ReadRecord(file); got != nil {
		t.Fatalf("a record out of nothing: %v", got)
	}
	if err := want.Write(file); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, config.ReadRecord(file)); diff != "" {
		t.Errorf("record (-written +read):\n%s", diff)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string]string{
		"empty":           "",
		"cut off":         string(text[:len(text)-1]),
		"without its end": string(text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1]),
		"one bit":         strings.Replace(string(text), "web", "wec", 1),
		"longer":          string(text) + "\n",
		"another version": strings.Replace(string(text), "evaluation 2", "evaluation 1", 1),
	}
	for name, text := range damaged {
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := config.ReadRecord(file); got != nil {
			t.Errorf("%s: it is read as %v", name, got)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	record := config.Record{
		Project:   "/home/a \"b\"",
		Evaluator: "a/b \"c\"",
		Lock:      digest.Sum([]byte("lock")),
		Files:     map[string]digest.Digest{"nbuild.star": digest.Sum([]byte("x")), "a b.star": {}},
		Sources:   map[string]storepath.Path{"data": storepath.New(digest.Sum([]byte("y")), "data")},
		Variables: map[string]digest.Digest{"EDITOR": {}},
		Messages:  []string{"one\ntwo", ""},
		Targets:   map[string]config.RecordedTarget{"a.out": {Derivation: digest.DerivationID{1}, Output: "out"}},
	}
	text := record.Bytes()
	f.Add(text[:bytes.LastIndex(text, []byte("end "))])
	f.Add((&config.Record{}).Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		// The digest at the end is put right: nothing else would get behind it.
		text = append(bytes.Clone(text), "end "+digest.Sum(text).String()+"\n"...)
		r, err := config.ParseRecord(text)
		if err != nil {
			return
		}
		again, err := config.ParseRecord(r.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Errorf("written and read again (-first +second):\n%s", diff)
		}
	})
}
