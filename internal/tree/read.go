package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"nbuild/internal/digest"
)

// A Problem says that something in a tree is not of canonical form, or can't be brought into it.
type Problem struct {
	File   string // path below the root, "" for the root itself
	Reason string // "is a socket"
}

// String returns "file: reason", with "." for the root.
func (p Problem) String() string {
	return cmp.Or(p.File, ".") + ": " + p.Reason
}

// Problems is the error of a tree that has some; all of them, sorted by file.
type Problems []Problem

// Error joins the problems by "; ".
func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, problem := range p {
		texts[i] = problem.String()
	}
	return strings.Join(texts, "; ")
}

// Mode says what Read does with a tree besides reading it.
type Mode uint8

const (
	// Look takes the tree as it is, whoever owns it and whatever the modes: for files of the host.
	Look Mode = iota
	// Check reports every mode, time, owner and attribute that is not canonical.
	Check
	// Prepare gives files and symlinks their canonical modes and times, and makes folders writable for their owner until
	// Seal. It reports what it can't or mustn't change: other kinds of files, setuid bits, other owners.
	Prepare
)

// ModificationTime is the time of last modification of all files in the store, in seconds since the epoch. It is not 0
// because many programs take 0 for "unknown".
const ModificationTime = 1

// Read reads the tree at file and returns it with the digests of all files and folders and the occurrences of hashes
// (nil for none). Each file is read once, on all processors if the tree is large.
// If the tree has faults, the error is a Problems that lists them all.
func Read(ctx context.Context, file string, mode Mode, hashes *Hashes) (*Node, error) {
	r := &reader{root: file, mode: mode, hashes: hashes, uid: uint32(os.Geteuid())}
	root, err := r.walk("", "")
	if err != nil {
		return nil, err
	}
	if err := r.readFiles(ctx); err != nil {
		return nil, err
	}
	if len(r.problems) > 0 {
		slices.SortFunc(r.problems, func(a, b Problem) int { return strings.Compare(a.File, b.File) })
		return nil, r.problems
	}
	Digest(root)
	return root, nil
}

// A reader reads one tree: first it walks all folders, then it reads all files.
type reader struct {
	root     string
	mode     Mode
	hashes   *Hashes
	uid      uint32
	files    []job
	bytes    int64 // sum of the files' sizes
	problems Problems
}

// A job is a file that is to be read into its node.
type job struct {
	node *Node
	path string // physical
	size int64  // as it was when the folder was walked
}

func (r *reader) problem(path, format string, args ...any) {
	r.problems = append(r.problems, Problem{File: path, Reason: fmt.Sprintf(format, args...)})
}

func (r *reader) file(path string) string {
	if path == "" {
		return r.root
	}
	return r.root + "/" + path
}

// walk returns the node of the entry called name at path, with all below it but for the files' contents.
// What has no place in a tree is a problem, and the node nil.
func (r *reader) walk(path, name string) (*Node, error) {
	file := r.file(path)
	var stat unix.Stat_t
	if err := unix.Lstat(file, &stat); err != nil {
		return nil, &os.PathError{Op: "lstat", Path: file, Err: err}
	}
	node := &Node{Name: name}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		node.Kind, node.Executable = File, stat.Mode&0o100 != 0
		r.files = append(r.files, job{node: node, path: file, size: stat.Size})
		r.bytes += stat.Size
	case unix.S_IFDIR:
		node.Kind = Folder
	case unix.S_IFLNK:
		node.Kind = Symlink
	default:
		r.problem(path, "is a %s; a store object holds files, folders and links only", kindName(stat.Mode))
		return nil, nil
	}
	if err := r.properties(path, file, node, &stat); err != nil {
		return nil, err
	}
	switch node.Kind {
	case Folder:
		return node, r.walkFolder(path, file, node)
	case Symlink:
		target, err := os.Readlink(file)
		node.Target = target
		node.Matches = r.scanText(target)
		return node, err
	}
	return node, nil
}

func (r *reader) walkFolder(path, file string, node *Node) error {
	entries, err := os.ReadDir(file) // sorted by name
	if err != nil {
		return err
	}
	node.Children = make([]*Node, 0, len(entries))
	for _, e := range entries {
		child, err := r.walk(Join(path, e.Name()), e.Name())
		if err != nil {
			return err
		}
		if child != nil {
			node.Children = append(node.Children, child)
		}
	}
	return nil
}

