package oracle

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

type threadKey struct {
	generation uint32
	id         thread.ID
}

// history is all that was published about a thread in a generation.
type history struct {
	key       threadKey
	places    map[string]place // the newest event of each topic
	events    []located
	revisions []revision
}

type place struct {
	partition int32
	revision  uint64
	kind      threadcastv1.Kind
}

type located struct {
	record *kgo.Record
	event  *threadcastv1.ThreadEvent
}

// revision is one version of a thread: the events that share a revision number.
type revision struct {
	number        uint64
	event         *threadcastv1.ThreadEvent // any one of them: they share all but the kind
	before, after view
	kinds         thread.KindSet // that have an event
}

// histories makes revisions of the events, and checks what the log says about itself.
func (c *checker) histories() {
	for _, h := range c.sorted() {
		slices.SortStableFunc(h.events, func(a, b located) int {
			return cmp.Or(cmp.Compare(a.event.Revision, b.event.Revision), cmp.Compare(a.event.Kind, b.event.Kind))
		})
		c.sequences(h)
		for _, e := range h.events {
			c.join(h, e)
		}
		c.report.Threads++
		c.report.Revisions += len(h.revisions)
		for i := range h.revisions {
			c.chain(h, i)
			c.complete(h, i)
		}
	}
}

// sorted are the histories by generation and thread, so that reports are stable.
func (c *checker) sorted() []*history {
	all := make([]*history, 0, len(c.threads))
	for _, h := range c.threads {
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b *history) int {
		return cmp.Or(cmp.Compare(a.key.generation, b.key.generation), cmp.Compare(a.key.id, b.key.id))
	})
	return all
}

// sequences checks that each kind counts 1, 2, 3 ... and names its previous event.
// Invariant G4.
func (c *checker) sequences(h *history) {
	type position struct {
		sequence uint64
		id       string
	}
	last := map[threadcastv1.Kind]position{}
	for _, e := range h.events {
		m, before := e.event, last[e.event.Kind]
		if m.KindSequence != before.sequence+1 {
			c.fault(&c.report.Gaps, "%s: event %s has kind sequence %d after %d", at(e.record), m.EventId, m.KindSequence, before.sequence)
		} else if m.PreviousEventId != before.id {
			c.fault(&c.report.Gaps, "%s: event %s names %q as its previous, want %q", at(e.record), m.EventId, m.PreviousEventId, before.id)
		}
		last[m.Kind] = position{m.KindSequence, m.EventId}
	}
}

// join puts an event to its revision.
func (c *checker) join(h *history, e located) {
	m := e.event
	if n := len(h.revisions); n > 0 && h.revisions[n-1].number == m.Revision {
		r := &h.revisions[n-1]
		r.kinds |= thread.Kinds(thread.Kind(m.Kind))
		if !siblings(r.event, m) {
			c.fault(&c.report.Malformed, "%s: event %s says something else than %s of the same revision", at(e.record), m.EventId, r.event.EventId)
		}
		return
	}
	r := revision{number: m.Revision, event: m, kinds: thread.Kinds(thread.Kind(m.Kind))}
	var err error
	if r.before, err = c.published(m.Before); err == nil {
		r.after, err = c.published(m.After)
	}
	if err != nil {
		c.fault(&c.report.Malformed, "%s: event %s: %v", at(e.record), m.EventId, err)
	}
	h.revisions = append(h.revisions, r)
}

// siblings says whether two events agree in all that events of a revision share.
func siblings(a, b *threadcastv1.ThreadEvent) bool {
	return proto.Equal(shared(a), shared(b))
}

func shared(m *threadcastv1.ThreadEvent) *threadcastv1.ThreadEvent {
	return &threadcastv1.ThreadEvent{
		AccountId: m.AccountId, Generation: m.Generation, ThreadId: m.ThreadId, Revision: m.Revision, Kinds: m.Kinds,
		WindowStart: m.WindowStart, WindowEnd: m.WindowEnd, ObservedAt: m.ObservedAt, Lane: m.Lane, Initial: m.Initial,
		Before: m.Before, After: m.After, Changed: m.Changed,
	}
}

