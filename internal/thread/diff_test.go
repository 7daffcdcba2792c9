package thread_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

var epoch = time.Date(2026, 9, 8, 12, 0, 0, 0, time.UTC)

func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// randomFacts draws from few values, so that equal ones are common.
func randomFacts(r *rand.Rand) thread.Facts {
	status := pick(r, "OPEN", "CLOSED", "CLOSED", "PENDING")
	facts := thread.Facts{
		Status: thread.ParseStatus(status), StatusText: status,
		CreatedAt:  epoch,
		AssignedTo: pick[thread.Actor](r, "", "A-1", "A-2", "X-9"),
		Inbox:      pick(r, "10", "11"), Channel: "1000", ChannelAccount: pick(r, "7", "8"),
		Contact: pick(r, "501", "502"), Ticket: pick(r, "", "900"),
		Spam: r.IntN(8) == 0, Archived: r.IntN(8) == 0,
		Presence:      pick(r, thread.PresenceListed, thread.PresenceListed, thread.PresenceDeleted),
		LatestMessage: pick(r, time.Time{}, epoch.Add(time.Hour), epoch.Add(2*time.Hour)),
	}
	if facts.Status != thread.StatusOpen {
		facts.ClosedAt = pick(r, time.Time{}, epoch.Add(time.Minute), epoch.Add(time.Hour))
	}
	if r.IntN(6) == 0 {
		facts.Missing = facts.Missing.With(thread.FieldInbox).With(thread.FieldSpam)
	}
	return facts
}

func randomKinds(r *rand.Rand) thread.KindSet {
	return pick(r, thread.DefaultKinds, thread.DefaultKinds|thread.Kinds(thread.KindActivity),
		thread.Kinds(thread.KindAssignment), thread.Kinds(thread.KindClosure, thread.KindStatus))
}

func window(step int) thread.Window {
	start := epoch.Add(time.Duration(step) * time.Hour)
	return thread.Window{Start: start, End: start.Add(time.Minute), ObservedAt: start.Add(time.Minute), Lane: thread.LaneFull}
}

// walk folds random readings and calls check with each step.
func walk(t *testing.T, check func(t *testing.T, seed uint64, enabled thread.KindSet, before, after thread.Snapshot, change thread.Change)) {
	t.Helper()
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		enabled := randomKinds(r)
		var snapshot thread.Snapshot
		for step := range 40 {
			change := thread.Diff(snapshot, randomFacts(r), enabled)
			after := thread.Apply(snapshot, 42, change, window(step))
			check(t, seed, enabled, snapshot, after, change)
			snapshot = after
		}
	}
}

func TestDiffOfTheSameIsEmpty(t *testing.T) {
	walk(t, func(t *testing.T, seed uint64, enabled thread.KindSet, _, after thread.Snapshot, _ thread.Change) {
		again := thread.Diff(after, after.Facts, enabled)
		if again.Kinds != 0 || again.Fields != 0 {
			t.Fatalf("seed %d: Diff(s, s) has kinds %b fields %b, want none; s = %+v", seed, again.Kinds, again.Fields, after)
		}
		if got := thread.Apply(after, 42, again, window(999)); got != after {
			t.Fatalf("seed %d: Apply of nothing changed\n got %+v\nwant %+v", seed, got, after)
		}
	})
}

func TestApplyRebuildsTheFacts(t *testing.T) {
	walk(t, func(t *testing.T, seed uint64, _ thread.KindSet, _, after thread.Snapshot, change thread.Change) {
		if after.Facts != change.Facts {
			t.Fatalf("seed %d: Apply(before, Diff(before, f)) = %+v, want %+v", seed, after.Facts, change.Facts)
		}
	})
}

// Invariant G4: revisions and kind sequences are 1, 2, 3 ...
func TestRevisionsAndSequencesAreGapless(t *testing.T) {
	walk(t, func(t *testing.T, seed uint64, enabled thread.KindSet, before, after thread.Snapshot, change thread.Change) {
		want := before.Revision
		if change.Kinds != 0 {
			want++
		}
		if after.Revision != want {
			t.Fatalf("seed %d: revision %d after %d with kinds %b", seed, after.Revision, before.Revision, change.Kinds)
		}
		for kind := thread.KindLifecycle; kind <= thread.KindActivity; kind++ {
			want := before.Positions[kind]
			if change.Kinds.Has(kind) {
				want = thread.Position{Sequence: want.Sequence + 1, Revision: after.Revision}
			}
			if after.Positions[kind] != want {
				t.Fatalf("seed %d: %v is at %+v, want %+v", seed, kind, after.Positions[kind], want)
			}
			if change.Kinds.Has(kind) && !enabled.Has(kind) {
				t.Fatalf("seed %d: %v is off but in the change", seed, kind)
			}
		}
	})
}

