package event_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

var epoch = time.Date(2026, 9, 8, 12, 0, 0, 0, time.UTC)

func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

func randomTime(r *rand.Rand) time.Time {
	return pick(r, time.Time{}, epoch.Add(time.Duration(r.IntN(1000))*time.Minute))
}

func randomFacts(r *rand.Rand) thread.Facts {
	status := pick(r, "OPEN", "CLOSED", "PENDING")
	return thread.Facts{
		Status: thread.ParseStatus(status), StatusText: status, CreatedAt: randomTime(r), ClosedAt: randomTime(r),
		AssignedTo: pick[thread.Actor](r, "", "A-1", "V-2", "Q-3"),
		Inbox:      pick(r, "", "10"), Channel: "1000", ChannelAccount: pick(r, "7", "8"), Contact: pick(r, "501", "502"),
		Ticket: pick(r, "", "900"), Spam: r.IntN(4) == 0, Archived: r.IntN(4) == 0,
		Presence:      thread.Presence(1 + r.IntN(4)),
		LatestMessage: randomTime(r), LatestReceived: randomTime(r), LatestSent: randomTime(r),
	}
}

// step is one revision of a random walk, with its records.
type step struct {
	seed          uint64
	before, after thread.Snapshot
	change        thread.Change
	window        thread.Window
	records       []event.Record
}

// walk encodes random histories; every event of theirs must be valid.
func walk(t *testing.T, check func(t *testing.T, s step)) {
	t.Helper()
	encoder := newEncoder(t)
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 2))
		enabled := pick(r, thread.DefaultKinds, thread.DefaultKinds|thread.Kinds(thread.KindActivity), thread.Kinds(thread.KindClosure))
		snapshot := thread.Snapshot{}
		if r.IntN(3) == 0 { // known silently
			snapshot = thread.Apply(snapshot, 77, thread.Change{Facts: randomFacts(r)}, thread.Window{End: epoch})
		}
		for i := range 25 {
			start := epoch.Add(time.Duration(i)*time.Hour + time.Duration(r.IntN(1e9)))
			w := thread.Window{Start: start, End: start.Add(time.Duration(r.IntN(1e12) - 1e11)), Lane: thread.LaneFull, Initial: i == 0}
			w.ObservedAt = w.End
			s := step{seed: seed, before: snapshot, change: thread.Diff(snapshot, randomFacts(r), enabled), window: w}
			s.after = thread.Apply(snapshot, 77, s.change, w)
			var err error
			if s.records, err = encoder.Revision(nil, s.before, s.after, s.change, w); err != nil {
				t.Fatalf("seed %d step %d: %v", seed, i, err)
			}
			if len(s.records) != s.change.Kinds.Len() {
				t.Fatalf("seed %d step %d: %d records for kinds %08b", seed, i, len(s.records), s.change.Kinds)
			}
			snapshot = s.after
			check(t, s)
		}
	}
}

func newEncoder(tb testing.TB) *event.Encoder {
	tb.Helper()
	encoder, err := event.NewEncoder("4711", 1)
	if err != nil {
		tb.Fatal(err)
	}
	return encoder
}

