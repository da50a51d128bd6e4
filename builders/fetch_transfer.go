package builders

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An answerError is a location's answer that was not the file.
type answerError struct {
	text       string
	final      bool // asking again would not change it
	missing    bool // there is no such file there
	retryAfter time.Duration
}

func (e *answerError) Error() string { return e.text }

// A localError is one of this machine: a full disk is no reason to ask another mirror.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }

// errStalled says that a server sent nothing for too long.
var errStalled = errors.New("stalled")

// transfer gets the bytes that are not here yet from a location, or all if it can't give a part.
func (d *download) transfer(ctx context.Context, l *location) error {
	if l.url.Scheme == "file" {
		return d.transferFile(ctx, l.url)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url.String(), nil)
	if err != nil {
		return &answerError{text: err.Error(), final: true}
	}
	request.Header.Set("User-Agent", "nbuild")
	if d.have > 0 {
		// No If-Range: the parts may be of several servers, and the digest tells in the end whether they fit.
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
	}
	stall := d.f.options.Stall
	timer := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer timer.Stop()
	response, err := d.f.client.Do(request)
	if err != nil {
		return d.broken(ctx, err)
	}
	defer response.Body.Close()
	if err := d.accept(response); err != nil {
		return err
	}
	body := &watched{response.Body, timer, stall}
	if err := d.receive(body, response.ContentLength); err != nil {
		return d.broken(ctx, err)
	}
	return nil
}

// broken tells a stall from other errors of a connection.
func (d *download) broken(ctx context.Context, err error) error {
	if context.Cause(ctx) == errStalled {
		return &answerError{text: fmt.Sprintf("stalled: nothing came for %v", d.f.options.Stall)}
	}
	return err
}

// A watched body pushes the stall timer on whenever something comes.
type watched struct {
	io.Reader
	timer *time.Timer
	stall time.Duration
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.timer.Reset(w.stall)
	}
	return n, err
}

// accept decides by the status whether the body is what is wanted, and starts anew if it is the whole file.
func (d *download) accept(response *http.Response) error {
	switch code := response.StatusCode; {
	case code == http.StatusPartialContent && d.have > 0:
		start := fmt.Sprintf("bytes %d-", d.have)
		if got := response.Header.Get("Content-Range"); !strings.HasPrefix(got, start) {
			return d.startOver(fmt.Sprintf("asked to go on at byte %d, it answered %q", d.have, got))
		}
		return nil
	case code == http.StatusOK:
		if d.have > 0 {
			return localOrNil(d.restart())
		}
		return nil
	case code == http.StatusRequestedRangeNotSatisfiable && d.have > 0:
		return d.startOver(response.Status)
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500:
		return &answerError{text: response.Status, retryAfter: retryAfter(response.Header)}
	default:
		missing := code == http.StatusNotFound || code == http.StatusGone
		return &answerError{text: response.Status, final: true, missing: missing}
	}
}

// startOver throws away what came, as a location has another idea of the file, and says so.
func (d *download) startOver(reason string) error {
	if err := d.restart(); err != nil {
		return &localError{err}
	}
	return &answerError{text: reason}
}

func localOrNil(err error) error {
	if err != nil {
		return &localError{err}
	}
	return nil
}

// retryAfter returns the seconds that a server asks for. The other form, a date, would need a clock that agrees.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// receive appends what body has, of the given length or -1, to the file and the digest.
func (d *download) receive(body io.Reader, length int64) error {
	if err := d.fits(d.have + max(length, 0)); err != nil {
		return err
	}
	total := d.size
	if total < 0 && length >= 0 {
		total = d.have + length
	}
	buffer := make([]byte, readSize)
	for {
		n, err := body.Read(buffer)
		if ferr := d.fits(d.have + int64(n)); ferr != nil {
			return ferr
		}
		if _, werr := d.file.Write(buffer[:n]); werr != nil {
			return &localError{fmt.Errorf("write download: %w", werr)}
		}
		_, _ = d.hash.Write(buffer[:n]) // Never fails.
		d.have += int64(n)
		if d.r.Progress != nil && n > 0 {
			d.r.Progress(d.have, total)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fits refuses a file that is longer than declared. What came of it is of no use.
func (d *download) fits(size int64) error {
	if d.size < 0 || size <= d.size {
		return nil
	}
	if err := d.restart(); err != nil {
		return &localError{err}
	}
	return &answerError{text: fmt.Sprintf("it is longer than the %d bytes that were declared", d.size), final: true}
}

// transferFile copies a file of this machine.
func (d *download) transferFile(ctx context.Context, u *url.URL) error {
	if u.Host != "" && u.Host != "localhost" {
		return &answerError{text: "a file URL with a host: want file:///path", final: true}
	}
	if d.have > 0 {
		if err := d.restart(); err != nil {
			return &localError{err}
		}
	}
	f, err := os.Open(u.Path)
	if err != nil {
		return &answerError{text: reasonOf(err), final: true, missing: errors.Is(err, fs.ErrNotExist)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return &answerError{text: reasonOf(err), final: true}
	}
	if !info.Mode().IsRegular() {
		return &answerError{text: "not a regular file", final: true}
	}
	err = d.receive(&cancelable{ctx, f}, info.Size())
	var path *fs.PathError
	if errors.As(err, &path) && path.Path == u.Path {
		return &answerError{text: reasonOf(err), final: true}
	}
	return err
}

// A cancelable reader ends when its context does.
type cancelable struct {
	ctx context.Context // of the Build that this is the inside of
	io.Reader
}

// Read implements io.Reader.
func (c *cancelable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}

func reasonOf(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// answerOf puts a connection's error in words, without the URL that *url.Error repeats.
func answerOf(err error) string {
	var dns *net.DNSError
	var asURL *url.Error
	switch {
	case errors.As(err, &dns):
		return "host " + dns.Name + " not found"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke off"
	case errors.As(err, &asURL):
		return asURL.Err.Error()
	}
	return err.Error()
}
