// Package store keeps finished file trees, read-only and named by their content, and the index of what made them.
//
// # Layout
//
//	objects/<hash part>-<name>  an object; logically /nbuild/store/<hash part>-<name>
//	pool/<2>/<62>[-x]           one hard link to each different file, by content digest and executable bit
//	index.sqlite                which objects are whole, their references, what made them
//	tmp/<process>/              what a running process is making
//	lock, action-locks          locked files: the whole store; an action, by a byte at a place made of its key
//	roots/                      symlinks to symlinks that keep objects alive
//	log/<action key>            the output of the action's last run
//	reserve                     room on the disk that collecting garbage needs to begin
//
// # Crash safety
//
// An object gets its final name when it is whole, hashed and frozen, but maybe not yet on the disk. One goroutine then
// records objects in batches: it flushes the file system once (syncfs), gives new files their place in the pool, and
// commits one transaction. So what the index names is whole, after kill -9 or loss of power at any moment. Everything
// else is rubbish: a process that ended properly leaves nothing in tmp/, so Open looks for rubbish only if something is
// there and no other process has the store open.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
	"nbuild/internal/lock"
	"nbuild/internal/storepath"
)

// ErrNotValid is matched by errors about a store path that names no whole object of this store.
var ErrNotValid = errors.New("not in the store")

// Options are choices about a store. The zero value is good.
type Options struct {
	NoDeduplicate bool         // don't hard-link identical files
	Notice        func(string) // told, unless nil, what a user should know: that the index was rebuilt, what is waited for
}

// An Object is a valid object: whole, hashed, read-only. Its slices belong to the store.
type Object struct {
	Path          storepath.Path
	Digest        digest.Digest    // of the tree as it lies on the disk (see package tree)
	Size          int64            // sum of the sizes of its regular files in bytes
	Files         int              // number of its regular files
	References    []storepath.Path // other objects it names, sorted
	SelfReference bool             // whether it names itself
}

// A Store is an open store. It is safe for concurrent use; several processes may have the same store open.
type Store struct {
	dir     string
	options Options
	lock    *lock.File // shared as long as the store is open
	index   *index
	commits *committer
	pool    *pool
	serial  atomic.Int64 // numbers temporary names

	mu      sync.Mutex
	scratch string   // this process's folder in tmp/, or "" until it needs one
	spare   []string // empty scratch folders
	objects map[storepath.Path]*Object
}

// Open opens the store in the folder dir and creates it if need be. It waits while another process repairs the store or
// decides what is garbage.
// If an earlier process died and nobody else has the store open, it removes what that one left. If the index is missing or
// damaged, it rebuilds it from the objects and says so (see Options.Notice).
func Open(ctx context.Context, dir string, options Options) (*Store, error) {
	s, err := open(ctx, dir, options)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

func open(ctx context.Context, dir string, options Options) (*Store, error) {
	return begin(dir, options, func(s *Store) error { return s.start(ctx) })
}

// begin returns the store in the folder dir once start has locked it and opened its index.
func begin(dir string, options Options, start func(*Store) error) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := makeFolders(dir); err != nil {
		return nil, err
	}
	storeLock, err := lock.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, options: options, lock: storeLock, objects: map[storepath.Path]*Object{}}
	s.pool = &pool{dir: filepath.Join(dir, "pool"), fresh: map[poolKey]string{}}
	if err := start(s); err != nil {
		if s.index != nil {
			err = errors.Join(err, s.index.close())
		}
		return nil, errors.Join(err, storeLock.Close())
	}
	s.commits = newCommitter(s)
	return s, nil
}

