package sweep

import (
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// recent walks the threads whose newest message is not older than the lane's
// watermark, less an overlap.
func (s *Sweep) recent(chain string) *lane {
	w := &byTime{observer: s.observer, chain: chain, clock: s.cfg.Clock}
	return s.newLane(thread.LaneRecent, chain, s.cfg.Recent, w)
}

// byTime is the walk of a list that is sorted by the newest message.
type byTime struct {
	observer Observer
	chain    string
	clock    thread.Clock

	cursor string
	since  time.Time // of the running cycle
	newest time.Time // message seen by it
}

func (w *byTime) query() (thread.Query, bool) {
	if w.cursor == "" {
		w.since, w.newest = w.start(), time.Time{}
	}
	return thread.Query{Lane: thread.LaneRecent, Chain: w.chain, Cursor: w.cursor, Since: w.since}, w.cursor == ""
}

// start is where a cycle begins. Our own clock decides only until HubSpot has told
// the time once.
func (w *byTime) start() time.Time {
	watermark := w.observer.Lane(thread.LaneRecent, w.chain).Watermark
	if watermark.IsZero() {
		watermark = w.clock().Wall
	}
	return watermark.Add(-overlap)
}

func (w *byTime) advance(page thread.Page) (*thread.LaneState, bool) {
	if page.More {
		return nil, false
	}
	state := w.observer.Lane(thread.LaneRecent, w.chain)
	state.PreviousStart, state.CycleStart = state.CycleStart, page.Sent.Wall
	state.Cycles++
	state.Watermark = watermark(state.Watermark, later(w.newest, page.Newest), page.ServerTime)
	return &state, true
}

func (w *byTime) taken(page thread.Page) {
	w.newest = later(w.newest, page.Newest)
	w.cursor = ""
	if page.More {
		w.cursor = page.Next
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// watermark follows the newest message, but never runs ahead of HubSpot's clock: a
// message with a time in the future must not hide the ones before it. Without any
// message yet it starts at HubSpot's time.
func watermark(before, newest, server time.Time) time.Time {
	next := newest
	if next.IsZero() && before.IsZero() {
		next = server
	}
	if !server.IsZero() && next.After(server) {
		next = server
	}
	if next.Before(before) {
		return before
	}
	return next
}

func (w *byTime) restart() { w.cursor = "" }
