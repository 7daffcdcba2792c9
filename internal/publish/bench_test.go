package publish

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/kafkatest"
	"github.com/threadcast/threadcast/internal/thread"
)

const benchEvents = 20_000

// backlog is an outbox in memory, as cheap as can be, so that the publisher is what
// is measured.
type backlog struct {
	mu         sync.Mutex
	session    event.Session
	partitions map[event.Partition][]event.Entry
	waiting    int
	empty      chan struct{}
}

func newBacklog(topic string, partitions int32, entries []event.Entry) *backlog {
	b := &backlog{
		session:    event.Session{Account: account, StateID: "state", Generation: 1, Fresh: true, ProducerID: -1, Epoch: -1},
		partitions: map[event.Partition][]event.Entry{}, waiting: len(entries), empty: make(chan struct{}),
	}
	for n := range partitions {
		at := event.Partition{Topic: topic, Number: n}
		b.session.Partitions = append(b.session.Partitions, event.PartitionState{Partition: at, Position: event.Position{Offset: -1}})
	}
	for i, e := range entries {
		at := event.Partition{Topic: topic, Number: int32(i) % partitions}
		e.Number = uint64(len(b.partitions[at])) + 1
		b.partitions[at] = append(b.partitions[at], e)
	}
	return b
}

func (b *backlog) Session() event.Session          { return b.session }
func (b *backlog) SaveSession(event.Session) error { return nil }
func (b *backlog) Promise(time.Time)               {}
func (b *backlog) Flush() error                    { return nil }
func (b *backlog) Acknowledge(ack event.Ack) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting -= len(ack.Entries); b.waiting == 0 && len(ack.Entries) > 0 {
		close(b.empty)
	}
	return nil
}

func (b *backlog) Pending(p event.Partition, after uint64, limit int) ([]event.Entry, error) {
	all := b.partitions[p]
	from := min(after, uint64(len(all)))
	return slices.Clone(all[from:min(int(from)+limit, len(all))]), nil
}

func benchEntries(b *testing.B) []event.Entry {
	b.Helper()
	h := newHistory(b, simRevisions)
	var entries []event.Entry
	for i := range benchEvents {
		chain := h.revisions[i%simThreads]
		e := chain[i%len(chain)].events[0]
		entries = append(entries, event.Entry{Observation: uint64(i) + 1, ObservedAt: noon, EventID: e.id, Key: e.key, Value: e.value})
	}
	return entries
}

// BenchmarkBacklog publishes a backlog: with this package, idempotent and headers
// included, and with kafka-go's Writer, to the broker inside the process.
func BenchmarkBacklog(b *testing.B) {
	entries := benchEntries(b)
	for _, partitions := range []int32{1, 12} {
		b.Run(fmt.Sprintf("partitions=%d/publish", partitions), func(b *testing.B) {
			run(b, partitions, func(brokers []string, topic string) { publishBacklog(b, brokers, topic, partitions, entries) })
		})
		b.Run(fmt.Sprintf("partitions=%d/kafka-go", partitions), func(b *testing.B) {
			run(b, partitions, func(brokers []string, topic string) { writeBacklog(b, brokers, topic, entries) })
		})
	}
}

func run(b *testing.B, partitions int32, once func(brokers []string, topic string)) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		cluster, err := kafkatest.New(kafkatest.Topic("bench", partitions, nil))
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		once(cluster.ListenAddrs(), "bench")
		b.StopTimer()
		cluster.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(benchEvents)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func publishBacklog(b *testing.B, brokers []string, topic string, partitions int32, entries []event.Entry) {
	client, err := broker.Open(broker.Config{Brokers: brokers, ClientID: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	outbox := newBacklog(topic, partitions, entries)
	cfg := Config{
		TransactionalID: "bench", Cluster: "bench", Instance: Instance{ID: "bench", Host: "bench", StartedAt: noon},
		// The start of a session is not what is measured.
		Observer: Observer{Established: func(broker.Producer, int) { b.StartTimer() }},
	}
	b.StopTimer()
	p := NewPublisher(cfg, outbox, outbox, client, thread.NewClock())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	select {
	case <-outbox.empty:
	case err := <-ended:
		b.Fatal(err)
	}
	cancel()
	<-ended
}

func writeBacklog(b *testing.B, brokers []string, topic string, entries []event.Entry) {
	writer := &kafka.Writer{
		Addr: kafka.TCP(brokers...), Topic: topic, RequiredAcks: kafka.RequireAll, Balancer: &kafka.RoundRobin{},
		BatchSize: mostRecords, BatchBytes: largestBatch, BatchTimeout: time.Millisecond,
	}
	defer writer.Close()
	b.StopTimer()
	if err := writer.WriteMessages(context.Background(), kafka.Message{}); err != nil { // it finds the brokers
		b.Fatal(err)
	}
	b.StartTimer()
	messages := make([]kafka.Message, len(entries))
	for i, e := range entries {
		headers, err := event.Headers(e.Value)
		if err != nil {
			b.Fatal(err)
		}
		messages[i] = kafka.Message{Key: e.Key, Value: e.Value, Headers: make([]kafka.Header, len(headers))}
		for j, h := range headers {
			messages[i].Headers[j] = kafka.Header(h)
		}
	}
	if err := writer.WriteMessages(context.Background(), messages...); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOneEvent is the way of one event from the outbox to its acknowledgement.
func BenchmarkOneEvent(b *testing.B) {
	cluster, err := kafkatest.New(kafkatest.Topic("alpha", simPartitionCount, nil), kafkatest.Topic("beta", simPartitionCount, nil))
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	client, err := broker.Open(broker.Config{Brokers: cluster.ListenAddrs(), ClientID: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	h := newHistory(b, 1)
	state := &sharedState{simState: newSimState(simPartitions())}
	acknowledged := make(chan struct{})
	cfg := Config{
		TransactionalID: "bench", Cluster: "bench", Instance: Instance{ID: "bench", Host: "bench", StartedAt: noon},
		Observer: Observer{Published: func(thread.Kind, int, time.Duration) { acknowledged <- struct{}{} }},
	}
	p := NewPublisher(cfg, state, state, client, thread.NewClock())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	one := simRevision{events: h.revisions[0][0].events[:1]}
	for b.Loop() {
		state.observe(noon, one)
		p.Wake()
		<-acknowledged
	}
	cancel()
	<-ended
}
