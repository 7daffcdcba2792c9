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
	topics    [2]string
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

const simPartitionCount = 2

func simPartitions() []event.Partition { return partitionsOf("alpha", "beta") }

func partitionsOf(topics ...string) (partitions []event.Partition) {
	for _, topic := range topics {
		for n := range int32(simPartitionCount) {
			partitions = append(partitions, event.Partition{Topic: topic, Number: n})
		}
	}
	return partitions
}

// topicOf lets two kinds share a topic.
func (h *history) topicOf(kind thread.Kind) string {
	if kind <= thread.KindStatus {
		return h.topics[0]
	}
	return h.topics[1]
}

func newHistory(tb testing.TB, revisions int) *history {
	tb.Helper()
	return newHistoryOn(tb, revisions, [2]string{"alpha", "beta"})
}

func newHistoryOn(tb testing.TB, revisions int, topics [2]string) *history {
	tb.Helper()
	h := &history{topics: topics, encoders: map[uint32]*event.Encoder{}}
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
				chain = append(chain, h.newRevision(id, len(chain)+1, records))
			}
		}
		h.revisions = append(h.revisions, chain)
	}
	return h
}

func (h *history) newRevision(id, number int, records []event.Record) simRevision {
	revision := simRevision{thread: id}
	for _, r := range records {
		revision.events = append(revision.events, simEvent{
			thread: id, revision: number, id: r.EventID, key: r.Key, value: r.Value,
			partition: event.Partition{Topic: h.topicOf(r.Kind), Number: int32(id % simPartitionCount)},
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
