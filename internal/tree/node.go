// Package tree has the canonical form of a store object, a file tree reduced to what a build may depend on, and its
// Merkle digest.
//
// A tree has regular files with content and one executable bit, folders, and symlinks with a target. Everything else
// about it is fixed: files have mode 0444 or 0555, folders 0555, all have modification time 1 (one second after the
// epoch), no extended attributes, and the owner is whoever owns the store.
//
// # Digest
//
// A folder is encoded as the Directory message of the Bazel Remote Execution API, version 2, in canonical protocol buffer
// form: fields in the order of their numbers, entries of each kind sorted by name byte for byte, empty fields left out.
//
//	Directory      { repeated FileNode files = 1; repeated DirectoryNode directories = 2; repeated SymlinkNode symlinks = 3 }
//	FileNode       { string name = 1; Digest digest = 2; bool is_executable = 4 }
//	DirectoryNode  { string name = 1; Digest digest = 2 }
//	SymlinkNode    { string name = 1; string target = 2 }
//	Digest         { string hash = 1; int64 size_bytes = 2 }
//
// A Digest's hash is plain BLAKE3 with 32 bytes of output in lower-case hexadecimal: of a file's content, or of a
// folder's message; size_bytes is the length of what was hashed. The digest of a tree is that of its root's message. A
// tree that is a single file or symlink is encoded as a folder whose only entry has an empty name.
package tree

import (
	"iter"

	"nbuild/internal/digest"
)

// Kind says what a node is.
type Kind uint8

// The kinds of nodes. The zero Kind is invalid.
const (
	File Kind = iota + 1
	Folder
	Symlink
)

// A Node is a file, a folder or a symlink, and all below it.
type Node struct {
	Name       string // in its folder; empty for the root
	Kind       Kind
	Executable bool          // of a file
	Digest     digest.Digest // of a file's content or a folder's message
	Size       int64         // of what Digest is about
	Target     string        // of a symlink
	Children   []*Node       // of a folder, sorted by name
	Matches    []Match       // in a file's content or a symlink's target
}

// Digest returns the digest of the tree at root. The Digest of every file in it must be set; those of folders are set by
// this call.
func Digest(root *Node) digest.Digest {
	if root.Kind == Folder {
		root.setDigest()
		return root.Digest
	}
	return digest.Sum(encode([]*Node{root}))
}

func (n *Node) setDigest() {
	for _, c := range n.Children {
		if c.Kind == Folder {
			c.setDigest()
		}
	}
	message := encode(n.Children)
	n.Digest, n.Size = digest.Sum(message), int64(len(message))
}

// All yields the path below the root, "" for the root itself, and the node, folders before what is in them and in the
// order of names.
func (n *Node) All() iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) { n.all("", yield) }
}

func (n *Node) all(path string, yield func(string, *Node) bool) bool {
	if !yield(path, n) {
		return false
	}
	for _, c := range n.Children {
		if !c.all(Join(path, c.Name), yield) {
			return false
		}
	}
	return true
}

// Join returns the path of the entry called name in the folder at path, either of which may be empty.
func Join(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "/" + name
}
