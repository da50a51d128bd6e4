package debian

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	oneBlock = armorBegin + "\n\nmDMEX\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"

	debianSources = `# The machine's own.
Types: deb deb-src
URIs: http://deb.example/debian/
Suites: bookworm bookworm-updates
# with a comment
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`
	osRelease = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_CODENAME=bookworm\n"
)

// machine writes the files of a machine into a folder and returns it.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// found is what a test compares of Sources.
type found struct {
	Main, Security, Keys []string
	IgnoreExpiry         bool
}

func TestFindSources(t *testing.T) {
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	tests := []struct {
		name        string
		files       map[string]string
		mirrors     []string
		environment map[string]string
		want        found
	}{
		{
			name:  "deb822",
			files: map[string]string{"etc/apt/sources.list.d/debian.sources": debianSources, keyring: "k"},
			want: found{
				Main: []string{"http://deb.example/debian"}, Security: []string{"http://deb.example/debian-security"}, Keys: []string{keyring},
			},
		},
		{
			name: "one line each, with options and comments",
			files: map[string]string{
				"etc/apt/sources.list": "# old\ndeb-src http://deb.example/debian trixie main\n\n" +
					"deb [arch=amd64,i386 signed-by=/etc/apt/keyrings/a.asc]\thttps://a.example/debian trixie main # here\n" +
					"deb [arch=arm64] https://arm.example/debian trixie main\n" +
					"deb [ signed-by=/etc/apt/keyrings/a.asc check-valid-until=no ] https://s.example/debian-security/ trixie-security main\n",
				"etc/apt/keyrings/a.asc": "a",
			},
			want: found{
				Main: []string{"https://a.example/debian"}, Security: []string{"https://s.example/debian-security"},
				Keys: []string{"/etc/apt/keyrings/a.asc"}, IgnoreExpiry: true,
			},
		},
		{
			name: "others' archives are left alone",
			files: map[string]string{
				"etc/apt/sources.list.d/a.list":         "deb [signed-by=/k.gpg] https://third.example/cloud-sdk bookworm main\n",
				"etc/apt/sources.list.d/b.sources":      "Types: deb\nURIs: https://node.example/node_20.x\nSuites: nodistro\nComponents: main\n",
				"etc/apt/sources.list.d/c.list":         "deb https://docker.example/linux/debian bookworm stable\n",
				"etc/apt/sources.list.d/debian.sources": debianSources,
				"etc/os-release":                        osRelease,
				keyring:                                 "k",
			},
			want: found{
				Main: []string{"http://deb.example/debian"}, Security: []string{"http://deb.example/debian-security"}, Keys: []string{keyring},
			},
		},
		{
			name: "a mirror of another shape, known by the suite; keys that APT trusts",
			files: map[string]string{
				"etc/apt/sources.list":         "deb https://cache.example/all bookworm main\ndeb cdrom:[Debian]/ bookworm main\n",
				"etc/os-release":               osRelease,
				"etc/apt/trusted.gpg.d/b.asc":  "b",
				"etc/apt/trusted.gpg.d/a.gpg":  "a",
				"etc/apt/trusted.gpg":          "\x00\x00\x00\x00\x00\x00\x00\x00KBXf a keybox",
				"etc/apt/trusted.gpg.d/README": "no key",
			},
			want: found{
				Main: []string{"https://cache.example/all"}, Security: []string{"https://cache.example/all"},
				Keys: []string{"/etc/apt/trusted.gpg.d/a.gpg", "/etc/apt/trusted.gpg.d/b.asc"},
			},
		},
		{
			name: "several mirrors; one switched off; a key in the file; a snapshot",
			files: map[string]string{
				"etc/apt/sources.list.d/debian.sources": "Types: deb\nURIs: http://one.example/debian http://two.example/archive/debian/20260101T000000Z\n" +
					"Suites: trixie\nComponents: main\nCheck-Valid-Until: no\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEX\n =abcd\n -----END PGP PUBLIC KEY BLOCK-----\n\n" +
					"Enabled: no\nTypes: deb\nURIs: http://three.example/debian\nSuites: trixie\nComponents: main\n",
			},
			want: found{
				Main:     []string{"http://one.example/debian", "http://two.example/archive/debian/20260101T000000Z"},
				Security: []string{"http://one.example/debian-security", "http://two.example/archive/debian-security/20260101T000000Z"},
				Keys:     []string{"the Signed-By field of a source"}, IgnoreExpiry: true,
			},
		},
		{
			name:  "only security",
			files: map[string]string{"etc/apt/sources.list": "deb http://deb.example/debian-security trixie-security main\n", keyring: "k"},
			want: found{
				Main: []string{"http://deb.example/debian"}, Security: []string{"http://deb.example/debian-security"}, Keys: []string{keyring},
			},
		},
		{
			name:        "the environment goes before the machine",
			files:       map[string]string{"etc/apt/sources.list.d/debian.sources": debianSources, keyring: "k"},
			environment: map[string]string{MirrorVariable: "https://env.example/debian/"},
			want: found{
				Main: []string{"https://env.example/debian"}, Security: []string{"https://env.example/debian-security"}, Keys: []string{keyring},
			},
		},
		{
			name:        "the project goes before the environment",
			files:       map[string]string{keyring: "k"},
			mirrors:     []string{"/srv/main", "file:///srv/security"},
			environment: map[string]string{MirrorVariable: "https://env.example/debian"},
			want:        found{Main: []string{"file:///srv/main"}, Security: []string{"file:///srv/security"}, Keys: []string{keyring}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := FindSources(SourceOptions{
				Mirrors: test.mirrors,
				Getenv:  func(name string) string { return test.environment[name] },
				Root:    machine(t, test.files),
			})
			if err != nil {
				t.Fatal(err)
			}
			got := found{Main: s.URLs(ArchiveMain), Security: s.URLs(ArchiveSecurity), IgnoreExpiry: s.IgnoreExpiry}
			for _, k := range s.Keyring {
				got.Keys = append(got.Keys, k.Origin)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("FindSources (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindSourcesKeepsAKeyInTheFile(t *testing.T) {
	root := machine(t, map[string]string{
		"etc/apt/sources.list.d/debian.sources": "Types: deb\nURIs: http://deb.example/debian\nSuites: trixie\nComponents: main\nSigned-By:\n " +
			strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(oneBlock), "\n\n", "\n.\n"), "\n", "\n ") + "\n",
	})
	s, err := FindSources(SourceOptions{Root: root, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(oneBlock, string(s.Keyring[0].Data)); diff != "" {
		t.Errorf("the key (-want +got):\n%s", diff)
	}
}

func TestFindSourcesReadsKeyringsOfTheEnvironment(t *testing.T) {
	file := filepath.Join(machine(t, map[string]string{"my.asc": "mine"}), "my.asc")
	s, err := FindSources(SourceOptions{Root: t.TempDir(), Getenv: func(name string) string {
		return map[string]string{MirrorVariable: "http://a.example/debian", KeyringVariable: file}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Key{{Origin: file, Data: []byte("mine")}}, s.Keyring); diff != "" {
		t.Errorf("Keyring (-want +got):\n%s", diff)
	}
}

func TestFindSourcesRefuses(t *testing.T) {
	tests := []struct {
		name        string
		files       map[string]string
		environment map[string]string
		want        string
	}{
		{"nothing", nil, nil, "find a Debian mirror: none among the APT sources (looked at /etc/apt/sources.list, /etc/apt/sources.list.d/*.list, /etc/apt/sources.list.d/*.sources); set NBUILD_DEBIAN_MIRROR to a mirror's URL"},
		{"Ubuntu", map[string]string{
			"etc/apt/sources.list": "deb http://archive.example/ubuntu noble main\n", "etc/os-release": "ID=ubuntu\nVERSION_CODENAME=noble\n",
		}, nil, "find a Debian mirror: none"},
		{
			"no keyring",
			map[string]string{"etc/apt/sources.list.d/debian.sources": debianSources},
			nil,
			"find the Debian archive's keyring: no such file (looked at /usr/share/keyrings/debian-archive-keyring.gpg",
		},
		{"keyring missing", nil, map[string]string{MirrorVariable: "http://a.example/debian", KeyringVariable: "/nowhere/k.gpg"}, "read keyring: open /nowhere/k.gpg: no such file"},
		{"bad URL", nil, map[string]string{MirrorVariable: "deb.example/debian"}, `read NBUILD_DEBIAN_MIRROR: "deb.example/debian" is not a URL of http, https or file`},
		{"three URLs", nil, map[string]string{MirrorVariable: "http://a http://b http://c"}, "more than two URLs"},
		{"syntax of a list", map[string]string{"etc/apt/sources.list.d/x.list": "\ndep http://a.example/debian trixie main\n"}, nil, `/etc/apt/sources.list.d/x.list:2: "dep" is not deb or deb-src`},
		{"bracket", map[string]string{"etc/apt/sources.list": "deb [arch=amd64 http://a.example/debian trixie main\n"}, nil, "/etc/apt/sources.list:1: the bracket"},
		{"short", map[string]string{"etc/apt/sources.list": "deb http://a.example/debian\n"}, nil, "/etc/apt/sources.list:1: want"},
		{"syntax of deb822", map[string]string{"etc/apt/sources.list.d/x.sources": "Types: deb\nURIs\n"}, nil, `/etc/apt/sources.list.d/x.sources:2: "URIs" is not "Field: value"`},
		{"no suites", map[string]string{"etc/apt/sources.list.d/x.sources": "\nTypes: deb\nURIs: http://a.example/debian\n"}, nil, "/etc/apt/sources.list.d/x.sources:2: the entry has no URIs or no Suites"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := FindSources(SourceOptions{Root: machine(t, test.files), Getenv: func(name string) string { return test.environment[name] }})
			var wrong *SourceError
			if !errors.As(err, &wrong) || !wrong.IsInput() || !strings.Contains(err.Error(), test.want) {
				t.Errorf("FindSources = %v, want a SourceError with %q", err, test.want)
			}
		})
	}
}
