package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nbuild/derivations"
	"nbuild/internal/testarchive"
)

// mirrorKey is the key of a script's mirror among its values.
type mirrorKey struct{}

// A scriptedMirror is a Debian mirror that a script commands: a server of an archive that can be told to go wrong.
type scriptedMirror struct {
	archive *testarchive.Archive // nil before the first command "mirror"

	mu       sync.Mutex
	files    map[string][]byte
	faults   []*mirrorFault
	requests []string
	asked    chan struct{} // closed and replaced at each request
}

// A mirrorFault is what goes wrong with some requests.
type mirrorFault struct {
	part string // of the path
	kind string
	left int // how many times more; negative is for ever
}

// scriptMirror is the command "mirror [FLAGS] FILE". It serves an archive of the suite trixie by HTTP, writes it below
// $WORK/mirror too and its key to $WORK/keyring.asc, and lets the environment name it. A further "mirror" puts other
// packages in its place, signed by the same key. Flags:
//
//	-systems           beside FILE's, the packages that every system is made of and with, all empty
//	-new-key           an archive of a key of its own
//	-until DATE        the Valid-Until of its Release files
//	-replace OLD=NEW   changes the text of the Release files before they are signed
func scriptMirror(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("mirror", flag.ContinueOnError)
	systems := flags.Bool("systems", false, "")
	newKey := flags.Bool("new-key", false, "")
	until := flags.String("until", "", "")
	replace := flags.String("replace", "", "")
	ts.Check(flags.Parse(args))
	if neg || flags.NArg() != 1 {
		ts.Fatalf("usage: mirror [-systems] [-new-key] [-until DATE] [-replace OLD=NEW] FILE")
	}
	m := ts.Value(mirrorKey{}).(*scriptedMirror)
	if m.archive == nil {
		m.serve(ts)
	}
	if m.archive == nil || *newKey {
		ts.Check(m.newArchive(ts))
	}
	m.archive.ValidUntil = time.Time{}
	if *until != "" {
		date, err := time.Parse(time.DateOnly, *until)
		ts.Check(err)
		m.archive.ValidUntil = date
	}
	from, to, _ := strings.Cut(*replace, "=")
	m.archive.Edit = func(_, text string) string { return strings.ReplaceAll(text, from, to) }
	if from == "" {
		m.archive.Edit = nil
	}
	debs, err := parseDebs(ts.ReadFile(flags.Arg(0)))
	ts.Check(err)
	if *systems {
		debs = append(debs, systemDebs(debs)...)
	}
	m.archive.Clear("trixie")
	m.archive.Add("trixie", debs...)
	files, err := m.archive.Files()
	ts.Check(err)
	ts.Check(os.RemoveAll(ts.MkAbs("$WORK/mirror")))
	ts.Check(testarchive.Write(ts.Getenv("WORK")+"/mirror", files))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files, m.faults = files, nil
}

// serve starts the server.
func (m *scriptedMirror) serve(ts *testscript.TestScript) {
	m.asked = make(chan struct{})
	server := httptest.NewServer(m)
	ts.Defer(func() {
		server.CloseClientConnections() // A stalled answer ends when its connection does.
		server.Close()
	})
	ts.Setenv("MIRROR", server.URL)
	ts.Setenv("NBUILD_DEBIAN_MIRROR", server.URL+"/debian")
}

// newArchive makes an archive with a key of its own.
func (m *scriptedMirror) newArchive(ts *testscript.TestScript) error {
	archive, err := testarchive.New(time.Now().Add(-time.Minute), "trixie")
	if err != nil {
		return err
	}
	keyring, err := archive.Keyring()
	if err != nil {
		return err
	}
	m.archive = archive
	file := ts.Getenv("WORK") + "/keyring.asc"
	ts.Setenv("NBUILD_DEBIAN_KEYRING", file)
	return os.WriteFile(file, keyring, 0o644)
}

// parseDebs reads paragraphs of control files. Two fields are not the package's: "File: PATH TEXT" is a file in it,
// and "Hostile: KIND" makes its content one of hostileTar.
func parseDebs(text string) ([]testarchive.Deb, error) {
	var debs []testarchive.Deb
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		d := testarchive.Deb{Fields: map[string]string{}}
		for line := range strings.Lines(paragraph) {
			name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			if !ok {
				return nil, fmt.Errorf("describe package: not a field: %q", line)
			}
			switch name {
			case "Package":
				d.Name = value
			case "Version":
				d.Version = value
			case "File":
				path, content, _ := strings.Cut(value, " ")
				d.Files = append(d.Files, testarchive.File{Path: path, Content: content + "\n"})
			case "Hostile":
				data, err := hostileTar(value)
				if err != nil {
					return nil, err
				}
				d.Data = data
			default:
				d.Fields[name] = value
			}
		}
		debs = append(debs, d)
	}
	return debs, nil
}

// systemDebs returns what a system without a module of its own needs, but for those that are there already.
func systemDebs(debs []testarchive.Deb) []testarchive.Deb {
	have := map[string]bool{}
	for _, d := range debs {
		have[d.Name] = true
	}
	const image = "linux-image-6.12.0-cloud-amd64"
	var added []testarchive.Deb
	add := func(d testarchive.Deb) {
		if !have[d.Name] {
			have[d.Name] = true
			added = append(added, d)
		}
	}
	add(testarchive.Deb{Name: derivations.KernelPackage(), Fields: map[string]string{"Depends": image}})
	// The last are those of modules that are on unless they are turned off, and of the tools of builds.
	for _, name := range slices.Concat(derivations.BasePackages(), derivations.ImageTools(), derivations.VMTools(), derivations.ISOTools(), []string{
		image, "systemd-resolved", "nftables", "bzip2", "diffutils", "gawk", "gzip", "libc-bin", "patch", "tar",
	}) {
		add(testarchive.Deb{Name: name, Fields: map[string]string{}})
	}
	return added
}

