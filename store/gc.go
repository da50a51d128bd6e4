package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
)

// CollectOptions are choices about a collection of garbage. The zero value is good.
type CollectOptions struct {
	Options
	DryRun      bool // only find out what would be removed
	OutputsOnly bool // don't keep what live objects were made of
}

// A Collection is what came of collecting garbage.
type Collection struct {
	Removed []Object // with path, size and number of files only; the largest first
	Kept    int      // number of objects
	Freed   int64    // bytes of the disk; what has several names counts once, and not before the last is gone
}

// Collect removes from the store in the folder dir every object that no root and no Lease keeps alive, and what is known of
// it. Objects keep what they refer to and the other outputs of their actions, and what they were made of, so that the next
// build after a change finds all that it builds on; see CollectOptions.
//
// It needs the store for itself while it decides, and waits until no other process has it open; they wait for it then, but
// not while it deletes.
//
// Approach: mark, from roots, then from whatever has a lease; forget the rest in one transaction, which is flushed; move it
// to the process's folder in tmp; let others go on; delete. What the index names is whole at any moment, and what a killed
// process leaves is rubbish in the same places as that of one that adds.
func Collect(ctx context.Context, dir string, options CollectOptions) (Collection, error) {
	s, err := begin(dir, options.Options, func(s *Store) error { return s.startAlone(ctx) })
	if err != nil {
		return Collection{}, fmt.Errorf("open store %s: %w", dir, err)
	}
	c := &collector{store: s, options: options}
	err = c.collect(ctx)
	if err != nil {
		s.abandonScratch() // An interrupted user doesn't want to wait until all is deleted.
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return Collection{}, fmt.Errorf("collect garbage: %w", err)
	}
	return c.result, nil
}

// startAlone takes the store's lock exclusively, makes room for what must be written, opens the index and removes rubbish,
// also where nothing says that there is some.
func (s *Store) startAlone(ctx context.Context) error {
	if err := s.await(ctx, s.lock.Exclusive, "waiting until no other nbuild uses the store"); err != nil {
		return err
	}
	if err := s.releaseReserve(); err != nil {
		return err
	}
	if _, err := s.openIndex(ctx); err != nil {
		return err
	}
	return s.clean(ctx)
}

// A collector is the state of one Collect.
type collector struct {
	store   *Store
	options CollectOptions
	result  Collection
	files   []string // where the removed objects lie
}

