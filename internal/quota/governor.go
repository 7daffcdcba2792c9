// Package quota decides who may call HubSpot next and when: shares of the limits
// that HubSpot announces, even pacing, the daily guard, waiting out refusals. It
// owns no clock, no goroutine and no connection: moments are passed in, and its
// callers do the waiting. It must not know what a call is about.
package quota

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Moment is a moment by the wall clock, which days are counted by, and by the
// process's monotonic clock, which every interval is measured by.
type Moment struct {
	Wall time.Time
	Mono time.Duration
}

// Ledger keeps the number of our own calls of a day. Reserve adds calls to the
// day ("2006-01-02", as the account's time zone has it) and answers the day's
// total with them; the sum is durable before it returns, because the calls are
// made after it. What a crash leaves unused of a reservation is lost.
type Ledger interface {
	Reserve(day string, calls int) (total int, err error)
}

// Options configure a Governor.
type Options struct {
	DailyShare        float64        // of the daily limit that is ours, above 0, at most 1
	BurstShare        float64        // of the burst limit that is ours, above 0, at most 1
	MaxCallsPerSecond float64        // never more than this, above 0
	DailyLimit        int            // calls a day while HubSpot announces none; 0: DefaultDailyLimit
	Location          *time.Location // the account's time zone; nil: UTC
	Ledger            Ledger         // nil: counted in memory only
}

// What holds while HubSpot has announced nothing: the least of its documented
// allowances, that of a free account.
const (
	DefaultDailyLimit = 250_000
	defaultBurst      = 100
	defaultInterval   = 10 * time.Second
)

const (
	// reservation is how many calls are written to the ledger at once: few enough
	// that a crash costs little, enough that the disk is no part of the pace.
	reservation = 50
	// maxWait is the longest time that a waiter is sent away for, so that a wall
	// clock that was set is noticed.
	maxWait = time.Minute
)

// Priority orders those who wait: the smaller goes first.
type Priority uint8

// The priorities. Whoever stands behind is not starved: while both wait, at most
// every second call is a confirmation and at most three of four go to recent.
const (
	PriorityConfirm Priority = iota
	PriorityRecent
	PriorityFull
	priorities
)

// Governor owns the calls of one account. Its methods may be called by many
// goroutines at once.
type Governor struct {
	mu       sync.Mutex
	options  Options
	limits   Limits
	queue    queue
	next     time.Duration // moment from which the next call may go, monotonic
	damping  float64       // 1 normally, less after a refusal by the burst limit
	day      day
	hold     hold
	changed  chan struct{}
	calls    uint64
	refusals uint64
}

// New makes a Governor. It refuses shares and rates that make no sense, naming
// the configuration key.
func New(options Options) (*Governor, error) {
	switch {
	case !(options.DailyShare > 0 && options.DailyShare <= 1):
		return nil, fmt.Errorf("quota.daily_share is %v: want above 0, at most 1", options.DailyShare)
	case !(options.BurstShare > 0 && options.BurstShare <= 1):
		return nil, fmt.Errorf("quota.burst_share is %v: want above 0, at most 1", options.BurstShare)
	case !(options.MaxCallsPerSecond > 0 && options.MaxCallsPerSecond <= maxRate):
		return nil, fmt.Errorf("quota.max_calls_per_second is %v: want above 0, at most %d", options.MaxCallsPerSecond, maxRate)
	case options.DailyLimit < 0:
		return nil, errors.New("quota.daily_limit is negative")
	}
	if options.DailyLimit == 0 {
		options.DailyLimit = DefaultDailyLimit
	}
	if options.Location == nil {
		options.Location = time.UTC
	}
	return &Governor{
		options: options,
		limits:  noLimits,
		damping: 1,
		changed: make(chan struct{}),
	}, nil
}

// maxRate caps the configured rate: more is a slip of the keyboard.
const maxRate = 10_000

// SetLocation tells the account's time zone once it is known; its midnight ends
// the day from then on.
func (g *Governor) SetLocation(location *time.Location) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.options.Location = location
	g.wake()
}

// Join queues for one call. Each ticket ends with Leave or with Report.
func (g *Governor) Join(priority Priority) *Ticket {
	g.mu.Lock()
	defer g.mu.Unlock()
	ticket := &Ticket{priority: min(priority, priorities-1)}
	g.queue.join(ticket)
	return ticket
}

