package quota

import "time"

// Outcome is how a call ended, as far as the quota is concerned.
type Outcome uint8

// The outcomes.
const (
	Abandoned          Outcome = iota // never answered, by our own doing
	Answered                          // whatever the answer says
	Failed                            // 5xx, or no answer at all
	RefusedTenSecondly                // 429, TEN_SECONDLY_ROLLING or without a policy
	RefusedSecondly                   // 429, SECONDLY
	RefusedDaily                      // 429, DAILY
	DailySpent                        // answered, with nothing left of the day
	Locked                            // 423
	Migrating                         // 477: the account moves to another data centre
	Blocked                           // 403 from the edge, not from the API
)

var outcomeReasons = [...]string{
	Abandoned: "", Answered: "", Failed: "hubspot_failing", RefusedTenSecondly: "burst_limit",
	RefusedSecondly: "secondly_limit", RefusedDaily: "daily_limit", DailySpent: "daily_limit",
	Locked: "locked", Migrating: "account_migrating", Blocked: "blocked_by_edge",
}

// Answer is what a call's end tells the governor.
type Answer struct {
	Outcome    Outcome
	RetryAfter time.Duration // zero: not said
	Limits     Limits
}

// How long calls stop after a refusal. HubSpot documents 2 s for 423 and up to
// 24 h for 477; its own clients wait 10 s and 1 s for the two burst policies.
const (
	tenSecondsStep = 10 * time.Second
	secondStep     = time.Second
	lockedStep     = 2 * time.Second
	failedStep     = 500 * time.Millisecond
	longStep       = time.Minute // daily limit, migration, edge block
	// maxShort lets us notice within a minute that a storm is over.
	maxShort  = time.Minute
	maxFailed = 30 * time.Second
	maxLong   = time.Hour
	// maxRetryAfter is believed for a migration and for the daily limit,
	// maxShortRetryAfter otherwise.
	maxRetryAfter      = 24 * time.Hour
	maxShortRetryAfter = 5 * time.Minute
	// midnightMargin is how far HubSpot's midnight may be behind ours.
	midnightMargin = 5 * time.Second
)

// hold stops all calls after a refusal. When its time is over one call goes out
// as a probe, for all workers together; its answer ends the hold or makes it
// longer, so that a storm costs one call a step.
type hold struct {
	outcome Outcome
	step    int           // refusals in succession; 0: no hold
	until   time.Duration // monotonic
	probe   *Ticket       // on its way
}

func (h *hold) active() bool { return h.step > 0 }

// wait is how long nobody may go.
func (h *hold) wait(now time.Duration) time.Duration {
	switch {
	case !h.active():
		return 0
	case now < h.until:
		return h.until - now
	case h.probe != nil:
		return maxWait
	}
	return 0
}

func (h *hold) granted(ticket *Ticket) {
	if h.active() {
		h.probe = ticket
	}
}

// report takes in how a call ended. Calls that were already on their way when the
// hold began belong to the same storm: they may lengthen it, but are no step, and
// their success ends nothing.
func (h *hold) report(ticket *Ticket, now time.Duration, answer Answer, dayLeft time.Duration) {
	probe := h.probe == ticket
	if probe {
		h.probe = nil
	}
	switch {
	case answer.Outcome == Abandoned:
	case answer.Outcome == Answered:
		if probe {
			*h = hold{}
		}
	case h.active() && !probe:
		until := now + pause(answer, 1, dayLeft)
		if until > h.until {
			h.until, h.outcome = until, answer.Outcome
		}
	default:
		if answer.Outcome != h.outcome {
			h.step = 0
		}
		h.step++
		h.outcome = answer.Outcome
		h.until = now + pause(answer, h.step, dayLeft)
	}
}

// pause is how long calls stop after the step-th refusal in succession.
func pause(answer Answer, step int, dayLeft time.Duration) time.Duration {
	said := min(answer.RetryAfter, maxShortRetryAfter)
	switch answer.Outcome {
	case RefusedDaily, DailySpent:
		if answer.RetryAfter > 0 {
			return min(max(answer.RetryAfter, double(longStep, step, maxLong)), maxRetryAfter)
		}
		return min(double(longStep, step, maxLong), dayLeft+midnightMargin)
	case Migrating:
		return max(min(answer.RetryAfter, maxRetryAfter), double(longStep, step, maxLong))
	case Blocked:
		return max(said, double(longStep, step, maxLong))
	case Locked:
		return max(said, double(lockedStep, step, maxShort))
	case Failed:
		return max(said, double(failedStep, step, maxFailed))
	case RefusedTenSecondly:
		if said > 0 {
			return max(said, double(secondStep, step, maxShort))
		}
		return min(tenSecondsStep*time.Duration(step), maxShort)
	}
	return max(said, double(secondStep, step, maxShort))
}

// double is first, doubled with each further step, up to a limit.
func double(first time.Duration, step int, limit time.Duration) time.Duration {
	for range step - 1 {
		if first *= 2; first >= limit {
			return limit
		}
	}
	return min(first, limit)
}
