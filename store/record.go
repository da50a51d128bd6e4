package store

import (
	"fmt"
	"sync"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"nbuild/internal/storepath"
)

// A recorder writes to the index, one transaction after another. It is safe for concurrent use.
type recorder struct {
	file string

	mu   sync.Mutex
	conn *sqlite.Conn // nil until the first transaction
}

// close closes the connection; the next record opens another.
func (w *recorder) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		return nil
	}
	err := w.conn.Close()
	w.conn = nil
	return err
}

// record writes a batch in one transaction, in an order in which what is referred to comes first.
func (w *recorder) record(b *batch) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		if w.conn, err = openConn(w.file); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	end, err := sqlitex.ImmediateTransaction(w.conn)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	defer func() {
		end(&err)
		if err != nil {
			err = fmt.Errorf("index: %w", err)
		}
	}()
	for _, o := range b.objects {
		if err := w.object(o); err != nil {
			return err
		}
	}
	for _, r := range b.realisations {
		if err := w.realisation(r); err != nil {
			return err
		}
	}
	for id, key := range b.derivations {
		if err := w.execute("INSERT OR REPLACE INTO derivations (id, key) VALUES (?, ?)", id[:], key[:]); err != nil {
			return err
		}
	}
	return nil
}

func (w *recorder) execute(text string, args ...any) error {
	return sqlitex.Execute(w.conn, text, &sqlitex.ExecOptions{Args: args})
}

func (w *recorder) object(o *Object) error {
	err := w.execute("INSERT OR IGNORE INTO objects (name, digest, size, files, self) VALUES (?, ?, ?, ?, ?)",
		o.Path.Base(), o.Digest[:], o.Size, o.Files, o.SelfReference)
	if err != nil || w.conn.Changes() == 0 || len(o.References) == 0 { // Without a change another process was faster.
		return err
	}
	object := w.conn.LastInsertRowID()
	for _, r := range o.References {
		reference, err := w.objectID(r)
		if err == nil {
			err = w.execute("INSERT INTO object_references (object, reference) VALUES (?, ?)", object, reference)
		}
		if err != nil {
			return fmt.Errorf("record %s: %w", o.Path.Base(), err)
		}
	}
	return nil
}

func (w *recorder) realisation(r Realisation) error {
	const text = `INSERT OR REPLACE INTO realisations (key, name, text, duration) VALUES (?, ?, ?, ?)`
	if err := w.execute(text, r.Key[:], r.Name, r.Text, int64(r.Duration)); err != nil {
		return err
	}
	realisation := w.conn.LastInsertRowID()
	for output, p := range r.Outputs {
		object, err := w.objectID(p)
		if err == nil {
			err = w.execute("INSERT INTO outputs (realisation, output, object) VALUES (?, ?, ?)", realisation, output, object)
		}
		if err != nil {
			return fmt.Errorf("record realisation of %s: %w", r.Name, err)
		}
	}
	return nil
}

func (w *recorder) objectID(p storepath.Path) (int64, error) {
	id := int64(-1)
	err := sqlitex.Execute(w.conn, "SELECT id FROM objects WHERE name = ?", &sqlitex.ExecOptions{
		Args: []any{p.Base()},
		ResultFunc: func(stmt *sqlite.Stmt) error {
			id = stmt.ColumnInt64(0)
			return nil
		},
	})
	if err == nil && id < 0 {
		err = fmt.Errorf("%s: %w", p, ErrNotValid)
	}
	return id, err
}
