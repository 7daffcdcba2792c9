// Package broker speaks to Kafka: connections, topics, producer ids, record
// batches out and record batches in. It owns the wire and nothing else: it never
// retries, keeps no sequence numbers and knows nothing of threads or events;
// what to repeat, and when, is decided by its callers.
package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	defaultRequestTimeout = 30 * time.Second
	// connectTimeout bounds dialling, the exchange of versions and authentication.
	connectTimeout = 10 * time.Second
	// shortestDial keeps a long list of brokers from leaving each no time to answer.
	shortestDial = time.Second
	// maxBrokers bounds the bootstrap list; more are a mistake in the configuration.
	maxBrokers = 100
)

// Config says which cluster and how.
type Config struct {
	// Brokers are host:port addresses to start from; one may hold several,
	// separated by commas.
	Brokers []string
	// ClientID is what brokers show in their logs and quotas.
	ClientID string
	// RequestTimeout bounds each request, connecting included; default 30 s.
	RequestTimeout time.Duration
	// Dial opens connections; nil for the network. Its connections must obey
	// SetDeadline.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client is one cluster. It is safe for use by several goroutines, and many
// accounts may share one.
type Client struct {
	transport *kafka.Transport
	bootstrap net.Addr
	timeout   time.Duration
	requests  atomic.Int32 // correlation ids

	mu         sync.Mutex
	leaders    map[string][]int32 // topic -> partition -> node; what failed is forgotten
	generation uint64             // of the connections; grows when they are dropped
	closed     bool
}

var errClosed = errors.New("the Kafka client is closed")

// Open checks the configuration; it does not connect, so it works while the
// cluster is down. Close ends what the client holds.
func Open(config Config) (*Client, error) {
	brokers, err := splitBrokers(config.Brokers)
	if err != nil {
		return nil, err
	}
	timeout := config.RequestTimeout
	if timeout <= 0 {
		timeout = defaultRequestTimeout
	}
	connect := min(timeout, connectTimeout)
	return &Client{
		transport: &kafka.Transport{
			Dial:        dialEach(config.Dial, max(connect/time.Duration(len(brokers)), shortestDial)),
			DialTimeout: connect,
			ClientID:    config.ClientID,
			// Leaders are looked up here, when they are needed: the transport
			// needs to know the nodes only, and an empty list asks for no topic.
			MetadataTopics: []string{},
		},
		bootstrap: kafka.TCP(brokers...),
		timeout:   timeout,
		leaders:   map[string][]int32{},
	}, nil
}

// Close drops the connections; requests that come later are refused, those in
// flight end as their contexts say.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.transport.CloseIdleConnections()
}

func splitBrokers(lists []string) ([]string, error) {
	var brokers []string
	for _, list := range lists {
		for address := range strings.SplitSeq(list, ",") {
			address = strings.TrimSpace(address)
			if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
				return nil, fmt.Errorf("broker %q is not host:port", address)
			}
			brokers = append(brokers, address)
		}
	}
	if len(brokers) == 0 || len(brokers) > maxBrokers {
		return nil, fmt.Errorf("%d brokers configured; there must be 1 to %d", len(brokers), maxBrokers)
	}
	return brokers, nil
}

// dialEach bounds the dialling of one address, so that a silent one does not use
// up the time of those after it in the list.
func dialEach(dial func(context.Context, string, string) (net.Conn, error), limit time.Duration) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return dial(ctx, network, address)
	}
}

// reset drops the connections, so that the next request opens new ones to the
// nodes as they are then (kafka-go by itself takes seconds to notice). Of
// several requests that fail together the first one does it.
func (c *Client) reset(generation uint64) {
	c.mu.Lock()
	mine := c.generation == generation
	if mine {
		c.generation++
		clear(c.leaders)
	}
	c.mu.Unlock()
	if mine {
		c.transport.CloseIdleConnections()
	}
}
