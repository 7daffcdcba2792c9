package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/store"
	"github.com/threadcast/threadcast/internal/thread"
)

var epoch = time.Date(2026, 9, 8, 12, 0, 0, 0, time.UTC)

// raw is the thread format of these tests; the store only hands it through.
type raw struct {
	Status   string    `json:"status"`
	Assigned string    `json:"assigned,omitempty"`
	Inbox    string    `json:"inbox,omitempty"`
	Closed   time.Time `json:"closed,omitzero"`
	Created  time.Time `json:"created,omitzero"`
	Message  time.Time `json:"message,omitzero"`
}

func decode(b []byte) (thread.Facts, error) {
	var r raw
	if err := json.Unmarshal(b, &r); err != nil {
		return thread.Facts{}, err
	}
	if r.Status == "" {
		return thread.Facts{}, errors.New("no status")
	}
	return thread.Facts{
		Status: thread.ParseStatus(r.Status), StatusText: r.Status, AssignedTo: thread.Actor(r.Assigned), Inbox: r.Inbox,
		ClosedAt: r.Closed, CreatedAt: r.Created, LatestMessage: r.Message, Presence: thread.PresenceListed,
	}, nil
}

func item(id thread.ID, r raw) thread.Item {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return thread.Item{ID: id, Hash: hash(b), Raw: b}
}

