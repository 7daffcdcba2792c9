package oracle_test

import (
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/oracle"
	"github.com/threadcast/threadcast/internal/thread"
)

// Whatever happens in an inbox, a perfect log has no fault.
func TestPerfectLogHasNoFault(t *testing.T) {
	mix := hubspottest.DefaultMix()
	maps.Copy(mix, map[hubspottest.Op]int{hubspottest.OpArchive: 8, hubspottest.OpRestore: 8, hubspottest.OpPurge: 2, hubspottest.OpReopen: 8})
	for seed := range uint64(12) {
		t.Run(number(int(seed)), func(t *testing.T) {
			w := newWorld(t)
			if seed%3 == 1 {
				w.kinds |= thread.Kinds(thread.KindActivity)
			}
			if seed%3 == 2 {
				w.kinds = thread.Kinds(thread.KindStatus, thread.KindClosure)
			}
			silent := seed%4 == 3
			w.silent = silent
			w.play(seed, 200, 1+int(seed%4), mix)
			report := w.check(oracle.Options{Silent: silent, MustSee: 4 * time.Second})
			if err := report.Err(); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			if report.Changes < 40 || report.Heartbeats == 0 {
				t.Errorf("seed %d: too little was judged: %d changes, %d heartbeats", seed, report.Changes, report.Heartbeats)
			}
		})
	}
}

// Each fault is seen, and by its name.
func TestFaultsAreNamed(t *testing.T) {
	all := map[string]func(oracle.Report) int{
		"lost":      func(r oracle.Report) int { return r.Lost },
		"unsettled": func(r oracle.Report) int { return r.Unsettled },
		"invented":  func(r oracle.Report) int { return r.Invented },
		"duplicate": func(r oracle.Report) int { return r.Duplicates },
		"disorder":  func(r oracle.Report) int { return r.Disorder },
		"gap":       func(r oracle.Report) int { return r.Gaps },
		"before":    func(r oracle.Report) int { return r.BrokenBefore },
		"window":    func(r oracle.Report) int { return r.WrongWindow },
		"mark":      func(r oracle.Report) int { return r.FalseMarks },
		"malformed": func(r oracle.Report) int { return r.Malformed },
	}
	for name, plant := range faults() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.observe()
			w.pass(time.Second)
			count := all[plant.counted]
			plant.plant(w)
			report := w.check(oracle.Options{})
			if count(report) == 0 || report.Err() == nil {
				t.Errorf("%s: got %v, want it counted as %s", name, &report, plant.counted)
			}
		})
	}
}

type fault struct {
	counted string
	plant   func(*world)
}

func faults() map[string]fault {
	return map[string]fault{
		"a change was never read":                      {"unsettled", func(w *world) { w.must(w.server.Close(w.some("OPEN"))) }},
		"a thread was never read":                      {"unsettled", func(w *world) { w.server.Open(hubspottest.Opening{}) }},
		"a change that was taken back was never read":  {"lost", unseen},
		"an event of a revision is missing":            {"lost", withoutEvent},
		"an event in the middle is missing":            {"gap", withoutMiddle},
		"a revision is missing":                        {"gap", withoutRevision},
		"an event is there twice":                      {"duplicate", twice},
		"two events of a thread have changed places":   {"disorder", exchanged},
		"a thread went to another partition":           {"disorder", astray},
		"a state that never was":                       {"invented", func(w *world) { ghost(w, "A-1") }},
		"a state from before":                          {"invented", func(w *world) { ghost(w, "") }},
		"a before that was not":                        {"before", wrongBefore},
		"a change before its window":                   {"window", late},
		"an event without its kind":                    {"lost", withoutKind},
		"a kind that did not change":                   {"invented", withKind},
		"an event observed before a watermark":         {"mark", overtaken},
		"a heartbeat that counts one too many":         {"mark", func(w *world) { w.beat(func(h *event.Heartbeat) { h.Events++ }) }},
		"an event is missing that a heartbeat counted": {"mark", func(w *world) { w.beat(nil); w.remove(w.find(thread.KindStatus, w.some("OPEN"), 0)) }},
		"a record that is no event":                    {"malformed", func(w *world) { first(w).Value = []byte("x") }},
		"a key of another thread":                      {"malformed", func(w *world) { first(w).Key = []byte("12345:1") }},
		"a header is missing":                          {"malformed", func(w *world) { r := first(w); r.Headers = r.Headers[1:] }},
		"a header is wrong":                            {"malformed", func(w *world) { first(w).Headers[1].Value = []byte("x") }},
	}
}

