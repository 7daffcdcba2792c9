package publish

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/threadcast/threadcast/internal/event"
)

// errFull is a disk that is full.
var errFull = errors.New("no space left")

// simState is a state as this package sees it: what is durable, and what is in memory
// beyond that and is lost in a crash.
type simState struct {
	session    event.Session
	partitions map[event.Partition]*simOutbox
	promised   time.Time
	observed   uint64
	touched    map[int]simTouch // by thread

	point func(name string) error // called before each call; may fail it, or panic as a crash
}

type simTouch struct {
	observation uint64
	partitions  []event.Partition
}

type simOutbox struct {
	entries           []event.Entry // number n is at n-1
	acked, saved      map[uint64]bool
	position, durable event.Position
}

func newSimState(partitions []event.Partition) *simState {
	s := &simState{
		session:    event.Session{Account: account, StateID: "state-1", Generation: 1, Fresh: true, ProducerID: -1, Epoch: -1},
		partitions: map[event.Partition]*simOutbox{}, touched: map[int]simTouch{},
		point: func(string) error { return nil },
	}
	for _, p := range partitions {
		none := event.Position{Offset: -1}
		s.partitions[p] = &simOutbox{acked: map[uint64]bool{}, saved: map[uint64]bool{}, position: none, durable: none}
		s.session.Partitions = append(s.session.Partitions, event.PartitionState{Partition: p})
	}
	return s
}

// crash is the state after the process has died: what was not durable is gone.
func (s *simState) crash() *simState {
	c := *s
	c.promised = time.Time{}
	c.partitions = map[event.Partition]*simOutbox{}
	c.touched = maps.Clone(s.touched)
	for p, o := range s.partitions {
		c.partitions[p] = &simOutbox{
			entries: slices.Clone(o.entries), acked: maps.Clone(o.saved), saved: maps.Clone(o.saved),
			position: o.durable, durable: o.durable,
		}
	}
	return &c
}

func (s *simState) Session() event.Session {
	session := s.session
	session.Partitions = slices.Clone(session.Partitions)
	for i := range session.Partitions {
		p := &session.Partitions[i]
		o := s.partitions[p.Partition]
		p.Position, p.Next = o.position, uint64(len(o.entries))+1
	}
	return session
}

func (s *simState) SaveSession(session event.Session) error {
	if err := s.point("save session"); err != nil {
		return err
	}
	session.Partitions = s.session.Partitions
	s.session = session
	return s.point("session saved")
}

func (s *simState) Promise(t time.Time) {
	if t.After(s.promised) {
		s.promised = t
	}
}

func (s *simState) Pending(p event.Partition, after uint64, limit int) ([]event.Entry, error) {
	if err := s.point("pending"); err != nil {
		return nil, err
	}
	o := s.partitions[p]
	var entries []event.Entry
	for n := after + 1; n <= uint64(len(o.entries)) && len(entries) < limit; n++ {
		if !o.acked[n] {
			entries = append(entries, o.entries[n-1])
		}
	}
	return entries, nil
}

func (s *simState) Acknowledge(ack event.Ack) error {
	if err := s.point("acknowledge"); err != nil {
		return err
	}
	o := s.partitions[ack.Partition]
	for _, n := range ack.Entries {
		o.acked[n] = true
	}
	o.position = ack.Position
	return nil
}

func (s *simState) Flush() error {
	if err := s.point("flush"); err != nil {
		return err
	}
	s.durable()
	return s.point("flushed")
}

func (s *simState) durable() {
	for _, o := range s.partitions {
		o.saved, o.durable = maps.Clone(o.acked), o.position
	}
}

// observe appends the events of one observation, with all that is acknowledged so
// far, in one transaction.
func (s *simState) observe(at time.Time, revisions []simRevision) {
	s.observed++
	if at.Before(s.promised) {
		at = s.promised
	}
	for _, revision := range revisions {
		before := s.touched[revision.thread]
		touch := simTouch{observation: s.observed}
		for _, e := range revision.events {
			o := s.partitions[e.partition]
			o.entries = append(o.entries, event.Entry{
				Number: uint64(len(o.entries)) + 1, Observation: s.observed, ObservedAt: at,
				PreviousObservation: before.observation, PreviousPartitions: before.partitions,
				EventID: e.id, Key: e.key, Value: e.value,
			})
			if !slices.Contains(touch.partitions, e.partition) {
				touch.partitions = append(touch.partitions, e.partition)
			}
		}
		s.touched[revision.thread] = touch
	}
	s.durable()
}

func (s *simState) pending() int {
	n := 0
	for _, o := range s.partitions {
		n += len(o.entries) - len(o.acked)
	}
	return n
}
