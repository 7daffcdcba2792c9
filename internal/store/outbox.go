package store

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// topicRecord is the value of a topic.
type topicRecord struct {
	Number     uint16 `json:"number"`
	Partitions int32  `json:"partitions"`
}

func (s *Store) loadTopics(tx *bbolt.Tx) error {
	return tx.Bucket(bucketTopics).ForEach(func(key, sealed []byte) error {
		var topic topicRecord
		if err := openJSON(key, sealed, &topic); err != nil {
			return corrupt("topic", string(key), err)
		}
		s.topics[string(key)], s.names[topic.Number] = topic, string(key)
		return nil
	})
}

func (s *Store) loadPartitions(tx *bbolt.Tx) error {
	return tx.Bucket(bucketPartitions).ForEach(func(key, sealed []byte) error {
		p := &partition{acked: map[uint64]bool{}}
		if err := openJSON(key, sealed, &p.partitionRecord); err != nil || len(key) != placeSize {
			return corrupt("partition", fmt.Sprintf("%x", key), err)
		}
		s.partitions[readPlace(key)] = p
		if p.Watermark.After(s.promised) { // Invariant G6
			s.promised = p.Watermark
		}
		return nil
	})
}

func (s *Store) countOutbox(tx *bbolt.Tx) error {
	cursor := tx.Bucket(bucketOutbox).Cursor()
	for key, _ := cursor.First(); key != nil; key, _ = cursor.Next() {
		if len(key) != placeSize+8 || s.partitions[readPlace(key)] == nil {
			return corrupt("outbox entry", fmt.Sprintf("%x", key), errShort)
		}
		s.partitions[readPlace(key)].pending++
		s.stats.Outbox++
	}
	if uint64(s.stats.Outbox) != s.totals.Entries {
		return fmt.Errorf("%d outbox entries, %d were written: %w", s.stats.Outbox, s.totals.Entries, ErrCorrupt)
	}
	return nil
}

// SetTopics tells the store the partition counts of the topics that it appends to.
// They are remembered; another count later is ErrPartitions, as events of a thread
// would no longer be in one partition.
func (s *Store) SetTopics(partitions map[string]int32) error {
	return s.write(func(tx *transaction) error {
		for _, name := range slices.Sorted(maps.Keys(partitions)) {
			if err := s.setTopic(tx, name, partitions[name]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) setTopic(tx *transaction, name string, count int32) error {
	if known, ok := s.topics[name]; ok {
		if known.Partitions != count {
			return fmt.Errorf("topic %s has %d partitions, the state remembers %d: %w: events of a thread would go on in another partition, out of order; "+
				"give the kind another topic in kafka.topics, or start anew on purpose with `threadcast run --new LABEL`", name, count, known.Partitions, ErrPartitions)
		}
		return nil
	}
	topic := topicRecord{Number: nextTopic(tx), Partitions: count}
	sealed, err := sealJSON([]byte(name), topic)
	if err != nil {
		return err
	}
	if err := tx.Bucket(bucketTopics).Put([]byte(name), sealed); err != nil {
		return err
	}
	tx.after(func() { s.topics[name], s.names[topic.Number] = topic, name })
	for number := range count {
		at := place{topic.Number, number}
		p := &partition{partitionRecord: partitionRecord{Next: 1, Offset: -1}, acked: map[uint64]bool{}}
		if err := putPartition(tx, at, p.partitionRecord); err != nil {
			return err
		}
		tx.after(func() { s.partitions[at] = p })
	}
	return nil
}

// nextTopic is the number of one more topic; numbers are never given back.
func nextTopic(tx *transaction) uint16 {
	next := uint16(1)
	cursor := tx.Bucket(bucketTopics).Cursor()
	for key, _ := cursor.First(); key != nil; key, _ = cursor.Next() {
		next++
	}
	return next
}

func putPartition(tx *transaction, at place, record partitionRecord) error {
	key := placeKey(at)
	sealed, err := sealJSON(key, record)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketPartitions).Put(key, sealed)
}

// Topics are the partition counts that the state remembers, by topic.
func (s *Store) Topics() map[string]int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int32{}
	for name, topic := range s.topics {
		counts[name] = topic.Partitions
	}
	return counts
}

// Pending returns up to limit entries of a partition that are not acknowledged and
// have a number above after, ascending. One goroutine calls it and Acknowledge.
func (s *Store) Pending(p event.Partition, after uint64, limit int) (entries []event.Entry, err error) {
	w, ok := s.waiting(p)
	if !ok {
		return nil, fmt.Errorf("pending of %s/%d: no such partition in the state", p.Topic, p.Number)
	}
	err = s.view(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketOutbox).Cursor()
		for key, sealed := cursor.Seek(entryKey(w.at, after+1)); w.holds(key) && len(entries) < limit; key, sealed = cursor.Next() {
			if w.acked[entryNumber(key)] {
				continue
			}
			entry, err := s.entry(key, sealed)
			if err != nil {
				return err
			}
			entries = append(entries, entry)
		}
		return nil
	})
	if err == nil && after == 0 && limit > 0 && len(entries) == 0 && w.count > 0 { // Invariant G9
		return nil, corrupt("outbox of", fmt.Sprintf("%s/%d", p.Topic, p.Number), errLost)
	}
	return entries, err
}

