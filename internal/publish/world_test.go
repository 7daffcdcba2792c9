package publish

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// planted is a bug that the model must catch. None is in the product: each is put
// between the machine and what it talks to.
type planted int

const (
	noBug planted = iota
	noBarrier
	noScan
	ackBeforePublish
	newSequence
	noCausalRule
	recoverFromNothing
	noHorizon
	noPromise
	countTwice
)

var errLost = errors.New("connection reset")

// world is one schedule: threads that change, one state and its machines, a log, and
// a network between them that loses, repeats and delays.
type world struct {
	random    *rand.Rand
	history   *history
	bug       planted
	log       *simLog
	actors    []*actor // the last one is the one that should live
	wire      []message
	now       thread.Instant
	skew      time.Duration
	highest   time.Time // of the wall clock so far
	pages     []page
	taken     [simThreads]int // revisions observed
	observed  map[string]time.Time
	instances int
	forks     bool
	quiet     bool // no more faults
	extra     map[sender]int32
	rounds    int
	rough     int           // faults in a thousand, relative
	beat      time.Duration // between heartbeats
	clockSet  bool          // the wall clock was set at least once
	raised    bool          // an event was observed later than it arrived, for a promise
	count     tally
	refuse    func(Request) error // stands in for random faults, if set
	point     func()              // called before each step; may panic as a crash
}

// tally is what a schedule went through, so that a test can see that it was worth it.
type tally struct {
	crashes, forks, fenced, sessions, renewed, reconciled, published, heartbeats, renamed, slept int
}

func (t *tally) add(o tally) {
	t.crashes += o.crashes
	t.forks += o.forks
	t.fenced += o.fenced
	t.sessions += o.sessions
	t.renewed += o.renewed
	t.reconciled += o.reconciled
	t.published += o.published
	t.heartbeats += o.heartbeats
	t.renamed += o.renamed
	t.slept += o.slept
}

type sender struct {
	at       event.Partition
	producer broker.Producer
}

type actor struct {
	machine  *Machine
	state    *simState
	answers  []Response
	stopped  error
	sessions int
}

// message is a request on its way; without an actor nobody waits for its answer.
type message struct {
	actor   *actor
	request Request
}

// page is what was read and not yet observed.
type page struct {
	arrived time.Time
	threads []int
}

func newWorld(seed uint64, h *history, bug planted) *world {
	w := &world{
		random: rand.New(rand.NewPCG(seed, 3)), history: h, bug: bug, log: newSimLog(simPartitions()),
		now: thread.Instant{Wall: noon, Mono: time.Second}, highest: noon,
		observed: map[string]time.Time{}, forks: seed%4 == 0, extra: map[sender]int32{}, point: func() {},
	}
	w.rough = []int{100, 300, 1000}[w.random.IntN(3)]
	w.beat = time.Duration(1+w.random.IntN(4000)) * time.Millisecond
	w.log.weakBarrier = bug == noBarrier
	w.start(newSimState(simPartitions()))
	return w
}

func (w *world) primary() *actor { return w.actors[len(w.actors)-1] }

// start starts a process on a state.
func (w *world) start(state *simState) {
	w.instances++
	a := &actor{state: state}
	cfg := Config{
		TransactionalID: "threadcast." + account, Cluster: "cluster-1",
		Instance:       Instance{ID: fmt.Sprintf("instance-%d", w.instances), Host: "host", StartedAt: w.now.Wall},
		HeartbeatEvery: w.beat,
		Observer: Observer{
			Published:   func(_ thread.Kind, n int, _ time.Duration) { w.count.published += n },
			Established: func(p broker.Producer, n int) { w.established(a, p, n) },
			Fenced:      func() { w.count.fenced++ },
			Watermark:   func(event.Partition, time.Time) { w.count.heartbeats++ },
		},
		Random:    rand.New(rand.NewPCG(w.random.Uint64(), 4)),
		Horizon:   func() time.Time { return w.horizon(a) },
		Transient: func(err error) bool { return errors.Is(err, errFull) },
		Encoder:   w.history.encoder,
	}
	var outbox Outbox = state
	var ledger Ledger = state
	switch w.bug {
	case noPromise:
		ledger = careless{state}
	case noCausalRule:
		outbox = forgetful{state}
	case countTwice:
		outbox = eager{state}
	}
	a.machine = New(cfg, ledger, outbox)
	w.actors = append(w.actors, a)
}

func (w *world) established(a *actor, p broker.Producer, reconciled int) {
	w.count.sessions++
	w.count.reconciled += reconciled
	if a.sessions++; a.sessions > 1 {
		w.count.renewed++
	}
	if p.ID > 100 && p.Epoch == 0 {
		w.count.renamed++
	}
}

func (w *world) horizon(a *actor) time.Time {
	var oldest time.Time
	if a != w.primary() || w.bug == noHorizon {
		return oldest
	}
	for _, p := range w.pages {
		if oldest.IsZero() || p.arrived.Before(oldest) {
			oldest = p.arrived
		}
	}
	return oldest
}

