package contract_test

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// minute is a point in time on the day of these events.
func minute(n int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(2026, 9, 8, 12, n, 0, 0, time.UTC))
}

func agent() *v1.Actor { return &v1.Actor{Kind: v1.ActorKind_ACTOR_KIND_AGENT, Id: "A-1"} }

func snapshot(revision uint64) *v1.ThreadSnapshot {
	return &v1.ThreadSnapshot{
		AccountId: "4711", Generation: 1, ThreadId: "77", Revision: revision,
		Status: v1.Status_STATUS_CLOSED, StatusText: "CLOSED", CreatedAt: minute(0), ClosedAt: minute(9),
		AssignedTo: agent(), InboxId: "10", OriginalChannelId: "1000", OriginalChannelAccountId: "7",
		AssociatedContactId: "501", Presence: v1.Presence_PRESENCE_LISTED, LatestMessageAt: minute(3),
		StatusSince:   &v1.Since{Earliest: minute(8), Latest: minute(10), Exact: minute(9), Source: v1.TimeSource_TIME_SOURCE_CLOSED_AT, ChangedBy: agent()},
		KindPositions: []*v1.KindPosition{{Kind: v1.Kind_KIND_STATUS, Sequence: 1, Revision: 1}},
	}
}

func bounds() *v1.DurationBounds {
	return &v1.DurationBounds{AtLeast: durationpb.New(time.Minute), AtMost: durationpb.New(time.Hour)}
}

// setBody gives an event a kind and the body that fits it.
func setBody(e *v1.ThreadEvent, kind v1.Kind) {
	e.Kind, e.Kinds = kind, []v1.Kind{kind}
	switch kind {
	case v1.Kind_KIND_LIFECYCLE:
		e.Body = &v1.ThreadEvent_LifecycleChanged{LifecycleChanged: &v1.LifecycleChanged{
			Actions: []v1.LifecycleAction{v1.LifecycleAction_LIFECYCLE_ACTION_SPAM},
		}}
	case v1.Kind_KIND_STATUS:
		e.Body = &v1.ThreadEvent_StatusChanged{StatusChanged: &v1.StatusChanged{
			From: v1.Status_STATUS_OPEN, FromText: "OPEN", To: v1.Status_STATUS_CLOSED, ToText: "CLOSED", Held: bounds(),
		}}
	case v1.Kind_KIND_ASSIGNMENT:
		e.Body = &v1.ThreadEvent_AssignmentChanged{AssignmentChanged: &v1.AssignmentChanged{
			Action: v1.AssignmentAction_ASSIGNMENT_ACTION_REASSIGNED, From: agent(), To: agent(), Assignments: 2,
		}}
	case v1.Kind_KIND_CLOSURE:
		e.Body = &v1.ThreadEvent_ClosureChanged{ClosureChanged: &v1.ClosureChanged{
			Action: v1.ClosureAction_CLOSURE_ACTION_CLOSED, ClosedAt: minute(9), TimeOpen: bounds(),
		}}
	case v1.Kind_KIND_ACTIVITY:
		e.Body = &v1.ThreadEvent_ActivityChanged{ActivityChanged: &v1.ActivityChanged{Received: true}}
	}
}

// event is a valid event of the second revision of a thread.
func event(kind v1.Kind) *v1.ThreadEvent {
	e := &v1.ThreadEvent{
		EventId: "4711.1.77.2.2", AccountId: "4711", Generation: 1, ThreadId: "77", Revision: 2,
		KindSequence: 2, PreviousEventId: "4711.1.77.1.2",
		WindowStart: minute(8), WindowEnd: minute(10), TimeSource: v1.TimeSource_TIME_SOURCE_OBSERVED,
		ObservedAt: minute(10), Lane: v1.Lane_LANE_FULL, Before: snapshot(1), After: snapshot(2),
		Changed: &fieldmaskpb.FieldMask{Paths: []string{"status", "status_text", "closed_at"}},
	}
	setBody(e, kind)
	return e
}

// firstSight is the first event of a thread: nothing is known of the time before.
func firstSight(kind v1.Kind) *v1.ThreadEvent {
	e := event(kind)
	e.EventId, e.Revision, e.KindSequence, e.PreviousEventId = "4711.1.77.1.1", 1, 1, ""
	e.WindowStart, e.Before, e.After = nil, nil, snapshot(1)
	return e
}

// silent is the first event of a thread that was recorded without an event.
func silent() *v1.ThreadEvent {
	e := firstSight(v1.Kind_KIND_STATUS)
	e.WindowStart, e.Before = minute(8), snapshot(0)
	return e
}

// exact is an event whose time HubSpot gives.
func exact() *v1.ThreadEvent {
	e := event(v1.Kind_KIND_CLOSURE)
	e.TimeSource, e.OccurredAt = v1.TimeSource_TIME_SOURCE_CLOSED_AT, minute(9)
	return e
}

// strange is an event with a status that this version does not know.
func strange() *v1.ThreadEvent {
	e := event(v1.Kind_KIND_STATUS)
	body := e.GetStatusChanged()
	body.To, body.ToText = v1.Status_STATUS_UNKNOWN, "PENDING"
	e.After.Status, e.After.StatusText = body.To, body.ToText
	return e
}

func barrier() *v1.ThreadEvent {
	return &v1.ThreadEvent{
		EventId: "4711.1.hb.9.0.hubspot.threads.status.v1.0.0", AccountId: "4711", Generation: 1,
		Kind: v1.Kind_KIND_HEARTBEAT, ObservedAt: minute(10),
		Body: &v1.ThreadEvent_Heartbeat{Heartbeat: &v1.Heartbeat{
			StateId: "s", InstanceId: "i", Host: "h", StartedAt: minute(0), ProducerId: 9, Barrier: true,
		}},
	}
}

func heartbeat() *v1.ThreadEvent {
	e := barrier()
	body := e.GetHeartbeat()
	body.Barrier, body.Watermark, body.Events, body.Held = false, minute(9), proto.Uint64(0), 3
	return e
}

func quarantined() *v1.QuarantinedRecord {
	return &v1.QuarantinedRecord{
		AccountId: "4711", Generation: 1, ThreadId: "77", Reason: "status", Detail: "status is a list",
		Raw: []byte(`{"id":"77","status":[]}`), RawSize: 23, Lane: v1.Lane_LANE_FULL, ObservedAt: minute(10),
	}
}

// valid is what the contract must accept.
func valid() map[string]proto.Message {
	return map[string]proto.Message{
		"lifecycle": event(v1.Kind_KIND_LIFECYCLE), "status": event(v1.Kind_KIND_STATUS),
		"assignment": event(v1.Kind_KIND_ASSIGNMENT), "closure": event(v1.Kind_KIND_CLOSURE),
		"activity": event(v1.Kind_KIND_ACTIVITY), "heartbeat": heartbeat(), "barrier": barrier(),
		"first sight": firstSight(v1.Kind_KIND_LIFECYCLE), "recorded silently": silent(),
		"exact time": exact(), "unknown status": strange(), "quarantined": quarantined(),
	}
}
