// Package debian reads Debian archives: where the machine's mirrors and keyrings are, signed Release files, Packages indices,
// versions, dependencies, and the lock file that holds what they resolved to. It builds and installs nothing.
package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"golang.org/x/sync/errgroup"
)

// Options configure a Client. Only Sources is needed.
type Options struct {
	Sources *Sources

	// Components of the archives; nil means main alone.
	Components []string

	// CacheDir is a folder for verified indices, made when it is missing; "" means none are kept. It may be shared by
	// processes. Its files may be deleted at any time.
	CacheDir string

	// Offline refuses the network. Mirrors that are folders (file://) are read all the same.
	Offline bool

	// Now is the clock that Valid-Until is compared with; nil means time.Now.
	Now func() time.Time

	// Progress, unless nil, is told what arrives, from any goroutine.
	Progress func(Progress)

	// StallTimeout is how long a server may send nothing (30 s unless set), RetryPause the wait before the second of
	// four attempts (0.3 s unless set), which doubles each time.
	StallTimeout, RetryPause time.Duration
}

// A Client reads archives. It is safe for concurrent use.
type Client struct {
	options Options
	keys    openpgp.EntityList
	network *downloader
}

// NewClient returns a client for the sources. If their keyring is of no use, the error is a *SourceError.
func NewClient(o Options) (*Client, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Components == nil {
		o.Components = []string{"main"}
	}
	keys, err := readKeys(o.Sources.Keyring)
	if err != nil {
		return nil, &SourceError{err}
	}
	return &Client{options: o, keys: keys, network: newDownloader(o)}, nil
}

// Mirrors returns where the archives' files are, for those who fetch packages.
func (c *Client) Mirrors() Mirrors { return c.options.Sources.Mirrors }

// pockets returns the parts that make up a suite, in the order of preference among equal versions.
func pockets(suite string) []pocket {
	switch suite {
	case "sid", "unstable", "experimental", "rc-buggy":
		return []pocket{{ArchiveMain, suite}} // Updates go into these directly.
	}
	return []pocket{{ArchiveMain, suite}, {ArchiveMain, suite + "-updates"}, {ArchiveSecurity, suite + "-security"}}
}

// load reads the Release files and indices of all pockets of a suite.
func (c *Client) load(ctx context.Context, suite string) (*universe, []Release, error) {
	parts := pockets(suite)
	releases := make([]Release, len(parts))
	records := make([][]record, len(parts))
	g, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		g.Go(func() error {
			r, err := c.release(ctx, parts[i])
			if err != nil {
				return err
			}
			releases[i] = r.Release
			records[i], err = c.packages(ctx, &parts[i], r)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	u, err := newUniverse(records)
	return u, releases, err
}

// maxRelease bounds an InRelease file; that of trixie has 140 kB.
const maxRelease = 16 << 20

func (c *Client) release(ctx context.Context, p pocket) (*releaseFile, error) {
	if !isArchivePath(p.suite) {
		return nil, fmt.Errorf("read suite %q: not a suite's name", p.suite)
	}
	var r *releaseFile
	read := func(body io.Reader) error {
		data, err := io.ReadAll(io.LimitReader(body, maxRelease))
		if err != nil {
			return err
		}
		r, err = checkRelease(data, p, c.keys, c.options.Now(), c.options.Sources.IgnoreExpiry)
		if err != nil {
			return contentError{err}
		}
		return nil
	}
	err := c.network.get(ctx, c.Mirrors().URLs(p.archive), path.Join("dists", p.suite, "InRelease"), read)
	if errors.Is(err, errNotFound) {
		err = fmt.Errorf("%w; the suite's name is wrong, or this is no mirror of the archive that has it", err)
	}
	return r, err
}

// packages reads the indices of a pocket.
func (c *Client) packages(ctx context.Context, p *pocket, r *releaseFile) ([]record, error) {
	var all []record
	for _, component := range c.options.Components {
		files, err := r.indices(component)
		if err != nil {
			return nil, fmt.Errorf("read Release of %s: %v", p.suite, err)
		}
		for _, file := range files {
			records, err := c.index(ctx, p, r, file)
			if err != nil {
				return nil, err
			}
			all = append(all, records...)
		}
	}
	return all, nil
}

// index reads one index, from the cache or else from a mirror.
func (c *Client) index(ctx context.Context, p *pocket, r *releaseFile, file string) ([]record, error) {
	x := indexReader{pocket: p, file: file, plain: r.files[file]}
	cached, err := x.readCache(c.options.CacheDir)
	if err == nil {
		return cached, nil
	}
	ext, compressed := r.variant(file)
	x.compressed, x.ext = compressed, ext
	read := func(body io.Reader) error { return x.readMirror(body, c.options.CacheDir) }
	suite, mirrors := path.Join("dists", p.suite), c.Mirrors().URLs(p.archive)
	err = errNotFound
	if r.byHash {
		// The name by hash stays the same while the archive's next state is being copied to the mirror.
		err = c.network.get(ctx, mirrors, path.Join(suite, path.Dir(file), "by-hash/SHA256", compressed.sha256), read)
	}
	if errors.Is(err, errNotFound) {
		err = c.network.get(ctx, mirrors, path.Join(suite, file+ext), read)
	}
	return x.records, err
}
