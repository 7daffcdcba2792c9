package store_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/threadcast/threadcast/internal/store"
	"github.com/threadcast/threadcast/internal/thread"
)

// filled is a closed state with threads and events.
func filled(t *testing.T) store.Config {
	t.Helper()
	cfg := config(t.TempDir())
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	var items []thread.Item
	for i := range thread.ID(200) {
		items = append(items, item(i+1, raw{Status: "OPEN", Assigned: "A-1"}))
	}
	observe(t, s, page(thread.LaneFull, 0, 1, items...))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestSecondProcessIsKeptOff(t *testing.T) {
	cfg := config(t.TempDir())
	open(t, cfg)
	_, err := store.Open(cfg)
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "process ") {
		t.Fatalf("second open: %v, want ErrLocked naming the process", err)
	}
}

func TestForeignAccountIsRefused(t *testing.T) {
	s := open(t, config(t.TempDir()))
	if err := s.Bind("815"); !errors.Is(err, store.ErrForeign) {
		t.Fatalf("bind to another account: %v, want ErrForeign", err)
	}
	if err := s.Bind("4711"); err != nil {
		t.Fatalf("bind to its own account: %v", err)
	}
}

func TestAnotherPartitionCountIsRefused(t *testing.T) {
	s := open(t, config(t.TempDir()))
	if err := s.SetTopics(counts(4)); !errors.Is(err, store.ErrPartitions) {
		t.Fatalf("4 partitions after 3: %v, want ErrPartitions", err)
	}
}

// alter changes the file's content directly.
func alter(t *testing.T, cfg store.Config, change func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(cfg.Dir, "acme.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(change), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// flip changes one bit of the first value of a bucket.
func flip(bucket string) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		key, value := b.Cursor().First()
		damaged := append([]byte(nil), value...)
		damaged[len(damaged)/2] ^= 0x10
		return b.Put(append([]byte(nil), key...), damaged)
	}
}

func TestOneFlippedBitIsFound(t *testing.T) {
	for _, bucket := range []string{"identity", "threads", "topics", "partitions"} {
		cfg := filled(t)
		alter(t, cfg, flip(bucket))
		if s, err := store.Open(cfg); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("a bit of %s flipped: open says %v, want ErrCorrupt", bucket, err)
			if err == nil {
				_ = s.Close()
			}
		}
	}
	cfg := filled(t)
	alter(t, cfg, flip("outbox"))
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(); err == nil {
		t.Error("a bit of the outbox flipped: check finds nothing")
	}
	for _, p := range s.Session().Partitions {
		if _, err = s.Pending(p.Partition, 0, 1000); err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("reading the damaged entry: %v, want ErrCorrupt", err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	cfg := filled(t)
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	store.SetFormat(t, s, store.Format+1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(cfg); !errors.Is(err, store.ErrNewer) {
		t.Fatalf("open: %v, want ErrNewer", err)
	}
}

// Whatever is cut off, zeroed or flipped anywhere in the file: it opens with all that
// was in it, or says that it is corrupt. It never opens with something else.
func TestDamageAnywhereIsFoundOrHarmless(t *testing.T) {
	cfg := filled(t)
	whole, err := os.ReadFile(filepath.Join(cfg.Dir, "acme.db"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 9))
		damaged := append([]byte(nil), whole...)
		at := r.IntN(len(damaged))
		switch seed % 3 {
		case 0:
			damaged = damaged[:at]
		case 1:
			clear(damaged[at:min(at+4096, len(damaged))])
		case 2:
			damaged[at] ^= 1 << r.IntN(8)
		}
		cfg.Dir = t.TempDir() // bbolt keeps its lock on a file that it could not open
		if err := os.WriteFile(filepath.Join(cfg.Dir, "acme.db"), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if corrupt(t, seed, cfg) {
			found++
		}
	}
	t.Logf("%d of 150 damages hit something", found)
	if found == 0 {
		t.Error("no damage was found")
	}
}

func corrupt(t *testing.T, seed uint64, cfg store.Config) bool {
	t.Helper()
	s, err := store.Open(cfg)
	if err != nil {
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("seed %d: open: %v, want ErrCorrupt", seed, err)
		}
		return true
	}
	defer s.Close()
	if err := s.Check(); err != nil {
		return true
	}
	if got := len(pending(t, s)); got != 600 || s.Stats().Threads != 200 {
		t.Errorf("seed %d: opened and checked with %d threads and %d events, want 200 and 600", seed, s.Stats().Threads, got)
	}
	return false
}

func TestDiscardedStateIsKeptAside(t *testing.T) {
	cfg := filled(t)
	cfg.Discard = true
	s := open(t, cfg)
	if session := s.Session(); !session.New || !session.Fresh {
		t.Errorf("after --new: %+v", session)
	}
	if s.Stats().Threads != 0 {
		t.Errorf("%d threads, want none", s.Stats().Threads)
	}
	kept, err := filepath.Glob(filepath.Join(cfg.Dir, "acme.db.discarded-*"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept aside: %v, %v", kept, err)
	}
}

func TestHalfMadeStateIsMadeAnew(t *testing.T) {
	cfg := config(t.TempDir())
	if err := os.WriteFile(filepath.Join(cfg.Dir, "acme.db.part"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
}
