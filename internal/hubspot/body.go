package hubspot

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// bodyError is a body that is no good, however often its bytes were read.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }

func (e *bodyError) Unwrap() error { return e.err }

// bodyReader reads whole bodies, inflating them, and keeps what costs to make.
type bodyReader struct {
	limit     int       // bytes of a body, as they arrive and decoded
	inflaters sync.Pool // *gzip.Reader
}

// read gives the body's bytes, decoded, at most limit of them; the slice is the
// caller's. Size is that of the last such body and becomes that of this one.
func (b *bodyReader) read(response *http.Response, size *atomic.Int64, limit int) ([]byte, error) {
	// What arrives is capped too: a stream of empty gzip members inflates to nothing.
	var source io.Reader = &cappedReader{reader: response.Body, limit: b.limit, left: b.limit}
	switch encoding := strings.ToLower(response.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		inflater, err := b.inflater(source)
		if err != nil {
			return nil, fmt.Errorf("inflate body: %w", inflateError(err))
		}
		defer b.inflaters.Put(inflater)
		source = inflater
	default:
		return nil, &bodyError{fmt.Errorf("body with Content-Encoding %q, which was not asked for", safe(encoding, maxWord))}
	}
	hint := 0
	if size != nil {
		hint = int(size.Load())
	}
	body, err := readAll(source, hint, limit)
	if err != nil {
		return nil, fmt.Errorf("read body: %w", inflateError(err))
	}
	if size != nil {
		size.Store(int64(len(body)))
	}
	return body, nil
}

// inflateError marks what the connection is not to blame for.
func inflateError(err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) {
		return &bodyError{err}
	}
	return err
}

func (b *bodyReader) inflater(source io.Reader) (*gzip.Reader, error) {
	inflater, ok := b.inflaters.Get().(*gzip.Reader)
	if !ok {
		return gzip.NewReader(source)
	}
	if err := inflater.Reset(source); err != nil {
		b.inflaters.Put(inflater)
		return nil, err
	}
	return inflater, nil
}

// readAll reads to the end; hint is the size that is expected.
func readAll(source io.Reader, hint, limit int) ([]byte, error) {
	const slack = 4 << 10 // pages of one sweep differ a little in size
	body := make([]byte, 0, min(hint+slack, limit+1))
	for {
		n, err := source.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, tooLarge(limit)
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		case len(body) == cap(body):
			body = append(body, 0)[:len(body)]
		}
	}
}

// cappedReader fails once more than left bytes were read.
type cappedReader struct {
	reader io.Reader
	limit  int
	left   int
}

func (r *cappedReader) Read(p []byte) (int, error) {
	n, err := r.reader.Read(p)
	if r.left -= n; r.left < 0 {
		return 0, tooLarge(r.limit)
	}
	return n, err
}

func tooLarge(limit int) error {
	return &bodyError{fmt.Errorf("body of more than %d bytes", limit)}
}
