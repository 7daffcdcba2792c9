package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// maxProblems bounds how many problems a check lists.
const maxProblems = 100

// Check proves the file's invariants and returns the problems found, nil if none.
// It reads everything: half a second for a hundred thousand threads.
func (s *Store) Check() error {
	s.observing.Lock()
	defer s.observing.Unlock()
	c := &checker{store: s, newest: map[thread.ID]checkedThread{}}
	err := s.view(func(tx *bbolt.Tx) error {
		c.threads(tx)
		c.partitions()
		c.outbox(tx)
		c.rest(tx)
		c.memory()
		return nil
	})
	if err == nil && len(c.problems) == 0 {
		// Only now: it follows the pages in a goroutine of its own, in which a fault
		// would end the process.
		err = s.view(c.pages)
	}
	return errors.Join(err, errors.Join(c.problems...))
}

// checker gathers what is wrong with a file.
type checker struct {
	store    *Store
	newest   map[thread.ID]checkedThread
	threadsN int
	problems []error
}

// checkedThread is what the outbox is compared with.
type checkedThread struct {
	revision, observation uint64
}

func (c *checker) problem(format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, fmt.Errorf(format, args...))
	}
}

func (c *checker) threads(tx *bbolt.Tx) {
	cursor := tx.Bucket(bucketThreads).Cursor()
	for key, sealed := cursor.First(); key != nil; key, sealed = cursor.Next() {
		c.threadsN++
		value, err := open(key, sealed)
		if err != nil {
			c.problem("thread %x: %w", key, err)
			continue
		}
		record, err := readThread(value)
		if err != nil {
			c.problem("thread %x: %w", key, err)
			continue
		}
		snapshot, err := event.ParseSnapshot(record.snapshot)
		if err != nil {
			c.problem("thread %x: %w", key, err)
			continue
		}
		c.thread(thread.ID(binary.BigEndian.Uint64(key)), record, snapshot)
	}
}

func (c *checker) thread(id thread.ID, record threadRecord, snapshot thread.Snapshot) {
	if snapshot.ID != id {
		c.problem("thread %d: holds the snapshot of thread %d", id, snapshot.ID)
	}
	if record.observation > c.store.totals.Observation {
		c.problem("thread %d: observation %d is beyond the last, %d", id, record.observation, c.store.totals.Observation)
	}
	if (snapshot.Revision == 0) != (record.observation == 0) {
		c.problem("thread %d: revision %d with observation %d", id, snapshot.Revision, record.observation)
	}
	if (snapshot.Revision == 0) != (len(record.touched) == 0) {
		c.problem("thread %d: revision %d went to %d partitions", id, snapshot.Revision, len(record.touched))
	}
	var newest uint64
	for kind, p := range snapshot.Positions {
		if p.Sequence > p.Revision || p.Revision > snapshot.Revision {
			c.problem("thread %d: %v is at %+v in revision %d", id, thread.Kind(kind), p, snapshot.Revision)
		}
		newest = max(newest, p.Revision)
	}
	if newest != snapshot.Revision {
		c.problem("thread %d: revision %d has no event, the newest is of %d", id, snapshot.Revision, newest)
	}
	for _, at := range record.touched {
		if c.store.partitions[at] == nil {
			c.problem("thread %d: went to an unknown partition %+v", id, at)
		}
	}
	if slot := c.store.threads.find(id); slot == nil || slot.hash != record.hash {
		c.problem("thread %d: memory does not hold its hash", id)
	}
	c.newest[id] = checkedThread{snapshot.Revision, record.observation}
}

func (c *checker) partitions() {
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, p := range s.partitions {
		name, ok := s.names[at.topic]
		if !ok || at.partition < 0 || at.partition >= s.topics[name].Partitions {
			c.problem("partition %+v: of no known topic", at)
		}
		if p.Entry >= p.Next || p.Offset < -1 || p.Events > uint64(p.Offset+1) {
			c.problem("partition %s/%d: entry %d of %d, offset %d, %d events", name, at.partition, p.Entry, p.Next, p.Offset, p.Events)
		}
	}
}

