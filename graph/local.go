package graph

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"nbuild/builders"
	"nbuild/derivations"
	"nbuild/internal/digest"
	"nbuild/internal/storepath"
	"nbuild/store"
)

// Local realises steps on this machine: it looks the action up in the store and runs its builder if it isn't there.
type Local struct {
	Store    *store.Store
	Builders map[string]builders.Builder // by the name derivations use
}

// Realise makes the step's outputs valid. Its errors are *builders.Failure if the action's own content is to blame.
//
// Approach: resolve the derivation to an action; take the outputs if an action with this key was realised before (this
// is the early cutoff: inputs that came out the same give the same key); else lock the action across processes, look
// once more, run it in a scratch folder, add its outputs to the store and record the realisation. The lock is held
// until the record is durable, so that a process that waited for it finds the record.
func (l *Local) Realise(ctx context.Context, step *Step, lookup func(digest.DerivationID) Outputs, emit func(Event)) (Result, error) {
	drv := step.Derivation
	action, err := drv.Resolve(func(in derivations.Input) (storepath.Path, error) {
		path, ok := lookup(in.Derivation.ID())[in.Output]
		if !ok {
			return "", fmt.Errorf("realise %s: input %s is not realised", drv.Name(), in.Derivation.Name())
		}
		return path, nil
	})
	if err != nil {
		return Result{}, err
	}
	key := action.Key()
	if result, ok, err := l.find(ctx, drv, key, emit); ok || err != nil {
		return result, err
	}
	lock, err := l.Store.LockAction(ctx, key, func() { emit(Event{Kind: Waiting}) })
	if err != nil {
		return Result{}, err
	}
	if result, ok, err := l.find(ctx, drv, key, emit); ok || err != nil {
		return result, errors.Join(err, lock.Release())
	}
	result, err := l.build(ctx, localRun{action, step.Cores, lock, emit})
	if err != nil {
		return result, errors.Join(err, lock.Release())
	}
	return result, l.Store.AddDerivation(ctx, drv.ID(), key)
}

// find looks for a realisation of the action and, if there is one, records that the derivation has its outputs.
func (l *Local) find(ctx context.Context, drv *derivations.Derivation, key digest.ActionKey, emit func(Event)) (Result, bool, error) {
	r, ok, err := l.Store.Realisation(ctx, key)
	if err != nil || !ok {
		return Result{}, false, err
	}
	if err := l.Store.AddDerivation(ctx, drv.ID(), key); err != nil {
		return Result{}, false, err
	}
	emit(Event{Kind: Cached, Outputs: r.Outputs})
	return Result{Outputs: r.Outputs, Cached: true}, true, nil
}

// A localRun is an action that is about to run.
type localRun struct {
	action *derivations.Action
	cores  int
	lock   *store.ActionLock
	emit   func(Event)
}

// build runs the action and adds what it made. On success the lock is the store's to release, else still the caller's.
func (l *Local) build(ctx context.Context, r localRun) (result Result, err error) {
	action, emit := r.action, r.emit
	builder, ok := l.Builders[action.Builder()]
	if !ok {
		return Result{}, &builders.Failure{Name: action.Name(), Reason: fmt.Sprintf("there is no builder %q", action.Builder())}
	}
	key := action.Key()
	scratch, err := l.Store.NewScratch(key)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, scratch.Remove()) }()
	request, err := l.request(ctx, r, scratch)
	if err != nil {
		return Result{}, err
	}
	emit(Event{Kind: Started})
	start := time.Now()
	result.Log, err = l.run(ctx, builder, request, key, emit)
	if err != nil {
		return result, err
	}
	if result.Outputs, err = l.add(ctx, action, request, scratch); err != nil {
		return result, err
	}
	duration := time.Since(start)
	err = l.Store.AddRealisation(ctx, store.Realisation{
		Key: key, Name: action.Name(), Text: action.Text(), Outputs: result.Outputs, Duration: duration,
	}, r.lock)
	if err != nil {
		return result, err
	}
	emit(Event{Kind: Finished, Duration: duration, Outputs: result.Outputs, Log: result.Log})
	return result, nil
}

