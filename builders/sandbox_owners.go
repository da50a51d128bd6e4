package builders

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nbuild/internal/owners"
)

// An inodeKey identifies a file while names come and go. The birth time is in it because inode numbers are used again,
// often at once: a new file would get the owner of a deleted one. File systems without birth times have zeros there.
type inodeKey struct {
	device, inode uint64
	seconds       int64
	nanoseconds   uint32
}

// unset is the user or group that chown leaves as it is.
const unset = ^uint32(0)

// An owner is what chown was told: either id may be unset.
type owner struct{ uid, gid uint32 }

// A recorder knows the owners that files would have if owners could be set. The zero value is an empty one, ready to use.
type recorder map[inodeKey]owner

// set records a chown. Unset ids leave what was recorded before.
func (r *recorder) set(k inodeKey, o owner) {
	if *r == nil {
		*r = recorder{}
	}
	now, ok := (*r)[k]
	if !ok {
		now = owner{unset, unset}
	}
	if o.uid != unset {
		now.uid = o.uid
	}
	if o.gid != unset {
		now.gid = o.gid
	}
	(*r)[k] = now
}

// merge records what later recorded after r.
func (r *recorder) merge(later recorder) {
	for k, o := range later {
		r.set(k, o)
	}
}

// owner returns the owner of a file: root's, where nothing else was recorded.
func (r recorder) owner(k inodeKey) (uid, gid uint32) {
	o, ok := r[k]
	if ok && o.uid != unset {
		uid = o.uid
	}
	if ok && o.gid != unset {
		gid = o.gid
	}
	return uid, gid
}

// statKey returns the key of a file, and what else statx says of it.
func statKey(folder int, name string, flags int) (inodeKey, *unix.Statx_t, error) {
	var s unix.Statx_t
	err := unix.Statx(folder, name, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &s)
	if err != nil {
		return inodeKey{}, nil, err
	}
	k := inodeKey{device: unix.Mkdev(s.Dev_major, s.Dev_minor), inode: s.Ino}
	if s.Mask&unix.STATX_BTIME != 0 {
		k.seconds, k.nanoseconds = s.Btime.Sec, s.Btime.Nsec
	}
	return k, &s, nil
}

// writeOwners writes the ownership manifest of a tree, and then makes the tree one that the store can keep: without
// setuid, setgid and sticky bits, and readable by its owner. It changes nothing before it has seen all: a second name of
// a file must still show the file's mode.
func writeOwners(tree string, recorded recorder, manifest string) error {
	s := survey{tree: tree, recorded: recorded}
	if err := s.visit(""); err != nil {
		return fmt.Errorf("record owners: %w", err)
	}
	if err := os.WriteFile(manifest, owners.Format(s.entries), 0o644); err != nil {
		return fmt.Errorf("record owners: %w", err)
	}
	for _, change := range s.changes {
		if err := unix.Chmod(change.file, change.mode); err != nil {
			return fmt.Errorf("change mode of %s: %w", change.file, err)
		}
	}
	return nil
}

// survey collects the entries of a manifest from a tree.
type survey struct {
	tree     string
	recorded recorder
	entries  []owners.Entry
	changes  []modeChange
}

type modeChange struct {
	file string
	mode uint32
}

// visit looks at the entry at name, "" for the tree itself and "/a/b" for others, and at all below it.
func (s *survey) visit(name string) error {
	file := s.tree + name
	key, stat, err := statKey(unix.AT_FDCWD, file, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	e := owners.Entry{Mode: uint32(stat.Mode) & 0o7777, Path: name}
	if name == "" {
		e.Path = "/"
	}
	e.UID, e.GID = s.recorded.owner(key)
	var need uint32 // what the store's reader needs of the mode
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Kind, need = owners.File, 0o400
	case unix.S_IFDIR:
		e.Kind, need = owners.Folder, 0o700
	case unix.S_IFLNK:
		e.Kind, need = owners.Link, e.Mode
	default:
		return nil // The store refuses it, and names it.
	}
	if !isPlain(e) {
		s.entries = append(s.entries, e)
	}
	if mode := e.Mode&0o777 | need; mode != e.Mode {
		s.changes = append(s.changes, modeChange{file, mode})
	}
	if e.Kind != owners.Folder {
		return nil
	}
	return s.visitFolder(name, file, e.Mode)
}

func (s *survey) visitFolder(name, file string, mode uint32) error {
	if mode&0o700 != 0o700 { // Else who is not root can't list it. It has only this name, so its mode is no longer needed.
		if err := unix.Chmod(file, mode&0o777|0o700); err != nil {
			return fmt.Errorf("change mode of %s: %w", file, err)
		}
	}
	entries, err := os.ReadDir(file)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := s.visit(name + "/" + entry.Name()); err != nil {
			return err
		}
	}
	return nil
}

// isPlain reports whether the store keeps all that an entry says. A file's plain mode depends on whether anybody may
// execute it, and so does what the store makes of it.
func isPlain(e owners.Entry) bool {
	if e.Kind == owners.File && e.Mode&0o111 != 0 && e.Mode != 0o755 {
		return false
	}
	return e.IsPlain()
}

// seedOwners gives the copied root the modes and the recorded owners that a manifest tells.
func (run *sandboxRun) seedOwners(root, manifest string) error {
	b, err := os.ReadFile(manifest)
	if err != nil {
		return fmt.Errorf("read input %s: %w", ownersSlot, err)
	}
	entries, err := owners.Parse(b)
	if err != nil {
		return run.Failf("input %s: %v", ownersSlot, err)
	}
	folder, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", root, err)
	}
	defer unix.Close(folder)
	for _, e := range entries {
		if err := run.seedEntry(folder, e); err != nil {
			return err
		}
	}
	return nil
}

// seedEntry looks an entry's path up within the root, as packages name files by way of symlinks: /bin/su is in /usr/bin.
func (run *sandboxRun) seedEntry(root int, e owners.Entry) error {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	if e.Kind != owners.Folder {
		how.Flags |= unix.O_NOFOLLOW
	}
	fd, err := unix.Openat2(root, e.Path, &how)
	if err != nil {
		return run.Failf("input %s names %s, which input %s does not have: %v", ownersSlot, e.Path, rootSlot, err)
	}
	defer unix.Close(fd)
	key, stat, err := statKey(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("read %s: %w", e.Path, err)
	}
	if kindOf(stat.Mode) != e.Kind {
		return run.Failf("input %s has %s as %q, which it is not in input %s", ownersSlot, e.Path, e.Kind, rootSlot)
	}
	run.seed.set(key, owner{e.UID, e.GID})
	if e.Kind == owners.Link {
		return nil
	}
	if err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), e.Mode); err != nil {
		return fmt.Errorf("change mode of %s: %w", e.Path, err)
	}
	return nil
}

// kindOf returns an entry's kind, or 0 for what a manifest can't name.
func kindOf(mode uint16) byte {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return owners.File
	case unix.S_IFDIR:
		return owners.Folder
	case unix.S_IFLNK:
		return owners.Link
	}
	return 0
}
