package event

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func fromTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func toActor(a thread.Actor) *threadcastv1.Actor {
	if a == "" {
		return nil
	}
	return &threadcastv1.Actor{Kind: threadcastv1.ActorKind(a.Kind()), Id: string(a)}
}

func fromActor(a *threadcastv1.Actor) thread.Actor { return thread.Actor(a.GetId()) }

func toSince(s thread.Since) *threadcastv1.Since {
	if s == (thread.Since{}) {
		return nil
	}
	return &threadcastv1.Since{
		Earliest: toTime(s.Earliest), Latest: toTime(s.Latest), Exact: toTime(s.Exact),
		Source: threadcastv1.TimeSource(s.Source), ChangedBy: toActor(s.ChangedBy),
	}
}

func fromSince(s *threadcastv1.Since) thread.Since {
	if s == nil {
		return thread.Since{}
	}
	return thread.Since{
		Earliest: fromTime(s.Earliest), Latest: fromTime(s.Latest), Exact: fromTime(s.Exact),
		Source: thread.TimeSource(s.Source), ChangedBy: fromActor(s.ChangedBy),
	}
}

// ToSnapshot is the public form of a snapshot.
func ToSnapshot(account string, generation uint32, s thread.Snapshot) *threadcastv1.ThreadSnapshot {
	return &threadcastv1.ThreadSnapshot{
		AccountId: account, Generation: generation, ThreadId: s.ID.String(), Revision: s.Revision,
		Status: threadcastv1.Status(s.Status), StatusText: s.StatusText,
		CreatedAt: toTime(s.CreatedAt), ClosedAt: toTime(s.ClosedAt), AssignedTo: toActor(s.AssignedTo),
		InboxId: s.Inbox, OriginalChannelId: s.Channel, OriginalChannelAccountId: s.ChannelAccount,
		AssociatedContactId: s.Contact, AssociatedTicketId: s.Ticket,
		Spam: s.Spam, Archived: s.Archived, Presence: threadcastv1.Presence(s.Presence),
		LatestMessageAt: toTime(s.LatestMessage), LatestMessageReceivedAt: toTime(s.LatestReceived),
		LatestMessageSentAt: toTime(s.LatestSent),
		StatusSince:         toSince(s.StatusSince), AssignmentSince: toSince(s.AssignmentSince),
		Closures: s.Closures, Reopenings: s.Reopenings, Assignments: s.Assignments,
		KindPositions: toPositions(s),
	}
}

func toPositions(s thread.Snapshot) []*threadcastv1.KindPosition {
	var positions []*threadcastv1.KindPosition
	for kind, p := range s.Positions {
		if p.Sequence > 0 {
			positions = append(positions, &threadcastv1.KindPosition{
				Kind: threadcastv1.Kind(kind), Sequence: p.Sequence, Revision: p.Revision,
			})
		}
	}
	return positions
}

// FromSnapshot is the inverse of ToSnapshot. A nil message is a thread never seen.
func FromSnapshot(m *threadcastv1.ThreadSnapshot) (thread.Snapshot, error) {
	if m == nil {
		return thread.Snapshot{}, nil
	}
	id, err := thread.ParseID(m.ThreadId)
	if err != nil {
		return thread.Snapshot{}, err
	}
	s := thread.Snapshot{
		ID: id, Revision: m.Revision,
		Facts: thread.Facts{
			Status: thread.Status(m.Status), StatusText: m.StatusText,
			CreatedAt: fromTime(m.CreatedAt), ClosedAt: fromTime(m.ClosedAt), AssignedTo: fromActor(m.AssignedTo),
			Inbox: m.InboxId, Channel: m.OriginalChannelId, ChannelAccount: m.OriginalChannelAccountId,
			Contact: m.AssociatedContactId, Ticket: m.AssociatedTicketId,
			Spam: m.Spam, Archived: m.Archived, Presence: thread.Presence(m.Presence),
			LatestMessage: fromTime(m.LatestMessageAt), LatestReceived: fromTime(m.LatestMessageReceivedAt),
			LatestSent: fromTime(m.LatestMessageSentAt),
		},
		StatusSince: fromSince(m.StatusSince), AssignmentSince: fromSince(m.AssignmentSince),
		Closures: m.Closures, Reopenings: m.Reopenings, Assignments: m.Assignments,
	}
	for _, p := range m.KindPositions {
		if int(p.Kind) < len(s.Positions) && p.Kind > 0 {
			s.Positions[p.Kind] = thread.Position{Sequence: p.Sequence, Revision: p.Revision}
		}
	}
	return s, nil
}

func toBounds(atLeast, atMost time.Duration, open bool) *threadcastv1.DurationBounds {
	bounds := &threadcastv1.DurationBounds{AtLeast: durationpb.New(atLeast)}
	if !open {
		bounds.AtMost = durationpb.New(atMost)
	}
	return bounds
}
