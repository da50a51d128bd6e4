package debian

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A Release is what the lock keeps of a pocket's Release file: enough to say which state of the archive it was.
type Release struct {
	Archive string    // ArchiveMain or ArchiveSecurity
	Suite   string    // of the pocket, as asked for: trixie-security
	Date    time.Time // in UTC
	SHA256  string    // of the signed text, which is the file Release
}

// A releaseFile is a verified Release file.
type releaseFile struct {
	Release
	validUntil    time.Time // zero when the archive doesn't say
	byHash        bool
	architectures []string
	components    []string
	noAll         bool             // binary-amd64 holds the packages of architecture all too
	files         map[string]entry // the indices of packages, by path below the suite's folder
}

// An entry is a file that a Release vouches for.
type entry struct {
	size   int64
	sha256 string
}

// maxFuture is how far the archive's clock may be ahead of ours.
const maxFuture = time.Hour

// checkRelease verifies an InRelease file: signed by one of the keys, of the suite, and valid now. It returns the text's
// content. ignoreExpiry leaves the Valid-Until out, for mirrors of the past.
func checkRelease(data []byte, p pocket, keys openpgp.EntityList, now time.Time, ignoreExpiry bool) (*releaseFile, error) {
	block, _ := clearsign.Decode(data)
	if block == nil {
		return nil, errors.New("it is not a clear-signed file; does the mirror answer with a page of its own?")
	}
	if err := checkSignatures(block, keys, now); err != nil {
		return nil, err
	}
	r, err := parseRelease(block.Plaintext, p)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Date.After(now.Add(maxFuture)):
		return nil, fmt.Errorf("it is from the future (%s), or this machine's clock is wrong", day(r.Date))
	case !ignoreExpiry && !r.validUntil.IsZero() && now.After(r.validUntil):
		return nil, fmt.Errorf("it expired on %s; the mirror is out of date (or this machine's clock is wrong): use another mirror", day(r.validUntil))
	}
	return r, nil
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

