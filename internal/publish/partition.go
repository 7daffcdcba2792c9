package publish

import (
	"fmt"
	"slices"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// partition is one partition of the outbox and of the log.
type partition struct {
	event.Partition
	position event.Position // acknowledged

	queue  []event.Entry // the first that are not acknowledged, those in flight included
	read   uint64        // number up to which the outbox was read
	readAt uint64        // when, as the machine counts its readings
	more   bool          // the outbox may hold entries beyond

	sequence int32 // of the next record
	flight   *flight
	limit    limits
	spare    []byte         // bytes of an acknowledged batch, to be used again
	written  thread.Instant // the last acknowledged write
	beat     time.Duration  // process time of the next heartbeat
	beaten   bool           // the last flight was one: entries go first

	fenced int    // how many of the session's fences are acknowledged
	barred bool   // the session's barrier is acknowledged
	marker marker // where the scan ends
	scan   scan
	probe  attempts // whether the leader answers again
	probed bool     // a probe is out
	silent bool     // a batch went unanswered for too long: probe, then renew
}

// marker is the last record that a session wrote before it publishes.
type marker struct {
	offset  int64
	eventID string
}

// limits are those of a batch; a refusal for its size lowers them.
type limits struct{ records, bytes int }

// purpose says what a flight is.
type purpose uint8

const (
	batch purpose = iota
	heartbeatRecord
	barrierRecord
	fenceRecord
)

// flight is the one batch of a partition that was sent and not yet answered. Its
// bytes never change while it may have been appended, so that the broker recognises
// a repetition (by producer, epoch, first and last sequence).
type flight struct {
	purpose  purpose
	producer broker.Producer
	bytes    []byte
	entries  int            // the first of the queue; 0: one record
	record   event.Record   // that one
	position event.Position // of the partition once this is acknowledged, but for the offset
	built    thread.Instant
	restamp  bool // to be built again with another time
	asked    uint64
	attempts
}

func (f *flight) records() int { return max(f.entries, 1) }

// reset forgets what belongs to a session. What was acknowledged stays.
func (p *partition) reset() {
	*p = partition{Partition: p.Partition, position: p.position, limit: p.limit, more: true, beat: p.beat}
}

// publish keeps one batch in flight a partition.
func (m *Machine) publish(now thread.Instant) error {
	for _, p := range m.partitions {
		if p.flight == nil && !m.draining {
			if err := m.fill(now, p); err != nil {
				return err
			}
		}
		if m.stage != running {
			return nil
		}
		if p.silent {
			m.probe(now, p)
		} else if p.flight != nil && m.send(now, p) == stale {
			p.silent = true
			m.probe(now, p)
		}
	}
	return nil
}

// fill builds what the partition sends next, if there is anything: a heartbeat that
// is due, entries, and both in turn if both always are.
func (m *Machine) fill(now thread.Instant, p *partition) error {
	builders := [...]func(thread.Instant, *partition) (bool, error){m.beatNow, m.batch}
	if p.beaten {
		builders[0], builders[1] = m.batch, m.beatNow
	}
	built, err := builders[0](now, p)
	if !built && err == nil {
		built, err = builders[1](now, p)
	}
	if !built && cap(p.spare) > keptBytes {
		p.spare = nil // idle
	}
	if built && since(p.written, now) > longestSilence {
		// The broker may have forgotten whom it has to refuse here.
		m.renew(now, fmt.Sprintf("%s/%d was not written to for %s", p.Topic, p.Number, since(p.written, now).Round(time.Second)))
	}
	return err
}

// load reads on in the outbox if few entries are in memory.
func (m *Machine) load(p *partition) error {
	if !p.more || len(p.queue) >= readEntries {
		return nil
	}
	entries, err := m.outbox.Pending(p.Partition, p.read, readEntries)
	if err != nil {
		return fmt.Errorf("read the outbox of %s/%d: %w", p.Topic, p.Number, err)
	}
	m.reads++
	p.readAt = m.reads
	p.more = len(entries) == readEntries
	if len(entries) == 0 {
		return nil
	}
	p.read = entries[len(entries)-1].Number
	p.queue = append(p.queue, entries...)
	return nil
}

// batch takes the first entries that may leave.
func (m *Machine) batch(now thread.Instant, p *partition) (bool, error) {
	if err := m.load(p); err != nil {
		return false, err
	}
	n, err := m.leaving(p)
	if n == 0 || err != nil {
		return false, err
	}
	f := &flight{purpose: batch, producer: m.producer, entries: n, position: p.position}
	last := &p.queue[n-1]
	// Set, never increased: an answer that comes twice counts once.
	f.position.Entry = max(p.position.Entry, last.Number)
	f.position.EventID = last.EventID
	f.position.Events = p.position.Events + uint64(n)
	if err := m.pack(now, p, f); err != nil || f.entries == 0 {
		return false, err
	}
	p.flight, p.beaten = f, false
	return true, nil
}

// leaving counts the entries from the first on that may leave in one batch.
func (m *Machine) leaving(p *partition) (int, error) {
	n, size := 0, 0
	for ; n < len(p.queue) && n < p.limit.records; n++ {
		e := &p.queue[n]
		size += entrySize(e)
		if n > 0 && size > p.limit.bytes {
			break
		}
		if free, err := m.mayLeave(p, e); !free || err != nil {
			return n, err
		}
		if !m.belongs(e) {
			return n, &Stop{Code: codeInvariant, Err: ErrOutbox, Reason: fmt.Sprintf(
				"entry %d of %s/%d has event id %q, but the state is of account %s, generation %d. Please report this",
				e.Number, p.Topic, p.Number, e.EventID, m.session.Account, m.session.Generation)}
		}
	}
	return n, nil
}

// entrySize is an upper estimate of an entry's record; headers repeat what the value
// says and add less than this.
func entrySize(e *event.Entry) int {
	const headers = 400
	return len(e.Key) + len(e.Value) + len(e.EventID) + headers
}

// pack encodes a flight with the present time.
func (m *Machine) pack(now thread.Instant, p *partition, f *flight) error {
	b := broker.RecordBatch{
		Producer: f.producer, Sequence: p.sequence, Time: now.Wall, Codec: m.cfg.Codec, Records: m.records[:0],
	}
	if f.purpose == fenceRecord {
		b.Sequence = 0
	}
	size := 0
	for i := range f.entries {
		e := &p.queue[i]
		if err := m.appendRecord(&b, e.Key, e.Value); err != nil {
			return fmt.Errorf("entry %d of %s/%d: %w", e.Number, p.Topic, p.Number, err)
		}
		size += entrySize(e)
	}
	if f.entries == 0 {
		if err := m.appendRecord(&b, f.record.Key, f.record.Value); err != nil {
			return err
		}
	}
	f.bytes = broker.AppendBatch(slices.Grow(p.spare[:0], size), b)
	f.built, f.restamp = now, false
	p.spare = nil
	clear(b.Records) // the values must not be kept alive
	clear(m.headers)
	m.records, m.headers = b.Records[:0], m.headers[:0]
	return nil
}

func (m *Machine) appendRecord(b *broker.RecordBatch, key, value []byte) error {
	headers, err := event.Headers(value)
	if err != nil {
		return err
	}
	first := len(m.headers)
	for _, header := range headers {
		m.headers = append(m.headers, broker.Header(header))
	}
	b.Records = append(b.Records, broker.Record{Key: key, Value: value, Headers: m.headers[first:]})
	return nil
}

// sending is what became of an attempt to send.
type sending uint8

const (
	waiting sending = iota // for its answer, or for its time
	sent
	stale // unanswered for so long that it must not be sent again
)

// send sends the flight, or sends it again.
func (m *Machine) send(now thread.Instant, p *partition) sending {
	f := p.flight
	if f.asked != 0 || now.Mono < f.at {
		return waiting
	}
	if f.failed > 0 && since(f.built, now) >= unanswered {
		return stale
	}
	if f.restamp {
		first := f.built
		if err := m.pack(now, p, f); err != nil {
			return waiting // it could be packed before
		}
		f.built = first
	}
	f.asked = m.request(Request{Question: AskAppend, Bytes: f.bytes, Repeated: f.failed > 0}, p)
	return sent
}

// appended takes the answer to a flight.
func (m *Machine) appended(now thread.Instant, p *partition, r Response) error {
	f := p.flight
	f.asked = 0
	v := judge(r.Err)
	switch {
	case v == done && r.Offset >= 0:
		return m.arrived(now, p, r.Offset)
	case v == replaced && f.purpose != fenceRecord:
		return m.fenced(fmt.Sprintf("partition %s/%d", p.Topic, p.Number))
	case v == done, v == replaced, v == renew:
		m.renew(now, fmt.Sprintf("%s/%d: %s", p.Topic, p.Number, describe(r.Err)))
	case v == tooLarge && f.entries > 1:
		m.split(p)
	default:
		f.restamp = v == badTime
		f.later(now, v, r.Err, m.cfg.Random)
	}
	return nil
}

func describe(err error) string {
	if err == nil {
		return "the broker knows the batch, but no longer where it is"
	}
	return err.Error()
}

// split lowers the limits and lets the next batch be built anew. A refusal for size
// consumes no sequence; should an earlier try of the same bytes have been appended
// after all, the shorter batch is refused as out of order, and a new session follows.
func (m *Machine) split(p *partition) {
	p.limit.records = min(p.limit.records, p.flight.entries/2)
	p.limit.bytes = min(p.limit.bytes, len(p.flight.bytes)/2)
	p.flight = nil
}

// arrived takes note of an append.
func (m *Machine) arrived(now thread.Instant, p *partition, offset int64) error {
	f := p.flight
	p.flight, p.written = nil, now
	switch f.purpose {
	case fenceRecord:
		p.fenced++
		if p.barred && offset > p.marker.offset {
			p.marker = marker{offset, f.record.EventID}
		}
		return nil
	case barrierRecord:
		p.barred, p.marker = true, marker{offset, f.record.EventID}
		p.sequence = 1
		return nil
	}
	last := offset + int64(f.records()) - 1
	if offset <= p.position.Offset {
		return m.recreated(p, fmt.Sprintf("a new record got offset %d, the last one had %d", offset, p.position.Offset))
	}
	f.position.Offset = last
	return m.acknowledge(now, p, f)
}

// acknowledge moves the partition's position to the end of the flight.
func (m *Machine) acknowledge(now thread.Instant, p *partition, f *flight) error {
	ack := event.Ack{Partition: p.Partition, Position: f.position}
	for i := range f.entries {
		ack.Entries = append(ack.Entries, p.queue[i].Number)
	}
	if err := m.outbox.Acknowledge(ack); err != nil {
		return fmt.Errorf("acknowledge %s/%d up to offset %d: %w", p.Topic, p.Number, f.position.Offset, err)
	}
	if !m.unsaved {
		m.unsaved, m.flushAt = true, now.Mono+flushEvery
	}
	p.position = f.position
	p.sequence = broker.NextSequence(p.sequence, f.records())
	m.observe(now, p, f)
	clear(p.queue[:f.entries])
	p.queue = p.queue[f.entries:]
	p.spare = f.bytes
	m.sessions, m.reason = attempts{}, ""
	return nil
}

// keptBytes is the largest buffer that an idle partition keeps.
const keptBytes = 64 << 10

// observe tells of an acknowledgement.
func (m *Machine) observe(now thread.Instant, p *partition, f *flight) {
	o := &m.cfg.Observer
	if f.purpose == heartbeatRecord && o.Watermark != nil {
		o.Watermark(p.Partition, f.position.Watermark)
	}
	if o.Published == nil {
		return
	}
	for from := 0; from < f.entries; {
		first, to := &p.queue[from], from+1
		for kind := kindOf(first.EventID); to < f.entries && p.queue[to].ObservedAt.Equal(first.ObservedAt) &&
			kindOf(p.queue[to].EventID) == kind; {
			to++
		}
		o.Published(kindOf(first.EventID), to-from, now.Wall.Sub(first.ObservedAt))
		from = to
	}
}

// kindOf reads the kind from the end of an event id.
func kindOf(eventID string) thread.Kind {
	if eventID == "" {
		return 0
	}
	return thread.Kind(eventID[len(eventID)-1] - '0')
}
