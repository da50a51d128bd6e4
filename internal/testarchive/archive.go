// Package testarchive makes small signed Debian archives for tests: .deb files from descriptions, indices, and Release
// files signed with a key of its own. Tests serve them over HTTP or from a folder, and damage them as they like.
package testarchive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// An Archive is a main archive and a security archive. Its fields may be changed until Files is called.
type Archive struct {
	Date       time.Time // of the Release files
	ValidUntil time.Time // unless zero

	// Forms are the endings of the indices: "", ".gz" and ".zst". Nil means all.
	Forms []string

	// NoByHash leaves the names by digest out.
	NoByHash bool

	// Edit, unless nil, may change the text of a Release file before it is signed.
	Edit func(suite, text string) string

	key     *openpgp.Entity
	pockets map[string][]Deb
	others  map[string][]byte // paragraphs of an index by suite
}

// New returns an archive of empty suites: NAME, NAME-updates and NAME-security for each name. Its Release files are of
// the given time, its key a day older.
func New(date time.Time, suites ...string) (*Archive, error) {
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return date.Add(-24 * time.Hour) }}
	key, err := openpgp.NewEntity("Archive of a test", "", "archive@example.org", config)
	if err != nil {
		return nil, fmt.Errorf("make archive key: %v", err)
	}
	a := &Archive{Date: date, key: key, pockets: map[string][]Deb{}, others: map[string][]byte{}}
	for _, name := range suites {
		for _, suite := range []string{name, name + "-updates", name + "-security"} {
			a.pockets[suite] = nil
		}
	}
	return a, nil
}

// Add puts packages into a suite: trixie, trixie-updates or trixie-security.
func (a *Archive) Add(suite string, debs ...Deb) {
	a.pockets[suite] = append(a.pockets[suite], debs...)
}

// AddIndex puts the packages of an index into a suite. Their files are not among those that Files returns: whoever serves
// the archive knows where they are.
func (a *Archive) AddIndex(suite string, index []byte) {
	a.others[suite] = slices.Concat(a.others[suite], index, []byte("\n"))
}

// Clear takes all packages out of a suite.
func (a *Archive) Clear(suite string) { a.pockets[suite], a.others[suite] = nil, nil }

// Keyring returns the public key in the armoured form.
func (a *Archive) Keyring() ([]byte, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		return nil, err
	}
	if err := a.key.Serialize(w); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// KeyID returns the fingerprint of the key in capitals.
func (a *Archive) KeyID() string { return fmt.Sprintf("%X", a.key.PrimaryKey.Fingerprint) }

// Files returns every file of both archives by its path: debian/dists/trixie/InRelease and so on. The caller may change it.
func (a *Archive) Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, suite := range slices.Sorted(maps.Keys(a.pockets)) {
		archive := "debian"
		if strings.HasSuffix(suite, "-security") {
			archive = "debian-security"
		}
		if err := a.addSuite(files, archive, suite); err != nil {
			return nil, fmt.Errorf("make suite %s: %v", suite, err)
		}
	}
	return files, nil
}

func (a *Archive) addSuite(files map[string][]byte, archive, suite string) error {
	var index bytes.Buffer
	index.Write(a.others[suite])
	for _, d := range a.pockets[suite] {
		d = d.withDefaults()
		deb, err := d.Build()
		if err != nil {
			return err
		}
		name := fmt.Sprintf("pool/main/%s/%s/%s_%s_%s.deb", d.Name[:1], d.Name, d.Name, strings.ReplaceAll(d.Version, ":", "-"), d.Arch)
		files[path.Join(archive, name)] = deb
		fmt.Fprintf(&index, "%s\nFilename: %s\nSize: %d\nSHA256: %s\n\n", d.paragraph(), name, len(deb), digest(deb))
	}
	dists := path.Join(archive, "dists", suite)
	sums := a.addIndex(files, dists, index.Bytes())
	release, err := a.sign(a.release(archive, suite, sums))
	files[path.Join(dists, "InRelease")] = release
	return err
}

// addIndex enters the index in all its forms, and returns the lines of Release about them.
func (a *Archive) addIndex(files map[string][]byte, dists string, index []byte) []string {
	forms := a.Forms
	if forms == nil {
		forms = []string{"", ".gz", ".zst"}
	}
	const name = "main/binary-amd64/Packages"
	sums := []string{sumLine(index, name)} // Listed in any case: it is what the others become.
	for _, form := range forms {
		data := index
		switch form {
		case ".gz":
			data = compressGzip(index)
		case ".zst":
			data = compressZstd(index)
		}
		files[path.Join(dists, name+form)] = data
		if !a.NoByHash {
			files[path.Join(dists, path.Dir(name), "by-hash/SHA256", digest(data))] = data
		}
		if form != "" {
			sums = append(sums, sumLine(data, name+form))
		}
	}
	return sums
}

func sumLine(data []byte, name string) string {
	return fmt.Sprintf(" %s %8d %s", digest(data), len(data), name)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// release returns the text of a Release file, with the peculiarities of Debian's own.
func (a *Archive) release(archive, suite string, sums []string) string {
	component := "main"
	if archive == "debian-security" {
		component = "updates/main"
	}
	base, part, _ := strings.Cut(suite, "-")
	alias := "stable"
	if part != "" {
		alias += "-" + part
	}
	lines := []string{
		"Origin: Debian",
		"Label: a test of " + base,
		"Suite: " + alias,
		"Codename: " + suite,
		"Date: " + a.Date.UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"),
	}
	if !a.ValidUntil.IsZero() {
		lines = append(lines, "Valid-Until: "+a.ValidUntil.UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"))
	}
	if !a.NoByHash {
		lines = append(lines, "Acquire-By-Hash: yes")
	}
	lines = append(lines,
		"No-Support-for-Architecture-all: Packages",
		"Architectures: all amd64",
		"Components: "+component,
		"SHA256:")
	text := strings.Join(append(lines, sums...), "\n") + "\n"
	if a.Edit != nil {
		text = a.Edit(suite, text)
	}
	return text
}

// sign returns a text in the clear-signed form.
func (a *Archive) sign(text string) ([]byte, error) {
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, a.key.PrivateKey, &packet.Config{Time: func() time.Time { return a.Date }})
	if err != nil {
		return nil, err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// Write writes files, as Files returns them, below a folder, which can be a mirror then: file://DIR/debian.
func Write(dir string, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(file, files[name], 0o666); err != nil {
			return err
		}
	}
	return nil
}

// Handler serves files, as Files returns them; what isn't among them is not found.
func Handler(files map[string][]byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", mtime(), bytes.NewReader(data))
	})
}
