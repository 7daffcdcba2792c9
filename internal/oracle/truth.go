package oracle

import (
	"slices"
	"time"

	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/thread"
)

// resolution is the fake's: its log cuts times to it.
const resolution = time.Millisecond

// state is how a thread stood for a while, as far as the published kinds cover it.
type state struct {
	view   view
	op     hubspottest.Op // that brought it about
	listed bool           // a list of threads shows it
	since  time.Time      // zero: before the log
	until  time.Time      // zero: still
}

// timelines are the states of every thread in the order of time.
func (c *checker) timelines(server *hubspottest.Server) map[thread.ID][]state {
	lines := map[thread.ID][]state{}
	log := server.Log(0)
	if len(log) > 0 && log[0].Sequence != 1 {
		c.fault(&c.report.Malformed, "the fake has forgotten its first %d mutations: give it a larger LogLimit", log[0].Sequence-1)
	}
	for _, m := range log {
		line := lines[m.Thread]
		if line == nil && m.Before != (hubspottest.Thread{}) {
			line = []state{c.state(m.Before)}
		}
		next := c.state(m.After)
		next.since, next.op = m.Time, m.Op
		if n := len(line); n > 0 {
			if last := &line[n-1]; last.view == next.view && last.listed == next.listed {
				continue // nothing that is published
			}
			line[n-1].until = m.Time
		}
		lines[m.Thread] = append(line, next)
	}
	for _, t := range server.Threads() {
		if lines[t.ID] == nil {
			lines[t.ID] = []state{c.state(t)}
		}
	}
	return lines
}

func (c *checker) state(t hubspottest.Thread) state {
	return state{view: viewOf(t.Facts(), c.opt.Kinds), listed: !t.Archived && !t.Purged}
}

// due says whether the service cannot have missed a state.
func (c *checker) due(s state) bool {
	if !s.listed {
		return false
	}
	if s.until.IsZero() {
		return true
	}
	since := s.since
	if since.Before(c.opt.From) {
		since = c.opt.From
	}
	return since.IsZero() || s.until.Sub(since) > c.opt.MustSee
}

// compare holds what was published against what was.
func (c *checker) compare(lines map[thread.ID][]state) {
	var newest uint32 = 1
	for key := range c.threads {
		newest = max(newest, key.generation)
	}
	for _, h := range c.sorted() {
		line := lines[h.key.id]
		if line == nil {
			c.fault(&c.report.Invented, "thread %s: HubSpot never had it", h.key.id)
			continue
		}
		c.follow(h, line, h.key.generation == newest)
	}
	ids := make([]thread.ID, 0, len(lines))
	for id := range lines {
		if c.threads[threadKey{newest, id}] == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		w := walker{checker: c, id: id, line: lines[id], at: -1}
		if c.opt.Silent {
			w.at = w.standing(c.opt.From)
		}
		w.finish()
	}
}

// follow finds the state that each revision of a thread shows.
func (c *checker) follow(h *history, line []state, last bool) {
	w := walker{checker: c, id: h.key.id, line: line, at: -1}
	first := h.revisions[0]
	// Where a generation begins anew, or silently, only what comes later is due.
	switch {
	case first.event.Before != nil:
		w.at = w.find(first.before, time.Time{}, first.event.WindowEnd.AsTime())
	case h.key.generation > 1:
		w.at = w.find(first.after, time.Time{}, first.event.WindowEnd.AsTime()) - 1
	}
	for _, r := range h.revisions {
		w.revision(r)
	}
	if last {
		w.finish()
	}
}

// walker goes along a thread's states; at is the one that was published last, -1
// before the first.
type walker struct {
	*checker
	id   thread.ID
	line []state
	at   int
}

// revision goes on to the state that a revision shows.
func (w *walker) revision(r revision) {
	var start time.Time
	if r.event.WindowStart != nil {
		start = r.event.WindowStart.AsTime()
	}
	end := r.event.WindowEnd.AsTime()
	found := w.find(r.after, start, end)
	if found < 0 {
		found = w.find(r.after, time.Time{}, end)
	}
	if found < 0 {
		w.fault(&w.report.Invented, "thread %s: revision %d (%s to %s, lane %s) shows what HubSpot did not have then: %v",
			w.id, r.number, stamp(start), stamp(end), r.event.Lane, r.after)
		return
	}
	s := w.line[found]
	if !within(s.since, start, end) {
		w.fault(&w.report.WrongWindow, "thread %s: window of revision %d is %s to %s, the %s was at %s",
			w.id, r.number, stamp(start), stamp(end), s.op, stamp(s.since))
	}
	w.pass(found)
	w.at = found
	if w.due(s) {
		w.report.Changes++
	}
	if !s.since.IsZero() {
		w.report.Delays = append(w.report.Delays, r.event.ObservedAt.AsTime().Sub(s.since))
	}
}

// find is the first state after the last published one that looks like the view and
// began in the window; -1 if there is none.
func (w *walker) find(v view, start, end time.Time) int {
	for i := w.at + 1; i < len(w.line); i++ {
		if w.line[i].view == v && within(w.line[i].since, start, end) {
			return i
		}
	}
	return -1
}

// within says whether a logged time can lie in a window. A zero start bounds nothing.
func within(t, start, end time.Time) bool {
	return (start.IsZero() || t.Add(resolution).After(start)) && !t.After(end)
}

// pass looks at the states between the last published one and the next.
func (w *walker) pass(next int) {
	for i := w.at + 1; i < next; i++ {
		s := w.line[i]
		switch {
		case w.at >= 0 && s.view == w.line[w.at].view:
			// Back to what was published: nothing to say.
		case w.due(s):
			w.report.Changes++
			w.fault(&w.report.Lost, "thread %s: the %s at %s, which stood until %s, was not published", w.id, s.op, stamp(s.since), stamp(s.until))
		case s.listed:
			w.report.Missed++
		}
	}
}

// finish checks that the last published state is the one that stands.
func (w *walker) finish() {
	last := len(w.line) - 1
	w.pass(last)
	s := w.line[last]
	if w.at == last || !s.listed || w.at >= 0 && s.view == w.line[w.at].view {
		return
	}
	w.report.Changes++
	if w.at < 0 {
		w.fault(&w.report.Unsettled, "thread %s: nothing was published, it stands so since the %s at %s", w.id, s.op, stamp(s.since))
		return
	}
	w.fault(&w.report.Unsettled, "thread %s: the %s at %s, which still stands, was not published", w.id, s.op, stamp(s.since))
}

// standing is the state that stood at a time; without a time, the one from before the
// log. -1 if there was none.
func (w *walker) standing(t time.Time) int {
	found := -1
	for i, s := range w.line {
		if !s.since.After(t) {
			found = i
		}
	}
	return found
}