func (c *collector) collect(ctx context.Context) error {
	leases, err := c.store.suspendLeases(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(c.decide(ctx), leases.Close()); err != nil {
		return err
	}
	if err := c.store.lock.Shared(ctx); err != nil {
		return err
	}
	c.result.Freed, err = c.sweep(ctx)
	return err
}

// decide finds the garbage, and takes it out of the index and away from its place.
func (c *collector) decide(ctx context.Context) error {
	keeping, err := c.store.index.readKeeping(!c.options.OutputsOnly)
	if err != nil {
		return err
	}
	roots, deadRoots, err := c.store.readRoots()
	if err != nil {
		return err
	}
	for _, r := range roots {
		keeping.mark(r.Path)
	}
	if err := c.markLeased(ctx, keeping); err != nil {
		return err
	}
	garbage := keeping.garbage()
	var rows []int64
	for _, number := range garbage {
		rows = append(rows, keeping.ids[number])
		c.result.Removed = append(c.result.Removed, keeping.objects[number])
	}
	slices.SortStableFunc(c.result.Removed, func(a, b Object) int { return cmp.Compare(b.Size, a.Size) })
	c.result.Kept = len(keeping.objects) - len(garbage)
	for _, o := range c.result.Removed {
		c.files = append(c.files, c.store.ObjectFile(o.Path))
	}
	if c.options.DryRun {
		return nil
	}
	return c.forget(ctx, rows, deadRoots)
}

// markLeased marks what is leased. An object that is marked already needs no lease.
func (c *collector) markLeased(ctx context.Context, k *keeping) error {
	for number, o := range k.objects {
		if k.alive[number] {
			continue
		}
		held, err := isHeld(c.store.ObjectFile(o.Path))
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if held {
			k.mark(o.Path)
		}
	}
	return nil
}

// forget takes objects out of the index and then away from their places, and records that nothing needs any more.
func (c *collector) forget(ctx context.Context, rows []int64, deadRoots []string) error {
	s := c.store
	if len(rows) > 0 {
		// The folder is the mark that there is rubbish, so it has to be on the disk before the index is changed.
		if _, err := s.processFolder(); err != nil {
			return err
		}
		if err := fsx.SyncFolder(filepath.Join(s.dir, "tmp")); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.index.forget(rows); err != nil {
			return err
		}
	}
	for i, file := range c.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		moved, err := s.takeAway(file)
		if err != nil {
			return err
		}
		c.files[i] = moved
	}
	for _, file := range deadRoots {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return s.forgetLogs(ctx)
}

// takeAway moves an object to a temporary name, which it returns. One that somebody removed by hand is gone already.
func (s *Store) takeAway(file string) (string, error) {
	temporary, err := s.temporary()
	if err != nil {
		return "", err
	}
	err = os.Rename(file, temporary)
	if errors.Is(err, os.ErrPermission) { // Only root may move a folder that is read-only.
		if err = os.Chmod(file, 0o700); err == nil {
			err = os.Rename(file, temporary)
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return temporary, nil
}

// forget removes objects, which only each other may refer to, and whatever names them. It is on the disk afterwards.
func (x *index) forget(rows []int64) (err error) {
	conn, err := openConn(x.file)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	defer func() {
		if err = errors.Join(err, conn.Close()); err != nil {
			err = fmt.Errorf("index: %w", fullError(err, filepath.Dir(x.file)))
		}
	}()
	for _, pragma := range []string{
		"PRAGMA synchronous = FULL",  // Objects are deleted next: this transaction must not be lost.
		"PRAGMA foreign_keys = OFF",  // To check them, SQLite would read all references for each object.
		"PRAGMA temp_store = MEMORY", // A full disk is a reason to come here.
		"CREATE TEMP TABLE garbage (id INTEGER PRIMARY KEY)",
	} {
		if err := sqlitex.ExecuteTransient(conn, pragma, nil); err != nil {
			return err
		}
	}
	end, err := sqlitex.ImmediateTransaction(conn)
	if err != nil {
		return err
	}
	defer end(&err)
	for _, row := range rows {
		if err := sqlitex.Execute(conn, "INSERT INTO garbage VALUES (?)", &sqlitex.ExecOptions{Args: []any{row}}); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		"DELETE FROM realisations WHERE id IN (SELECT realisation FROM outputs WHERE object IN garbage)",
		"DELETE FROM outputs WHERE realisation NOT IN (SELECT id FROM realisations)",
		"DELETE FROM derivations WHERE key NOT IN (SELECT key FROM realisations)",
		"DELETE FROM object_references WHERE object IN garbage",
		"DELETE FROM objects WHERE id IN garbage",
	} {
		if err := sqlitex.ExecuteTransient(conn, statement, nil); err != nil {
			return err
		}
	}
	return nil
}

// forgetLogs removes the logs of actions that are not done: what failed, or has been forgotten.
func (s *Store) forgetLogs(ctx context.Context) error {
	done := map[string]bool{}
	err := s.index.query("SELECT key FROM realisations", nil, func(stmt *sqlite.Stmt) error {
		var key digest.ActionKey
		stmt.ColumnBytes(0, key[:])
		done[s.LogFile(key)] = true
		return nil
	})
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		file := filepath.Join(s.dir, "log", e.Name())
		if done[file] {
			continue
		}
		if err := errors.Join(ctx.Err(), os.Remove(file)); err != nil {
			return err
		}
	}
	return nil
}