func first(w *world) *kgo.Record {
	p, i := w.find(thread.KindStatus, w.some("OPEN"), 0)
	return w.log[p][i]
}

func unseen(w *world) {
	id := w.some("OPEN")
	w.must(w.server.Close(id))
	w.pass(time.Minute)
	w.must(w.server.Reopen(id))
	w.pass(time.Second)
	w.observe()
}

// closed closes a thread and publishes that.
func closed(w *world) thread.ID {
	id := w.some("OPEN")
	w.must(w.server.Close(id))
	w.pass(time.Second)
	w.observe()
	return id
}

func withoutEvent(w *world) { w.remove(w.find(thread.KindStatus, closed(w), 1)) }

// withoutMiddle lets the first of two later events of a kind be missing.
func withoutMiddle(w *world) {
	id := closed(w)
	w.must(w.server.Reopen(id))
	w.pass(time.Second)
	w.observe()
	w.remove(w.find(thread.KindStatus, id, 1))
}

func withoutRevision(w *world) {
	id := closed(w)
	w.must(w.server.Reopen(id))
	w.pass(time.Second)
	w.observe()
	w.remove(w.find(thread.KindStatus, id, 1))
	w.remove(w.find(thread.KindClosure, id, 0))
}

func twice(w *world) {
	p, i := w.find(thread.KindStatus, w.some("OPEN"), 0)
	again := *w.log[p][i]
	again.Offset = int64(len(w.log[p]))
	w.log[p] = append(w.log[p], &again)
}

func exchanged(w *world) {
	p, i := w.find(thread.KindStatus, closed(w), 1)
	_, j := w.find(thread.KindStatus, thread.ID(mustID(w.log[p][i])), 0)
	w.log[p][i].Offset, w.log[p][j].Offset = w.log[p][j].Offset, w.log[p][i].Offset
}

func mustID(r *kgo.Record) thread.ID {
	m, err := event.Decode(r.Value)
	if err != nil {
		return 0
	}
	id, _ := thread.ParseID(m.ThreadId)
	return id
}

func astray(w *world) {
	p, i := w.find(thread.KindStatus, closed(w), 1)
	w.log[p][i].Partition = (p.Number + 1) % partitions
	w.log[p][i].Offset += 1000
}

// ghost publishes that a thread has an assignee which it never had, or has no more.
func ghost(w *world, actor thread.Actor) {
	id := w.some("OPEN")
	w.must(w.server.Assign(id, "A-2"))
	w.pass(time.Second)
	w.observe()
	w.pass(time.Second)
	t, _ := w.server.Thread(id)
	t.AssignedTo = actor
	w.take(t, w.now)
	w.pass(time.Second)
	w.observe()
}

func wrongBefore(w *world) {
	w.spoil = func(before, _ *thread.Snapshot, _ *thread.Change) { before.Contact = "another" }
	closed(w)
}

func late(w *world) {
	id := w.some("OPEN")
	w.must(w.server.Close(id))
	w.pass(time.Second)
	w.window = func(window *thread.Window) { window.Start = window.End }
	w.observe()
}

func withoutKind(w *world) {
	w.spoil = func(before, after *thread.Snapshot, change *thread.Change) {
		change.Kinds &^= thread.Kinds(thread.KindClosure)
		after.Positions[thread.KindClosure] = before.Positions[thread.KindClosure]
	}
	closed(w)
}

