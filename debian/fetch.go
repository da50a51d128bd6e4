package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

// A downloader fetches files of mirrors. It is safe for concurrent use.
type downloader struct {
	client   *http.Client
	offline  bool
	attempts int           // for each mirror
	pause    time.Duration // before the second attempt; doubled for each further one
	stall    time.Duration // how long a server may send nothing
	progress func(Progress)
}

// Progress says how much of a file has arrived.
type Progress struct {
	File        string // what is fetched, as dists/trixie/InRelease
	Done, Total int64  // bytes; Total is -1 when unknown
}

func newDownloader(o Options) *downloader {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // Index digests are those of the bytes on the wire.
	transport.MaxIdleConnsPerHost = 8
	d := &downloader{
		client:   &http.Client{Transport: transport},
		offline:  o.Offline,
		attempts: 4,
		pause:    300 * time.Millisecond,
		stall:    30 * time.Second,
		progress: o.Progress,
	}
	if o.StallTimeout > 0 {
		d.stall = o.StallTimeout
	}
	if o.RetryPause > 0 {
		d.pause = o.RetryPause
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
	pause := d.pause
	for attempt := 1; ; attempt++ {
		err := d.attempt(ctx, mirror, file, read)
		var content contentError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &content), errors.Is(err, errNotFound), errors.Is(err, errPermanent):
			return err
		case attempt == d.attempts:
			return fmt.Errorf("%w (%d attempts)", err, attempt)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		pause *= 2
	}
}

// errPermanent marks an answer that another attempt won't change.
var errPermanent = errors.New("refused")

func (d *downloader) attempt(ctx context.Context, mirror, file string, read func(io.Reader) error) error {
	place, err := url.Parse(mirror)
	if err != nil {
		return fmt.Errorf("%w: %v", errPermanent, err)
	}
	if place.Scheme == "file" {
		return readLocal(place.JoinPath(file).Path, read)
	}
	if d.offline {
		return fmt.Errorf("%w: nbuild is offline", errPermanent)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(d.stall, func() { cancel(fmt.Errorf("no data for %v", d.stall)) })
	defer watchdog.Stop()
	err = d.request(ctx, place.JoinPath(file).String(), func(body io.Reader, size int64) error {
		r := &watchedReader{r: body, watchdog: watchdog, stall: d.stall}
		r.tell = func(done int64) { d.progress(Progress{File: file, Done: done, Total: size}) }
		if err := read(r); err != nil {
			return err
		}
		if size >= 0 && r.done < size {
			return fmt.Errorf("ended after %d of %d bytes", r.done, size)
		}
		return nil
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx) // "no data for 30s" says more than "context canceled".
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the server broke the connection")
	}
	return err
}

func readLocal(name string, read func(io.Reader) error) error {
	f, err := os.Open(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errNotFound
	case err != nil:
		return fmt.Errorf("%w: %v", errPermanent, err)
	}
	defer f.Close()
	return read(f)
}

func (d *downloader) request(ctx context.Context, address string, take func(body io.Reader, size int64) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("%w: %v", errPermanent, err)
	}
	request.Header.Set("User-Agent", "nbuild")
	answer, err := d.client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // The caller names the address.
		}
		return err
	}
	defer answer.Body.Close()
	switch code := answer.StatusCode; {
	case code == http.StatusOK:
		return take(answer.Body, answer.ContentLength)
	case code == http.StatusNotFound || code == http.StatusGone:
		return fmt.Errorf("%w (%s)", errNotFound, answer.Status)
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return errors.New(answer.Status)
	default:
		return fmt.Errorf("%w: %s", errPermanent, answer.Status)
	}
}

// A watchedReader pushes the watchdog's time forward with every read, and only runs it while a read waits.
type watchedReader struct {
	r        io.Reader
	done     int64
	watchdog *time.Timer
	stall    time.Duration
	tell     func(done int64)
}

func (w *watchedReader) Read(p []byte) (int, error) {
	w.watchdog.Reset(w.stall)
	n, err := w.r.Read(p)
	w.watchdog.Stop()
	w.done += int64(n)
	w.tell(w.done)
	return n, err
}
