package publish

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
)

// watched notes what is sent to a partition.
type watched struct {
	sent [][]byte
	at   []time.Duration
}

// watch answers each batch for a partition as told; n counts from 1.
func watch(w *world, at event.Partition, answer func(n int, b simBatch) error) *watched {
	seen := &watched{}
	w.refuse = func(q Request) error {
		if q.Question != AskAppend || q.Partition != at {
			return nil
		}
		seen.sent, seen.at = append(seen.sent, q.Bytes), append(seen.at, w.now.Mono)
		return answer(len(seen.sent), parseBatch(q.Bytes))
	}
	return seen
}

// startOf brings a world to where every partition has had its first heartbeat.
func startOf(t *testing.T, h *history) *world {
	t.Helper()
	w := quietWorld(t, h)
	w.publishSome(t, 1)
	return w
}

func failing(times int, err error) func(int, simBatch) error {
	return func(n int, _ simBatch) error {
		if n <= times {
			return err
		}
		return nil
	}
}

// Whatever passes by itself is repeated with the same bytes, ever more slowly.
func TestSameBytesAreRepeated(t *testing.T) {
	h := newHistory(t, simRevisions)
	for name, err := range map[string]error{
		"lost": errLost, "timed out": broker.RequestTimedOut, "no leader": broker.NotLeader,
		"too few replicas": broker.NotEnoughReplicas, "too few after the append": broker.NotEnoughReplicasAfterAppend,
		"unknown topic": broker.UnknownTopicOrPartition, "unknown code": broker.Code(1234), "no right": broker.TopicAuthorizationFailed,
		"invalid record": broker.InvalidRecord,
	} {
		t.Run(name, func(t *testing.T) {
			w := startOf(t, h)
			seen := watch(w, alpha0(), failing(6, err))
			w.observeOnly(0)
			mustSettle(t, w)
			for i, sent := range seen.sent[:7] {
				if !bytes.Equal(sent, seen.sent[0]) {
					t.Fatalf("try %d has other bytes", i+1)
				}
			}
			pause := seen.at[6] - seen.at[5]
			shortest, longest := time.Second/2, longestPause
			switch judge(err) {
			case slowly:
				shortest, longest = shortestPerson/2, longestPerson
			case refused:
				shortest, longest = refusedPause/2, refusedPause
			}
			if pause < shortest || pause > longest {
				t.Errorf("paused %v before try 7, want %v to %v", pause, shortest, longest)
			}
			mustHeal(t, w)
		})
	}
}

func TestTroubleIsTold(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := startOf(t, h)
	watch(w, alpha0(), failing(1000, broker.TopicAuthorizationFailed))
	w.observeOnly(0)
	for range 30 {
		if err := w.round(); err != nil {
			t.Fatal(err)
		}
	}
	s := w.primary().machine.State(w.now)
	if s.Ready || !strings.Contains(s.Reason, "lacks a right on a topic") {
		t.Errorf("got ready %v, reason %q; want unready for a missing right", s.Ready, s.Reason)
	}
	mustHeal(t, w)
	if s = w.primary().machine.State(w.now); !s.Ready || s.Reason != "" {
		t.Errorf("got ready %v, reason %q after it passed", s.Ready, s.Reason)
	}
}

// A batch that is too large leaves in pieces, which take up the same sequence.
func TestLargeBatchIsSplit(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := startOf(t, h)
	seen := watch(w, alpha0(), func(_ int, b simBatch) error {
		if len(b.records) > 1 {
			return broker.MessageTooLarge
		}
		return nil
	})
	w.observeOnly(0, 2, 4)
	mustSettle(t, w)
	first := parseBatch(seen.sent[0])
	if len(first.records) < 4 {
		t.Fatalf("first try has %d records, want several", len(first.records))
	}
	next := first.first
	for _, sent := range seen.sent {
		if b := parseBatch(sent); len(b.records) == 1 {
			if b.first != next {
				t.Errorf("sequence %d, want %d", b.first, next)
			}
			next++
		}
	}
	mustHeal(t, w)
}

