package hubspottest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// answer is a response before it is sent, over a network or without one.
type answer struct {
	status     int
	header     http.Header
	body       []byte
	compressed bool // the body is gzip already
	pad        int64
	cut        int // bytes after which the connection breaks; 0: it does not
	drop       bool
}

func jsonAnswer(status int, body []byte) answer {
	return answer{
		status: status, body: body,
		header: http.Header{"Content-Type": {"application/json;charset=utf-8"}},
	}
}

// ErrDropped is what Transport returns where a connection would have broken
// before any answer.
var ErrDropped = errors.New("connection reset by the fake HubSpot")

// ServeHTTP answers a request of the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := s.answer(r)
	if a.drop {
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.pad == 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	// The client may go away at any time, which is its own affair.
	_, err := io.Copy(w, a.reader())
	if a.cut > 0 {
		if flusher, ok := w.(http.Flusher); ok && errors.Is(err, io.ErrUnexpectedEOF) {
			flusher.Flush()
		}
		panic(http.ErrAbortHandler)
	}
}

// Transport calls the server in process: no network, no goroutine, the whole wait
// inside RoundTrip. Unlike http.Transport it neither adds headers nor inflates.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ server *Server }

// RoundTrip answers a request, or returns the cause of its context's end.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	a := t.server.answer(r)
	if r.Context().Err() != nil {
		return nil, context.Cause(r.Context())
	}
	if a.drop {
		return nil, ErrDropped
	}
	length := int64(len(a.body))
	if a.pad > 0 {
		length = -1
	}
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)),
		StatusCode: a.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        a.header,
		Body:          io.NopCloser(a.reader()),
		ContentLength: length,
		Request:       r,
	}, nil
}

// answer is the whole way of a request: waits, faults, HubSpot's answer, the log.
func (s *Server) answer(r *http.Request) answer {
	arrived := s.clock()
	s.mu.Lock()
	b := s.behaviour
	s.mu.Unlock()
	var before, after time.Duration
	if b.Latency != nil {
		before, after = b.Latency(r)
	}
	var fault Response
	if b.Fault != nil {
		if response, ok := b.Fault(r); ok {
			fault = response
		}
	}
	compressed := strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
	a := answer{drop: true}
	if sleep(r, before) {
		a = s.faulty(fault, r, b, compressed)
		if !sleep(r, after+fault.Delay) {
			a = answer{drop: true}
		}
	}
	if !a.drop {
		s.finish(&a, compressed)
	}
	s.record(r, a, b, arrived)
	return a
}

// finish completes an answer: its own id, the date, compression.
func (s *Server) finish(a *answer, compressed bool) {
	now := s.clock()
	if a.status >= 400 {
		id := fmt.Sprintf("%08x-0000-4000-8000-%012x", now.Unix()&0xFFFFFFFF, now.UnixNano()&0xFFFFFFFFFFFF)
		a.body = bytes.ReplaceAll(a.body, []byte(correlationMark), []byte(id))
	}
	a.header.Set("Date", now.UTC().Format(http.TimeFormat))
	if compressed && !a.compressed && len(a.body)+int(a.pad) > 0 {
		a.body, a.compressed = s.compress(a.body), true
	}
	if a.compressed {
		a.header.Set("Content-Encoding", "gzip")
	}
}

// compress is the body as gzip, at the level that costs least.
func (s *Server) compress(body []byte) []byte {
	out := bytes.NewBuffer(make([]byte, 0, len(body)/5+64))
	zip, ok := s.gzips.Get().(*gzip.Writer)
	if !ok {
		// The level is a constant, so there is no error.
		zip, _ = gzip.NewWriterLevel(out, gzip.BestSpeed)
	}
	zip.Reset(out)
	// Writing to memory does not fail.
	_, _ = zip.Write(body)
	_ = zip.Close()
	s.gzips.Put(zip)
	return out.Bytes()
}

// reader gives the body as far as the connection carries it.
func (a answer) reader() io.Reader {
	switch {
	case a.cut > 0:
		return io.MultiReader(bytes.NewReader(a.body[:min(a.cut, len(a.body))]), broken{})
	case a.pad > 0:
		return io.MultiReader(bytes.NewReader(a.body), padding(a.pad, a.compressed))
	}
	return bytes.NewReader(a.body)
}

// broken is the end of a connection that broke.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

const padBlock = 1 << 20

// padding is white space for a body that never seems to end. Compressed, it is a
// row of small gzip members, which gzip readers inflate as one.
func padding(size int64, compressed bool) io.Reader {
	block := bytes.Repeat([]byte{' '}, int(min(size, padBlock)))
	if compressed {
		// As in Server.compress, nothing here fails.
		var out bytes.Buffer
		zip, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
		_, _ = zip.Write(block)
		_ = zip.Close()
		blocks := (size + padBlock - 1) / padBlock
		return io.LimitReader(&repeating{block: out.Bytes()}, blocks*int64(out.Len()))
	}
	return io.LimitReader(&repeating{block: block}, size)
}

// repeating is a block without end.
type repeating struct {
	block []byte
	at    int
}

func (p *repeating) Read(dst []byte) (int, error) {
	n := copy(dst, p.block[p.at:])
	p.at = (p.at + n) % len(p.block)
	return n, nil
}
