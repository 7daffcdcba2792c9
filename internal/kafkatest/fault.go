package kafkatest

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is what happens to one request on its way.
type Fault int

// The faults. A request is recognised by its frame, so it is hit whole.
const (
	// Healthy: nothing happens.
	Healthy Fault = iota
	// LostRequest cuts the connection before the request reaches the broker.
	LostRequest
	// LostAnswer cuts it after the broker has answered and before the client
	// reads that: the request was carried out, and the client cannot know.
	LostAnswer
	// LateRequest cuts it at once, while the request still reaches the broker
	// after the dialer's delay, as packets of a dead sender do.
	LateRequest
	// SlowAnswer holds the answer back for the dialer's delay.
	SlowAnswer
	// BlackHole swallows the request: no answer ever comes.
	BlackHole
)

// AnyRequest is the API key that stands for all.
const AnyRequest int16 = -1

// ProduceRequest is the API key of Produce.
const ProduceRequest int16 = 0

// Shares are how many of a thousand requests suffer each fault.
type Shares map[Fault]int

// FaultDialer opens connections that fail: at random by shares, from a seed, or
// as told by Next. Its Dial fits a client's configuration.
type FaultDialer struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	delay time.Duration

	mu     sync.Mutex
	random *rand.Rand
	key    int16
	shares Shares
	queue  []queued
	hits   map[Fault]int
	late   sync.WaitGroup
}

type queued struct {
	key   int16
	fault Fault
}

// NewFaultDialer breaks the connections of dial (nil: the network's). The delay
// is that of LateRequest and SlowAnswer.
func NewFaultDialer(seed uint64, delay time.Duration, dial func(context.Context, string, string) (net.Conn, error)) *FaultDialer {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return &FaultDialer{dial: dial, delay: delay, random: rand.New(rand.NewPCG(seed, seed)), hits: map[Fault]int{}}
}

// Random makes requests with an API key fail by shares from now on; nil ends it.
func (d *FaultDialer) Random(key int16, shares Shares) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.key, d.shares = key, shares
}

// Next makes the next request with an API key suffer a fault; several calls
// queue up.
func (d *FaultDialer) Next(key int16, fault Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, queued{key, fault})
}

// Hits is how many requests suffered a fault so far.
func (d *FaultDialer) Hits(fault Fault) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hits[fault]
}

// Wait returns once every late request has arrived.
func (d *FaultDialer) Wait() { d.late.Wait() }

// Dial opens a connection that suffers the faults.
func (d *FaultDialer) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &faultConn{Conn: conn, dialer: d, closed: make(chan struct{})}, nil
}

// choose draws one fault a request, in the order of the constants, so that a
// seed gives the same faults.
func (d *FaultDialer) choose(key int16) Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	fault := d.draw(key)
	d.hits[fault]++
	return fault
}

func (d *FaultDialer) draw(key int16) Fault {
	for i, next := range d.queue {
		if next.key == AnyRequest || next.key == key {
			d.queue = append(d.queue[:i:i], d.queue[i+1:]...)
			return next.fault
		}
	}
	if d.shares == nil || d.key != AnyRequest && d.key != key {
		return Healthy
	}
	roll := d.random.IntN(1000)
	for fault := LostRequest; fault <= BlackHole; fault++ {
		if roll -= d.shares[fault]; roll < 0 {
			return fault
		}
	}
	return Healthy
}

// faultConn collects each request whole, as its length says, before it decides.
type faultConn struct {
	net.Conn
	dialer *FaultDialer
	close  sync.Once
	closed chan struct{}

	mu      sync.Mutex // of the frame
	frame   []byte
	pending atomic.Int32 // the fault of the request whose answer is read next
}

const (
	frameLength = 4 // bytes before a frame that say how long it is
	frameKey    = 2
)

// Write implements net.Conn: whatever is not yet a whole request is kept.
func (c *faultConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frame = append(c.frame, b...)
	for len(c.frame) >= frameLength+frameKey {
		size := frameLength + int(binary.BigEndian.Uint32(c.frame))
		if len(c.frame) < size {
			break
		}
		if err := c.forward(c.frame[:size:size]); err != nil {
			return 0, err
		}
		c.frame = c.frame[size:]
	}
	return len(b), nil
}

func (c *faultConn) forward(frame []byte) error {
	fault := c.dialer.choose(int16(binary.BigEndian.Uint16(frame[frameLength:])))
	c.pending.Store(int32(fault))
	switch fault {
	case LostRequest:
		_ = c.Close()
		return io.ErrClosedPipe
	case BlackHole:
		return nil
	case LateRequest:
		c.dialer.late.Go(func() { c.sendLate(frame) })
		return nil
	}
	_, err := c.Conn.Write(frame)
	return err
}

// sendLate hands a request over long after its sender saw the connection end,
// and takes the answer, so that it was carried out when Wait returns.
func (c *faultConn) sendLate(frame []byte) {
	defer c.Conn.Close()
	<-time.After(c.dialer.delay)
	_ = c.Conn.SetDeadline(time.Now().Add(readLimit))
	if _, err := c.Conn.Write(frame); err == nil {
		var first [1]byte
		_, _ = c.Conn.Read(first[:])
	}
}

// Read implements net.Conn.
func (c *faultConn) Read(b []byte) (int, error) {
	switch Fault(c.pending.Load()) {
	case LostAnswer:
		if _, err := c.Conn.Read(b[:1]); err != nil { // one byte proves that it was answered
			return 0, err
		}
		_ = c.Close()
		return 0, io.EOF
	case LateRequest:
		return 0, io.EOF
	case SlowAnswer:
		c.pending.Store(int32(Healthy))
		select {
		case <-time.After(c.dialer.delay):
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	return c.Conn.Read(b)
}

// SetDeadline implements net.Conn; a late request keeps a deadline of its own.
func (c *faultConn) SetDeadline(t time.Time) error {
	if Fault(c.pending.Load()) == LateRequest {
		return nil
	}
	return c.Conn.SetDeadline(t)
}

// Close implements net.Conn; the connection of a late request outlives it.
func (c *faultConn) Close() error {
	c.close.Do(func() { close(c.closed) })
	if Fault(c.pending.Load()) == LateRequest {
		return nil
	}
	return c.Conn.Close()
}
