package debian

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// The forms of an index, the smallest first.
var indexForms = [...]string{".xz", ".zst", ".gz", ""}

// variant returns the smallest form of an index that the archive offers and we can read; "" is the plain file, which
// every Release lists.
func (r *releaseFile) variant(file string) (ext string, e entry) {
	for _, ext := range indexForms {
		if e, ok := r.files[file+ext]; ok {
			return ext, e
		}
	}
	return "", r.files[file]
}

// maxWindow bounds what a decompressor may keep in memory: xz -9 needs 64 MiB.
const maxWindow = 64 << 20

// An indexReader reads a Packages file, whole or not at all: what it is must be what the Release says.
type indexReader struct {
	pocket     *pocket
	file       string // for errors
	plain      entry  // of the uncompressed file
	compressed entry
	ext        string
	records    []record // what was read last
}

// A checkedReader hashes what passes through, and fails when that isn't what was promised.
type checkedReader struct {
	r      io.Reader
	hash   hash.Hash
	n      int64
	broken error // of r, other than its end
}

func newCheckedReader(r io.Reader, limit int64) *checkedReader {
	return &checkedReader{r: io.LimitReader(r, limit+1), hash: sha256.New()}
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.hash.Write(p[:n]) // A hash's Write never fails.
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.broken = err
	}
	return n, err
}

// check compares what has been read with what was promised.
func (c *checkedReader) check(want entry) error {
	switch {
	case c.broken != nil:
		return c.broken
	case c.n < want.size:
		return fmt.Errorf("ended after %d of %d bytes", c.n, want.size)
	case c.n > want.size:
		return contentError{fmt.Errorf("it is longer than the %d bytes that the Release file says", want.size)}
	}
	if got := hex.EncodeToString(c.hash.Sum(nil)); got != want.sha256 {
		return contentError{fmt.Errorf("its SHA-256 digest is %s, but the Release file says %s", got, want.sha256)}
	}
	return nil
}

// readMirror reads the index in its compressed form and keeps it in the cache folder, unless that is "".
func (x *indexReader) readMirror(body io.Reader, cacheDir string) error {
	outer := newCheckedReader(body, x.compressed.size)
	parseErr := x.readCompressed(outer, cacheDir)
	// Whatever the content made of the parser: when these aren't the promised bytes, that is what to say.
	if _, err := io.Copy(io.Discard, outer); err != nil {
		return err
	}
	if err := outer.check(x.compressed); err != nil {
		return err
	}
	if parseErr != nil {
		return contentError{parseErr}
	}
	return nil
}

func (x *indexReader) readCompressed(r io.Reader, cacheDir string) error {
	in, err := decompressor(x.ext, bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return err
	}
	defer in.Close()
	if cacheDir == "" {
		return x.parse(in, io.Discard)
	}
	if err := os.MkdirAll(cacheDir, 0o777); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(cacheDir, temporaryPrefix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // Gone when all went well.
	err = x.writeCache(in, temporary)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), x.cacheFile(cacheDir))
}

// writeCache parses the index and writes it to the cache as it passes. zstd takes a fifth of a second to write and a tenth
// to read for trixie, xz a second and a half.
func (x *indexReader) writeCache(in io.Reader, out io.Writer) error {
	encoder, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	return errors.Join(x.parse(in, encoder), encoder.Close())
}

// parse reads the uncompressed index, copies it to out, and checks it.
func (x *indexReader) parse(in io.Reader, out io.Writer) error {
	x.records = nil
	inner := newCheckedReader(in, x.plain.size)
	err := parsePackages(io.TeeReader(inner, out), x.file, func(r record) {
		r.pocket = x.pocket
		x.records = append(x.records, r)
	})
	if err != nil {
		return err
	}
	return inner.check(x.plain)
}

func (x *indexReader) cacheFile(dir string) string {
	return filepath.Join(dir, cachePrefix+x.plain.sha256+".zst")
}

// What the names of files in a CacheDir begin with: an index, and one that isn't complete.
const (
	cachePrefix     = "packages-"
	temporaryPrefix = ".new-"
)

// readCache reads the index from the cache. It checks the digest again, so that a damaged file counts as missing.
func (x *indexReader) readCache(dir string) ([]record, error) {
	if dir == "" {
		return nil, os.ErrNotExist
	}
	f, err := os.Open(x.cacheFile(dir))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in, err := decompressor(".zst", f)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if err := x.parse(in, io.Discard); err != nil {
		return nil, err
	}
	now := time.Now()
	_ = os.Chtimes(f.Name(), now, now) // For ForgetIndices; somebody else's file keeps its time.
	return x.records, nil
}

// ForgetIndices removes the indices from a CacheDir that no client has read since before, and what clients that were killed
// before left there. It returns the size of all that in bytes. With dryRun it removes nothing.
func ForgetIndices(dir string, before time.Time, dryRun bool) (size int64, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), cachePrefix) && !strings.HasPrefix(e.Name(), temporaryPrefix) {
			continue
		}
		info, infoErr := e.Info()
		if infoErr != nil || !info.ModTime().Before(before) {
			continue // It may be gone: another nbuild was faster.
		}
		if !dryRun {
			if removeErr := os.Remove(filepath.Join(dir, e.Name())); removeErr != nil {
				err = errors.Join(err, removeErr)
				continue
			}
		}
		size += info.Size()
	}
	return size, err
}

// decompressor reads a form of an index.
func decompressor(ext string, r io.Reader) (io.ReadCloser, error) {
	switch ext {
	case ".xz":
		in, err := xz.NewReader(r, maxWindow)
		return io.NopCloser(in), err
	case ".gz":
		return gzip.NewReader(r)
	case ".zst":
		in, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return in.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}
