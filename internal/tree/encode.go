package tree

import (
	"encoding/binary"
	"encoding/hex"

	"nbuild/internal/digest"
)

// The keys of the messages' fields: field number << 3 | wire type, where 2 is a length and that many bytes, 0 a varint.
const (
	directoryFiles       = 1<<3 | 2
	directoryDirectories = 2<<3 | 2
	directorySymlinks    = 3<<3 | 2
	nodeName             = 1<<3 | 2
	nodeDigest           = 2<<3 | 2
	fileExecutable       = 4 << 3
	symlinkTarget        = 2<<3 | 2
	digestHash           = 1<<3 | 2
	digestSize           = 2 << 3
)

// encode returns the Directory message of a folder with these entries, which must be sorted by name.
func encode(entries []*Node) []byte {
	// A file's entry is 75 bytes and its name.
	out := make([]byte, 0, 128*len(entries))
	var node []byte
	for _, kind := range []struct {
		kind Kind
		key  byte
	}{{File, directoryFiles}, {Folder, directoryDirectories}, {Symlink, directorySymlinks}} {
		for _, e := range entries {
			if e.Kind == kind.kind {
				node = e.appendMessage(node[:0])
				out = appendBytes(out, kind.key, node)
			}
		}
	}
	return out
}

// appendMessage appends the FileNode, DirectoryNode or SymlinkNode message of n.
func (n *Node) appendMessage(out []byte) []byte {
	out = appendText(out, nodeName, n.Name)
	if n.Kind == Symlink {
		return appendText(out, symlinkTarget, n.Target)
	}
	var buffer [96]byte
	out = appendBytes(out, nodeDigest, appendDigest(buffer[:0], n.Digest, n.Size))
	if n.Executable {
		out = append(out, fileExecutable, 1)
	}
	return out
}

func appendDigest(out []byte, d digest.Digest, size int64) []byte {
	out = append(out, digestHash, 2*digest.Size)
	out = hex.AppendEncode(out, d[:])
	if size == 0 {
		return out
	}
	return binary.AppendUvarint(append(out, digestSize), uint64(size))
}

// appendText appends a string field, or nothing if it is empty, as canonical messages have it.
func appendText(out []byte, key byte, text string) []byte {
	if text == "" {
		return out
	}
	out = binary.AppendUvarint(append(out, key), uint64(len(text)))
	return append(out, text...)
}

// appendBytes appends a field that is a message, also an empty one.
func appendBytes(out []byte, key byte, b []byte) []byte {
	out = binary.AppendUvarint(append(out, key), uint64(len(b)))
	return append(out, b...)
}