// Oldest is when the oldest entry that is not acknowledged was observed; zero if there
// is none.
func (s *Store) Oldest() (oldest time.Time, err error) {
	for _, p := range s.Session().Partitions {
		w, _ := s.waiting(p.Partition)
		err = s.view(func(tx *bbolt.Tx) error {
			cursor := tx.Bucket(bucketOutbox).Cursor()
			key, sealed := cursor.Seek(placeKey(w.at))
			for w.holds(key) && w.acked[entryNumber(key)] {
				key, sealed = cursor.Next()
			}
			if !w.holds(key) {
				return nil
			}
			entry, err := s.entry(key, sealed)
			if err == nil && (oldest.IsZero() || entry.ObservedAt.Before(oldest)) {
				oldest = entry.ObservedAt
			}
			return err
		})
		if err != nil {
			return time.Time{}, err
		}
	}
	return oldest, nil
}

// waiting is what memory knows of a partition's entries. A commit is in the file a
// moment before it is here; what it appended counts from then on only, so that an entry
// is never handed out before it can be acknowledged.
type waiting struct {
	at    place
	next  uint64
	count int
	acked map[uint64]bool
}

func (s *Store) waiting(p event.Partition) (waiting, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := place{s.topics[p.Topic].Number, p.Number}
	state, ok := s.partitions[at]
	if !ok {
		return waiting{}, false
	}
	return waiting{at, state.Next, state.pending, maps.Clone(state.acked)}, true
}

// holds says whether a key of the outbox is one of the partition's.
func (w waiting) holds(key []byte) bool {
	return key != nil && readPlace(key) == w.at && entryNumber(key) < w.next
}

func entryNumber(key []byte) uint64 { return binary.BigEndian.Uint64(key[placeSize:]) }