// run makes n random moves.
func (w *world) run(n int) error {
	for range n {
		if err := w.move(); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) move() error {
	a := w.primary()
	if len(w.actors) > 1 && w.random.IntN(2) == 0 {
		a = w.actors[w.random.IntN(len(w.actors))]
	}
	switch roll := w.random.IntN(1000); {
	case roll < 250:
		return w.due(a)
	case roll < 600:
		w.deliver()
	case roll < 820:
		return w.answer(a)
	case roll < 900:
		w.observe()
	case roll < 980:
		w.pass(a)
	case roll < 985:
		w.faultOfState(a)
	case roll < 987 && !w.forks:
		w.log.forgotten = true
	case roll < 995 && !w.forks && w.instances < 8:
		w.crash()
	case w.forks && w.instances < 4:
		w.fork()
	}
	return nil
}

func (w *world) due(a *actor) error {
	w.point()
	if a.stopped != nil {
		return nil
	}
	requests, err := a.machine.Due(w.now)
	for _, r := range requests {
		r.Bytes = slices.Clone(r.Bytes)
		w.plant(a, &r)
		w.wire = append(w.wire, message{a, r})
	}
	return w.ended(a, err)
}

// ended takes note of a machine that stopped: only one that was replaced may.
func (w *world) ended(a *actor, err error) error {
	a.stopped = err
	if err != nil && (a == w.primary() || !errors.Is(err, ErrFenced)) {
		return fmt.Errorf("machine %d of %d stopped: %w", slices.Index(w.actors, a)+1, len(w.actors), err)
	}
	return nil
}

func (w *world) answer(a *actor) error {
	w.point()
	if len(a.answers) == 0 || a.stopped != nil {
		return nil
	}
	i := w.random.IntN(len(a.answers))
	r := a.answers[i]
	a.answers = slices.Delete(a.answers, i, i+1)
	return w.ended(a, a.machine.Answer(w.now, r))
}

// observe lets a page arrive, or takes one that has arrived into the state, in any
// order.
func (w *world) observe() {
	if w.random.IntN(2) == 0 || len(w.pages) == 0 {
		p := page{arrived: w.now.Wall}
		for range 1 + w.random.IntN(3) {
			if id := w.random.IntN(simThreads); !slices.Contains(p.threads, id) {
				p.threads = append(p.threads, id)
			}
		}
		w.pages = append(w.pages, p)
		return
	}
	w.commit(w.random.IntN(len(w.pages)))
}

func (w *world) commit(i int) {
	a := w.primary()
	if len(w.actors) > 1 && a.machine.stage != running {
		return // with another one alive, a watermark may still be found
	}
	p := w.pages[i]
	w.pages = slices.Delete(w.pages, i, i+1)
	var revisions []simRevision
	for _, id := range p.threads {
		if n := w.taken[id]; n < len(w.history.revisions[id]) {
			revisions = append(revisions, w.history.revisions[id][n])
			w.taken[id]++
		}
	}
	if len(revisions) == 0 {
		return
	}
	a.state.observe(p.arrived, revisions)
	at := p.arrived
	if at.Before(a.state.promised) {
		at, w.raised = a.state.promised, true
	}
	for _, r := range revisions {
		for _, e := range r.events {
			w.observed[e.id] = at
		}
	}
	a.machine.Wake()
}

// pass lets time go by: usually until something is due, sometimes long. The wall
// clock may be set while a process runs.
func (w *world) pass(a *actor) {
	step := time.Duration(w.random.IntN(50)) * time.Millisecond
	if at, ok := a.machine.Next(w.now); ok && w.random.IntN(2) == 0 {
		step = at - w.now.Mono
	}
	if !w.quiet && w.random.IntN(40) == 0 {
		step += time.Duration(w.random.IntN(90)) * time.Minute
		w.count.slept++
	}
	// Not while a process starts: what the one before has promised is known after the scan.
	if !w.quiet && w.random.IntN(30) == 0 && len(w.actors) == 1 && a.machine.stage == running {
		w.skew += time.Duration(w.random.IntN(20)-10) * time.Minute
		w.clockSet = true
	}
	w.elapse(step)
}

func (w *world) elapse(step time.Duration) {
	w.now.Mono += step
	w.now.Wall = noon.Add(w.now.Mono + w.skew)
	if w.now.Wall.After(w.highest) {
		w.highest = w.now.Wall
	}
}

func (w *world) faultOfState(a *actor) {
	full := w.random.IntN(2) == 0 && !w.quiet
	a.state.point = func(name string) error {
		if full && (name == "flush" || name == "save session") {
			return errFull
		}
		return nil
	}
}

// crash kills the process and starts another. What it had sent may still arrive; a
// question for a producer may not, as that would replace its successor.
func (w *world) crash() {
	w.count.crashes++
	dead := w.primary()
	w.actors = w.actors[:len(w.actors)-1]
	w.strand(dead)
	w.pages = nil
	w.skew += w.highest.Sub(w.now.Wall) // a restart does not set the clock back
	w.elapse(time.Duration(w.random.IntN(2000)) * time.Millisecond)
	w.start(dead.state.crash())
}

func (w *world) strand(dead *actor) {
	kept := w.wire[:0]
	for _, m := range w.wire {
		if m.actor == dead {
			if m.request.Question != AskAppend || w.random.IntN(3) == 0 {
				continue
			}
			m.actor = nil
		}
		kept = append(kept, m)
	}
	w.wire = kept
}

// fork starts a second process on a copy of the state, while the first goes on
// without reading: stopped for a while, or cut off.
func (w *world) fork() {
	old := w.primary()
	if old.state.session.Fresh || old.machine.producer.ID < 0 || old.stopped != nil {
		return
	}
	w.count.forks++
	w.pages = nil
	w.skew += w.highest.Sub(w.now.Wall)
	w.elapse(0)
	w.start(old.state.crash())
}

// deliver carries out one request, in any order, with all that can go wrong.
func (w *world) deliver() {
	w.point()
	if len(w.wire) == 0 {
		return
	}
	i := w.random.IntN(len(w.wire))
	m := w.wire[i]
	w.wire = slices.Delete(w.wire, i, i+1)
	if m.actor == nil {
		w.carry(m.request)
		return
	}
	r := Response{Err: w.fault(m)}
	if r.Err == nil {
		r = w.carry(m.request)
	}
	r.ID = m.request.ID
	m.actor.answers = append(m.actor.answers, r)
}

// fault draws what goes wrong; nil: nothing does.
func (w *world) fault(m message) error {
	if w.refuse != nil {
		return w.refuse(m.request)
	}
	if w.quiet || w.random.IntN(1000) >= w.rough {
		return nil
	}
	appending := m.request.Question == AskAppend
	switch roll := w.random.IntN(100); {
	case roll < 15:
		return errLost
	case roll < 35: // the answer is lost
		w.carry(m.request)
		return errLost
	case roll < 50: // so is the request, from the sender's view, but it arrives later
		if appending {
			w.wire = append(w.wire, message{nil, m.request})
		}
		return errLost
	case roll < 55 && appending: // it arrives twice
		w.wire = append(w.wire, message{nil, m.request})
		return nil
	case roll < 65:
		return pick(w.random, broker.NotLeader, broker.NotEnoughReplicas, broker.LeaderNotAvailable, broker.CoordinatorLoading)
	case roll < 75 && appending:
		w.carry(m.request)
		return pick(w.random, broker.RequestTimedOut, broker.NotEnoughReplicasAfterAppend)
	case roll < 90 && appending:
		return pick(w.random, broker.OutOfOrderSequence, broker.UnknownProducerID, broker.DuplicateSequence)
	case roll < 95 && appending:
		return pick(w.random, broker.MessageTooLarge, broker.InvalidTimestamp, broker.TopicAuthorizationFailed)
	}
	return nil
}

func pick(r *rand.Rand, codes ...broker.Code) error { return codes[r.IntN(len(codes))] }

func (w *world) carry(q Request) (r Response) {
	switch q.Question {
	case AskProducer:
		r.Producer, r.Err = w.log.initProducer(q.Current)
	case AskAppend:
		r.Offset, r.Err = w.log.append(q.Partition, q.Bytes)
	case AskRecords:
		r.Fetched, r.Err = w.log.fetch(q.Partition, q.Offset)
		if w.bug == noScan {
			r.Fetched.Records = slices.DeleteFunc(slices.Clone(r.Fetched.Records), func(r broker.FetchedRecord) bool { return !isHeartbeat(r) })
		}
	}
	return r
}

// plant puts a bug into a request.
func (w *world) plant(a *actor, r *Request) {
	switch {
	case w.bug == recoverFromNothing && r.Question == AskProducer:
		r.Current = broker.NoProducer()
	case w.bug == ackBeforePublish && r.Question == AskAppend:
		for _, p := range a.machine.partitions {
			if p.Partition == r.Partition && p.flight != nil {
				for i := range p.flight.entries {
					a.state.partitions[r.Partition].saved[p.queue[i].Number] = true
				}
			}
		}
	case w.bug == newSequence && r.Question == AskAppend:
		b := parseBatch(r.Bytes)
		from := sender{r.Partition, b.producer}
		if r.Repeated && b.producer.Epoch != lastEpoch {
			w.extra[from] += int32(len(b.records))
		}
		binary.BigEndian.PutUint32(r.Bytes[53:], uint32(b.first+w.extra[from]))
	}
}

// forgetful hides what an entry must wait for.
type forgetful struct{ *simState }

func (f forgetful) Pending(p event.Partition, after uint64, limit int) ([]event.Entry, error) {
	entries, err := f.simState.Pending(p, after, limit)
	for i := range entries {
		entries[i].PreviousObservation = 0
	}
	return entries, err
}

// eager acknowledges all entries before those that are acknowledged.
type eager struct{ *simState }

func (e eager) Acknowledge(ack event.Ack) error {
	ack.Position.Events++
	return e.simState.Acknowledge(ack)
}

// careless does not keep promises.
type careless struct{ *simState }

func (careless) Promise(time.Time) {}