// run calls the builder with a log that goes to a file and, line by line, to the events.
func (l *Local) run(ctx context.Context, builder builders.Builder, request *builders.Request, key digest.ActionKey, emit func(Event)) (file string, err error) {
	log := &logFile{name: l.Store.LogFile(key)}
	defer func() { err = errors.Join(err, log.close()) }()
	lines := &lineWriter{emit: func(line string) { emit(Event{Kind: Output, Line: line}) }}
	request.Log = io.MultiWriter(log, lines)
	request.Progress = func(done, total int64) { emit(Event{Kind: Progress, Done: done, Total: total}) }
	err = builder.Build(ctx, request)
	lines.flush()
	if log.file == nil {
		return "", err
	}
	return log.name, err
}

func (l *Local) request(ctx context.Context, run localRun, scratch *store.Scratch) (*builders.Request, error) {
	action := run.action
	r := &builders.Request{
		Action:  action,
		Inputs:  map[string]builders.Input{},
		Outputs: map[string]builders.Output{},
		Scratch: scratch.Work(),
		Cores:   max(1, run.cores),
	}
	var all []storepath.Path
	for _, slot := range action.Slots() {
		path, _ := action.Input(slot)
		closure, err := l.Store.Closure(ctx, path)
		if err != nil {
			return nil, err
		}
		in := builders.Input{Object: builders.Object{Path: path, File: l.Store.ObjectFile(path)}}
		for _, o := range closure {
			in.Closure = append(in.Closure, o.Path)
		}
		r.Inputs[slot] = in
		all = append(all, path)
	}
	closure, err := l.Store.Closure(ctx, all...)
	if err != nil {
		return nil, err
	}
	for _, o := range closure {
		r.Closure = append(r.Closure, builders.Object{
			Path: o.Path, File: l.Store.ObjectFile(o.Path), Digest: o.Digest, Size: o.Size, References: o.References,
		})
	}
	for _, out := range action.Outputs() {
		name := derivations.OutputName(action.Name(), out)
		r.Outputs[out] = builders.Output{Path: scratch.Path(out, name), File: scratch.File(out, name)}
	}
	return r, nil
}

// add names what the builder made. A tree that the store can't hold is the action's fault.
func (l *Local) add(ctx context.Context, action *derivations.Action, request *builders.Request, scratch *store.Scratch) (Outputs, error) {
	var references []storepath.Path
	for _, o := range request.Closure {
		references = append(references, o.Path)
	}
	var made []store.NewObject
	for _, out := range action.Outputs() {
		place := request.Outputs[out]
		if _, err := os.Lstat(place.File); err != nil {
			return nil, request.Failf("it did not make its output %q", out)
		}
		object := store.NewObject{Name: derivations.OutputName(action.Name(), out), File: place.File}
		if !action.IsSelfContained() {
			object.Scratch, object.MayReference = place.Path, references
		}
		made = append(made, object)
	}
	objects, err := l.Store.Add(ctx, made)
	var unfit *store.OutputError
	if errors.As(err, &unfit) {
		return nil, request.Failf("%s", unfit.Reason)
	}
	if err != nil {
		return nil, err
	}
	outputs := Outputs{}
	for i, out := range action.Outputs() {
		outputs[out] = objects[i].Path
	}
	return outputs, nil
}

// A logFile is created by the first write, as most actions print nothing. It is safe for concurrent use.
type logFile struct {
	name string

	mu   sync.Mutex
	file *os.File
}

// Write creates the file if need be.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		file, err := os.OpenFile(l.name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return 0, err
		}
		l.file = file
	}
	return l.file.Write(p)
}

func (l *logFile) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
