package fault

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestErrorSortsAndShowsEachItemOnce(t *testing.T) {
	at := func(line, column int) Position { return Position{"nbuild.star", line, column} }
	err := New(
		Item{Position: at(10, 1), What: "third"},
		Item{Position: at(9, 2), What: "second", Hint: "do this", Callers: []Position{at(20, 3)}},
		Item{Position: at(9, 1), What: "first"},
		Item{Position: at(10, 1), What: "third"},
		Item{What: "without a place"},
		Item{Position: Position{File: "lib.star"}, What: "in another file"},
	)
	want := `without a place
lib.star: in another file
nbuild.star:9:1: first
nbuild.star:9:2: second; do this
	called at nbuild.star:20:3
nbuild.star:10:1: third`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
