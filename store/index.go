package store

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"nbuild/internal/digest"
	"nbuild/internal/fsx"
	"nbuild/internal/lock"
	"nbuild/internal/storepath"
)

// schemaVersion is SQLite's user_version of an index that this nbuild can use; 0 is that of an empty file.
const schemaVersion = 1

//go:embed schema.sql
var schema string

// busyTimeout is how long a writer waits for others: their transactions take milliseconds, on a loaded disk seconds.
const busyTimeout = time.Minute

// errIndexLost is matched by the error of an index that is missing though there are objects, or is not readable.
var errIndexLost = errors.New("the index is lost")

// An index is an open index for reading. Writers have connections of their own, so that they don't keep readers waiting.
// It is safe for concurrent use.
type index struct {
	file string

	mu   sync.Mutex
	conn *sqlite.Conn // nil when closed
}

// openIndex opens the index, and creates it if it isn't there and neither are objects.
func openIndex(file, objects string) (*index, error) {
	conn, err := openConn(file)
	if err != nil {
		return nil, fullError(indexError(err), objects)
	}
	version, err := userVersion(conn)
	if err == nil && version == 0 {
		err = createIndex(conn, objects)
		version = schemaVersion
	}
	if err == nil && version != schemaVersion {
		err = fmt.Errorf("the index has version %d, and this nbuild knows version %d: use a newer nbuild", version, schemaVersion)
	}
	if err != nil {
		return nil, errors.Join(fullError(indexError(err), objects), conn.Close())
	}
	return &index{file: file, conn: conn}, nil
}

// openConn opens a connection. What it sets costs nothing; the journal's mode is a property of the file.
func openConn(file string) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(file, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(busyTimeout)
	// With a write-ahead log, NORMAL can lose the last transactions when the power fails, but never damages the file.
	for _, pragma := range []string{"PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON"} {
		if err := sqlitex.ExecuteTransient(conn, pragma, nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

// indexError adds errIndexLost to errors that mean that the file is damaged.
func indexError(err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return fmt.Errorf("%w: %v", errIndexLost, err)
	case sqlite.ResultOK:
		return nil
	}
	return fmt.Errorf("index: %w", err)
}

// fullError adds syscall.ENOSPC to what SQLite says when the disk that has the folder is full. It has several words for
// that, some of them for other things as well.
func fullError(err error, folder string) error {
	const least = 64 << 10 // SQLite's own files have 32 KiB at first
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull, sqlite.ResultIOErr, sqlite.ResultCantOpen:
		if free, _, freeErr := fsx.FreeSpace(folder); freeErr == nil && free < least {
			return fmt.Errorf("%w: %w", err, syscall.ENOSPC)
		}
	}
	return err
}

func userVersion(conn *sqlite.Conn) (version int, err error) {
	err = sqlitex.ExecuteTransient(conn, "PRAGMA user_version", &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error {
			version = stmt.ColumnInt(0)
			return nil
		},
	})
	return version, err
}

// createIndex calls createSchema, in one process at a time: SQLite doesn't wait for others where it changes the journal's
// mode. Who owns the index alone names no folder.
func createIndex(conn *sqlite.Conn, objects string) error {
	if objects == "" {
		return createSchema(conn, objects)
	}
	folder, err := lock.OpenExisting(objects)
	if err != nil {
		return err
	}
	if err := folder.Exclusive(context.Background()); err != nil { // for as long as making an index takes
		return errors.Join(err, folder.Close())
	}
	return errors.Join(createSchema(conn, objects), folder.Close())
}

// createSchema makes an empty index. The folder is looked at before anybody can have added an object to this index, so
// objects in it mean that there was another.
func createSchema(conn *sqlite.Conn, objects string) (err error) {
	if err := sqlitex.ExecuteTransient(conn, "PRAGMA journal_mode = WAL", nil); err != nil {
		return err
	}
	end, err := sqlitex.ImmediateTransaction(conn)
	if err != nil {
		return err
	}
	defer end(&err)
	if version, err := userVersion(conn); err != nil || version != 0 {
		return err // Another process was faster.
	}
	if objects != "" {
		if lost, err := hasEntries(objects); err != nil {
			return err
		} else if lost {
			return fmt.Errorf("%w: it is missing, but there are objects", errIndexLost)
		}
	}
	if err := sqlitex.ExecuteScript(conn, schema, nil); err != nil {
		return err
	}
	return sqlitex.ExecuteTransient(conn, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion), nil)
}

func (x *index) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.conn == nil {
		return nil
	}
	err := x.conn.Close()
	x.conn = nil
	return err
}

// query runs a statement with bound arguments and calls row for each row.
func (x *index) query(text string, args []any, row func(*sqlite.Stmt) error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.conn == nil {
		return errors.New("index: it is closed")
	}
	return x.explain(sqlitex.Execute(x.conn, text, &sqlitex.ExecOptions{Args: args, ResultFunc: row}))
}

