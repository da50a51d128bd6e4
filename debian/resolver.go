package debian

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A Resolver answers requests from a lock, and extends the lock by what isn't there. It is safe for concurrent use.
type Resolver struct {
	options ResolverOptions

	mu      sync.Mutex // guards what follows and the lock
	changed bool
	client  *Client
	suites  map[string]*loadedSuite
}

// ResolverOptions configure a Resolver.
type ResolverOptions struct {
	// Lock is what is known already; the resolver owns it from now on. An empty one makes it resolve everything anew.
	Lock *Lock

	// Refuse, unless "", says why the lock may not be extended: "--locked was given".
	Refuse string

	// Open makes the client when the first request is not in the lock: only then are mirrors and keyrings needed.
	Open func() (*Client, error)
}

// A loadedSuite is the archive's present state together with what is locked.
type loadedSuite struct {
	universe *universe
	releases []Release
}

// NewResolver returns a resolver that begins with a lock.
func NewResolver(o ResolverOptions) *Resolver {
	return &Resolver{options: o, suites: map[string]*loadedSuite{}}
}

// Resolve returns the packages of a request and all they need, sorted by name. It returns a *ResolveError when the
// request has no answer, and a *LockedError when only an extended lock could give one.
func (r *Resolver) Resolve(ctx context.Context, request Request) ([]Package, error) {
	request = request.normal()
	if faults := checkRequest(request); len(faults) > 0 {
		return nil, &ResolveError{request.Suite, faults}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	lock := r.options.Lock
	if packages, ok := lock.Set(request); ok {
		return packages, nil
	}
	if r.options.Refuse != "" {
		return nil, &LockedError{Request: request, Missing: lock.missing(request), Reason: r.options.Refuse}
	}
	if err := r.extend(ctx, request); err != nil {
		return nil, err
	}
	packages, _ := lock.Set(request)
	return packages, nil
}

func checkRequest(r Request) []string {
	var faults []string
	if !isArchivePath(r.Suite) {
		faults = append(faults, fmt.Sprintf("%q is not the name of a suite", r.Suite))
	}
	for _, word := range r.Packages {
		if err := checkRequested(word); err != nil {
			faults = append(faults, err.Error())
		}
	}
	return faults
}

// Changed reports whether the lock has been extended.
func (r *Resolver) Changed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Lock returns the lock. It must not be used while Resolve may run.
func (r *Resolver) Lock() *Lock { return r.options.Lock }

// extend resolves a request against the archive. Callers hold mu.
func (r *Resolver) extend(ctx context.Context, request Request) error {
	suite, err := r.suite(ctx, request.Suite)
	if err != nil {
		return err
	}
	only, err := r.lockedRecords(request.Suite, suite.universe)
	if err != nil {
		return err
	}
	records, err := suite.universe.resolve(request, only)
	if err != nil {
		return err
	}
	packages := make([]*lockedPackage, 0, len(records))
	for _, i := range records {
		p, err := lockedPackageOf(&suite.universe.records[i])
		if err != nil {
			return err
		}
		packages = append(packages, p)
	}
	r.options.Lock.add(request, suite.releases, packages)
	r.changed = true
	return nil
}

// suite loads a suite once.
func (r *Resolver) suite(ctx context.Context, name string) (*loadedSuite, error) {
	if loaded := r.suites[name]; loaded != nil {
		return loaded, nil
	}
	if r.client == nil {
		client, err := r.options.Open()
		if err != nil {
			return nil, err
		}
		r.client = client
	}
	u, releases, err := r.client.load(ctx, name)
	if err != nil {
		return nil, err
	}
	loaded := &loadedSuite{u, releases}
	r.suites[name] = loaded
	return loaded, nil
}

// lockedRecords returns the record of each name that is locked, the highest version when several are. A locked package
// that the archive no longer has, or not with this content, is entered as the lock describes it.
func (r *Resolver) lockedRecords(suite string, u *universe) (map[string]int32, error) {
	locked := r.options.Lock.suites[suite]
	if locked == nil {
		return nil, nil
	}
	only := map[string]int32{}
	for _, p := range locked.sorted() { // Ascending, so that the highest version stays.
		i, err := u.add(p.record(&pocket{p.Archive, suite}))
		if err != nil {
			return nil, err
		}
		only[p.Name] = i
	}
	return only, nil
}

// missing returns the packages of a request that the lock has in no set of the suite.
func (l *Lock) missing(r Request) []string {
	var names []string
	if s := l.suites[r.Suite]; s != nil {
		for _, p := range s.packages {
			names = append(names, p.Name, p.Key())
		}
	}
	return slices.DeleteFunc(slices.Clone(r.Packages), func(word string) bool { return slices.Contains(names, word) })
}

// A LockedError is a request that the lock doesn't answer while it may not be extended.
type LockedError struct {
	Request Request
	Missing []string // packages asked for that are in no set; empty when only the combination is new
	Reason  string
}

// Error says what the lock lacks and what to do.
func (e *LockedError) Error() string {
	lacks := "the set of " + strings.Join(e.Request.Packages, ", ")
	if len(e.Missing) > 0 {
		lacks = strings.Join(e.Missing, ", ")
	}
	return fmt.Sprintf("resolve packages of %s: the lock lacks %s, and %s; run nbuild lock", e.Request.Suite, lacks, e.Reason)
}

// IsInput tells that the project and its lock are to blame, not nbuild.
func (e *LockedError) IsInput() bool { return true }
