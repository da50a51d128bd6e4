package storepath

import (
	"strings"
	"testing"

	"nbuild/internal/digest"
)

const hashPart = "0123456789abcdfghijklmnpqrsvwxyz"

func TestParse(t *testing.T) {
	const text = "/nbuild/store/" + hashPart + "-hello-2.12+b1"
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if p.Base() != hashPart+"-hello-2.12+b1" || p.Hash() != hashPart || p.Name() != "hello-2.12+b1" {
		t.Errorf("Parse(%q): base %q, hash part %q, name %q", text, p.Base(), p.Hash(), p.Name())
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "does not begin with"},
		{"another folder", "/nix/store/" + hashPart + "-a", "does not begin with"},
		{"no name", "/nbuild/store/" + hashPart, "want /nbuild/store/"},
		{"empty name", "/nbuild/store/" + hashPart + "-", "want /nbuild/store/"},
		{"short hash part", "/nbuild/store/" + hashPart[1:] + "-a", "want /nbuild/store/"},
		{"other alphabet", "/nbuild/store/e" + hashPart[1:] + "-a", "want /nbuild/store/"},
		{"file below", "/nbuild/store/" + hashPart + "-a/b", `the character '/'`},
		{"dots", "/nbuild/store/" + hashPart + "-..", "begins with a dot"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if p, err := Parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse(%q) = %q, %v, want an error with %q", tt.text, p, err, tt.want)
			}
		})
	}
}

func TestValidateName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "libstdc++6_14.2.0-19_amd64.deb": true, "a=b?c~d": true, strings.Repeat("a", MaxName): true,
		"": false, ".a": false, "a b": false, "a/b": false, "a\n": false, "é": false, "a\x00": false, strings.Repeat("a", MaxName+1): false,
	} {
		if err := ValidateName(name); (err == nil) != want {
			t.Errorf("ValidateName(%q) = %v, want valid: %t", name, err, want)
		}
	}
}

func TestPlaceholderIsNoStorePath(t *testing.T) {
	p := Placeholder(digest.DerivationID{1}, "out", "hello")
	if parsed, err := Parse(p); err == nil {
		t.Errorf("Parse(%q) = %q, want an error", p, parsed)
	}
	if rest, ok := strings.CutPrefix(p, PlaceholderPrefix+"/"); !ok || len(rest) != len(hashPart)+len("-hello") || !strings.HasSuffix(p, "-hello") {
		t.Errorf("Placeholder = %q, want %s/<%d characters>-hello", p, PlaceholderPrefix, len(hashPart))
	}
}

func TestPlaceholdersDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []digest.DerivationID{{1}, {2}} {
		for _, output := range []string{"out", "doc"} {
			p := Placeholder(id, output, "name")
			if seen[p] {
				t.Errorf("the placeholder %s stands for two outputs", p)
			}
			seen[p] = true
		}
	}
}

// Parse accepts what New makes and nothing that isn't exactly such a path.
func FuzzParse(f *testing.F) {
	f.Add("/nbuild/store/" + hashPart + "-hello")
	f.Add("/nbuild/store/" + hashPart + "-")
	f.Add("/nbuild/store/../" + hashPart + "-a")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if string(p) != text || Prefix+"/"+p.Hash()+"-"+p.Name() != text || ValidateName(p.Name()) != nil || !digest.IsBase32(p.Hash()) {
			t.Errorf("Parse(%q) = %q of hash part %q and name %q", text, p, p.Hash(), p.Name())
		}
	})
}
