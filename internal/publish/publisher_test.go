package publish

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/kafkatest"
	"github.com/threadcast/threadcast/internal/thread"
)

// sharedState is a state that a publisher and a test use at once.
type sharedState struct {
	mu sync.Mutex
	*simState
}

func (s *sharedState) Session() event.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.simState.Session()
}

func (s *sharedState) SaveSession(session event.Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.simState.SaveSession(session)
}

func (s *sharedState) Promise(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.simState.Promise(t)
}

func (s *sharedState) Pending(p event.Partition, after uint64, limit int) ([]event.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.simState.Pending(p, after, limit)
}

func (s *sharedState) Acknowledge(ack event.Ack) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.simState.Acknowledge(ack)
}

func (s *sharedState) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.simState.Flush()
}

func (s *sharedState) observe(at time.Time, revisions ...simRevision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.simState.observe(at, revisions)
}

func (s *sharedState) crash() *sharedState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &sharedState{simState: s.simState.crash()}
}

func (s *sharedState) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.simState.pending()
}

// site is a broker with topics, and a client of it.
type site struct {
	brokers []string
	topics  [2]string
	history *history
	client  *broker.Client
	txn     string
}

func newSite(t *testing.T, dialer *kafkatest.FaultDialer) *site {
	t.Helper()
	s := &site{brokers: kafkatest.Brokers(t), txn: kafkatest.Name("publish")}
	s.topics = [2]string{kafkatest.Name("alpha"), kafkatest.Name("beta")}
	s.history = newHistoryOn(t, simRevisions, s.topics)
	s.client = s.open(t, nil)
	specs := make([]broker.TopicSpec, len(s.topics))
	for i, name := range s.topics {
		specs[i] = broker.TopicSpec{
			Name: name, Partitions: simPartitionCount, ReplicationFactor: 1,
			Configs: map[string]string{"message.timestamp.type": "LogAppendTime"},
		}
	}
	if err := s.client.CreateTopics(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
	if dialer != nil {
		s.client = s.open(t, dialer)
	}
	return s
}

func (s *site) open(t *testing.T, dialer *kafkatest.FaultDialer) *broker.Client {
	t.Helper()
	cfg := broker.Config{Brokers: s.brokers, ClientID: "test", RequestTimeout: 5 * time.Second}
	if dialer != nil {
		cfg.Dial = dialer.Dial
	}
	client, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// process is a running publisher.
type process struct {
	*Publisher
	cancel context.CancelFunc
	ended  chan error
}

func (s *site) start(t *testing.T, state *sharedState, log Log) *process {
	t.Helper()
	cfg := Config{
		TransactionalID: s.txn, Cluster: "cluster-1", HeartbeatEvery: 100 * time.Millisecond,
		Instance: Instance{ID: kafkatest.Name("instance"), Host: "host", StartedAt: time.Now()},
		Random:   rand.New(rand.NewPCG(1, 1)),
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{NewPublisher(cfg, state, state, log, thread.NewClock()), cancel, make(chan error, 1)}
	go func() { p.ended <- p.Run(ctx) }()
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *process) stop() error {
	p.cancel()
	err, ok := <-p.ended
	if ok {
		close(p.ended)
	}
	return err
}

// until waits for a state of affairs, not for a time.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-limit.C:
			t.Fatalf("waited 30 s: %s", what)
		case <-tick.C:
		}
	}
}

