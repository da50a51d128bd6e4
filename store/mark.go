package store

import (
	"bytes"

	"zombiezen.com/go/sqlite"

	"nbuild/internal/storepath"
)

// A keeping says what keeps what alive, as the index has it. Objects have numbers: their places in objects.
//
// An object keeps
//   - what it refers to;
//   - the other outputs of every action that it is an output of: an action counts as done only with all of them;
//   - if asked for, the inputs of the newest action that it is an output of: what has to be there to build on.
//
// Older actions with the same output keep no inputs. Else a test that comes out empty would keep every version of what it
// has ever tested.
type keeping struct {
	objects []Object // with path, size and number of files only
	ids     []int64  // of their rows
	kept    [][]int32
	numbers map[storepath.Path]int32
	alive   []bool
}

// readKeeping reads the index. withInputs says whether objects keep what they were made of.
func (x *index) readKeeping(withInputs bool) (*keeping, error) {
	k := &keeping{numbers: map[storepath.Path]int32{}}
	rows := map[int64]int32{}
	err := x.query("SELECT id, name, size, files FROM objects ORDER BY name", nil, func(stmt *sqlite.Stmt) error {
		o := Object{Path: pathOfBase(stmt.ColumnText(1)), Size: stmt.ColumnInt64(2), Files: stmt.ColumnInt(3)}
		number := int32(len(k.objects))
		k.objects, k.ids = append(k.objects, o), append(k.ids, stmt.ColumnInt64(0))
		rows[stmt.ColumnInt64(0)], k.numbers[o.Path] = number, number
		return nil
	})
	if err != nil {
		return nil, err
	}
	k.kept, k.alive = make([][]int32, len(k.objects)), make([]bool, len(k.objects))
	err = x.query("SELECT object, reference FROM object_references", nil, func(stmt *sqlite.Stmt) error {
		k.add(rows[stmt.ColumnInt64(0)], rows[stmt.ColumnInt64(1)])
		return nil
	})
	if err == nil {
		err = k.readOutputs(x, rows)
	}
	if err == nil && withInputs {
		err = k.readInputs(x, rows)
	}
	return k, err
}

// add notes that one object keeps another.
func (k *keeping) add(object, other int32) { k.kept[object] = append(k.kept[object], other) }

// readOutputs lets the outputs of each action keep each other: each the next, and the last the first.
func (k *keeping) readOutputs(x *index, rows map[int64]int32) error {
	var first, last int32
	action := int64(-1)
	const text = "SELECT realisation, object FROM outputs ORDER BY realisation"
	err := x.query(text, nil, func(stmt *sqlite.Stmt) error {
		object := rows[stmt.ColumnInt64(1)]
		if next := stmt.ColumnInt64(0); next == action {
			k.add(last, object)
		} else {
			if action >= 0 && first != last {
				k.add(last, first)
			}
			action, first = next, object
		}
		last = object
		return nil
	})
	if action >= 0 && first != last {
		k.add(last, first)
	}
	return err
}

// readInputs lets objects keep the inputs of the newest action that made them.
func (k *keeping) readInputs(x *index, rows map[int64]int32) error {
	const text = `SELECT u.object, r.text FROM (SELECT object, max(realisation) AS newest FROM outputs GROUP BY object) u
		JOIN realisations r ON r.id = u.newest`
	return x.query(text, nil, func(stmt *sqlite.Stmt) error {
		object := rows[stmt.ColumnInt64(0)]
		for _, path := range inputsOf(columnBytes(stmt, 1)) {
			if input, ok := k.numbers[path]; ok {
				k.add(object, input)
			}
		}
		return nil
	})
}

// inputsOf returns the store paths that an action's text names as inputs. docs/formats.md has the format: a line for each,
// in which the path comes last. Quotes in the slot before it have a backslash before them.
func inputsOf(text []byte) (paths []storepath.Path) {
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte(`input "`)) {
			continue
		}
		_, path, _ := bytes.Cut(line, []byte(`" "path" "`))
		if p, err := storepath.Parse(string(bytes.TrimSuffix(path, []byte("\"\n")))); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// mark marks an object and all that it keeps. It does nothing for a path that the index doesn't have.
func (k *keeping) mark(p storepath.Path) {
	first, ok := k.numbers[p]
	if !ok || k.alive[first] {
		return
	}
	k.alive[first] = true
	for todo := []int32{first}; len(todo) > 0; {
		number := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, other := range k.kept[number] {
			if !k.alive[other] {
				k.alive[other] = true
				todo = append(todo, other)
			}
		}
	}
}

// garbage returns the numbers of the objects that are not marked, in the order of their paths.
func (k *keeping) garbage() []int32 {
	var numbers []int32
	for number, alive := range k.alive {
		if !alive {
			numbers = append(numbers, int32(number))
		}
	}
	return numbers
}
