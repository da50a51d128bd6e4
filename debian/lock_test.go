package debian

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// digestOf makes a well-formed digest of two digits.
func digestOf(pair string) string { return strings.Repeat(pair, 32) }

func lockedPackageNamed(name, version string, relations ...lockedRelation) *lockedPackage {
	return &lockedPackage{
		Package: Package{
			Name: name, Version: version, Architecture: "amd64", Archive: ArchiveMain,
			Path: "pool/main/" + name + "_" + version + "_amd64.deb", Size: 1234, SHA256: digestOf("ab"),
		},
		relations: relations,
	}
}

func sampleLock() *Lock {
	libc := lockedPackageNamed("libc6", "2.41-12+deb13u1", lockedRelation{tagDepends, "libgcc-s1"}, lockedRelation{tagBreaks, "locales (<< 2.41)"})
	libc.MultiArch, libc.Priority, libc.Archive = "same", "optional", ArchiveSecurity
	gcc := lockedPackageNamed("libgcc-s1", "14.2.0-19")
	bash := lockedPackageNamed("bash", "5.2.37-2+b5", lockedRelation{tagPreDepends, "libc6 (>= 2.38)"})
	bash.Essential, bash.Priority = true, "required"
	releases := []Release{
		{ArchiveMain, "trixie", time.Date(2026, 9, 12, 7, 55, 41, 0, time.UTC), digestOf("01")},
		{ArchiveSecurity, "trixie-security", time.Date(2026, 11, 21, 0, 53, 3, 0, time.UTC), digestOf("02")},
	}
	var l Lock
	l.add(Request{Suite: "trixie", Packages: []string{"bash"}, Essential: true}, releases, []*lockedPackage{bash, libc, gcc})
	l.add(Request{Suite: "trixie", Packages: []string{"libc6", "libgcc-s1=14.2.0-19"}, Recommends: true}, releases, []*lockedPackage{libc, gcc})
	l.add(Request{Suite: "sid", Packages: []string{"libgcc-s1"}}, nil, []*lockedPackage{lockedPackageNamed("libgcc-s1", "15-1")})
	return &l
}

const sampleText = `nbuild-lock 1
# Which packages nbuild uses. "nbuild lock" completes this file, "nbuild lock --update" renews it.

suite sid
package libgcc-s1 15-1 amd64 debian pool/main/libgcc-s1_15-1_amd64.deb 1234 ABABABAB
set libgcc-s1
  libgcc-s1=15-1

suite trixie
release debian trixie 2026-09-12T07:55:41Z 01010101
release debian-security trixie-security 2026-11-21T00:53:03Z 02020202
package bash 5.2.37-2+b5 amd64 debian pool/main/bash_5.2.37-2+b5_amd64.deb 1234 ABABABAB essential priority=required
  pre-depends: libc6 (>= 2.38)
package libc6 2.41-12+deb13u1 amd64 debian-security pool/main/libc6_2.41-12+deb13u1_amd64.deb 1234 ABABABAB multi-arch=same priority=optional
  depends: libgcc-s1
  breaks: locales (<< 2.41)
package libgcc-s1 14.2.0-19 amd64 debian pool/main/libgcc-s1_14.2.0-19_amd64.deb 1234 ABABABAB
set +essential bash
  bash=5.2.37-2+b5
  libc6=2.41-12+deb13u1
  libgcc-s1=14.2.0-19
set +recommends libc6 libgcc-s1=14.2.0-19
  libc6=2.41-12+deb13u1
  libgcc-s1=14.2.0-19
`

// expandDigests makes the digests of sampleText as long as they have to be.
func expandDigests(text string) string {
	return strings.NewReplacer("ABABABAB", digestOf("ab"), "01010101", digestOf("01"), "02020202", digestOf("02")).Replace(text)
}

