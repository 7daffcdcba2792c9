package quota

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var noon = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// world is a governor with a clock that the test moves.
type world struct {
	t *testing.T
	g *Governor
	Moment
}

func newWorld(t *testing.T, change func(*Options)) *world {
	t.Helper()
	options := Options{DailyShare: 0.5, BurstShare: 0.5, MaxCallsPerSecond: 18}
	if change != nil {
		change(&options)
	}
	g, err := New(options)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return &world{t: t, g: g, Moment: Moment{Wall: noon}}
}

func (w *world) pass(d time.Duration) {
	w.Wall = w.Wall.Add(d)
	w.Mono += d
}

// call waits for a call and makes it; it answers how long it waited.
func (w *world) call(priority Priority) (*Ticket, time.Duration) {
	w.t.Helper()
	ticket := w.g.Join(priority)
	start := w.Mono
	for range 100_000 {
		wait, _, err := w.g.Try(ticket, w.Moment)
		if err != nil {
			w.t.Fatalf("Try: %v", err)
		}
		if wait == 0 {
			return ticket, w.Mono - start
		}
		w.pass(wait)
	}
	w.t.Fatalf("no call granted until %v, state %+v", w.Wall, w.g.State(w.Moment))
	return nil, 0
}

func (w *world) answer(ticket *Ticket, answer Answer) { w.g.Report(ticket, w.Moment, answer) }

func limits(max, remaining, daily, left int) Limits {
	return Limits{Max: max, Remaining: remaining, IntervalMillis: 10_000, Secondly: -1, Daily: daily, DailyRemaining: left}
}

// Never more than the share of the burst limit in any ten seconds, nor more than
// the ceiling; and nearly all of it while there is work.
func TestPaceLaw(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		burst := 20 + rnd.IntN(230)
		share := 0.1 + 0.9*rnd.Float64()
		ceiling := 1 + 20*rnd.Float64()
		w := newWorld(t, func(o *Options) { o.BurstShare, o.MaxCallsPerSecond = share, ceiling })
		ticket, _ := w.call(PriorityFull)
		w.answer(ticket, Answer{Outcome: Answered, Limits: limits(burst, 5, -1, -1)})
		w.pass(20 * time.Second)
		start := w.Mono
		var sent []time.Duration
		for w.Mono-start < 60*time.Second {
			ticket, _ := w.call(PriorityFull)
			sent = append(sent, w.Mono)
			w.pass(time.Duration(rnd.IntN(10)) * time.Millisecond) // timers fire late
			w.answer(ticket, Answer{Outcome: Answered, Limits: limits(burst, 5, -1, -1)})
		}
		allowed := min(float64(burst)*share, ceiling*10)
		first := 0
		for i, at := range sent {
			for at-sent[first] >= 10*time.Second {
				first++
			}
			n := i - first + 1
			if float64(n) > min(allowed+unevenness, float64(burst)) {
				t.Fatalf("seed %d: %d calls in 10 s, want at most %.1f (burst %d share %.2f ceiling %.1f)", seed, n, allowed, burst, share, ceiling)
			}
		}
		if got, want := float64(len(sent)), allowed*6*0.85; got < want {
			t.Errorf("seed %d: %v calls in 60 s, want at least %.0f (burst %d share %.2f ceiling %.1f)", seed, got, want, burst, share, ceiling)
		}
	}
}

type ledger map[string]int

func (l ledger) Reserve(day string, calls int) (int, error) {
	l[day] += calls
	return l[day], nil
}

