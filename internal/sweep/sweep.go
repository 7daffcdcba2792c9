// Package sweep owns when HubSpot is read and how its pages are walked: one routine
// a lane and chain, and the questions about single threads that settle doubtful
// readings. What a page means is the store's business; a sweep concludes nothing.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/threadcast/threadcast/internal/thread"
)

// Source is HubSpot as a sweep reads it. Both calls wait for their turn under the
// quota, and try again what passes by itself.
type Source interface {
	List(ctx context.Context, q thread.Query) (thread.Page, error)
	Get(ctx context.Context, id thread.ID, archived bool, onSend func(thread.Instant)) (thread.Page, error)
}

// Observer takes pages in, and remembers how far each lane has come.
type Observer interface {
	Observe(page thread.Page, state *thread.LaneState) (thread.Outcome, error)
	Lane(lane thread.Lane, chain string) thread.LaneState
}

// Config says what is read how often.
type Config struct {
	// Recent and Full are the shortest times between two starts of a cycle.
	Recent, Full time.Duration
	// Inboxes are the chains of each lane; empty: one chain over all inboxes.
	Inboxes []string
	// Fingerprint names what the cursors of a list depend on: a cursor made with
	// another is not used.
	Fingerprint func(thread.Query) string
	Clock       thread.Clock
	Logger      *slog.Logger
	// OnPage and OnCycle are told what was read; for metrics.
	OnPage  func(lane thread.Lane, outcome thread.Outcome)
	OnCycle func(lane thread.Lane, started time.Time)
}

// Sweep reads one account.
type Sweep struct {
	cfg      Config
	source   Source
	observer Observer
	flights  flights
	doubts   doubts
}

// New makes a sweep. Nothing is read before Run.
func New(cfg Config, source Source, observer Observer) *Sweep {
	if cfg.OnPage == nil {
		cfg.OnPage = func(thread.Lane, thread.Outcome) {}
	}
	if cfg.OnCycle == nil {
		cfg.OnCycle = func(thread.Lane, time.Time) {}
	}
	s := &Sweep{cfg: cfg, source: source, observer: observer}
	s.doubts.init()
	return s
}

// Run reads until the context ends, which is no error, or something is wrong that
// does not pass: HubSpot refuses us (thread.ErrRefused), or the state cannot be
// written. It can be called again.
func (s *Sweep) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, chain := range s.chains() {
		for _, l := range []*lane{s.recent(chain), s.full(chain)} {
			group.Go(func() error { return l.run(ctx) })
		}
	}
	for range confirmers {
		group.Go(func() error { return s.confirm(ctx) })
	}
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Horizon is the moment before which nothing can be observed any more: no request
// in flight was sent before it, no page that is not taken in yet, and no reading that
// is in doubt.
func (s *Sweep) Horizon() time.Time { return s.flights.oldest(s.cfg.Clock()) }

// Doubts is the number of threads that wait to be asked for.
func (s *Sweep) Doubts() int { return s.doubts.len() }

func (s *Sweep) chains() []string {
	if len(s.cfg.Inboxes) == 0 {
		return []string{""}
	}
	return s.cfg.Inboxes
}

// take gives a page to the observer and sees to what it leaves in doubt.
func (s *Sweep) take(page thread.Page, state *thread.LaneState) error {
	outcome, err := s.observer.Observe(page, state)
	if err != nil {
		return fmt.Errorf("take in a page: %w: %w", thread.ErrState, err)
	}
	for _, id := range outcome.Reread {
		s.doubt(id, page.Sent)
	}
	for _, p := range outcome.Problems {
		s.cfg.Logger.Debug("thread not understood", "lane", page.Lane, "thread", p.ID, "err", p.Err)
	}
	if n := len(outcome.Problems); n > 0 {
		s.cfg.Logger.Warn("threads that could not be understood keep what was known of them",
			"lane", page.Lane, "count", n, "first", outcome.Problems[0].ID, "err", outcome.Problems[0].Err)
	}
	s.cfg.OnPage(page.Lane, outcome)
	return nil
}

// fatal says whether an error does not pass by itself.
func fatal(err error) bool {
	return errors.Is(err, thread.ErrRefused) || errors.Is(err, thread.ErrState) && !errors.Is(err, thread.ErrTemporary)
}

// sleep waits, unless the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
