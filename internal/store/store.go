// Package store owns the durable state of one account: the snapshot of every
// thread, the outbox of events that wait for Kafka, how far each lane has read and
// each partition was acknowledged, and the identity that the promises hang on. A
// page of threads is taken in by one transaction that compares, encodes, validates,
// appends and saves; nothing else writes a snapshot. It knows neither HubSpot nor
// Kafka and starts no goroutine.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// What can be wrong with a state. Each message says what to do.
var (
	// ErrLocked: another process works on the state.
	ErrLocked = errors.New("state is in use by another process")
	// ErrCorrupt: the file does not hold what was written.
	ErrCorrupt = errors.New("state is corrupt: restore a backup of it, or start anew with `threadcast run --new LABEL`")
	// ErrForeign: the file belongs to another account.
	ErrForeign = errors.New("state belongs to another account: point state.dir or the account's label at its own state")
	// ErrMissing: there is no state where one must be.
	ErrMissing = errors.New("there is no state")
	// ErrNewer: a newer version has written the file.
	ErrNewer = errors.New("state was written by a newer version of threadcast: run that version")
	// ErrPartitions: a topic has another number of partitions than its events were
	// placed with, which would break the order of threads.
	ErrPartitions = errors.New("topic has another number of partitions than before")
	// ErrNoSpace: the disk is full. Nothing was changed; the same call succeeds once
	// there is space.
	ErrNoSpace = fmt.Errorf("no space left for the state, %w", thread.ErrTemporary)
	// ErrBroken: writing failed in a way after which the file cannot be trusted to
	// hold what was written. The process must not go on with it.
	ErrBroken = errors.New("state cannot be written: check the disk, then start again")
)

// Format is the version of the file's layout.
const Format = 1

// Buckets of the file.
var (
	bucketIdentity   = []byte("identity")
	bucketThreads    = []byte("threads")
	bucketTopics     = []byte("topics")
	bucketOutbox     = []byte("outbox")
	bucketPartitions = []byte("partitions")
	bucketLanes      = []byte("lanes")
	bucketQuota      = []byte("quota")

	keyIdentity = []byte("identity")
	keyTotals   = []byte("totals")
)

func buckets() [][]byte {
	return [][]byte{bucketIdentity, bucketThreads, bucketTopics, bucketOutbox, bucketPartitions, bucketLanes, bucketQuota}
}

// Config is what a store is opened with.
type Config struct {
	Dir, Label string
	// Kinds are the kinds that get events, Topics the topic of each.
	Kinds  thread.KindSet
	Topics map[thread.Kind]string
	// Decode reads a thread's raw JSON.
	Decode func(raw []byte) (thread.Facts, error)
	// Inboxes limits what is tracked; empty: all.
	Inboxes []string
	// Silent keeps what the first full cycle finds without publishing it.
	Silent bool
	// ListsMayLag is how far behind a list may be: a list reading that differs and
	// was sent within this time of a thread's last change is to be asked again.
	ListsMayLag time.Duration
	// Existing refuses to create a state.
	Existing bool
	// Discard sets the present state aside and starts a new generation.
	Discard bool
}

// Store is the open state of one account. Observe is serialised; all methods may be
// called from several goroutines.
type Store struct {
	cfg  Config
	db   *bbolt.DB
	lock *lock

	observing sync.Mutex // guards what only Observe touches
	threads   index
	evidence  evidence
	wall      wall
	encoder   *event.Encoder
	inboxes   map[string]bool

	mu         sync.Mutex // guards what follows
	identity   identity
	totals     totals
	topics     map[string]topicRecord
	names      map[uint16]string
	partitions map[place]*partition
	lanes      map[laneKey]thread.LaneState
	dirtyLanes map[laneKey]bool
	dirtySince time.Duration // process time of the first unsaved position, 0: none
	promised   time.Time
	broken     error
	stats      Stats
}

// totals count what the file holds. A page of the file that is lost as a whole, with
// all the checksums in it, shows in them.
type totals struct {
	Observation uint64 `json:"observation"` // number of the last one
	Threads     uint64 `json:"threads"`
	Entries     uint64 `json:"entries"` // of the outbox
}

// partition is a partition's record, as it will be at the next commit.
type partition struct {
	partitionRecord
	pending int             // entries not acknowledged
	acked   map[uint64]bool // acknowledged, still in the file
	dirty   bool
}

// Stats are figures of a store for metrics.
type Stats struct {
	Threads       int
	Outbox        int // entries not yet acknowledged
	Observations  uint64
	Commits       uint64
	NotUnderstood uint64 // readings of threads that could not be understood
	Stale         uint64 // readings that came too late to count
	Rereads       uint64 // readings that asked for a GET
	ClockSet      uint64 // steps of the wall clock
}