// makeFolders makes the store's folders, and checks that they are ours: the owner of a store owns all that is in it.
func makeFolders(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != uint32(os.Geteuid()) {
		return fmt.Errorf("it is owned by user %d, and you are user %d; set NBUILD_STORE to a folder of your own", owner, os.Geteuid())
	}
	for _, name := range []string{"objects", "pool", "tmp", "roots", "log"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// start takes the store's lock, opens the index, and repairs the store if it must and may.
func (s *Store) start(ctx context.Context) error {
	const waiting = "waiting for another nbuild, which removes garbage from the store or repairs it"
	if err := s.await(ctx, s.lock.Shared, waiting); err != nil {
		return err
	}
	unclean, err := s.openIndex(ctx)
	if err != nil || !unclean {
		return err
	}
	alone, err := s.lock.TryExclusive()
	if err == nil && alone {
		err = s.clean(ctx)
	}
	return errors.Join(err, s.await(ctx, s.lock.Shared, waiting))
}

// patience is how long nbuild waits for another one before it says so. Most end sooner.
const patience = 300 * time.Millisecond

// await takes a lock, and says what it waits for if that takes long.
func (s *Store) await(ctx context.Context, take func(context.Context) error, waiting string) error {
	soon, cancel := context.WithTimeout(ctx, patience)
	err := take(soon)
	cancel()
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	s.notice(waiting)
	return take(ctx)
}

func (s *Store) notice(text string) {
	if s.options.Notice != nil {
		s.options.Notice(text)
	}
}

// openIndex opens the index, or rebuilds it if it is lost, and reports whether there may be something to clean.
func (s *Store) openIndex(ctx context.Context) (unclean bool, err error) {
	unclean, err = hasEntries(filepath.Join(s.dir, "tmp"))
	if err != nil {
		return false, err
	}
	s.index, err = openIndex(s.indexFile(), filepath.Join(s.dir, "objects"))
	if errors.Is(err, errIndexLost) {
		return true, s.repair(ctx, err)
	}
	return unclean, err
}

// clean removes what no index names and no process uses. The caller holds the store's lock exclusively.
//
// If somebody holds an object that the index does not name, it removes nothing: what that one refers to is not known any
// more. This happens when nbuild was killed while it collected garbage, and a machine was started from the garbage.
func (s *Store) clean(ctx context.Context) error {
	leases, err := s.suspendLeases(ctx)
	if err != nil {
		return err
	}
	err = s.cleanUnleased()
	return errors.Join(err, leases.Close())
}

func (s *Store) cleanUnleased() error {
	valid, err := s.index.names()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, "objects"))
	if err != nil {
		return err
	}
	var rubbish []string
	for _, e := range entries {
		if valid[e.Name()] {
			continue
		}
		file := filepath.Join(s.dir, "objects", e.Name())
		if held, err := isHeld(file); held || err != nil {
			return err
		}
		rubbish = append(rubbish, file)
	}
	for _, file := range rubbish {
		err = errors.Join(err, fsx.RemoveAll(file))
	}
	// tmp comes last: it is the mark that there is something to clean.
	return errors.Join(err, removeEntries(filepath.Join(s.dir, "tmp")))
}

func removeEntries(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, fsx.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

func hasEntries(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close() // It was only read, so closing has nothing to report.
	names, _ := f.Readdirnames(1)
	return len(names) > 0, nil
}

// Close makes everything durable that is queued, and closes the store. The store must not be used any more.
func (s *Store) Close() error {
	err := s.commits.stop()
	if err == nil && s.scratch != "" { // Otherwise it stays, as the mark for the next Open that there is rubbish.
		err = fsx.RemoveAll(s.scratch)
	}
	err = errors.Join(err, s.index.close())
	s.keepReserve() // It depends on the index's size, and others may remove it as soon as they have the lock.
	err = errors.Join(err, s.lock.Close())
	if err != nil {
		return fmt.Errorf("close store %s: %w", s.dir, err)
	}
	return nil
}

// Dir returns the absolute physical folder of the store.
func (s *Store) Dir() string { return s.dir }

// ObjectFile returns where the object p lies on this machine if it is valid. It does not look.
func (s *Store) ObjectFile(p storepath.Path) string { return s.dir + "/objects/" + p.Base() }

func (s *Store) indexFile() string { return filepath.Join(s.dir, "index.sqlite") }

// processFolder returns this process's own folder in tmp/, and makes it at the first call. As long as it exists, it tells
// others that the store may hold what the index does not name.
func (s *Store) processFolder() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scratch == "" {
		dir, err := os.MkdirTemp(filepath.Join(s.dir, "tmp"), strconv.Itoa(os.Getpid())+"-")
		if err != nil {
			return "", err
		}
		s.scratch = dir
	}
	return s.scratch, nil
}

// abandonScratch leaves this process's folder to the next Open that finds nobody else here.
func (s *Store) abandonScratch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scratch = ""
}

// temporary returns a new name in this process's folder.
func (s *Store) temporary() (string, error) {
	dir, err := s.processFolder()
	return dir + "/" + strconv.FormatInt(s.serial.Add(1), 36), err
}