// Leave gives a ticket back that was not granted. After a grant it does nothing.
func (g *Governor) Leave(ticket *Ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.queue.leave(ticket) {
		g.wake()
	}
}

// Try asks for the ticket's call. A wait of zero grants it: the call is counted
// and must be made at once, and reported. Otherwise ask again after the wait, or
// as soon as changed is closed. An error is the ledger's; nothing was granted.
func (g *Governor) Try(ticket *Ticket, now Moment) (wait time.Duration, changed <-chan struct{}, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ticket.granted {
		return 0, nil, nil
	}
	wait, err = g.admit(ticket, now)
	if wait > 0 || err != nil {
		return min(wait, maxWait), g.changed, err
	}
	g.grant(ticket, now)
	return 0, nil, nil
}

// admit is how long the ticket has to wait; zero if it may go now.
func (g *Governor) admit(ticket *Ticket, now Moment) (time.Duration, error) {
	if wait := g.hold.wait(now.Mono); wait > 0 {
		return wait, nil
	}
	if g.queue.pick() != ticket {
		return maxWait, nil // woken when the one before has gone
	}
	if wait := g.next - now.Mono; wait > 0 {
		return wait, nil
	}
	open, err := g.day.reserve(g.options.Ledger, now.Wall.In(g.options.Location), g.dailyAllowance())
	if err != nil {
		return 0, fmt.Errorf("reserve calls of the day: %w", err)
	}
	if !open {
		return max(g.midnight(now.Wall).Sub(now.Wall), time.Second), nil
	}
	return 0, nil
}

func (g *Governor) grant(ticket *Ticket, now Moment) {
	g.queue.take(ticket)
	ticket.granted = true
	g.hold.granted(ticket)
	g.day.used++
	g.calls++
	// A timer that fires late is caught up with by half an interval at most, so
	// that the configured rate is reached and never exceeded by more than one call.
	interval := time.Duration(float64(time.Second) / g.rate())
	g.next = max(g.next, now.Mono-interval/2) + interval
	g.wake()
}

// Report says how a granted call ended; every grant needs it, once.
func (g *Governor) Report(ticket *Ticket, now Moment, answer Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !ticket.granted || ticket.reported {
		return
	}
	ticket.reported = true
	if answer.Limits == (Limits{}) {
		answer.Limits = noLimits
	}
	g.limits = g.limits.merge(answer.Limits)
	if answer.Outcome == Answered && answer.Limits.DailyRemaining == 0 {
		answer.Outcome = DailySpent
	}
	g.adapt(answer, ticket, now)
	left := g.midnight(now.Wall).Sub(now.Wall)
	g.hold.report(ticket, now.Mono, answer, left)
	g.wake()
}

// adapt slows down after a refusal by the burst limit and recovers with every
// call that is answered: whoever shares the limit with us is not known to us.
func (g *Governor) adapt(answer Answer, ticket *Ticket, now Moment) {
	switch answer.Outcome {
	case Answered:
		g.damping = min(1, g.damping*recovery)
	case RefusedTenSecondly, RefusedSecondly:
		g.refusals++
		if !g.hold.active() || g.hold.probe == ticket {
			g.damping = max(minDamping, g.damping/2)
		}
	case RefusedDaily:
		g.refusals++
	}
	if answer.Limits.Remaining == 0 {
		g.next = max(g.next, now.Mono+g.limits.interval()/10)
	}
}

const (
	// recovery is the growth of the rate with each answer: 35 answers make good
	// for one halving, so that refusals stay below a twentieth of the calls.
	recovery = 1.02
	// minDamping is the least that refusals slow us down to.
	minDamping = 1.0 / 16
)

// rate is the number of calls a second that may go now.
func (g *Governor) rate() float64 {
	announced := g.limits.rate(g.options.BurstShare)
	return min(announced, g.options.MaxCallsPerSecond) * g.damping
}

func (g *Governor) dailyAllowance() int {
	limit := g.options.DailyLimit
	if g.limits.Daily > 0 {
		limit = g.limits.Daily
	}
	return int(g.options.DailyShare * float64(limit))
}

// midnight is the end of the account's day.
func (g *Governor) midnight(wall time.Time) time.Time {
	return endOfDay(wall.In(g.options.Location))
}

// wake lets everybody who waits ask again.
func (g *Governor) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}
