package sweep

import (
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// full walks all threads of a chain by id. Its position is saved with each page, so
// that a cycle goes on where a crash stopped it.
func (s *Sweep) full(chain string) *lane {
	w := &byID{observer: s.observer, chain: chain, fingerprint: s.cfg.Fingerprint}
	return s.newLane(thread.LaneFull, chain, s.cfg.Full, w)
}

// byID is the walk of a list that is sorted by id.
type byID struct {
	observer    Observer
	chain       string
	fingerprint func(thread.Query) string
	discard     bool // the saved position is not to be used
}

func (w *byID) position() thread.LaneState {
	state := w.observer.Lane(thread.LaneFull, w.chain)
	fingerprint := w.fingerprint(thread.Query{Lane: thread.LaneFull, Chain: w.chain})
	if w.discard || state.Fingerprint != fingerprint {
		state.Cursor, state.After, state.Fingerprint = "", 0, fingerprint
	}
	return state
}

func (w *byID) query() (thread.Query, bool) {
	state := w.position()
	return thread.Query{Lane: thread.LaneFull, Chain: w.chain, Cursor: state.Cursor, After: state.After}, state.Cursor == ""
}

func (w *byID) advance(page thread.Page) (*thread.LaneState, bool) {
	state := w.position()
	if state.Cursor == "" {
		w.begin(&state, page.Sent.Wall)
	}
	if !page.More {
		state.Cursor, state.After = "", 0
		state.Cycles++
		state.Whole = page.Cycle != (thread.Instant{})
		return &state, true
	}
	state.Cursor = page.Next
	if n := len(page.Items); n > 0 {
		state.After = page.Items[n-1].ID
	}
	return &state, false
}

// begin starts a cycle. One that was given up, or that a restart has cut in two, does
// not tell which threads it has read, so the one before it stays the last whole one; the
// first one keeps its start.
func (w *byID) begin(state *thread.LaneState, now time.Time) {
	complete := w.observer.Lane(thread.LaneFull, w.chain).Cursor == ""
	if complete && (state.Whole || state.PreviousStart.IsZero()) {
		state.PreviousStart = state.CycleStart
	}
	if complete || state.Cycles > 0 {
		state.CycleStart = now
	}
}

func (w *byID) taken(thread.Page) { w.discard = false }

func (w *byID) restart() { w.discard = true }