func (r *reader) scanText(text string) []Match {
	if r.hashes.Len() == 0 || len(text) < digest.Base32Length {
		return nil
	}
	s := r.hashes.Scanner()
	_, _ = s.Write([]byte(text)) // A Scanner's Write never fails.
	return s.Matches()
}

func kindName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFIFO:
		return "named pipe"
	case unix.S_IFBLK:
		return "block device"
	case unix.S_IFCHR:
		return "character device"
	default:
		return fmt.Sprintf("file of unknown kind %#o", mode&unix.S_IFMT)
	}
}

// Up to this many files and bytes are read by one goroutine: starting others costs more than they save.
const (
	aloneFiles = 16
	aloneBytes = 256 << 10
)

// bufferSize is that of one read: both the hasher and the scanner find it in the processor's second-level cache.
const bufferSize = 256 << 10

func (r *reader) readFiles(ctx context.Context) error {
	workers := runtime.GOMAXPROCS(0)
	if len(r.files) <= aloneFiles && r.bytes <= aloneBytes || len(r.files) == 1 {
		workers = 1
	}
	if workers == 1 {
		return r.work(ctx, new(atomic.Int64))
	}
	// The largest files first, lest one of them is read alone at the end. Small ones stay in their folder's order.
	const large = 1 << 20
	slices.SortStableFunc(r.files, func(a, b job) int { return cmp.Compare(b.size/large, a.size/large) })
	group, ctx := errgroup.WithContext(ctx)
	next := new(atomic.Int64)
	for range workers {
		group.Go(func() error { return r.work(ctx, next) })
	}
	return group.Wait()
}

// work reads files until none is left; next counts those that somebody took.
func (r *reader) work(ctx context.Context, next *atomic.Int64) error {
	var scanner *Scanner
	if r.hashes.Len() > 0 {
		scanner = r.hashes.Scanner()
	}
	var largest int64
	for _, job := range r.files {
		largest = max(largest, job.size)
	}
	// One byte more than the file tells its end without a second read.
	buffers := [2][]byte{make([]byte, min(largest+1, bufferSize))}
	for {
		i := int(next.Add(1)) - 1
		if i >= len(r.files) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.files[i].read(&buffers, scanner); err != nil {
			return err
		}
	}
}

// read sets the node's digest, size and matches.
func (j job) read(buffers *[2][]byte, scanner *Scanner) error {
	fd, err := openFile(j.path)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // It was only read, so closing has nothing to report.
	if scanner != nil {
		scanner.Reset()
	}
	j.node.Digest, j.node.Size, err = hashFile(fd, buffers, scanner)
	if err != nil {
		return &os.PathError{Op: "read", Path: j.path, Err: err}
	}
	if scanner != nil {
		j.node.Matches = scanner.Matches()
	}
	return nil
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

// hashFile hashes and scans (unless scanner is nil) all that can be read from fd.
func hashFile(fd int, buffers *[2][]byte, scanner *Scanner) (digest.Digest, int64, error) {
	buffer := buffers[0]
	n, err := fill(fd, buffer)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	if scanner != nil {
		_, _ = scanner.Write(buffer[:n]) // A Scanner's Write never fails.
	}
	if n < len(buffer) { // the whole file, as nearly always
		return digest.Sum(buffer[:n]), int64(n), nil
	}
	h := digest.New()
	_, _ = h.Write(buffer) // A hasher's Write never fails.
	size := int64(n)
	for p := range readAhead(fd, buffers) {
		if p.err != nil {
			err = p.err // It is the last.
			continue
		}
		_, _ = h.Write(p.content) // likewise
		if scanner != nil {
			_, _ = scanner.Write(p.content) // likewise
		}
		size += int64(len(p.content))
		p.done()
	}
	return digest.Digest(h.Sum(nil)), size, err
}

// fill reads until buffer is full or the file ends; only then is n less than the buffer's length.
func fill(fd int, buffer []byte) (n int, err error) {
	for n < len(buffer) {
		m, err := unix.Read(fd, buffer[n:])
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

// HashPatched returns the digest and size of a file's content with each patch laid over it.
func HashPatched(file string, patches []Patch) (digest.Digest, int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	defer f.Close() // It was only read, so closing has nothing to report.
	h := digest.New()
	n, err := io.Copy(&patchWriter{to: h, patches: patches}, f)
	if err != nil {
		return digest.Digest{}, 0, fmt.Errorf("hash %s: %w", filepath.Base(file), err)
	}
	return digest.Digest(h.Sum(nil)), n, nil
}
