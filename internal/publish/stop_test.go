package publish

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// quietWorld has no faults but those that a test asks for.
func quietWorld(t *testing.T, h *history) *world {
	t.Helper()
	w := newWorld(2, h, noBug)
	w.quiet, w.beat = true, time.Minute
	w.restart(w.primary().state)
	return w
}

// restart replaces the process.
func (w *world) restart(state *simState) {
	w.actors, w.wire = nil, nil
	w.start(state.crash())
}

// settleDown runs the world until nothing is left to do now.
func (w *world) settleDown(rounds int) error {
	for range rounds {
		if err := w.round(); err != nil {
			return err
		}
	}
	return nil
}

// publishSome brings threads forward by one revision each and publishes them.
func (w *world) publishSome(t *testing.T, threads ...int) {
	t.Helper()
	w.pages = append(w.pages, page{arrived: w.now.Wall, threads: threads})
	if err := w.settleDown(30); err != nil {
		t.Fatal(err)
	}
	if n := w.primary().state.pending(); n != 0 {
		t.Fatalf("%d entries wait after 30 rounds", n)
	}
}

// write puts a record on a partition as another producer would.
func (l *simLog) write(t *testing.T, at event.Partition, producer broker.Producer, sequence int32, record event.Record) {
	t.Helper()
	headers, err := event.Headers(record.Value)
	if err != nil {
		t.Fatal(err)
	}
	r := broker.Record{Key: record.Key, Value: record.Value}
	for _, header := range headers {
		r.Headers = append(r.Headers, broker.Header(header))
	}
	_, err = l.append(at, broker.AppendBatch(nil, broker.RecordBatch{
		Producer: producer, Sequence: sequence, Time: noon, Records: []broker.Record{r},
	}))
	if err != nil {
		t.Fatal(err)
	}
}

func (e simEvent) record() event.Record {
	return event.Record{EventID: e.id, Key: e.key, Value: e.value}
}

// beat is a heartbeat of another instance.
func beat(t *testing.T, h *history, generation uint32, change func(*event.Heartbeat)) event.Record {
	t.Helper()
	encoder, err := h.encoder(generation)
	if err != nil {
		t.Fatal(err)
	}
	b := event.Heartbeat{
		StateID: "state-1", InstanceID: "other", Host: "elsewhere", StartedAt: noon, ProducerID: 100,
		Partition: alpha0(), At: noon, Watermark: noon,
	}
	change(&b)
	record, err := encoder.Heartbeat(b)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func alpha0() event.Partition { return event.Partition{Topic: "alpha", Number: 0} }

// current writes with the producer that the state has, which needs no fencing.
func (w *world) current() (broker.Producer, int32) {
	p := w.primary().machine.index[alpha0()]
	return w.primary().machine.producer, p.sequence
}

// stopCase is a situation in which publishing has to end for good.
type stopCase struct {
	prepare func(t *testing.T, w *world)
	kind    error
	code    int
	says    []string
}

// stateStops are states that do not belong to the topics.
func stateStops(h *history) map[string]stopCase {
	return map[string]stopCase{
		"a new state whose transactional id had epochs": {
			func(t *testing.T, w *world) { w.log.given.Epoch = 4 },
			ErrLostState, 74, []string{"epoch 5", "backup", "run --new LABEL"},
		},
		"a new state beside records of its account": {
			func(t *testing.T, w *world) {
				e := h.revisions[0][0].events[0]
				w.log.write(t, e.partition, broker.Producer{ID: 55}, 0, e.record())
			},
			ErrLostState, 74, []string{`holds "4711.1.1.1.1"`, "offset 0", "run --new LABEL"},
		},
		"a new state beside heartbeats of another one": {
			func(t *testing.T, w *world) {
				w.log.write(t, alpha0(), broker.Producer{ID: 55}, 0, beat(t, h, 1, func(b *event.Heartbeat) { b.StateID = "state-0" }))
			},
			ErrLostState, 74, []string{"alpha/0", "backup"},
		},
		"another cluster": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				w.primary().state.session.Cluster = "cluster-0"
				w.restart(w.primary().state)
			},
			ErrForeignCluster, 74, []string{"cluster-0", "cluster-1", "kafka.brokers"},
		},
		"an outbox of another generation": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				w.primary().state.session.Generation = 2
				w.observeOnly(0)
				w.restart(w.primary().state)
			},
			ErrOutbox, 70, []string{"generation 2"},
		},
	}
}

