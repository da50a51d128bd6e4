package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"zombiezen.com/go/sqlite"

	"nbuild/internal/digest"
	"nbuild/internal/lock"
	"nbuild/internal/storepath"
)

// A Realisation is the record that an action was run and what came out. Its slices and maps must not be changed once it
// was given to the store or by it.
type Realisation struct {
	Key      digest.ActionKey
	Name     string                    // of the derivation
	Text     []byte                    // the action's canonical text
	Outputs  map[string]storepath.Path // at least one; each valid
	Duration time.Duration
}

// AddRealisation queues a realisation for the index, and the derivations that share it see it at once. The lock, unless
// it is nil, is released once the record is durable or that failed; after an error of this call it is the caller's.
func (s *Store) AddRealisation(ctx context.Context, r Realisation, lock *ActionLock) error {
	for _, p := range r.Outputs {
		if _, err := s.Object(ctx, p); err != nil {
			return fmt.Errorf("record realisation of %s: %w", r.Name, err)
		}
	}
	return s.commits.enqueue(func(b *batch) {
		b.realisations = append(b.realisations, r)
		if lock != nil {
			b.locks = append(b.locks, lock)
		}
	})
}

// AddDerivation queues the record that the derivation is realised by the action.
func (s *Store) AddDerivation(ctx context.Context, id digest.DerivationID, key digest.ActionKey) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.commits.enqueue(func(b *batch) { b.derivations[id] = key })
}

// Realisation returns the realisation of an action, if there is one and all its outputs are valid.
func (s *Store) Realisation(ctx context.Context, key digest.ActionKey) (Realisation, bool, error) {
	if err := ctx.Err(); err != nil {
		return Realisation{}, false, err
	}
	r, ok := s.commits.realisation(key)
	if !ok {
		var err error
		if r, ok, err = s.index.realisation(key); err != nil || !ok {
			return Realisation{}, false, err
		}
	}
	return r, s.exist(r.Outputs), nil
}

// DerivationOutputs returns the outputs of a derivation that was realised before, if all are valid.
func (s *Store) DerivationOutputs(ctx context.Context, id digest.DerivationID) (map[string]storepath.Path, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if key, ok := s.commits.derivation(id); ok {
		r, ok, err := s.Realisation(ctx, key)
		return maps.Clone(r.Outputs), ok, err
	}
	outputs, err := s.index.derivationOutputs(id)
	return outputs, err == nil && len(outputs) > 0 && s.exist(outputs), err
}

// exist reports whether the objects are where they should be. The index says that they are whole; this is for those that
// somebody removed by hand, at the price of one system call.
func (s *Store) exist(outputs map[string]storepath.Path) bool {
	for _, p := range outputs {
		if _, err := os.Lstat(s.ObjectFile(p)); err != nil {
			return false
		}
	}
	return true
}

// LastActionText returns the canonical text of the action that was last realised for a derivation of this name.
func (s *Store) LastActionText(ctx context.Context, name string) (text []byte, ok bool, err error) {
	if err := s.Flush(ctx); err != nil {
		return nil, false, err
	}
	const query = "SELECT text FROM realisations WHERE name = ? ORDER BY id DESC LIMIT 1"
	err = s.index.query(query, []any{name}, func(stmt *sqlite.Stmt) error {
		text, ok = columnBytes(stmt, 0), true
		return nil
	})
	return text, ok, err
}

// Durations returns how long the last run took, by the derivation's name.
func (s *Store) Durations(ctx context.Context) (map[string]time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	durations := map[string]time.Duration{}
	// SQLite takes the other columns from the row that has the maximum.
	const query = "SELECT name, duration, max(id) FROM realisations GROUP BY name"
	err := s.index.query(query, nil, func(stmt *sqlite.Stmt) error {
		durations[stmt.ColumnText(0)] = time.Duration(stmt.ColumnInt64(1))
		return nil
	})
	return durations, err
}

// Flush waits until everything queued so far is durable, and returns the first error of any record.
func (s *Store) Flush(ctx context.Context) error { return s.commits.flush(ctx) }

// An ActionLock is the right to run an action, which one process at a time has, and there one caller.
type ActionLock struct{ file *lock.File }

// LockAction takes the lock of an action. It calls waiting, unless that is nil, once if it has to wait for another.
func (s *Store) LockAction(ctx context.Context, key digest.ActionKey, waiting func()) (*ActionLock, error) {
	// Two actions whose keys begin with the same 62 bits would wait for each other's end. It is no more than that.
	offset := int64(binary.BigEndian.Uint64(key[:]) >> 2)
	file, err := lock.Range(ctx, filepath.Join(s.dir, "action-locks"), offset, waiting)
	if err != nil {
		return nil, fmt.Errorf("lock action: %w", err)
	}
	return &ActionLock{file: file}, nil
}

// Release gives the lock up. Doing it again does nothing.
func (l *ActionLock) Release() error { return l.file.Close() }

// LogFile returns where the output of the action's last run is, if it printed any.
func (s *Store) LogFile(key digest.ActionKey) string { return s.dir + "/log/" + key.String() }

// CreateLog makes the action's log anew, empty.
func (s *Store) CreateLog(key digest.ActionKey) (*os.File, error) { return os.Create(s.LogFile(key)) }
