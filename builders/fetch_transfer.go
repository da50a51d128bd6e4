package builders

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"

	"nbuild/internal/transfer"
)

// A localError is one of this machine: a full disk is no reason to ask another mirror.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }

// transfer gets the bytes that are not here yet from a location, or all if it can't give a part.
func (d *download) transfer(ctx context.Context, l *location) error {
	if l.url.Scheme == "file" {
		return d.transferFile(ctx, l.url)
	}
	err := d.f.client.Get(ctx, l.url.String(), d.have, func(body *transfer.Body) error {
		if body.Offset < d.have {
			if err := d.restart(); err != nil {
				return &localError{err}
			}
		}
		return d.receive(body, body.Size)
	})
	var refused *transfer.Error
	if errors.As(err, &refused) && refused.Unfit {
		if err := d.restart(); err != nil {
			return &localError{err}
		}
	}
	return err
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
	return &transfer.Error{Reason: fmt.Sprintf("it is longer than the %d bytes that were declared", d.size), Final: true}
}

// transferFile copies a file of this machine.
func (d *download) transferFile(ctx context.Context, u *url.URL) error {
	if u.Host != "" && u.Host != "localhost" {
		return &transfer.Error{Reason: "a file URL with a host: want file:///path", Final: true}
	}
	if d.have > 0 {
		if err := d.restart(); err != nil {
			return &localError{err}
		}
	}
	f, err := os.Open(u.Path)
	if err != nil {
		return &transfer.Error{Reason: reasonOf(err), Final: true, Missing: errors.Is(err, fs.ErrNotExist)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return &transfer.Error{Reason: reasonOf(err), Final: true}
	}
	if !info.Mode().IsRegular() {
		return &transfer.Error{Reason: "not a regular file", Final: true}
	}
	err = d.receive(&cancelable{ctx, f}, info.Size())
	var path *fs.PathError
	if errors.As(err, &path) && path.Path == u.Path {
		return &transfer.Error{Reason: reasonOf(err), Final: true}
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
