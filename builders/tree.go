package builders

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Tree merges its inputs into one tree, by hard links: its files are the store's own.
//
// Each argument is a slot, "slot" or "slot=relative/path" for where to put the object. The action's files are added
// after the inputs, and links for the variables "link:relative/path" = target. The variable "executable" has the names
// of the files that are programs, a line each. With "nbuild.usrmerge"="1" the tree starts with Debian's links bin,
// sbin, lib and lib64 into usr.
//
// A folder that meets a link to a folder inside the tree goes there, as dpkg does it. The same file twice is fine when
// it is the same; else the build fails and names all such files with both sides, or, with "conflicts"="last", what
// comes later wins. A folder and something else under one name never go together. The zero value is ready to use.
type Tree struct{}

// linkPrefix begins the variables that make links.
const linkPrefix = "link:"

// Build implements Builder.
func (Tree) Build(ctx context.Context, r *Request) error {
	m := &merge{r: r, ctx: ctx, from: map[string]string{}}
	switch v := r.Action.Env()["conflicts"]; v {
	case "last":
		m.last = true
	case "":
	default:
		return r.Failf("tree: conflicts is %q, want \"last\" or nothing", v)
	}
	out, err := r.output("out")
	if err != nil {
		return err
	}
	if m.dir, err = newBeneath(out); err != nil {
		return err
	}
	defer m.dir.Close()
	err = m.run()
	var refused *refusal
	if errors.As(err, &refused) {
		return r.Failf("tree: %s", refused.reason)
	}
	if err != nil {
		return err
	}
	return m.conflict()
}

// A merge is a tree while it is made.
type merge struct {
	r         *Request
	ctx       context.Context // of the Build that this is the inside of
	dir       *beneath
	last      bool
	from      map[string]string // path in the tree → who put it there, for all but folders
	conflicts []string
}

func (m *merge) run() error {
	usrMerge, err := m.r.flag("nbuild.usrmerge")
	if err != nil {
		return err
	}
	if usrMerge {
		if err := m.usrMerge(); err != nil {
			return err
		}
	}
	for _, arg := range m.r.Action.Args() {
		if err := m.input(arg); err != nil {
			return err
		}
	}
	if err := m.files(); err != nil {
		return err
	}
	return m.links()
}

// usrMerge makes what base-files has in Debian 13: packages before it, and sets without it, need it too.
func (m *merge) usrMerge() error {
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := m.dir.mkdir("usr/" + name); err != nil {
			return err
		}
		if err := m.dir.symlink("usr/"+name, name); err != nil {
			return err
		}
		m.from[name] = "nbuild.usrmerge"
	}
	return nil
}

