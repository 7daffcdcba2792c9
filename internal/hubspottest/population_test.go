package hubspottest

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestPopulationLooksLikeAnInbox(t *testing.T) {
	const n = 40_000
	s := New(Config{Clock: fixed})
	s.Populate(Population{Threads: n, Seed: 9, OpenShare: 0.03})
	counts := make(map[string]float64)
	var last Thread
	for _, th := range s.Threads() {
		for name, is := range map[string]bool{
			"open": th.Status == StatusOpen, "archived": th.Archived, "spam": th.Spam, "ticket": th.Ticket != "",
			"silent": th.LatestMessage.IsZero(), "unassigned": th.AssignedTo == "", "first inbox": th.Inbox == "424410201",
			"e-mail": th.Channel == channelEmail,
		} {
			if is {
				counts[name]++
			}
		}
		if th.ID <= last.ID || th.CreatedAt.Before(last.CreatedAt) {
			t.Fatalf("thread %s created %v follows %s created %v", th.ID, th.CreatedAt, last.ID, last.CreatedAt)
		}
		for _, at := range []time.Time{th.CreatedAt, th.ClosedAt, th.LatestMessage, th.LatestReceived, th.LatestSent} {
			if at.After(epoch) || !at.IsZero() && at.Before(th.CreatedAt) {
				t.Fatalf("thread %s: time %v outside its life", th.ID, at)
			}
		}
		if (th.Status == StatusClosed) == th.ClosedAt.IsZero() {
			t.Fatalf("thread %s: %s with closedAt %v", th.ID, th.Status, th.ClosedAt)
		}
		last = th
	}
	for name, want := range map[string]float64{
		"open": 0.03, "archived": shareArchived, "spam": shareSpam, "ticket": shareTicket, "silent": shareSilent,
		"unassigned": shareUnassigned, "first inbox": 0.53, "e-mail": 0.6,
	} {
		if got := counts[name] / n; math.Abs(got-want) > 0.15*want {
			t.Errorf("share %s: got %.4f, want about %.4f", name, got, want)
		}
	}
}

func TestPopulationIsDeterministic(t *testing.T) {
	var threads [3][]Thread
	for i, seed := range []uint64{1, 1, 2} {
		s := New(Config{Clock: fixed})
		s.Populate(Population{Threads: 1000, Seed: seed})
		s.Populate(Population{Threads: 500, Seed: seed})
		threads[i] = s.Threads()
	}
	if !slices.Equal(threads[0], threads[1]) || slices.Equal(threads[0], threads[2]) {
		t.Error("the same seed must give the same threads, another one others")
	}
	if len(threads[0]) != 1500 {
		t.Errorf("threads: got %d, want 1500", len(threads[0]))
	}
}

func TestPageSizeIsRealistic(t *testing.T) {
	s := New(Config{Clock: fixed})
	s.Populate(Population{Threads: 5000, Seed: 1})
	page := get(t, s, threadsPath, "limit=500&association=TICKET")
	if each := len(page.body) / 500; each < 465 || each > 530 {
		t.Errorf("bytes a thread: got %d, want about 490", each)
	}
}

func TestPopulationIsListedWhole(t *testing.T) {
	s := New(Config{Clock: fixed})
	s.Populate(Population{Threads: 3000, Seed: 4})
	listed := len(slices.Concat(walk(t, s, "limit=500")...)) + len(slices.Concat(walk(t, s, "limit=500&archived=true")...))
	if listed != 3000 {
		t.Errorf("listed and archived: got %d, want 3000", listed)
	}
	byInbox := 0
	for _, inbox := range s.Inboxes() {
		byInbox += len(slices.Concat(walk(t, s, "limit=500&inboxId="+inbox.ID)...))
	}
	if all := len(slices.Concat(walk(t, s, "limit=500")...)); byInbox != all {
		t.Errorf("by inbox: got %d, want %d", byInbox, all)
	}
}

func benchServer(b *testing.B, cache int) *Server {
	b.Helper()
	s := New(Config{Clock: fixed, PageCache: cache})
	s.Populate(Population{Threads: 300_000, Seed: 1})
	return s
}

// BenchmarkPage is a page of 500 threads, as a sweep asks for it: rendered anew, or
// kept as nothing on it changed; plain or compressed.
func BenchmarkPage(b *testing.B) {
	for _, bench := range []struct {
		name, encoding string
		cache          int
	}{{"fresh", "", -1}, {"fresh/gzip", "gzip", -1}, {"kept", "", 0}, {"kept/gzip", "gzip", 0}} {
		b.Run(bench.name, func(b *testing.B) {
			s := benchServer(b, bench.cache)
			r := request(b, http.MethodGet, threadsPath, "limit=500&association=TICKET")
			r.Header.Set("Accept-Encoding", bench.encoding)
			b.ReportAllocs()
			for b.Loop() {
				response, err := s.Transport().RoundTrip(r)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(response.ContentLength)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/thread")
		})
	}
}

func BenchmarkOpenPage(b *testing.B) {
	s := benchServer(b, -1)
	r := request(b, http.MethodGet, threadsPath, "limit=500&threadStatus=OPEN")
	for b.Loop() {
		if _, err := s.Transport().RoundTrip(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMutation(b *testing.B) {
	s := New(Config{})
	script := NewScript(s, ScriptConfig{Population: Population{Threads: 300_000, Seed: 1}})
	for b.Loop() {
		step, _ := script.Next()
		if err := step.Do(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPopulate(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				New(Config{Clock: fixed}).Populate(Population{Threads: n, Seed: 1})
			}
		})
	}
}
