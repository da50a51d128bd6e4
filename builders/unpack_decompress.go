package builders

import (
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// A method is a way of compression, by its usual suffix; plain for none.
type method string

const (
	plain method = ""
	gz    method = "gz"
	bz2   method = "bz2"
	xzip  method = "xz"
	zst   method = "zst"
)

// methodOfSuffix returns the method that a name's last part tells, ".xz" or "" for none.
func methodOfSuffix(suffix string) (method, bool) {
	switch suffix {
	case "", ".gz", ".bz2", ".xz", ".zst":
		return method(bytes.TrimPrefix([]byte(suffix), []byte("."))), true
	}
	return plain, false
}

// sniffSize is how many leading bytes methodOf wants to see.
const sniffSize = 8

// zipMagic is what most zip archives begin with.
const zipMagic = "PK\x03\x04"

// methodOf returns the method that the leading bytes of an archive tell. Ways that nbuild doesn't know are refused by
// name; what is no magic number at all is plain.
func methodOf(head []byte) (method, error) {
	for _, known := range []struct {
		magic  string
		method method
		other  string
	}{
		{magic: "\x1f\x8b", method: gz},
		{magic: "BZh", method: bz2},
		{magic: "\xfd7zXZ\x00", method: xzip},
		{magic: "\x28\xb5\x2f\xfd", method: zst},
		{magic: "\x1f\x9d", other: "compress (.Z)"},
		{magic: "\x04\x22\x4d\x18", other: "lz4"},
		{magic: "\x5d\x00\x00", other: "lzma"},
		{magic: "\x89LZO", other: "lzop"},
		{magic: "7z\xbc\xaf\x27\x1c", other: "7-Zip"},
		{magic: "LZIP", other: "lzip"},
		{magic: zipMagic, other: "zip"},
	} {
		if !bytes.HasPrefix(head, []byte(known.magic)) {
			continue
		}
		if known.magic == zipMagic {
			return plain, refusef("a zip archive where a tar should be: it is unpacked as format \"zip\"")
		}
		if known.other != "" {
			return plain, refusef("unknown compression %q: gzip, bzip2, xz and zstd are known", known.other)
		}
		return known.method, nil
	}
	return plain, nil
}

// The largest windows accepted, which is the memory a decoder takes: those of xz -9 and zstd --ultra -22.
// dpkg-deb itself uses xz -6 (8 MiB) and zstd -19 (8 MiB).
const (
	maxDictionary = 64 << 20
	maxWindow     = 128 << 20
)

// decoders keeps decoders for the next archive: an xz decoder's dictionary alone is 8 MiB, and a system has hundreds of
// packages. The zero value is ready to use, by many goroutines.
type decoders struct {
	xz, gzip, zstd sync.Pool
}

// open returns a reader of what src holds when it is decompressed. Its Close gives the decoder back; src stays open.
func (d *decoders) open(m method, src io.Reader) (io.ReadCloser, error) {
	switch m {
	case plain:
		return io.NopCloser(src), nil
	case bz2:
		return io.NopCloser(bzip2.NewReader(src)), nil
	case gz:
		return d.openGzip(src)
	case xzip:
		return d.openXz(src)
	case zst:
		return d.openZstd(src)
	}
	return nil, fmt.Errorf("decompress: no method %q", m)
}

type pooled struct {
	io.Reader
	release func()
}

func (p *pooled) Close() error {
	p.release()
	p.release = func() {}
	return nil
}

func (d *decoders) openXz(src io.Reader) (io.ReadCloser, error) {
	z, ok := d.xz.Get().(*xz.Reader)
	var err error
	if ok {
		err = z.Reset(src)
	} else {
		z, err = xz.NewReader(src, maxDictionary)
	}
	if err != nil {
		return nil, err
	}
	return &pooled{z, func() { d.xz.Put(z) }}, nil
}

func (d *decoders) openGzip(src io.Reader) (io.ReadCloser, error) {
	z, ok := d.gzip.Get().(*gzip.Reader)
	var err error
	if ok {
		err = z.Reset(src)
	} else {
		z, err = gzip.NewReader(src)
	}
	if err != nil {
		return nil, err
	}
	return &pooled{z, func() { d.gzip.Put(z) }}, nil
}

func (d *decoders) openZstd(src io.Reader) (io.ReadCloser, error) {
	z, ok := d.zstd.Get().(*zstd.Decoder)
	var err error
	if ok {
		err = z.Reset(src)
	} else {
		// One goroutine of its own less: read-ahead is done for all methods alike.
		z, err = zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	}
	if err != nil {
		return nil, err
	}
	release := func() {
		_ = z.Reset(nil) // Lets go of src.
		d.zstd.Put(z)
	}
	return &pooled{z, release}, nil
}

// A readAhead reads from a reader in a goroutine of its own, a few buffers ahead, so that decompressing and writing go
// on at the same time.
type readAhead struct {
	full    chan chunk
	free    chan []byte
	stop    chan struct{}
	current []byte // what is left to read of buffer
	buffer  []byte
	err     error
}

type chunk struct {
	buffer []byte
	n      int
	err    error
}

// Four buffers of 256 KiB: enough that neither side waits for a hiccup of the other, and 1 MiB in all.
const (
	aheadBuffers = 4
	aheadSize    = 256 << 10
)

func newReadAhead(r io.Reader, buffers *sync.Pool) *readAhead {
	a := &readAhead{
		full: make(chan chunk, aheadBuffers),
		free: make(chan []byte, aheadBuffers),
		stop: make(chan struct{}),
	}
	for range aheadBuffers {
		b, ok := buffers.Get().(*[]byte)
		if !ok {
			b = new(make([]byte, aheadSize))
		}
		a.free <- *b
	}
	go a.fill(r)
	return a
}

func (a *readAhead) fill(r io.Reader) {
	defer close(a.full)
	for {
		var b []byte
		select {
		case b = <-a.free:
		case <-a.stop:
			return
		}
		n, err := readBuffer(r, b)
		a.full <- chunk{b, n, err} // Never blocks: there are no more buffers than places.
		if err != nil {
			return
		}
	}
}

// readBuffer fills b and returns the reader's own error: io.ReadFull makes one error of the end of a stream and of a
// stream that says itself that it ended too early.
func readBuffer(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var more int
		more, err = r.Read(b[n:])
		n += more
	}
	return n, err
}

// Read implements io.Reader.
func (a *readAhead) Read(p []byte) (int, error) {
	for len(a.current) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		if a.buffer != nil {
			a.free <- a.buffer
			a.buffer = nil
		}
		c := <-a.full
		a.buffer, a.current, a.err = c.buffer, c.buffer[:c.n], c.err
	}
	n := copy(p, a.current)
	a.current = a.current[n:]
	return n, nil
}

// close ends the goroutine, waits for it, and gives the buffers back.
func (a *readAhead) close(buffers *sync.Pool) {
	close(a.stop)
	for c := range a.full {
		buffers.Put(&c.buffer)
	}
	close(a.free)
	for b := range a.free {
		buffers.Put(&b)
	}
	if a.buffer != nil {
		buffers.Put(&a.buffer)
	}
}
