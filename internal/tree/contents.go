package tree

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"nbuild/internal/digest"
)

// A content is that of a file, which is to be read into its node.
//
// Approach: what goroutines take, one after the other, is a piece of a file, as digest has them, or a whole file that has
// no more than one. Whoever reads the last piece of a file joins them. So a large file is read by all processors, and none
// of them reads alone at the end. A file that isn't as long as it was when its folder was walked is read in one go.
type content struct {
	node *Node
	path string // physical
	size int64  // as it was when the folder was walked

	pieces  []piece      // of a file that has several; else nil
	missing atomic.Int64 // how many of them are not read yet
	changed atomic.Bool  // one of them was not as long as it should be
}

// A piece is what is known of a part of a file.
type piece struct {
	sum     digest.Piece
	matches []Match // that begin in it
}

// Up to this many files and bytes are read by one goroutine: starting others costs more than they save.
const (
	aloneFiles = 16
	aloneBytes = digest.PieceSize
)

// readAhead is how much is read of what follows a piece: the rest of a hash part that begins in it, and one byte more,
// which tells that the file has become longer.
const readAhead = digest.Base32Length

// A part is piece i of a content, or all of one that has no pieces.
type part struct {
	*content
	i int
}

func (r *reader) readFiles(ctx context.Context) error {
	parts := make([]part, 0, len(r.files))
	for _, c := range r.files {
		n := max(1, int((c.size+digest.PieceSize-1)/digest.PieceSize))
		if n > 1 {
			c.pieces = make([]piece, n)
			c.missing.Store(int64(n))
		}
		for i := range n {
			parts = append(parts, part{c, i})
		}
	}
	next := new(atomic.Int64)
	if len(r.files) <= aloneFiles && r.bytes <= aloneBytes {
		return r.work(ctx, parts, next)
	}
	group, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), len(parts)) {
		group.Go(func() error { return r.work(ctx, parts, next) })
	}
	return group.Wait()
}

// work reads parts until none is left; next counts those that somebody took.
func (r *reader) work(ctx context.Context, parts []part, next *atomic.Int64) error {
	var largest int64
	for _, c := range r.files {
		largest = max(largest, c.size)
	}
	w := worker{buffer: make([]byte, min(largest, digest.PieceSize)+readAhead)}
	if r.hashes.Len() > 0 {
		w.scanner = r.hashes.Scanner()
	}
	for {
		i := int(next.Add(1)) - 1
		if i >= len(parts) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.read(parts[i]); err != nil {
			return err
		}
	}
}

// A worker is what one goroutine reads with.
type worker struct {
	buffer  []byte
	scanner *Scanner // nil if nothing is looked for
}

// read reads a part, and completes the node when it was the file's last.
func (w *worker) read(p part) error {
	fd, err := openFile(p.path)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // It was only read, so closing has nothing to report.
	if p.pieces == nil {
		err = w.readWhole(fd, p.content)
	} else {
		err = w.readPiece(fd, p)
	}
	if err != nil {
		return &os.PathError{Op: "read", Path: p.path, Err: err}
	}
	return nil
}

// readWhole reads a file from its beginning to its end.
func (w *worker) readWhole(fd int, c *content) error {
	if w.scanner != nil {
		w.scanner.Reset()
	}
	n, err := fill(fd, w.buffer, 0)
	if err != nil {
		return err
	}
	if w.scanner != nil {
		_, _ = w.scanner.Write(w.buffer[:n]) // A Scanner's Write never fails.
	}
	c.node.Size = int64(n)
	if n < len(w.buffer) { // as always, but for files that became longer
		c.node.Digest = digest.Sum(w.buffer[:n])
	} else if err := w.readRest(fd, c); err != nil {
		return err
	}
	if w.scanner != nil {
		c.node.Matches = w.scanner.Matches()
	}
	return nil
}

// readRest reads on in a file whose beginning is in the buffer, which it fills.
func (w *worker) readRest(fd int, c *content) error {
	h := digest.New()
	for n := len(w.buffer); ; {
		_, _ = h.Write(w.buffer[:n]) // A hasher's Write never fails.
		if n < len(w.buffer) {
			c.node.Digest = digest.Digest(h.Sum(nil))
			return nil
		}
		var err error
		if n, err = fill(fd, w.buffer, c.node.Size); err != nil {
			return err
		}
		if w.scanner != nil {
			_, _ = w.scanner.Write(w.buffer[:n]) // likewise
		}
		c.node.Size += int64(n)
	}
}

// readPiece reads one of several pieces of a file.
func (w *worker) readPiece(fd int, p part) error {
	offset := int64(p.i) * digest.PieceSize
	n, err := fill(fd, w.buffer, offset)
	if err != nil {
		return err
	}
	if int64(n) != min(p.size-offset, int64(len(w.buffer))) {
		p.changed.Store(true)
	}
	found := &p.pieces[p.i]
	found.sum = digest.SumPiece(w.buffer[:min(n, digest.PieceSize)], p.i)
	if w.scanner != nil {
		w.scanner.Reset()
		w.scanner.scan(w.buffer[:min(n, digest.PieceSize+digest.Base32Length-1)], offset)
		found.matches = w.scanner.Matches()
	}
	switch {
	case p.missing.Add(-1) > 0:
		return nil
	case p.changed.Load():
		return w.readWhole(fd, p.content)
	}
	p.join()
	return nil
}

// join completes the node of a file whose pieces are all read.
func (c *content) join() {
	c.node.Size = c.size
	sums := make([]digest.Piece, len(c.pieces))
	for i, p := range c.pieces {
		sums[i] = p.sum
		c.node.Matches = append(c.node.Matches, p.matches...)
	}
	c.node.Digest = digest.Join(sums)
	c.node.Matches = slices.Clip(c.node.Matches)
}

// openFile opens a regular file. It is the system call alone: os.Open adds a poller and a finalizer to each of thousands.
func openFile(path string) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return fd, nil
	}
}

// fill reads from offset on until buffer is full or the file ends; only then is n less than the buffer's length.
func fill(fd int, buffer []byte, offset int64) (n int, err error) {
	for n < len(buffer) {
		m, err := unix.Pread(fd, buffer[n:], offset+int64(n))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, err
		case m == 0:
			return n, nil
		}
		n += m
	}
	return n, nil
}
