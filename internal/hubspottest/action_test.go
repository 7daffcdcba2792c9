package hubspottest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// fold applies a log to the threads that were there before it.
func fold(t *testing.T, before []Thread, log []Mutation) []Thread {
	t.Helper()
	state := make(map[thread.ID]Thread)
	for _, th := range before {
		state[th.ID] = th
	}
	for i, m := range log {
		if m.Sequence != uint64(i+1) {
			t.Fatalf("mutation %d: got sequence %d", i+1, m.Sequence)
		}
		if m.Before != state[m.Thread] {
			t.Fatalf("mutation %d, %s of %s: before is %+v, want %+v", m.Sequence, m.Op, m.Thread, m.Before, state[m.Thread])
		}
		if m.After == m.Before || m.After.ID != m.Thread {
			t.Fatalf("mutation %d, %s of %s: after is %+v", m.Sequence, m.Op, m.Thread, m.After)
		}
		state[m.Thread] = m.After
	}
	var threads []Thread
	for _, th := range state {
		threads = append(threads, th)
	}
	slices.SortFunc(threads, func(a, b Thread) int { return int(a.ID) - int(b.ID) })
	return threads
}

// TestActions has a line for each action: what it changes, and nothing else.
func TestActions(t *testing.T) {
	now := epoch
	for _, test := range []struct {
		name string
		id   thread.ID
		act  func(*Server, thread.ID) error
		op   Op
		want func(*Thread)
	}{
		{"receive on open", 101, (*Server).Receive, OpReceive, func(t *Thread) { t.LatestMessage, t.LatestReceived = now, now }},
		{"receive on closed", 102, (*Server).Receive, OpReopenByMessage, func(t *Thread) {
			t.LatestMessage, t.LatestReceived, t.Status, t.ClosedAt = now, now, StatusOpen, time.Time{}
		}},
		{"reply", 101, func(s *Server, id thread.ID) error { return s.Reply(id, "A-7") }, OpReply, func(t *Thread) { t.LatestMessage, t.LatestSent = now, now }},
		{"assign", 101, func(s *Server, id thread.ID) error { return s.Assign(id, "A-7") }, OpAssign, func(t *Thread) { t.AssignedTo = "A-7" }},
		{"reassign", 104, func(s *Server, id thread.ID) error { return s.Assign(id, "A-7") }, OpReassign, func(t *Thread) { t.AssignedTo = "A-7" }},
		{"unassign", 104, (*Server).Unassign, OpUnassign, func(t *Thread) { t.AssignedTo = "" }},
		{"close", 101, (*Server).Close, OpClose, func(t *Thread) { t.Status, t.ClosedAt = StatusClosed, now }},
		{"reopen silently", 102, (*Server).Reopen, OpReopen, func(t *Thread) { t.Status, t.ClosedAt = StatusOpen, time.Time{} }},
		{"spam", 101, func(s *Server, id thread.ID) error { return s.Spam(id, true) }, OpSpam, func(t *Thread) { t.Spam = true }},
		{"unspam", 104, func(s *Server, id thread.ID) error { return s.Spam(id, false) }, OpUnspam, func(t *Thread) { t.Spam = false }},
		{"move", 101, func(s *Server, id thread.ID) error { return s.MoveInbox(id, "424410203") }, OpMove, func(t *Thread) { t.Inbox = "424410203" }},
		{"archive", 101, (*Server).Archive, OpArchive, func(t *Thread) { t.Archived = true }},
		{"restore", 106, (*Server).Restore, OpRestore, func(t *Thread) { t.Archived = false }},
		{"purge", 106, (*Server).Purge, OpPurge, func(t *Thread) { t.Purged = true }},
		{"ticket", 102, func(s *Server, id thread.ID) error { return s.SetTicket(id, "9") }, OpTicket, func(t *Thread) { t.Ticket = "9" }},
		{"ticket removed", 101, func(s *Server, id thread.ID) error { return s.SetTicket(id, "") }, OpTicket, func(t *Thread) { t.Ticket = "" }},
		{"edit", 101, func(s *Server, id thread.ID) error {
			return s.Edit(id, func(t *Thread) { t.Status, t.ID = "PENDING", 5 })
		}, OpEdit, func(t *Thread) { t.Status = "PENDING" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := five(t, Config{})
			want, _ := s.Thread(test.id)
			before := want
			test.want(&want)
			if err := test.act(s, test.id); err != nil {
				t.Fatal(err)
			}
			if got, _ := s.Thread(test.id); got != want {
				t.Errorf("thread: got %+v\nwant %+v", got, want)
			}
			log := s.Log(0)
			if expected := (Mutation{1, now, test.id, test.op, before, want}); len(log) != 1 || log[0] != expected {
				t.Errorf("log: got %+v\nwant %+v", log, expected)
			}
		})
	}
}

