package main

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// mostRecords are kept, about 1 KiB each, as the check at the end needs them all; a
// demo that has seen so many has shown what it can.
const mostRecords = 500_000

// reading is an event as it reached the consumer.
type reading struct {
	record *kgo.Record
	at     time.Time // of its arrival here
	event  *threadcastv1.ThreadEvent
	said   event.Description
	first  bool                 // of the threads that were there at the start
	cause  hubspottest.Mutation // zero: nothing that the fake has logged
}

func (r reading) kind() thread.Kind { return thread.Kind(r.event.GetKind()) }

// delay is the time from the mutation to here; false if there was none.
func (r reading) delay() (time.Duration, bool) {
	return r.at.Sub(r.cause.Time), r.cause.Sequence > 0
}

// audience takes what the consumer reads: it keeps the records, counts, and shows
// events to a view.
type audience struct {
	truth      *truth
	view       view
	steal      func(*kgo.Record) bool
	discovered chan struct{} // closed once all threads of the start are on Kafka

	mu      sync.Mutex
	records []*kgo.Record
	next    map[event.Partition]int64
	start   discovery
	tally   tally
}

// discovery counts the events of the threads that were there at the start.
type discovery struct {
	threads, events int // that have come
	dueThreads      int
	dueEvents       int // of the threads that have come
	seen            map[string]bool
}

func (d *discovery) complete() bool { return d.threads == d.dueThreads && d.events == d.dueEvents }

// take counts an event of a thread's first revision. The first of them to come tells
// how many there are.
func (d *discovery) take(m *threadcastv1.ThreadEvent) {
	if !d.seen[m.ThreadId] {
		d.seen[m.ThreadId] = true
		d.threads++
		d.dueEvents += len(m.Kinds)
	}
	d.events++
}

// tally counts what the summary tells.
type tally struct {
	events map[thread.Kind]map[string]int // by what they say, those of the start left out
	delays []time.Duration
}

func newAudience(server *hubspottest.Server, listed int, v view, steal func(*kgo.Record) bool) *audience {
	a := &audience{
		truth: newTruth(server), view: v, steal: steal, discovered: make(chan struct{}),
		next:  map[event.Partition]int64{},
		start: discovery{dueThreads: listed, seen: map[string]bool{}},
		tally: tally{events: map[thread.Kind]map[string]int{}},
	}
	if a.start.complete() { // every thread lies in the trash
		close(a.discovered)
	}
	return a
}

// take is called with each record, in the order of its partition.
func (a *audience) take(record *kgo.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next[event.Partition{Topic: record.Topic, Number: record.Partition}] = record.Offset + 1
	if a.steal != nil && a.steal(record) {
		return
	}
	a.records = append(a.records, record)
	m, err := event.Decode(record.Value)
	if err != nil || m.GetHeartbeat() != nil {
		return // the check complains of what cannot be decoded
	}
	r := reading{record: record, at: time.Now(), event: m, said: event.Describe(m), first: !a.start.complete()}
	if r.first {
		a.start.take(m)
	} else {
		a.change(&r)
	}
	a.view.show(r)
	if r.first && a.start.complete() {
		close(a.discovered)
	}
}

// change looks up what an event tells of and counts it.
func (a *audience) change(r *reading) {
	kind := r.kind()
	if id, err := thread.ParseID(r.event.ThreadId); err == nil {
		r.cause, _ = a.truth.cause(id, kind, r.event.Revision == 1, r.event.WindowEnd.AsTime())
	}
	if a.tally.events[kind] == nil {
		a.tally.events[kind] = map[string]int{}
	}
	a.tally.events[kind][r.said.What]++
	if delay, known := r.delay(); known {
		a.tally.delays = append(a.tally.delays, delay)
	}
}

// full says whether no more records should come.
func (a *audience) full() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.records) >= mostRecords
}

// kept are the records so far.
func (a *audience) kept() []*kgo.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.records)
}

// reached says whether everything before the ends has come.
func (a *audience) reached(ends map[event.Partition]int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for partition, end := range ends {
		if a.next[partition] < end {
			return false
		}
	}
	return true
}

// counted are the counts so far.
func (a *audience) counted() (discovery, tally) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := tally{events: maps.Clone(a.tally.events), delays: slices.Clone(a.tally.delays)}
	return a.start, t
}