// entry copies what it returns: the file's pages change after the transaction.
func (s *Store) entry(key, sealed []byte) (event.Entry, error) {
	value, err := open(key, sealed)
	if err != nil {
		return event.Entry{}, corrupt("outbox entry", fmt.Sprintf("%x", key), err)
	}
	record, err := readEntry(slices.Clone(value))
	if err != nil {
		return event.Entry{}, corrupt("outbox entry", fmt.Sprintf("%x", key), err)
	}
	entry := event.Entry{
		Number: entryNumber(key), Observation: record.observation,
		PreviousObservation: record.previous, ObservedAt: record.observedAt, EventID: record.eventID,
		Key: record.key, Value: record.value,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range record.touched {
		entry.PreviousPartitions = append(entry.PreviousPartitions, event.Partition{Topic: s.names[at.topic], Number: at.partition})
	}
	return entry, nil
}

// Acknowledge takes note that entries are on their topic. It holds at once, and is
// durable with the next commit or Flush: a crash before that only means that the
// next session's scan finds them again.
func (s *Store) Acknowledge(ack event.Ack) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.partitions[place{s.topics[ack.Partition.Topic].Number, ack.Partition.Number}]
	if !ok {
		return fmt.Errorf("acknowledge %s/%d: no such partition in the state", ack.Partition.Topic, ack.Partition.Number)
	}
	for _, number := range ack.Entries {
		if number == 0 || number >= p.Next {
			return fmt.Errorf("acknowledge %s/%d: entry %d was never appended", ack.Partition.Topic, ack.Partition.Number, number)
		}
		if !p.acked[number] {
			p.acked[number] = true
			p.pending--
			s.stats.Outbox--
		}
	}
	p.set(ack.Position)
	p.dirty = true
	return nil
}

// savePartitions removes acknowledged entries and saves positions and numbers.
func (s *Store) savePartitions(tx *transaction) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, p := range s.partitions {
		if appended := tx.appended[at]; p.dirty || appended > 0 {
			if err := s.savePartition(tx, at, p, appended); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) savePartition(tx *transaction, at place, p *partition, appended uint64) error {
	numbers := slices.Collect(maps.Keys(p.acked))
	outbox := tx.Bucket(bucketOutbox)
	for _, number := range numbers {
		key := entryKey(at, number)
		if outbox.Get(key) == nil {
			continue
		}
		if err := outbox.Delete(key); err != nil {
			return err
		}
		tx.totals.Entries--
	}
	record := p.partitionRecord
	record.Next += appended
	tx.totals.Entries += appended
	tx.after(func() {
		for _, number := range numbers {
			delete(p.acked, number)
		}
		p.Next = record.Next
		p.pending += int(appended)
		s.stats.Outbox += int(appended)
		p.dirty = len(p.acked) > 0 || p.partitionRecord != record
	})
	return putPartition(tx, at, record)
}

// Promise says that a heartbeat is about to give the watermark t: no event will be
// observed before it.
func (s *Store) Promise(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.After(s.promised) {
		s.promised = t
	}
}

func sortPartitions(partitions []event.PartitionState) {
	slices.SortFunc(partitions, func(a, b event.PartitionState) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Number, b.Number))
	})
}

// laneKey names a chain of a lane.
type laneKey struct {
	lane  thread.Lane
	chain string
}

func (k laneKey) bytes() []byte { return append([]byte{byte(k.lane)}, k.chain...) }

func (s *Store) loadLanes(tx *bbolt.Tx) error {
	return tx.Bucket(bucketLanes).ForEach(func(key, sealed []byte) error {
		value, err := open(key, sealed)
		if err != nil || len(key) == 0 {
			return corrupt("lane", fmt.Sprintf("%x", key), errors.Join(err, errShort))
		}
		var state thread.LaneState
		if err := json.Unmarshal(value, &state); err != nil {
			return corrupt("lane", fmt.Sprintf("%x", key), err)
		}
		s.lanes[laneKey{thread.Lane(key[0]), string(key[1:])}] = state
		return nil
	})
}

// saveLanes saves the positions that have moved.
func (s *Store) saveLanes(tx *transaction) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.dirtyLanes {
		if err := putLane(tx, key, s.lanes[key]); err != nil {
			return err
		}
	}
	for _, move := range tx.lanes {
		if err := putLane(tx, move.key, move.state); err != nil {
			return err
		}
	}
	tx.after(func() {
		clear(s.dirtyLanes)
		s.dirtySince = 0
		for _, move := range tx.lanes {
			s.lanes[move.key] = move.state
		}
	})
	return nil
}

func putLane(tx *transaction, lane laneKey, state thread.LaneState) error {
	key := lane.bytes()
	sealed, err := sealJSON(key, state)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketLanes).Put(key, sealed)
}