// explain adds to errors of a damaged index what to do about it.
func (x *index) explain(err error) error {
	if err = indexError(err); errors.Is(err, errIndexLost) {
		return fmt.Errorf("%w; move %s away, and the next nbuild rebuilds it", err, x.file)
	}
	return err
}

// names returns the names of all objects.
func (x *index) names() (map[string]bool, error) {
	names := map[string]bool{}
	err := x.query("SELECT name FROM objects", nil, func(stmt *sqlite.Stmt) error {
		names[stmt.ColumnText(0)] = true
		return nil
	})
	return names, err
}

const objectColumns = "name, digest, size, files, self"

func columnObject(stmt *sqlite.Stmt) *Object {
	o := &Object{
		Path:          pathOfBase(stmt.ColumnText(0)),
		Size:          stmt.ColumnInt64(2),
		Files:         stmt.ColumnInt(3),
		SelfReference: stmt.ColumnBool(4),
	}
	stmt.ColumnBytes(1, o.Digest[:])
	return o
}

func pathOfBase(base string) storepath.Path { return storepath.Path(storepath.Prefix + "/" + base) }

// object returns nil if the index doesn't have it.
func (x *index) object(p storepath.Path) (*Object, error) {
	var o *Object
	err := x.query("SELECT "+objectColumns+" FROM objects WHERE name = ?", []any{p.Base()}, func(stmt *sqlite.Stmt) error {
		o = columnObject(stmt)
		return nil
	})
	if o == nil || err != nil {
		return nil, err
	}
	const references = `SELECT b.name FROM objects a JOIN object_references r ON r.object = a.id
		JOIN objects b ON b.id = r.reference WHERE a.name = ? ORDER BY b.name`
	err = x.query(references, []any{p.Base()}, func(stmt *sqlite.Stmt) error {
		o.References = append(o.References, pathOfBase(stmt.ColumnText(0)))
		return nil
	})
	return o, err
}

// objects returns all objects, sorted by path.
func (x *index) objects() ([]*Object, error) {
	var all []*Object
	byID := map[int64]*Object{}
	err := x.query("SELECT "+objectColumns+", id FROM objects ORDER BY name", nil, func(stmt *sqlite.Stmt) error {
		o := columnObject(stmt)
		all = append(all, o)
		byID[stmt.ColumnInt64(5)] = o
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = x.query("SELECT object, reference FROM object_references", nil, func(stmt *sqlite.Stmt) error {
		// An object that was added after the first query is not in the map, and nothing in the map refers to it.
		if a, b := byID[stmt.ColumnInt64(0)], byID[stmt.ColumnInt64(1)]; a != nil && b != nil {
			a.References = append(a.References, b.Path)
		}
		return nil
	})
	for _, o := range all {
		slices.Sort(o.References)
	}
	return all, err
}

// realisation returns what is recorded under the key, if anything.
func (x *index) realisation(key digest.ActionKey) (r Realisation, ok bool, err error) {
	r = Realisation{Key: key, Outputs: map[string]storepath.Path{}}
	const text = `SELECT r.name, r.text, r.duration, u.output, o.name FROM realisations r
		JOIN outputs u ON u.realisation = r.id JOIN objects o ON o.id = u.object WHERE r.key = ?`
	err = x.query(text, []any{key[:]}, func(stmt *sqlite.Stmt) error {
		if !ok {
			r.Name = stmt.ColumnText(0)
			r.Text = columnBytes(stmt, 1)
			r.Duration = time.Duration(stmt.ColumnInt64(2))
		}
		ok = true
		r.Outputs[stmt.ColumnText(3)] = pathOfBase(stmt.ColumnText(4))
		return nil
	})
	return r, ok, err
}

func columnBytes(stmt *sqlite.Stmt, column int) []byte {
	b := make([]byte, stmt.ColumnLen(column))
	stmt.ColumnBytes(column, b)
	return b
}

// derivationOutputs returns an empty map if the index has no realisation of the derivation.
func (x *index) derivationOutputs(id digest.DerivationID) (map[string]storepath.Path, error) {
	outputs := map[string]storepath.Path{}
	const text = `SELECT u.output, o.name FROM derivations d JOIN realisations r ON r.key = d.key
		JOIN outputs u ON u.realisation = r.id JOIN objects o ON o.id = u.object WHERE d.id = ?`
	err := x.query(text, []any{id[:]}, func(stmt *sqlite.Stmt) error {
		outputs[stmt.ColumnText(0)] = pathOfBase(stmt.ColumnText(1))
		return nil
	})
	return outputs, err
}

// removeIndex moves a damaged index aside, so that a new one can be made.
func removeIndex(file string) error {
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.RemoveAll(file + suffix); err != nil {
			return err
		}
	}
	err := os.Rename(file, file+".damaged")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
