package publish

import (
	"bytes"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// scan is what a session has read of a partition: from the acknowledged position to
// the session's own last record. That record's offset came with its acknowledgement;
// the end that a broker states may be older, on a fresh leader.
type scan struct {
	attempts
	begun  bool
	next   int64 // offset to go on at, or LogStart
	asked  bool
	verify bool // the record at the acknowledged position is still to be compared

	seen    map[string]uint64 // event id -> number of the entries read so far
	read    uint64            // number up to which the outbox was read
	matched map[uint64]bool   // entries found in the log
	numbers []uint64          // the same, as found

	events    uint64 // before the next record, of this account and generation
	gap       bool   // records between position and log start are gone: events is a lower bound
	watermark time.Time
	end       marker // our own record at the marker's offset, as the log has it
}

// scan reads every partition up to its marker.
func (m *Machine) scan(now thread.Instant) error {
	out, complete := 0, true
	for _, p := range m.partitions {
		if p.scan.asked {
			out++
		}
	}
	for _, p := range m.partitions {
		s := &p.scan
		if !s.begun {
			m.beginScan(p)
		}
		if s.next > p.marker.offset {
			continue
		}
		complete = false
		if !s.asked && now.Mono >= s.at && out < scansAtOnce {
			s.asked = true
			out++
			m.request(Request{Question: AskRecords, Offset: s.next, Repeated: s.failed > 0}, p)
		}
	}
	if complete {
		m.stage = settling
	}
	return nil
}

// beginScan starts at the acknowledged record itself, which tells whether this still
// is the topic that it was appended to. A fresh state knows of no record and reads
// everything.
func (m *Machine) beginScan(p *partition) {
	s := &p.scan
	s.begun, s.next = true, LogStart
	s.seen, s.matched = map[string]uint64{}, map[uint64]bool{}
	s.events, s.watermark = p.position.Events, p.position.Watermark
	if m.session.Fresh || p.position.Offset < 0 {
		return
	}
	s.next, s.verify = p.position.Offset, true
	if p.marker.offset <= p.position.Offset {
		m.finding.recreate(m.recreated(p, fmt.Sprintf("the barrier got offset %d, the last record had %d",
			p.marker.offset, p.position.Offset)))
		s.next = p.marker.offset + 1
	}
}

// fetched takes a piece of the log.
func (m *Machine) fetched(now thread.Instant, p *partition, r Response) error {
	if m.stage == running {
		m.probed(now, p, r)
		return nil
	}
	s := &p.scan
	s.asked = false
	if v := judge(r.Err); v == noOffset {
		s.next = LogStart // retention took it, or the log is shorter than we know
		s.wait(now, emptyPause, longestEmpty, m.cfg.Random)
		return nil
	} else if v != done {
		s.later(now, v, r.Err, m.cfg.Random)
		return nil
	}
	if s.next == LogStart && !m.startAt(p, r.Fetched.Start) {
		s.wait(now, emptyPause, longestEmpty, m.cfg.Random)
		return nil
	}
	if r.Fetched.Next <= s.next {
		s.wait(now, emptyPause, longestEmpty, m.cfg.Random) // empty: not yet, ask again
		return nil
	}
	s.attempts = attempts{}
	return m.takeRecords(now, p, r.Fetched)
}

// startAt decides where to go on once the log's start is known; false: ask again.
func (m *Machine) startAt(p *partition, start int64) bool {
	s := &p.scan
	if !s.verify {
		s.next = start
		return true
	}
	if start <= p.position.Offset { // it is there after all: a leader that was behind
		s.next = p.position.Offset
		return false
	}
	s.gap = start > p.position.Offset+1
	s.next, s.verify = start, false
	return true
}

// takeRecords examines a piece of the log, up to the marker.
func (m *Machine) takeRecords(now thread.Instant, p *partition, f broker.Fetched) error {
	s := &p.scan
	if s.verify {
		s.verify = false
		m.verify(p, f)
	}
	for i := range f.Records {
		r := &f.Records[i]
		if r.Offset < s.next || r.Offset > p.marker.offset || r.Offset == p.position.Offset && !m.session.Fresh {
			continue
		}
		if !bytes.HasPrefix(r.Key, m.prefix) {
			continue // of another account, or of somebody else
		}
		if err := m.examine(p, r); err != nil {
			return err
		}
	}
	// Not beyond the marker: a fence may move it, and what is behind it was not examined.
	s.next = min(f.Next, p.marker.offset+1)
	if s.next > p.marker.offset && s.end.offset != p.marker.offset {
		m.renew(now, fmt.Sprintf("the barrier of %s/%d is no longer at offset %d", p.Topic, p.Number, p.marker.offset))
	}
	return nil
}

// verify compares the record at the acknowledged position with the one remembered.
func (m *Machine) verify(p *partition, f broker.Fetched) {
	at := p.position.Offset
	if len(f.Records) > 0 && f.Records[0].Offset == at {
		if e, err := event.Decode(f.Records[0].Value); err != nil || e.EventId != p.position.EventID {
			m.finding.recreate(m.recreated(p, fmt.Sprintf("at offset %d there is another record than %q", at, p.position.EventID)))
		}
		return
	}
	if f.Start <= at && !m.cfg.Compacted[p.Topic] {
		m.finding.recreate(m.recreated(p, fmt.Sprintf("at offset %d, where %q was, there is nothing", at, p.position.EventID)))
	}
}

func (m *Machine) recreated(p *partition, evidence string) *Stop {
	return &Stop{Code: codeState, Err: ErrRecreated, Reason: fmt.Sprintf(
		"%s/%d: %s: the topic was deleted and created anew, or brokers lost acknowledged records. "+
			"Bring the topic back, or start anew on purpose with `threadcast run --new LABEL`", p.Topic, p.Number, evidence)}
}

// examine looks at one record of this account.
func (m *Machine) examine(p *partition, r *broker.FetchedRecord) error {
	e, err := event.Decode(r.Value)
	if err != nil || e.AccountId != m.session.Account || e.Generation == 0 {
		m.finding.foreign(m.foreign(p, r, "a record that is none of threadcast's"))
		return nil
	}
	m.others[r.Producer.ID] = true
	if e.Generation > m.session.Generation && !m.session.Fresh {
		m.finding.newer(m.newer(p, r, e.Generation))
		return nil
	}
	if beat := e.GetHeartbeat(); beat != nil {
		m.others[beat.ProducerId] = true
		m.examineHeartbeat(p, r, e, beat)
		return nil
	}
	if m.session.Fresh {
		m.finding.older(p, r.Offset, e)
		return nil
	}
	if e.Generation < m.session.Generation {
		return nil
	}
	return m.examineEvent(p, r, e)
}

// examineHeartbeat notes what instances said: of themselves, of time, of the count.
func (m *Machine) examineHeartbeat(p *partition, r *broker.FetchedRecord, e *threadcastv1.ThreadEvent, beat *threadcastv1.Heartbeat) {
	s := &p.scan
	if r.Offset == p.marker.offset && beat.InstanceId == m.cfg.Instance.ID {
		s.end = marker{r.Offset, e.EventId}
	}
	if beat.InstanceId != m.cfg.Instance.ID {
		m.finding.instance(beat)
	}
	if at := beat.GetWatermark().AsTime(); !beat.Barrier && at.After(s.watermark) {
		s.watermark = at
	}
	switch {
	case m.session.Fresh:
		if beat.StateId != m.session.StateID {
			m.finding.older(p, r.Offset, e)
		}
	case beat.Barrier || e.Generation < m.session.Generation:
	case beat.StateId != m.session.StateID:
		m.finding.foreign(m.foreign(p, r, fmt.Sprintf("a heartbeat of another state, %q", beat.StateId)))
	case s.gap && beat.GetEvents() >= s.events:
		s.events, s.gap = beat.GetEvents(), false // it counted what retention took
	case beat.GetEvents() != s.events:
		m.finding.hole(&Stop{Code: codeState, Err: ErrHole, Reason: fmt.Sprintf(
			"the heartbeat at %s/%d, offset %d, counts %d events before it, the state and the log %d. %s",
			p.Topic, p.Number, r.Offset, beat.GetEvents(), s.events, wayOut)})
	}
}

// examineEvent matches an event with the outbox. It acknowledges that one entry
// alone: entries before it may be of other threads, and still unpublished.
func (m *Machine) examineEvent(p *partition, r *broker.FetchedRecord, e *threadcastv1.ThreadEvent) error {
	s := &p.scan
	s.events++
	entry, ok, err := m.find(p, e.EventId)
	if err != nil {
		return err
	}
	if !ok || s.matched[entry.Number] || !sameFacts(entry.Value, r.Value, e) {
		m.finding.foreign(m.foreign(p, r, fmt.Sprintf("event %q", e.EventId)))
		return nil
	}
	s.matched[entry.Number] = true
	s.numbers = append(s.numbers, entry.Number)
	return nil
}

// find looks an event up in the outbox, reading on as far as needed. Only ids are
// kept: an outbox may hold more than memory.
func (m *Machine) find(p *partition, eventID string) (event.Entry, bool, error) {
	s := &p.scan
	for {
		if number, ok := s.seen[eventID]; ok {
			entries, err := m.outbox.Pending(p.Partition, number-1, 1)
			if err != nil || len(entries) == 0 {
				return event.Entry{}, false, err
			}
			return entries[0], entries[0].EventID == eventID, nil
		}
		entries, err := m.outbox.Pending(p.Partition, s.read, readEntries)
		if err != nil || len(entries) == 0 {
			return event.Entry{}, false, err
		}
		for i := range entries {
			s.seen[entries[i].EventID] = entries[i].Number
		}
		s.read = entries[len(entries)-1].Number
	}
}

// sameFacts says that two events with one id say the same. Other bytes may differ:
// which lane saw it, and when.
func sameFacts(stored, logged []byte, there *threadcastv1.ThreadEvent) bool {
	if bytes.Equal(stored, logged) {
		return true
	}
	ours, err := event.Decode(stored)
	if err != nil || ours.KindSequence != there.KindSequence || len(ours.Kinds) != len(there.Kinds) {
		return false
	}
	for i := range ours.Kinds {
		if ours.Kinds[i] != there.Kinds[i] {
			return false
		}
	}
	return proto.Equal(ours.Before, there.Before) && proto.Equal(ours.After, there.After)
}

// probe asks whether the leader of a partition answers again, before a new session
// holds up all the others for it.
func (m *Machine) probe(now thread.Instant, p *partition) {
	if p.probed || now.Mono < p.probe.at {
		return
	}
	p.probed = true
	m.request(Request{Question: AskRecords, Offset: LogStart, Repeated: true}, p)
}

func (m *Machine) probed(now thread.Instant, p *partition, r Response) {
	p.probed = false
	if v := judge(r.Err); v == done || v == noOffset {
		m.renew(now, fmt.Sprintf("a batch for %s/%d went unanswered for %s", p.Topic, p.Number, unanswered))
	} else {
		p.probe.later(now, v, r.Err, m.cfg.Random)
	}
}