// Invariant G1: a difference in a field of an enabled kind makes a revision.
func TestEveryDifferenceOfAnEnabledKindIsAChange(t *testing.T) {
	walk(t, func(t *testing.T, seed uint64, enabled thread.KindSet, before, after thread.Snapshot, change thread.Change) {
		tracked := func(s thread.Snapshot) thread.Facts {
			f := s.Facts
			f.CreatedAt = time.Time{}
			if !enabled.Has(thread.KindActivity) {
				f.LatestMessage, f.LatestReceived, f.LatestSent = time.Time{}, time.Time{}, time.Time{}
			}
			if !enabled.Has(thread.KindLifecycle) {
				f.Inbox, f.Channel, f.ChannelAccount, f.Contact, f.Ticket = "", "", "", "", ""
				f.Spam, f.Archived, f.Presence = false, false, 0
			}
			if !enabled.Has(thread.KindStatus) {
				f.Status, f.StatusText = 0, ""
			}
			if !enabled.Has(thread.KindAssignment) {
				f.AssignedTo = ""
			}
			if !enabled.Has(thread.KindClosure) {
				f.ClosedAt = time.Time{}
			}
			return f
		}
		if (tracked(before) != tracked(after)) && change.Kinds == 0 {
			t.Fatalf("seed %d: no change between\n%+v\n%+v", seed, before.Facts, after.Facts)
		}
	})
}

func TestClosureStateFollowsStatus(t *testing.T) {
	walk(t, func(t *testing.T, seed uint64, _ thread.KindSet, before, after thread.Snapshot, _ thread.Change) {
		switch after.Status {
		case thread.StatusOpen:
			if after.Closed() || !after.ClosedAt.IsZero() {
				t.Fatalf("seed %d: an open thread is closed: %+v", seed, after)
			}
		case thread.StatusClosed:
			if !after.Closed() {
				t.Fatalf("seed %d: a closed thread is not closed: %+v", seed, after)
			}
		default:
			if after.Closed() != before.Closed() {
				t.Fatalf("seed %d: an unknown status changed the closure: %+v", seed, after)
			}
		}
		if d := after.Closures - after.Reopenings; d > 1 {
			t.Fatalf("seed %d: %d closures, %d reopenings", seed, after.Closures, after.Reopenings)
		}
	})
}

func TestSinceHoldsItsExactTime(t *testing.T) {
	walk(t, func(t *testing.T, seed uint64, _ thread.KindSet, _, after thread.Snapshot, _ thread.Change) {
		for _, s := range []thread.Since{after.StatusSince, after.AssignmentSince} {
			if s.Exact.IsZero() {
				continue
			}
			if s.Earliest.After(s.Exact) || s.Latest.Before(s.Exact) {
				t.Fatalf("seed %d: exact time outside its bounds: %+v", seed, s)
			}
		}
	})
}

