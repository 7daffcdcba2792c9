package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/threadcast/threadcast/internal/sweep"
	"github.com/threadcast/threadcast/internal/thread"
)

// source is a list of threads that answers after a while.
type source struct {
	clock   thread.Clock
	latency time.Duration
	size    int // of a page

	mu      sync.Mutex
	ids     []thread.ID
	queries []thread.Query
	gets    []thread.ID
	fail    func(q thread.Query) error
	reply   func(q thread.Query, page *thread.Page)
	get     func(id thread.ID) error
}

func (s *source) List(ctx context.Context, q thread.Query) (thread.Page, error) {
	sent := s.clock()
	q.OnSend(sent)
	if err := wait(ctx, s.latency); err != nil {
		return thread.Page{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, q)
	if s.fail != nil {
		if err := s.fail(q); err != nil {
			return thread.Page{}, err
		}
	}
	page := s.page(q)
	page.Sent, page.Arrived, page.ServerTime = sent, s.clock(), s.clock().Wall
	if s.reply != nil {
		s.reply(q, &page)
	}
	return page, nil
}

func (s *source) page(q thread.Query) thread.Page {
	page := thread.Page{Lane: q.Lane, Chain: q.Chain, Cursor: q.Cursor, After: q.After, Ascending: true}
	if q.Lane == thread.LaneRecent {
		return page
	}
	from := 0
	if q.Cursor != "" {
		if _, err := fmt.Sscan(q.Cursor, &from); err != nil {
			panic(err)
		}
	}
	to := min(from+s.size, len(s.ids))
	for _, id := range s.ids[from:to] {
		page.Items = append(page.Items, thread.Item{ID: id, Hash: 1})
	}
	page.More = to < len(s.ids)
	if page.More {
		page.Next = fmt.Sprint(to)
	}
	return page
}

func (s *source) Get(ctx context.Context, id thread.ID, _ bool, onSend func(thread.Instant)) (thread.Page, error) {
	sent := s.clock()
	onSend(sent)
	if err := wait(ctx, s.latency); err != nil {
		return thread.Page{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets = append(s.gets, id)
	if s.get != nil {
		if err := s.get(id); err != nil {
			return thread.Page{}, err
		}
	}
	return thread.Page{Lane: thread.LaneConfirm, Items: []thread.Item{{ID: id, Hash: 2}}, Sent: sent, Arrived: s.clock()}, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// observer remembers what it was given.
type observer struct {
	mu     sync.Mutex
	lanes  map[string]thread.LaneState
	pages  []thread.Page
	reread map[thread.ID]int // how often a thread is to be doubted
	fail   error
}

func (o *observer) Observe(page thread.Page, state *thread.LaneState) (thread.Outcome, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return thread.Outcome{}, o.fail
	}
	o.pages = append(o.pages, page)
	if state != nil {
		o.lanes[page.Lane.String()+page.Chain] = *state
	}
	outcome := thread.Outcome{Threads: len(page.Items)}
	for _, item := range page.Items {
		if o.reread[item.ID] > 0 {
			o.reread[item.ID]--
			outcome.Reread = append(outcome.Reread, item.ID)
		}
	}
	return outcome, nil
}

func (o *observer) Lane(lane thread.Lane, chain string) thread.LaneState {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lanes[lane.String()+chain]
}

func (o *observer) of(lane thread.Lane) []thread.Page {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.pages), func(p thread.Page) bool { return p.Lane != lane })
}

func fixture() (*source, *observer, sweep.Config) {
	clock := thread.NewClock()
	src := &source{clock: clock, latency: 50 * time.Millisecond, size: 2, ids: []thread.ID{1, 2, 3, 4, 5}}
	obs := &observer{lanes: map[string]thread.LaneState{}, reread: map[thread.ID]int{}}
	return src, obs, sweep.Config{Recent: time.Second, Full: 10 * time.Second, Fingerprint: func(q thread.Query) string { return "v3 500 " + q.Chain }, Clock: clock, Logger: slog.New(slog.DiscardHandler)}
}

// runFor runs a sweep for some virtual time.
func runFor(s *sweep.Sweep, d time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), d, context.Canceled)
	defer cancel()
	err := s.Run(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func TestFullWalksEveryPageAndKeepsItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, obs, cfg := fixture()
		var cycles int
		cfg.OnCycle = func(lane thread.Lane, _ time.Time) {
			if lane == thread.LaneFull {
				cycles++
			}
		}
		if err := runFor(sweep.New(cfg, src, obs), 25*time.Second); err != nil {
			t.Fatal(err)
		}
		if cycles != 3 { // at 0, 10 and 20 s
			t.Errorf("%d cycles in 25 s, want 3", cycles)
		}
		var ids []thread.ID
		for _, page := range obs.of(thread.LaneFull)[:3] {
			for _, item := range page.Items {
				ids = append(ids, item.ID)
			}
		}
		if !slices.Equal(ids, src.ids) {
			t.Errorf("first cycle read %v, want %v", ids, src.ids)
		}
		if n := len(obs.of(thread.LaneRecent)); n != 25 {
			t.Errorf("recent was read %d times in 25 s, want 25", n)
		}
		if state := obs.Lane(thread.LaneFull, ""); state.Cycles != 3 || state.CycleStart.Sub(state.PreviousStart) != 10*time.Second {
			t.Errorf("position after three cycles: %+v", state)
		}
	})
}

func TestFullResumesWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, obs, cfg := fixture()
		if err := runFor(sweep.New(cfg, src, obs), 75*time.Millisecond); err != nil { // one page
			t.Fatal(err)
		}
		if state := obs.Lane(thread.LaneFull, ""); state.Cursor != "2" || state.After != 2 {
			t.Fatalf("position after one page: %+v", state)
		}
		if err := runFor(sweep.New(cfg, src, obs), 75*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		pages := obs.of(thread.LaneFull)
		if len(pages) != 2 || pages[1].Cursor != "2" || pages[1].After != 2 {
			t.Fatalf("after a restart: %+v", pages[1:])
		}
	})
}

// Only a cycle that one process has read from its first page on may move the bound of
// windows: of another one nobody knows which threads it has read.
func TestCycleThatARestartHasCutIsNotWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, obs, cfg := fixture()
		if err := runFor(sweep.New(cfg, src, obs), time.Second); err != nil { // one whole cycle
			t.Fatal(err)
		}
		first := obs.Lane(thread.LaneFull, "")
		if !first.Whole || first.Cycles != 1 {
			t.Fatalf("after a cycle: %+v", first)
		}
		if last := obs.of(thread.LaneFull)[2]; last.Cycle.Mono != 0 || last.Cycle.Wall.IsZero() {
			t.Errorf("the last page says that the cycle began at %+v", last.Cycle)
		}
		if err := runFor(sweep.New(cfg, src, obs), 75*time.Millisecond); err != nil { // a page of the second
			t.Fatal(err)
		}
		if err := runFor(sweep.New(cfg, src, obs), 21*time.Second); err != nil { // its rest, and a third and fourth
			t.Fatal(err)
		}
		state := obs.Lane(thread.LaneFull, "")
		if state.Cycles < 4 || !state.Whole || state.CycleStart.Sub(state.PreviousStart) != cfg.Full {
			t.Fatalf("after some whole cycles more: %+v", state)
		}
		for _, page := range obs.of(thread.LaneFull)[3:6] {
			if page.Cycle != (thread.Instant{}) {
				t.Errorf("a cycle that was cut in two says that it began at %+v", page.Cycle)
			}
		}
	})
}

// The source may change path or page size while it asks; a page that was asked for with
// a cursor of the old list must not count as the first one of the new.
func TestListThatChangesUnderACursorStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, obs, cfg := fixture()
		var moved atomic.Bool
		cfg.Fingerprint = func(thread.Query) string { return map[bool]string{false: "beta", true: "v3"}[moved.Load()] }
		src.fail = func(q thread.Query) error {
			if q.Cursor != "" {
				moved.Store(true)
			}
			return nil
		}
		if err := runFor(sweep.New(cfg, src, obs), 8*time.Second); err != nil {
			t.Fatal(err)
		}
		pages := obs.of(thread.LaneFull)
		if len(pages) < 4 || pages[1].Cursor != "" {
			t.Fatalf("%d pages were taken in, the second of cursor %q", len(pages), pages[1].Cursor)
		}
		if state := obs.Lane(thread.LaneFull, ""); state.Cycles != 1 {
			t.Errorf("%d cycles, want 1: the one of the new list", state.Cycles)
		}
	})
}

// A page that could not be stored is asked for again where the cycle stands.
func TestFullDiskDoesNotRestartTheCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, obs, cfg := fixture()
		src.reply = func(q thread.Query, _ *thread.Page) {
			obs.mu.Lock()
			defer obs.mu.Unlock()
			obs.fail = nil
			if q.Cursor == "2" && len(obs.pages) < 30 && len(src.queries) < 30 {
				obs.fail = fmt.Errorf("write: %w", thread.ErrTemporary)
			}
		}
		cfg.Recent = time.Hour
		if err := runFor(sweep.New(cfg, src, obs), 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		firsts := 0
		for _, q := range src.queries[:20] {
			if q.Lane == thread.LaneFull && q.Cursor == "" {
				firsts++
			}
		}
		if firsts != 1 {
			t.Errorf("the cycle began %d times while its second page could not be stored, want once", firsts)
		}
	})
}

func TestCursorOfAnotherPathIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, obs, cfg := fixture()
		if err := runFor(sweep.New(cfg, src, obs), 75*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		cfg.Fingerprint = func(thread.Query) string { return "2026-09 500" }
		if err := runFor(sweep.New(cfg, src, obs), 75*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if page := obs.of(thread.LaneFull)[1]; page.Cursor != "" {
			t.Errorf("the cursor %q of another path was used", page.Cursor)
		}
	})
}

