package hubspottest

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// ScriptConfig describes a busy support inbox.
type ScriptConfig struct {
	Seed       uint64
	Population Population    // who is there at the start; Threads 0: leave the server's threads as they are
	Every      time.Duration // mean time between two mutations; 0: 200 ms
	Spacing    time.Duration // shortest time between two mutations of one thread
	Length     time.Duration // of the script, its quiet end included; 0: it never ends
	Quiet      time.Duration // at the end, in which nothing happens
	Mix        map[Op]int    // relative frequencies; nil: DefaultMix
}

// DefaultMix is how often the things of an inbox happen. Nothing is purged.
func DefaultMix() map[Op]int {
	return map[Op]int{
		OpOpen: 16, OpReceive: 16, OpReply: 16, OpAssign: 12, OpReassign: 8, OpUnassign: 4,
		OpClose: 14, OpReopen: 4, OpReopenByMessage: 6, OpSpam: 2, OpUnspam: 1, OpMove: 2,
		OpArchive: 2, OpRestore: 1, OpTicket: 2,
	}
}

const (
	defaultEvery = 200 * time.Millisecond
	longestDelay = 5    // in means, so that a script never stalls
	mostTries    = 64   // threads looked at for one operation
	mostOps      = 16   // operations tried before nothing happens
	mostTouched  = 4096 // threads remembered for their spacing before the old are dropped
)

// Step is one thing that happens. Delay is the time since the step before; Do is to
// be called once it has passed, before the next call of Script.Next.
type Step struct {
	Delay  time.Duration
	Op     Op // OpNone: no thread was free for anything
	Thread thread.ID
	Do     func() error
}

// Script is a deterministic play of people in an inbox: the same server, clock and
// configuration give the same mutations, as long as nobody else changes threads.
// It is not safe for concurrent use.
type Script struct {
	server *Server
	cfg    ScriptConfig
	rng    *rand.Rand
	agents []thread.Actor
	target int // open threads that the inbox hovers around

	now     time.Duration // script time
	touched map[thread.ID]time.Duration
	open    []thread.ID // candidates; whether they are open still is looked up
	isOpen  map[thread.ID]struct{}
}

// NewScript populates the server and prepares the play.
func NewScript(server *Server, cfg ScriptConfig) *Script {
	if cfg.Every == 0 {
		cfg.Every = defaultEvery
	}
	if cfg.Mix == nil {
		cfg.Mix = DefaultMix()
	}
	cfg.Population = cfg.Population.withDefaults()
	if cfg.Population.Threads > 0 {
		server.Populate(cfg.Population)
	}
	s := &Script{
		server: server, cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x736372)),
		agents:  agents(cfg.Population.Agents),
		touched: make(map[thread.ID]time.Duration), isOpen: make(map[thread.ID]struct{}),
	}
	for _, id := range server.openThreads() {
		s.opened(id)
	}
	s.target = max(10, len(s.open))
	return s
}

// openThreads is the ids of the threads that are open and listed.
func (s *Server) openThreads() []thread.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []thread.ID
	for _, rec := range s.table.records {
		if rec.status == wordOpen && !rec.has(flagArchived|flagPurged) {
			open = append(open, thread.ID(rec.id))
		}
	}
	return open
}

// Next decides the next step; false: the script is over, but for its quiet end.
func (s *Script) Next() (Step, bool) {
	mean := float64(s.cfg.Every)
	delay := time.Duration(min(longestDelay, s.rng.ExpFloat64()) * mean)
	if s.cfg.Length > 0 && s.now+delay > s.cfg.Length-s.cfg.Quiet {
		return Step{}, false
	}
	s.now += delay
	s.forget()
	for range mostOps {
		op := s.drawOp()
		if step, ok := s.plan(op); ok {
			step.Delay, step.Op = delay, op
			return step, true
		}
	}
	return Step{Delay: delay, Do: func() error { return nil }}, true
}

