package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

// identity says whose state this is.
type identity struct {
	Format     int       `json:"format"`
	Account    string    `json:"account,omitempty"`
	Label      string    `json:"label"`
	StateID    string    `json:"state_id"`
	Fresh      bool      `json:"fresh"`
	Asked      bool      `json:"asked"`
	New        bool      `json:"new"`
	Lost       string    `json:"lost,omitempty"`
	Generation uint32    `json:"generation"`
	Cluster    string    `json:"cluster,omitempty"`
	ProducerID int64     `json:"producer_id"`
	Epoch      int16     `json:"epoch"`
	CreatedAt  time.Time `json:"created_at"`
}

// openTimeout is how long bbolt may wait for its own lock; ours is held already.
const openTimeout = time.Second

func (s *Store) open() error {
	var calls map[string][]byte
	if s.cfg.Discard {
		calls = callsOf(s.Path())
		if err := s.setAside(); err != nil {
			return err
		}
	}
	if _, err := os.Stat(s.Path()); errors.Is(err, os.ErrNotExist) {
		if err := s.create(calls); err != nil {
			return fmt.Errorf("create: %w", err)
		}
	}
	if err := checkMeta(s.Path()); err != nil {
		return err
	}
	db, err := openFile(s.Path())
	if err != nil {
		return err
	}
	s.db = db
	if err := s.load(); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

func openFile(path string) (db *bbolt.DB, err error) {
	err = guarded(func() error {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: openTimeout, FreelistType: bbolt.FreelistMapType})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrLocked
	case errors.Is(err, os.ErrPermission):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return db, nil
}

// setAside keeps a discarded state beside the new one.
func (s *Store) setAside() error {
	kept := fmt.Sprintf("%s.discarded-%d", s.Path(), time.Now().UnixMilli())
	if err := os.Rename(s.Path(), kept); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("set the discarded state aside: %w", err)
	}
	return nil
}

// callsOf are the calls of each day that a state has counted. They were made, whatever
// becomes of the state; one that cannot be read tells none.
func callsOf(path string) map[string][]byte {
	calls := map[string][]byte{}
	if checkMeta(path) != nil {
		return calls
	}
	db, err := openFile(path)
	if err != nil {
		return calls
	}
	defer db.Close()
	_ = guarded(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketQuota).ForEach(func(day, sealed []byte) error {
				if _, err := open(day, sealed); err == nil {
					calls[string(day)] = slices.Clone(sealed)
				}
				return nil
			})
		})
	})
	return calls
}

// create writes a whole file beside and gives it its name, so that a crash never
// leaves half a state.
func (s *Store) create(calls map[string][]byte) error {
	part := s.Path() + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := openFile(part)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		if err := initialise(tx, s.cfg); err != nil {
			return err
		}
		for day, sealed := range calls {
			if err := tx.Bucket(bucketQuota).Put([]byte(day), sealed); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, s.Path()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.Path()))
}

func initialise(tx *bbolt.Tx, cfg Config) error {
	for _, name := range buckets() {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	if err := putTotals(tx, totals{}); err != nil {
		return err
	}
	return putIdentity(tx, identity{
		Format: Format, Label: cfg.Label, StateID: rand.Text(), Fresh: true, New: cfg.Discard,
		Generation: 1, ProducerID: -1, Epoch: -1, CreatedAt: time.Now().UTC(),
	})
}

func putIdentity(tx *bbolt.Tx, id identity) error {
	sealed, err := sealJSON(keyIdentity, id)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketIdentity).Put(keyIdentity, sealed)
}

func putTotals(tx *bbolt.Tx, t totals) error {
	sealed, err := sealJSON(keyTotals, t)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketIdentity).Put(keyTotals, sealed)
}