func hash(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// at is a moment so long after the process started, on a wall clock that started at
// the epoch.
func at(d time.Duration) thread.Instant { return thread.Instant{Wall: epoch.Add(d), Mono: d} }

func page(lane thread.Lane, sent, arrived time.Duration, items ...thread.Item) thread.Page {
	return thread.Page{Lane: lane, Sent: at(sent), Arrived: at(arrived), Items: items}
}

var topics = map[thread.Kind]string{
	thread.KindLifecycle: "t.lifecycle", thread.KindStatus: "t.status", thread.KindAssignment: "t.assignment", thread.KindClosure: "t.closure",
}

func config(dir string) store.Config {
	return store.Config{
		Dir: dir, Label: "acme", Kinds: thread.DefaultKinds, Topics: topics, Decode: decode, ListsMayLag: 2 * time.Minute,
	}
}

func counts(n int32) map[string]int32 {
	m := map[string]int32{}
	for _, name := range topics {
		m[name] = n
	}
	return m
}

// open opens a state that is ready to observe, and checks it at the end.
func open(tb testing.TB, cfg store.Config) *store.Store {
	tb.Helper()
	s, err := store.Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Check(); err != nil {
			tb.Errorf("check: %v", err)
		}
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	ready(tb, s)
	return s
}

func ready(tb testing.TB, s *store.Store) {
	tb.Helper()
	if err := s.Bind("4711"); err != nil {
		tb.Fatal(err)
	}
	if err := s.SetTopics(counts(3)); err != nil {
		tb.Fatal(err)
	}
}

func observe(t *testing.T, s *store.Store, p thread.Page) thread.Outcome {
	t.Helper()
	result, err := s.Observe(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// pending are all entries of all partitions.
func pending(t *testing.T, s *store.Store) []event.Entry {
	t.Helper()
	var all []event.Entry
	for _, p := range s.Session().Partitions {
		entries, err := s.Pending(p.Partition, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entries...)
	}
	return all
}

func ids(entries []event.Entry) map[string]bool {
	m := map[string]bool{}
	for _, e := range entries {
		m[e.EventID] = true
	}
	return m
}

func TestObserveAppendsWhatChanged(t *testing.T) {
	s := open(t, config(t.TempDir()))
	r := observe(t, s, page(thread.LaneFull, 1*time.Second, 2*time.Second, item(1, raw{Status: "OPEN"}), item(2, raw{Status: "OPEN", Assigned: "A-1"})))
	if r.Revisions != 2 || r.Events != 5 {
		t.Fatalf("first page: %+v, want 2 revisions and 5 events", r)
	}
	r = observe(t, s, page(thread.LaneFull, 3*time.Second, 4*time.Second, item(1, raw{Status: "OPEN"}), item(2, raw{Status: "OPEN", Assigned: "A-1"})))
	if r.Differing != 0 || r.Events != 0 {
		t.Fatalf("the same page again: %+v, want nothing", r)
	}
	later := 10 * time.Minute
	r = observe(t, s, page(thread.LaneFull, later, later+time.Second, item(1, raw{Status: "CLOSED", Closed: epoch}), item(2, raw{Status: "OPEN"})))
	if r.Revisions != 2 || r.Events != 3 {
		t.Fatalf("closed and unassigned: %+v, want 2 revisions and 3 events", r)
	}
	got := ids(pending(t, s))
	for _, want := range []string{
		"4711.1.1.1.1", "4711.1.1.1.2", "4711.1.1.2.2", "4711.1.1.2.4", "4711.1.2.1.1", "4711.1.2.1.2", "4711.1.2.1.3", "4711.1.2.2.3",
	} {
		if !got[want] {
			t.Errorf("event %s is missing in %v", want, got)
		}
	}
	if len(got) != 8 {
		t.Errorf("%d events, want 8: %v", len(got), got)
	}
}

func TestWindowRunsFromTheLastOldReadingToTheNewOne(t *testing.T) {
	s := open(t, config(t.TempDir()))
	observe(t, s, page(thread.LaneFull, 1*time.Second, 2*time.Second, item(1, raw{Status: "OPEN"})))
	observe(t, s, page(thread.LaneRecent, 300*time.Second, 301*time.Second, item(1, raw{Status: "OPEN"})))
	observe(t, s, page(thread.LaneFull, 400*time.Second, 402*time.Second, item(1, raw{Status: "CLOSED"})))
	for _, e := range pending(t, s) {
		if e.EventID != "4711.1.1.2.2" {
			continue
		}
		m, err := event.Decode(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		if start, end := m.WindowStart.AsTime(), m.WindowEnd.AsTime(); !start.Equal(epoch.Add(300*time.Second)) || !end.Equal(epoch.Add(402*time.Second)) {
			t.Errorf("window %v to %v, want 300 s to 402 s after %v", start, end, epoch)
		}
		return
	}
	t.Fatal("no event of revision 2")
}

// After a restart nothing is in memory of who was read when: the window begins with
// the last cycle but one.
func TestWindowAfterRestartIsBoundedByCycles(t *testing.T) {
	cfg := config(t.TempDir())
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	state := thread.LaneState{Cycles: 4, CycleStart: epoch.Add(500 * time.Second), PreviousStart: epoch.Add(200 * time.Second)}
	if _, err := s.Observe(page(thread.LaneFull, time.Second, 2*time.Second, item(1, raw{Status: "OPEN"})), &state); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	if got := s.Lane(thread.LaneFull, ""); got != state {
		t.Fatalf("position after restart %+v, want %+v", got, state)
	}
	restarted := page(thread.LaneFull, time.Second, 2*time.Second, item(1, raw{Status: "CLOSED"}))
	restarted.Sent.Wall, restarted.Arrived.Wall = epoch.Add(900*time.Second), epoch.Add(901*time.Second)
	observe(t, s, restarted)
	for _, e := range pending(t, s) {
		if e.EventID == "4711.1.1.2.2" {
			m, err := event.Decode(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.WindowStart.AsTime(); !got.Equal(epoch.Add(200 * time.Second)) {
				t.Errorf("window starts at %v, want %v", got, epoch.Add(200*time.Second))
			}
			return
		}
	}
	t.Fatal("no event of revision 2")
}

// A reading in doubt may already have shown the new value. If the process dies before
// it is settled, the window must still begin with the last reading that counted, though
// the lane's cycles have gone on.
func TestWindowAfterRestartReachesBehindAReadingInDoubt(t *testing.T) {
	cfg := config(t.TempDir())
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	cycle := func(s *store.Store, sent time.Duration, status string) thread.Outcome {
		t.Helper()
		state := thread.LaneState{Cycles: uint64(sent / time.Second), CycleStart: epoch.Add(sent), PreviousStart: epoch.Add(sent - time.Second)}
		outcome, err := s.Observe(page(thread.LaneFull, sent, sent+time.Millisecond, item(1, raw{Status: status})), &state)
		if err != nil {
			t.Fatal(err)
		}
		return outcome
	}
	cycle(s, 10*time.Second, "OPEN")
	cycle(s, 11*time.Second, "OPEN")
	for sent := 12 * time.Second; sent < 16*time.Second; sent += time.Second {
		if outcome := cycle(s, sent, "CLOSED"); len(outcome.Reread) != 1 {
			t.Fatalf("a list reading %v after the last change: %+v, want a reread", sent, outcome)
		}
	}
	if err := s.Close(); err != nil { // and the GET was never made
		t.Fatal(err)
	}
	s = open(t, cfg)
	cycle(s, 5*time.Minute, "CLOSED")
	for _, e := range pending(t, s) {
		if e.EventID == "4711.1.1.2.2" {
			m, err := event.Decode(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.WindowStart.AsTime(); !got.Equal(epoch.Add(11 * time.Second)) {
				t.Errorf("window starts at %v, want %v", got, epoch.Add(11*time.Second))
			}
			return
		}
	}
	t.Fatal("no event of revision 2")
}

func TestOrderOfEvidence(t *testing.T) {
	open1, closed1 := item(1, raw{Status: "OPEN"}), item(1, raw{Status: "CLOSED"})
	messaged := item(1, raw{Status: "OPEN", Message: epoch})
	const far = 10 * time.Minute // beyond the time that lists may lag
	for _, c := range []struct {
		name          string
		first, second thread.Page
		revisions     int
		reread        bool
	}{
		{"later", page(thread.LaneFull, 0, far, open1), page(thread.LaneFull, far+time.Second, far*2, closed1), 1, false},
		{"overlapping", page(thread.LaneFull, 0, far, open1), page(thread.LaneFull, far-time.Second, far*2, closed1), 0, true},
		{"overlapping GETs", page(thread.LaneConfirm, 0, far, open1), page(thread.LaneConfirm, far-time.Second, far*2, closed1), 0, true},
		{"sent and answered before", page(thread.LaneFull, far, far+time.Second, open1), page(thread.LaneFull, 0, far-time.Second, closed1), 0, false},
		{"a list soon after a change", page(thread.LaneFull, 0, time.Second, open1), page(thread.LaneFull, 2*time.Second, 3*time.Second, closed1), 0, true},
		{"a GET soon after a change", page(thread.LaneFull, 0, time.Second, open1), page(thread.LaneConfirm, 2*time.Second, 3*time.Second, closed1), 1, false},
		{"a message soon after", page(thread.LaneFull, 0, time.Second, open1), page(thread.LaneFull, 2*time.Second, 3*time.Second, messaged), 0, false},
		{"twice on a page, unlike", page(thread.LaneFull, 0, time.Second), page(thread.LaneFull, far, far+1, open1, closed1), 1, true},
		{"twice on a page, alike", page(thread.LaneFull, 0, time.Second), page(thread.LaneFull, far, far+1, open1, open1), 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, config(t.TempDir()))
			observe(t, s, c.first)
			r := observe(t, s, c.second)
			if c.name == "twice on a page, alike" {
				r.Reread = nil // asking again is harmless
			}
			if r.Revisions != c.revisions || (len(r.Reread) > 0) != c.reread {
				t.Errorf("%+v, want %d revisions, reread %v", r, c.revisions, c.reread)
			}
		})
	}
}

// A reading that counts for nothing must not leave its hash behind, or the thread
// would look unchanged ever after.
func TestIgnoredReadingIsSeenAgain(t *testing.T) {
	s := open(t, config(t.TempDir()))
	observe(t, s, page(thread.LaneFull, 0, 10*time.Minute, item(1, raw{Status: "OPEN"})))
	if r := observe(t, s, page(thread.LaneFull, 9*time.Minute, 11*time.Minute, item(1, raw{Status: "CLOSED"}))); len(r.Reread) != 1 {
		t.Fatalf("overlapping reading: %+v, want a reread", r)
	}
	if r := observe(t, s, page(thread.LaneFull, 12*time.Minute, 13*time.Minute, item(1, raw{Status: "CLOSED"}))); r.Revisions != 1 {
		t.Fatalf("later reading of the same bytes: %+v, want a revision", r)
	}
}

func TestWallClockThatIsSetMakesNoGhosts(t *testing.T) {
	s := open(t, config(t.TempDir()))
	observe(t, s, page(thread.LaneFull, 0, time.Second, item(1, raw{Status: "OPEN"})))
	jumped := page(thread.LaneFull, 10*time.Second, 11*time.Second, item(1, raw{Status: "CLOSED"}))
	jumped.Sent.Wall, jumped.Arrived.Wall = jumped.Sent.Wall.Add(time.Hour), jumped.Arrived.Wall.Add(time.Hour)
	if r := observe(t, s, jumped); r.Revisions != 0 || len(r.Reread) != 1 {
		t.Errorf("10 s after the change, by a clock set ahead an hour: %+v, want a reread", r)
	}
}

func TestThreadThatCannotBeUnderstoodBlocksOnlyItself(t *testing.T) {
	s := open(t, config(t.TempDir()))
	bad := thread.Item{ID: 2, Raw: []byte(`{"status":7}`), Hash: 7}
	r := observe(t, s, page(thread.LaneFull, 0, 1, item(1, raw{Status: "OPEN"}), bad, item(3, raw{Status: "OPEN"})))
	if r.Revisions != 2 || len(r.Problems) != 1 || r.Problems[0].ID != 2 {
		t.Fatalf("%+v, want 2 revisions and thread 2 as a problem", r)
	}
	r = observe(t, s, page(thread.LaneFull, 2*time.Second, 3*time.Second, bad, item(2, raw{Status: "OPEN"})))
	if r.Revisions != 0 && len(r.Problems) != 1 {
		t.Fatalf("%+v", r)
	}
	r = observe(t, s, page(thread.LaneFull, 4*time.Second, 5*time.Second, item(2, raw{Status: "OPEN"})))
	if r.Revisions != 1 {
		t.Fatalf("once it can be understood: %+v, want a revision", r)
	}
}

func TestRecordKeepsTheFirstCycleSilent(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Silent = true
	s := open(t, cfg)
	old, young := raw{Status: "OPEN", Created: epoch.Add(-time.Hour)}, raw{Status: "OPEN", Created: epoch.Add(time.Minute)}
	state := thread.LaneState{CycleStart: epoch}
	r, err := s.Observe(page(thread.LaneFull, 0, time.Second, item(1, old)), &state)
	if err != nil || r.Events != 0 {
		t.Fatalf("%+v, %v: want silence", r, err)
	}
	r = observe(t, s, page(thread.LaneRecent, 2*time.Minute, 3*time.Minute, item(2, young)))
	if r.Events != 2 {
		t.Fatalf("a thread created since: %+v, want 2 events", r)
	}
	state.Cycles = 1
	if _, err := s.Observe(page(thread.LaneFull, 4*time.Minute, 5*time.Minute), &state); err != nil {
		t.Fatal(err)
	}
	r = observe(t, s, page(thread.LaneFull, 10*time.Minute, 11*time.Minute, item(1, raw{Status: "CLOSED", Created: old.Created})))
	if r.Events != 3 {
		t.Fatalf("first change: %+v, want lifecycle, status and closure", r)
	}
	for _, e := range pending(t, s) {
		m, err := event.Decode(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		if m.ThreadId == "1" && (m.Revision != 1 || m.Before == nil || m.Before.Revision != 0 || m.WindowStart == nil) {
			t.Errorf("first change of a silent thread: %v", m)
		}
	}
}

func TestThreadThatLeavesTheInboxes(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Inboxes = []string{"10"}
	s := open(t, cfg)
	r := observe(t, s, page(thread.LaneFull, 0, 1, item(1, raw{Status: "OPEN", Inbox: "10"}), item(2, raw{Status: "OPEN", Inbox: "11"})))
	if r.Revisions != 1 {
		t.Fatalf("%+v, want only the thread of inbox 10", r)
	}
	r = observe(t, s, page(thread.LaneConfirm, 2*time.Second, 3*time.Second, item(1, raw{Status: "OPEN", Inbox: "11"})))
	if r.Events != 1 {
		t.Fatalf("%+v, want one lifecycle event", r)
	}
}

func TestOutboxAcknowledges(t *testing.T) {
	cfg := config(t.TempDir())
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	var items []thread.Item
	for i := range thread.ID(30) {
		items = append(items, item(i+1, raw{Status: "OPEN"}))
	}
	observe(t, s, page(thread.LaneFull, 0, time.Second, items...))
	const lifecycle = 6 // partitions of t.assignment and t.closure come before
	p := s.Session().Partitions[lifecycle].Partition
	entries, err := s.Pending(p, 0, 100)
	if err != nil || len(entries) < 4 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	ack := event.Ack{Partition: p, Entries: []uint64{1, 3}, Position: event.Position{Entry: 3, Offset: 9, EventID: entries[2].EventID, Events: 2}}
	if err := s.Acknowledge(ack); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		rest, err := s.Pending(p, 0, 100)
		if err != nil || len(rest) != len(entries)-2 || rest[0].Number != 2 || rest[1].Number != 4 {
			t.Fatalf("after acknowledging 1 and 3: %d entries, first %d %d, %v", len(rest), rest[0].Number, rest[1].Number, err)
		}
		if got := s.Session().Partitions[lifecycle].Position; got != ack.Position {
			t.Fatalf("position %+v, want %+v", got, ack.Position)
		}
		if got := s.Stats().Outbox; got != 60-2 {
			t.Fatalf("outbox counts %d, want 58", got)
		}
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	check()
	if err := s.Acknowledge(event.Ack{Partition: p, Entries: []uint64{1 << 40}}); err == nil {
		t.Error("an entry that was never appended was acknowledged")
	}
}

func TestSessionIsDurable(t *testing.T) {
	cfg := config(t.TempDir())
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	session := s.Session()
	if !session.Fresh || session.Asked || session.ProducerID != -1 || session.Generation != 1 || session.StateID == "" || len(session.Partitions) != 12 {
		t.Fatalf("new state: %+v", session)
	}
	session.Fresh, session.Asked, session.ProducerID, session.Epoch, session.Cluster, session.Generation = false, true, 99, 7, "c", 3
	if err := s.SaveSession(session); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	if got := s.Session(); got.ProducerID != 99 || got.Epoch != 7 || got.Cluster != "c" || got.Generation != 3 || got.Fresh || !got.Asked || got.StateID != session.StateID {
		t.Fatalf("after restart: %+v", got)
	}
}

func TestReserveCountsAcrossRestarts(t *testing.T) {
	cfg := config(t.TempDir())
	for i := 1; i <= 3; i++ {
		s, err := store.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		total, err := s.Reserve("2026-09-08", 50)
		if err != nil || total != 50*i {
			t.Fatalf("reservation %d: total %d, %v", i, total, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPromisedWatermarkHoldsBackObservedAt(t *testing.T) {
	s := open(t, config(t.TempDir()))
	promised := epoch.Add(time.Hour)
	s.Promise(promised)
	observe(t, s, page(thread.LaneFull, time.Second, 2*time.Second, item(1, raw{Status: "OPEN"})))
	for _, e := range pending(t, s) {
		if e.ObservedAt.Before(promised) {
			t.Errorf("event %s observed at %v, before the watermark %v", e.EventID, e.ObservedAt, promised)
		}
	}
}

// Random pages, acknowledgements and crashes: the file as it is at any moment opens,
// passes its check, and holds what was committed.
func TestRandomHistoriesSurviveCrashes(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 5))
		cfg := config(t.TempDir())
		s, err := store.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ready(t, s)
		now := time.Second
		for step := range 60 {
			now += time.Duration(r.IntN(200)) * time.Second
			randomPage(t, r, s, now)
			if r.IntN(3) == 0 {
				acknowledgeSome(t, r, s)
			}
			if r.IntN(6) == 0 {
				cfg = crash(t, cfg)
				_ = s.Close()
				if s, err = store.Open(cfg); err != nil {
					t.Fatalf("seed %d step %d: %v", seed, step, err)
				}
				ready(t, s)
			}
			if step%8 != 0 {
				continue
			}
			if err := s.Check(); err != nil {
				t.Fatalf("seed %d step %d: %v", seed, step, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func randomPage(t *testing.T, r *rand.Rand, s *store.Store, now time.Duration) {
	t.Helper()
	var items []thread.Item
	for range r.IntN(20) {
		items = append(items, item(thread.ID(1+r.IntN(2000)), raw{
			Status: []string{"OPEN", "CLOSED"}[r.IntN(2)], Assigned: []string{"", "A-1", "A-2"}[r.IntN(3)],
		}))
	}
	state := thread.LaneState{Cursor: fmt.Sprint(now), CycleStart: epoch}
	if _, err := s.Observe(page(thread.LaneFull, now, now+time.Second, items...), &state); err != nil {
		t.Fatal(err)
	}
}

func acknowledgeSome(t *testing.T, r *rand.Rand, s *store.Store) {
	t.Helper()
	for _, p := range s.Session().Partitions {
		entries, err := s.Pending(p.Partition, 0, 1+r.IntN(10))
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			continue
		}
		position := p.Position
		var numbers []uint64
		for _, e := range entries {
			numbers = append(numbers, e.Number)
			position.Entry, position.EventID = max(position.Entry, e.Number), e.EventID
			position.Offset++
			position.Events++
		}
		if err := s.Acknowledge(event.Ack{Partition: p.Partition, Entries: numbers, Position: position}); err != nil {
			t.Fatal(err)
		}
	}
}

// crash copies the file as it is, without closing it.
func crash(t *testing.T, cfg store.Config) store.Config {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(cfg.Dir, "acme.db"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(cfg.Dir, "acme.db"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// An entry is handed out only once it can be acknowledged, however soon after the
// commit that appended it.
func TestEntriesAreAcknowledgedWhileOthersAreAppended(t *testing.T) {
	s := open(t, config(t.TempDir()))
	p := s.Session().Partitions[6].Partition
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range thread.ID(150) {
			sent := time.Duration(i) * time.Second
			if _, err := s.Observe(page(thread.LaneFull, sent, sent+1, item(i+1, raw{Status: "OPEN"})), nil); err != nil {
				t.Error(err)
			}
		}
	}()
	var last event.Position
	for appending := true; appending; {
		select {
		case <-done:
			appending = false
		default:
		}
		entries, err := s.Pending(p, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			last = event.Position{Entry: e.Number, Offset: int64(e.Number), EventID: e.EventID, Events: e.Number}
			if err := s.Acknowledge(event.Ack{Partition: p, Entries: []uint64{e.Number}, Position: last}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rest, err := s.Pending(p, 0, 1); err != nil || len(rest) != 0 || last.Entry == 0 {
		t.Errorf("%d entries are left, %v; the last acknowledged was %d", len(rest), err, last.Entry)
	}
}

// A thread that the list does not show for a while is not read by its cycles, so they
// say nothing about when it was last read.
func TestWindowOfAThreadThatWasNotListed(t *testing.T) {
	cfg := config(t.TempDir())
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	cycle := func(s *store.Store, sent time.Duration, items ...thread.Item) {
		t.Helper()
		p := page(thread.LaneFull, sent, sent+time.Second, items...)
		p.Cycle = p.Sent
		state := thread.LaneState{Whole: true, Cycles: uint64(sent), CycleStart: epoch.Add(sent), PreviousStart: epoch.Add(sent - time.Minute)}
		if _, err := s.Observe(p, &state); err != nil {
			t.Fatal(err)
		}
	}
	other := item(2, raw{Status: "OPEN"})
	cycle(s, 5*time.Minute, item(1, raw{Status: "OPEN"}), other)
	for minute := time.Duration(6); minute < 12; minute++ { // archived
		cycle(s, minute*time.Minute, other)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	cycle(s, 20*time.Minute, item(1, raw{Status: "CLOSED"}), other) // restored
	for _, e := range pending(t, s) {
		if e.EventID == "4711.1.1.2.2" {
			m, err := event.Decode(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.WindowStart.AsTime(); !got.Equal(epoch.Add(5 * time.Minute)) {
				t.Errorf("window starts at %v, want %v", got, epoch.Add(5*time.Minute))
			}
			return
		}
	}
	t.Fatal("no event of revision 2")
}

func TestWatermarkOfTheStateHoldsAfterARestart(t *testing.T) {
	cfg := config(t.TempDir())
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	watermark := epoch.Add(time.Hour)
	p := s.Session().Partitions[0].Partition
	if err := s.Acknowledge(event.Ack{Partition: p, Position: event.Position{Offset: 3, Watermark: watermark}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	observe(t, s, page(thread.LaneFull, time.Second, 2*time.Second, item(1, raw{Status: "OPEN"}))) // by a clock that was set back
	for _, e := range pending(t, s) {
		if e.ObservedAt.Before(watermark) {
			t.Errorf("event %s observed at %v, before the watermark %v", e.EventID, e.ObservedAt, watermark)
		}
	}
}

func TestInboxThatIsConfiguredLater(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Inboxes = []string{"10"}
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	observe(t, s, page(thread.LaneFull, 0, 1, item(1, raw{Status: "OPEN", Inbox: "10"})))
	moved := item(1, raw{Status: "OPEN", Inbox: "11"})
	observe(t, s, page(thread.LaneConfirm, 2*time.Second, 3*time.Second, moved))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Inboxes = []string{"10", "11"}
	s = open(t, cfg)
	if r := observe(t, s, page(thread.LaneConfirm, 4*time.Second, 5*time.Second, moved)); r.Revisions != 1 {
		t.Errorf("the same bytes, its inbox now configured: %+v, want a revision", r)
	}
}

func TestDiscardedStateKeepsTheCallsOfTheDay(t *testing.T) {
	cfg := config(t.TempDir())
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reserve("2026-09-08", 1000); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Discard = true
	s = open(t, cfg)
	if total, err := s.Reserve("2026-09-08", 1); err != nil || total != 1001 {
		t.Errorf("%d calls counted, %v; want 1001", total, err)
	}
}
