package event

import (
	"time"

	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// setBody gives the event its body, and its exact time where HubSpot tells it.
// Both follow from the snapshots and the window alone, so that a lost event can be
// rebuilt from any other of its revision.
func (r *Revision) setBody(m *threadcastv1.ThreadEvent, kind thread.Kind) {
	var at thread.Since
	switch kind {
	case thread.KindLifecycle:
		m.Body = &threadcastv1.ThreadEvent_LifecycleChanged{LifecycleChanged: r.lifecycle()}
		if r.After.Revision == 1 && !r.After.CreatedAt.IsZero() {
			at = thread.Since{Exact: r.After.CreatedAt, Source: thread.SourceCreatedAt}
		}
	case thread.KindStatus:
		m.Body = &threadcastv1.ThreadEvent_StatusChanged{StatusChanged: r.status()}
		at = r.After.StatusSince
	case thread.KindAssignment:
		m.Body = &threadcastv1.ThreadEvent_AssignmentChanged{AssignmentChanged: r.assignment()}
		at = r.After.AssignmentSince
	case thread.KindClosure:
		m.Body = &threadcastv1.ThreadEvent_ClosureChanged{ClosureChanged: r.closure()}
		at = r.After.StatusSince
	case thread.KindActivity:
		m.Body = &threadcastv1.ThreadEvent_ActivityChanged{ActivityChanged: r.activity()}
	}
	m.OccurredAt, m.TimeSource = nil, threadcastv1.TimeSource_TIME_SOURCE_OBSERVED
	if !at.Exact.IsZero() {
		m.OccurredAt, m.TimeSource = toTime(at.Exact), threadcastv1.TimeSource(at.Source)
	}
}

func (r *Revision) lifecycle() *threadcastv1.LifecycleChanged {
	before, after := r.Before, r.After
	var actions []threadcastv1.LifecycleAction
	add := func(when bool, action threadcastv1.LifecycleAction) {
		if when {
			actions = append(actions, action)
		}
	}
	add(after.Revision == 1, threadcastv1.LifecycleAction_LIFECYCLE_ACTION_DISCOVERED)
	if !before.Known() {
		return &threadcastv1.LifecycleChanged{Actions: actions}
	}
	gone := func(p thread.Presence) bool { return p >= thread.PresenceOutOfInboxes }
	add(after.Archived && !before.Archived, threadcastv1.LifecycleAction_LIFECYCLE_ACTION_ARCHIVED)
	add(before.Archived && !after.Archived, threadcastv1.LifecycleAction_LIFECYCLE_ACTION_RESTORED)
	moved := before.Presence != after.Presence
	add(moved && after.Presence == thread.PresenceDeleted, threadcastv1.LifecycleAction_LIFECYCLE_ACTION_DELETED)
	add(moved && after.Presence == thread.PresenceOutOfInboxes, threadcastv1.LifecycleAction_LIFECYCLE_ACTION_LEFT_INBOXES)
	add(gone(before.Presence) && !gone(after.Presence), threadcastv1.LifecycleAction_LIFECYCLE_ACTION_RETURNED)
	add(before.Inbox != after.Inbox, threadcastv1.LifecycleAction_LIFECYCLE_ACTION_INBOX)
	listing := moved && !gone(before.Presence) && !gone(after.Presence)
	add(before.Spam != after.Spam || listing, threadcastv1.LifecycleAction_LIFECYCLE_ACTION_SPAM)
	add(before.Channel != after.Channel || before.ChannelAccount != after.ChannelAccount,
		threadcastv1.LifecycleAction_LIFECYCLE_ACTION_CHANNEL)
	add(before.Contact != after.Contact, threadcastv1.LifecycleAction_LIFECYCLE_ACTION_CONTACT)
	add(before.Ticket != after.Ticket, threadcastv1.LifecycleAction_LIFECYCLE_ACTION_TICKET)
	return &threadcastv1.LifecycleChanged{Actions: actions}
}

func (r *Revision) status() *threadcastv1.StatusChanged {
	body := &threadcastv1.StatusChanged{To: threadcastv1.Status(r.After.Status), ToText: r.After.StatusText}
	if r.Before.Status != r.After.Status || r.Before.StatusText != r.After.StatusText {
		body.From, body.FromText = threadcastv1.Status(r.Before.Status), r.Before.StatusText
		body.Held = r.lasted(r.Before.StatusSince, r.After.StatusSince)
	}
	return body
}

func (r *Revision) assignment() *threadcastv1.AssignmentChanged {
	from, to := r.Before.AssignedTo, r.After.AssignedTo
	body := &threadcastv1.AssignmentChanged{To: toActor(to), Assignments: r.After.Assignments}
	if from == to { // first revision of a thread that was known silently
		from = ""
	} else {
		body.From = toActor(from)
		body.Held = r.lasted(r.Before.AssignmentSince, r.After.AssignmentSince)
	}
	switch {
	case from == "":
		body.Action = threadcastv1.AssignmentAction_ASSIGNMENT_ACTION_ASSIGNED
	case to == "":
		body.Action = threadcastv1.AssignmentAction_ASSIGNMENT_ACTION_UNASSIGNED
	default:
		body.Action = threadcastv1.AssignmentAction_ASSIGNMENT_ACTION_REASSIGNED
	}
	return body
}

// closureLasted bounds how long a thread was open or closed. A status that is neither
// hides when that began.
func (r *Revision) closureLasted() *threadcastv1.DurationBounds {
	if r.Before.Status == thread.StatusUnknown {
		return nil
	}
	return r.lasted(r.Before.StatusSince, r.After.StatusSince)
}

func (r *Revision) closure() *threadcastv1.ClosureChanged {
	before, after := r.Before, r.After
	body := &threadcastv1.ClosureChanged{
		ClosedAt: toTime(after.ClosedAt), PreviousClosedAt: toTime(before.ClosedAt), Reopenings: after.Reopenings,
	}
	switch {
	case before.Closed() && !after.Closed():
		body.Action = threadcastv1.ClosureAction_CLOSURE_ACTION_REOPENED
		body.TimeClosed = r.closureLasted()
	case after.Reopenings > before.Reopenings && before.Known():
		body.Action = threadcastv1.ClosureAction_CLOSURE_ACTION_RECLOSED
	default:
		body.Action = threadcastv1.ClosureAction_CLOSURE_ACTION_CLOSED
		if before.Known() && !before.Closed() {
			body.TimeOpen = r.closureLasted()
		}
	}
	return body
}

func (r *Revision) activity() *threadcastv1.ActivityChanged {
	return &threadcastv1.ActivityChanged{
		Received: r.Before.LatestReceived != r.After.LatestReceived,
		Sent:     r.Before.LatestSent != r.After.LatestSent,
	}
}

// lasted bounds how long a state lasted that began at from and ended when the next
// one began. Nil where nothing is known of its beginning.
func (r *Revision) lasted(from, to thread.Since) *threadcastv1.DurationBounds {
	if !r.Before.Known() {
		return nil
	}
	begin, end := bounds(from), bounds(to)
	least := max(0, end.earliest.Sub(begin.latest))
	if end.earliest.IsZero() {
		least = 0
	}
	most := end.latest.Sub(begin.earliest)
	return toBounds(least, max(least, most), begin.earliest.IsZero())
}

type interval struct{ earliest, latest time.Time }

func bounds(s thread.Since) interval {
	if !s.Exact.IsZero() {
		return interval{s.Exact, s.Exact}
	}
	return interval{s.Earliest, s.Latest}
}
