package store

import (
	"math"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// tick is a moment of this process in milliseconds since its clock started, from 1
// on; zero is never.
type tick uint32

// lastTick is where ticks are aged, long before they overflow: after 24 days.
const lastTick tick = math.MaxUint32 / 2

// verdict is what a reading that differs from what is known is worth.
type verdict int

const (
	overrides verdict = iota // it speaks of a later time
	overlaps                 // neither is known to be later: ask again
	stale                    // it speaks of an earlier time
)

// evidence orders readings. Only what had arrived before a request was sent is
// known to be older than its answer; of two requests that overlap either can be
// the later one.
type evidence struct {
	base tick // ticks taken off by ageing
}

// moment is a request's life in ticks.
type moment struct{ sent, arrived tick }

// moment rounds outwards, so that rounding never makes an overlap look like order.
func (e *evidence) moment(sent, arrived time.Duration) moment {
	const unit = time.Millisecond
	return moment{
		sent:    tick(sent/unit) + 1 - e.base,
		arrived: tick((arrived+unit-1)/unit) + 1 - e.base,
	}
}

// judge weighs a reading that differs.
func (s *slot) judge(m moment) verdict {
	switch {
	case s == nil || s.arrived == 0 || s.arrived < m.sent:
		return overrides
	case m.arrived < s.sent:
		return stale
	}
	return overlaps
}

// confirm takes in a reading that agrees: the value was true after the later
// sending, and whatever overrides it must have been sent after the later arrival.
func (s *slot) confirm(m moment) {
	s.sent = max(s.sent, m.sent)
	s.arrived = max(s.arrived, m.arrived)
}

// mono is the process time of a tick.
func (e *evidence) mono(t tick) time.Duration {
	return time.Duration(t+e.base-1) * time.Millisecond
}

// age takes half of the range off all ticks once they come near its end; what is
// older than that counts as read just then, which is before any request in flight.
func (e *evidence) age(now time.Duration, threads *index) {
	if e.moment(now, now).arrived < lastTick {
		return
	}
	const off = lastTick / 2
	e.base += off
	less := func(t tick) tick {
		switch {
		case t == 0:
			return 0
		case t <= off:
			return 1
		}
		return t - off
	}
	threads.each(func(s *slot) { s.sent, s.arrived = less(s.sent), less(s.arrived) })
}

// maxClockStep is how far the wall clock may drift from the monotonic one between
// two pages before it counts as set; NTP slews slower than this.
const maxClockStep = time.Second

// wall relates the process's monotonic time to the wall clock.
type wall struct {
	start   time.Time     // wall clock time of the process's time zero
	suspect time.Duration // until then every list reading that differs is re-read
}

// anchor takes in what both clocks say now and tells whether the wall clock was set.
func (w *wall) anchor(now thread.Instant, lag time.Duration) (set bool) {
	start := now.Wall.Add(-now.Mono)
	set = !w.start.IsZero() && start.Sub(w.start).Abs() > maxClockStep
	w.start = start
	if set {
		w.suspect = now.Mono + lag
	}
	return set
}

// at is the wall clock time of a moment of the process.
func (w *wall) at(mono time.Duration) time.Time { return w.start.Add(mono) }
