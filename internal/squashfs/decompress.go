package squashfs

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// A codec decompresses blocks. It is safe for concurrent use.
type codec interface {
	// decompress appends what in holds to out, whose capacity is the most that this may be. It returns an error when it
	// is more, or when in is not what it should be.
	decompress(out, in []byte) ([]byte, error)
}

var errTooLarge = errors.New("it has more than a block may have")

// The compressors, as the superblock numbers them.
func newCodec(compressor uint16) (codec, error) {
	switch compressor {
	case 4:
		return xzCodec{}, nil
	case 5:
		return lz4Codec{}, nil
	case 6:
		// A decoder checks each frame against the limit before it makes room.
		decoder, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(largestBlock), zstd.WithDecoderMaxWindow(largestBlock))
		return zstdCodec{decoder}, err
	}
	names := map[uint16]string{1: "gzip", 2: "lzma", 3: "lzo"}
	if name, ok := names[compressor]; ok {
		return nil, formatf("it is a squashfs image compressed with %s, and nbuild reads zstd, lz4 and xz", name)
	}
	return nil, formatf("it is a squashfs image compressed with something unknown, number %d", compressor)
}

type zstdCodec struct{ decoder *zstd.Decoder }

func (c zstdCodec) decompress(out, in []byte) ([]byte, error) {
	return c.decoder.DecodeAll(in, out)
}

type xzCodec struct{}

func (xzCodec) decompress(out, in []byte) ([]byte, error) {
	from := bytes.NewReader(in)
	// The dictionary of a block is as large as the block.
	r, err := xz.NewReader(from, largestBlock)
	if err != nil {
		return nil, err
	}
	r.Multistream(false)
	for len(out) < cap(out) {
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
	switch n, err := r.Read(make([]byte, 1)); {
	case n > 0:
		return nil, errTooLarge
	case err != io.EOF:
		return nil, err
	}
	return out, nil
}
