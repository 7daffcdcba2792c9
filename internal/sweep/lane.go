package sweep

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// maxPages bounds a cycle: two hundred million threads at 500 a page. A list that
// goes on for longer does not end.
const maxPages = 400_000

// overlap is how far a lane sorted by time looks back behind its watermark: messages
// are listed late, and mail that is synced late carries an old time.
const overlap = 15 * time.Minute

// Waits after a page that could not be used. What passes by itself is tried again by
// the source.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// lane is one chain of one lane: it walks the pages of a list, cycle after cycle.
type lane struct {
	sweep *Sweep
	lane  thread.Lane
	chain string
	every time.Duration
	walk  walk

	started time.Duration  // process time of the cycle's start
	ran     bool           // a cycle was started in this process
	whole   bool           // and the present one from its first page on
	pages   int            // of this cycle, taken in by this process
	first   thread.Instant // sending of the first of them
	asked   string         // fingerprint of the list as it was asked for
	cursors map[uint64]struct{}
	seed    maphash.Seed
	wait    time.Duration // after a failure, doubled with each
}

// walk is how a lane gets through its list: what it asks for next, and where it is
// after the answer.
type walk interface {
	// query is the next request; first tells whether it begins a cycle.
	query() (q thread.Query, first bool)
	// advance is the position after the page; nil if it is not to be saved. done says
	// that the cycle is complete. It changes nothing.
	advance(page thread.Page) (state *thread.LaneState, done bool)
	// taken says that the page was taken in.
	taken(page thread.Page)
	// restart gives up the cycle.
	restart()
}

func (s *Sweep) newLane(l thread.Lane, chain string, every time.Duration, w walk) *lane {
	return &lane{
		sweep: s, lane: l, chain: chain, every: every, walk: w,
		cursors: map[uint64]struct{}{}, seed: maphash.MakeSeed(), wait: firstRetry,
	}
}

// run walks until the context ends or an error does not pass.
func (l *lane) run(ctx context.Context) error {
	for {
		err := l.once(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			l.wait = firstRetry
			continue
		case fatal(err):
			return fmt.Errorf("lane %s: %w", l.lane, err)
		}
		l.sweep.cfg.Logger.Warn("page could not be read, trying again", "lane", l.lane, "chain", l.chain, "wait", l.wait, "err", err)
		if err := sleep(ctx, l.wait); err != nil {
			return err
		}
		l.wait = min(2*l.wait, lastRetry)
	}
}

// once reads one page and takes it in. It waits first if the next cycle is not due.
func (l *lane) once(ctx context.Context) error {
	q, first := l.walk.query()
	if first {
		if err := l.begin(ctx); err != nil {
			return err
		}
		q, _ = l.walk.query() // a wait may have moved it
	}
	flight := l.sweep.flights.begin()
	defer flight.end()
	q.OnSend = flight.sent
	l.asked = l.sweep.cfg.Fingerprint(q)
	page, err := l.sweep.source.List(ctx, q)
	if err == nil {
		err = l.guard(q, page)
	}
	if errors.Is(err, thread.ErrCursor) {
		l.walk.restart() // Invariant G8: the cycle does not count
		l.ran = false    // and the next one need not wait for its time
	}
	if err != nil {
		return err
	}
	if l.pages == 0 {
		l.first = page.Sent
	}
	if !page.More && l.whole && l.lane == thread.LaneFull {
		page.Cycle = l.first
	}
	state, done := l.walk.advance(page)
	if err := l.sweep.take(page, state); err != nil {
		return err
	}
	l.walk.taken(page)
	l.passed(page)
	if done {
		l.sweep.cfg.OnCycle(l.lane, l.first.Wall)
	}
	return nil
}

// begin waits until a new cycle may start.
func (l *lane) begin(ctx context.Context) error {
	if l.ran {
		if err := sleep(ctx, l.started+l.every-l.sweep.cfg.Clock().Mono); err != nil {
			return err
		}
	}
	l.ran, l.whole, l.started, l.pages = true, true, l.sweep.cfg.Clock().Mono, 0
	clear(l.cursors)
	return nil
}

// guard refuses a list that goes in circles or has no end, and a page that was asked
// for with a cursor of another list: the source may have changed path or page size
// while it asked.
func (l *lane) guard(q thread.Query, page thread.Page) error {
	if now := l.sweep.cfg.Fingerprint(q); q.Cursor != "" && now != l.asked {
		return fmt.Errorf("the list is now %q, the cursor is of %q: %w", now, l.asked, thread.ErrCursor)
	}
	if !page.More {
		return nil
	}
	if _, seen := l.cursors[maphash.String(l.seed, page.Next)]; seen || l.pages+1 >= maxPages {
		return fmt.Errorf("page %d of the cycle leads back to a page before it: %w", l.pages+1, thread.ErrCursor)
	}
	return nil
}

// passed notes a page that was taken in.
func (l *lane) passed(page thread.Page) {
	l.pages++
	if page.More {
		l.cursors[maphash.String(l.seed, page.Next)] = struct{}{}
	}
}