// With another client than ours, each event is where it belongs, once, in order, with
// the headers that follow from it, while connections fail and processes die.
func TestPublisherOnABrokerWithFaults(t *testing.T) {
	dialer := kafkatest.NewFaultDialer(7, 200*time.Millisecond, nil)
	s := newSite(t, dialer)
	dialer.Random(kafkatest.ProduceRequest, kafkatest.Shares{
		kafkatest.LostRequest: 60, kafkatest.LostAnswer: 120, kafkatest.LateRequest: 60,
	})
	state := &sharedState{simState: newSimState(partitionsOf(s.topics[:]...))}
	p := s.start(t, state, s.client)
	for round := range simRevisions {
		revisions := make([]simRevision, simThreads)
		for id := range revisions {
			revisions[id] = s.history.revisions[id][round]
		}
		state.observe(time.Now(), revisions...)
		p.Wake()
		if round%3 == 2 { // it dies with what it has in flight
			before := state.pending()
			until(t, "some of it is published", func() bool { return state.pending() < before })
			dead := state
			state = dead.crash()
			if err := p.stop(); !errors.Is(err, context.Canceled) {
				t.Fatalf("round %d: %v", round, err)
			}
			p = s.start(t, state, s.client)
		}
	}
	until(t, "all of it is published", func() bool { return state.pending() == 0 })
	dialer.Random(kafkatest.ProduceRequest, nil)
	dialer.Wait()
	if err := p.stop(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s.check(t)
	for _, fault := range []kafkatest.Fault{kafkatest.LostRequest, kafkatest.LostAnswer, kafkatest.LateRequest} {
		if dialer.Hits(fault) == 0 {
			t.Errorf("no request suffered fault %v", fault)
		}
	}
}

// check reads the topics back and compares them with the whole history.
func (s *site) check(t *testing.T) {
	t.Helper()
	want := map[string]simEvent{}
	for _, chain := range s.history.revisions {
		for _, revision := range chain {
			for _, e := range revision.events {
				want[e.id] = e
			}
		}
	}
	last := map[string]int{} // revision, by thread and topic
	for _, topic := range s.topics {
		events := map[int32]uint64{}
		for _, r := range kafkatest.ReadAll(t, s.brokers, topic) {
			e, ok := want[header(r, "ce_id")]
			if !ok {
				checkHeartbeat(t, r, events[r.Partition])
				continue
			}
			delete(want, e.id)
			events[r.Partition]++
			checkRecord(t, r, e)
			of := string(e.key) + topic
			if e.revision < last[of] {
				t.Errorf("event %s comes after one of revision %d", e.id, last[of])
			}
			last[of] = e.revision
		}
	}
	for id := range want {
		t.Errorf("event %s is on no topic", id)
	}
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func checkRecord(t *testing.T, r *kgo.Record, e simEvent) {
	t.Helper()
	if r.Topic != e.partition.Topic || r.Partition != e.partition.Number || !bytes.Equal(r.Key, e.key) || !bytes.Equal(r.Value, e.value) {
		t.Errorf("event %s is at %s/%d with key %s, want %v with %s, and the same value", e.id, r.Topic, r.Partition, r.Key, e.partition, e.key)
	}
	headers, err := event.Headers(e.value)
	if err != nil || len(headers) != len(r.Headers) {
		t.Fatalf("event %s has headers %v, want %v, %v", e.id, r.Headers, headers, err)
	}
	for i, h := range headers {
		if r.Headers[i].Key != h.Key || !bytes.Equal(r.Headers[i].Value, h.Value) {
			t.Errorf("event %s has header %v, want %s=%s", e.id, r.Headers[i], h.Key, h.Value)
		}
	}
}

// checkHeartbeat also finds events that are there twice: they are no longer wanted.
func checkHeartbeat(t *testing.T, r *kgo.Record, events uint64) {
	t.Helper()
	e, err := event.Decode(r.Value)
	beat := e.GetHeartbeat()
	if err != nil || beat == nil || string(r.Key) != account+":0" || header(r, "ce_type") != "threadcast.v1.Heartbeat" {
		t.Fatalf("%s/%d has %v at offset %d with headers %v: unknown, or there twice", r.Topic, r.Partition, e, r.Offset, r.Headers)
	}
	if !beat.Barrier && beat.GetEvents() != events {
		t.Errorf("heartbeat at %s/%d, %d counts %d events, there are %d", r.Topic, r.Partition, r.Offset, beat.GetEvents(), events)
	}
}

func (s *site) all() (revisions [][]simRevision) {
	for n := range simRevisions {
		var page []simRevision
		for id := range simThreads {
			page = append(page, s.history.revisions[id][n])
		}
		revisions = append(revisions, page)
	}
	return revisions
}

// A drain publishes what is in the outbox, makes it durable, and ends without error.
func TestDrainPublishesTheOutbox(t *testing.T) {
	s := newSite(t, nil)
	state := &sharedState{simState: newSimState(partitionsOf(s.topics[:]...))}
	for _, page := range s.all() {
		state.observe(time.Now(), page...)
	}
	p := s.start(t, state, s.client)
	p.Drain()
	p.Drain()
	if err := <-p.ended; err != nil {
		t.Fatal(err)
	}
	close(p.ended)
	if n := state.crash().pending(); n != 0 {
		t.Errorf("%d entries wait in what is durable", n)
	}
	s.check(t)
}

// Of two instances on copies of a state the older one stops for good.
func TestSecondInstanceFencesTheFirst(t *testing.T) {
	s := newSite(t, nil)
	state := &sharedState{simState: newSimState(partitionsOf(s.topics[:]...))}
	pages := s.all()
	state.observe(time.Now(), pages[0]...)
	first := s.start(t, state, s.client)
	until(t, "the first publishes", func() bool { return state.pending() == 0 })
	copied := state.crash()
	second := s.start(t, copied, s.client)
	err := <-first.ended
	close(first.ended)
	checkStop(t, err, ErrFenced, codeFenced, []string{"Exactly one instance"})
	for _, page := range pages[1:] {
		copied.observe(time.Now(), page...)
	}
	second.Wake()
	until(t, "the second publishes the rest", func() bool { return copied.pending() == 0 })
	if err := second.stop(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s.check(t)
}

// silence is a Kafka that never answers.
type silence struct{}

func (silence) InitProducer(ctx context.Context, _ string, _ broker.Producer) (broker.Producer, error) {
	<-ctx.Done()
	return broker.NoProducer(), ctx.Err()
}

func (silence) Produce(ctx context.Context, batches []broker.Batch) []broker.Produced {
	<-ctx.Done()
	return make([]broker.Produced, len(batches))
}

func (silence) Fetch(ctx context.Context, _ string, _ int32, _ int64) (broker.Fetched, error) {
	<-ctx.Done()
	return broker.Fetched{}, ctx.Err()
}

func (silence) Offsets(ctx context.Context, _ string, _ int32) (start, end int64, err error) {
	<-ctx.Done()
	return 0, 0, ctx.Err()
}

// A drain ends within five seconds, a cancelled context at once, whatever Kafka does;
// neither leaves a goroutine behind.
func TestEndWithoutKafka(t *testing.T) {
	s := &site{txn: "t"}
	for name, end := range map[string]func(p *process) error{
		"drain":  func(p *process) error { p.Drain(); err := <-p.ended; close(p.ended); return err },
		"cancel": (*process).stop,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := s.start(t, &sharedState{simState: newSimState(simPartitions())}, silence{})
				synctest.Wait()
				if state := p.State(); state.Ready || !strings.Contains(state.Phase, "asking") {
					t.Errorf("state %+v, want one that asks for a producer", state)
				}
				began := time.Now()
				err := end(p)
				took := time.Since(began)
				switch {
				case name == "drain" && (err != nil || took > 5*time.Second):
					t.Errorf("drained in %v with %v, want nil within 5 s", took, err)
				case name == "cancel" && (!errors.Is(err, context.Canceled) || took > 0):
					t.Errorf("ended after %v with %v, want at once, with the context's error", took, err)
				}
			})
		})
	}
}
