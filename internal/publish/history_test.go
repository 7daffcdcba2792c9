package publish

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

const (
	account    = "4711"
	simThreads = 5
)

var noon = time.Date(2026, 9, 8, 12, 0, 0, 0, time.UTC)

// history holds real events of a few threads, encoded once for all schedules.
type history struct {
	encoders  map[uint32]*event.Encoder
	revisions [][]simRevision // by thread, then revision
}

// simRevision is one revision of a thread.
type simRevision struct {
	thread int
	events []simEvent
}

// simEvent is an event and where it belongs.
type simEvent struct {
	thread, revision int
	partition        event.Partition
	id               string
	key, value       []byte
}

func simPartitions() []event.Partition {
	return []event.Partition{{Topic: "alpha", Number: 0}, {Topic: "alpha", Number: 1}, {Topic: "beta", Number: 0}, {Topic: "beta", Number: 1}}
}

// topicOf lets two kinds share a topic.
func topicOf(kind thread.Kind) string {
	if kind <= thread.KindStatus {
		return "alpha"
	}
	return "beta"
}

func newHistory(tb testing.TB, revisions int) *history {
	tb.Helper()
	h := &history{encoders: map[uint32]*event.Encoder{}}
	encoder, err := h.encoder(1)
	if err != nil {
		tb.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for id := range simThreads {
		var chain []simRevision
		snapshot := thread.Snapshot{}
		for len(chain) < revisions {
			facts := randomFacts(random)
			at := noon.Add(time.Duration(len(chain)) * time.Minute)
			window := thread.Window{Start: at, End: at, ObservedAt: at, Lane: thread.LaneFull}
			change := thread.Diff(snapshot, facts, thread.DefaultKinds)
			after := thread.Apply(snapshot, thread.ID(id+1), change, window)
			records, err := encoder.Revision(nil, snapshot, after, change, window)
			if err != nil {
				tb.Fatal(err)
			}
			if snapshot = after; len(records) > 0 {
				chain = append(chain, newRevision(id, len(chain)+1, records))
			}
		}
		h.revisions = append(h.revisions, chain)
	}
	return h
}

func newRevision(id, number int, records []event.Record) simRevision {
	revision := simRevision{thread: id}
	for _, r := range records {
		revision.events = append(revision.events, simEvent{
			thread: id, revision: number, id: r.EventID, key: r.Key, value: r.Value,
			partition: event.Partition{Topic: topicOf(r.Kind), Number: int32(id % 2)},
		})
	}
	return revision
}

// encoder is shared by all machines of a test: making one costs more than a schedule.
func (h *history) encoder(generation uint32) (*event.Encoder, error) {
	if h.encoders[generation] == nil {
		encoder, err := event.NewEncoder(account, generation)
		if err != nil {
			return nil, fmt.Errorf("generation %d: %w", generation, err)
		}
		h.encoders[generation] = encoder
	}
	return h.encoders[generation], nil
}

func randomFacts(r *rand.Rand) thread.Facts {
	facts := thread.Facts{
		Status: thread.StatusOpen, StatusText: "OPEN", CreatedAt: noon, Inbox: "10", Presence: thread.PresenceListed,
		AssignedTo: []thread.Actor{"", "A-1", "A-2"}[r.IntN(3)], Spam: r.IntN(5) == 0,
	}
	if r.IntN(3) == 0 {
		facts.Status, facts.StatusText, facts.ClosedAt = thread.StatusClosed, "CLOSED", noon.Add(time.Duration(r.IntN(100))*time.Minute)
	}
	return facts
}
