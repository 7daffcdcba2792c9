package quota

import "time"

// State is what a governor is doing, for status and metrics.
type State struct {
	Rate       float64 // calls a second that may go
	Day        string  // the account's day, "2006-01-02"; empty before the first call
	CallsToday int     // our own, with those that a crash may have left unused
	LimitToday int     // our share of the daily limit
	Waiting    int     // callers
	Calls      uint64  // granted since the start
	Refusals   uint64  // 429 answers since the start

	// ParkedUntil is when calls are expected to go again, zero if they do;
	// ProbeAt is when the next one may try. Reason is empty or one of burst_limit,
	// secondly_limit, daily_limit, daily_share, locked, account_migrating,
	// blocked_by_edge, hubspot_failing.
	ParkedUntil time.Time
	ProbeAt     time.Time
	Reason      string

	Announced Limits // as the headers had them last
}

// State tells what the governor is doing.
func (g *Governor) State(now Moment) State {
	g.mu.Lock()
	defer g.mu.Unlock()
	state := State{
		Rate: g.rate(), Day: g.day.name, CallsToday: g.day.used, LimitToday: g.dailyAllowance(),
		Waiting: g.queue.len(), Calls: g.calls, Refusals: g.refusals, Announced: g.limits,
	}
	today := now.Wall.In(g.options.Location).Format(time.DateOnly)
	switch {
	case g.hold.active():
		state.Reason = outcomeReasons[g.hold.outcome]
		state.ProbeAt = now.Wall.Add(max(g.hold.until-now.Mono, 0))
		state.ParkedUntil = state.ProbeAt
		if g.hold.outcome == RefusedDaily || g.hold.outcome == DailySpent {
			state.ParkedUntil = g.midnight(now.Wall)
		}
	case g.day.name == today && g.day.used >= state.LimitToday:
		state.Reason = "daily_share"
		state.ParkedUntil = g.midnight(now.Wall)
		state.ProbeAt = state.ParkedUntil
	}
	return state
}
