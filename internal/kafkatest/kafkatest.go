// Package kafkatest gives tests and the demo a Kafka broker: one inside the
// process, or the real one that `go run ./internal/kafkatest/real` started. It
// reads topics back with franz-go, which is another client than the one under
// test, and it breaks connections on purpose. The service must not import it.
package kafkatest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Environment variables that the real broker's runner sets for its command.
const (
	BrokersVariable = "THREADCAST_TEST_BROKERS" // host:port, separated by commas
	LibsVariable    = "THREADCAST_KAFKA_LIBS"   // directory of Kafka's jars
)

// Broker is a cluster inside the process. It answers like Kafka, but it keeps
// epochs per producer and not per partition, nothing is replicated, and
// message.timestamp.type of a topic stamps nothing: records keep their
// producer's time.
type Broker struct {
	*kfake.Cluster
	// Dial reaches it, also when it is on a virtual network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Option is a choice for New and Start.
type Option func(*options)

type options struct {
	nodes   int
	virtual bool
	port    int
	topics  []topic
}

type topic struct {
	name       string
	partitions int32
	configs    map[string]string
}

// Nodes sets the number of nodes; one by default.
func Nodes(n int) Option { return func(o *options) { o.nodes = n } }

// Topic creates a topic; configs may be nil.
func Topic(name string, partitions int32, configs map[string]string) Option {
	return func(o *options) { o.topics = append(o.topics, topic{name, partitions, configs}) }
}

// Port sets the port of the first node, to put a cluster where another one was.
func Port(n int) Option { return func(o *options) { o.port = n } }

// Virtual puts the cluster on a network of pipes, so that it can run inside a
// synctest bubble: clients must use Dial.
func Virtual() Option { return func(o *options) { o.virtual = true } }

// New starts a cluster inside the process; Close stops it. Topics are created
// only when asked for by name, as on a cluster that is run with care.
func New(opts ...Option) (*Broker, error) {
	chosen := options{nodes: 1}
	for _, opt := range opts {
		opt(&chosen)
	}
	broker := &Broker{Dial: (&net.Dialer{}).DialContext}
	settings := []kfake.Opt{kfake.NumBrokers(chosen.nodes)}
	if chosen.virtual {
		network := &kfake.VirtualNetwork{}
		broker.Dial = network.DialContext
		settings = append(settings, kfake.ListenFn(network.Listen), kfake.Ports(ports(chosen.nodes)...))
	} else if chosen.port != 0 {
		settings = append(settings, kfake.Ports(chosen.port))
	}
	cluster, err := kfake.NewCluster(settings...)
	if err != nil {
		return nil, fmt.Errorf("start the broker inside the process: %w", err)
	}
	broker.Cluster = cluster
	refuseReplaced(cluster)
	for _, topic := range chosen.topics {
		if err := cluster.CreateTopic(topic.name, topic.partitions, topic.configs); err != nil {
			cluster.Close()
			return nil, fmt.Errorf("create topic %q: %w", topic.name, err)
		}
	}
	return broker, nil
}

// ports are for a virtual network, where no other process can have taken them.
func ports(n int) []int {
	const first = 9092
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = first + i
	}
	return numbers
}

// Start is New for the time of a test.
func Start(t testing.TB, opts ...Option) *Broker {
	t.Helper()
	broker, err := New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	return broker
}

// Real reports whether tests run against a real broker.
func Real() bool { return os.Getenv(BrokersVariable) != "" }

// Brokers are the addresses of the real broker, if there is one, else of a new
// one inside the process. The real one is shared: names must come from Name.
func Brokers(t testing.TB) []string {
	t.Helper()
	if list := os.Getenv(BrokersVariable); list != "" {
		return strings.Split(list, ",")
	}
	return Start(t).ListenAddrs()
}

// Name makes a name that nobody else uses on a shared broker.
func Name(prefix string) string { return prefix + "." + strings.ToLower(rand.Text()[:12]) }
