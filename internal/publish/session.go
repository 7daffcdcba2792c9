package publish

import (
	"fmt"
	"slices"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// lastEpoch is above every epoch that a coordinator gives: a record with it fences
// all of its producer id in the partition, as the broker compares with what the
// partition has seen and nothing else.
const lastEpoch = 32767

// ask asks for a producer: without a current one only in the first session of the
// process, as that fences whoever holds the transactional id. Later ones name the
// current producer, so that an instance which was replaced cannot fence its
// successor.
func (m *Machine) ask(now thread.Instant) error {
	if m.asked != 0 || now.Mono < max(m.init.at, m.sessions.at) {
		return nil
	}
	if err := m.mayAsk(); err != nil {
		return err
	}
	m.asked = m.request(Request{Question: AskProducer, Current: m.producer}, nil)
	return nil
}

// mayAsk checks whose state this is, and records that a producer was asked for
// before that is done. Invariant G9.
func (m *Machine) mayAsk() error {
	s := &m.session
	switch {
	case s.Lost != "":
		return lost(s.Lost)
	case s.Cluster != "" && s.Cluster != m.cfg.Cluster:
		return &Stop{Code: codeState, Err: ErrForeignCluster, Reason: fmt.Sprintf(
			"its events are on cluster %q, the brokers that are configured belong to %q. Point kafka.brokers at the first one. "+
				"For a new cluster start anew with `threadcast run --new LABEL`", s.Cluster, m.cfg.Cluster)}
	}
	if m.encoder == nil {
		if err := m.encode(s.Generation); err != nil {
			return err
		}
	}
	if s.Fresh && !s.Asked {
		asked := *s
		asked.Asked = true
		if err := m.ledger.SaveSession(asked); err != nil {
			return fmt.Errorf("save that a producer is asked for: %w", err)
		}
		m.session, m.first = asked, true
	}
	return nil
}

func (m *Machine) encode(generation uint32) (err error) {
	if m.cfg.Encoder != nil {
		m.encoder, err = m.cfg.Encoder(generation)
	} else {
		m.encoder, err = event.NewEncoder(m.session.Account, generation)
	}
	return err
}

// given takes the coordinator's answer.
func (m *Machine) given(now thread.Instant, r Response) error {
	m.asked = 0
	v := judge(r.Err)
	switch v {
	case done:
		m.init = attempts{}
		m.producer, m.stage = r.Producer, granted
		return nil
	case replaced:
		return m.fenced("the coordinator")
	case slowly:
	default:
		v = again // whatever it is, only asking again helps
	}
	if code, _ := broker.CodeOf(r.Err); v != slowly && code != int(broker.CoordinatorLoading) {
		m.unclear++ // a coordinator also gives up on a change that it later finds in its log
	}
	m.init.later(now, v, r.Err, m.cfg.Random)
	return nil
}

func (m *Machine) fenced(by string) *Stop {
	return &Stop{Code: codeFenced, Err: ErrFenced, Reason: fmt.Sprintf(
		"%s refused producer %d, epoch %d, of account %s (this instance, host %q, started %s), as a newer one exists. %s.",
		by, m.producer.ID, m.producer.Epoch, m.session.Account, m.cfg.Instance.Host, stamp(m.cfg.Instance.StartedAt), oneOnly)}
}

// grant looks at what was given before anything is written with it.
func (m *Machine) grant() error {
	s := &m.session
	if m.first && s.Fresh && !s.New && int(m.producer.Epoch) > m.unclear {
		return m.lose(fmt.Sprintf("This state is new and has never asked for a producer, yet Kafka has given %q epoch %d already",
			m.cfg.TransactionalID, m.producer.Epoch))
	}
	m.first = false
	m.stage = saving
	if s.ProducerID >= 0 && s.ProducerID != m.producer.ID {
		// The old id is fenced before it is forgotten.
		m.fences = []int64{s.ProducerID}
		m.stage, m.next = fencing, saving
	}
	return nil
}

// lose records that the state is not the one that belongs to the topics, so that it
// stays so after a restart.
func (m *Machine) lose(evidence string) error {
	session := m.session
	session.Lost = evidence
	if err := m.ledger.SaveSession(session); err != nil {
		return fmt.Errorf("save that the state is lost: %w", err)
	}
	return lost(evidence)
}

// fence writes one record under each producer id that must not write any more.
func (m *Machine) fence(now thread.Instant) error {
	complete := true
	for _, p := range m.partitions {
		if p.fenced == len(m.fences) {
			continue
		}
		complete = false
		if p.flight == nil {
			old := broker.Producer{ID: m.fences[p.fenced], Epoch: lastEpoch}
			if err := m.mark(now, p, fenceRecord, old); err != nil {
				return err
			}
		}
		if m.send(now, p) == stale {
			m.renew(now, fmt.Sprintf("fencing %s/%d went unanswered for %s", p.Topic, p.Number, unanswered))
			return nil
		}
	}
	if complete {
		m.stage = m.next
	}
	return nil
}

// save makes the producer durable before its first use.
func (m *Machine) save() error {
	session := m.session
	session.Cluster, session.ProducerID, session.Epoch = m.cfg.Cluster, m.producer.ID, m.producer.Epoch
	if err := m.ledger.SaveSession(session); err != nil {
		return fmt.Errorf("save producer %d, epoch %d: %w", m.producer.ID, m.producer.Epoch, err)
	}
	m.session, m.stage = session, barring
	return nil
}

// bar writes the barrier. After its acknowledgement the broker refuses every older
// epoch in that partition; before, it would still take their late batches.
func (m *Machine) bar(now thread.Instant) error {
	complete := true
	for _, p := range m.partitions {
		if p.barred {
			continue
		}
		complete = false
		if p.flight == nil {
			p.sequence = 0
			if err := m.mark(now, p, barrierRecord, m.producer); err != nil {
				return err
			}
		}
		if m.send(now, p) == stale {
			m.renew(now, fmt.Sprintf("the barrier of %s/%d went unanswered for %s", p.Topic, p.Number, unanswered))
			return nil
		}
	}
	if complete {
		m.stage = scanning
	}
	return nil
}

// mark builds the flight of a barrier, under the own producer or another one.
func (m *Machine) mark(now thread.Instant, p *partition, what purpose, as broker.Producer) error {
	h := m.heartbeat(now, p)
	h.ProducerID, h.Epoch, h.Sequence, h.Barrier = as.ID, as.Epoch, 0, true
	record, err := m.encoder.Heartbeat(h)
	if err != nil {
		return err
	}
	f := &flight{purpose: what, producer: as, record: record}
	p.flight = f
	return m.pack(now, p, f)
}

// strangers are the producer ids on our records that are neither ours nor fenced.
func (m *Machine) strangers() []int64 {
	var ids []int64
	for id := range m.others {
		if id >= 0 && id != m.producer.ID && !slices.Contains(m.fences, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
