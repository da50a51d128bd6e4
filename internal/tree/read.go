package tree

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
// (nil for none). Each file is read once, on all processors if the tree is large, be it one file.
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

// A reader reads one tree: first it walks all folders, then it reads all files (contents.go).
type reader struct {
	root     string
	mode     Mode
	hashes   *Hashes
	uid      uint32
	files    []*content
	bytes    int64 // sum of the files' sizes
	problems Problems
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
		r.files = append(r.files, &content{node: node, path: file, size: stat.Size})
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
