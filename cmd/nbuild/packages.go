package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nbuild/config"
	"nbuild/debian"
	"nbuild/internal/digest"
)

// indexFolder returns where a store keeps the indices of archives, which it can do without.
func indexFolder(store string) string { return filepath.Join(store, "archive") }

// packages are the Debian packages of a project: its lock file, and the archive that is asked for what isn't locked. The
// archive is looked for only when it is needed, so that a project that is locked and built needs none.
type packages struct {
	options  *options
	lockFile string
	cache    string // see indexFolder
	stall    time.Duration
	progress func(name string, done, total int64)
	lockRead bool
	lockText []byte // of the lock file, nil when there is none
	resolver *debian.Resolver

	mu      sync.Mutex // guards what follows: downloads ask for mirrors from many goroutines
	choice  debian.SourceOptions
	sources *debian.Sources
	err     error // why there are no sources
}

// stallVariable is how long a server may send nothing.
const stallVariable = "NBUILD_STALL_TIMEOUT"

// stallTimeout returns what the environment says, or 0 for the default.
func stallTimeout() (time.Duration, error) {
	text := os.Getenv(stallVariable)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, usagef("", "%s is %q: want a time such as 10s or 2m", stallVariable, text)
	}
	return d, nil
}

// A lockError is a lock file that can't be read: the user's input.
type lockError struct{ error }

func (lockError) IsInput() bool { return true }

// readLock reads the lock file, once.
func (p *packages) readLock() error {
	if p.lockRead {
		return nil
	}
	text, err := os.ReadFile(p.lockFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return lockError{fmt.Errorf("read lock: %v", err)}
	}
	p.lockRead, p.lockText = true, text
	return nil
}

// lockDigest returns the digest of the lock file, or zero when there is none.
func (p *packages) lockDigest() digest.Digest {
	if p.lockText == nil {
		return digest.Digest{}
	}
	return digest.Sum(p.lockText)
}

// openLock makes the resolver of the lock file; anew forgets what the file says.
func (p *packages) openLock(anew bool) error {
	lock := &debian.Lock{}
	err := p.readLock()
	if err == nil && p.lockText != nil && !anew {
		if lock, err = debian.ParseLock(p.lockText, p.lockFile); err != nil {
			err = lockError{err}
		}
	}
	if err != nil {
		return err
	}
	refuse := ""
	switch {
	case p.options.locked:
		refuse = "--locked was given"
	case p.options.offline:
		refuse = "--offline was given"
	}
	p.resolver = debian.NewResolver(debian.ResolverOptions{Lock: lock, Refuse: refuse, Open: p.open})
	return nil
}

// writeLock writes the lock file if packages were added to it.
func (p *packages) writeLock() error {
	if !p.resolver.Changed() {
		return nil
	}
	lock := p.resolver.Lock()
	p.lockText = lock.Bytes()
	return lock.Write(p.lockFile)
}

// Resolve answers from the lock, or asks the archive and adds to the lock.
func (p *packages) Resolve(ctx context.Context, r debian.Request) ([]debian.Package, error) {
	return p.resolver.Resolve(ctx, r)
}

// UseArchive takes the project's choice of mirrors and keyrings.
func (p *packages) UseArchive(mirrors, keyrings []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.choice = debian.SourceOptions{Mirrors: mirrors, Keyrings: keyrings}
	return nil
}

// find looks for mirrors and keyrings, once.
func (p *packages) find() (*debian.Sources, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sources == nil && p.err == nil {
		p.sources, p.err = debian.FindSources(p.choice)
	}
	return p.sources, p.err
}

func (p *packages) open() (*debian.Client, error) {
	sources, err := p.find()
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex // Files of the index come at the same time, and a display can take one event at a time.
	return debian.NewClient(debian.Options{
		Sources:      sources,
		CacheDir:     p.cache,
		Offline:      p.options.offline,
		StallTimeout: p.stall,
		Progress: func(progress debian.Progress) {
			mu.Lock()
			defer mu.Unlock()
			p.progress(progress.File, progress.Done, progress.Total)
		},
	})
}

// mirrors returns where to look for an archive's files. Where there is no mirror, whoever asks says which file is lost.
func (p *packages) mirrors(archive string) []string {
	sources, err := p.find()
	if err != nil {
		return nil
	}
	return sources.URLs(archive)
}

var _ config.Archive = (*packages)(nil)
