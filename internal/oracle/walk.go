package oracle

import (
	"bytes"
	"cmp"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// partition is what is known while one is walked.
type partition struct {
	events    map[uint32]uint64 // by generation
	watermark time.Time
	by        *kgo.Record // the heartbeat that gave the watermark
}

// walk goes through each partition in the order of its offsets.
func (c *checker) walk(records []*kgo.Record) {
	var p *partition
	for i, r := range records {
		if i == 0 || records[i-1].Topic != r.Topic || records[i-1].Partition != r.Partition {
			p = &partition{events: map[uint32]uint64{}}
		}
		if r.Attrs.IsControl() {
			continue
		}
		m, err := event.Decode(r.Value)
		switch {
		case err != nil:
			c.fault(&c.report.Malformed, "%s: %v", at(r), err)
		case m.AccountId != c.account:
			c.report.Foreign++
		default:
			c.record(p, r, m)
		}
	}
}

// record takes one event of the account.
func (c *checker) record(p *partition, r *kgo.Record, m *threadcastv1.ThreadEvent) {
	if first := c.seen[m.EventId]; first != nil { // Invariant G3
		c.fault(&c.report.Duplicates, "%s: event %s is at %s already", at(r), m.EventId, at(first))
		p.events[m.Generation]++ // whoever counts records counts this one too
		return
	}
	c.seen[m.EventId] = r
	c.form(r, m)
	if beat := m.GetHeartbeat(); beat != nil {
		c.heartbeat(p, r, m, beat)
		return
	}
	p.events[m.Generation]++
	c.report.Events++
	if observed := m.ObservedAt.AsTime(); observed.Before(p.watermark) { // Invariant G6
		c.fault(&c.report.FalseMarks, "%s: event %s was observed at %s, before the watermark %s of %s",
			at(r), m.EventId, stamp(observed), stamp(p.watermark), at(p.by))
	}
	c.append(r, m)
}

// heartbeat checks what an instance says about the partition so far.
func (c *checker) heartbeat(p *partition, r *kgo.Record, m *threadcastv1.ThreadEvent, beat *threadcastv1.Heartbeat) {
	if beat.Barrier {
		c.report.Barriers++
		return
	}
	c.report.Heartbeats++
	if got := beat.GetEvents(); beat.Events == nil || got != p.events[m.Generation] { // Invariant G6
		c.fault(&c.report.FalseMarks, "%s: the heartbeat counts %d events before it, there are %d", at(r), got, p.events[m.Generation])
	}
	if t := beat.Watermark.AsTime(); t.After(p.watermark) {
		p.watermark, p.by = t, r
	}
}

// form checks what follows from the event alone: id, key and headers.
func (c *checker) form(r *kgo.Record, m *threadcastv1.ThreadEvent) {
	key := event.Key(c.account, cmp.Or(m.ThreadId, "0"))
	if !bytes.Equal(r.Key, key) {
		c.fault(&c.report.Malformed, "%s: key %q, want %q", at(r), r.Key, key)
	}
	want := fmt.Sprintf("%s.%d.%s.%d.%d", m.AccountId, m.Generation, m.ThreadId, m.Revision, m.Kind)
	if m.GetHeartbeat() == nil && m.EventId != want {
		c.fault(&c.report.Malformed, "%s: event id %s, want %s", at(r), m.EventId, want)
	}
	headers, err := event.Headers(r.Value)
	if err != nil || len(headers) != len(r.Headers) {
		c.fault(&c.report.Malformed, "%s: %d headers, want %d (%v)", at(r), len(r.Headers), len(headers), err)
		return
	}
	for i, header := range headers {
		if got := r.Headers[i]; got.Key != header.Key || !bytes.Equal(got.Value, header.Value) {
			c.fault(&c.report.Malformed, "%s: header %s=%q, want %s=%q", at(r), got.Key, got.Value, header.Key, header.Value)
		}
	}
}

// append adds an event to the history of its thread, and checks its place.
func (c *checker) append(r *kgo.Record, m *threadcastv1.ThreadEvent) {
	id, err := thread.ParseID(m.ThreadId)
	if err != nil || m.After == nil || m.WindowEnd == nil {
		c.fault(&c.report.Malformed, "%s: event %s lacks a thread, an after or a window", at(r), m.EventId)
		return
	}
	key := threadKey{m.Generation, id}
	h := c.threads[key]
	if h == nil {
		h = &history{key: key, places: map[string]place{}}
		c.threads[key] = h
	}
	if last, ok := h.places[r.Topic]; ok { // Invariant G2
		switch {
		case last.partition != r.Partition:
			c.fault(&c.report.Disorder, "%s: thread %s is on partition %d too", at(r), m.ThreadId, last.partition)
		case cmp.Or(cmp.Compare(last.revision, m.Revision), cmp.Compare(last.kind, m.Kind)) >= 0:
			c.fault(&c.report.Disorder, "%s: event %s comes after revision %d kind %d", at(r), m.EventId, last.revision, last.kind)
		}
	}
	h.places[r.Topic] = place{r.Partition, m.Revision, m.Kind}
	h.events = append(h.events, located{r, m})
}

// stamp is a time in short, to the microsecond: clocks of one machine are compared.
func stamp(t time.Time) string { return t.UTC().Format("15:04:05.000000") }