func (s *Store) saveTotals(tx *transaction) error {
	totals := tx.totals
	tx.after(func() { s.totals = totals })
	return putTotals(tx.Tx, totals)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// load fills memory from the file, checking every value that it reads.
func (s *Store) load() error {
	return s.view(func(tx *bbolt.Tx) error {
		for _, name := range buckets() {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("bucket %s is missing: %w", name, ErrCorrupt)
			}
		}
		for _, part := range []func(*bbolt.Tx) error{
			s.loadIdentity, s.loadTopics, s.loadPartitions, s.loadLanes, s.loadQuota, s.loadThreads, s.countOutbox,
		} {
			if err := part(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) view(read func(tx *bbolt.Tx) error) error {
	return guarded(func() error { return s.db.View(read) })
}

func (s *Store) loadIdentity(tx *bbolt.Tx) (err error) {
	b := tx.Bucket(bucketIdentity)
	if err := openJSON(keyIdentity, b.Get(keyIdentity), &s.identity); err != nil {
		return corrupt("identity", "", err)
	}
	if s.identity.Format > Format {
		return fmt.Errorf("format %d, this version knows %d: %w", s.identity.Format, Format, ErrNewer)
	}
	if err := openJSON(keyTotals, b.Get(keyTotals), &s.totals); err != nil {
		return corrupt("totals", "", err)
	}
	if s.identity.Account == "" {
		return nil
	}
	s.encoder, err = event.NewEncoder(s.identity.Account, s.identity.Generation)
	return err
}

// loadQuota only checks: the values are read when calls are reserved, and one that is
// damaged must not stop the reading unnoticed then.
func (s *Store) loadQuota(tx *bbolt.Tx) error {
	return tx.Bucket(bucketQuota).ForEach(func(day, sealed []byte) error {
		if value, err := open(day, sealed); err != nil || len(value) != 8 {
			return corrupt("calls of", string(day), errChecksum)
		}
		return nil
	})
}

func (s *Store) loadThreads(tx *bbolt.Tx) error {
	err := tx.Bucket(bucketThreads).ForEach(func(key, sealed []byte) error {
		value, err := open(key, sealed)
		if err != nil || len(key) != 8 || len(value) < threadHeader {
			return corrupt("thread", fmt.Sprintf("%x", key), errors.Join(err, errShort))
		}
		s.threads.put(slot{id: thread.ID(binary.BigEndian.Uint64(key)), hash: binary.BigEndian.Uint64(value)})
		return nil
	})
	if err == nil && uint64(s.threads.count) != s.totals.Threads {
		return fmt.Errorf("%d threads, %d were written: %w", s.threads.count, s.totals.Threads, ErrCorrupt)
	}
	return err
}

// Account is the account that the state belongs to, empty if none was bound yet.
func (s *Store) Account() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity.Account
}

// Bind compares HubSpot's account id with the state's, and gives a new state its
// account. It comes before the first Observe.
func (s *Store) Bind(account string) error {
	return s.write(func(tx *transaction) error {
		switch s.identity.Account {
		case account:
			return nil
		case "":
		default:
			return fmt.Errorf("state of account %s, token of account %s: %w", s.identity.Account, account, ErrForeign)
		}
		id := s.identity
		id.Account = account
		return s.saveIdentity(tx, id)
	})
}

// Session is the identity as the publisher needs it.
func (s *Store) Session() event.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.identity
	session := event.Session{
		Account: id.Account, StateID: id.StateID, Generation: id.Generation, Fresh: id.Fresh, Asked: id.Asked, New: id.New,
		Lost: id.Lost, Cluster: id.Cluster, ProducerID: id.ProducerID, Epoch: id.Epoch,
	}
	for at, p := range s.partitions {
		if p.pending == 0 && !s.current(s.names[at.topic]) {
			continue // of a topic that was renamed, and has drained
		}
		session.Partitions = append(session.Partitions, event.PartitionState{
			Partition: event.Partition{Topic: s.names[at.topic], Number: at.partition}, Position: p.position(), Next: p.Next,
		})
	}
	sortPartitions(session.Partitions)
	return session
}

// current says whether a topic is one that events still go to.
func (s *Store) current(topic string) bool {
	for kind := range s.cfg.Kinds.All() {
		if s.cfg.Topics[kind] == topic {
			return true
		}
	}
	return false
}

// SaveSession makes the producer and the state of the first scan durable. Partitions
// are not taken from it.
func (s *Store) SaveSession(session event.Session) error {
	return s.write(func(tx *transaction) error {
		id := s.identity
		id.Generation, id.Fresh, id.Asked, id.New, id.Lost = session.Generation, session.Fresh, session.Asked, session.New, session.Lost
		id.Cluster, id.ProducerID, id.Epoch = session.Cluster, session.ProducerID, session.Epoch
		return s.saveIdentity(tx, id)
	})
}

// saveIdentity makes an identity the state's own. The encoder, which compiles the
// contract's rules, is made anew only for another account or generation.
func (s *Store) saveIdentity(tx *transaction, id identity) error {
	encoder := s.encoder
	if encoder == nil || id.Account != s.identity.Account || id.Generation != s.identity.Generation {
		var err error
		if encoder, err = event.NewEncoder(id.Account, id.Generation); err != nil {
			return err
		}
	}
	tx.after(func() { s.identity, s.encoder = id, encoder })
	return putIdentity(tx.Tx, id)
}
