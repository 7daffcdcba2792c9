package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/kafkatest"
	"github.com/threadcast/threadcast/internal/oracle"
)

const (
	killThreads = 300
	// longestLife: the process is killed somewhere between its first instruction and
	// this, so in start, scan, first reading, commit, publishing and idling.
	longestLife = 2 * time.Second
	// drainTime is how long the first signal may take.
	drainTime = 5 * time.Second
	// settledSweeps are enough for whatever a reading left in doubt.
	settledSweeps = 6
)

// crashes is a kill test.
type crashes struct {
	kills  int
	limits hubspottest.Limits
	every  time.Duration // between two changes anywhere
	// spacing is the time between two changes of one thread: longer than the service can
	// be away and then takes to look, so that hardly a change can be missed.
	spacing time.Duration
	// strict: whatever no crash can have hidden must be published. Otherwise only what
	// stands in the end, as threads in doubt queue for the quota.
	strict bool
}

// Invariants G1, G2, G3, G4, G5, G6: after any number of crashes at any moment, every
// change is published once, in order, with everything about it true.
func TestKillNineLosesAndRepeatsNothing(t *testing.T) {
	for name, at := range map[string]crashes{
		"at full speed":       {kills: 6, limits: plenty(), every: 20 * time.Millisecond, spacing: 1500 * time.Millisecond, strict: true},
		"under a tight quota": {kills: 3, limits: hubspottest.FreeLimits(), every: 150 * time.Millisecond, spacing: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if kafkatest.Real() && at.strict {
				at.kills = 20
			}
			at.run(t)
		})
	}
}

func (c crashes) run(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 9))
	s := newStage(t, killThreads)
	s.hubspot.Set(func(b *hubspottest.Behaviour) { b.Limits = c.limits })
	began := time.Now()
	stop := s.play(t, hubspottest.ScriptConfig{Seed: seed, Every: c.every, Spacing: c.spacing})
	var kills []time.Time
	for range c.kills {
		p := s.start(t, "run")
		<-time.After(time.Duration(random.Int64N(int64(longestLife))))
		kills = append(kills, time.Now())
		p.kill()
	}
	last := s.start(t, "run")
	stop()
	s.settle(t)
	mustSee := patience
	if c.strict {
		mustSee = longestBlindness(began, sweeps(s.hubspot), kills)
	} else if err := awaitPublished(t.Context(), s.brokers, s.prefix, 1, s.hubspot); err != nil {
		t.Error(err)
	}
	s.drain(t, last)
	s.sound(t)

	records, err := published(t.Context(), s.brokers, s.prefix)
	if err != nil {
		t.Fatal(err)
	}
	report := oracle.Check(records, s.hubspot, oracle.Options{MustSee: mustSee, From: began})
	t.Logf("seed %d, %d kills: %v; %d changes, %d missed, must see what stood %v", seed, c.kills, &report, report.Changes, report.Missed, mustSee)
	if err := report.Err(); err != nil {
		t.Errorf("seed %d: %v\nlast log:\n%s", seed, err, last.stderr)
	}
	if report.Threads < killThreads*9/10 || report.Heartbeats == 0 || report.Barriers == 0 {
		t.Errorf("seed %d: too little happened: %d revisions, %d heartbeats, %d barriers", seed, report.Revisions, report.Heartbeats, report.Barriers)
	}
}

// play lets people work in the inbox until stop is called.
func (s *stage) play(t *testing.T, cfg hubspottest.ScriptConfig) (stop func()) {
	script := hubspottest.NewScript(s.hubspot, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- script.Run(ctx, nil) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("play the script: %v", err)
		}
	}
}

// settle waits until the service has read everything several times.
func (s *stage) settle(t *testing.T) {
	t.Helper()
	before := len(sweeps(s.hubspot))
	err := await(t.Context(), "sweeps", func() (bool, error) { return len(sweeps(s.hubspot)) >= before+settledSweeps, nil })
	if err != nil {
		t.Fatal(err)
	}
}

// drain stops the process as an operator does.
func (s *stage) drain(t *testing.T, p *process) {
	t.Helper()
	p.signal(syscall.SIGTERM)
	if code, took := p.exit(); code != 0 || took > drainTime {
		t.Fatalf("SIGTERM: exit code %d after %v, want 0 within %v\n%s", code, took, drainTime, p.stderr)
	}
}

// sound checks the state with the operator's command.
func (s *stage) sound(t *testing.T) {
	t.Helper()
	cmd := exec.Command("threadcast", "state", "check")
	cmd.Dir, cmd.Env = s.dir, s.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("state check: %v\n%s", err, out)
	}
}

// longestBlindness is how long a state must stand to be seen for certain: from just
// after one whole sweep until the next one has been whole. A sweep is whole if the same
// process began two more after it: it was then taken in, and what it left in doubt has
// been asked again.
func longestBlindness(began time.Time, sweeps, kills []time.Time) time.Duration {
	const more = 2
	var longest time.Duration
	last := began
	for i := 0; i+more < len(sweeps); i++ {
		first, end := sweeps[i], sweeps[i+more]
		killed := slices.ContainsFunc(kills, func(kill time.Time) bool { return !kill.Before(first) && kill.Before(end) })
		if !killed {
			longest = max(longest, end.Sub(last))
			last = first
		}
	}
	return longest
}

func TestLongestBlindness(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(seconds ...int) (times []time.Time) {
		for _, s := range seconds {
			times = append(times, began.Add(time.Duration(s)*time.Second))
		}
		return times
	}
	for name, c := range map[string]struct {
		sweeps, kills []time.Time
		want          time.Duration
	}{
		"undisturbed":            {at(1, 2, 3, 4, 5), nil, 3 * time.Second},
		"late":                   {at(9, 10, 11, 12), nil, 11 * time.Second},
		"killed in between":      {at(1, 2, 3, 4, 8, 9, 10, 11), at(5), 8 * time.Second},
		"killed again and again": {at(1, 3, 5, 7, 8, 9, 10), at(2, 4, 6), 9 * time.Second},
		"nothing was ever swept": {nil, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := longestBlindness(began, c.sweeps, c.kills); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
