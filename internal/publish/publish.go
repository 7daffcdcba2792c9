// Package publish owns the way of a durable outbox onto Kafka: each entry once, in
// order, under a producer epoch that fences every earlier instance. What is on the
// topics is the truth; the state only remembers it. The Machine decides and is pure;
// the Publisher carries its requests out. The package must not know HubSpot, and
// changes nothing in an entry.
package publish

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// Outbox holds the entries that wait.
type Outbox interface {
	// Pending returns up to limit entries of a partition that are not acknowledged
	// and have a number above after, ascending.
	Pending(p event.Partition, after uint64, limit int) ([]event.Entry, error)
	// Acknowledge holds in memory at once, and is durable with the next commit or
	// Flush. A repeated call changes nothing.
	Acknowledge(event.Ack) error
	// Flush makes acknowledgements durable.
	Flush() error
}

// Ledger is the identity part of the state.
type Ledger interface {
	// Session is the state as stored, with the position of every partition that is
	// written to.
	Session() event.Session
	// SaveSession is durable when it returns. Partitions are not taken from it.
	SaveSession(event.Session) error
	// Promise says that a watermark is about to be given: no event will be observed
	// before it any more.
	Promise(t time.Time)
}

// Writer is the part of Kafka that is written to; broker.Client is one.
type Writer interface {
	InitProducer(ctx context.Context, transactionalID string, current broker.Producer) (broker.Producer, error)
	Produce(ctx context.Context, batches []broker.Batch) []broker.Produced
}

// Reader is the part of Kafka that is read; broker.Client is one.
type Reader interface {
	Fetch(ctx context.Context, topic string, partition int32, offset int64) (broker.Fetched, error)
	Offsets(ctx context.Context, topic string, partition int32) (start, end int64, err error)
}

// Log is the topics.
type Log interface {
	Writer
	Reader
}

// Instance is this process, for heartbeats.
type Instance struct {
	ID        string // random
	Host      string
	StartedAt time.Time
}

// Observer is told what happens, for metrics and logs; any function may be nil. They
// are called from the goroutine that runs the machine, and must be quick.
type Observer struct {
	// Published: n events of a kind were acknowledged, delay after they were observed.
	Published func(kind thread.Kind, n int, delay time.Duration)
	// Retried: a request failed and will be repeated.
	Retried func(err error)
	// Established: a session has begun, n entries were found on the topics already.
	Established func(producer broker.Producer, reconciled int)
	// Fenced: another instance has taken over.
	Fenced func()
	// Watermark: a heartbeat that gave t is on the topic.
	Watermark func(p event.Partition, t time.Time)
}

// Config is what a machine is made with.
type Config struct {
	TransactionalID string
	// Cluster is Kafka's id of the cluster that is connected.
	Cluster  string
	Instance Instance
	Codec    broker.Codec
	// HeartbeatEvery is the time between two heartbeats of a partition; at most an
	// hour, five minutes if zero.
	HeartbeatEvery time.Duration
	// BatchBytes is the most that a topic takes in one batch, by topic; topics that
	// are not listed take Kafka's default of 1 MiB.
	BatchBytes map[string]int
	// Compacted names the topics whose records may go before retention takes them.
	Compacted map[string]bool
	// Horizon is the oldest moment of which something may still have to be observed:
	// the sending of the oldest request in flight, the arrival of the oldest page
	// not yet committed, the oldest confirmation. Zero or nil: now.
	Horizon func() time.Time
	// Held is the number of threads that wait for an operator; may be nil.
	Held func() uint32
	// Transient says that an error of the state passes by itself (a full disk); nil:
	// none does, and each ends the machine.
	Transient func(error) bool
	// Random spreads repetitions; nil: they are not spread.
	Random *rand.Rand
	// Encoder makes the encoder of a generation; nil: event.NewEncoder.
	Encoder  func(generation uint32) (*event.Encoder, error)
	Observer Observer
}

const (
	defaultHeartbeat = 5 * time.Minute
	// longestHeartbeat keeps the broker's memory of the producer alive, which lasts
	// a day at default settings, and ends instances that were replaced while idle.
	longestHeartbeat = time.Hour
	// unanswered is how long the same bytes may be sent again. Once the broker has
	// forgotten the producer it would append a repetition, so this stays far below
	// the day that it remembers.
	unanswered = time.Hour
	// longestSilence is how long a partition may go without a write before the next
	// one asks for a new session: half of the day after which a broker forgets whom
	// it has to refuse.
	longestSilence = 12 * time.Hour
	// flushEvery bounds how much a restart has to scan.
	flushEvery = time.Second
	// largestBatch keeps a batch well below Kafka's 1 MiB and an answer soon.
	largestBatch = 512 << 10
	// mostRecords bounds what a lost answer makes the next session match.
	mostRecords = 1000
	// readEntries is the piece in which the outbox is read, and how few entries of a
	// partition may be in memory before more are read.
	readEntries = 512
	// scansAtOnce bounds the memory of a scan: an answer has up to 4 MiB.
	scansAtOnce = 4
)

func (c *Config) complete() {
	if c.HeartbeatEvery <= 0 {
		c.HeartbeatEvery = defaultHeartbeat
	}
	c.HeartbeatEvery = min(c.HeartbeatEvery, longestHeartbeat)
	if c.Transient == nil {
		c.Transient = func(error) bool { return false }
	}
	if c.Held == nil {
		c.Held = func() uint32 { return 0 }
	}
	if c.Horizon == nil {
		c.Horizon = func() time.Time { return time.Time{} }
	}
}

func (c *Config) batchBytes(topic string) int {
	const overhead = 1 << 10 // the batch header, and what compression may add
	if limit := c.BatchBytes[topic]; limit > 2*overhead {
		return min(largestBatch, limit-overhead)
	}
	return largestBatch
}
