package buildid

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestSelfIsWhatTheToolchainSays(t *testing.T) {
	got, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if want := toolBuildID(t, executable); got != want {
		t.Errorf("build id %q, want %q", got, want)
	}
}

func toolBuildID(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.Command("go", "tool", "buildid", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// build makes a program of a text.
func build(t *testing.T, text string, flags ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", append(append([]string{"build", "-o", "program"}, flags...), "main.go")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "program"))
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func TestOtherCodeHasAnotherIdentity(t *testing.T) {
	seen := map[string]string{}
	for _, flags := range [][]string{nil, {"-ldflags=-buildid="}} {
		for _, text := range []string{"package main\nfunc main() {}\n", "package main\nfunc main() { println(1) }\n"} {
			program := build(t, text, flags...)
			id, err := read(bytes.NewReader(program))
			if err != nil {
				t.Fatal(err)
			}
			if other, taken := seen[id]; taken || id == "" {
				t.Errorf("%q with %v has the identity %q of %q", text, flags, id, other)
			}
			seen[id] = text
			if again, err := read(bytes.NewReader(program)); again != id || err != nil {
				t.Errorf("identity %q, then %q, %v", id, again, err)
			}
		}
	}
}

func TestGoNoteBetweenOthers(t *testing.T) {
	note := func(name, content string, kind uint32) []byte {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(name)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
		b = binary.LittleEndian.AppendUint32(b, kind)
		for _, s := range []string{name, content} {
			b = append(b, s...)
			b = append(b, make([]byte, -len(s)&3)...)
		}
		return b
	}
	gnu, id := note("GNU\x00", "abcde", 3), note("Go\x00\x00", "an id", 4)
	tests := []struct {
		name  string
		notes []byte
		want  string
	}{
		{"alone", id, "an id"},
		{"after another", append(bytes.Clone(gnu), id...), "an id"},
		{"another type", note("Go\x00\x00", "x", 1), ""},
		{"another name", note("Goo\x00", "x", 4), ""},
		{"cut off", id[:15], ""},
		{"a size beyond the end", []byte("\xff\xff\xff\xff\xff\xff\xff\xff\x04\x00\x00\x00"), ""},
		{"none", nil, ""},
	}
	for _, test := range tests {
		if got := goNote(test.notes, binary.LittleEndian); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func BenchmarkSelf(b *testing.B) {
	for b.Loop() {
		if _, err := Self(); err != nil {
			b.Fatal(err)
		}
	}
}
