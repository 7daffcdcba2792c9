package publish

import (
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

func mustSettle(t *testing.T, w *world) {
	t.Helper()
	if err := w.settleDown(60); err != nil {
		t.Fatal(err)
	}
	if stage := w.primary().machine.stage; stage != running {
		t.Fatalf("stage %v after 60 rounds, want running", stageNames[stage])
	}
}

func mustHeal(t *testing.T, w *world) {
	t.Helper()
	w.refuse = nil
	if err := w.heal(); err != nil {
		t.Fatal(err)
	}
}

// What looks like a loss and is none.
func TestSessionsThatBegin(t *testing.T) {
	h := newHistory(t, simRevisions)
	cases := map[string]func(t *testing.T, w *world){
		"the first answer for a producer was lost": func(t *testing.T, w *world) {
			lost := false
			w.refuse = func(q Request) error {
				if q.Question == AskProducer && !lost {
					lost = true
					w.carry(q)
					return errLost
				}
				return nil
			}
		},
		"a coordinator that is still loading": func(t *testing.T, w *world) {
			n := 0
			w.refuse = func(q Request) error {
				if n++; q.Question == AskProducer && n < 5 {
					return broker.CoordinatorLoading
				}
				return nil
			}
		},
		"an event in the outbox that was seen by another lane": func(t *testing.T, w *world) {
			w.publishSome(t, 0)
			w.observeOnly(2)
			producer, sequence := w.current()
			w.log.write(t, alpha0(), producer, sequence, altered(t, h.revisions[2][0].events[0], func(e *threadcastv1.ThreadEvent) {
				e.Lane = threadcastv1.Lane_LANE_RECENT
			}))
			w.restart(w.primary().state)
		},
		"retention has taken what was published": func(t *testing.T, w *world) {
			w.publishSome(t, 0)
			p := w.log.partitions[alpha0()]
			p.start = int64(len(p.records))
			w.restart(w.primary().state)
		},
		"events of an earlier generation": func(t *testing.T, w *world) {
			w.publishSome(t, 0)
			w.primary().state.durable()
			w.primary().state.session.Generation = 2
			w.restart(w.primary().state)
		},
		"records of other accounts and strangers": func(t *testing.T, w *world) {
			w.publishSome(t, 0)
			for i, key := range []string{"47110:1", "x", "471:1", "4711"} {
				w.log.write(t, alpha0(), broker.Producer{ID: 77}, int32(i), event.Record{
					Key: []byte(key), Value: h.revisions[0][1].events[0].value,
				})
			}
			w.restart(w.primary().state)
		},
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			w := quietWorld(t, h)
			prepare(t, w)
			mustSettle(t, w)
			if w.primary().state.session.Generation == 1 {
				w.publishSome(t, 4)
			}
		})
	}
}

// A state that was started anew takes the generation after the highest that the
// topics hold, before it publishes anything, and keeps it.
func TestNewGeneration(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := quietWorld(t, h)
	w.publishSome(t, 0, 1, 2)
	anew := newSimState(simPartitions())
	anew.session.StateID, anew.session.New = "state-2", true
	w.restart(anew)
	mustSettle(t, w)
	if got := w.primary().state.session; got.Generation != 2 || got.Fresh {
		t.Errorf("session %+v, want generation 2, not fresh", got)
	}
	w.restart(w.primary().state)
	mustSettle(t, w)
	if got := w.primary().state.session.Generation; got != 2 {
		t.Errorf("generation %d after a restart, want 2", got)
	}
	last := w.log.partitions[alpha0()].records
	if e, err := event.Decode(last[len(last)-1].Value); err != nil || e.Generation != 2 || e.GetHeartbeat().GetEvents() != 0 {
		t.Errorf("last record %v, %v; want a heartbeat of generation 2 that counts no events", e, err)
	}
}

// When Kafka gives another producer id, the old one is fenced on every partition
// before anything is written under the new one.
func TestAnotherProducerIDFencesTheOldOne(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := quietWorld(t, h)
	w.publishSome(t, 0, 1)
	old, sequence := w.current()
	w.log.forgotten = true
	w.restart(w.primary().state)
	mustSettle(t, w)
	if now, _ := w.current(); now.ID == old.ID {
		t.Fatalf("producer %+v, want another id than %d", now, old.ID)
	}
	for _, at := range simPartitions() {
		late := broker.AppendBatch(nil, broker.RecordBatch{Producer: old, Sequence: sequence, Time: noon, Records: []broker.Record{{Key: []byte("x")}}})
		if _, err := w.log.append(at, late); judge(err) != replaced {
			t.Errorf("%s/%d takes a late batch of the old producer: %v", at.Topic, at.Number, err)
		}
	}
}

// A producer that the scan finds on our records is fenced too, and what it wrote
// until then is found: here an entry of the outbox.
func TestStrangerIsFencedAndScannedAgain(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := quietWorld(t, h)
	w.publishSome(t, 0)
	w.observeOnly(2)
	at, stranger := alpha0(), broker.Producer{ID: 55, Epoch: 3}
	w.log.write(t, at, stranger, 0, h.revisions[2][0].events[0].record())
	w.restart(w.primary().state)
	late := false
	w.refuse = func(q Request) error {
		// Just before its fence arrives, it writes once more, behind our barrier.
		if q.Question == AskAppend && parseBatch(q.Bytes).producer.ID == stranger.ID && q.Partition == at && !late {
			late = true
			for i, e := range h.revisions[2][0].events[1:] {
				if e.partition == at {
					w.log.write(t, at, stranger, int32(i)+1, e.record())
				}
			}
		}
		return nil
	}
	if err := w.heal(); err != nil {
		t.Fatal(err)
	}
	if !late {
		t.Error("the stranger was not fenced")
	}
}

// The watermark of a restarted process starts from the greatest that was given.
func TestWatermarkOutlastsARestart(t *testing.T) {
	h := newHistory(t, simRevisions)
	w := quietWorld(t, h)
	w.publishSome(t, 0)
	w.elapse(2 * time.Minute)
	mustSettle(t, w)
	given := w.primary().state.promised
	if given.Before(noon.Add(2 * time.Minute)) {
		t.Fatalf("promised %v, want a heartbeat after two minutes", given)
	}
	w.restart(w.primary().state)
	w.skew -= time.Hour // the clock is set back
	w.elapse(0)
	mustSettle(t, w)
	if got := w.primary().state.promised; got.Before(given) {
		t.Errorf("promised %v after a restart, %v was given", got, given)
	}
	w.publishSome(t, 0)
	mustHeal(t, w)
}

// A compacted topic may lack the acknowledged record; others may not.
func TestCompactedRecordIsNoRecreation(t *testing.T) {
	h := newHistory(t, simRevisions)
	for _, compacted := range []bool{true, false} {
		w := quietWorld(t, h)
		w.publishSome(t, 0)
		w.restart(w.primary().state)
		w.primary().machine.cfg.Compacted = map[string]bool{"alpha": compacted}
		w.log.partitions[alpha0()].gone = w.primary().state.partitions[alpha0()].position.Offset
		err := w.settleDown(60)
		if compacted && err != nil {
			t.Errorf("compacted: %v", err)
		} else if !compacted {
			checkStop(t, err, ErrRecreated, codeState, []string{"there is nothing"})
		}
	}
}
