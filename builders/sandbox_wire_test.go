package builders

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWireRoundTrip(t *testing.T) {
	plan := &sandboxPlan{
		Root: "/r\xff", Args: []string{"/bin/sh", "", "a b"}, Env: []string{"A=1"}, Dir: "/build", AsRoot: true,
		UIDMap: "0 1000 1\n", GIDMap: "0 100 1\n",
		Steps: []step{{Op: opWrite, Path: "p", Text: "zero\x00byte", Mode: 0o644}, {Op: opBind, Source: "s", Path: "p"}},
	}
	gotPlan, err := decodePlan(plan.encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan, gotPlan); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	report := &sandboxReport{
		Stage: stageEnd, Detail: "d", Errno: 2, Status: 0x100,
		Owners: recorder{{math.MaxUint64, 7, -1, 999}: {unset, 0}, {1, 2, 3, 4}: {5, 6}},
	}
	gotReport, err := decodeReport(report.encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(report, gotReport, cmp.AllowUnexported(inodeKey{}, owner{})); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// FuzzDecodePlan holds that damaged plans are noticed and whole ones are read to the last byte.
func FuzzDecodePlan(f *testing.F) {
	f.Add((&sandboxPlan{Root: "/r", Args: []string{"a"}, Steps: []step{{Op: opMkdir, Path: "p"}}}).encode())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		plan, err := decodePlan(b)
		if err != nil {
			return
		}
		again, err := decodePlan(plan.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(plan, again); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if _, err := decodePlan(append(bytes.Clone(b), 0)); err == nil {
			t.Error("a byte too many was not noticed")
		}
	})
}

// FuzzDecodeReport holds that a report, which a build could try to influence, never makes nbuild panic.
func FuzzDecodeReport(f *testing.F) {
	f.Add((&sandboxReport{Stage: stageEnd, Owners: recorder{{1, 2, 3, 4}: {5, 6}}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		report, err := decodeReport(b)
		if err != nil {
			return
		}
		again, err := decodeReport(report.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(report, again, cmp.AllowUnexported(inodeKey{}, owner{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