func TestActionsThatChangeNothing(t *testing.T) {
	s := five(t, Config{})
	if err := s.Purge(106); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		err  error
		want error
	}{
		{"close a closed thread", s.Close(102), ErrNoChange},
		{"reopen an open thread", s.Reopen(101), ErrNoChange},
		{"assign to the assignee", s.Assign(104, "A-1"), ErrNoChange},
		{"restore what was never archived", s.Restore(101), ErrNoChange},
		{"an unknown thread", s.Close(999), ErrNoThread},
		{"a purged thread", s.Restore(106), ErrNoThread},
		{"move to an unknown inbox", s.MoveInbox(101, "1"), ErrNoInbox},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, test.err, test.want)
		}
	}
	if got := len(s.Log(1)); got != 0 {
		t.Errorf("log after the purge: got %d mutations, want none", got)
	}
	if got := get(t, s, threadsPath+"/106", "archived=true"); got.status != 404 {
		t.Errorf("GET of a purged thread: got %d, want 404", got.status)
	}
}

func TestReplyAssignsTheReplier(t *testing.T) {
	s := five(t, Config{Behaviour: Behaviour{AutoAssign: true}})
	for _, id := range []thread.ID{101, 104} {
		if err := s.Reply(id, "A-7"); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, m := range s.Log(0) {
		got = append(got, fmt.Sprint(m.Thread, " ", m.Op, " ", m.After.AssignedTo))
	}
	if want := "[101 reply  101 assign A-7 104 reply A-1]"; fmt.Sprint(got) != want {
		t.Errorf("log: got %v, want %s", got, want)
	}
}

func TestOpenMakesAThread(t *testing.T) {
	s := New(Config{Clock: fixed})
	first := s.Open(Opening{})
	second := s.Open(Opening{Inbox: "424410202", Channel: "1000", Contact: "5", Ticket: "6", Actor: "A-1"})
	got, _ := s.Thread(second)
	want := Thread{
		ID: second, Status: StatusOpen, CreatedAt: epoch, AssignedTo: "A-1", Inbox: "424410202", Channel: "1000",
		ChannelAccount: "4244102020", Contact: "5", Ticket: "6", LatestMessage: epoch, LatestReceived: epoch,
	}
	if got != want || second <= first {
		t.Errorf("opened after %s: got %+v, want %+v", first, got, want)
	}
	if log := s.Log(1); len(log) != 1 || log[0].Before != (Thread{}) || log[0].Op != OpOpen {
		t.Errorf("log: got %+v", log)
	}
}

func TestLogKeepsTheNewest(t *testing.T) {
	s := New(Config{Clock: fixed, LogLimit: 8})
	for range 100 {
		s.Open(Opening{})
		log := s.Log(0)
		if len(log) > 8 || len(log) == 0 || log[len(log)-1].Sequence != s.log.last {
			t.Fatalf("after %d: log has %d mutations", s.log.last, len(log))
		}
		if got := s.Log(s.log.last - 1); len(got) != 1 || got[0].Sequence != s.log.last {
			t.Fatalf("newest: got %+v", got)
		}
	}
	if got := s.Log(1000); len(got) != 0 {
		t.Errorf("log after a sequence to come: got %d mutations", len(got))
	}
}