// published is the view of a snapshot in an event.
func (c *checker) published(m *threadcastv1.ThreadSnapshot) (view, error) {
	if m == nil {
		return view{}, nil
	}
	s, err := event.FromSnapshot(m)
	return viewOf(s.Facts, c.opt.Kinds), err
}

// chain checks a revision against the one before. Invariants G4, G5.
func (c *checker) chain(h *history, i int) {
	r := h.revisions[i]
	if want := uint64(i + 1); r.number != want {
		c.fault(&c.report.Gaps, "thread %s: revision %d where %d is due", h.key.id, r.number, want)
		return
	}
	if i == 0 {
		if silent := r.event.Before != nil; silent && !c.opt.Silent {
			c.fault(&c.report.BrokenBefore, "thread %s: revision 1 has a before", h.key.id)
		}
		return
	}
	previous := h.revisions[i-1].event.After
	if !proto.Equal(c.covered(r.event.Before), c.covered(previous)) {
		c.fault(&c.report.BrokenBefore, "thread %s: before of revision %d is not after of %d:\n    %v\n    %v",
			h.key.id, r.number, r.number-1, c.covered(r.event.Before), c.covered(previous))
	}
}

// covered is a snapshot without what rides along, which may have moved since.
func (c *checker) covered(m *threadcastv1.ThreadSnapshot) *threadcastv1.ThreadSnapshot {
	if m == nil {
		return nil
	}
	clone := proto.CloneOf(m)
	clone.CreatedAt = nil
	kinds := c.opt.Kinds
	if !kinds.Has(thread.KindActivity) {
		clone.LatestMessageAt, clone.LatestMessageReceivedAt, clone.LatestMessageSentAt = nil, nil, nil
	}
	if !kinds.Has(thread.KindAssignment) {
		clone.AssignedTo, clone.AssignmentSince, clone.Assignments = nil, nil, 0
	}
	if !kinds.Has(thread.KindClosure) {
		clone.ClosedAt, clone.Closures, clone.Reopenings = nil, 0, 0
	}
	if !kinds.Has(thread.KindStatus) || !kinds.Has(thread.KindClosure) {
		clone.StatusSince = nil // a new closedAt moves it too
	}
	if !kinds.Has(thread.KindStatus) {
		clone.Status, clone.StatusText = 0, ""
	}
	if !kinds.Has(thread.KindLifecycle) {
		clone.InboxId, clone.OriginalChannelId, clone.OriginalChannelAccountId = "", "", ""
		clone.AssociatedContactId, clone.AssociatedTicketId = "", ""
		clone.Spam, clone.Archived, clone.Presence = false, false, 0
	}
	return clone
}

// complete checks that a revision has the events that it names, and names those that
// its difference asks for.
func (c *checker) complete(h *history, i int) {
	r := h.revisions[i]
	var named thread.KindSet
	for _, kind := range r.event.Kinds {
		named |= thread.Kinds(thread.Kind(kind))
	}
	for kind := range (named &^ r.kinds).All() {
		c.fault(&c.report.Lost, "thread %s: revision %d names kind %s, whose event is nowhere", h.key.id, r.number, kind)
	}
	due := r.before.differing(r.after)
	switch {
	case r.event.Before == nil:
		due = r.after.facets()
	case r.number == 1: // known silently: the change comes with all that there is
		due |= r.after.facets()
	}
	if r.after[thread.KindClosure] == nil || r.before[thread.KindClosure] == nil && r.event.Before != nil {
		due = due&^closure | named&closure // nobody knows whether it is closed
	}
	if missing := due &^ named; missing != 0 {
		c.fault(&c.report.Lost, "thread %s: revision %d has no event of kind %s, which it changes", h.key.id, r.number, names(missing))
	}
	if more := named &^ due; more != 0 {
		c.fault(&c.report.Invented, "thread %s: revision %d has an event of kind %s, which it does not change", h.key.id, r.number, names(more))
	}
	if start, end := r.event.WindowStart, r.event.WindowEnd; start != nil && before(end, start) {
		c.fault(&c.report.WrongWindow, "thread %s: window of revision %d ends before it starts", h.key.id, r.number)
	}
}

const closure = thread.KindSet(1 << thread.KindClosure)

func before(a, b *timestamppb.Timestamp) bool { return a.AsTime().Before(b.AsTime()) }