// Across crashes, days and changing headers: never more than the share of a day,
// and never a call that is not in the ledger.
func TestDailyGuardLaw(t *testing.T) {
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		book, made := ledger{}, map[string]int{}
		daily := 300 + rnd.IntN(400)
		share := 0.2 + 0.8*rnd.Float64()
		allowed := int(share * float64(daily))
		w := newWorld(t, nil)
		for range 40 {
			options := Options{DailyShare: share, BurstShare: 1, MaxCallsPerSecond: 100, DailyLimit: daily, Ledger: book}
			var err error
			if w.g, err = New(options); err != nil {
				t.Fatal(err)
			}
			for range rnd.IntN(120) {
				ticket, _ := w.call(PriorityFull)
				day := w.Wall.Format(time.DateOnly)
				made[day]++
				if made[day] > allowed {
					t.Fatalf("seed %d: %d calls on %s, want at most %d", seed, made[day], day, allowed)
				}
				if made[day] > book[day] {
					t.Fatalf("seed %d: %d calls on %s, but the ledger has %d", seed, made[day], day, book[day])
				}
				w.answer(ticket, Answer{Outcome: Answered})
			}
		}
		if len(made) < 2 {
			t.Errorf("seed %d: calls on %d days, want the guard to have been met", seed, len(made))
		}
	}
}

// However a storm of refusals looks, it costs one call a step for all workers
// together, and ends with the first probe that is answered.
func TestStormLaw(t *testing.T) {
	storms := map[string]struct {
		outcome Outcome
		first   time.Duration
		most    int // calls in an hour
	}{
		"ten secondly": {RefusedTenSecondly, 10 * time.Second, 70},
		"secondly":     {RefusedSecondly, time.Second, 70},
		"daily":        {RefusedDaily, time.Minute, 8},
		"locked":       {Locked, 2 * time.Second, 70},
		"migrating":    {Migrating, time.Minute, 8},
		"blocked":      {Blocked, time.Minute, 8},
		"failing":      {Failed, 500 * time.Millisecond, 130},
	}
	for name, storm := range storms {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			var flying []*Ticket
			for range 5 {
				ticket, _ := w.call(PriorityFull)
				flying = append(flying, ticket)
			}
			for _, ticket := range flying {
				w.answer(ticket, Answer{Outcome: storm.outcome})
			}
			ticket, waited := w.call(PriorityRecent)
			if waited != storm.first {
				t.Errorf("first wait %v, want %v: five calls of one storm are one step", waited, storm.first)
			}
			other := w.g.Join(PriorityRecent)
			if wait, _, _ := w.g.Try(other, w.Moment); wait == 0 {
				t.Error("a second call went out while the probe was on its way")
			}
			w.g.Leave(other)
			end := w.Mono + time.Hour
			calls := 0
			for w.Mono < end {
				w.answer(ticket, Answer{Outcome: storm.outcome})
				ticket, _ = w.call(PriorityRecent)
				calls++
			}
			if calls > storm.most {
				t.Errorf("%d calls in an hour of refusals, want at most %d", calls, storm.most)
			}
			w.answer(ticket, Answer{Outcome: Answered})
			if _, waited := w.call(PriorityRecent); waited > 4*time.Second {
				t.Errorf("waited %v after the storm was over", waited)
			}
			if reason := w.g.State(w.Moment).Reason; reason != "" {
				t.Errorf("reason %q after the storm, want none", reason)
			}
		})
	}
}

// Somebody else eats the burst limit: refusals stay below a twentieth.
func TestRefusalsStayRare(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.BurstShare = 1 })
	var window []time.Duration
	refused, calls := 0, 0
	for w.Mono < 30*time.Minute {
		ticket, _ := w.call(PriorityFull)
		for len(window) > 0 && window[0] <= w.Mono-10*time.Second {
			window = window[1:]
		}
		calls++
		if len(window) >= 60 { // of 190, the rest is another client's
			refused++
			w.answer(ticket, Answer{Outcome: RefusedTenSecondly, Limits: limits(190, -1, -1, -1)})
			continue
		}
		window = append(window, w.Mono)
		w.answer(ticket, Answer{Outcome: Answered, Limits: limits(190, 50, -1, -1)})
	}
	if float64(refused) > 0.05*float64(calls) {
		t.Errorf("%d of %d calls refused, want at most 5 %%", refused, calls)
	}
}

