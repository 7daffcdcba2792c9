package hubspottest

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// Limits are the account's call limits; zero stands for no limit, and its headers
// are absent then.
type Limits struct {
	Burst    int // per rolling 10 seconds
	Secondly int // per rolling second; HubSpot still sends its deprecated headers
	Daily    int // until midnight in the account's time zone, shared by all apps
}

// FreeLimits are those of a private app in a Free or Starter account.
func FreeLimits() Limits { return Limits{Burst: 100, Secondly: 10, Daily: 250_000} }

// ProfessionalLimits are those of a private app in a Professional account.
func ProfessionalLimits() Limits { return Limits{Burst: 190, Secondly: 19, Daily: 625_000} }

// EnterpriseLimits are those of a private app in an Enterprise account.
func EnterpriseLimits() Limits { return Limits{Burst: 190, Secondly: 19, Daily: 1_000_000} }

const burstWindow = 10 * time.Second

// meter counts calls against the limits. Refused calls count for nothing but the
// peaks.
type meter struct {
	accepted window // calls of the last 10 seconds that were let through
	arrived  window // all calls of the last 10 seconds
	day      string
	used     int // today, by all apps
	peak     int // most calls that arrived within any 10 seconds
}

// window is the moments of the calls in a rolling span, in Unix nanoseconds.
type window struct {
	moments []int64
	head    int
}

// add counts a call.
func (w *window) add(now int64) { w.moments = append(w.moments, now) }

// prune drops what is older than the burst window.
func (w *window) prune(now int64) {
	for w.head < len(w.moments) && w.moments[w.head] <= now-int64(burstWindow) {
		w.head++
	}
	if w.head > 64 && w.head > len(w.moments)/2 {
		w.moments = append(w.moments[:0], w.moments[w.head:]...)
		w.head = 0
	}
}

// size is the number of calls in the burst window, once pruned.
func (w *window) size() int { return len(w.moments) - w.head }

// lastSecond is the number of calls in the last second.
func (w *window) lastSecond(now int64) int {
	n := 0
	for i := len(w.moments) - 1; i >= w.head && w.moments[i] > now-int64(time.Second); i-- {
		n++
	}
	return n
}

// room is when the span has room again.
func (w *window) room(now int64, span time.Duration, limit int) time.Duration {
	oldest := w.moments[max(w.head, len(w.moments)-limit)]
	return time.Duration(oldest - now + int64(span))
}

// admit counts a call, and answers it if a limit is reached.
func (m *meter) admit(now time.Time, location *time.Location, b Behaviour) *answer {
	m.turn(now, location)
	at := now.UnixNano()
	m.arrived.prune(at)
	m.accepted.prune(at)
	m.arrived.add(at)
	m.peak = max(m.peak, m.arrived.size())
	limits := b.Limits
	switch {
	case limits.Daily > 0 && m.used >= limits.Daily:
		return tooMany("DAILY", "daily", untilMidnight(now.In(location)), b.RetryAfter)
	case limits.Secondly > 0 && m.accepted.lastSecond(at) >= limits.Secondly:
		return tooMany("SECONDLY", "secondly", m.accepted.room(at, time.Second, limits.Secondly), b.RetryAfter)
	case limits.Burst > 0 && m.accepted.size() >= limits.Burst:
		return tooMany("TEN_SECONDLY_ROLLING", "ten_secondly_rolling",
			m.accepted.room(at, burstWindow, limits.Burst), b.RetryAfter)
	}
	m.used++
	m.accepted.add(at)
	return nil
}

// turn starts a new day's count at the account's midnight.
func (m *meter) turn(now time.Time, location *time.Location) {
	if day := now.In(location).Format(time.DateOnly); day != m.day {
		m.day, m.used = day, 0
	}
}

func untilMidnight(now time.Time) time.Duration {
	year, month, day := now.Date()
	return time.Date(year, month, day+1, 0, 0, 0, 0, now.Location()).Sub(now)
}

func tooMany(policy, name string, wait time.Duration, retryAfter bool) *answer {
	a := problem{
		status: http.StatusTooManyRequests, message: "You have reached your " + name + " limit.", rate: policy,
	}.answer()
	if retryAfter {
		a.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	return a
}

// headers writes what is left of the limits, as every answer to an authenticated
// call does.
func (m *meter) headers(h http.Header, now time.Time, limits Limits) {
	at := now.UnixNano()
	m.accepted.prune(at)
	if limits.Burst > 0 {
		h["X-Hubspot-Ratelimit-Max"] = []string{strconv.Itoa(limits.Burst)}
		h["X-Hubspot-Ratelimit-Remaining"] = left(limits.Burst, m.accepted.size())
		h["X-Hubspot-Ratelimit-Interval-Milliseconds"] = []string{"10000"}
	}
	if limits.Secondly > 0 {
		h["X-Hubspot-Ratelimit-Secondly"] = []string{strconv.Itoa(limits.Secondly)}
		h["X-Hubspot-Ratelimit-Secondly-Remaining"] = left(limits.Secondly, m.accepted.lastSecond(at))
	}
	if limits.Daily > 0 {
		h["X-Hubspot-Ratelimit-Daily"] = []string{strconv.Itoa(limits.Daily)}
		h["X-Hubspot-Ratelimit-Daily-Remaining"] = left(limits.Daily, m.used)
	}
}

func left(limit, used int) []string { return []string{strconv.Itoa(max(0, limit-used))} }

// SpendDaily counts calls of other apps against the daily limit, which all apps of
// an account share.
func (s *Server) SpendDaily(calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meter.turn(s.clock(), s.location)
	s.meter.used += calls
}