func TestDiffBySituation(t *testing.T) {
	open := thread.Facts{Status: thread.StatusOpen, StatusText: "OPEN", Inbox: "1", Presence: thread.PresenceListed, CreatedAt: epoch}
	closed := open
	closed.Status, closed.StatusText, closed.ClosedAt = thread.StatusClosed, "CLOSED", epoch.Add(time.Hour)
	assigned := open
	assigned.AssignedTo = "A-1"
	reclosed := closed
	reclosed.ClosedAt = epoch.Add(2 * time.Hour)
	timeless := closed
	timeless.ClosedAt = time.Time{}
	noInbox := open
	noInbox.Inbox, noInbox.Missing = "", thread.FieldSet(0).With(thread.FieldInbox)
	messaged := open
	messaged.LatestMessage = epoch.Add(time.Minute)

	known := func(f thread.Facts) thread.Snapshot {
		return thread.Apply(thread.Snapshot{}, 7, thread.Diff(thread.Snapshot{}, f, thread.DefaultKinds), window(0))
	}
	recorded := func(f thread.Facts) thread.Snapshot {
		return thread.Apply(thread.Snapshot{}, 7, thread.Change{Facts: f}, window(0))
	}
	all := thread.DefaultKinds
	for _, c := range []struct {
		name   string
		before thread.Snapshot
		facts  thread.Facts
		want   thread.KindSet
	}{
		{"open thread at first sight", thread.Snapshot{}, open, thread.Kinds(thread.KindLifecycle, thread.KindStatus)},
		{"assigned thread at first sight", thread.Snapshot{}, assigned, thread.Kinds(thread.KindLifecycle, thread.KindStatus, thread.KindAssignment)},
		{"closed thread at first sight", thread.Snapshot{}, closed, thread.Kinds(thread.KindLifecycle, thread.KindStatus, thread.KindClosure)},
		{"nothing", known(open), open, 0},
		{"a message alone", known(open), messaged, 0},
		{"a required field is missing", known(open), noInbox, 0},
		{"closed", known(open), closed, thread.Kinds(thread.KindStatus, thread.KindClosure)},
		{"reopened", known(closed), open, thread.Kinds(thread.KindStatus, thread.KindClosure)},
		{"closed again, the reopening was missed", known(closed), reclosed, thread.Kinds(thread.KindClosure)},
		{"closed without a time, the time comes", known(timeless), closed, thread.Kinds(thread.KindClosure)},
		{"closed, the time is left out", known(closed), timeless, 0},
		{"assigned", known(open), assigned, thread.Kinds(thread.KindAssignment)},
		{"recorded silently, nothing", recorded(assigned), assigned, 0},
		{"recorded silently, unassigned", recorded(assigned), open, all &^ thread.Kinds(thread.KindClosure)},
		{"recorded silently, closed", recorded(assigned), func() thread.Facts { f := closed; f.AssignedTo = "A-1"; return f }(), all},
		{"recorded silently closed, reopened", recorded(closed), open, thread.Kinds(thread.KindLifecycle, thread.KindStatus, thread.KindClosure)},
	} {
		if got := thread.Diff(c.before, c.facts, all).Kinds; got != c.want {
			t.Errorf("%s: kinds %08b, want %08b", c.name, got, c.want)
		}
	}
}

func TestParseID(t *testing.T) {
	for _, text := range []string{"", "0", "01", "-1", "1.0", "1e3", " 1", "18446744073709551616", "abc"} {
		if id, err := thread.ParseID(text); err == nil {
			t.Errorf("ParseID(%q) = %d, want an error", text, id)
		}
	}
	for _, text := range []string{"1", "9007199254740993", "18446744073709551615"} {
		id, err := thread.ParseID(text)
		if err != nil || id.String() != text {
			t.Errorf("ParseID(%q) = %v, %v", text, id, err)
		}
	}
}

func TestCapText(t *testing.T) {
	long := make([]rune, 200)
	for i := range long {
		long[i] = 'é'
	}
	if got := thread.CapText(string(long)); len(got) != thread.MaxText {
		t.Errorf("200 two-byte runes are capped to %d bytes, want %d", len(got), thread.MaxText)
	}
	if got := thread.CapText("x" + string(long)); len(got) != thread.MaxText-1 {
		t.Errorf("a rune was cut: %d bytes, want %d", len(got), thread.MaxText-1)
	}
	if got := thread.CapText("a\xffb"); got != "a\uFFFDb" {
		t.Errorf("invalid UTF-8 became %q", got)
	}
}

func TestActorKinds(t *testing.T) {
	for actor, want := range map[thread.Actor]thread.ActorKind{
		"": 0, "A-1": thread.ActorAgent, "B-1": thread.ActorBot, "V-1": thread.ActorVisitor, "I-1": thread.ActorIntegration,
		"L-1": thread.ActorAIAgent, "S-hubspot": thread.ActorSystem, "E-a@b.c": thread.ActorEmail, "H-1": thread.ActorUnknown, "A": thread.ActorUnknown,
	} {
		if got := actor.Kind(); got != want {
			t.Errorf("kind of %q = %d, want %d", actor, got, want)
		}
	}
}
