package tree

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Patch is text that replaces as many bytes at an offset.
type Patch struct {
	Offset int64
	Text   string
}

// apply lays the patches over b, the bytes of a file from offset on.
func apply(b []byte, offset int64, patches []Patch) {
	for _, p := range patches {
		from := p.Offset - offset
		if from >= int64(len(b)) || from+int64(len(p.Text)) <= 0 {
			continue
		}
		if from < 0 {
			copy(b, p.Text[-from:])
		} else {
			copy(b[from:], p.Text)
		}
	}
}

// PatchText returns text with the patches laid over it.
func PatchText(text string, patches []Patch) string {
	b := []byte(text)
	apply(b, 0, patches)
	return string(b)
}

// A patchWriter lays patches over a stream. It changes the slices that are written to it, which are io.Copy's own.
type patchWriter struct {
	to      io.Writer
	offset  int64
	patches []Patch
}

func (w *patchWriter) Write(p []byte) (int, error) {
	apply(p, w.offset, w.patches)
	w.offset += int64(len(p))
	return w.to.Write(p)
}

// Rewrite lays patches over a file or a symlink that was read with Prepare, and freezes it again. The folder it is in must
// be writable. A file that has other names, perhaps in the store, is replaced by a copy and the others stay as they are.
func Rewrite(file string, node *Node, patches []Patch) error {
	temporary := filepath.Join(filepath.Dir(file), ".rewrite-"+strconv.FormatUint(rand.Uint64(), 36))
	var err error
	if node.Kind == Symlink {
		err = os.Symlink(PatchText(node.Target, patches), temporary)
	} else {
		err = writePatched(file, temporary, patches)
	}
	if err == nil && node.Kind == File {
		err = chmod(temporary, node.FileMode())
	}
	if err == nil {
		err = setTime(temporary)
	}
	if err == nil {
		err = os.Rename(temporary, file)
	}
	if err != nil {
		_ = os.Remove(temporary) // It may not be there; the first error is the one to report.
		return fmt.Errorf("rewrite %s: %w", filepath.Base(file), err)
	}
	return nil
}

// writePatched writes a patched copy. Copying is simpler than patching in place and as safe for hard links; few files have
// self references, and those that have are small as a rule.
func writePatched(from, to string, patches []Patch) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() // It was only read, so closing has nothing to report.
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(&patchWriter{to: out, patches: patches}, struct{ io.Reader }{in})
	return err
}
