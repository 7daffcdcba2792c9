package oracle_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/oracle"
	"github.com/threadcast/threadcast/internal/thread"
)

// partitions of each topic.
const partitions = 3

// world is a fake HubSpot with a perfect service, whose faults are planted.
type world struct {
	t          *testing.T
	now        time.Time
	server     *hubspottest.Server
	kinds      thread.KindSet
	silent     bool // in the first reading
	generation uint32
	encoder    *event.Encoder
	threads    map[thread.ID]thread.Snapshot
	read       map[thread.ID]time.Time // when the last reading was sent
	log        map[event.Partition][]*kgo.Record
	events     map[event.Partition]uint64
	beats      int32

	// window, if not nil, may spoil what is said about a change.
	window func(*thread.Window)
	// spoil, if not nil, may spoil a snapshot or a change before it is encoded.
	spoil func(before, after *thread.Snapshot, change *thread.Change)
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), kinds: thread.DefaultKinds, log: map[event.Partition][]*kgo.Record{}}
	w.server = hubspottest.New(hubspottest.Config{Clock: func() time.Time { return w.now }})
	w.server.Populate(hubspottest.Population{Threads: 40, Seed: 1, OpenShare: 0.5})
	w.begin(1)
	return w
}

// begin starts a generation: nothing is known.
func (w *world) begin(generation uint32) {
	var err error
	if w.encoder, err = event.NewEncoder(w.server.Account(), generation); err != nil {
		w.t.Fatal(err)
	}
	w.generation = generation
	w.threads, w.read = map[thread.ID]thread.Snapshot{}, map[thread.ID]time.Time{}
	w.events = map[event.Partition]uint64{}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

// observe reads all listed threads and publishes what differs.
func (w *world) observe() {
	w.t.Helper()
	sent := w.now
	w.pass(30 * time.Millisecond)
	for _, t := range w.server.Threads() {
		if !t.Archived && !t.Purged {
			w.take(t, sent)
		}
	}
	w.silent = false
	w.pass(20 * time.Millisecond)
}

func (w *world) take(t hubspottest.Thread, sent time.Time) {
	w.t.Helper()
	before := w.threads[t.ID]
	change := thread.Diff(before, t.Facts(), w.kinds)
	window := thread.Window{Start: w.read[t.ID], End: w.now, ObservedAt: w.now, Lane: thread.LaneFull}
	w.read[t.ID] = sent
	if w.silent && !before.Known() {
		change.Kinds = 0
	}
	if w.window != nil {
		w.window(&window)
	}
	after := thread.Apply(before, t.ID, change, window)
	w.threads[t.ID] = after
	if change.Kinds == 0 {
		return
	}
	if w.spoil != nil {
		w.spoil(&before, &after, &change)
	}
	records, err := w.encoder.Revision(nil, before, after, change, window)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range records {
		p := event.Partition{Topic: "t." + r.Kind.String(), Number: event.PartitionOf(r.Key, partitions)}
		w.append(p, r)
		w.events[p]++
	}
}

func (w *world) append(p event.Partition, r event.Record) {
	w.t.Helper()
	headers, err := event.Headers(r.Value)
	if err != nil {
		w.t.Fatal(err)
	}
	record := &kgo.Record{Topic: p.Topic, Partition: p.Number, Offset: int64(len(w.log[p])), Key: r.Key, Value: r.Value}
	for _, h := range headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	w.log[p] = append(w.log[p], record)
}

// beat puts a heartbeat on every partition that has records; change may spoil it.
func (w *world) beat(change func(*event.Heartbeat)) {
	w.t.Helper()
	for p := range w.log {
		w.beats++
		h := event.Heartbeat{
			StateID: "s", InstanceID: "i", Host: "h", StartedAt: w.now, Partition: p, Sequence: w.beats,
			At: w.now, Watermark: w.now, Events: w.events[p],
		}
		if change != nil {
			change(&h)
		}
		r, err := w.encoder.Heartbeat(h)
		if err != nil {
			w.t.Fatal(err)
		}
		w.append(p, r)
	}
}

// some is a thread that is listed, in a status.
func (w *world) some(status string) thread.ID {
	w.t.Helper()
	for _, t := range w.server.Threads() {
		if t.Status == status && !t.Archived && !t.Purged {
			return t.ID
		}
	}
	w.t.Fatalf("no thread is %s", status)
	return 0
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) records() []*kgo.Record {
	var all []*kgo.Record
	for _, records := range w.log {
		all = append(all, records...)
	}
	return all
}

func (w *world) check(opt oracle.Options) oracle.Report {
	if opt.Kinds == 0 {
		opt.Kinds = w.kinds
	}
	return oracle.Check(w.records(), w.server, opt)
}

// find is a record of a thread on a kind's topic, the nth.
func (w *world) find(kind thread.Kind, id thread.ID, n int) (event.Partition, int) {
	w.t.Helper()
	key := event.Key(w.server.Account(), id.String())
	p := event.Partition{Topic: "t." + kind.String(), Number: event.PartitionOf(key, partitions)}
	for i, r := range w.log[p] {
		if string(r.Key) == string(key) {
			if n == 0 {
				return p, i
			}
			n--
		}
	}
	w.t.Fatalf("thread %s has too few events of kind %s", id, kind)
	return p, 0
}

// remove takes a record out.
func (w *world) remove(p event.Partition, i int) {
	w.log[p] = append(w.log[p][:i:i], w.log[p][i+1:]...)
}

// play lets a script happen, read perfectly after each step, or after several.
func (w *world) play(seed uint64, steps, each int, mix map[hubspottest.Op]int) {
	w.t.Helper()
	script := hubspottest.NewScript(w.server, hubspottest.ScriptConfig{Seed: seed, Spacing: 5 * time.Second, Mix: mix})
	w.observe()
	for i := range steps {
		step, _ := script.Next()
		w.pass(step.Delay)
		w.must(step.Do())
		if i%each == 0 {
			w.pass(time.Millisecond)
			w.observe()
		}
		if i%7 == 0 {
			w.beat(nil)
		}
	}
	w.pass(time.Millisecond)
	w.observe()
	w.beat(nil)
}

func ExampleReport_String() {
	fmt.Println(&oracle.Report{Events: 3, Revisions: 2, Threads: 1, Lost: 1})
	// Output: 3 events of 2 revisions of 1 threads, 0 heartbeats: 1 lost, 0 unsettled, 0 invented, 0 duplicates, 0 out of order, 0 gaps, 0 wrong before, 0 wrong windows, 0 false heartbeats, 0 malformed
}

func number(n int) string { return strconv.Itoa(n) }
