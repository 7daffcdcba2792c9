package thread

import "time"

// Window says how a reading came about: when the change that it shows took place,
// who saw it and when.
type Window struct {
	// Start is when the last reading that showed the old value was sent; zero if
	// there was none.
	Start time.Time
	// End is when the reading that shows the new value arrived.
	End time.Time
	// ObservedAt is End, but never below a watermark that was given.
	ObservedAt time.Time
	Lane       Lane
	Initial    bool // found by the first full cycle
}

// Change is what a reading says that the snapshot does not.
type Change struct {
	Facts  Facts    // the thread as it is now, whole
	Fields FieldSet // of an enabled kind, and different
	Kinds  KindSet  // that the new revision has an event for; empty: no revision
}

// Diff compares a reading with what is remembered. A change without kinds still
// holds the facts that ride along. The first revision of a thread has an event
// for every enabled kind that there is something to say about.
func Diff(before Snapshot, facts Facts, enabled KindSet) Change {
	facts = resolve(before, facts)
	change := Change{Facts: facts}
	for field := range fieldCount {
		if enabled.Has(field.Kind()) && differ(before.Facts, facts, field) {
			change.Fields = change.Fields.With(field)
			change.Kinds |= Kinds(field.Kind())
		}
	}
	if closedBy(before, facts) != before.Closed() {
		change.Kinds |= Kinds(KindClosure)
	}
	if before.Revision == 0 && (change.Kinds&enabled != 0 || !before.Known()) {
		change.Kinds |= facets(before, facts)
	}
	change.Kinds &= enabled
	return change
}

// Apply is the snapshot after a change: the new facts, what follows from them,
// and, if the change has kinds, the next revision.
func Apply(before Snapshot, id ID, change Change, window Window) Snapshot {
	after := before
	after.ID = id
	after.Facts = change.Facts
	applyAssignment(&after, before, window)
	applyClosure(&after, before)
	applyStatus(&after, before, window)
	if change.Kinds == 0 {
		return after
	}
	after.Revision++
	for kind := range change.Kinds.All() {
		position := &after.Positions[kind]
		position.Sequence++
		position.Revision = after.Revision
	}
	return after
}

// resolve fills what a reading leaves open from what was known: required fields
// that it lacks, and the time of a closure that it does not speak of. HubSpot
// documents closedAt as set only while a thread is closed.
func resolve(before Snapshot, facts Facts) Facts {
	for field := range facts.Missing.All() {
		keep(&facts, before.Facts, field)
	}
	facts.Missing = 0
	switch {
	case facts.Status == StatusOpen:
		facts.ClosedAt = time.Time{}
	case facts.Status == StatusUnknown:
		facts.ClosedAt = before.ClosedAt
	case facts.ClosedAt.IsZero() && before.Closed():
		facts.ClosedAt = before.ClosedAt
	}
	return facts
}

// keep restores a field's value; only the fields that HubSpot requires.
func keep(facts *Facts, before Facts, field Field) {
	switch field {
	case FieldCreatedAt:
		facts.CreatedAt = before.CreatedAt
	case FieldInbox:
		facts.Inbox = before.Inbox
	case FieldChannel:
		facts.Channel = before.Channel
	case FieldChannelAccount:
		facts.ChannelAccount = before.ChannelAccount
	case FieldContact:
		facts.Contact = before.Contact
	case FieldSpam:
		facts.Spam = before.Spam
	}
}

func differ(a, b Facts, field Field) bool {
	switch field {
	case FieldStatus:
		return a.Status != b.Status
	case FieldStatusText:
		return a.StatusText != b.StatusText
	case FieldCreatedAt:
		return a.CreatedAt != b.CreatedAt
	case FieldClosedAt:
		return a.ClosedAt != b.ClosedAt
	case FieldAssignedTo:
		return a.AssignedTo != b.AssignedTo
	case FieldInbox:
		return a.Inbox != b.Inbox
	case FieldChannel:
		return a.Channel != b.Channel
	case FieldChannelAccount:
		return a.ChannelAccount != b.ChannelAccount
	case FieldContact:
		return a.Contact != b.Contact
	case FieldTicket:
		return a.Ticket != b.Ticket
	case FieldSpam:
		return a.Spam != b.Spam
	case FieldArchived:
		return a.Archived != b.Archived
	case FieldPresence:
		return a.Presence != b.Presence
	case FieldLatestMessage:
		return a.LatestMessage != b.LatestMessage
	case FieldLatestReceived:
		return a.LatestReceived != b.LatestReceived
	case FieldLatestSent:
		return a.LatestSent != b.LatestSent
	}
	return false
}

// facets are the kinds that there is something to say about at first sight.
func facets(before Snapshot, facts Facts) KindSet {
	kinds := Kinds(KindLifecycle, KindStatus)
	if facts.AssignedTo != "" {
		kinds |= Kinds(KindAssignment)
	}
	if closedBy(before, facts) {
		kinds |= Kinds(KindClosure)
	}
	if !facts.LatestMessage.IsZero() || !facts.LatestReceived.IsZero() || !facts.LatestSent.IsZero() {
		kinds |= Kinds(KindActivity)
	}
	return kinds
}

// closedBy says whether the thread is closed by these facts. A status that is
// neither OPEN nor CLOSED says nothing about it.
func closedBy(before Snapshot, facts Facts) bool {
	switch facts.Status {
	case StatusOpen:
		return false
	case StatusClosed:
		return true
	}
	return before.Closed()
}

func applyAssignment(after *Snapshot, before Snapshot, window Window) {
	if before.Known() && after.AssignedTo == before.AssignedTo {
		return
	}
	after.AssignmentSince = since(before, *after, window)
	if after.AssignedTo != "" {
		after.Assignments++
	}
}

func applyClosure(after *Snapshot, before Snapshot) {
	was, is := before.Closed(), closedBy(before, after.Facts)
	switch {
	case is && !was:
		after.Closures++
	case was && !is:
		after.Reopenings++
	case is && !before.ClosedAt.IsZero() && after.ClosedAt != before.ClosedAt:
		after.Closures++
		after.Reopenings++
	}
}

func applyStatus(after *Snapshot, before Snapshot, window Window) {
	if before.Known() && after.Status == before.Status && after.StatusText == before.StatusText &&
		after.ClosedAt == before.ClosedAt {
		return
	}
	late := after.Status == before.Status && before.ClosedAt.IsZero() // the same closure, its time known late
	if !late {
		after.StatusSince = since(before, *after, window)
	}
	if after.Status == StatusClosed && !after.ClosedAt.IsZero() {
		after.StatusSince = after.StatusSince.at(after.ClosedAt, SourceClosedAt)
	}
}

// at is the state's beginning with its exact time, which the bounds then hold.
func (s Since) at(exact time.Time, source TimeSource) Since {
	s.Exact, s.Source = exact, source
	if s.Earliest.After(exact) {
		s.Earliest = exact
	}
	if s.Latest.Before(exact) {
		s.Latest = exact
	}
	return s
}

// since bounds the beginning of a state by the window of the reading that showed
// it first; at first sight by the thread's creation.
func since(before, after Snapshot, window Window) Since {
	earliest := window.Start
	if !before.Known() {
		earliest = after.CreatedAt
	}
	if earliest.After(window.End) {
		earliest = time.Time{}
	}
	return Since{Earliest: earliest, Latest: window.End, Source: SourceObserved}
}
