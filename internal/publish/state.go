package publish

import (
	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// State is what is going on, for people and probes.
type State struct {
	Phase    string
	Producer broker.Producer
	// Ready says that the session stands and no partition waits for a person.
	Ready bool
	// Reason says why it is not, or what was last coped with; empty: nothing.
	Reason     string
	Partitions []PartitionState
}

// PartitionState is what is going on in one partition.
type PartitionState struct {
	event.Partition
	event.Position
	InFlight bool   // a batch waits for its answer
	Waiting  int    // entries read and not acknowledged
	More     bool   // there may be more than those
	Attempts int    // of the present request that failed
	Reason   string // of the last failure
}

// State tells what is going on.
func (m *Machine) State(now thread.Instant) State {
	s := State{Phase: stageNames[m.stage], Producer: m.producer, Ready: m.stage == running && m.stopped == nil && m.paused.reason == "" && m.flushFail == "", Reason: m.trouble()}
	for _, p := range m.partitions {
		state := PartitionState{
			Partition: p.Partition, Position: p.position, InFlight: p.flight != nil, Waiting: len(p.queue), More: p.more,
		}
		tries := p.attempts()
		state.Attempts, state.Reason = tries.failed, tries.reason
		if tries.failed >= troubled {
			s.Ready = false
			if s.Reason == "" {
				s.Reason = state.Reason
			}
		}
		s.Partitions = append(s.Partitions, state)
	}
	return s
}

// troubled is the number of failures after which a partition is not ready: enough to
// let a leader move.
const troubled = 8

func (m *Machine) trouble() string {
	switch {
	case m.stopped != nil:
		return m.stopped.Error()
	case m.paused.reason != "":
		return m.paused.reason
	case m.init.reason != "":
		return m.init.reason
	case m.flushFail != "":
		return m.flushFail
	}
	return m.reason
}

// attempts are those of what the partition asks for at present.
func (p *partition) attempts() attempts {
	switch {
	case p.silent:
		return p.probe
	case p.flight != nil:
		return p.flight.attempts
	}
	return p.scan.attempts
}
