package builders

import (
	"encoding/binary"
	"errors"
)

// sandboxPlan is all that the init of a sandbox is told. It knows nothing else of nbuild: it carries out the steps in
// order, changes into its new root, and runs the program.
type sandboxPlan struct {
	Root   string // host path of the folder that becomes the root; the steps' relative paths begin there
	Steps  []step
	Args   []string
	Env    []string
	Dir    string // working directory of the program
	AsRoot bool
	UIDMap string // for /proc/self/uid_map of the init
	GIDMap string // likewise
}

// An operation is what one step does. The values are part of no format: both ends are the same binary.
type operation byte

const (
	opEnter    operation = iota // change the working directory to Path
	opMkdir                     // create folder Path
	opWrite                     // create file Path with content Text
	opSymlink                   // create symlink Path with target Text
	opBind                      // mount what is at Source on Path, too
	opMount                     // mount a new file system of type Source on Path, with options Text
	opReadOnly                  // make the mount at Path and all below it read-only
	opWritable                  // make the mount at Path, but none below it, writable
)

// A step is one of the actions that put a sandbox's file system together.
type step struct {
	Op     operation
	Source string
	Path   string
	Text   string
	Mode   uint32 // of what opMkdir and opWrite create
}

// A stage is how far a sandbox came.
type stage byte

const (
	stageSetup stage = iota + 1 // the machine refused something: Detail and Errno say what
	stageStart                  // the program could not be started: Detail and Errno say why
	stageEnd                    // the program ended: Status
)

// sandboxReport is what the init of a sandbox leaves behind. The zero value says that it did not get to report.
type sandboxReport struct {
	Stage  stage
	Detail string // what was done when it failed: "mount proc"
	Errno  uint32
	Status uint32 // a syscall.WaitStatus
	Owners recorder
}

// The wire form of both: numbers as uvarints, strings and lists after their lengths. encoding/gob and encoding/json
// would cost the init a tenth of its whole life in reflection.
type wireWriter struct{ b []byte }

func (w *wireWriter) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *wireWriter) text(s string) {
	w.number(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *wireWriter) texts(list []string) {
	w.number(uint64(len(list)))
	for _, s := range list {
		w.text(s)
	}
}

// wireReader reads what wireWriter wrote. After the first fault bad is set and all values are zero.
type wireReader struct {
	b   []byte
	bad bool
}

var errWire = errors.New("sandbox message is damaged")

func (r *wireReader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// length reads how many items follow. Each takes a byte at least, so a damaged message can't ask for much memory.
func (r *wireReader) length() int {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return 0
	}
	return int(n)
}

func (r *wireReader) text() string {
	n := r.length()
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *wireReader) texts() []string {
	n := r.length()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.text()
	}
	return list
}

func (r *wireReader) end() error {
	if r.bad || len(r.b) > 0 {
		return errWire
	}
	return nil
}

func (p *sandboxPlan) encode() []byte {
	var w wireWriter
	w.text(p.Root)
	w.number(uint64(len(p.Steps)))
	for _, s := range p.Steps {
		w.number(uint64(s.Op))
		w.text(s.Source)
		w.text(s.Path)
		w.text(s.Text)
		w.number(uint64(s.Mode))
	}
	w.texts(p.Args)
	w.texts(p.Env)
	w.text(p.Dir)
	asRoot := uint64(0)
	if p.AsRoot {
		asRoot = 1
	}
	w.number(asRoot)
	w.text(p.UIDMap)
	w.text(p.GIDMap)
	return w.b
}

func decodePlan(b []byte) (*sandboxPlan, error) {
	r := wireReader{b: b}
	p := &sandboxPlan{Root: r.text()}
	for range r.length() {
		p.Steps = append(p.Steps, step{
			Op: operation(r.number()), Source: r.text(), Path: r.text(), Text: r.text(), Mode: uint32(r.number()),
		})
	}
	p.Args, p.Env, p.Dir = r.texts(), r.texts(), r.text()
	p.AsRoot = r.number() != 0
	p.UIDMap, p.GIDMap = r.text(), r.text()
	return p, r.end()
}

func (report *sandboxReport) encode() []byte {
	var w wireWriter
	w.number(uint64(report.Stage))
	w.text(report.Detail)
	w.number(uint64(report.Errno))
	w.number(uint64(report.Status))
	w.number(uint64(len(report.Owners)))
	for k, o := range report.Owners { // in any order: it is read into a map again
		w.number(k.device)
		w.number(k.inode)
		w.number(uint64(k.seconds))
		w.number(uint64(k.nanoseconds))
		w.number(uint64(o.uid))
		w.number(uint64(o.gid))
	}
	return w.b
}

func decodeReport(b []byte) (*sandboxReport, error) {
	r := wireReader{b: b}
	report := &sandboxReport{
		Stage: stage(r.number()), Detail: r.text(), Errno: uint32(r.number()), Status: uint32(r.number()),
	}
	for range r.length() {
		k := inodeKey{r.number(), r.number(), int64(r.number()), uint32(r.number())}
		report.Owners.set(k, owner{uint32(r.number()), uint32(r.number())})
	}
	return report, r.end()
}
