// Package cluster runs a real Apache Kafka on the loopback interface: it fetches
// the jars from Maven Central, formats and starts the nodes (KRaft, broker and
// controller in one), kills and restarts them, and leaves nothing behind. It is
// for tests and tools; the service must not import it.
package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DefaultVersion of Apache Kafka; 3.7.2 and 3.9.1 are known to work too.
const DefaultVersion = "4.3.1"

const (
	// startLimit bounds the start: formatting, booting, the first answers.
	startLimit = 60 * time.Second
	// startAttempts: a free port may be taken by somebody else before it is used.
	startAttempts = 3
	maxNodes      = 9
)

// Config says what to run.
type Config struct {
	Version string // of Apache Kafka; DefaultVersion if empty
	Nodes   int    // 1 if zero
	Listen  string // host:port of the first node; a free port of 127.0.0.1 if empty
	Cache   string // directory for jars; the user's cache directory if empty
}

// Cluster is a running Kafka. Stop must be called.
type Cluster struct {
	java Java
	libs string
	dir  string

	mu    sync.Mutex
	nodes []*node
}

// Start runs a cluster and returns once every node answers and a producer id can
// be had. It downloads the jars if the cache lacks them, which takes about half a
// minute and is not part of the time limit.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	if config.Version == "" {
		config.Version = DefaultVersion
	}
	config.Nodes = max(config.Nodes, 1)
	if config.Nodes > maxNodes {
		return nil, fmt.Errorf("%d nodes asked for, at most %d are started", config.Nodes, maxNodes)
	}
	java, err := FindJava(ctx)
	if err != nil {
		return nil, err
	}
	libs, err := Libs(ctx, config.Cache, config.Version)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		cluster, err := start(ctx, config, java, libs)
		if err == nil {
			return cluster, nil
		}
		if !errors.Is(err, errPortTaken) || config.Listen != "" || attempt == startAttempts {
			return nil, fmt.Errorf("start Apache Kafka %s: %w", config.Version, err)
		}
	}
}

func start(ctx context.Context, config Config, java Java, libs string) (*Cluster, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not ready within %v", startLimit))
	defer cancel()
	dir, err := os.MkdirTemp("", "threadcast-kafka-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{java: java, libs: libs, dir: dir}
	if err := c.boot(ctx, config); err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, errors.Join(fmt.Errorf("%w%s", err, c.logTails()), c.Stop())
	}
	return c, nil
}

func (c *Cluster) boot(ctx context.Context, config Config) error {
	if err := c.layOut(config); err != nil {
		return err
	}
	id, err := clusterID()
	if err != nil {
		return err
	}
	for _, n := range c.nodes {
		if err := n.format(ctx, c.java, c.libs, id); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := n.start(c.java, c.libs); err != nil {
			return err
		}
	}
	return c.awaitReady(ctx)
}

// layOut chooses the ports and writes each node's configuration.
func (c *Cluster) layOut(config Config) error {
	addresses, err := freeAddresses(2 * config.Nodes)
	if err != nil {
		return err
	}
	if config.Listen != "" {
		if _, _, err := net.SplitHostPort(config.Listen); err != nil {
			return fmt.Errorf("listen on %q: %w", config.Listen, err)
		}
		addresses[0] = config.Listen
	}
	brokers, controllers := addresses[:config.Nodes], addresses[config.Nodes:]
	voters := make([]string, config.Nodes)
	for i, address := range controllers {
		voters[i] = strconv.Itoa(i+1) + "@" + address
	}
	for i := range config.Nodes {
		n := &node{id: i + 1, address: brokers[i], dir: filepath.Join(c.dir, "node"+strconv.Itoa(i+1))}
		c.nodes = append(c.nodes, n)
		if err := n.configure(controllers[i], strings.Join(voters, ","), config.Nodes); err != nil {
			return err
		}
	}
	return nil
}

// clusterID is 16 random bytes as Kafka writes them; a dash in front would be
// taken for an option.
func clusterID() (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", err
	}
	id[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}

// freeAddresses gives loopback addresses that were free a moment ago, all
// different as they are held together.
func freeAddresses(n int) (addresses []string, err error) {
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}

// Brokers are the addresses of the nodes.
func (c *Cluster) Brokers() []string {
	addresses := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addresses[i] = n.address
	}
	return addresses
}

// Libs is the directory of the jars.
func (c *Cluster) Libs() string { return c.libs }

// Kill ends a node (1, 2, ...) as kill -9 does, and waits until it is gone. A
// node that is not running stays so.
func (c *Cluster) Kill(id int) error {
	n, err := c.node(id)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return n.kill()
}

// Restart starts a node that was killed, on its data; it returns before the node
// answers.
func (c *Cluster) Restart(id int) error {
	n, err := c.node(id)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return n.start(c.java, c.libs)
}

// AwaitReady returns once every node answers and a producer id can be had.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not ready within %v", startLimit))
	defer cancel()
	if err := c.awaitReady(ctx); err != nil {
		return fmt.Errorf("wait for Kafka: %w%s", err, c.logTails())
	}
	return nil
}

func (c *Cluster) node(id int) (*node, error) {
	if id < 1 || id > len(c.nodes) {
		return nil, fmt.Errorf("node %d of %d does not exist", id, len(c.nodes))
	}
	return c.nodes[id-1], nil
}

// Stop ends all nodes and removes their data. It may be called again.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var failed []error
	for _, n := range c.nodes {
		failed = append(failed, n.kill())
	}
	return errors.Join(append(failed, os.RemoveAll(c.dir))...)
}

func (c *Cluster) logTails() string {
	var tails strings.Builder
	for _, n := range c.nodes {
		if tail := n.logTail(); tail != "" {
			fmt.Fprintf(&tails, "\nnode %d said last:\n%s", n.id, tail)
		}
	}
	return tails.String()
}