// Run plays the script with timers until it is over, its quiet end included, or the
// context ends, whose cause it returns. After each step it calls did, if not nil.
// A step that somebody else's mutation has made impossible is passed over.
func (s *Script) Run(ctx context.Context, did func(Step)) error {
	for {
		step, ok := s.Next()
		if !ok {
			return pause(ctx, s.cfg.Length-s.now)
		}
		if err := pause(ctx, step.Delay); err != nil {
			return err
		}
		err := step.Do()
		if errors.Is(err, ErrNoChange) || errors.Is(err, ErrNoThread) {
			continue
		}
		if err != nil {
			return err
		}
		if did != nil {
			did(step)
		}
	}
}

func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drawOp draws an operation. The more threads are open, beside the target, the more
// are closed, so that the inbox neither empties nor floods.
func (s *Script) drawOp() Op {
	weight := func(op Op) float64 {
		w := float64(s.cfg.Mix[op])
		if op == OpClose {
			w *= min(4, float64(len(s.open))/float64(s.target))
		}
		return w
	}
	total := 0.0
	for op := range opCount {
		total += weight(op)
	}
	draw := s.rng.Float64() * total
	for op := range opCount {
		if draw -= weight(op); draw < 0 {
			return op
		}
	}
	return OpNone
}

// plan finds a thread for an operation.
func (s *Script) plan(op Op) (Step, bool) {
	if op == OpOpen {
		return s.planOpen(), true
	}
	id, found := s.pick(op)
	if !found {
		return Step{}, false
	}
	s.touched[id] = s.now
	do := s.action(op, id)
	if op == OpReopen || op == OpReopenByMessage || op == OpRestore {
		s.opened(id)
	}
	return Step{Thread: id, Do: do}, do != nil
}

func (s *Script) planOpen() Step {
	inboxes := s.server.Inboxes()
	opening := Opening{Channel: []string{channelEmail, channelChat, channelMessenger}[pickChannel(s.rng)]}
	if len(inboxes) > 0 {
		opening.Inbox = inboxes[pickInbox(s.rng, len(inboxes))].ID
	}
	return Step{Do: func() error {
		id := s.server.Open(opening)
		s.touched[id] = s.now
		s.opened(id)
		return nil
	}}
}

// action binds an operation to a thread, with all that is left to chance drawn.
func (s *Script) action(op Op, id thread.ID) func() error {
	server := s.server
	switch op {
	case OpReceive, OpReopenByMessage:
		return func() error { return server.Receive(id) }
	case OpReply:
		replier := s.replier(id)
		return func() error { return server.Reply(id, replier) }
	case OpAssign, OpReassign:
		agent := s.otherAgent(id)
		return func() error { return server.Assign(id, agent) }
	case OpUnassign:
		return func() error { return server.Unassign(id) }
	case OpClose:
		return func() error { return server.Close(id) }
	case OpReopen:
		return func() error { return server.Reopen(id) }
	case OpSpam, OpUnspam:
		return func() error { return server.Spam(id, op == OpSpam) }
	case OpMove:
		inbox := s.otherInbox(id)
		return func() error { return server.MoveInbox(id, inbox) }
	case OpArchive:
		return func() error { return server.Archive(id) }
	case OpRestore:
		return func() error { return server.Restore(id) }
	case OpPurge:
		return func() error { return server.Purge(id) }
	case OpTicket:
		ticket := thread.ID(firstTicket + s.rng.Uint64N(1<<32)).String()
		return func() error { return server.SetTicket(id, ticket) }
	}
	return nil
}

func (s *Script) agent() thread.Actor { return s.agents[s.rng.IntN(len(s.agents))] }

// replier is the thread's assignee, or any agent.
func (s *Script) replier(id thread.ID) thread.Actor {
	if t, _ := s.server.Thread(id); t.AssignedTo.Kind() == thread.ActorAgent {
		return t.AssignedTo
	}
	return s.agent()
}

