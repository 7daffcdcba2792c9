package publish

import (
	"errors"
	"fmt"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// stage is how far a session has come.
type stage uint8

const (
	asking   stage = iota // for a producer id and epoch
	granted               // and to be recorded
	fencing               // other producer ids, on every partition
	saving                // id and epoch, before their first use
	barring               // one record of the new epoch on every partition
	scanning              // what the log holds beyond what is acknowledged
	settling              // all of it at once
	running               // publishing
)

var stageNames = [...]string{
	asking: "asking for a producer id", granted: "asking for a producer id", fencing: "fencing earlier producers",
	saving: "saving the producer id", barring: "writing the barrier", scanning: "scanning the topics",
	settling: "settling what was found", running: "running",
}

// Machine decides what is asked of Kafka, and keeps the promises: it has no
// goroutine, clock or network of its own, and is not safe for concurrent use. Kafka
// is asked through requests; the state is called directly. After an error it is
// dead, and says the same again.
type Machine struct {
	cfg        Config
	ledger     Ledger
	outbox     Outbox
	session    event.Session
	encoder    *event.Encoder
	prefix     []byte // of the keys of this account
	partitions []*partition
	index      map[event.Partition]*partition

	stage     stage
	next      stage              // after fencing
	producer  broker.Producer    // the newest that was given; none before the first
	fences    []int64            // producer ids to fence in this session
	others    map[int64]bool     // producer ids seen on our records
	finding   findings           // of this session's scan
	stopped   error              // the machine is dead
	draining  bool               // no new batches
	reason    string             // why there is no session; empty: nothing is wrong
	init      attempts           // of asking
	sessions  attempts           // of sessions that ended before they published
	asked     uint64             // request for a producer that is out
	first     bool               // this state had never asked before
	unclear   int                // questions for a producer that may have been carried out unseen
	due       []Request          // being collected
	records   []broker.Record    // scratch of pack
	headers   []broker.Header    // the same
	requests  uint64             // ids given
	reads     uint64             // of the outbox, for the causal rule
	inquiries map[uint64]inquiry // requests that are out

	paused    attempts      // after an error of the state that passes
	unsaved   bool          // there are acknowledgements that may not be durable
	flushAt   time.Duration // process time
	flushFail string
}

// New makes a machine for one process: its first request fences all instances before
// it. The session's account must be known and its partitions complete.
func New(cfg Config, ledger Ledger, outbox Outbox) *Machine {
	cfg.complete()
	m := &Machine{
		cfg: cfg, ledger: ledger, outbox: outbox, session: ledger.Session(),
		index: map[event.Partition]*partition{}, producer: broker.NoProducer(), inquiries: map[uint64]inquiry{},
		others: map[int64]bool{},
	}
	m.prefix = event.Key(m.session.Account, "")
	for _, state := range m.session.Partitions {
		p := &partition{
			Partition: state.Partition, position: state.Position,
			limit: limits{records: mostRecords, bytes: cfg.batchBytes(state.Topic)},
		}
		m.partitions = append(m.partitions, p)
		m.index[p.Partition] = p
	}
	m.promise(func(p *partition) time.Time { return p.position.Watermark })
	return m
}

// promise repeats the greatest watermark that was given, as far as is known.
func (m *Machine) promise(given func(*partition) time.Time) {
	var greatest time.Time
	for _, p := range m.partitions {
		if t := given(p); t.After(greatest) {
			greatest = t
		}
	}
	if !greatest.IsZero() {
		m.ledger.Promise(greatest)
	}
}

// Due returns the requests that are to be sent now; the slice is valid until the next
// call. An error ends the machine.
func (m *Machine) Due(now thread.Instant) ([]Request, error) {
	m.due = m.due[:0]
	m.flush(now)
	for m.stopped == nil && now.Mono >= m.paused.at {
		before := m.stage
		if err := m.step(now); err != nil {
			m.failed(now, err)
			break
		}
		if m.paused = (attempts{}); m.stage == before {
			break
		}
	}
	if m.stopped != nil {
		return nil, m.stopped
	}
	return m.due, nil
}

func (m *Machine) step(now thread.Instant) error {
	switch m.stage {
	case asking:
		return m.ask(now)
	case granted:
		return m.grant()
	case fencing:
		return m.fence(now)
	case saving:
		return m.save()
	case barring:
		return m.bar(now)
	case scanning:
		return m.scan(now)
	case settling:
		return m.settle(now)
	default:
		return m.publish(now)
	}
}

// failed stops the machine, unless the error passes by itself.
func (m *Machine) failed(now thread.Instant, err error) {
	if !m.cfg.Transient(err) {
		m.stop(err)
		return
	}
	m.paused.wait(now, shortestPause, longestPause, m.cfg.Random)
	m.paused.reason = err.Error()
}

func (m *Machine) stop(err error) {
	m.stopped = err
	if errors.Is(err, ErrFenced) && m.cfg.Observer.Fenced != nil {
		m.cfg.Observer.Fenced()
	}
}

// Answer takes the answer to a request. An error ends the machine.
func (m *Machine) Answer(now thread.Instant, r Response) error {
	out, ok := m.inquiries[r.ID]
	if !ok || m.stopped != nil {
		return m.stopped
	}
	delete(m.inquiries, r.ID)
	if r.Err != nil && m.cfg.Observer.Retried != nil {
		m.cfg.Observer.Retried(r.Err)
	}
	var err error
	switch out.question {
	case AskProducer:
		err = m.given(now, r)
	case AskAppend:
		err = m.appended(now, out.partition, r)
	case AskRecords:
		err = m.fetched(now, out.partition, r)
	}
	if err != nil {
		m.stop(err)
	}
	return m.stopped
}

// Next is the process time at which Due is to be called again, if nothing happens
// before.
func (m *Machine) Next(now thread.Instant) (at time.Duration, ok bool) {
	consider := func(when time.Duration) {
		if when > now.Mono && (!ok || when < at) {
			at, ok = when, true
		}
	}
	consider(m.paused.at)
	consider(m.init.at)
	consider(m.sessions.at)
	if m.unsaved {
		consider(m.flushAt)
	}
	for _, p := range m.partitions {
		if p.flight != nil && p.flight.asked == 0 {
			consider(p.flight.at)
		}
		consider(p.scan.at)
		consider(p.probe.at)
		if m.stage == running && p.flight == nil && !m.draining {
			consider(p.beat)
		}
	}
	return at, ok
}

// Wake says that the outbox may hold more.
func (m *Machine) Wake() {
	for _, p := range m.partitions {
		p.more = true
	}
}

// Drain ends the building of batches; those that exist are repeated until answered.
func (m *Machine) Drain() { m.draining = true }

// Drained says that nothing waits, neither in the outbox nor for an answer.
func (m *Machine) Drained() (bool, error) {
	if m.stage != running || m.stopped != nil {
		return false, m.stopped
	}
	for _, p := range m.partitions {
		if err := m.load(p); err != nil {
			return false, err
		}
		if p.flight != nil || len(p.queue) > 0 {
			return false, nil
		}
	}
	return true, nil
}

// InFlight says whether a batch waits for its answer.
func (m *Machine) InFlight() bool {
	for _, p := range m.partitions {
		if m.stage == running && p.flight != nil {
			return true
		}
	}
	return false
}

// flush makes acknowledgements durable at least each second. A full disk does not
// end the publishing: what runs ahead in memory is found again by the next scan.
func (m *Machine) flush(now thread.Instant) {
	if !m.unsaved || now.Mono < m.flushAt || m.stopped != nil {
		return
	}
	err := m.outbox.Flush()
	switch {
	case err == nil:
		m.unsaved, m.flushFail = false, ""
	case m.cfg.Transient(err):
		m.flushAt, m.flushFail = now.Mono+flushEvery, err.Error()
	default:
		m.stop(fmt.Errorf("save acknowledgements: %w", err))
	}
}

// Flush makes acknowledgements durable now.
func (m *Machine) Flush() error {
	if !m.unsaved {
		return nil
	}
	if err := m.outbox.Flush(); err != nil {
		return fmt.Errorf("save acknowledgements: %w", err)
	}
	m.unsaved = false
	return nil
}

// renew ends the session: the next one finds out what became of the batches in
// flight. It comes at once, unless sessions keep ending before they publish.
func (m *Machine) renew(now thread.Instant, reason string) {
	m.stage, m.reason = asking, reason
	m.fences, m.others, m.finding = nil, map[int64]bool{}, findings{}
	clear(m.inquiries)
	m.asked = 0
	if m.sessions.failed > 0 {
		m.sessions.wait(now, shortestPause, longestPerson, m.cfg.Random)
	}
	m.sessions.failed++
	for _, p := range m.partitions {
		p.reset()
	}
}
