package hubspottest

import (
	"errors"
	"fmt"

	"github.com/threadcast/threadcast/internal/thread"
)

// Errors of the actions on threads.
var (
	ErrNoThread = errors.New("no such thread")
	ErrNoChange = errors.New("the thread is so already")
	ErrNoInbox  = errors.New("no such inbox")
)

// Opening is a new thread. Empty fields get likely values.
type Opening struct {
	Inbox   string       // empty: the first inbox
	Channel string       // empty: 1002, e-mail
	Contact string       // empty: a contact of its own
	Ticket  string       // empty: none
	Actor   thread.Actor // assigned at once; empty: nobody
}

// Open makes a thread with a first message that came in.
func (s *Server) Open(o Opening) thread.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := nextID(s.table.highest(), s.log.last)
	if o.Inbox == "" && len(s.inboxes) > 0 {
		o.Inbox = s.inboxes[0].ID
	}
	if o.Channel == "" {
		o.Channel = channelEmail
	}
	if o.Contact == "" {
		o.Contact = thread.ID(id / 7).String()
	}
	now := s.clock()
	rec := s.table.record(Thread{
		ID: thread.ID(id), Status: StatusOpen, CreatedAt: now, AssignedTo: o.Actor,
		Inbox: o.Inbox, Channel: o.Channel, ChannelAccount: channelAccount(o.Inbox, o.Channel),
		Contact: o.Contact, Ticket: o.Ticket, LatestMessage: now, LatestReceived: now,
	})
	s.table.put(rec)
	s.log.append(millis(now), OpOpen, record{}, rec)
	return thread.ID(id)
}

// messageTime is the time of a message: now, but later than the one before, as no
// two messages of a thread share a moment.
func (r *record) messageTime(now int64) int64 { return max(now, r.latest+1) }

// nextID is an id above the highest. Ids of one account have gaps, as accounts
// share one counter.
func nextID(highest, salt uint64) uint64 {
	return highest + 1 + (highest*31+salt*17)%7919
}

// Receive lets a message come in; a closed thread is open again by it.
func (s *Server) Receive(id thread.ID) error {
	return s.act(id, OpReceive, func(rec *record, now int64) (Op, error) {
		rec.latest = rec.messageTime(now)
		rec.received = rec.latest
		if rec.status != wordClosed {
			return OpReceive, nil
		}
		rec.status, rec.closed = wordOpen, 0
		return OpReopenByMessage, nil
	})
}

// Reply lets a message go out. With Behaviour.AutoAssign, a thread without an
// assignee is assigned to the replier by a second mutation in the same moment.
func (s *Server) Reply(id thread.ID, replier thread.Actor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.change(id, OpReply, func(rec *record, now int64) (Op, error) {
		rec.latest = rec.messageTime(now)
		rec.sent = rec.latest
		return OpReply, nil
	})
	if err != nil || !s.behaviour.AutoAssign {
		return err
	}
	err = s.change(id, OpAssign, func(rec *record, _ int64) (Op, error) {
		if rec.assigned == wordNone {
			rec.assigned = s.table.lexicon.word(string(replier))
		}
		return OpAssign, nil
	})
	if errors.Is(err, ErrNoChange) {
		return nil
	}
	return err
}

// Assign gives the thread to somebody, or to somebody else, silently.
func (s *Server) Assign(id thread.ID, actor thread.Actor) error {
	return s.act(id, OpAssign, func(rec *record, _ int64) (Op, error) {
		op := OpReassign
		if rec.assigned == wordNone {
			op = OpAssign
		}
		rec.assigned = s.table.lexicon.word(string(actor))
		return op, nil
	})
}

// Unassign takes the thread from its assignee, silently.
func (s *Server) Unassign(id thread.ID) error {
	return s.act(id, OpUnassign, func(rec *record, _ int64) (Op, error) {
		rec.assigned = wordNone
		return OpUnassign, nil
	})
}

// Close closes an open thread, silently.
func (s *Server) Close(id thread.ID) error {
	return s.act(id, OpClose, func(rec *record, now int64) (Op, error) {
		if rec.status != wordClosed {
			rec.status, rec.closed = wordClosed, now
		}
		return OpClose, nil
	})
}

// Reopen opens a closed thread, silently. Receive does it by a message.
func (s *Server) Reopen(id thread.ID) error {
	return s.act(id, OpReopen, func(rec *record, _ int64) (Op, error) {
		rec.status, rec.closed = wordOpen, 0
		return OpReopen, nil
	})
}

// Spam marks or unmarks the thread, silently.
func (s *Server) Spam(id thread.ID, spam bool) error {
	return s.flag(id, flagSpam, spam, OpSpam, OpUnspam)
}

// Archive puts the thread into the trash, silently.
func (s *Server) Archive(id thread.ID) error {
	return s.flag(id, flagArchived, true, OpArchive, OpRestore)
}

// Restore takes the thread out of the trash, silently.
func (s *Server) Restore(id thread.ID) error {
	return s.flag(id, flagArchived, false, OpArchive, OpRestore)
}

// Purge deletes the thread for good; its id is never used again.
func (s *Server) Purge(id thread.ID) error {
	return s.flag(id, flagPurged, true, OpPurge, OpNone)
}

func (s *Server) flag(id thread.ID, f flag, on bool, opOn, opOff Op) error {
	op := opOff
	if on {
		op = opOn
	}
	return s.act(id, op, func(rec *record, _ int64) (Op, error) {
		rec.mark(f, on)
		return op, nil
	})
}

// MoveInbox moves the thread to another inbox of the account, silently.
func (s *Server) MoveInbox(id thread.ID, inbox string) error {
	return s.act(id, OpMove, func(rec *record, _ int64) (Op, error) {
		if !s.hasInbox(inbox) {
			return OpMove, fmt.Errorf("%w: %s", ErrNoInbox, inbox)
		}
		rec.inbox = s.table.lexicon.word(inbox)
		return OpMove, nil
	})
}

// SetTicket associates the thread with a ticket, silently; an empty id removes it.
func (s *Server) SetTicket(id thread.ID, ticket string) error {
	return s.act(id, OpTicket, func(rec *record, _ int64) (Op, error) {
		rec.ticket = s.table.lexicon.wide(ticket)
		return OpTicket, nil
	})
}

// Edit changes anything about the thread but its id, also to what HubSpot does
// not document.
func (s *Server) Edit(id thread.ID, edit func(*Thread)) error {
	return s.act(id, OpEdit, func(rec *record, _ int64) (Op, error) {
		t := s.table.thread(*rec)
		edit(&t)
		t.ID = id
		*rec = s.table.record(t)
		return OpEdit, nil
	})
}

// act is change under the lock.
func (s *Server) act(id thread.ID, op Op, edit func(*record, int64) (Op, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change(id, op, edit)
}

// change edits one record and logs what happened. The edit gets the present
// moment and names what it was.
func (s *Server) change(id thread.ID, op Op, edit func(*record, int64) (Op, error)) error {
	pos, found := s.table.find(uint64(id))
	if !found || s.table.records[pos].has(flagPurged) {
		return fmt.Errorf("%s thread %s: %w", op, id, ErrNoThread)
	}
	before, now := s.table.records[pos], s.clock().UnixMilli()
	after := before
	op, err := edit(&after, now)
	if err == nil && after == before {
		err = ErrNoChange
	}
	if err != nil {
		return fmt.Errorf("%s thread %s: %w", op, id, err)
	}
	s.table.set(pos, after)
	s.log.append(now, op, before, after)
	return nil
}
