package store

import (
	"fmt"
	"time"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// positionsMayWait is how long positions of unchanged pages may stay unsaved. After a
// crash that much is read again.
const positionsMayWait = time.Second

// Observe takes in a page and the position after it, in one transaction: what
// differs is decoded, weighed, compared, encoded, validated, appended to the outbox
// and saved, or nothing of the page is. A nil state leaves the lane's position as it
// is. On an error the page must be given again.
//
// Invariants G1, G4, G5: this is the only place that saves a snapshot, and it does so
// together with the events that lead to it.
func (s *Store) Observe(page thread.Page, state *thread.LaneState) (thread.Outcome, error) {
	s.observing.Lock()
	defer s.observing.Unlock()
	if s.encoder == nil {
		return thread.Outcome{}, fmt.Errorf("observe a page: the state is bound to no account yet")
	}
	if s.wall.anchor(page.Arrived, s.cfg.ListsMayLag) {
		s.count(func(stats *Stats) { stats.ClockSet++ })
	}
	s.evidence.age(page.Arrived.Mono, &s.threads)
	o := &observation{
		store: s, page: page, moment: s.evidence.moment(page.Sent.Mono, page.Arrived.Mono),
		result: thread.Outcome{Threads: len(page.Items)}, first: s.firstCycle(page, state), seen: map[thread.ID]bool{},
	}
	differing := o.differing()
	if len(differing) == 0 && page.Cycle == (thread.Instant{}) && !s.positionsDue(page.Arrived.Mono) {
		s.advance(page, state)
		return o.result, nil
	}
	err := s.commit(func(tx *transaction) error {
		if state != nil {
			tx.lanes = append(tx.lanes, laneMove{laneKey{page.Lane, page.Chain}, *state})
		}
		if err := o.take(tx, differing); err != nil {
			return err
		}
		return o.unlisted(tx)
	})
	if err != nil {
		return thread.Outcome{}, fmt.Errorf("observe a page of %s: %w", page.Lane, err)
	}
	return o.result, nil
}

// observation is one page on its way into the state.
type observation struct {
	store  *Store
	page   thread.Page
	moment moment
	first  thread.LaneState // of the first full cycle, if it still runs
	seen   map[thread.ID]bool
	buffer []event.Record
	result thread.Outcome
}

// differing are the items whose bytes are not those that were decoded last. The
// others confirm what is known.
func (o *observation) differing() []thread.Item {
	var differing []thread.Item
	for _, item := range o.page.Items {
		known := o.store.threads.find(item.ID)
		if known == nil || known.hash != item.Hash || item.Hash == 0 {
			differing = append(differing, item)
			continue
		}
		if o.moment.arrived >= known.sent {
			known.confirm(o.moment)
		}
	}
	return differing
}

// take weighs and saves what differs, within the transaction.
func (o *observation) take(tx *transaction, differing []thread.Item) error {
	o.result.Differing = len(differing)
	for _, item := range differing {
		if o.seen[item.ID] { // twice on the page, and not the same
			o.reread(item.ID)
			continue
		}
		o.seen[item.ID] = true
		if err := o.thread(tx, item); err != nil {
			return err
		}
	}
	return nil
}

// thread weighs one reading that differs, and saves it if it counts.
func (o *observation) thread(tx *transaction, item thread.Item) error {
	s := o.store
	known, before, err := loadThread(tx, item.ID)
	if err != nil {
		return err
	}
	if !before.Known() && s.threads.find(item.ID) != nil { // Invariant G9
		return corrupt("thread", item.ID.String(), errLost)
	}
	facts, err := s.cfg.Decode(item.Raw)
	if err != nil {
		o.problem(item.ID, err)
		return o.doubted(tx, item.ID, known, before)
	}
	if !o.place(&facts) && !before.Known() {
		return nil
	}
	change := thread.Diff(before, facts, s.cfg.Kinds)
	switch o.weigh(item.ID, known, before, change) {
	case stale:
		s.count(func(stats *Stats) { stats.Stale++ })
		return nil
	case overlaps:
		o.reread(item.ID)
		return o.doubted(tx, item.ID, known, before)
	}
	return o.save(tx, item, known, before, change)
}

// doubted keeps with the thread when it was last read as it is remembered. The lanes'
// cycles go on meanwhile, so that after a restart their bound would be too late for
// it: the reading in doubt may already have shown the new value.
func (o *observation) doubted(tx *transaction, id thread.ID, known threadRecord, before thread.Snapshot) error {
	if !before.Known() || !known.oldSince.IsZero() {
		return nil
	}
	known.oldSince = o.lastRead(id, known, before)
	key := threadKey(id)
	return tx.Bucket(bucketThreads).Put(key, seal(key, known.append(nil)))
}

// unlisted notes, at the end of a whole cycle, when each thread that it did not show was
// last read: archived threads, spam, threads in other inboxes. The cycles' bound does not
// speak of them.
func (o *observation) unlisted(tx *transaction) error {
	if o.page.Cycle == (thread.Instant{}) {
		return nil
	}
	s := o.store
	began := s.evidence.moment(o.page.Cycle.Mono, o.page.Cycle.Mono).sent
	var missing []thread.ID
	s.threads.each(func(known *slot) {
		if known.sent < began && !o.seen[known.id] {
			missing = append(missing, known.id)
		}
	})
	for _, id := range missing {
		known, before, err := loadThread(tx, id)
		if err != nil {
			return err
		}
		if s.fullChain(before.Inbox) != (laneKey{thread.LaneFull, o.page.Chain}) {
			continue
		}
		if err := o.doubted(tx, id, known, before); err != nil {
			return err
		}
	}
	return nil
}

// place marks a thread of an inbox that is not among the configured ones.
func (o *observation) place(facts *thread.Facts) (inside bool) {
	inboxes := o.store.inboxes
	if len(inboxes) == 0 || facts.Inbox == "" || inboxes[facts.Inbox] {
		return true
	}
	facts.Presence = thread.PresenceOutOfInboxes
	return false
}

// weigh applies the order of evidence. A reading that makes no revision and comes
// late is ignored; one that makes a revision and is in doubt is asked again.
func (o *observation) weigh(id thread.ID, known threadRecord, before thread.Snapshot, change thread.Change) verdict {
	switch verdict := o.store.threads.find(id).judge(o.moment); {
	case verdict == overlaps && change.Kinds == 0:
		return stale
	case verdict == overrides && before.Known() && change.Kinds != 0 && !o.page.Direct() && o.mayLag(known.changedAt):
		return overlaps
	default:
		return verdict
	}
}

// mayLag says whether a list asked now may still show a thread as it was before its
// last change. A change in the future counts as recent, and so does every change
// while the wall clock has just been set.
func (o *observation) mayLag(changedAt time.Time) bool {
	s := o.store
	sent := o.page.Sent.Mono
	return sent < s.wall.suspect || s.wall.at(sent).Sub(changedAt) < s.cfg.ListsMayLag
}

// save appends the events of a change and saves the snapshot after it.
func (o *observation) save(tx *transaction, item thread.Item, known threadRecord, before thread.Snapshot, change thread.Change) error {
	s := o.store
	window := o.window(item.ID, known, before, change.Facts)
	if s.cfg.Silent && window.Initial && !before.Known() {
		change.Kinds = 0
	}
	after := thread.Apply(before, item.ID, change, window)
	records, err := s.encoder.Revision(o.buffer[:0], before, after, change, window)
	if err != nil {
		o.problem(item.ID, err)
		return o.doubted(tx, item.ID, known, before)
	}
	o.buffer = records
	next := known
	next.hash, next.oldSince = item.Hash, time.Time{}
	if after.Presence == thread.PresenceOutOfInboxes {
		next.hash = 0 // the bytes do not tell which inboxes are configured
	}
	if change.Kinds != 0 || !before.Known() {
		next.changedAt = s.wall.at(o.page.Sent.Mono)
	}
	if change.Kinds != 0 {
		if next.observation, next.touched, err = o.append(tx, known, records, window.ObservedAt); err != nil {
			return err
		}
		o.result.Revisions++
		o.result.Events += len(records)
	}
	if next.snapshot, err = s.encoder.AppendSnapshot(nil, after); err != nil {
		return err
	}
	key := threadKey(item.ID)
	moment := o.moment
	if !before.Known() {
		tx.totals.Threads++
	}
	tx.after(func() {
		s.threads.put(slot{id: item.ID, hash: next.hash, sent: moment.sent, arrived: moment.arrived})
	})
	return tx.Bucket(bucketThreads).Put(key, seal(key, next.append(nil)))
}

// append adds the events of one revision to the outbox and returns the observation's
// number and the partitions that they went to.
func (o *observation) append(tx *transaction, known threadRecord, records []event.Record, observedAt time.Time) (uint64, []place, error) {
	s := o.store
	tx.totals.Observation = s.totals.Observation + 1
	var touched []place
	for _, record := range records {
		at, err := s.placeOf(record)
		if err != nil {
			return 0, nil, err
		}
		entry := entryRecord{
			observation: tx.totals.Observation, previous: known.observation, touched: known.touched, observedAt: observedAt,
			eventID: record.EventID, key: record.Key, value: record.Value,
		}
		if err := o.enqueue(tx, at, entry); err != nil {
			return 0, nil, err
		}
		if !containsPlace(touched, at) {
			touched = append(touched, at)
		}
	}
	return tx.totals.Observation, touched, nil
}

// enqueue gives an entry the partition's next number.
func (o *observation) enqueue(tx *transaction, at place, entry entryRecord) error {
	s := o.store
	key := entryKey(at, s.partitions[at].Next+tx.appended[at])
	tx.appended[at]++
	return tx.Bucket(bucketOutbox).Put(key, seal(key, entry.append(nil)))
}

func containsPlace(places []place, at place) bool {
	for _, p := range places {
		if p == at {
			return true
		}
	}
	return false
}

// placeOf is the partition that a record belongs to.
func (s *Store) placeOf(record event.Record) (place, error) {
	name := s.cfg.Topics[record.Kind]
	topic, ok := s.topics[name]
	if !ok {
		return place{}, fmt.Errorf("place event %s: the partitions of topic %q are not known yet", record.EventID, name)
	}
	return place{topic.Number, event.PartitionOf(record.Key, topic.Partitions)}, nil
}

// window bounds when the change took place, and says who saw it.
func (o *observation) window(id thread.ID, known threadRecord, before thread.Snapshot, facts thread.Facts) thread.Window {
	s := o.store
	end := s.wall.at(o.page.Arrived.Mono)
	w := thread.Window{End: end, ObservedAt: end, Lane: o.page.Lane, Initial: o.initial(facts)}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Invariant G6: neither below a watermark that was given, nor below one that may
	// be given while this page is on its way, which its sending bounds.
	for _, least := range []time.Time{s.promised, o.page.Sent.Wall} {
		if w.ObservedAt.Before(least) {
			w.ObservedAt = least
		}
	}
	if !before.Known() {
		return w
	}
	w.Initial, w.Start = false, o.lastReadLocked(id, known, before)
	return w
}

// lastRead is when the last request was sent that is known to have shown the thread
// as it is remembered.
func (o *observation) lastRead(id thread.ID, known threadRecord, before thread.Snapshot) time.Time {
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	return o.lastReadLocked(id, known, before)
}

func (o *observation) lastReadLocked(id thread.ID, known threadRecord, before thread.Snapshot) time.Time {
	s := o.store
	if at := s.threads.find(id); at != nil && at.sent != 0 {
		return s.wall.at(s.evidence.mono(at.sent))
	}
	if !known.oldSince.IsZero() {
		return known.oldSince
	}
	bound := s.lanes[s.fullChain(before.Inbox)].Bound()
	if bound.Before(known.changedAt) {
		return known.changedAt
	}
	return bound
}

// initial says whether the first full cycle is still on its way and the thread is
// older than it.
func (o *observation) initial(facts thread.Facts) bool {
	if o.first.Cycles > 0 {
		return false
	}
	return o.first.CycleStart.IsZero() || facts.CreatedAt.IsZero() || !facts.CreatedAt.After(o.first.CycleStart)
}

// firstCycle is the state of the full lane before this page, with the start that the
// page may just have given it.
func (s *Store) firstCycle(page thread.Page, state *thread.LaneState) thread.LaneState {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.lanes[s.fullChain(page.Chain)]
	if first.CycleStart.IsZero() && page.Lane == thread.LaneFull && state != nil {
		first.CycleStart = state.CycleStart
	}
	return first
}

// fullChain is the chain of the full lane that reads an inbox's threads.
func (s *Store) fullChain(inbox string) laneKey {
	if len(s.inboxes) == 0 {
		return laneKey{thread.LaneFull, ""}
	}
	return laneKey{thread.LaneFull, inbox}
}

func (o *observation) reread(id thread.ID) {
	o.result.Reread = append(o.result.Reread, id)
	o.store.count(func(stats *Stats) { stats.Rereads++ })
}

func (o *observation) problem(id thread.ID, err error) {
	o.result.Problems = append(o.result.Problems, thread.Problem{ID: id, Err: err})
	o.store.count(func(stats *Stats) { stats.NotUnderstood++ })
}

func (s *Store) count(change func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

// advance moves a lane's position in memory; the next commit saves it.
func (s *Store) advance(page thread.Page, state *thread.LaneState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == nil {
		return
	}
	key := laneKey{page.Lane, page.Chain}
	s.lanes[key] = *state
	s.dirtyLanes[key] = true
	if s.dirtySince == 0 {
		s.dirtySince = page.Arrived.Mono
	}
}

func (s *Store) positionsDue(now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirtySince != 0 && now-s.dirtySince >= positionsMayWait
}

func loadThread(tx *transaction, id thread.ID) (threadRecord, thread.Snapshot, error) {
	key := threadKey(id)
	sealed := tx.Bucket(bucketThreads).Get(key)
	if sealed == nil {
		return threadRecord{}, thread.Snapshot{}, nil
	}
	value, err := open(key, sealed)
	if err != nil {
		return threadRecord{}, thread.Snapshot{}, corrupt("thread", id.String(), err)
	}
	record, err := readThread(value)
	if err != nil {
		return record, thread.Snapshot{}, corrupt("thread", id.String(), err)
	}
	snapshot, err := event.ParseSnapshot(record.snapshot)
	if err != nil || snapshot.ID != id {
		return record, snapshot, corrupt("thread", id.String(), err)
	}
	return record, snapshot, nil
}
