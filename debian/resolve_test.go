package debian

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// universeOf makes a universe of packages written as lines "name version; Field: value; …"; a Priority is optional.
func universeOf(t testing.TB, lines ...string) *universe {
	t.Helper()
	var text strings.Builder
	for _, line := range lines {
		parts := strings.Split(line, "; ")
		name, version, ok := strings.Cut(parts[0], " ")
		if !ok {
			version = "1"
		}
		fmt.Fprintf(&text, "Package: %s\nVersion: %s\nArchitecture: amd64\nFilename: pool/%s_%s.deb\nSize: 1\nSHA256: %s\n%s\n\n",
			name, version, name, version, digestOf("ab"), strings.Join(parts[1:], "\n"))
	}
	var records []record
	at := &pocket{ArchiveMain, "trixie"}
	err := parsePackages(strings.NewReader(text.String()), "Packages", func(r record) {
		r.pocket = at
		records = append(records, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := newUniverse([][]record{records})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func texts(u *universe, records []int32) string {
	var all []string
	for _, i := range records {
		all = append(all, u.text(i))
	}
	return strings.Join(all, ", ")
}

func TestResolve(t *testing.T) {
	tests := []struct {
		name     string
		packages []string
		request  Request // Packages may be left out when names has them
		names    string
		want     string
	}{
		{
			name: "chain, both fields", packages: []string{"a; Pre-Depends: b; Depends: c", "b; Depends: d", "c", "d", "e"}, names: "a",
			want: "a 1, b 1, c 1, d 1",
		},
		{name: "circle", packages: []string{"a; Depends: b", "b; Depends: a"}, names: "b", want: "a 1, b 1"},
		{name: "highest version", packages: []string{"a 1", "a 1:0", "a 2"}, names: "a", want: "a 1:0"},
		{name: "version asked for", packages: []string{"a 1; Depends: b (= 1)", "a 2", "b 2", "b 1"}, names: "a=1 b=1", want: "a 1, b 1"},
		{name: "first alternative", packages: []string{"a; Depends: b | c", "b", "c"}, names: "a", want: "a 1, b 1"},
		{name: "alternative that is there already", packages: []string{"a; Depends: b | c", "b", "c"}, names: "a c", want: "a 1, c 1"},
		{
			name: "alternative that another needs", packages: []string{"a; Depends: b | c", "b", "c", "z; Depends: y", "y; Depends: c"}, names: "a z",
			want: "a 1, c 1, y 1, z 1",
		},
		{name: "missing alternative", packages: []string{"a; Depends: b | c", "c"}, names: "a", want: "a 1, c 1"},
		{name: "version of an alternative", packages: []string{"a; Depends: b (>= 2) | c", "b 1", "c"}, names: "a", want: "a 1, c 1"},
		{name: "virtual package", packages: []string{"a; Depends: mta", "exim; Provides: mta"}, names: "a", want: "a 1, exim 1"},
		{name: "real before virtual", packages: []string{"a; Depends: awk", "mawk; Provides: awk", "awk"}, names: "a", want: "a 1, awk 1"},
		{
			name: "provider by priority", packages: []string{"a; Depends: awk", "mawk; Provides: awk; Priority: required", "gawk; Provides: awk; Priority: optional"},
			names: "a", want: "a 1, mawk 1",
		},
		{
			name: "essential provider", packages: []string{"a; Depends: awk", "mawk; Provides: awk; Priority: required", "gawk; Provides: awk; Essential: yes"},
			names: "a", want: "a 1, gawk 1",
		},
		{
			name: "provided version", packages: []string{"a; Depends: abi (>= 2)", "x; Provides: abi (= 1)", "y; Provides: abi (= 2)", "z; Provides: abi"},
			names: "a", want: "a 1, y 1",
		},
		{name: "asked for by the name of what it provides", packages: []string{"x; Provides: v"}, names: "v", want: "x 1"},
		{name: "provided by an old version alone", packages: []string{"a; Depends: v | w", "x 1; Provides: v", "x 2", "w"}, names: "a", want: "a 1, w 1"},
		{name: "conflict with an alternative", packages: []string{"a; Depends: b | c", "b; Conflicts: d", "c", "d"}, names: "a d", want: "a 1, c 1, d 1"},
		{
			name: "conflict with what an alternative needs", packages: []string{"a; Depends: b | c", "b; Depends: e", "c", "e; Conflicts: a"}, names: "a",
			want: "a 1, c 1",
		},
		{name: "break of an old version only", packages: []string{"a; Breaks: b (<< 2)", "b 2"}, names: "a b", want: "a 1, b 2"},
		{name: "conflict with oneself", packages: []string{"exim; Provides: mta; Conflicts: mta"}, names: "exim", want: "exim 1"},
		{name: "choices that depend on one another", packages: []string{
			"app; Depends: a1 | a2, b1 | b2, c1 | c2", "a1", "a2", "b1", "b2", "c1; Conflicts: a1", "c2; Conflicts: b1",
		}, names: "app", want: "a1 1, app 1, b2 1, c2 1"},
		{name: "any for a package that allows it", packages: []string{"a; Depends: python:any", "python; Multi-Arch: allowed"}, names: "a", want: "a 1, python 1"},
		{name: "any by another", packages: []string{"a; Depends: python:any | b", "python; Multi-Arch: foreign", "b"}, names: "a", want: "a 1, b 1"},
		{name: "our architecture", packages: []string{"a; Depends: b:amd64; Conflicts: b:i386", "b"}, names: "a", want: "a 1, b 1"},
		{name: "another architecture", packages: []string{"a; Depends: b:i386 | c", "b", "c"}, names: "a", want: "a 1, c 1"},
		{name: "no recommendations", packages: []string{"a; Recommends: b", "b"}, names: "a", want: "a 1"},
		{
			name: "recommendations", packages: []string{"a; Recommends: b | c, missing, d", "b", "c", "d; Conflicts: a"},
			request: Request{Recommends: true}, names: "a c", want: "a 1, c 1",
		},
		{
			name: "recommendation that can't be had", packages: []string{"a; Recommends: b", "b; Depends: missing"}, request: Request{Recommends: true},
			names: "a", want: "a 1",
		},
		{
			name: "essential", packages: []string{"a", "dpkg; Essential: yes; Pre-Depends: tar", "tar", "old 1; Essential: yes", "old 2"},
			request: Request{Essential: true}, names: "a", want: "a 1, dpkg 1, tar 1",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := universeOf(t, test.packages...)
			r := test.request
			r.Suite, r.Packages = "trixie", strings.Fields(test.names)
			got, err := u.resolve(r.normal(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, texts(u, got)); diff != "" {
				t.Errorf("resolve (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	tests := []struct {
		name     string
		packages []string
		names    string
		want     []string
	}{
		{
			"unknown",
			[]string{"qemu-system-x86", "qemu-systemd-x86", "bash"},
			"qemu-systm-x86 zzz",
			[]string{"there is no package qemu-systm-x86; the nearest names are qemu-system-x86, qemu-systemd-x86", "there is no package zzz"},
		},
		{
			"virtual",
			[]string{"exim; Provides: mta", "postfix; Provides: mta", "old 1; Provides: mta", "old 2"},
			"mta",
			[]string{"mta is a virtual package; choose one of those that provide it: exim, postfix"},
		},
		{"version", []string{"a 1", "a 2"}, "a=3", []string{"a has no version 3; the archive has 2, 1"}},
		{"two versions", []string{"a 1", "a 2"}, "a=1 a=2", []string{"a is asked for in two versions, 1 and 2"}},
		{
			"missing dependency",
			[]string{"a; Depends: b", "b 3; Depends: c (>= 2) | d", "c 1"},
			"a",
			[]string{"a 1 (asked for) -> b 3 -> Depends: c (>= 2) | d: the archive has only c 1; the archive has no package d"},
		},
		{
			"missing version of a virtual package",
			[]string{"a; Depends: v (>= 2)", "b; Provides: v (= 1)"},
			"a",
			[]string{"a 1 (asked for) -> Depends: v (>= 2): the archive has only b 1, which provides v 1"},
		},
		{
			"conflict",
			[]string{"a; Depends: x", "x 2; Breaks: y (<< 3)", "b; Depends: y", "y 1"},
			"a b",
			[]string{"b 1 (asked for) -> Depends: y: x 2 breaks y (<< 3), and x is wanted: a 1 (asked for) -> x 2"},
		},
		{
			"conflict declared by the later",
			[]string{"a", "b; Conflicts: a"},
			"a b",
			[]string{"b (asked for) can't be chosen: b 1 conflicts with a, and a is wanted: a 1 (asked for)"},
		},
		{
			"conflict through a virtual package",
			[]string{"exim; Provides: mta", "postfix; Provides: mta; Conflicts: mta"},
			"exim postfix",
			[]string{"postfix (asked for) can't be chosen: postfix 1 conflicts with mta, which exim 1 provides, and exim is wanted: exim 1 (asked for)"},
		},
		{
			"several at once",
			[]string{"a; Depends: missing", "b; Depends: gone", "c"},
			"a b c",
			[]string{
				"a 1 (asked for) -> Depends: missing: the archive has no package missing",
				"b 1 (asked for) -> Depends: gone: the archive has no package gone",
			},
		},
		{
			"every alternative fails",
			[]string{"a; Depends: b | c", "b; Depends: missing", "c; Conflicts: a"},
			"a",
			[]string{"a 1 (asked for) -> b 1 -> Depends: missing: the archive has no package missing"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := universeOf(t, test.packages...)
			_, err := u.resolve(Request{Suite: "trixie", Packages: strings.Fields(test.names)}, nil)
			var refused *ResolveError
			if !errors.As(err, &refused) {
				t.Fatalf("resolve = %v, want a ResolveError", err)
			}
			if diff := cmp.Diff(test.want, refused.Faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if want := "resolve packages of trixie: " + test.want[0]; !strings.HasPrefix(err.Error(), want) {
				t.Errorf("Error = %q, want %q", err, want)
			}
		})
	}
}

func TestResolveReportsABrokenRecord(t *testing.T) {
	u := universeOf(t, "a; Depends: b (", "b")
	_, err := u.resolve(Request{Suite: "trixie", Packages: []string{"a"}}, nil)
	if want := `read package a 1: parse dependency "b ("`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("resolve = %v, want %q", err, want)
	}
}

func TestResolvePrefersLockedVersions(t *testing.T) {
	u := universeOf(t,
		"libc 1", "libc 2; Breaks: locales (<< 2)", "locales 1", "locales 2",
		"new; Depends: libc", "newest; Depends: libc (>= 2)", "app; Depends: libc, locales")
	only := map[string]int32{"libc": u.find("libc", "1"), "locales": u.find("locales", "1")}
	tests := []struct{ names, want string }{
		{"new", "libc 1, new 1"},
		{"newest", "libc 2, newest 1"},
		{"app newest", "app 1, libc 2, locales 2, newest 1"}, // The lock gives way as far as it must.
		{"app", "app 1, libc 1, locales 1"},
		{"new libc=2", "libc 2, new 1"},
	}
	for _, test := range tests {
		got, err := u.resolve(Request{Suite: "trixie", Packages: strings.Fields(test.names)}, only)
		if err != nil {
			t.Errorf("resolve %s: %v", test.names, err)
			continue
		}
		if diff := cmp.Diff(test.want, texts(u, got)); diff != "" {
			t.Errorf("resolve %s (-want +got):\n%s", test.names, diff)
		}
	}
}

// check reports what is wrong with a result, by the definitions and nothing of the solver's.
func check(u *universe, records []int32, wanted []string) string {
	satisfies := func(i int32, r relation) bool {
		if u.records[i].name == r.name && r.accepts(u.records[i].version) {
			return true
		}
		groups, _ := u.records[i].groups(tagProvides)
		for _, g := range groups {
			if g[0].name == r.name && (r.op == "" || g[0].version != "" && r.accepts(g[0].version)) {
				return true
			}
		}
		return false
	}
	met := func(g group) bool {
		return slices.ContainsFunc(g, func(r relation) bool {
			return slices.ContainsFunc(records, func(i int32) bool { return satisfies(i, r) })
		})
	}
	for _, name := range wanted {
		if !met(group{{name: name}}) {
			return name + " is missing"
		}
	}
	for _, i := range records {
		depends, _ := u.records[i].groups(tagDepends)
		for _, g := range depends {
			if !met(g) {
				return u.text(i) + " lacks " + g.String()
			}
		}
		conflicts, _ := u.records[i].groups(tagConflicts)
		for _, g := range conflicts {
			for _, j := range records {
				if i != j && satisfies(j, g[0]) {
					return u.text(i) + " conflicts with " + u.text(j)
				}
			}
		}
	}
	return ""
}

// randomPackages makes packages p0, p1, … with dependencies and conflicts among them.
func randomPackages(random *rand.Rand, n int) []string {
	name := func() string {
		if random.IntN(5) == 0 {
			return fmt.Sprintf("v%d", random.IntN(2))
		}
		return fmt.Sprintf("p%d", random.IntN(n))
	}
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("p%d %d", i, 1+random.IntN(3))
		var depends []string
		for range random.IntN(3) {
			g := name()
			for range random.IntN(3) {
				g += " | " + name()
			}
			depends = append(depends, g)
		}
		if len(depends) > 0 {
			lines[i] += "; Depends: " + strings.Join(depends, ", ")
		}
		if random.IntN(3) == 0 {
			lines[i] += fmt.Sprintf("; Conflicts: p%d (<< 3)", random.IntN(n))
		}
		if random.IntN(4) == 0 {
			lines[i] += fmt.Sprintf("; Provides: v%d", random.IntN(2))
		}
	}
	return lines
}

// TestResolveAgainstTrial compares small random archives with trying every set of packages: a result is valid, and there
// is one whenever a valid set exists. The result doesn't depend on the order of the request.
func TestResolveAgainstTrial(t *testing.T) {
	solved, unsolved := 0, 0
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 7))
		const n = 8
		u := universeOf(t, randomPackages(random, n)...)
		wanted := []string{fmt.Sprintf("p%d", random.IntN(n)), fmt.Sprintf("p%d", random.IntN(n))}
		got, err := u.resolve(Request{Suite: "s", Packages: wanted}.normal(), nil)
		if err == nil {
			solved++
			if wrong := check(u, got, wanted); wrong != "" {
				t.Fatalf("seed %d: resolve %v = %s: %s", seed, wanted, texts(u, got), wrong)
			}
			slices.Reverse(wanted)
			again, err := u.resolve(Request{Suite: "s", Packages: wanted}.normal(), nil)
			if err != nil || !slices.Equal(got, again) {
				t.Fatalf("seed %d: resolve %v = %s, %v; the other way round %s", seed, wanted, texts(u, again), err, texts(u, got))
			}
			continue
		}
		unsolved++
		for set := range 1 << n {
			var records []int32
			for i := range int32(n) {
				if set>>i&1 == 1 {
					records = append(records, i)
				}
			}
			if check(u, records, wanted) == "" {
				t.Fatalf("seed %d: resolve %v = %v, but %s is an answer", seed, wanted, err, texts(u, records))
			}
		}
	}
	if solved < 500 || unsolved < 500 {
		t.Errorf("%d archives had an answer and %d had none: the test needs many of both", solved, unsolved)
	}
}

// TestResolveInBoundedTime is about an archive in which every choice fails, and only for a reason far from it.
func TestResolveInBoundedTime(t *testing.T) {
	lines := []string{"app; Depends: last"}
	var depends []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("a%d; Provides: v%d", i, i), fmt.Sprintf("b%d; Provides: v%d", i, i))
		depends = append(depends, fmt.Sprintf("a%d | b%d", i, i))
	}
	lines = append(lines, "last; Depends: "+strings.Join(depends, ", ")+", x | y", "x; Depends: missing", "y; Depends: missing")
	u := universeOf(t, lines...)
	_, err := u.resolve(Request{Suite: "s", Packages: []string{"app"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "the archive has no package missing") {
		t.Errorf("resolve = %v, want the missing package", err)
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b        string
		limit, want int
	}{
		{"", "", 2, 0},
		{"bash", "bash", 2, 0},
		{"bash", "bsah", 2, 1},
		{"bash", "bas", 2, 1},
		{"bash", "dash", 2, 1},
		{"bash", "zsh", 2, 2},
		{"bash", "coreutils", 3, 4},
		{"kitten", "sitting", 3, 3},
		{"kitten", "sitting", 2, 3},
	}
	for _, test := range tests {
		if got := distance(test.a, test.b, test.limit); got != test.want {
			t.Errorf("distance(%q, %q, %d) = %d, want %d", test.a, test.b, test.limit, got, test.want)
		}
	}
}
