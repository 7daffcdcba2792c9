package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/kafkatest"
	"github.com/threadcast/threadcast/internal/oracle"
)

// The play of the kill test. A thread is left alone for longer than the service can be
// away and then takes to look, so that no change can be missed.
const (
	killThreads = 300
	killEvery   = 20 * time.Millisecond   // a change somewhere
	killSpacing = 1500 * time.Millisecond // between two changes of one thread
	// longestLife: the process is killed somewhere between its first instruction and
	// this, so in start, scan, first reading, commit, publishing and idling.
	longestLife = 2 * time.Second
	// drainTime is how long the first signal may take.
	drainTime = 5 * time.Second
	// settledSweeps are enough for whatever a reading left in doubt.
	settledSweeps = 6
)

// Invariants G1, G2, G3, G4, G5, G6: after any number of crashes at any moment, every
// change is published once, in order, with everything about it true.
func TestKillNineLosesAndRepeatsNothing(t *testing.T) {
	kills := 6
	if kafkatest.Real() {
		kills = 20
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 9))
	t.Logf("seed %d, %d kills", seed, kills)

	s := newStage(t, killThreads)
	began := time.Now()
	stop := s.play(t, seed)
	for range kills {
		p := s.start(t, "run")
		<-time.After(time.Duration(random.Int64N(int64(longestLife))))
		p.kill()
	}
	last := s.start(t, "run")
	stop()
	s.settle(t)
	s.drain(t, last)
	s.sound(t)

	records, err := published(t.Context(), s.brokers, s.prefix)
	if err != nil {
		t.Fatal(err)
	}
	mustSee := longestBlindness(sweeps(s.hubspot))
	report := oracle.Check(records, s.hubspot, oracle.Options{MustSee: mustSee, From: began})
	t.Logf("%v; %d changes, %d missed, must see what stood %v", &report, report.Changes, report.Missed, mustSee)
	if err := report.Err(); err != nil {
		t.Errorf("seed %d: %v\nlast log:\n%s", seed, err, last.stderr)
	}
	if report.Changes < killThreads || report.Heartbeats == 0 || report.Barriers == 0 {
		t.Errorf("seed %d: too little happened: %d changes, %d heartbeats, %d barriers", seed, report.Changes, report.Heartbeats, report.Barriers)
	}
}

// play lets people work in the inbox until stop is called.
func (s *stage) play(t *testing.T, seed uint64) (stop func()) {
	script := hubspottest.NewScript(s.hubspot, hubspottest.ScriptConfig{Seed: seed, Every: killEvery, Spacing: killSpacing})
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

// longestBlindness is how long a state must stand to be seen for certain: a process
// killed between the answer and the commit has seen nothing, so two sweeps in a row
// can be in vain, and what one leaves in doubt is asked again after the next.
func longestBlindness(sweeps []time.Time) time.Duration {
	const inVain = 3
	var longest time.Duration
	for i := inVain; i < len(sweeps); i++ {
		longest = max(longest, sweeps[i].Sub(sweeps[i-inVain]))
	}
	return longest
}
