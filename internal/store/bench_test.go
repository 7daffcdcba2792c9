package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/store"
	"github.com/threadcast/threadcast/internal/thread"
)

const pageSize = 500

// facts decodes nothing, so that what is measured is the store's own work.
func facts([]byte) (thread.Facts, error) {
	return thread.Facts{
		Status: thread.StatusOpen, StatusText: "OPEN", CreatedAt: epoch, AssignedTo: "A-2620022", Inbox: "147357665", Channel: "1002",
		ChannelAccount: "27038957", Contact: "15", Presence: thread.PresenceListed, LatestMessage: epoch,
	}, nil
}

func pageOf(first thread.ID, hash uint64, number int) thread.Page {
	items := make([]thread.Item, pageSize)
	for i := range items {
		items[i] = thread.Item{ID: first + thread.ID(i), Hash: hash}
	}
	return page(thread.LaneFull, time.Duration(number)*time.Second, time.Duration(number)*time.Second+time.Millisecond, items...)
}

func openForBenchmark(b *testing.B) *store.Store {
	b.Helper()
	cfg := config(b.TempDir())
	cfg.Decode = facts
	s, err := store.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	ready(b, s)
	return s
}

// BenchmarkObserveNew takes in pages of 500 threads never seen: three events each,
// encoded, validated, appended and durable.
func BenchmarkObserveNew(b *testing.B) {
	s := openForBenchmark(b)
	id, n := thread.ID(1), 0
	for b.Loop() {
		n++
		if _, err := s.Observe(pageOf(id, 1, n), nil); err != nil {
			b.Fatal(err)
		}
		id += pageSize
	}
	perThread := float64(b.Elapsed().Nanoseconds()) / float64(b.N*pageSize)
	b.ReportMetric(perThread, "ns/thread")
	b.ReportMetric(3e9/perThread, "events/s")
}

// BenchmarkObserveUnchanged takes in pages of 500 threads that are as they were.
func BenchmarkObserveUnchanged(b *testing.B) {
	for _, threads := range []int{10_000, 200_000} {
		b.Run(fmt.Sprintf("of%d", threads), func(b *testing.B) {
			cfg := config(b.TempDir())
			cfg.Decode, cfg.Silent = facts, true
			s, err := store.Open(cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			ready(b, s)
			for id := 1; id < threads; id += pageSize {
				if _, err := s.Observe(pageOf(thread.ID(id), 1, 1), nil); err != nil {
					b.Fatal(err)
				}
			}
			id, n := 1, 10
			b.ResetTimer()
			for b.Loop() {
				n++
				if _, err := s.Observe(pageOf(thread.ID(id), 1, n), nil); err != nil {
					b.Fatal(err)
				}
				if id += pageSize; id >= threads {
					id = 1
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pageSize), "ns/thread")
		})
	}
}

// BenchmarkOpen loads a state of 200,000 threads.
func BenchmarkOpen(b *testing.B) {
	cfg := config(b.TempDir())
	cfg.Decode, cfg.Silent = facts, true
	s, err := store.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ready(b, s)
	for id := 1; id < 200_000; id += pageSize {
		if _, err := s.Observe(pageOf(thread.ID(id), 1, 1), nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := store.Open(cfg)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200_000, "ns/thread")
}
