package publish

import (
	"math"
	"strconv"
	"strings"

	"github.com/threadcast/threadcast/internal/event"
)

// mayLeave says whether the thread's revision before the entry's is acknowledged on
// all its topics: so after any crash only a thread's newest revision can be
// incomplete in the log. The oldest entry of an outbox may always leave, as no
// partition waits for anything older. Invariant G2.
func (m *Machine) mayLeave(p *partition, e *event.Entry) (bool, error) {
	if e.PreviousObservation == 0 {
		return true, nil
	}
	for _, at := range e.PreviousPartitions {
		q := m.index[at]
		if q == nil {
			continue // a topic that is no longer written to, and has drained
		}
		first, err := m.firstWaiting(q, p.readAt)
		if err != nil || first <= e.PreviousObservation {
			return false, err
		}
	}
	return true, nil
}

// firstWaiting is the observation of the first entry of a partition that is not
// acknowledged. Reading is what makes it true: an outbox that was found empty before
// the dependent entry was read may have got its predecessor since.
func (m *Machine) firstWaiting(q *partition, since uint64) (uint64, error) {
	if len(q.queue) == 0 && q.readAt < since {
		q.more = true
	}
	if len(q.queue) == 0 {
		if err := m.load(q); err != nil {
			return 0, err
		}
	}
	if len(q.queue) == 0 {
		return math.MaxUint64, nil
	}
	return q.queue[0].Observation, nil
}

// belongs says whether an event id is of this account and generation.
func (m *Machine) belongs(e *event.Entry) bool {
	rest, ok := strings.CutPrefix(e.EventID, m.session.Account)
	if !ok || rest == "" || rest[0] != '.' {
		return false
	}
	generation, _, ok := strings.Cut(rest[1:], ".")
	if !ok {
		return false
	}
	n, err := strconv.ParseUint(generation, 10, 32)
	return err == nil && uint32(n) == m.session.Generation
}
