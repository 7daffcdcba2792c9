package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// anyNode sends a request to whichever node of the cluster is connected.
const anyNode int32 = -1

// exchange is one request to one node and its answer, carried by kafka-go's
// transport. The transport would route by metadata of its own, which is up to
// seconds old, and decode by one global table, which loses what a batch header
// says: as a protocol.RawExchanger the exchange does both itself.
type exchange struct {
	node    int32
	request protocol.Message
	number  int32  // correlation id
	client  string // client id
	least   int16  // lowest version that says what is needed
	// cut makes a connection's pending calls return once the context ends; the
	// result undoes that and reports whether it was in time.
	cut  func(net.Conn) func() bool
	read func(r io.Reader, number int32, version int16) (any, error)

	mu      sync.Mutex // held while the connection is used
	over    bool       // the caller has gone: what it lent must not be touched
	version int16
}

var (
	_ protocol.BrokerMessage = (*exchange)(nil)
	_ protocol.RawExchanger  = (*exchange)(nil)
)

// answer carries a decoded answer through the transport.
type answer struct {
	protocol.Message
	value any
}

var errAbandoned = errors.New("the request was abandoned before it was sent")

// ApiKey implements protocol.Message.
func (x *exchange) ApiKey() protocol.ApiKey { return x.request.ApiKey() }

// Broker implements protocol.BrokerMessage.
func (x *exchange) Broker(protocol.Cluster) (protocol.Broker, error) {
	return protocol.Broker{ID: x.node}, nil
}

// Required implements protocol.RawExchanger: always, and it is where the
// versions of the connection become known.
func (x *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.version = versions[x.request.ApiKey()]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (x *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return nil, errAbandoned
	}
	if x.version < x.least {
		return nil, fmt.Errorf("%w: the broker speaks %s up to version %d, %d is needed",
			UnsupportedVersion, x.ApiKey(), x.version, x.least)
	}
	conn, ok := rw.(net.Conn)
	if !ok {
		return nil, fmt.Errorf("%T is not a connection", rw)
	}
	undo := x.cut(conn)
	value, err := x.talk(rw)
	if !undo() && err == nil {
		err = context.Canceled // its deadline is gone: the connection cannot be used again
	}
	if err != nil {
		return nil, err
	}
	return &answer{x.request, value}, nil
}

func (x *exchange) talk(rw io.ReadWriter) (any, error) {
	if err := protocol.WriteRequest(rw, x.version, x.number, x.client, x.request); err != nil {
		return nil, err
	}
	return x.read(rw, x.number, x.version)
}

// abandon returns once the connection is no longer used on behalf of the caller.
func (x *exchange) abandon() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
}

// ask sends a request to a node and returns its answer of type T, decoded by
// kafka-go. It never repeats what was sent. When it returns, the request is
// neither being sent nor read any more.
func ask[T protocol.Message](ctx context.Context, c *Client, node int32, request protocol.Message) (T, error) {
	value, err := c.exchange(ctx, &exchange{node: node, request: request, read: readAnswer(request.ApiKey())})
	if err != nil {
		var none T
		return none, err
	}
	return value.(T), nil
}

func readAnswer(key protocol.ApiKey) func(io.Reader, int32, int16) (any, error) {
	return func(r io.Reader, number int32, version int16) (any, error) {
		got, message, err := protocol.ReadResponse(r, key, version)
		if err == nil && got != number {
			err = fmt.Errorf("answer to request %d, not to %d", got, number)
		}
		return message, err
	}
}

// exchange carries x out. A node that the transport does not know yet, in which
// case nothing was sent, is looked up once more with new connections.
func (c *Client) exchange(ctx context.Context, x *exchange) (any, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout,
		fmt.Errorf("no answer from Kafka within %v: %w", c.timeout, context.DeadlineExceeded))
	defer cancel()
	x.number = c.requests.Add(1)
	x.client = c.transport.ClientID
	x.cut = func(conn net.Conn) func() bool {
		return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	}
	value, err := c.attempt(ctx, x)
	if errors.Is(err, kafka.BrokerNotAvailable) {
		value, err = c.attempt(ctx, x)
	}
	x.abandon()
	if errors.Is(err, os.ErrDeadlineExceeded) { // the connection noticed before the context did
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	return value, err
}

func (c *Client) attempt(ctx context.Context, x *exchange) (any, error) {
	c.mu.Lock()
	generation, closed := c.generation, c.closed
	c.mu.Unlock()
	if closed {
		return nil, errClosed
	}
	response, err := c.transport.RoundTrip(ctx, c.bootstrap, x)
	if err != nil {
		c.reset(generation)
		return nil, err
	}
	return response.(*answer).value, nil
}
