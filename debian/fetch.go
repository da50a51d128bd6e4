package debian

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"nbuild/internal/transfer"
)

// A downloader fetches files of mirrors. It is safe for concurrent use.
type downloader struct {
	client   *transfer.Client
	offline  bool
	attempts int           // for each mirror
	pause    time.Duration // before the second attempt; doubled for each further one
	progress func(Progress)
}

// Progress says how much of a file has arrived.
type Progress struct {
	File        string // what is fetched, as dists/trixie/InRelease
	Done, Total int64  // bytes; Total is -1 when unknown
}

func newDownloader(o Options) *downloader {
	d := &downloader{
		client:   transfer.NewClient(o.StallTimeout),
		offline:  o.Offline,
		attempts: 4,
		pause:    cmp.Or(o.RetryPause, 300*time.Millisecond),
		progress: o.Progress,
	}
	if d.progress == nil {
		d.progress = func(Progress) {}
	}
	return d
}

// errNotFound is what get returns, wrapped, when no mirror has the file.
var errNotFound = errors.New("not found")

// A contentError is a file that arrived whole and isn't what it should be: another attempt at the same mirror is useless.
type contentError struct{ error }

// get fetches a file below one of the mirrors and hands it to read, from the start at each attempt. What read returns is a
// failure of the transfer, to be tried again, unless it is a contentError. The error names the file and each mirror.
func (d *downloader) get(ctx context.Context, mirrors []string, file string, read func(io.Reader) error) error {
	var faults []error
	for _, mirror := range mirrors {
		err := d.getFrom(ctx, mirror, file, read)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		faults = append(faults, fmt.Errorf("fetch %s from %s: %w", file, mirror, err))
	}
	return errors.Join(faults...)
}

func (d *downloader) getFrom(ctx context.Context, mirror, file string, read func(io.Reader) error) error {
	place, err := url.Parse(mirror)
	switch {
	case err != nil:
		return err
	case place.Scheme == "file":
		return readLocal(place.JoinPath(file).Path, read)
	case d.offline:
		return errors.New("nbuild is offline")
	}
	for attempt := 1; ; attempt++ {
		err := d.client.Get(ctx, place.JoinPath(file).String(), 0, func(body *transfer.Body) error {
			return read(&countedReader{body, func(done int64) { d.progress(Progress{File: file, Done: done, Total: body.Size}) }, 0})
		})
		var content contentError
		var refused *transfer.Error
		switch {
		case err == nil:
			return nil
		case errors.As(err, &content):
			return err
		case errors.As(err, &refused) && refused.Missing:
			return fmt.Errorf("%w (%w)", errNotFound, err)
		case refused != nil && refused.Final:
			return err
		case attempt == d.attempts:
			return fmt.Errorf("%w (%d attempts)", err, attempt)
		}
		pause := d.pause << (attempt - 1)
		if refused != nil {
			pause = max(pause, refused.RetryAfter)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

func readLocal(name string, read func(io.Reader) error) error {
	f, err := os.Open(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errNotFound
	case err != nil:
		return err
	}
	defer f.Close() // It was only read, so closing has nothing to report.
	return read(f)
}

// A countedReader tells how many bytes were read.
type countedReader struct {
	r    io.Reader
	tell func(done int64)
	done int64
}

// Read implements io.Reader.
func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.tell(c.done)
	return n, err
}
