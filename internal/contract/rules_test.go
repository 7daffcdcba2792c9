package contract_test

import (
	"errors"
	"slices"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// broken validates m and returns the rules that it breaks, sorted, each once.
func broken(t *testing.T, m proto.Message) []string {
	t.Helper()
	var ids []string
	for _, violation := range violations(t, m) {
		ids = append(ids, violation.GetRuleId())
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func violations(t *testing.T, m proto.Message) []*validate.Violation {
	t.Helper()
	err := protovalidate.Validate(m)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		t.Fatalf("validate: %v", err)
	}
	return invalid.ToProto().GetViolations()
}

func TestValidIsAccepted(t *testing.T) {
	for name, m := range valid() {
		if ids := broken(t, m); ids != nil {
			t.Errorf("%s breaks %v, want no rule", name, ids)
		}
	}
}

// refused is what must never be published: a valid record with one thing wrong,
// and every rule that it then breaks.
var refused = []struct {
	name  string
	make  func() *v1.ThreadEvent
	spoil func(*v1.ThreadEvent)
	rules []string
}{
	{"no thread id", status, func(e *v1.ThreadEvent) { e.ThreadId = "" }, []string{"event.identity", "event.snapshots"}},
	{"thread id with letters", status, func(e *v1.ThreadEvent) { e.ThreadId = "x7" }, []string{"event.snapshots"}},
	{"revision 0", silent, func(e *v1.ThreadEvent) { e.Revision = 0 }, []string{"event.identity", "event.snapshots"}},
	{"no kinds", status, func(e *v1.ThreadEvent) { e.Kinds = nil }, []string{"event.kinds"}},
	{"kinds without its own", status, func(e *v1.ThreadEvent) { e.Kinds = []v1.Kind{v1.Kind_KIND_CLOSURE} }, []string{"event.kinds"}},
	{"kinds on a heartbeat", heartbeat, func(e *v1.ThreadEvent) { e.Kinds = []v1.Kind{v1.Kind_KIND_STATUS} }, []string{"event.kinds"}},
	{"kind sequence 0", firstStatus, func(e *v1.ThreadEvent) { e.KindSequence = 0 }, []string{"event.identity"}},
	{"second of its kind without the first", status, func(e *v1.ThreadEvent) { e.PreviousEventId = "" }, []string{"event.identity"}},
	{"first of its kind after another", firstStatus, func(e *v1.ThreadEvent) { e.PreviousEventId = "4711.1.77.1.2" }, []string{"event.identity"}},
	{"no body", status, func(e *v1.ThreadEvent) { e.Body = nil }, []string{"event.body"}},
	{"body of another kind", status, func(e *v1.ThreadEvent) { e.Body = event(v1.Kind_KIND_ACTIVITY).Body }, []string{"event.body"}},
	{"heartbeat as a change", status, func(e *v1.ThreadEvent) { e.Body = heartbeat().Body }, []string{"event.body"}},
	{"change as a heartbeat", heartbeat, func(e *v1.ThreadEvent) { e.Body = status().Body }, []string{"event.body"}},
	{"window the wrong way round", status, func(e *v1.ThreadEvent) { e.WindowStart = minute(11) }, []string{"event.times"}},
	{"window without an end", status, func(e *v1.ThreadEvent) { e.WindowEnd = nil }, []string{"event.times"}},
	{"before without a window start", status, func(e *v1.ThreadEvent) { e.WindowStart = nil }, []string{"event.times"}},
	{"window start at first sight", firstStatus, func(e *v1.ThreadEvent) { e.WindowStart = minute(8) }, []string{"event.times"}},
	{"CLOSED_AT without a time", exact, func(e *v1.ThreadEvent) { e.OccurredAt = nil }, []string{"event.times"}},
	{"OBSERVED with a time", status, func(e *v1.ThreadEvent) { e.OccurredAt = minute(9) }, []string{"event.times"}},
	{"no after", status, func(e *v1.ThreadEvent) { e.After = nil }, []string{"event.snapshots"}},
	{"after of another thread", status, func(e *v1.ThreadEvent) { e.After.ThreadId = "78" }, []string{"event.snapshots"}},
	{"after of another account", status, func(e *v1.ThreadEvent) { e.After.AccountId = "4712" }, []string{"event.snapshots"}},
	{"after of another generation", status, func(e *v1.ThreadEvent) { e.After.Generation = 2 }, []string{"event.snapshots"}},
	{"after of another revision", status, func(e *v1.ThreadEvent) { e.After.Revision = 3 }, []string{"event.snapshots"}},
	{"heartbeat of a thread", heartbeat, func(e *v1.ThreadEvent) { e.ThreadId = "7" }, []string{"event.identity"}},
	{"heartbeat with a revision", heartbeat, func(e *v1.ThreadEvent) { e.Revision = 7 }, []string{"event.identity"}},
	{"heartbeat without observed_at", heartbeat, func(e *v1.ThreadEvent) { e.ObservedAt = nil }, []string{"event.times"}},
	{"heartbeat with a snapshot", heartbeat, func(e *v1.ThreadEvent) { e.After = status().After }, []string{"event.snapshots"}},
	{"before of another account", status, func(e *v1.ThreadEvent) { e.Before.AccountId = "4712" }, []string{"event.snapshots"}},
	{"before of another generation", status, func(e *v1.ThreadEvent) { e.Before.Generation = 2 }, []string{"event.snapshots"}},
	{"second revision without before", status, func(e *v1.ThreadEvent) { e.Before, e.WindowStart = nil, nil }, []string{"event.snapshots"}},
	{"before of the same revision", status, func(e *v1.ThreadEvent) { e.Before.Revision = 2 }, []string{"event.snapshots"}},
	{"before of another thread", status, func(e *v1.ThreadEvent) { e.Before.ThreadId = "78" }, []string{"event.snapshots"}},
	{"no observed_at", status, func(e *v1.ThreadEvent) { e.ObservedAt = nil }, []string{"event.times"}},
	{"no lane", status, func(e *v1.ThreadEvent) { e.Lane = 0 }, []string{"event.times"}},
	{"no time source", status, func(e *v1.ThreadEvent) { e.TimeSource = 0 }, []string{"event.times"}},
	{"assigned from somebody", assignment, action(v1.AssignmentAction_ASSIGNMENT_ACTION_ASSIGNED), []string{"assignment.actors"}},
	{"unassigned to somebody", assignment, action(v1.AssignmentAction_ASSIGNMENT_ACTION_UNASSIGNED), []string{"assignment.actors"}},
	{"reassigned to nobody", assignment, func(e *v1.ThreadEvent) { e.GetAssignmentChanged().To = nil }, []string{"assignment.actors"}},
	{"reopened with closed_at", exact, func(e *v1.ThreadEvent) {
		e.GetClosureChanged().Action = v1.ClosureAction_CLOSURE_ACTION_REOPENED
	}, []string{"closure.closed_at"}},
	{"barrier with a watermark", barrier, func(e *v1.ThreadEvent) { e.GetHeartbeat().Watermark = minute(9) }, []string{"heartbeat.barrier"}},
	{"barrier with a count", barrier, func(e *v1.ThreadEvent) { e.GetHeartbeat().Events = proto.Uint64(0) }, []string{"heartbeat.barrier"}},
	{"barrier with held threads", barrier, func(e *v1.ThreadEvent) { e.GetHeartbeat().Held = 1 }, []string{"heartbeat.barrier"}},
	{"heartbeat without a watermark", heartbeat, func(e *v1.ThreadEvent) { e.GetHeartbeat().Watermark = nil }, []string{"heartbeat.barrier"}},
	{"heartbeat without a count", heartbeat, func(e *v1.ThreadEvent) { e.GetHeartbeat().Events = nil }, []string{"heartbeat.barrier"}},
	{"since the wrong way round", status, func(e *v1.ThreadEvent) { e.After.StatusSince.Earliest = minute(11) }, []string{"since.order"}},
	{"duration the wrong way round", status, func(e *v1.ThreadEvent) {
		e.GetStatusChanged().Held.AtMost = durationpb.New(0)
	}, []string{"duration_bounds.order"}},
	{"text above its cap", status, func(e *v1.ThreadEvent) { e.After.AssociatedContactId = text(321) }, []string{"string.max_bytes"}},
	{"unnamed kind", status, func(e *v1.ThreadEvent) { e.Kind = 9 }, []string{"enum.defined_only", "event.body", "event.kinds"}},
	{"no account", status, func(e *v1.ThreadEvent) { e.AccountId = "" }, []string{"event.snapshots", "string.pattern"}},
}

func status() *v1.ThreadEvent      { return event(v1.Kind_KIND_STATUS) }
func firstStatus() *v1.ThreadEvent { return firstSight(v1.Kind_KIND_STATUS) }
func assignment() *v1.ThreadEvent  { return event(v1.Kind_KIND_ASSIGNMENT) }

func action(a v1.AssignmentAction) func(*v1.ThreadEvent) {
	return func(e *v1.ThreadEvent) { e.GetAssignmentChanged().Action = a }
}

func TestInvalidIsRefused(t *testing.T) {
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			e := c.make()
			if ids := broken(t, e); ids != nil {
				t.Fatalf("breaks %v before it is spoilt", ids)
			}
			c.spoil(e)
			if got := broken(t, e); !slices.Equal(got, c.rules) {
				t.Errorf("breaks %v, want %v", got, c.rules)
			}
		})
	}
}

// TestEveryExpressionIsTried: a rule in CEL that no case above breaks could be
// wrong for ever.
func TestEveryExpressionIsTried(t *testing.T) {
	var tried []string
	for _, c := range refused {
		tried = append(tried, c.rules...)
	}
	for _, sample := range samples() {
		d := sample.ProtoReflect().Descriptor()
		rules, _ := proto.GetExtension(d.Options(), validate.E_Message).(*validate.MessageRules)
		for _, rule := range rules.GetCel() {
			if !slices.Contains(tried, rule.GetId()) {
				t.Errorf("no case breaks rule %s of %s", rule.GetId(), d.Name())
			}
		}
	}
}
