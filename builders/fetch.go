package builders

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"nbuild/internal/digest"
	"nbuild/internal/transfer"
)

// FetchOptions is what fetching depends on beyond the request. The zero value is ready to use.
type FetchOptions struct {
	// Mirrors returns the base URLs of an archive, for locations "mirror:<archive>/<path>". Nil knows none.
	Mirrors func(archive string) []string

	// Offline forbids the network: then only file:// locations are used.
	Offline bool

	// Stall is how long a server may send nothing before the connection is given up; 0 means 30 s.
	Stall time.Duration

	// Sleep waits between rounds; nil waits in real time. It returns early, with ctx's error, when ctx ends.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Fetch makes the one file of a fixed-output action from the first of its locations that has it.
//
// The arguments are the locations in order: "https://...", "http://...", "file:///...", or "mirror:<archive>/<path>",
// which stands for the archive's mirrors. The variable "size", if any, is the file's size, so that a wrong file is
// refused before it is had in full.
//
// Approach: every location is tried in turn; what says that it hasn't the file is out. If none gave it, they are tried
// again after a pause, a few times, and each time a download goes on where it broke off, from whichever location. The
// digest covers the whole, so it doesn't matter that the parts came from several servers; should the whole be wrong,
// it is fetched once more in one piece before its location is given up.
type Fetch struct {
	options FetchOptions
	client  *transfer.Client
}

const (
	// A location is asked maxQuiet times if nothing comes; rounds in which something comes count to maxRounds only.
	maxQuiet  = 5
	maxRounds = 100
)

// NewFetch returns a builder that keeps its connections for all that it fetches.
func NewFetch(options FetchOptions) *Fetch {
	if options.Sleep == nil {
		options.Sleep = sleep
	}
	if options.Mirrors == nil {
		options.Mirrors = func(string) []string { return nil }
	}
	return &Fetch{options, transfer.NewClient(options.Stall)}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes the idle connections.
func (f *Fetch) Close() { f.client.Close() }

// Build implements Builder.
func (f *Fetch) Build(ctx context.Context, r *Request) error {
	d, err := f.newDownload(r)
	if err != nil {
		return err
	}
	err = d.run(ctx)
	if cerr := d.file.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("close download: %w", cerr)
	}
	if err != nil {
		_ = os.Remove(d.file.Name()) // A file that isn't what was declared is never kept.
	}
	return err
}

// A download is one file on its way.
type download struct {
	f         *Fetch
	r         *Request
	locations []*location
	size      int64 // expected, or -1
	file      *os.File
	hash      hash.Hash
	have      int64
	mixed     bool // the bytes came from more than one answer
}

// A location is one place that may have the file.
type location struct {
	url      *url.URL
	answer   string // the last one, for people
	attempts int
	gone     bool // not to be asked again
	missing  bool // it said that it has no such file
}

func (f *Fetch) newDownload(r *Request) (*download, error) {
	fixed := r.Action.Fixed()
	if fixed == nil {
		return nil, r.Failf("fetch: the derivation declares no digest")
	}
	d := &download{f: f, r: r, size: -1}
	if text, ok := r.Action.Env()["size"]; ok {
		n, err := strconv.ParseUint(text, 10, 62)
		if err != nil {
			return nil, r.Failf("fetch: size is %q, want a decimal number", text)
		}
		d.size = int64(n)
	}
	switch fixed.Algorithm {
	case "sha256":
		d.hash = sha256.New()
	case "blake3":
		d.hash = digest.New()
	default:
		return nil, r.Failf("fetch: digest algorithm %q: want sha256 or blake3", fixed.Algorithm)
	}
	if err := d.locate(); err != nil {
		return nil, err
	}
	out, err := r.output("out")
	if err != nil {
		return nil, err
	}
	d.file, err = createNewFile(out, false)
	return d, err
}

// locate makes the locations of the arguments.
func (d *download) locate() error {
	forbidden := false
	for _, arg := range d.r.Action.Args() {
		urls, err := d.expand(arg)
		if err != nil {
			return err
		}
		for _, text := range urls {
			u, err := url.Parse(text)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file" {
				return d.r.Failf("fetch: %q is no https, http or file URL", text)
			}
			if d.f.options.Offline && u.Scheme != "file" {
				forbidden = true
				continue
			}
			d.locations = append(d.locations, &location{url: u})
		}
	}
	switch {
	case len(d.locations) > 0:
		return nil
	case forbidden:
		return d.r.Failf("it is not in the store, and --offline forbids fetching it")
	}
	return d.r.Failf("fetch: the derivation names no location")
}