func (c *checker) outbox(tx *bbolt.Tx) {
	last := map[place]uint64{} // observation of the last entry
	cursor := tx.Bucket(bucketOutbox).Cursor()
	for key, sealed := cursor.First(); key != nil; key, sealed = cursor.Next() {
		value, err := open(key, sealed)
		if err != nil {
			c.problem("outbox entry %x: %w", key, err)
			continue
		}
		record, err := readEntry(value)
		if err != nil {
			c.problem("outbox entry %x: %w", key, err)
			continue
		}
		at := readPlace(key)
		if record.observation < last[at] {
			c.problem("outbox entry %x: observation %d after %d", key, record.observation, last[at])
		}
		last[at] = record.observation
		c.entry(at, binary.BigEndian.Uint64(key[placeSize:]), record)
	}
}

func (c *checker) entry(at place, number uint64, record entryRecord) {
	s := c.store
	name := fmt.Sprintf("entry %d of %s/%d (event %s)", number, s.names[at.topic], at.partition, record.eventID)
	p := s.partitions[at]
	if p == nil || number == 0 || number >= p.Next {
		c.problem("%s: was never numbered", name)
		return
	}
	if record.previous >= record.observation || record.observation > s.totals.Observation {
		c.problem("%s: observation %d after %d, the last is %d", name, record.observation, record.previous, s.totals.Observation)
	}
	m, err := event.Decode(record.value)
	if err != nil {
		c.problem("%s: %w", name, err)
		return
	}
	if m.EventId != record.eventID || m.AccountId != s.identity.Account || m.Generation != s.identity.Generation {
		c.problem("%s: holds event %s of account %s, generation %d", name, m.EventId, m.AccountId, m.Generation)
	}
	if want := event.PartitionOf(record.key, s.topics[s.names[at.topic]].Partitions); want != at.partition {
		c.problem("%s: its key belongs to partition %d", name, want)
	}
	id, err := thread.ParseID(m.ThreadId)
	if err != nil {
		c.problem("%s: thread id %q: %w", name, m.ThreadId, err)
		return
	}
	newest := c.newest[id]
	if m.Revision > newest.revision || record.observation > newest.observation ||
		(m.Revision == newest.revision) != (record.observation == newest.observation) {
		c.problem("%s: revision %d in observation %d, the thread is at %d in %d", name, m.Revision, record.observation,
			newest.revision, newest.observation)
	}
}

// rest reads the values that have no further invariants.
func (c *checker) rest(tx *bbolt.Tx) {
	for _, bucket := range [][]byte{bucketIdentity, bucketTopics, bucketPartitions, bucketLanes, bucketQuota} {
		cursor := tx.Bucket(bucket).Cursor()
		for key, sealed := cursor.First(); key != nil; key, sealed = cursor.Next() {
			if _, err := open(key, sealed); err != nil {
				c.problem("%s %x: %w", bucket, key, err)
			}
		}
	}
	for _, bucket := range buckets() {
		c.lookUp(tx.Bucket(bucket), bucket)
	}
}

// lookUp finds every key the way a reader does: through the branch pages, whose keys
// no checksum covers.
func (c *checker) lookUp(b *bbolt.Bucket, name []byte) {
	cursor := b.Cursor()
	for key, _ := cursor.First(); key != nil; key, _ = cursor.Next() {
		if b.Get(key) == nil {
			c.problem("%s %x: is there, but cannot be found", name, key)
		}
	}
}

func (c *checker) pages(tx *bbolt.Tx) error {
	for problem := range tx.Check() {
		c.problem("file: %w", problem)
	}
	return nil
}

func (c *checker) memory() {
	if c.store.threads.count != c.threadsN {
		c.problem("memory holds %d threads, the file %d", c.store.threads.count, c.threadsN)
	}
	last := thread.ID(0)
	c.store.threads.each(func(s *slot) {
		if s.id <= last {
			c.problem("memory: thread %d after %d", s.id, last)
		}
		last = s.id
	})
}