// A single record that a topic does not take makes its partition wait; it is not
// dropped, and the others go on.
func TestRecordTooLargeWaits(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := startOf(t, h)
	seen := watch(w, alpha0(), failing(1000, broker.MessageTooLarge))
	w.observeOnly(0)
	for range 40 {
		if err := w.round(); err != nil {
			t.Fatal(err)
		}
	}
	n := len(seen.at)
	if pause := seen.at[n-1] - seen.at[n-2]; pause < refusedPause/2 || pause > refusedPause {
		t.Errorf("repeated after %v, want up to %v", pause, refusedPause)
	}
	w.observeOnly(1)
	for range 20 {
		if err := w.round(); err != nil {
			t.Fatal(err)
		}
	}
	state := w.primary().state
	if waits := len(state.partitions[alpha0()].entries) - len(state.partitions[alpha0()].acked); waits == 0 || state.pending() != waits {
		t.Errorf("%d entries wait, %d of them on %v; want all there", state.pending(), waits, alpha0())
	}
	mustHeal(t, w)
}

// A time that the broker refuses is replaced; producer, sequence and records stay.
func TestRefusedTimeIsReplaced(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := startOf(t, h)
	seen := watch(w, alpha0(), failing(2, broker.InvalidTimestamp))
	w.observeOnly(0)
	mustSettle(t, w)
	stamp := func(b []byte) int64 { return int64(binary.BigEndian.Uint64(b[27:])) }
	one, two := parseBatch(seen.sent[0]), parseBatch(seen.sent[1])
	if stamp(seen.sent[1])-stamp(seen.sent[0]) < time.Second.Milliseconds() {
		t.Errorf("times %d and %d, want a second between", stamp(seen.sent[0]), stamp(seen.sent[1]))
	}
	if one.first != two.first || one.last != two.last || one.producer != two.producer {
		t.Errorf("got %+v, want what %+v had", two, one)
	}
	mustHeal(t, w)
}

// After an hour without an answer the same bytes are never sent again: once the
// leader answers, a new session finds out. Others go on meanwhile.
func TestUnansweredBatchIsNotRepeatedAfterAnHour(t *testing.T) {
	h := newHistory(t, simRevisions)
	for _, clock := range []string{"both clocks", "the wall clock alone"} {
		t.Run(clock, func(t *testing.T) {
			w := startOf(t, h)
			dead, lost := true, 0
			before := w.primary().machine.producer
			var after []simBatch
			w.refuse = func(q Request) error {
				if q.Partition != alpha0() || q.Question == AskProducer {
					return nil
				}
				if dead {
					if q.Question == AskAppend && lost == 0 {
						lost++
						w.carry(q) // it was appended, the answer is lost
					}
					return errLost
				}
				if q.Question == AskAppend {
					after = append(after, parseBatch(q.Bytes))
				}
				return nil
			}
			w.observeOnly(0)
			if err := w.settleDown(20); err != nil {
				t.Fatal(err)
			}
			if clock == "both clocks" {
				w.elapse(unanswered)
			} else {
				w.skew += unanswered
				w.elapse(0)
			}
			w.observeOnly(1)
			if err := w.settleDown(20); err != nil {
				t.Fatal(err)
			}
			if m := w.primary().machine; m.producer != before || m.stage != running {
				t.Fatalf("a new session began while the leader was dead, which holds up the others")
			}
			if waits := w.primary().state.pending(); waits != len(h.revisions[0][0].events[:2]) {
				t.Errorf("%d entries wait, want those of the dead partition", waits)
			}
			dead = false
			mustSettle(t, w)
			if len(after) == 0 || after[0].producer.Epoch != before.Epoch+1 {
				t.Errorf("first batch after an hour is %+v, want one of a new epoch", after)
			}
			mustHeal(t, w)
		})
	}
}