func (d *download) expand(arg string) ([]string, error) {
	name, ok := strings.CutPrefix(arg, "mirror:")
	if !ok {
		return []string{arg}, nil
	}
	archive, file, ok := strings.Cut(name, "/")
	if !ok || archive == "" || file == "" {
		return nil, d.r.Failf("fetch: %q: want mirror:<archive>/<path>", arg)
	}
	bases := d.f.options.Mirrors(archive)
	if len(bases) == 0 {
		if d.f.options.Offline { // That there is no mirror is not what is in the way.
			return nil, d.r.Failf("it is not in the store, and --offline forbids fetching it")
		}
		return nil, d.r.Failf("fetch: no mirror is known for the archive %q", archive)
	}
	// A pool path has characters that mean something in a URL: "+" and "~" don't, "%" and "?" would.
	escaped := (&url.URL{Path: file}).EscapedPath()
	urls := make([]string, len(bases))
	for i, base := range bases {
		urls[i] = strings.TrimSuffix(base, "/") + "/" + strings.TrimPrefix(escaped, "./")
	}
	return urls, nil
}

// run tries the locations until one gave the file.
func (d *download) run(ctx context.Context) error {
	for round, quiet := 0, 0; round < maxRounds; round++ {
		before := d.have
		var pause time.Duration
		for _, l := range d.locations {
			if l.gone {
				continue
			}
			done, wait, err := d.try(ctx, l)
			if done || err != nil {
				return err
			}
			pause = max(pause, wait)
		}
		if d.have <= before {
			quiet++
		}
		if d.allGone() || quiet >= maxQuiet {
			break
		}
		pause = max(pause, pauseAfter(quiet))
		if err := d.f.options.Sleep(ctx, pause); err != nil {
			return fmt.Errorf("fetch %s: %w", d.r.Action.Name(), err)
		}
	}
	return d.failure()
}

// pauseAfter returns how long to wait after some rounds in which nothing came: 0.25, 0.75, 2.25 and 4 s, 7 s in all, as
// a mirror that restarts needs some seconds.
func pauseAfter(quiet int) time.Duration {
	pause := 250 * time.Millisecond
	for range quiet - 1 {
		pause *= 3
	}
	return min(pause, 4*time.Second)
}

func (d *download) allGone() bool {
	for _, l := range d.locations {
		if !l.gone {
			return false
		}
	}
	return true
}

// failure says what each location answered.
func (d *download) failure() error {
	answers := make([]string, len(d.locations))
	for i, l := range d.locations {
		answers[i] = l.url.Redacted() + ": " + l.answer
		if l.attempts > 1 {
			answers[i] += fmt.Sprintf(" (tried %d times)", l.attempts)
		}
	}
	text := "fetch: " + strings.Join(answers, "; ")
	if d.isDropped() {
		text += "; mirrors drop a package when a newer version comes: nbuild lock --update takes that"
	}
	return d.r.Failf("%s", text)
}

// isDropped reports whether the file is of an archive none of whose mirrors has it.
func (d *download) isDropped() bool {
	for _, arg := range d.r.Action.Args() {
		if !strings.HasPrefix(arg, "mirror:") {
			return false
		}
	}
	return !slices.ContainsFunc(d.locations, func(l *location) bool { return !l.missing })
}

// try asks one location. It returns whether the file is whole and right, and how long the server wants to be left
// alone. An error is one of this machine, or the end of ctx.
func (d *download) try(ctx context.Context, l *location) (done bool, wait time.Duration, err error) {
	l.attempts++
	start := d.have
	err = d.transfer(ctx, l)
	if ctx.Err() != nil {
		return false, 0, fmt.Errorf("fetch %s: %w", d.r.Action.Name(), ctx.Err())
	}
	if err == nil {
		d.mixed = d.mixed || start > 0
		if err = d.check(); err == nil {
			return true, 0, nil
		}
		again := d.mixed
		if err := d.restart(); err != nil {
			return false, 0, err
		}
		if again { // Some other location's part may be the wrong one.
			return d.try(ctx, l)
		}
	}
	var local *localError
	if errors.As(err, &local) {
		return false, 0, local.err
	}
	l.answer = err.Error()
	var refused *transfer.Error
	if errors.As(err, &refused) {
		l.gone, l.missing, wait = refused.Final, refused.Missing, refused.RetryAfter
	}
	if d.have > 0 {
		d.mixed = true // What comes next is of another answer.
	}
	return false, wait, nil
}

// check compares the digest of all that came.
func (d *download) check() error {
	fixed := d.r.Action.Fixed()
	if d.size >= 0 && d.have != d.size {
		return &transfer.Error{Reason: fmt.Sprintf("it has %d bytes, but %d were declared", d.have, d.size), Final: true}
	}
	if got := hex.EncodeToString(d.hash.Sum(nil)); got != fixed.Digest {
		return &transfer.Error{Reason: fmt.Sprintf("its %s is %s, but %s was declared", fixed.Algorithm, got, fixed.Digest), Final: true}
	}
	return nil
}

// restart throws away what came.
func (d *download) restart() error {
	d.have, d.mixed = 0, false
	d.hash.Reset()
	if err := d.file.Truncate(0); err != nil {
		return fmt.Errorf("truncate download: %w", err)
	}
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("truncate download: %w", err)
	}
	return nil
}
