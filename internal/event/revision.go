// Package event owns the public form of what happened: changes become validated
// protobuf records with deterministic ids, keys and headers, and come back from
// them. It also names the parts of the outbox that stages hand to each other. It is
// pure: no clock, no I/O.
package event

import (
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// Revision is one version of a thread together with the one before it: all that
// its events are made of.
type Revision struct {
	Account       string
	Generation    uint32
	Before, After thread.Snapshot // Before is zero at first sight
	Fields        thread.FieldSet
	Kinds         thread.KindSet
	Window        thread.Window
}

// Event is the event of one kind of the revision.
func (r *Revision) Event(kind thread.Kind) *threadcastv1.ThreadEvent {
	m := r.envelope()
	r.complete(m, kind)
	return m
}

// envelope is what all events of a revision share.
func (r *Revision) envelope() *threadcastv1.ThreadEvent {
	m := &threadcastv1.ThreadEvent{
		AccountId: r.Account, Generation: r.Generation, ThreadId: r.After.ID.String(), Revision: r.After.Revision,
		WindowEnd: toTime(r.Window.End), ObservedAt: toTime(r.Window.ObservedAt),
		Lane: threadcastv1.Lane(r.Window.Lane), Initial: r.Window.Initial,
		After: ToSnapshot(r.Account, r.Generation, r.After), Changed: &fieldmaskpb.FieldMask{},
	}
	for kind := range r.Kinds.All() {
		m.Kinds = append(m.Kinds, threadcastv1.Kind(kind))
	}
	for field := range r.Fields.All() {
		m.Changed.Paths = append(m.Changed.Paths, field.String())
	}
	if r.Before.Known() {
		m.Before = ToSnapshot(r.Account, r.Generation, r.Before)
		m.WindowStart = toTime(r.windowStart())
	}
	return m
}

// complete turns the envelope into the event of one kind.
func (r *Revision) complete(m *threadcastv1.ThreadEvent, kind thread.Kind) {
	m.Kind = threadcastv1.Kind(kind)
	m.EventId = r.eventID(r.After.Revision, kind)
	m.KindSequence = r.After.Positions[kind].Sequence
	m.PreviousEventId = ""
	if previous := r.Before.Positions[kind]; previous.Sequence > 0 {
		m.PreviousEventId = r.eventID(previous.Revision, kind)
	}
	r.setBody(m, kind)
}

// windowStart never lies after the end: a wall clock that was set back between two
// readings would say so.
func (r *Revision) windowStart() time.Time {
	if r.Window.Start.IsZero() || r.Window.Start.After(r.Window.End) {
		return r.Window.End
	}
	return r.Window.Start
}

func (r *Revision) eventID(revision uint64, kind thread.Kind) string {
	id := make([]byte, 0, 64)
	id = append(id, r.Account...)
	id = append(id, '.')
	id = strconv.AppendUint(id, uint64(r.Generation), 10)
	id = append(id, '.')
	id = strconv.AppendUint(id, uint64(r.After.ID), 10)
	id = append(id, '.')
	id = strconv.AppendUint(id, revision, 10)
	id = append(id, '.')
	id = strconv.AppendUint(id, uint64(kind), 10)
	return string(id)
}

// RevisionOf recovers the revision from any one of its events, so that the others
// can be rebuilt. Heartbeats have none.
func RevisionOf(m *threadcastv1.ThreadEvent) (*Revision, error) {
	after, err := FromSnapshot(m.GetAfter())
	if err != nil || !after.Known() {
		return nil, fmt.Errorf("event %q has no snapshot to rebuild from", m.GetEventId())
	}
	before, err := FromSnapshot(m.GetBefore())
	if err != nil {
		return nil, fmt.Errorf("before of event %q: %w", m.GetEventId(), err)
	}
	r := &Revision{
		Account: m.AccountId, Generation: m.Generation, Before: before, After: after,
		Window: thread.Window{
			Start: fromTime(m.WindowStart), End: fromTime(m.WindowEnd), ObservedAt: fromTime(m.ObservedAt),
			Lane: thread.Lane(m.Lane), Initial: m.Initial,
		},
	}
	for _, kind := range m.Kinds {
		r.Kinds |= thread.Kinds(thread.Kind(kind))
	}
	for _, path := range m.GetChanged().GetPaths() {
		if field, ok := thread.ParseField(path); ok {
			r.Fields = r.Fields.With(field)
		}
	}
	return r, nil
}