// checkSignatures wants a good signature by a known key. Archives sign with the keys of two releases at a time, so some
// signers may be unknown; a known signer's signature that doesn't fit the text is fatal though.
func checkSignatures(block *clearsign.Block, keys openpgp.EntityList, now time.Time) error {
	signatures, err := io.ReadAll(block.ArmoredSignature.Body)
	if err != nil {
		return fmt.Errorf("read its signature: %v", err)
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	packets := packet.NewReader(bytes.NewReader(signatures))
	var unknown []string
	var other error // why a known key's signature doesn't count
	good := false
	for {
		p, err := packets.Next()
		if err == io.EOF {
			break
		}
		sig, ok := p.(*packet.Signature)
		if err != nil || !ok {
			continue // A signature of a kind we don't know can't speak for or against the file.
		}
		var one bytes.Buffer
		if err := sig.Serialize(&one); err != nil {
			return fmt.Errorf("read its signature: %v", err)
		}
		_, err = openpgp.CheckDetachedSignature(keys, bytes.NewReader(block.Bytes), &one, config)
		var bad pgperrors.SignatureError
		switch {
		case err == nil:
			good = true
		case errors.Is(err, pgperrors.ErrUnknownIssuer):
			unknown = append(unknown, issuer(sig))
		case errors.As(err, &bad):
			return fmt.Errorf("bad signature by key %s: the file was changed or damaged on its way", issuer(sig))
		default:
			other = fmt.Errorf("the signature by key %s does not count: %v", issuer(sig), err)
		}
	}
	switch {
	case good:
		return nil
	case other != nil:
		return other
	case len(unknown) > 0:
		return fmt.Errorf("it is signed by unknown keys only: %s; %s can name a file of these keys, if you trust them",
			strings.Join(unknown, ", "), KeyringVariable)
	}
	return errors.New("it bears no signature")
}

func issuer(sig *packet.Signature) string {
	switch {
	case len(sig.IssuerFingerprint) > 0:
		return strings.ToUpper(hex.EncodeToString(sig.IssuerFingerprint))
	case sig.IssuerKeyId != nil:
		return fmt.Sprintf("%016X", *sig.IssuerKeyId)
	}
	return "of no name"
}

// parseRelease reads the text of a Release file and checks that it is the pocket's.
func parseRelease(text []byte, p pocket) (*releaseFile, error) {
	paragraphs, err := parseParagraphs(bytes.NewReader(text), "Release")
	if err != nil {
		return nil, err
	}
	if len(paragraphs) != 1 {
		return nil, fmt.Errorf("it has %d paragraphs instead of one", len(paragraphs))
	}
	fields := paragraphs[0]
	if suite, codename := fields.value("Suite"), fields.value("Codename"); suite != p.suite && codename != p.suite {
		return nil, fmt.Errorf("it is of another suite: %s (%s) instead of %s", suite, codename, p.suite)
	}
	sum := sha256.Sum256(append(bytes.Clone(text), '\n')) // A clear-signed text goes without its last line's end.
	r := &releaseFile{
		Release:       Release{Archive: p.archive, Suite: p.suite, SHA256: hex.EncodeToString(sum[:])},
		byHash:        fields.value("Acquire-By-Hash") == "yes",
		architectures: fields.words("Architectures"),
		components:    fields.words("Components"),
		noAll:         slices.Contains(fields.words("No-Support-for-Architecture-all"), "Packages"),
	}
	if r.Date, err = parseDate(fields.value("Date")); err != nil {
		return nil, fmt.Errorf("read its Date: %v", err)
	}
	if until := fields.value("Valid-Until"); until != "" {
		if r.validUntil, err = parseDate(until); err != nil {
			return nil, fmt.Errorf("read its Valid-Until: %v", err)
		}
	}
	if !slices.Contains(r.architectures, architecture) {
		return nil, fmt.Errorf("it has no packages for %s, only for %s", architecture, strings.Join(r.architectures, " "))
	}
	r.files, err = parseSums(fields.value("SHA256"))
	return r, err
}

// parseDate reads "Sat, 12 Sep 2026 07:55:41 UTC". Other zones than UTC aren't allowed there.
func parseDate(s string) (time.Time, error) {
	for _, layout := range []string{"Mon, _2 Jan 2006 15:04:05 UTC", "Mon, _2 Jan 2006 15:04:05 GMT", "Mon, _2 Jan 2006 15:04:05 +0000"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a date in UTC", s)
}

// parseSums reads the lines "digest size path" of the indices of packages, and passes over the thousands of others.
func parseSums(text string) (map[string]entry, error) {
	files := map[string]entry{}
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "/Packages") {
			continue
		}
		words := strings.Fields(line)
		if len(words) != 3 || !isSHA256(words[0]) || !isArchivePath(words[2]) {
			return nil, fmt.Errorf("its SHA256 field has the line %q, which is not \"digest size path\"", strings.TrimSpace(line))
		}
		size, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("its SHA256 field has the size %q", words[1])
		}
		files[words[2]] = entry{size, words[0]}
	}
	return files, nil
}

// indices returns the paths of the uncompressed indices that hold our packages of a component.
func (r *releaseFile) indices(component string) ([]string, error) {
	has := slices.ContainsFunc(r.components, func(c string) bool {
		return c == component || strings.HasSuffix(c, "/"+component) // "updates/main" of the security archive
	})
	if !has {
		return nil, fmt.Errorf("it has no component %s, only %s", component, strings.Join(r.components, " "))
	}
	paths := []string{component + "/binary-" + architecture + "/Packages"}
	if slices.Contains(r.architectures, "all") && !r.noAll {
		paths = append(paths, component+"/binary-all/Packages")
	}
	for _, p := range paths {
		if _, ok := r.files[p]; !ok {
			return nil, fmt.Errorf("it has no SHA-256 digest of %s", p)
		}
	}
	return paths, nil
}
