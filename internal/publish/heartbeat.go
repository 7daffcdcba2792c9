package publish

import (
	"time"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// heartbeat is what is said of this instance in every one.
func (m *Machine) heartbeat(now thread.Instant, p *partition) event.Heartbeat {
	return event.Heartbeat{
		StateID: m.session.StateID, InstanceID: m.cfg.Instance.ID, Host: m.cfg.Instance.Host,
		StartedAt: m.cfg.Instance.StartedAt, ProducerID: m.producer.ID, Epoch: m.producer.Epoch,
		Partition: p.Partition, Sequence: p.sequence, At: now.Wall,
	}
}

// beatNow builds a heartbeat if one is due, unless the partition's watermark cannot
// be told yet.
func (m *Machine) beatNow(now thread.Instant, p *partition) (bool, error) {
	if now.Mono < p.beat {
		return false, nil
	}
	watermark, ok, err := m.watermark(now, p)
	if !ok || err != nil {
		return false, err
	}
	m.ledger.Promise(watermark) // before it is given. Invariant G6
	h := m.heartbeat(now, p)
	h.Watermark, h.Events, h.Held = watermark, p.position.Events, m.cfg.Held()
	record, err := m.encoder.Heartbeat(h)
	if err != nil {
		return false, err
	}
	f := &flight{purpose: heartbeatRecord, producer: m.producer, record: record, position: p.position}
	f.position.EventID, f.position.Watermark = record.EventID, watermark
	if err := m.pack(now, p, f); err != nil {
		return false, err
	}
	p.flight, p.beaten, p.beat = f, true, now.Mono+m.cfg.HeartbeatEvery
	return true, nil
}

// watermark is a time before which nothing in this partition will be observed any
// more. The horizon is read before the outbox: what was still being observed then is
// either behind the horizon or in the outbox now. Entries that are not read in could
// be older than those before them, as pages are committed in any order; so while
// there are such, there is no watermark, and the batches keep the producer alive.
func (m *Machine) watermark(now thread.Instant, p *partition) (time.Time, bool, error) {
	oldest := m.cfg.Horizon()
	if oldest.IsZero() || oldest.After(now.Wall) {
		oldest = now.Wall
	}
	p.more = true
	if err := m.load(p); err != nil || p.more {
		return time.Time{}, false, err
	}
	for i := range p.queue {
		if p.queue[i].ObservedAt.Before(oldest) {
			oldest = p.queue[i].ObservedAt
		}
	}
	if oldest.Before(p.position.Watermark) {
		oldest = p.position.Watermark // it was promised, and holds
	}
	return oldest, true, nil
}