func TestPauses(t *testing.T) {
	day := 5 * time.Hour
	tests := map[string]struct {
		answer Answer
		step   int
		want   time.Duration
	}{
		"ten secondly, third":                   {Answer{Outcome: RefusedTenSecondly}, 3, 30 * time.Second},
		"ten secondly with Retry-After":         {Answer{Outcome: RefusedTenSecondly, RetryAfter: 3 * time.Second}, 1, 3 * time.Second},
		"Retry-After again and again backs off": {Answer{Outcome: RefusedTenSecondly, RetryAfter: time.Second}, 5, 16 * time.Second},
		"absurd Retry-After":                    {Answer{Outcome: RefusedTenSecondly, RetryAfter: 90 * time.Hour}, 1, maxShortRetryAfter},
		"daily ends with the day":               {Answer{Outcome: RefusedDaily}, 9, time.Hour},
		"daily with Retry-After":                {Answer{Outcome: RefusedDaily, RetryAfter: 3 * time.Hour}, 1, 3 * time.Hour},
		"migration for 24 h":                    {Answer{Outcome: Migrating, RetryAfter: 24 * time.Hour}, 1, 24 * time.Hour},
		"migration for a year":                  {Answer{Outcome: Migrating, RetryAfter: 365 * 24 * time.Hour}, 1, 24 * time.Hour},
		"locked, Retry-After below two seconds": {Answer{Outcome: Locked, RetryAfter: time.Second}, 1, 2 * time.Second},
		"failing with Retry-After":              {Answer{Outcome: Failed, RetryAfter: 7 * time.Second}, 1, 7 * time.Second},
		"failing for long":                      {Answer{Outcome: Failed}, 50, 30 * time.Second},
		"secondly, seventh":                     {Answer{Outcome: RefusedSecondly}, 7, time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := pause(test.answer, test.step, day); got != test.want {
				t.Errorf("pause %v, want %v", got, test.want)
			}
		})
	}
	if got, want := pause(Answer{Outcome: RefusedDaily}, 9, 10*time.Minute), 10*time.Minute+midnightMargin; got != want {
		t.Errorf("daily just before midnight: pause %v, want %v", got, want)
	}
}

// A clock that runs ahead of HubSpot's asks again too early; that must not cost
// another day.
func TestDailyRefusalJustAfterMidnight(t *testing.T) {
	w := newWorld(t, nil)
	w.Wall = time.Date(2026, 10, 2, 0, 0, 3, 0, time.UTC)
	ticket, _ := w.call(PriorityFull)
	w.answer(ticket, Answer{Outcome: RefusedDaily})
	if _, waited := w.call(PriorityFull); waited > 2*time.Minute {
		t.Errorf("waited %v, want a probe within two minutes", waited)
	}
}

func TestDailyRemainingZeroParks(t *testing.T) {
	w := newWorld(t, nil)
	ticket, _ := w.call(PriorityFull)
	w.answer(ticket, Answer{Outcome: Answered, Limits: limits(190, 100, 250_000, 0)})
	state := w.g.State(w.Moment)
	if state.Reason != "daily_limit" || !state.ParkedUntil.Equal(noon.Add(12*time.Hour)) {
		t.Errorf("state %q until %v, want daily_limit until midnight", state.Reason, state.ParkedUntil)
	}
	if state.LimitToday != 125_000 {
		t.Errorf("limit today %d, want half of what the header announces", state.LimitToday)
	}
}

func TestDayIsTheAccounts(t *testing.T) {
	zone := time.FixedZone("UTC-7", -7*3600)
	book := ledger{}
	w := newWorld(t, func(o *Options) { o.DailyLimit, o.Ledger, o.Location = 4, book, zone })
	w.call(PriorityFull)
	w.call(PriorityFull)
	state := w.g.State(w.Moment)
	if want := time.Date(2026, 10, 2, 0, 0, 0, 0, zone); state.Reason != "daily_share" || !state.ParkedUntil.Equal(want) {
		t.Errorf("state %q until %v, want daily_share until %v", state.Reason, state.ParkedUntil, want)
	}
	if _, waited := w.call(PriorityFull); waited < 19*time.Hour-time.Second || waited > 19*time.Hour+time.Minute {
		t.Errorf("waited %v, want until the account's midnight", waited)
	}
	if book["2026-10-01"] != 2 || book["2026-10-02"] != 2 {
		t.Errorf("ledger %v, want reservations of two calls a day, as the share allows", book)
	}
}

