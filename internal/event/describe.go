package event

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// Description is what an event says, in words for people.
type Description struct {
	What     string // "closed", "assigned", "heartbeat" ...
	From, To string // what it changed from and to; empty where nothing was or is
	Note     string // how long it lasted and the like
}

// Describe puts an event in words.
func Describe(m *threadcastv1.ThreadEvent) Description {
	switch body := m.GetBody().(type) {
	case *threadcastv1.ThreadEvent_StatusChanged:
		b := body.StatusChanged
		return Description{"status", b.FromText, b.ToText, lasted("held", b.Held)}
	case *threadcastv1.ThreadEvent_AssignmentChanged:
		b := body.AssignmentChanged
		what := lower(b.Action.String(), "ASSIGNMENT_ACTION_")
		if m.GetBefore() != nil && b.Held == nil {
			what = "is assigned, as before" // a thread that was known silently says all of itself once
		}
		return Description{what, b.From.GetId(), b.To.GetId(), lasted("held", b.Held)}
	case *threadcastv1.ThreadEvent_ClosureChanged:
		return closure(body.ClosureChanged)
	case *threadcastv1.ThreadEvent_LifecycleChanged:
		return lifecycle(m, body.LifecycleChanged)
	case *threadcastv1.ThreadEvent_ActivityChanged:
		return Description{What: "activity", To: activity(body.ActivityChanged)}
	case *threadcastv1.ThreadEvent_Heartbeat:
		return heartbeat(body.Heartbeat)
	}
	return Description{What: fmt.Sprintf("kind %d", m.GetKind()), Note: "of a newer version"}
}

func closure(b *threadcastv1.ClosureChanged) Description {
	d := Description{What: lower(b.Action.String(), "CLOSURE_ACTION_")}
	if b.PreviousClosedAt != nil {
		d.From = clock(b.PreviousClosedAt.AsTime())
	}
	if b.ClosedAt != nil {
		d.To = clock(b.ClosedAt.AsTime())
	}
	d.Note = strings.TrimSpace(lasted("open", b.TimeOpen) + " " + lasted("closed", b.TimeClosed))
	return d
}

func lifecycle(m *threadcastv1.ThreadEvent, b *threadcastv1.LifecycleChanged) Description {
	var words, from, to []string
	before, after := m.GetBefore(), m.GetAfter()
	for _, action := range b.Actions {
		words = append(words, lower(action.String(), "LIFECYCLE_ACTION_"))
		switch action {
		case threadcastv1.LifecycleAction_LIFECYCLE_ACTION_INBOX:
			from, to = append(from, before.GetInboxId()), append(to, after.GetInboxId())
		case threadcastv1.LifecycleAction_LIFECYCLE_ACTION_TICKET:
			from, to = append(from, before.GetAssociatedTicketId()), append(to, after.GetAssociatedTicketId())
		case threadcastv1.LifecycleAction_LIFECYCLE_ACTION_CONTACT:
			from, to = append(from, before.GetAssociatedContactId()), append(to, after.GetAssociatedContactId())
		case threadcastv1.LifecycleAction_LIFECYCLE_ACTION_SPAM:
			from, to = append(from, fmt.Sprint(before.GetSpam())), append(to, fmt.Sprint(after.GetSpam()))
		case threadcastv1.LifecycleAction_LIFECYCLE_ACTION_DISCOVERED:
			if before == nil {
				to = append(to, "inbox "+after.GetInboxId())
			}
		}
	}
	return Description{What: strings.Join(words, ", "), From: strings.Join(from, ", "), To: strings.Join(to, ", ")}
}

func activity(b *threadcastv1.ActivityChanged) string {
	var words []string
	if b.Received {
		words = append(words, "received")
	}
	if b.Sent {
		words = append(words, "sent")
	}
	return strings.Join(words, " and ")
}

func heartbeat(b *threadcastv1.Heartbeat) Description {
	if b.Barrier {
		return Description{What: "barrier", Note: fmt.Sprintf("epoch %d from %s", b.ProducerEpoch, b.Host)}
	}
	return Description{What: "heartbeat", To: clock(b.Watermark.AsTime()), Note: fmt.Sprintf("%d events before it, epoch %d", b.GetEvents(), b.ProducerEpoch)}
}

func lower(name, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", " "))
}

func lasted(what string, b *threadcastv1.DurationBounds) string {
	if b == nil {
		return ""
	}
	least, most := short(b.AtLeast), short(b.AtMost)
	switch {
	case b.AtMost == nil:
		return fmt.Sprintf("%s at least %s", what, least)
	case least == most:
		return fmt.Sprintf("%s %s", what, least)
	}
	return fmt.Sprintf("%s %s to %s", what, least, most)
}

// short is a duration to two or three digits.
func short(d *durationpb.Duration) string {
	switch v := d.AsDuration(); {
	case v < time.Minute:
		return v.Round(100 * time.Millisecond).String()
	case v < time.Hour:
		return strings.TrimSuffix(v.Round(time.Minute).String(), "0s")
	case v < 48*time.Hour:
		return strings.TrimSuffix(v.Round(time.Hour).String(), "0m0s")
	default:
		return fmt.Sprintf("%dd", int(v.Hours()/24))
	}
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// String is the description in one line.
func (d Description) String() string {
	line := d.What
	switch {
	case d.From != "" && d.To != "":
		line += " " + d.From + " -> " + d.To
	case d.From != "":
		line += " from " + d.From
	case d.To != "":
		line += " " + d.To
	}
	if d.Note != "" {
		line += " (" + d.Note + ")"
	}
	return line
}