// Invariant G8: a list that goes in circles or refuses its cursor gives up the cycle,
// which then does not count.
func TestUnusableCursorStartsTheCycleAnew(t *testing.T) {
	for name, src := range map[string]func(*source){
		"circle": func(s *source) {
			n := 0
			s.reply = func(q thread.Query, page *thread.Page) {
				if n++; q.Lane == thread.LaneFull && n < 20 {
					page.More, page.Next = true, "2"
				}
			}
		},
		"refused": func(s *source) {
			n := 0
			s.fail = func(q thread.Query) error {
				if n++; q.Cursor != "" && n < 10 {
					return fmt.Errorf("expired: %w", thread.ErrCursor)
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, obs, cfg := fixture()
				src(fake)
				completed := 0
				cfg.OnCycle = func(lane thread.Lane, _ time.Time) {
					if lane == thread.LaneFull {
						completed++
					}
				}
				if err := runFor(sweep.New(cfg, fake, obs), 2*time.Minute); err != nil {
					t.Fatal(err)
				}
				state := obs.Lane(thread.LaneFull, "")
				if completed == 0 || int(state.Cycles) != completed {
					t.Errorf("%d cycles completed, the position says %+v", completed, state)
				}
				if state.Bound().After(state.CycleStart) {
					t.Errorf("bound %v after the cycle's start %v", state.Bound(), state.CycleStart)
				}
			})
		})
	}
}

func TestThreadInDoubtIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, obs, cfg := fixture()
		obs.reread[3], obs.reread[4] = 2, 1
		src.get = func(id thread.ID) error {
			if id == 4 {
				return thread.ErrNotFound
			}
			return nil
		}
		if err := runFor(sweep.New(cfg, src, obs), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		slices.Sort(src.gets)
		if !slices.Equal(src.gets, []thread.ID{3, 3, 4}) {
			t.Errorf("asked for %v, want 3 twice, as it stayed in doubt, and 4 once", src.gets)
		}
		if n := len(obs.of(thread.LaneConfirm)); n != 2 {
			t.Errorf("%d answers were taken in, want 2", n)
		}
	})
}

func TestRunEndsOnlyForWhatDoesNotPass(t *testing.T) {
	for name, c := range map[string]struct {
		list, observe error
		ends          bool
	}{
		"nonsense from HubSpot": {list: errors.New("a page without results")},
		"token refused":         {list: fmt.Errorf("401: %w", thread.ErrRefused), ends: true},
		"disk full":             {observe: fmt.Errorf("write: %w", thread.ErrTemporary)},
		"state broken":          {observe: errors.New("broken"), ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src, obs, cfg := fixture()
				obs.fail = c.observe
				if c.list != nil {
					src.fail = func(thread.Query) error { return c.list }
				}
				if err := runFor(sweep.New(cfg, src, obs), time.Minute); (err != nil) != c.ends {
					t.Errorf("Run: %v, want an error: %v", err, c.ends)
				}
				if n := len(src.queries); !c.ends && (n < 5 || n > 70) {
					t.Errorf("%d tries in a minute, want some, but no storm", n)
				}
			})
		})
	}
}

// Invariant G6: the horizon stays behind requests in flight, pages that are not taken
// in and threads in doubt, and otherwise moves with the clock.
func TestHorizon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, obs, cfg := fixture()
		cfg.Recent = time.Hour
		src.latency = 2 * time.Second
		s := sweep.New(cfg, src, obs)
		start := cfg.Clock().Wall
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(time.Second)
		if got := s.Horizon(); !got.Equal(start) {
			t.Errorf("horizon with a request in flight for a second: %v after the start, want 0", got.Sub(start))
		}
		time.Sleep(6500 * time.Millisecond) // three pages are read, nothing is in flight
		if got := s.Horizon(); !got.Equal(cfg.Clock().Wall) {
			t.Errorf("horizon with nothing in flight: %v behind the clock", cfg.Clock().Wall.Sub(got))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWatermarkOfRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, obs, cfg := fixture()
		server := cfg.Clock().Wall.Add(-3 * time.Hour) // our clock is ahead
		newest := server.Add(-time.Minute)
		src.reply = func(q thread.Query, page *thread.Page) {
			if q.Lane == thread.LaneRecent {
				page.ServerTime, page.Newest = server, newest
			}
		}
		run := func(want time.Time) {
			t.Helper()
			if err := runFor(sweep.New(cfg, src, obs), 1500*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if got := obs.Lane(thread.LaneRecent, "").Watermark; !got.Equal(want) {
				t.Errorf("watermark %v, want %v", got, want)
			}
		}
		run(newest)
		newest = server.Add(time.Hour) // a message from the future
		run(server)
		newest = time.Time{}
		run(server)
		last := src.queries[len(src.queries)-1]
		if last.Lane == thread.LaneRecent && !last.Since.Equal(server.Add(-15*time.Minute)) {
			t.Errorf("recent asks since %v, want 15 min before %v", last.Since, server)
		}
	})
}

func TestEachInboxIsAChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, obs, cfg := fixture()
		cfg.Inboxes = []string{"10", "11"}
		if err := runFor(sweep.New(cfg, src, obs), 900*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, q := range src.queries {
			seen[q.Lane.String()+q.Chain]++
		}
		for _, want := range []string{"full10", "full11", "recent10", "recent11"} {
			if seen[want] == 0 {
				t.Errorf("chain %s was not read: %v", want, seen)
			}
		}
	})
}