// hostileTar returns a tar that nobody would make who means well.
func hostileTar(kind string) ([]byte, error) {
	headers := map[string][]tar.Header{
		"dotdot":   {{Name: "./usr/../../escaped", Typeflag: tar.TypeReg}},
		"absolute": {{Name: "/etc/escaped", Typeflag: tar.TypeReg}},
		"through-link": {
			{Name: "./out", Typeflag: tar.TypeSymlink, Linkname: "../../../../tmp"},
			{Name: "./out/escaped", Typeflag: tar.TypeReg},
		},
		"hard-link": {{Name: "./passwd", Typeflag: tar.TypeLink, Linkname: "../../../../etc/passwd"}},
		"device":    {{Name: "./dev/sda", Typeflag: tar.TypeBlock, Devmajor: 8}},
		"twice":     {{Name: "./a", Typeflag: tar.TypeReg}, {Name: "./a", Typeflag: tar.TypeReg}},
		"bomb":      {{Name: "./zeros", Typeflag: tar.TypeReg, Size: 80 << 20}},
	}[kind]
	if headers == nil {
		return nil, fmt.Errorf("make a hostile package: there is no kind %q", kind)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			return nil, err
		}
		if _, err := io.CopyN(w, zeros{}, h.Size); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// zeros is an endless reader of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// scriptFault is the command "fault PART KIND [TIMES]": requests of a path that contains PART are answered by something
// else than the file, for ever or so many times. KIND is a status code, or:
//
//	damaged   one byte is another
//	short     the last byte is missing, and the answer doesn't know of it
//	reset     the connection breaks off in the middle of the file
//	stalled   nothing more comes from the middle of the file on
//	page      a page for people, as from a network that wants a login
//
// "fault" alone takes all faults back.
func scriptFault(ts *testscript.TestScript, neg bool, args []string) {
	m := ts.Value(mirrorKey{}).(*scriptedMirror)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case neg || len(args) == 1 || len(args) > 3:
		ts.Fatalf("usage: fault [PART KIND [TIMES]]")
	case len(args) == 0:
		m.faults = nil
	default:
		f := &mirrorFault{part: args[0], kind: args[1], left: -1}
		if len(args) == 3 {
			times, err := strconv.Atoi(args[2])
			ts.Check(err)
			f.left = times
		}
		m.faults = append(m.faults, f)
	}
}

// scriptRequests is the command "requests".
func scriptRequests(ts *testscript.TestScript, _ bool, _ []string) {
	m := ts.Value(mirrorKey{}).(*scriptedMirror)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, path := range m.requests {
		fmt.Fprintln(ts.Stdout(), path)
	}
	m.requests = nil
}

// scriptAwait is the command "await PART".
func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await PART")
	}
	m := ts.Value(mirrorKey{}).(*scriptedMirror)
	deadline := time.After(10 * time.Second)
	for {
		m.mu.Lock()
		found, asked := strings.Contains(strings.Join(m.requests, "\n"), args[0]), m.asked
		m.mu.Unlock()
		if found {
			return
		}
		select {
		case <-asked:
		case <-deadline:
			ts.Fatalf("nobody asked for %s", args[0])
		}
	}
}

// ServeHTTP answers a request, rightly or as a fault wants it.
func (m *scriptedMirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, data, ok := m.take(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if code, err := strconv.Atoi(kind); err == nil {
		http.Error(w, http.StatusText(code), code)
		return
	}
	serve := func(data []byte) { http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data)) }
	switch kind {
	case "damaged":
		data = bytes.Clone(data)
		data[len(data)/2] ^= 1
		serve(data)
	case "short":
		serve(data[:len(data)-1])
	case "page":
		serve([]byte("<html>Please log in</html>"))
	case "reset", "stalled":
		breakOff(w, r, data, kind == "stalled")
	default:
		serve(data)
	}
}

// take notes a request and returns the fault that meets it, if any, and the file.
func (m *scriptedMirror) take(path string) (kind string, data []byte, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = append(m.requests, path)
	close(m.asked)
	m.asked = make(chan struct{})
	data, ok = m.files[strings.TrimPrefix(path, "/")]
	for _, f := range m.faults {
		if strings.Contains(path, f.part) && f.left != 0 {
			f.left--
			return f.kind, data, ok
		}
	}
	return "", data, ok
}

// breakOff sends what is asked for up to the middle of the file, and then breaks the connection or waits for the other side
// to do so.
func breakOff(w http.ResponseWriter, r *http.Request, data []byte, wait bool) {
	status, start, middle := http.StatusOK, 0, len(data)/2
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start); err == nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(data)-1, len(data)))
		status = http.StatusPartialContent
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)-start))
	w.WriteHeader(status)
	_, _ = w.Write(data[min(start, middle):middle]) // The other side may be gone already.
	_ = http.NewResponseController(w).Flush()
	if wait {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}
