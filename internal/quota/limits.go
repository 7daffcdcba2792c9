package quota

import (
	"strconv"
	"strings"
	"time"
)

// Limits are what the rate headers of one answer say; -1 is said nothing, and the
// zero Limits say nothing at all.
// HubSpot documents the burst headers for every kind of app, the daily ones for
// all but OAuth apps, and the secondly ones as deprecated but still sent.
type Limits struct {
	Max            int // calls an interval
	Remaining      int // of them
	IntervalMillis int
	Secondly       int // calls a second
	Daily          int // calls a day, of all apps of the account together
	DailyRemaining int // of them
}

var noLimits = Limits{-1, -1, -1, -1, -1, -1}

// The largest figures that are believed.
const (
	maxLimit    = 1_000_000_000
	minInterval = 100 * time.Millisecond
	maxInterval = time.Hour
)

// ReadLimits reads the rate headers of an answer by a function that gives a
// header's value, "" if there is none. What makes no sense counts as not said.
func ReadLimits(header func(name string) string) Limits {
	return Limits{
		Max:            figure(header("X-HubSpot-RateLimit-Max"), 1, maxLimit),
		Remaining:      figure(header("X-HubSpot-RateLimit-Remaining"), 0, maxLimit),
		IntervalMillis: figure(header("X-HubSpot-RateLimit-Interval-Milliseconds"), int(minInterval.Milliseconds()), int(maxInterval.Milliseconds())),
		Secondly:       figure(header("X-HubSpot-RateLimit-Secondly"), 1, maxLimit),
		Daily:          figure(header("X-HubSpot-RateLimit-Daily"), 1, maxLimit),
		DailyRemaining: figure(header("X-HubSpot-RateLimit-Daily-Remaining"), 0, maxLimit),
	}
}

func figure(text string, low, high int) int {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < low || n > high {
		return -1
	}
	return n
}

// merge is the limits with what a newer answer says about them.
func (l Limits) merge(newer Limits) Limits {
	pick := func(old, fresh int) int {
		if fresh >= 0 {
			return fresh
		}
		return old
	}
	return Limits{
		Max:            pick(l.Max, newer.Max),
		Remaining:      pick(l.Remaining, newer.Remaining),
		IntervalMillis: pick(l.IntervalMillis, newer.IntervalMillis),
		Secondly:       pick(l.Secondly, newer.Secondly),
		Daily:          pick(l.Daily, newer.Daily),
		DailyRemaining: pick(l.DailyRemaining, newer.DailyRemaining),
	}
}

func (l Limits) interval() time.Duration {
	if l.IntervalMillis > 0 {
		return time.Duration(l.IntervalMillis) * time.Millisecond
	}
	return defaultInterval
}

// rate is our share of the burst limit in calls a second. Near the whole of it
// some room is left, as calls are never quite even.
func (l Limits) rate(share float64) float64 {
	burst := defaultBurst
	if l.Max > 0 {
		burst = l.Max
	}
	rate := within(burst, share) / l.interval().Seconds()
	if l.Secondly > 0 {
		rate = min(rate, within(l.Secondly, share))
	}
	return rate
}

// unevenness is how many calls more than its rate times its length a window can
// hold: one at either end, and half of one that was late.
const unevenness = 1.5

// within is our share of a window's calls, with room for unevenness below its
// limit, or for as much of it as so small a limit can spare.
func within(limit int, share float64) float64 {
	whole := float64(limit)
	return min(whole*share, max(whole-unevenness, whole/2))
}
