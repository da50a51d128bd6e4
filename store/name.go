package store

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nbuild/internal/digest"
	"nbuild/internal/storepath"
	"nbuild/internal/tree"
)

// blank stands for an object's own hash part where its name is computed.
var blank = strings.Repeat("0", digest.Base32Length)

// A position is where an object's own hash part lies in it.
type position struct {
	file   string // path below the object, "" for the object itself
	offset int64
}

// pathOf returns the store path of an object: the BLAKE3 hash with the context digest.ContextStorePath of this text,
//
//	nbuild store path 1
//	name NAME
//	digest HEX
//	self "FILE" OFFSET
//	reference PATH
//
// every line ended by a newline. The digest is that of the tree with each occurrence of its own hash part replaced by 32
// zeros ("0"); there is one line "self" for each of these, sorted by file and offset, with the file quoted as by
// strconv.Quote; and one line "reference" for each other object it refers to, sorted.
func pathOf(name string, blanked digest.Digest, self []position, references []storepath.Path) storepath.Path {
	slices.SortFunc(self, func(a, b position) int {
		return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.offset, b.offset))
	})
	text := make([]byte, 0, 256)
	text = fmt.Appendf(text, "nbuild store path 1\nname %s\ndigest %s\n", name, blanked)
	for _, p := range self {
		text = append(strconv.AppendQuote(append(text, "self "...), p.file), ' ')
		text = append(strconv.AppendInt(text, p.offset, 10), '\n')
	}
	for _, r := range references {
		text = append(append(append(text, "reference "...), r...), '\n')
	}
	return storepath.New(digest.Derive(digest.ContextStorePath, text), name)
}

// A content is a tree on the disk that is to get a name, or whose name is to be checked.
type content struct {
	file string
	root *tree.Node
	self string            // the hash part that stands for its own, or ""
	own  map[string]string // hash parts of other new objects → their final hash parts
}

// patches returns the changes that bring a node's content into its final form, with final as the object's own hash part.
func (c *content) patches(node *tree.Node, final string) []tree.Patch {
	var patches []tree.Patch
	for _, m := range node.Matches {
		if m.Hash == c.self {
			patches = append(patches, tree.Patch{Offset: m.Offset, Text: final})
		} else if other, ok := c.own[m.Hash]; ok {
			patches = append(patches, tree.Patch{Offset: m.Offset, Text: other})
		}
	}
	return patches
}

// blanked returns the digest of the final tree with its own hash part blanked, and where that occurs.
// The disk stays as it is, but the nodes' digests and targets don't tell what is on it any more.
func (c *content) blanked() (digest.Digest, []position, error) {
	var self []position
	for path, node := range c.root.All() {
		patches := c.patches(node, blank)
		if len(patches) == 0 {
			continue
		}
		for _, m := range node.Matches {
			if m.Hash == c.self {
				self = append(self, position{file: path, offset: m.Offset})
			}
		}
		if node.Kind == tree.Symlink {
			node.Target = tree.PatchText(node.Target, patches)
			continue
		}
		var err error
		if node.Digest, node.Size, err = tree.HashPatched(join(c.file, path), patches); err != nil {
			return digest.Digest{}, nil, err
		}
	}
	return tree.Digest(c.root), self, nil
}

// rewrite brings the tree on the disk, and its nodes, into final form, and returns its digest.
func (c *content) rewrite(final string) (digest.Digest, error) {
	for path, node := range c.root.All() {
		patches := c.patches(node, final)
		if len(patches) == 0 {
			continue
		}
		file := join(c.file, path)
		if err := tree.Rewrite(file, node, patches); err != nil {
			return digest.Digest{}, err
		}
		if node.Kind == tree.Symlink {
			node.Target = tree.PatchText(node.Target, patches)
			continue
		}
		var err error
		if node.Digest, node.Size, err = tree.HashPatched(file, nil); err != nil {
			return digest.Digest{}, err
		}
	}
	return tree.Digest(c.root), nil
}

// join returns the physical path of what lies at path, maybe "", below file.
func join(file, path string) string {
	if path == "" {
		return file
	}
	return file + "/" + path
}