// A partition that was silent for so long that the broker may have forgotten whom it
// has to refuse is not written to without a new session.
func TestSilenceEndsASession(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := startOf(t, h)
	before := w.primary().machine.producer
	w.elapse(longestSilence + time.Minute)
	seen := watch(w, alpha0(), failing(0, nil))
	w.observeOnly(0)
	mustSettle(t, w)
	if b := parseBatch(seen.sent[0]); b.producer.Epoch != before.Epoch+1 {
		t.Errorf("first batch after the silence has epoch %d, want %d", b.producer.Epoch, before.Epoch+1)
	}
	mustHeal(t, w)
}

func TestSequenceWraps(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := startOf(t, h)
	at := w.primary().machine.index[alpha0()]
	known := w.log.partitions[alpha0()].producers[w.primary().machine.producer.ID]
	known.last[len(known.last)-1].last = math.MaxInt32 - 1
	at.sequence = math.MaxInt32
	seen := watch(w, alpha0(), failing(0, nil))
	w.observeOnly(0)
	mustSettle(t, w)
	b := parseBatch(seen.sent[0])
	if b.first != math.MaxInt32 || at.sequence != int32(len(b.records)-1) {
		t.Errorf("batch of %d from sequence %d, then %d; want %d next", len(b.records), b.first, at.sequence, len(b.records)-1)
	}
	mustHeal(t, w)
}

// A full disk does not end the publishing; acknowledgements run ahead in memory.
func TestFullDiskDoesNotEndPublishing(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := startOf(t, h)
	state := w.primary().state
	full := true
	state.point = func(name string) error {
		if full && name == "flush" {
			return errFull
		}
		return nil
	}
	for i := range 3 {
		w.observeOnly(i)
		w.elapse(2 * time.Second)
		mustSettle(t, w)
	}
	if n := state.pending(); n != 0 {
		t.Errorf("%d entries wait", n)
	}
	if s := w.primary().machine.State(w.now); s.Reason != errFull.Error() {
		t.Errorf("reason %q, want %q", s.Reason, errFull)
	}
	full = false
	w.elapse(2 * time.Second)
	mustSettle(t, w)
	if s := w.primary().machine.State(w.now); s.Reason != "" {
		t.Errorf("reason %q once there is space", s.Reason)
	}
	mustHeal(t, w)
}

// Any other error of the state ends the machine, and it stays dead.
func TestErrorOfTheStateEndsTheMachine(t *testing.T) {
	h := newHistory(t, simRevisions)
	for _, call := range []string{"save session", "pending", "acknowledge", "flush"} {
		w := quietWorld(t, h)
		w.primary().state.point = func(name string) error {
			if name == call {
				return errLost
			}
			return nil
		}
		w.observeOnly(0)
		if err := w.settleDown(60); err == nil || !strings.Contains(err.Error(), errLost.Error()) {
			t.Errorf("%s: got %v, want the state's error", call, err)
			continue
		}
		m := w.primary().machine
		if requests, err := m.Due(w.now); err == nil || len(requests) > 0 {
			t.Errorf("%s: a dead machine has %d requests, %v", call, len(requests), err)
		}
	}
}

// While entries wait that were not read in, no watermark is given: pages are
// committed in any order, so one of them may be older than what was read.
func TestNoWatermarkBeforeTheOutboxIsRead(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := quietWorld(t, h)
	at := alpha0()
	o := w.primary().state.partitions[at]
	for n := range uint64(3 * readEntries) {
		e := h.revisions[0][0].events[0]
		o.entries = append(o.entries, event.Entry{
			Number: n + 1, Observation: n + 1, ObservedAt: noon.Add(-time.Duration(n) * time.Second),
			EventID: e.id, Key: e.key, Value: e.value,
		})
	}
	m := w.primary().machine
	p := m.index[at]
	p.more = true
	if _, ok, err := m.watermark(w.now, p); ok || err != nil {
		t.Errorf("got a watermark with two thirds of the outbox unread, %v", err)
	}
	o.entries = o.entries[:100]
	p.queue, p.read = nil, 0
	if got, ok, err := m.watermark(w.now, p); !ok || err != nil || !got.Equal(o.entries[99].ObservedAt) {
		t.Errorf("got %v, %v, %v; want the oldest of the entries, %v", got, ok, err, o.entries[99].ObservedAt)
	}
}