// Open opens the state of an account, and creates it where there is none. It needs
// no network. The errors are those of this package.
func Open(cfg Config) (*Store, error) {
	if cfg.Existing {
		if _, err := os.Stat(filepath.Join(cfg.Dir, cfg.Label+".db")); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMissing, err)
		}
	}
	lock, err := acquire(cfg.Dir, cfg.Label)
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, lock: lock,
		topics: map[string]topicRecord{}, names: map[uint16]string{}, partitions: map[place]*partition{},
		lanes: map[laneKey]thread.LaneState{}, dirtyLanes: map[laneKey]bool{}, inboxes: map[string]bool{},
	}
	for _, inbox := range cfg.Inboxes {
		s.inboxes[inbox] = true
	}
	if err := s.open(); err != nil {
		lock.release()
		return nil, fmt.Errorf("open %s: %w", s.Path(), err)
	}
	return s, nil
}

// Path is the state's file.
func (s *Store) Path() string { return filepath.Join(s.cfg.Dir, s.cfg.Label+".db") }

// Close saves what may be batched and closes the file.
func (s *Store) Close() error {
	err := s.Flush()
	if closing := s.db.Close(); err == nil {
		err = closing
	}
	s.lock.release()
	return err
}

// Flush makes acknowledgements and positions durable.
func (s *Store) Flush() error {
	s.observing.Lock()
	defer s.observing.Unlock()
	s.mu.Lock()
	clean := len(s.dirtyLanes) == 0
	for _, p := range s.partitions {
		clean = clean && !p.dirty
	}
	s.mu.Unlock()
	if clean {
		return nil
	}
	return s.commit(func(*transaction) error { return nil })
}

// Stats are the figures of this moment.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Observations, stats.Threads = s.totals.Observation, int(s.totals.Threads)
	return stats
}

// Lane is how far a chain of a lane has come.
func (s *Store) Lane(lane thread.Lane, chain string) thread.LaneState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lanes[laneKey{lane, chain}]
}

// Reserve adds calls to an account's day and returns the day's total. It is durable
// before it returns, so that no call is made that was not counted.
func (s *Store) Reserve(day string, calls int) (int, error) {
	var total int
	err := s.write(func(tx *transaction) error {
		b := tx.Bucket(bucketQuota)
		key := []byte(day)
		if sealed := b.Get(key); sealed != nil {
			value, err := open(key, sealed)
			if err != nil || len(value) != 8 {
				return corrupt("calls of", day, errChecksum)
			}
			total = int(binary.BigEndian.Uint64(value))
		}
		total += calls
		return b.Put(key, seal(key, binary.BigEndian.AppendUint64(nil, uint64(total))))
	})
	return total, err
}

// transaction is a write transaction, and what memory takes over once it is durable.
type transaction struct {
	*bbolt.Tx
	totals   totals
	appended map[place]uint64 // entries, by partition
	lanes    []laneMove       // positions that go with it
	done     []func()         // run under mu
}

// laneMove is a lane's new position.
type laneMove struct {
	key   laneKey
	state thread.LaneState
}

func (t *transaction) after(apply func()) { t.done = append(t.done, apply) }

// write is commit for those that do not hold the observing lock.
func (s *Store) write(fill func(*transaction) error) error {
	s.observing.Lock()
	defer s.observing.Unlock()
	return s.commit(fill)
}

// commit runs one durable transaction. Whatever is batched goes with it. On an
// error nothing has changed, in the file and in memory.
func (s *Store) commit(fill func(*transaction) error) error {
	s.mu.Lock()
	broken := s.broken
	s.mu.Unlock()
	if broken != nil {
		return broken
	}
	bolt, err := s.db.Begin(true)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	tx := &transaction{Tx: bolt, totals: s.totals, appended: map[place]uint64{}}
	if err := s.fill(tx, fill); err != nil {
		return errors.Join(err, bolt.Rollback())
	}
	if err := bolt.Commit(); err != nil {
		return s.failed(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Commits++
	for _, apply := range tx.done {
		apply()
	}
	return nil
}

func (s *Store) fill(tx *transaction, fill func(*transaction) error) error {
	return guarded(func() error {
		if err := fill(tx); err != nil {
			return err
		}
		if err := s.savePartitions(tx); err != nil {
			return err
		}
		if err := s.saveLanes(tx); err != nil {
			return err
		}
		return s.saveTotals(tx)
	})
}

// failed tells a full disk, which passes, from a disk that lost a write, after
// which nothing in the file is certain: a second fsync would report success.
func (s *Store) failed(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = fmt.Errorf("%w: %w", ErrBroken, err)
	return s.broken
}

// guarded turns the panics and memory faults with which bbolt meets a damaged page
// into an error.
func guarded(run func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, cause)
		}
	}()
	return run()
}