// otherAgent is an agent who is not the thread's assignee; a lone agent may be.
func (s *Script) otherAgent(id thread.ID) thread.Actor {
	t, _ := s.server.Thread(id)
	agent := s.agent()
	for len(s.agents) > 1 && agent == t.AssignedTo {
		agent = s.agent()
	}
	return agent
}

// otherInbox is an inbox that the thread is not in; a lone inbox may be.
func (s *Script) otherInbox(id thread.ID) string {
	t, _ := s.server.Thread(id)
	inboxes := s.server.Inboxes()
	inbox := inboxes[s.rng.IntN(len(inboxes))].ID
	for len(inboxes) > 1 && inbox == t.Inbox {
		inbox = inboxes[s.rng.IntN(len(inboxes))].ID
	}
	return inbox
}

// opened makes a thread a candidate for what happens to open threads.
func (s *Script) opened(id thread.ID) {
	if _, ok := s.isOpen[id]; !ok {
		s.isOpen[id] = struct{}{}
		s.open = append(s.open, id)
	}
}

// pick draws a thread that the operation fits and that was left alone long enough.
func (s *Script) pick(op Op) (thread.ID, bool) {
	for range mostTries {
		t, ok := s.draw(op)
		if ok && s.fits(op, t) && s.free(t.ID) {
			return t.ID, true
		}
	}
	return 0, false
}

// draw draws any open thread for what happens to open ones, else any thread.
func (s *Script) draw(op Op) (Thread, bool) {
	switch op {
	case OpReopen, OpReopenByMessage, OpUnspam, OpArchive, OpRestore, OpPurge:
		return s.drawAny()
	}
	if len(s.open) == 0 {
		return Thread{}, false
	}
	at := s.rng.IntN(len(s.open))
	t, _ := s.server.Thread(s.open[at])
	if t.Status == StatusOpen && !t.Archived && !t.Purged {
		return t, true
	}
	last := len(s.open) - 1
	delete(s.isOpen, s.open[at])
	s.open[at] = s.open[last]
	s.open = s.open[:last]
	return Thread{}, false
}

// drawAny draws from all threads, three times in four from the young ones.
func (s *Script) drawAny() (Thread, bool) {
	n := s.server.Len()
	if n == 0 {
		return Thread{}, false
	}
	back := s.rng.IntN(n)
	if s.rng.IntN(4) > 0 {
		back = min(n-1, int(s.rng.ExpFloat64()*float64(n)/20))
	}
	return s.server.at(n - 1 - back), true
}

// fits says whether the operation changes the thread, and is one that people do.
func (s *Script) fits(op Op, t Thread) bool {
	listed := !t.Archived && !t.Purged
	switch op {
	case OpAssign:
		return t.AssignedTo == ""
	case OpReassign:
		return t.AssignedTo != "" && len(s.agents) > 1
	case OpUnassign:
		return t.AssignedTo != ""
	case OpMove:
		return len(s.server.Inboxes()) > 1
	case OpTicket:
		return t.Ticket == ""
	case OpSpam:
		return !t.Spam
	case OpUnspam:
		return listed && t.Spam
	case OpReopen, OpReopenByMessage:
		return listed && t.Status == StatusClosed && !t.Spam
	case OpArchive:
		return listed && t.Status == StatusClosed
	case OpRestore, OpPurge:
		return t.Archived && !t.Purged
	}
	return true
}

// free says whether the thread was left alone for the spacing.
func (s *Script) free(id thread.ID) bool {
	at, ok := s.touched[id]
	return !ok || s.now-at >= s.cfg.Spacing
}

// forget drops what no longer matters for the spacing.
func (s *Script) forget() {
	if len(s.touched) < mostTouched {
		return
	}
	maps.DeleteFunc(s.touched, func(_ thread.ID, at time.Duration) bool {
		return s.now-at >= s.cfg.Spacing
	})
}
