package builders

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// Unpack makes trees of archives, in-process. Slot "src" is the archive, the first argument its kind, "deb", "tar" or
// "zip".
//
// Variables: "strip" is how many leading parts of the names a tar or zip loses; "max_size" and "max_entries" bound what comes
// out. Outputs: "out" is the tree. With "deb", "control" has the control files as shipped plus "list", dpkg's list of
// the entries, and "conffiles.md5", a line for each configuration file as dpkg's status has it: path and MD5. "owners", if the action has it,
// is the manifest of the owners and modes that the store doesn't keep (package owners).
//
// An archive that is truncated, too large or hostile is a Failure that names the entry. Nothing is ever written outside
// the outputs. The zero value is ready to use.
type Unpack struct {
	decoders decoders
	ahead    sync.Pool // *[]byte of aheadSize, between decompressing and writing
	copies   sync.Pool // *[]byte of copySize, for writing files
}

// copySize is how much of a file is written at once: most files of a system are smaller.
const copySize = 128 << 10

// readSize is how much of an archive is read at once.
const readSize = 128 << 10

// Build implements Builder.
func (u *Unpack) Build(ctx context.Context, r *Request) error {
	args := r.Action.Args()
	unpackers := map[string]func(*unpacking, context.Context) error{
		"deb": (*unpacking).deb, "tar": (*unpacking).tar, "zip": (*unpacking).zip,
	}
	if len(args) != 1 || unpackers[args[0]] == nil {
		return r.Failf("unpack: want 1 argument, \"deb\", \"tar\" or \"zip\", got %q", args)
	}
	job := &unpacking{Unpack: u, r: r}
	var err error
	if job.limits, err = parseLimits(r.Action.Env()); err != nil {
		return r.Failf("unpack: %v", err)
	}
	src, err := r.input("src")
	if err != nil {
		return err
	}
	if err := job.open(src); err != nil {
		return err
	}
	defer job.src.Close()
	err = unpackers[args[0]](job, ctx)
	var refused *refusal
	if errors.As(err, &refused) {
		return r.Failf("unpack %s: %s", r.Inputs["src"].Path.Name(), refused.reason)
	}
	return err
}

// An unpacking is one archive on its way to be a tree.
type unpacking struct {
	*Unpack
	r      *Request
	limits limits
	src    *os.File
	size   int64
	read   atomic.Int64 // bytes of src consumed; the read-ahead goroutine counts
}

func (u *unpacking) open(name string) error {
	// The input itself may be a link in the store: then its target is none of ours.
	info, err := os.Lstat(name)
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	if !info.Mode().IsRegular() {
		return u.r.Failf("unpack: the input src is not a file")
	}
	if u.src, err = os.Open(name); err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	u.size = info.Size()
	return nil
}

// section returns a reader of a part of the archive that tells the progress.
func (u *unpacking) section(offset, size int64) *bufio.Reader {
	return bufio.NewReaderSize(&counter{io.NewSectionReader(u.src, offset, size), u}, readSize)
}

// A counter reports how much of the archive was read.
type counter struct {
	io.Reader
	u *unpacking
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	done := c.u.read.Add(int64(n))
	if c.u.r.Progress != nil {
		c.u.r.Progress(done, c.u.size)
	}
	return n, err
}

// Limits bound what an archive may become.
type limits struct {
	size, entries int64 // bytes of the decompressed archive; entries
	strip         int   // leading parts of the names to drop
}

// The defaults are beyond what any package of Debian needs (the largest unpack to some 3 GB, or 60,000 entries) and
// below what harms a machine.
const (
	defaultMaxSize    = 16 << 30
	defaultMaxEntries = 2_000_000

	// A control archive is a few kilobytes; the lists of checksums of the largest packages have a few megabytes.
	maxControlSize    = 64 << 20
	maxControlEntries = 10_000

	// An archive of more than ratioFrom bytes must not be more than maxRatio times its compressed size. Real packages
	// have 3 to 20; xz makes 7,000 of zeros, and zstd more.
	maxRatio  = 500
	ratioFrom = 64 << 20
)