func decode(t *testing.T, record event.Record) *threadcastv1.ThreadEvent {
	t.Helper()
	m, err := event.Decode(record.Value)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Any one event of a revision suffices to rebuild all of them, byte for byte.
func TestSiblingsAreRebuiltFromAnyEvent(t *testing.T) {
	walk(t, func(t *testing.T, s step) {
		for _, source := range s.records {
			revision, err := event.RevisionOf(decode(t, source))
			if err != nil {
				t.Fatalf("seed %d: %v", s.seed, err)
			}
			if revision.Before != s.before || revision.After != s.after {
				t.Fatalf("seed %d: snapshots of %s\n got %+v\nwant %+v", s.seed, source.EventID, revision.After, s.after)
			}
			for _, want := range s.records {
				got, err := proto.MarshalOptions{Deterministic: true}.Marshal(revision.Event(want.Kind))
				if err != nil || !bytes.Equal(got, want.Value) {
					t.Fatalf("seed %d: %s rebuilt from %s differs: %v\n got %v\nwant %v", s.seed, want.EventID, source.EventID, err,
						revision.Event(want.Kind), decode(t, want))
				}
			}
		}
	})
}

// Invariants G4, G5: sequences count, previous event ids chain, before is the after
// of the revision before.
func TestEventsChain(t *testing.T) {
	last := map[string]*threadcastv1.ThreadEvent{}
	walk(t, func(t *testing.T, s step) {
		for _, record := range s.records {
			m := decode(t, record)
			at := fmt.Sprintf("%d/%v", s.seed, record.Kind)
			previous := last[at]
			if m.KindSequence != previous.GetKindSequence()+1 || m.PreviousEventId != previous.GetEventId() {
				t.Fatalf("seed %d: %s has sequence %d after %d, previous %q, want %q", s.seed, m.EventId,
					m.KindSequence, previous.GetKindSequence(), m.PreviousEventId, previous.GetEventId())
			}
			last[at] = m
		}
	})
}

func TestSnapshotComesBack(t *testing.T) {
	encoder := newEncoder(t)
	walk(t, func(t *testing.T, s step) {
		stored, err := encoder.AppendSnapshot(nil, s.after)
		if err != nil {
			t.Fatal(err)
		}
		got, err := event.ParseSnapshot(stored)
		if err != nil || got != s.after {
			t.Fatalf("seed %d: %v\n got %+v\nwant %+v", s.seed, err, got, s.after)
		}
	})
}

func TestEventIsUnder16KiBWithAllTextsAtTheirCap(t *testing.T) {
	text := strings.Repeat("\u00e9", thread.MaxText/2)
	actor := thread.Actor("E-" + strings.Repeat("x", thread.MaxText-2))
	facts := thread.Facts{
		Status: thread.StatusUnknown, StatusText: text, CreatedAt: epoch, AssignedTo: actor, Inbox: text, Channel: text,
		ChannelAccount: text, Contact: text, Ticket: text, Presence: thread.PresenceListed,
		LatestMessage: epoch.Add(1), LatestReceived: epoch.Add(1), LatestSent: epoch.Add(1),
	}
	all := thread.DefaultKinds | thread.Kinds(thread.KindActivity)
	since := thread.Since{Earliest: epoch, Latest: epoch.Add(1), Exact: epoch.Add(1), Source: thread.SourceHistory, ChangedBy: actor}
	positions := func(n uint64) (p [thread.KindActivity + 1]thread.Position) {
		for kind := range all.All() {
			p[kind] = thread.Position{Sequence: n, Revision: n}
		}
		return p
	}
	const most = ^uint64(0) - 1
	before := thread.Snapshot{
		ID: thread.ID(^uint64(0)), Revision: most, Facts: facts, StatusSince: since, AssignmentSince: since,
		Closures: ^uint32(0), Reopenings: ^uint32(0), Assignments: ^uint32(0), Positions: positions(most),
	}
	after := before
	after.Revision++
	after.Spam = true
	after.StatusText = strings.Repeat("y", thread.MaxText)
	after.AssignedTo = thread.Actor("E-" + strings.Repeat("z", thread.MaxText-2))
	after.Positions = positions(most + 1)
	change := thread.Change{Facts: after.Facts, Fields: 1<<16 - 1, Kinds: all}
	encoder, err := event.NewEncoder("18446744073709551615", ^uint32(0))
	if err != nil {
		t.Fatal(err)
	}
	records, err := encoder.Revision(nil, before, after, change, thread.Window{Start: epoch, End: epoch, ObservedAt: epoch, Lane: thread.LaneResync, Initial: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		t.Logf("%v: %d bytes", record.Kind, len(record.Value))
		if len(record.Value) > event.MaxSize/2 {
			t.Errorf("%v has %d bytes, want at most half of %d", record.Kind, len(record.Value), event.MaxSize)
		}
	}
}

func TestIDsKeysAndHeaders(t *testing.T) {
	encoder := newEncoder(t)
	facts := thread.Facts{
		Status: thread.StatusClosed, StatusText: "CLOSED", CreatedAt: epoch, ClosedAt: epoch.Add(90 * time.Minute),
		AssignedTo: "A-5", Presence: thread.PresenceListed,
	}
	change := thread.Diff(thread.Snapshot{}, facts, thread.DefaultKinds)
	w := thread.Window{End: epoch.Add(2 * time.Hour), ObservedAt: epoch.Add(2 * time.Hour), Lane: thread.LaneRecent}
	records, err := encoder.Revision(nil, thread.Snapshot{}, thread.Apply(thread.Snapshot{}, 99, change, w), change, w)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ id, ceType, ceTime string }{
		{"4711.1.99.1.1", "threadcast.v1.LifecycleChanged", "2026-09-08T12:00:00.000Z"},
		{"4711.1.99.1.2", "threadcast.v1.StatusChanged", "2026-09-08T13:30:00.000Z"},
		{"4711.1.99.1.3", "threadcast.v1.AssignmentChanged", "2026-09-08T14:00:00.000Z"},
		{"4711.1.99.1.4", "threadcast.v1.ClosureChanged", "2026-09-08T13:30:00.000Z"},
	}
	if len(records) != len(want) {
		t.Fatalf("%d records, want %d", len(records), len(want))
	}
	for i, w := range want {
		record := records[i]
		if string(record.Key) != "4711:99" || record.EventID != w.id {
			t.Errorf("record %d has key %q id %q, want 4711:99 and %q", i, record.Key, record.EventID, w.id)
		}
		assertHeaders(t, record.Value, map[string]string{
			"ce_specversion": "1.0", "ce_id": w.id, "ce_type": w.ceType, "ce_source": "/hubspot/4711", "ce_subject": "99",
			"ce_sequence": "00000000000000000001", "ce_time": w.ceTime, "content-type": "application/protobuf",
		})
	}
}

func TestHeartbeats(t *testing.T) {
	encoder := newEncoder(t)
	beat := event.Heartbeat{
		StateID: "s", InstanceID: "i", Host: "h", StartedAt: epoch, ProducerID: 12, Epoch: 3,
		Partition: event.Partition{Topic: "a.status.v1", Number: 2}, Sequence: 41, At: epoch.Add(time.Minute),
		Watermark: epoch, Events: 7, Held: 1,
	}
	record, err := encoder.Heartbeat(beat)
	if err != nil {
		t.Fatal(err)
	}
	const id = "4711.1.hb.12.3.a.status.v1.2.41"
	if record.EventID != id || string(record.Key) != "4711:0" {
		t.Errorf("heartbeat has id %q key %q, want %q and 4711:0", record.EventID, record.Key, id)
	}
	assertHeaders(t, record.Value, map[string]string{
		"ce_specversion": "1.0", "ce_id": id, "ce_type": "threadcast.v1.Heartbeat", "ce_source": "/hubspot/4711",
		"ce_time": "2026-09-08T12:01:00.000Z", "content-type": "application/protobuf",
	})
	m := decode(t, record)
	if body := m.GetHeartbeat(); body.GetEvents() != 7 || !body.Watermark.AsTime().Equal(epoch) || body.Held != 1 {
		t.Errorf("heartbeat says %v", body)
	}
	beat.Barrier = true
	record, err = encoder.Heartbeat(beat)
	if err != nil {
		t.Fatal(err)
	}
	if body := decode(t, record).GetHeartbeat(); body.Events != nil || body.Watermark != nil || !body.Barrier {
		t.Errorf("barrier says %v", body)
	}
}

func assertHeaders(t *testing.T, value []byte, want map[string]string) {
	t.Helper()
	headers, err := event.Headers(value)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, h := range headers {
		got[h.Key] = string(h.Value)
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("header %s is %q, want %q", key, got[key], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("headers %v, want %v", got, want)
	}
}

// What happened, by situation: the bodies as a consumer reads them.
func TestBodiesBySituation(t *testing.T) {
	open := thread.Facts{Status: thread.StatusOpen, StatusText: "OPEN", CreatedAt: epoch, Presence: thread.PresenceListed}
	closed := open
	closed.Status, closed.StatusText, closed.ClosedAt = thread.StatusClosed, "CLOSED", epoch.Add(time.Hour)
	reclosed := closed
	reclosed.ClosedAt = epoch.Add(150 * time.Minute)
	pending := closed
	pending.Status, pending.StatusText = thread.StatusUnknown, "PENDING"
	timeless := closed
	timeless.ClosedAt = time.Time{}
	assigned, reassigned := open, open
	assigned.AssignedTo, reassigned.AssignedTo = "A-1", "A-2"

	for _, c := range []struct {
		name    string
		history []thread.Facts
		kind    thread.Kind
		want    string
	}{
		{"discovered", []thread.Facts{open}, thread.KindLifecycle, `actions:LIFECYCLE_ACTION_DISCOVERED`},
		{"open at first sight", []thread.Facts{open}, thread.KindStatus, `to:STATUS_OPEN to_text:"OPEN"`},
		{"closed", []thread.Facts{open, closed}, thread.KindClosure,
			`action:CLOSURE_ACTION_CLOSED closed_at:{seconds:1788872400} time_open:{at_least:{seconds:3540} at_most:{seconds:3600}}`},
		{"reopened", []thread.Facts{closed, open}, thread.KindClosure,
			`action:CLOSURE_ACTION_REOPENED previous_closed_at:{seconds:1788872400} time_closed:{at_least:{} at_most:{seconds:60}} reopenings:1`},
		{"reclosed", []thread.Facts{closed, closed, reclosed}, thread.KindClosure,
			`action:CLOSURE_ACTION_RECLOSED closed_at:{seconds:1788877800} previous_closed_at:{seconds:1788872400} reopenings:1`},
		{"reopened after a status that is neither", []thread.Facts{closed, pending, open}, thread.KindClosure,
			`action:CLOSURE_ACTION_REOPENED previous_closed_at:{seconds:1788872400} reopenings:1`},
		{"the time of a closure becomes known", []thread.Facts{open, timeless, closed}, thread.KindClosure,
			`action:CLOSURE_ACTION_CLOSED closed_at:{seconds:1788872400}`},
		{"assigned", []thread.Facts{open, assigned}, thread.KindAssignment,
			`action:ASSIGNMENT_ACTION_ASSIGNED to:{kind:ACTOR_KIND_AGENT id:"A-1"} held:{at_least:{seconds:3540} at_most:{seconds:3660}} assignments:1`},
		{"reassigned", []thread.Facts{assigned, reassigned}, thread.KindAssignment,
			`action:ASSIGNMENT_ACTION_REASSIGNED from:{kind:ACTOR_KIND_AGENT id:"A-1"} to:{kind:ACTOR_KIND_AGENT id:"A-2"} held:{at_least:{seconds:3540} at_most:{seconds:3660}} assignments:2`},
		{"unassigned", []thread.Facts{assigned, open}, thread.KindAssignment,
			`action:ASSIGNMENT_ACTION_UNASSIGNED from:{kind:ACTOR_KIND_AGENT id:"A-1"} held:{at_least:{seconds:3540} at_most:{seconds:3660}} assignments:1`},
	} {
		m := lastEvent(t, c.history, c.kind)
		got := fmt.Sprint(bodyOf(m))
		if strings.Join(strings.Fields(got), " ") != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func lastEvent(t *testing.T, history []thread.Facts, kind thread.Kind) *threadcastv1.ThreadEvent {
	t.Helper()
	encoder := newEncoder(t)
	var snapshot thread.Snapshot
	var last *threadcastv1.ThreadEvent
	for i, facts := range history {
		start := epoch.Add(time.Duration(i) * time.Hour)
		w := thread.Window{Start: start, End: start.Add(time.Minute), ObservedAt: start.Add(time.Minute), Lane: thread.LaneFull}
		change := thread.Diff(snapshot, facts, thread.DefaultKinds)
		after := thread.Apply(snapshot, 5, change, w)
		records, err := encoder.Revision(nil, snapshot, after, change, w)
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			if record.Kind == kind {
				last = decode(t, record)
			}
		}
		snapshot = after
	}
	if last == nil {
		t.Fatalf("no event of kind %v", kind)
	}
	return last
}

func bodyOf(m *threadcastv1.ThreadEvent) proto.Message {
	r := m.ProtoReflect()
	field := r.WhichOneof(r.Descriptor().Oneofs().ByName("body"))
	return r.Get(field).Message().Interface()
}

func TestDecodeRefusesWhatIsNoEvent(t *testing.T) {
	for name, value := range map[string][]byte{"empty": nil, "text": []byte("hello"), "truncated": {0x0a, 0x20, 'x'}} {
		if m, err := event.Decode(value); err == nil {
			t.Errorf("%s: decoded as %v", name, m)
		}
		if headers, err := event.Headers(value); err == nil {
			t.Errorf("%s: has headers %v", name, headers)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0x0a, 1, 'x', 0x12, 1, '1'})
	f.Fuzz(func(t *testing.T, value []byte) {
		if m, err := event.Decode(value); err == nil && m.GetKind() != threadcastv1.Kind_KIND_HEARTBEAT {
			_, _ = event.RevisionOf(m)
		}
		_, _ = event.Headers(value)
	})
}

func BenchmarkRevision(b *testing.B) {
	encoder := newEncoder(b)
	facts := thread.Facts{
		Status: thread.StatusOpen, StatusText: "OPEN", CreatedAt: epoch, AssignedTo: "A-2620022", Inbox: "147357665", Channel: "1002",
		ChannelAccount: "27038957", Contact: "15", Presence: thread.PresenceListed, LatestMessage: epoch,
	}
	change := thread.Diff(thread.Snapshot{}, facts, thread.DefaultKinds)
	w := thread.Window{End: epoch.Add(time.Hour), ObservedAt: epoch.Add(time.Hour), Lane: thread.LaneFull, Initial: true}
	after := thread.Apply(thread.Snapshot{}, 99, change, w)
	var records []event.Record
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if records, err = encoder.Revision(records[:0], thread.Snapshot{}, after, change, w); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/event")
}
