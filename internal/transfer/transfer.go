// Package transfer gets files from HTTP servers, a request at a time. It gives up servers that send nothing, and says in
// words what went wrong. Whether to ask again, and where, is its caller's to decide.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	defaultStall = 30 * time.Second

	// maxRetryAfter bounds what a server may ask for by Retry-After.
	maxRetryAfter = 30 * time.Second

	// connections per server. HTTP/2 needs one; with HTTP/1.1 eight parallel downloads filled the line (feasibility).
	connections = 8
)

// A Client does requests and keeps its connections for those that follow. It is safe for concurrent use.
type Client struct {
	http  *http.Client
	stall time.Duration
}

// NewClient returns a client that gives up a server that sends nothing for the time of stall; 0 means 30 s.
func NewClient(stall time.Duration) *Client {
	if stall == 0 {
		stall = defaultStall
	}
	dialer := &net.Dialer{Timeout: stall} // shared by the addresses of a host
	return &Client{stall: stall, http: &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // A digest and a range are of the bytes as they are.
		MaxIdleConnsPerHost: connections,
		IdleConnTimeout:     90 * time.Second,
	}}}
}

// Close closes the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// An Error is an answer that is not the file, or says that none came or that it broke off.
type Error struct {
	Reason     string        // for people, without the address
	Final      bool          // asking again would not change it
	Missing    bool          // there is no such file there; Final too
	Unfit      bool          // the server has nothing at the offset, so what comes before may be of another file
	RetryAfter time.Duration // how long the server wants to be left alone, 30 s at most
}

// Error returns the reason.
func (e *Error) Error() string { return e.Reason }

// A Body is what a server sends.
type Body struct {
	io.Reader
	Offset int64 // of its first byte in the file: the one that was asked for, or 0 from a server that sends whole files only
	Size   int64 // in bytes, or -1 if the server doesn't say
}

// Get asks for the file at an address, which is all of it when offset is 0, and hands take what comes. The time that take
// needs is not the server's. What is wrong with the answer or with the connection, also while take reads, is an *Error.
// Other errors are ctx's cause and what take returns.
func (c *Client) Get(ctx context.Context, address string, offset int64, take func(*Body) error) error {
	watchedContext, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(watchedContext, http.MethodGet, address, nil)
	if err != nil {
		return &Error{Reason: words(err), Final: true}
	}
	request.Header.Set("User-Agent", "nbuild")
	if offset > 0 {
		// No If-Range: parts may be of several servers, and a digest tells in the end whether they fit.
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	w := &watched{stall: c.stall, timer: time.AfterFunc(c.stall, func() { cancel(errStalled) })}
	defer w.timer.Stop()
	response, err := c.http.Do(request)
	w.timer.Stop()
	if err == nil {
		defer response.Body.Close() // What it has to report, Read has reported.
		if offset, err = accept(response, offset); err != nil {
			return err
		}
		w.body = response.Body
		if err = take(&Body{w, offset, response.ContentLength}); err == nil || w.err == nil {
			return err
		}
		err = w.err // It is the cause of take's, which may say something else.
	}
	var waiting net.Error
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case context.Cause(watchedContext) == errStalled, errors.As(err, &waiting) && waiting.Timeout():
		return &Error{Reason: fmt.Sprintf("stalled: nothing came for %v", c.stall)}
	}
	return &Error{Reason: words(err)}
}

// errStalled says that a server sent nothing for too long.
var errStalled = errors.New("stalled")

// A watched body runs the timer only while it waits for the server.
type watched struct {
	body  io.Reader
	timer *time.Timer
	stall time.Duration
	err   error // of the connection
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.stall)
	n, err := w.body.Read(p)
	w.timer.Stop()
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// accept returns where in the file the body begins, or an *Error if there is none of the file in it.
func accept(response *http.Response, offset int64) (int64, error) {
	switch code := response.StatusCode; {
	case code == http.StatusPartialContent && offset > 0:
		got := response.Header.Get("Content-Range")
		if !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", offset)) {
			return 0, &Error{Reason: fmt.Sprintf("asked to go on at byte %d, it answered %q", offset, got), Unfit: true}
		}
		return offset, nil
	case code == http.StatusOK:
		return 0, nil
	case code == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		return 0, &Error{Reason: response.Status, Unfit: true}
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500:
		return 0, &Error{Reason: response.Status, RetryAfter: retryAfter(response.Header)}
	default:
		return 0, &Error{Reason: response.Status, Final: true, Missing: code == http.StatusNotFound || code == http.StatusGone}
	}
}

// retryAfter returns how long a server asks to be left alone. The other form, a date, would need a clock that agrees.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// words says what is wrong with a connection, without the address that *url.Error repeats.
func words(err error) string {
	var name *net.DNSError
	var wrapped *url.Error
	switch {
	case errors.As(err, &name):
		return "host " + name.Name + " not found"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke off"
	case errors.As(err, &wrapped):
		return wrapped.Err.Error()
	}
	return err.Error()
}