// foreignStops are records that the state knows nothing of.
func foreignStops(h *history) map[string]stopCase {
	return map[string]stopCase{
		"an event that another instance wrote": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				producer, sequence := w.current()
				w.log.write(t, alpha0(), producer, sequence, beat(t, h, 1, func(b *event.Heartbeat) { b.Events = events(w, alpha0()) }))
				w.log.write(t, alpha0(), producer, sequence+1, h.revisions[2][0].events[0].record())
				w.restart(w.primary().state)
			},
			ErrForeignRecord, 74, []string{"alpha/0", `event "4711.1.3.1.1"`, "offset 5", `host "elsewhere"`, "2026-09-08T12:00:00Z", "backup"},
		},
		"an event in the outbox, with other facts": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				w.observeOnly(2)
				producer, sequence := w.current()
				w.log.write(t, alpha0(), producer, sequence, altered(t, h.revisions[2][0].events[0], func(e *threadcastv1.ThreadEvent) {
					e.After.InboxId = "11"
				}))
				w.restart(w.primary().state)
			},
			ErrForeignRecord, 74, []string{`event "4711.1.3.1.1"`},
		},
		"an event that is there twice": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				w.observeOnly(2)
				producer, sequence := w.current()
				for i := range int32(2) {
					w.log.write(t, alpha0(), producer, sequence+i, h.revisions[2][0].events[0].record())
				}
				w.restart(w.primary().state)
			},
			ErrForeignRecord, 74, []string{`event "4711.1.3.1.1"`},
		},
		"a record of the account that nobody understands": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				producer, sequence := w.current()
				w.log.write(t, alpha0(), producer, sequence, altered(t, h.revisions[2][0].events[0], func(e *threadcastv1.ThreadEvent) {
					e.AccountId = "9"
				}))
				w.restart(w.primary().state)
			},
			ErrForeignRecord, 74, []string{"none of threadcast's"},
		},
		"a later generation": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				producer, sequence := w.current()
				w.log.write(t, alpha0(), producer, sequence, beat(t, h, 2, func(b *event.Heartbeat) { b.StateID = "state-2" }))
				w.restart(w.primary().state)
			},
			ErrForeignRecord, 74, []string{"generation 2", "generation 1"},
		},
		"a heartbeat of another state": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				producer, sequence := w.current()
				w.log.write(t, alpha0(), producer, sequence, beat(t, h, 1, func(b *event.Heartbeat) { b.StateID = "state-2" }))
				w.restart(w.primary().state)
			},
			ErrForeignRecord, 74, []string{`another state, "state-2"`},
		},
	}
}

// topicStops are topics that lack what was published.
func topicStops(h *history) map[string]stopCase {
	return map[string]stopCase{
		"a heartbeat that counts more than there is": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				producer, sequence := w.current()
				w.log.write(t, alpha0(), producer, sequence, beat(t, h, 1, func(b *event.Heartbeat) { b.Events = 17 }))
				w.restart(w.primary().state)
			},
			ErrHole, 74, []string{"alpha/0", "counts 17 events"},
		},
		"a topic that was created anew": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				*w.log.partitions[alpha0()] = simPartition{producers: map[int64]*simProducer{}}
				w.restart(w.primary().state)
			},
			ErrRecreated, 74, []string{"alpha/0", "barrier got offset 0", "run --new LABEL"},
		},
		"a topic that was created anew and filled": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				records := w.log.partitions[alpha0()].records
				for i := range records {
					records[i].Key, records[i].Value = []byte("x"), []byte("y")
				}
				w.restart(w.primary().state)
			},
			ErrRecreated, 74, []string{"there is another record"},
		},
		"a topic that was created anew while running": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				*w.log.partitions[alpha0()] = simPartition{producers: map[int64]*simProducer{}}
				w.observeOnly(0)
			},
			ErrRecreated, 74, []string{"got offset 0"},
		},
	}
}

// instanceStops are successors.
func instanceStops(h *history) map[string]stopCase {
	return map[string]stopCase{
		"another instance took over": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				producer, _ := w.current()
				w.log.write(t, alpha0(), broker.Producer{ID: producer.ID, Epoch: producer.Epoch + 1}, 0,
					beat(t, h, 1, func(b *event.Heartbeat) { b.Barrier = true }))
				w.observeOnly(0)
			},
			ErrFenced, 75, []string{"partition alpha/0", "producer 100, epoch 0", "Exactly one instance"},
		},
		"another instance took over, seen at a recovery": {
			func(t *testing.T, w *world) {
				w.publishSome(t, 0)
				w.log.given.Epoch++
				w.refuse = func(q Request) error {
					if q.Question == AskAppend {
						return broker.UnknownProducerID
					}
					return nil
				}
				w.observeOnly(0)
			},
			ErrFenced, 75, []string{"the coordinator refused producer 100, epoch 0"},
		},
	}
}

// A state that does not belong to what the topics hold stops with a code and a
// message that says what to do. Invariant G9.
func TestStops(t *testing.T) {
	h := newHistory(t, simRevisions)
	cases := stateStops(h)
	for _, more := range []map[string]stopCase{foreignStops(h), topicStops(h), instanceStops(h)} {
		maps.Copy(cases, more)
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := quietWorld(t, h)
			c.prepare(t, w)
			err := w.settleDown(60)
			checkStop(t, err, c.kind, c.code, c.says)
			if c.kind != ErrLostState {
				return
			}
			w.restart(w.primary().state)
			checkStop(t, w.settleDown(1), c.kind, c.code, c.says) // it stays so
			if len(w.wire) > 0 {
				t.Error("a state that is known to be lost asked Kafka")
			}
		})
	}
}

func checkStop(t *testing.T, err, kind error, code int, says []string) {
	t.Helper()
	var stop *Stop
	if !errors.Is(err, kind) || !errors.As(err, &stop) || stop.ExitCode() != code {
		t.Fatalf("got %v, want code %d, %v", err, code, kind)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("message lacks %q: %v", text, err)
		}
	}
}

func events(w *world, at event.Partition) uint64 {
	return w.primary().state.partitions[at].position.Events
}

// observeOnly takes a page into the state.
func (w *world) observeOnly(threads ...int) {
	w.pages = append(w.pages, page{arrived: w.now.Wall, threads: threads})
	w.commit(len(w.pages) - 1)
}

func altered(t *testing.T, e simEvent, change func(*threadcastv1.ThreadEvent)) event.Record {
	t.Helper()
	m, err := event.Decode(e.value)
	if err != nil {
		t.Fatal(err)
	}
	change(m)
	value, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return event.Record{EventID: m.EventId, Key: e.key, Value: value}
}