func TestLockIsWrittenInItsFormat(t *testing.T) {
	want := expandDigests(sampleText)
	if diff := cmp.Diff(want, string(sampleLock().Bytes())); diff != "" {
		t.Errorf("Bytes (-want +got):\n%s", diff)
	}
	read, err := ParseLock([]byte(want), "nbuild.lock")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(read.Bytes())); diff != "" {
		t.Errorf("Bytes after ParseLock (-want +got):\n%s", diff)
	}
}

func TestLockSet(t *testing.T) {
	l := sampleLock()
	names := func(packages []Package) string {
		var all []string
		for _, p := range packages {
			all = append(all, p.Key())
		}
		return strings.Join(all, " ")
	}
	tests := []struct {
		request Request
		want    string
		ok      bool
	}{
		{Request{Suite: "trixie", Packages: []string{"bash"}, Essential: true}, "bash=5.2.37-2+b5 libc6=2.41-12+deb13u1 libgcc-s1=14.2.0-19", true},
		{Request{Suite: "trixie", Packages: []string{"libgcc-s1=14.2.0-19", "libc6", "libc6"}, Recommends: true}, "libc6=2.41-12+deb13u1 libgcc-s1=14.2.0-19", true},
		{Request{Suite: "sid", Packages: []string{"libgcc-s1"}}, "libgcc-s1=15-1", true},
		{Request{Suite: "trixie", Packages: []string{"bash"}}, "", false},
		{Request{Suite: "trixie", Packages: []string{"libgcc-s1"}}, "", false},
		{Request{Suite: "forky", Packages: []string{"bash"}}, "", false},
	}
	for _, test := range tests {
		got, ok := l.Set(test.request)
		if names(got) != test.want || ok != test.ok {
			t.Errorf("Set(%+v) = %q, %t, want %q, %t", test.request, names(got), ok, test.want, test.ok)
		}
	}
	if got := names(l.Packages()); got != "libgcc-s1=15-1 bash=5.2.37-2+b5 libc6=2.41-12+deb13u1 libgcc-s1=14.2.0-19" {
		t.Errorf("Packages = %q", got)
	}
}

func TestParseLockRefuses(t *testing.T) {
	tests := []struct {
		name, old, new, want string
	}{
		{"empty", sampleText, "", "nbuild.lock:1: the lock is empty"},
		{"another file", "nbuild-lock 1", "{", "nbuild.lock:1: not a lock"},
		{"future version", "nbuild-lock 1", "nbuild-lock 2", `nbuild.lock:1: the lock's format is "nbuild-lock 2"`},
		{"conflict at the top", "nbuild-lock 1", "<<<<<<< HEAD", "nbuild.lock:1: unsolved merge conflict"},
		{"conflict", "set libgcc-s1", "=======", "nbuild.lock:6: unsolved merge conflict"},
		{"unknown line", "set libgcc-s1", "sets libgcc-s1", `nbuild.lock:6: unknown line "sets libgcc-s1"`},
		{"no suite", "suite sid", "", "nbuild.lock:5: package stands before the first suite"},
		{"suite twice", "suite trixie", "suite sid", "nbuild.lock:9: the suite sid stands here for the second time"},
		{"date", "2026-09-12T07:55:41Z", "yesterday", `nbuild.lock:10: "yesterday" is not a date`},
		{"release", "release debian trixie", "release debian", `nbuild.lock:10: want "release`},
		{"digest", "1234 ABABABAB\nset libgcc", "1234 ABABAB\nset libgcc", `nbuild.lock:5: package libgcc-s1: the SHA-256 digest is "ABABAB"`},
		{"size", " 1234 ", " x ", `nbuild.lock:5: "x" is not a size`},
		{"negative size", " 1234 ", " -1 ", `nbuild.lock:5: package libgcc-s1: the size is -1`},
		{"path", "pool/main/bash", "pool/../../bash", "nbuild.lock:12: package bash: the path"},
		{"archive", "amd64 debian pool", "amd64 ubuntu pool", `nbuild.lock:5: package libgcc-s1: the archive is "ubuntu"`},
		{"architecture", "15-1 amd64 ", "15-1 arm64 ", `nbuild.lock:5: package libgcc-s1: the architecture "arm64"`},
		{"property", "essential priority", "important priority", `nbuild.lock:12: unknown property "important" of package bash`},
		{"package twice", "package bash 5.2.37-2+b5", "package libgcc-s1 14.2.0-19", "nbuild.lock:17: the package libgcc-s1=14.2.0-19 stands here for the second time"},
		{"field", "pre-depends:", "predepends:", `nbuild.lock:13: unknown field "predepends" of package bash`},
		{"dependency", "libc6 (>= 2.38)", "libc6; bash", `nbuild.lock:13: "libc6; bash" is not a list`},
		{"member unknown", "  bash=5.2.37-2+b5", "  bash=5.2.37-2", "nbuild.lock:19: the set names bash=5.2.37-2, which the lock doesn't have"},
		{"member twice", "  bash=5.2.37-2+b5", "  libc6=2.41-12+deb13u1", "nbuild.lock:20: the set has libc6=2.41-12+deb13u1 already"},
		{"set twice", "set +recommends libc6 libgcc-s1=14.2.0-19", "set +essential bash", "nbuild.lock:22: the set \"+essential bash\" stands here for the second time"},
		{"indented alone", "release debian trixie", "  release debian trixie", "nbuild.lock:10: an indented line that belongs to no package or set"},
		{"set of a bad name", "set libgcc-s1", "set -rf", `nbuild.lock:6: "-rf" is not the name of a package`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(sampleText, test.old) {
				t.Fatalf("the sample has no %q", test.old)
			}
			text := expandDigests(strings.Replace(sampleText, test.old, test.new, 1))
			_, err := ParseLock([]byte(text), "nbuild.lock")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("ParseLock = %v, want %q", err, test.want)
			}
		})
	}
}

func TestLockFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nbuild.lock")
	l, err := ReadLock(file)
	if err != nil {
		t.Fatalf("ReadLock of a missing file: %v", err)
	}
	if len(l.Packages()) != 0 {
		t.Errorf("a missing file has packages %v", l.Packages())
	}
	if err := sampleLock().Write(file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o644 {
		t.Errorf("the mode is %v, want 0644", got)
	}
	l, err = ReadLock(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Write(file); err != nil {
		t.Fatal(err)
	}
	again, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(info, again) {
		t.Error("Write replaced a file that was the same already")
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v, want the lock alone", entries, err)
	}
}

func TestLockFileThatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	if err := sampleLock().Write(filepath.Join(dir, "nbuild.lock")); err == nil {
		t.Error("Write into a missing folder succeeded")
	}
}

// FuzzParseLock holds that what can be read is written so that it reads the same.
func FuzzParseLock(f *testing.F) {
	f.Add([]byte(expandDigests(sampleText)))
	f.Add([]byte("nbuild-lock 1\nsuite a\nset b +essential\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseLock(data, "f")
		if err != nil {
			return
		}
		text := l.Bytes()
		again, err := ParseLock(text, "f")
		if err != nil {
			t.Fatalf("reading what was written: %v\n%s", err, text)
		}
		if !bytes.Equal(again.Bytes(), text) {
			t.Errorf("written twice:\n%s\nand\n%s", text, again.Bytes())
		}
	})
}

// BenchmarkParseLock reads a lock of 500 packages and looks a set up: what every run of nbuild does first.
func BenchmarkParseLock(b *testing.B) {
	var l Lock
	var packages []*lockedPackage
	for i := range 500 {
		name := fmt.Sprintf("package-%d", i)
		packages = append(packages, lockedPackageNamed(name, "1.2.3-4+deb13u1",
			lockedRelation{tagDepends, strings.Repeat("libsomething-or-other (>= 1.2.3), ", 8) + "libc6"}))
	}
	request := Request{Suite: "trixie", Packages: []string{"package-1"}}
	l.add(request, nil, packages)
	text := l.Bytes()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		l, err := ParseLock(text, "nbuild.lock")
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := l.Set(request); !ok {
			b.Fatal("the set is missing")
		}
	}
}
