package hubspottest

import (
	"strconv"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// Op is what was done to a thread.
type Op uint8

// What can be done. Whatever is not borne by a message leaves
// latestMessageTimestamp alone, as HubSpot does.
const (
	OpNone            Op = iota
	OpOpen               // a new thread, with its first message
	OpReceive            // a message came in
	OpReply              // a message went out
	OpAssign             // nobody -> somebody
	OpReassign           // somebody -> somebody else
	OpUnassign           // somebody -> nobody
	OpClose              // OPEN -> CLOSED, silently
	OpReopen             // CLOSED -> OPEN, silently
	OpReopenByMessage    // CLOSED -> OPEN, by a message that came in
	OpSpam
	OpUnspam
	OpMove // to another inbox
	OpArchive
	OpRestore
	OpPurge
	OpTicket // a ticket was associated, changed or removed
	OpEdit   // anything else
	opCount
)

var opNames = [opCount]string{
	"none", "open", "receive", "reply", "assign", "reassign", "unassign", "close", "reopen",
	"reopen by message", "spam", "unspam", "move", "archive", "restore", "purge", "ticket", "edit",
}

// String names the operation.
func (op Op) String() string {
	if op < opCount {
		return opNames[op]
	}
	return "op" + strconv.Itoa(int(op))
}

// Mutation is one change of one thread, as it was: the ground truth.
type Mutation struct {
	Sequence uint64 // 1, 2, 3 ... over all threads
	Time     time.Time
	Thread   thread.ID
	Op       Op
	Before   Thread // zero for a new thread
	After    Thread
}

// logEntry is a Mutation with packed threads.
type logEntry struct {
	sequence      uint64
	at            int64
	op            Op
	before, after record
}

// mutationLog keeps the newest entries, at most its limit.
type mutationLog struct {
	limit   int
	last    uint64
	entries []logEntry
}

func (l *mutationLog) append(at int64, op Op, before, after record) {
	l.last++
	if len(l.entries) >= l.limit {
		// A quarter at a time, so that the copy is paid for once in so many entries.
		l.entries = append(l.entries[:0], l.entries[l.limit/4+1:]...)
	}
	l.entries = append(l.entries, logEntry{l.last, at, op, before, after})
}

// since is the entries with a greater sequence.
func (l *mutationLog) since(sequence uint64) []logEntry {
	if sequence >= l.last {
		return nil
	}
	return l.entries[len(l.entries)-int(min(l.last-sequence, uint64(len(l.entries)))):]
}

// Log is every mutation after the one with the sequence; 0 gives all. Where the
// oldest were dropped (Config.LogLimit), the first one's sequence shows the gap.
func (s *Server) Log(since uint64) []Mutation {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := s.log.since(since)
	mutations := make([]Mutation, len(entries))
	for i, e := range entries {
		mutations[i] = Mutation{
			Sequence: e.sequence, Time: moment(e.at), Thread: thread.ID(e.after.id), Op: e.op,
			After: s.table.thread(e.after),
		}
		if e.op != OpOpen {
			mutations[i].Before = s.table.thread(e.before)
		}
	}
	return mutations
}