func parseLimits(env map[string]string) (limits, error) {
	l := limits{size: defaultMaxSize, entries: defaultMaxEntries}
	var strip int64
	for name, value := range map[string]*int64{"max_size": &l.size, "max_entries": &l.entries, "strip": &strip} {
		text, ok := env[name]
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 48)
		if err != nil {
			return l, fmt.Errorf("%s is %q, want a decimal number", name, text)
		}
		*value = int64(n)
	}
	l.strip = int(strip)
	return l, nil
}

// A gauge passes on a decompressed stream, and ends it with a refusal when it grows beyond the limits.
// It also knows how many zero bytes it ended with so far, which is how a whole tar ends.
type gauge struct {
	io.Reader
	total, max int64
	compressed int64 // the compressed size of the whole
	zeros      int64 // zero bytes passed last
}

// Read implements io.Reader.
func (g *gauge) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p)
	g.total += int64(n)
	tail := n
	for tail > 0 && p[tail-1] == 0 {
		tail--
	}
	if tail > 0 {
		g.zeros = 0
	}
	g.zeros += int64(n - tail)
	if g.total > g.max {
		return n, refusef("it unpacks to more than %d bytes (max_size)", g.max)
	}
	if g.total > ratioFrom && g.total/maxRatio > g.compressed {
		return n, refusef("%d bytes unpack to more than %d times as much: it looks like a bomb", g.compressed, maxRatio)
	}
	return n, err
}

// decompress calls read with the decompressed stream of a part of the archive, and reads what read left of it, so that
// its check sums are checked to the end. What is wrong with the stream is a refusal.
func (u *unpacking) decompress(m method, src *bufio.Reader, g gauge, read func(*gauge) error) (err error) {
	z, err := u.decoders.open(m, src)
	if err != nil {
		return streamError(m, err)
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	ahead := newReadAhead(z, &u.ahead)
	defer ahead.close(&u.ahead) // Before z.Close: the goroutine reads from z.
	g.Reader = &streamReader{ahead, m}
	if err := read(&g); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, &g)
	return err
}

// A streamReader turns a decoder's errors into refusals: what is in the archive is not the machine's fault.
type streamReader struct {
	io.Reader
	method method
}

// Read implements io.Reader.
func (s *streamReader) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = streamError(s.method, err)
	}
	return n, err
}

func streamError(m method, err error) error {
	var path *os.PathError
	switch {
	case errors.As(err, &path): // The file can't be read.
		return fmt.Errorf("read archive: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return refusef("truncated: its %s stream ends too early", m)
	}
	return refusef("its %s stream is damaged or truncated: %v", m, err)
}

// deb unpacks a binary package.
func (u *unpacking) deb(ctx context.Context) error {
	deb, err := readDeb(u.src, u.size)
	if err != nil {
		return err
	}
	control, err := u.control(ctx, deb)
	if err != nil {
		return err
	}
	defer control.dir.Close()
	tree, err := u.newExtraction(ctx, "out")
	if err != nil {
		return err
	}
	defer tree.dir.Close()
	tree.deb = true
	g := gauge{max: u.limits.size, compressed: deb.data.size}
	if err := u.decompress(deb.dataMethod, u.section(deb.data.offset, deb.data.size), g, tree.read); err != nil {
		return err
	}
	if err := control.finish(tree); err != nil {
		return err
	}
	return u.writeOwners(tree)
}

// tar unpacks a plain archive, however it is compressed.
func (u *unpacking) tar(ctx context.Context) error {
	src := u.section(0, u.size)
	head, err := src.Peek(sniffSize)
	if err != nil && err != io.EOF {
		return fmt.Errorf("read archive: %w", err)
	}
	m, err := methodOf(head)
	if err != nil {
		return err
	}
	tree, err := u.newExtraction(ctx, "out")
	if err != nil {
		return err
	}
	defer tree.dir.Close()
	tree.strip = u.limits.strip
	g := gauge{max: u.limits.size, compressed: u.size}
	if err := u.decompress(m, src, g, tree.read); err != nil {
		return err
	}
	return u.writeOwners(tree)
}

func (u *unpacking) writeOwners(tree *extraction) error {
	if !slices.Contains(u.r.Action.Outputs(), "owners") {
		return nil
	}
	out, err := u.r.output("owners")
	if err != nil {
		return err
	}
	return writeNewFile(out, tree.manifest(), false)
}