func withKind(w *world) {
	id := w.some("OPEN")
	w.must(w.server.Assign(id, "A-2"))
	w.pass(time.Second)
	w.observe()
	w.spoil = func(before, after *thread.Snapshot, change *thread.Change) {
		change.Kinds |= thread.Kinds(thread.KindAssignment)
		position := &after.Positions[thread.KindAssignment]
		position.Sequence, position.Revision = before.Positions[thread.KindAssignment].Sequence+1, after.Revision
	}
	closed(w)
}

func overtaken(w *world) {
	w.beat(func(h *event.Heartbeat) { h.Watermark = w.now.Add(time.Hour) })
	closed(w)
}

// What stood too shortly may be missed; what comes before the service does not count.
func TestWhatNeedNotBeSeen(t *testing.T) {
	t.Run("it stood shortly", func(t *testing.T) {
		w := newWorld(t)
		w.observe()
		unseen(w)
		report := w.check(oracle.Options{MustSee: time.Hour})
		if err := report.Err(); err != nil || report.Missed != 1 {
			t.Errorf("got %d missed, want 1; %v", report.Missed, err)
		}
	})
	t.Run("it was before", func(t *testing.T) {
		w := newWorld(t)
		id := w.some("OPEN")
		w.must(w.server.Close(id))
		w.pass(time.Hour)
		w.must(w.server.Reopen(id))
		from := w.now
		w.pass(time.Second)
		w.observe()
		report := w.check(oracle.Options{From: from})
		if err := report.Err(); err != nil {
			t.Error(err)
		}
	})
	t.Run("it was in an earlier generation", func(t *testing.T) {
		w := newWorld(t)
		w.observe()
		id := closed(w)
		w.must(w.server.Reopen(id))
		w.pass(time.Second)
		w.must(w.server.Assign(id, "A-7"))
		w.pass(time.Second)
		w.begin(2)
		w.observe()
		w.beat(nil)
		report := w.check(oracle.Options{})
		if err := report.Err(); err != nil {
			t.Error(err)
		}
	})
	t.Run("it is of another account", func(t *testing.T) {
		w := newWorld(t)
		w.observe()
		other := newWorld(t)
		other.server = hubspottest.New(hubspottest.Config{Clock: func() time.Time { return other.now }, Account: "777"})
		other.server.Open(hubspottest.Opening{})
		other.begin(1)
		other.observe()
		report := oracle.Check(append(w.records(), other.records()...), w.server, oracle.Options{})
		if err := report.Err(); err != nil || report.Foreign != len(other.records()) {
			t.Errorf("got %d foreign records, want %d; %v", report.Foreign, len(other.records()), err)
		}
	})
}

// A status that nobody knows says nothing about whether the thread is closed.
func TestUnknownStatus(t *testing.T) {
	w := newWorld(t)
	w.observe()
	id := closed(w)
	for _, status := range []string{"PENDING", "CLOSED"} {
		w.must(w.server.Edit(id, func(t *hubspottest.Thread) { t.Status = status }))
		w.pass(time.Second)
		w.observe()
	}
	report := w.check(oracle.Options{})
	if err := report.Err(); err != nil {
		t.Error(err)
	}
}

// Delays run from the change to the reading.
func TestDelays(t *testing.T) {
	w := newWorld(t)
	w.observe()
	w.pass(time.Second)
	closed(w)
	report := w.check(oracle.Options{})
	want := time.Second + 30*time.Millisecond
	if len(report.Delays) != 1 || report.Delays[0] != want {
		t.Errorf("got %v, want [%v]", report.Delays, want)
	}
}

func TestForgottenLogIsNoTruth(t *testing.T) {
	server := hubspottest.New(hubspottest.Config{LogLimit: 4})
	for range 10 {
		server.Open(hubspottest.Opening{})
	}
	if report := oracle.Check(nil, server, oracle.Options{}); report.Malformed == 0 {
		t.Errorf("got %v, want the missing mutations named", &report)
	}
}
