package publish

import (
	"fmt"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// findings is what the scan of all partitions found that is not as it should be, the
// first of each kind. Nothing is concluded before all of it was read.
type findings struct {
	recreation, higher, stranger, count *Stop

	generation uint32 // highest of records that a fresh state did not write
	evidence   string // the first of those
	other      *threadcastv1.Heartbeat
}

func (f *findings) recreate(s *Stop) { keepFirst(&f.recreation, s) }
func (f *findings) newer(s *Stop)    { keepFirst(&f.higher, s) }
func (f *findings) foreign(s *Stop)  { keepFirst(&f.stranger, s) }
func (f *findings) hole(s *Stop)     { keepFirst(&f.count, s) }

func keepFirst(kept **Stop, s *Stop) {
	if *kept == nil {
		*kept = s
	}
}

// instance remembers who else was there: the last one to say so.
func (f *findings) instance(beat *threadcastv1.Heartbeat) { f.other = beat }

// older notes a record that was there before a fresh state.
func (f *findings) older(p *partition, offset int64, e *threadcastv1.ThreadEvent) {
	f.generation = max(f.generation, e.Generation)
	if f.evidence == "" {
		f.evidence = fmt.Sprintf("This state is new, yet %s/%d holds %q of its account at offset %d", p.Topic, p.Number, e.EventId, offset)
	}
}

func (m *Machine) foreign(p *partition, r *broker.FetchedRecord, what string) *Stop {
	return &Stop{Code: codeState, Err: ErrForeignRecord, Reason: fmt.Sprintf(
		"%s/%d holds %s at offset %d, after all that this state has published", p.Topic, p.Number, what, r.Offset)}
}

func (m *Machine) newer(p *partition, r *broker.FetchedRecord, generation uint32) *Stop {
	return &Stop{Code: codeState, Err: ErrForeignRecord, Reason: fmt.Sprintf(
		"%s/%d holds a record of generation %d at offset %d, this state is of generation %d: the account was started anew elsewhere. %s",
		p.Topic, p.Number, generation, r.Offset, m.session.Generation, oneOnly)}
}

// verdict is the reason to stop that the scan found, if there is one. Invariant G9.
func (m *Machine) verdict() *Stop {
	f := &m.finding
	switch {
	case f.recreation != nil:
		return f.recreation
	case f.higher != nil:
		return f.higher
	case f.stranger != nil:
		stop := *f.stranger
		if f.other != nil {
			stop.Reason += fmt.Sprintf("; instance %q on host %q, started %s, was writing as well",
				f.other.InstanceId, f.other.Host, stamp(f.other.GetStartedAt().AsTime()))
		}
		stop.Reason += ". " + oneOnly + ". If this one was restored from a backup, its state is older than the topics. " + wayOut
		return &stop
	}
	return f.count
}

// settle draws the conclusions once every partition has been read, all of them or
// none. It may be repeated after an error of the state.
func (m *Machine) settle(now thread.Instant) error {
	if stop := m.verdict(); stop != nil {
		return stop
	}
	s := &m.session
	if s.Fresh && !s.New && m.finding.evidence != "" {
		return m.lose(m.finding.evidence)
	}
	if ids := m.strangers(); len(ids) > 0 {
		// They could still write behind what was scanned: the fences move the end.
		m.fences = append(m.fences, ids...)
		m.stage, m.next = fencing, scanning
		return nil
	}
	if s.Fresh && s.New && m.finding.generation >= s.Generation {
		if err := m.raise(m.finding.generation + 1); err != nil {
			return err
		}
	}
	if err := m.apply(now); err != nil {
		return err
	}
	if s.Fresh {
		session := *s
		session.Fresh = false
		if err := m.ledger.SaveSession(session); err != nil {
			return fmt.Errorf("save that the first scan is done: %w", err)
		}
		m.session = session
	}
	m.begin(now)
	return nil
}

// raise gives a state that was started anew its generation.
func (m *Machine) raise(generation uint32) error {
	session := m.session
	session.Generation = generation
	if err := m.ledger.SaveSession(session); err != nil {
		return fmt.Errorf("save generation %d: %w", generation, err)
	}
	m.session = session
	return m.encode(generation)
}

// apply acknowledges what was found. Positions in memory move only in begin, so that
// a repetition gives the same.
func (m *Machine) apply(now thread.Instant) error {
	m.promise(func(p *partition) time.Time { return p.scan.watermark })
	for _, p := range m.partitions {
		ack := event.Ack{Partition: p.Partition, Entries: p.scan.numbers, Position: p.settled()}
		if err := m.outbox.Acknowledge(ack); err != nil {
			return fmt.Errorf("acknowledge what was found on %s/%d: %w", p.Topic, p.Number, err)
		}
	}
	if err := m.outbox.Flush(); err != nil {
		return fmt.Errorf("save what was found on the topics: %w", err)
	}
	m.unsaved = false
	return nil
}

// settled is the position after the scan: at the session's own last record.
func (p *partition) settled() event.Position {
	position := event.Position{
		Entry: p.position.Entry, Offset: p.scan.end.offset, EventID: p.scan.end.eventID,
		Events: p.scan.events, Watermark: p.scan.watermark,
	}
	for _, number := range p.scan.numbers {
		position.Entry = max(position.Entry, number)
	}
	return position
}

// begin starts the publishing.
func (m *Machine) begin(now thread.Instant) {
	reconciled := 0
	for _, p := range m.partitions {
		reconciled += len(p.scan.numbers)
		p.position = p.settled()
		p.scan = scan{}
		p.beat = now.Mono // readers get a first watermark soon
		p.more = true
	}
	m.finding = findings{}
	m.stage, m.reason = running, ""
	if m.cfg.Observer.Established != nil {
		m.cfg.Observer.Established(m.producer, reconciled)
	}
}