func TestPrecedence(t *testing.T) {
	w := newWorld(t, nil)
	names := map[*Ticket]string{}
	var waiting []*Ticket
	for i := range 4 {
		for priority, name := range []string{"confirm", "recent", "full"} {
			if name == "confirm" && i > 1 {
				continue
			}
			ticket := w.g.Join(Priority(priority))
			names[ticket] = name
			waiting = append(waiting, ticket)
		}
	}
	var order []string
	for len(order) < len(waiting) {
		w.pass(time.Second)
		for _, ticket := range waiting {
			if wait, _, _ := w.g.Try(ticket, w.Moment); wait == 0 && !ticket.reported {
				order = append(order, names[ticket])
				w.answer(ticket, Answer{Outcome: Answered})
			}
		}
	}
	want := "[confirm recent confirm recent recent full recent full full full]"
	if got := fmt.Sprint(order); got != want {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestLeaveWakesTheNext(t *testing.T) {
	w := newWorld(t, nil)
	first, second := w.g.Join(PriorityConfirm), w.g.Join(PriorityFull)
	_, changed, _ := w.g.Try(second, w.Moment)
	w.g.Leave(first)
	select {
	case <-changed:
	default:
		t.Error("nobody was woken when the one before left")
	}
	if wait, _, _ := w.g.Try(second, w.Moment); wait != 0 {
		t.Errorf("wait %v, want none", wait)
	}
}

func TestAbandonedProbeLetsAnotherGo(t *testing.T) {
	w := newWorld(t, nil)
	ticket, _ := w.call(PriorityFull)
	w.answer(ticket, Answer{Outcome: RefusedSecondly})
	probe, _ := w.call(PriorityFull)
	w.answer(probe, Answer{Outcome: Abandoned})
	if _, waited := w.call(PriorityFull); waited > time.Second {
		t.Errorf("waited %v after the probe was abandoned", waited)
	}
	if reason := w.g.State(w.Moment).Reason; reason != "secondly_limit" {
		t.Errorf("reason %q: an abandoned probe proves nothing", reason)
	}
}

type brokenLedger struct{ err error }

func (l brokenLedger) Reserve(string, int) (int, error) { return 0, l.err }

func TestNoCallWithoutLedger(t *testing.T) {
	full := errors.New("disk full")
	w := newWorld(t, func(o *Options) { o.Ledger = brokenLedger{full} })
	ticket := w.g.Join(PriorityFull)
	if _, _, err := w.g.Try(ticket, w.Moment); !errors.Is(err, full) {
		t.Errorf("err %v, want the ledger's", err)
	}
	if ticket.granted {
		t.Error("the call was granted")
	}
}

func TestNonsenseHeadersAreIgnored(t *testing.T) {
	for _, text := range []string{"", "x", "-5", "0", "1e3", "99999999999999999999"} {
		got := ReadLimits(func(name string) string {
			if name == "X-HubSpot-RateLimit-Remaining" || name == "X-HubSpot-RateLimit-Daily-Remaining" {
				return "-1"
			}
			return text
		})
		if got != noLimits {
			t.Errorf("headers %q read as %+v, want nothing", text, got)
		}
	}
	w := newWorld(t, nil)
	if got, want := w.g.State(w.Moment).Rate, 5.0; got != want {
		t.Errorf("rate without headers %v, want %v: half of the least documented limit", got, want)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{DailyShare: 1, BurstShare: 1, MaxCallsPerSecond: 1}
	bad := map[string]func(*Options){
		"daily share above one": func(o *Options) { o.DailyShare = 1.1 },
		"no burst share":        func(o *Options) { o.BurstShare = 0 },
		"no rate":               func(o *Options) { o.MaxCallsPerSecond = 0 },
		"negative limit":        func(o *Options) { o.DailyLimit = -1 },
	}
	if _, err := New(good); err != nil {
		t.Fatalf("New: %v", err)
	}
	for name, change := range bad {
		options := good
		change(&options)
		if _, err := New(options); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