// input merges the object that an argument names.
func (m *merge) input(arg string) error {
	slot, to, placed := strings.Cut(arg, "=")
	if !placed {
		to = "."
	}
	in, ok := m.r.Inputs[slot]
	if !ok {
		return refusef("argument %q: there is no input %q", arg, slot)
	}
	to, err := cleanName(to)
	if err != nil {
		return refusef("argument %q: %v", arg, err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(in.File, &st); err != nil {
		return fmt.Errorf("stat input %s: %w", slot, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		src, err := unix.Open(in.File, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open input %s: %w", slot, err)
		}
		return m.inputFolder(src, to, slot)
	}
	if to == "." {
		return refusef("input %s is not a folder: say where to put it, by %s=path", slot, slot)
	}
	dst, err := m.folder(path.Dir(to))
	if err != nil {
		return err
	}
	defer unix.Close(dst)
	parent, err := unix.Open(path.Dir(in.File), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	defer unix.Close(parent)
	resolved, err := m.resolvedName(dst)
	if err != nil {
		return err
	}
	from := side{parent, path.Base(in.File), in.Path.Name()}
	return m.entry(from, place{dst, path.Base(to), path.Join(resolved, path.Base(to))}, st.Mode&unix.S_IFMT)
}

// inputFolder merges an open folder, which it closes, into the one called to.
func (m *merge) inputFolder(src int, to, slot string) error {
	dst, err := m.folder(to)
	if err != nil {
		_ = unix.Close(src)
		return err
	}
	defer unix.Close(dst)
	resolved, err := m.resolvedName(dst)
	if err != nil {
		_ = unix.Close(src)
		return err
	}
	return m.walk(src, dst, resolved, m.r.Inputs[slot].Path.Name())
}

// folder opens the folder called name, making it, and following links inside the tree.
func (m *merge) folder(name string) (int, error) {
	fd, err := m.openFolder(name)
	if errors.Is(err, unix.ENOENT) {
		if err := m.makeFolder(name); err != nil {
			return -1, err
		}
		fd, err = m.openFolder(name)
	}
	if err != nil {
		return -1, folderError(name, err)
	}
	return fd, nil
}

func (m *merge) makeFolder(name string) error {
	parent, err := m.folder(path.Dir(name))
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	if err := unix.Mkdirat(parent, path.Base(name), 0o755); errors.Is(err, unix.EEXIST) {
		return folderError(name, unix.ENOENT) // It is there and can't be opened: a link to nothing.
	} else if err != nil {
		return entryError(name, err)
	}
	return nil
}

// openFolder resolves links as if the tree were the root folder, since that is what it will be somewhere.
func (m *merge) openFolder(name string) (int, error) {
	const inside = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	return openBeneath(m.dir.fd, name, unix.O_PATH|unix.O_DIRECTORY, inside)
}

// resolvedName returns where an open folder of the tree is, free of links.
func (m *merge) resolvedName(fd int) (string, error) {
	root, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", m.dir.fd))
	if err != nil {
		return "", err
	}
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return "", err
	}
	if name == root {
		return ".", nil
	}
	rel, ok := strings.CutPrefix(name, root+"/")
	if !ok {
		return "", fmt.Errorf("merge tree: %s is not in %s", name, root)
	}
	return rel, nil
}

// walk merges the open folder src, which it closes, into dst, which is called name in the tree.
func (m *merge) walk(src, dst int, name, owner string) error {
	f := os.NewFile(uintptr(src), name)
	defer f.Close()
	if err := m.ctx.Err(); err != nil {
		return fmt.Errorf("merge tree: %w", err)
	}
	entries, err := f.ReadDir(-1)
	if err != nil {
		return fmt.Errorf("read folder of %s: %w", owner, err)
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		from := side{src, e.Name(), owner}
		to := place{dst, e.Name(), path.Join(name, e.Name())}
		if err := m.entry(from, to, entryKind(e)); err != nil {
			return err
		}
	}
	return nil
}

// entryKind returns the kind of an entry in the terms of stat. The store has no others.
func entryKind(e os.DirEntry) uint32 {
	switch {
	case e.IsDir():
		return unix.S_IFDIR
	case e.Type()&os.ModeSymlink != 0:
		return unix.S_IFLNK
	}
	return unix.S_IFREG
}

// entry merges one entry of the given kind.
func (m *merge) entry(from side, to place, kind uint32) error {
	if kind == unix.S_IFDIR {
		return m.subfolder(from, to)
	}
	// A link is linked like a file: Linux gives symbolic links more names as well.
	err := unix.Linkat(from.fd, from.base, to.fd, to.base, 0)
	switch {
	case err == nil:
		m.from[to.name] = from.owner
		return nil
	case errors.Is(err, unix.EEXIST):
		return m.meet(from, to, kind)
	case errors.Is(err, unix.EMLINK), errors.Is(err, unix.EXDEV), errors.Is(err, unix.EPERM):
		m.from[to.name] = from.owner
		return copyEntry(from, to, kind)
	}
	return fmt.Errorf("link %s of %s: %w", quoteName(to.name), from.owner, err)
}

// subfolder merges a folder.
func (m *merge) subfolder(from side, to place) error {
	dst, name, err := m.target(to)
	if errors.Is(err, errNoFolder) {
		m.clash(from, to)
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(dst)
	src, err := unix.Openat(from.fd, from.base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open folder %s of %s: %w", quoteName(to.name), from.owner, err)
	}
	return m.walk(src, dst, name, from.owner)
}

// errNoFolder says that what is in a folder's place is none, and no link to one.
var errNoFolder = errors.New("no folder")

// target opens the folder at a place, making it or following a link, and returns it with its name free of links.
func (m *merge) target(to place) (fd int, name string, err error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	err = unix.Mkdirat(to.fd, to.base, 0o755)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, "", fmt.Errorf("create folder %s: %w", quoteName(to.name), err)
	}
	fd, err = unix.Openat(to.fd, to.base, flags, 0)
	switch {
	case err == nil:
		return fd, to.name, nil
	case !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP):
		return -1, "", fmt.Errorf("open folder %s: %w", quoteName(to.name), err)
	}
	fd, err = m.openFolder(to.name)
	if err != nil {
		return -1, "", errNoFolder
	}
	name, err = m.resolvedName(fd)
	return fd, name, err
}

// meet decides what becomes of an entry whose place is taken.
func (m *merge) meet(from side, to place, kind uint32) error {
	same, folder, err := sameEntry(from, side{to.fd, to.base, ""})
	if err != nil {
		return fmt.Errorf("compare %s: %w", quoteName(to.name), err)
	}
	if same {
		return nil
	}
	if !m.last || folder {
		m.clash(from, to)
		return nil
	}
	if err := unix.Unlinkat(to.fd, to.base, 0); err != nil {
		return fmt.Errorf("replace %s: %w", quoteName(to.name), err)
	}
	return m.entry(from, to, kind)
}

// clash notes a conflict between an entry and what is in its place.
func (m *merge) clash(from side, to place) {
	other, ok := m.from[to.name]
	if !ok {
		other = "a folder of others"
	}
	m.conflicts = append(m.conflicts, fmt.Sprintf("%s is in both %s and %s, and not the same", quoteName(to.name), other, from.owner))
}

// maxShown is how many conflicts are told in full: the first few explain the rest.
const maxShown = 20

// conflict returns all conflicts as one failure.
func (m *merge) conflict() error {
	switch n := len(m.conflicts); {
	case n == 0:
		return nil
	case n == 1:
		return m.r.Failf("tree: %s", m.conflicts[0])
	case n > maxShown:
		return m.r.Failf("tree: %d conflicts:\n%s\nand %d more", n, strings.Join(m.conflicts[:maxShown], "\n"), n-maxShown)
	default:
		return m.r.Failf("tree: %d conflicts:\n%s", n, strings.Join(m.conflicts, "\n"))
	}
}

// files adds the action's files.
func (m *merge) files() error {
	files := m.r.Action.Files()
	executable := map[string]bool{}
	for line := range strings.Lines(m.r.Action.Env()["executable"]) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if _, ok := files[line]; !ok {
			return refusef("executable: there is no file %s", quoteName(line))
		}
		executable[line] = true
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := m.add(name, "the derivation's files", func(dir int, base string) error {
			return writeFileAt(dir, base, files[name], executable[name])
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func writeFileAt(dir int, base, content string, executable bool) error {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, base, flags, fileMode(executable))
	if err != nil {
		return err
	}
	if err := writeAll(fd, []byte(content)); err != nil {
		_ = unix.Close(fd)
		return err
	}
	return unix.Close(fd)
}

// links adds the links that variables name.
func (m *merge) links() error {
	env := m.r.Action.Env()
	for _, key := range slices.Sorted(maps.Keys(env)) {
		name, ok := strings.CutPrefix(key, linkPrefix)
		if !ok {
			continue
		}
		if err := checkTarget(env[key]); err != nil {
			return refusef("%s: %v", key, err)
		}
		err := m.add(name, "the derivation's links", func(dir int, base string) error {
			return unix.Symlinkat(env[key], dir, base)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// add makes an entry of the derivation's own, in a folder of its own first: so it meets what is there as an input's
// entry does.
func (m *merge) add(name, owner string, create func(dir int, base string) error) error {
	clean, err := cleanName(name)
	if err == nil && clean == "." {
		err = refusef("the name is the tree's own")
	}
	if err != nil {
		return refusef("%s: %v", quoteName(name), err)
	}
	fd, err := m.folder(path.Dir(clean))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	resolved, err := m.resolvedName(fd)
	if err != nil {
		return err
	}
	to := place{fd, path.Base(clean), path.Join(resolved, path.Base(clean))}
	err = create(to.fd, to.base)
	if err == nil {
		m.from[to.name] = owner
		return nil
	}
	if !errors.Is(err, unix.EEXIST) {
		return entryError(clean, err)
	}
	return m.addOver(to, owner, create)
}

// addOver makes an entry in a scratch folder, as its place is taken, and lets the two meet.
func (m *merge) addOver(to place, owner string, create func(dir int, base string) error) error {
	scratch, err := os.MkdirTemp(m.r.Scratch, "tree-")
	if err != nil {
		return fmt.Errorf("create scratch folder: %w", err)
	}
	fd, err := unix.Open(scratch, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open scratch folder: %w", err)
	}
	defer unix.Close(fd)
	if err := create(fd, to.base); err != nil {
		return fmt.Errorf("create %s: %w", quoteName(to.name), err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(fd, to.base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("stat %s: %w", quoteName(to.name), err)
	}
	return m.meet(side{fd, to.base, owner}, to, st.Mode&unix.S_IFMT)
}
