package hubspottest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// play runs a number of steps by hand, with the clock moved by their delays.
func play(t *testing.T, cfg ScriptConfig, steps int) (s *Server, before []Thread) {
	t.Helper()
	clock := &hand{epoch}
	s = New(Config{Clock: clock.clock, Behaviour: Behaviour{AutoAssign: true}})
	script := NewScript(s, cfg)
	before = s.Threads()
	for range steps {
		step, ok := script.Next()
		if !ok {
			break
		}
		clock.pass(step.Delay)
		if err := step.Do(); err != nil {
			t.Fatalf("seed %d: %v", cfg.Seed, err)
		}
	}
	return s, before
}

func everything() map[Op]int {
	mix := DefaultMix()
	mix[OpPurge] = 2
	return mix
}

func TestScriptIsDeterministic(t *testing.T) {
	for seed := range uint64(3) {
		cfg := ScriptConfig{Seed: seed, Spacing: 20 * time.Second, Population: Population{Threads: 400, Seed: seed}, Mix: everything()}
		a, _ := play(t, cfg, 700)
		b, _ := play(t, cfg, 700)
		if !slices.Equal(a.Log(0), b.Log(0)) || !slices.Equal(a.Threads(), b.Threads()) {
			t.Errorf("seed %d: two plays differ", seed)
		}
		cfg.Seed += 100
		if other, _ := play(t, cfg, 700); slices.Equal(a.Log(0), other.Log(0)) {
			t.Errorf("seeds %d and %d: same play", seed, cfg.Seed)
		}
	}
}

func TestLogFoldsToTheState(t *testing.T) {
	for seed := range uint64(5) {
		s, before := play(t, ScriptConfig{Seed: seed, Population: Population{Threads: 300, Seed: seed}, Mix: everything()}, 3000)
		if got := fold(t, before, s.Log(0)); !slices.Equal(got, s.Threads()) {
			t.Errorf("seed %d: folded log differs from the state", seed)
		}
	}
}

// TestScriptFollowsHubSpot holds every mutation of a long play to the rules of a
// thread: what moves the latest message, and when closedAt is set.
func TestScriptFollowsHubSpot(t *testing.T) {
	seen := make(map[Op]int)
	s, _ := play(t, ScriptConfig{Seed: 7, Population: Population{Threads: 500, Seed: 7}, Mix: everything()}, 8000)
	for _, m := range s.Log(0) {
		seen[m.Op]++
		message := slices.Contains([]Op{OpOpen, OpReceive, OpReply, OpReopenByMessage}, m.Op)
		if moved := m.After.LatestMessage != m.Before.LatestMessage; moved != message {
			t.Errorf("%d %s: latest message moved: %t", m.Sequence, m.Op, moved)
		}
		at := m.After.LatestMessage
		if message && (at.Sub(m.Time).Abs() > 5*time.Millisecond || m.After.LatestReceived != at && m.After.LatestSent != at) {
			t.Errorf("%d %s: latest message at %v, want %v", m.Sequence, m.Op, at, m.Time)
		}
		if closed := m.After.Status == StatusClosed; closed == m.After.ClosedAt.IsZero() {
			t.Errorf("%d %s: %s with closedAt %v", m.Sequence, m.Op, m.After.Status, m.After.ClosedAt)
		}
		if m.Time.Nanosecond()%1e6 != 0 || m.Time.Location() != time.UTC {
			t.Errorf("%d %s: time %v is not in UTC milliseconds", m.Sequence, m.Op, m.Time)
		}
	}
	for op := OpOpen; op < OpEdit; op++ {
		if seen[op] == 0 {
			t.Errorf("%s never happened in 8000 steps", op)
		}
	}
	if open := len(s.openThreads()); open < 5 || open > 100 {
		t.Errorf("open threads at the end: got %d, want about as many as at the start", open)
	}
}

func TestScriptKeepsItsSpacing(t *testing.T) {
	const spacing = 30 * time.Second
	s, _ := play(t, ScriptConfig{Seed: 3, Every: 300 * time.Millisecond, Spacing: spacing, Population: Population{Threads: 300, Seed: 3}}, 6000)
	last := make(map[thread.ID]time.Time)
	for _, m := range s.Log(0) {
		// The assignment of a replier belongs to its reply.
		if before, ok := last[m.Thread]; ok && m.Time != before && m.Time.Sub(before) < spacing-time.Millisecond {
			t.Errorf("%d %s of %s: %v after the one before", m.Sequence, m.Op, m.Thread, m.Time.Sub(before))
		}
		last[m.Thread] = m.Time
	}
	if got := len(s.Log(0)); got < 5500 {
		t.Errorf("mutations: got %d in 6000 steps", got)
	}
}

func TestScriptOnAnEmptyAccount(t *testing.T) {
	s, _ := play(t, ScriptConfig{Seed: 1}, 300)
	if got := len(s.Log(0)); got < 290 {
		t.Errorf("mutations: got %d in 300 steps", got)
	}
	idle, _ := play(t, ScriptConfig{Seed: 1, Mix: map[Op]int{OpClose: 1}}, 50)
	if got := len(idle.Log(0)); got != 0 {
		t.Errorf("nothing to close: got %d mutations", got)
	}
}

func TestRunEndsQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Clock: time.Now})
		script := NewScript(s, ScriptConfig{
			Seed: 5, Every: 200 * time.Millisecond, Length: 20 * time.Second, Quiet: 5 * time.Second,
			Population: Population{Threads: 200, Seed: 5},
		})
		start, steps := time.Now(), 0
		if err := script.Run(t.Context(), func(Step) { steps++ }); err != nil {
			t.Fatal(err)
		}
		log := s.Log(0)
		if took := time.Since(start); took != 20*time.Second || steps != len(log) || steps < 40 || steps > 120 {
			t.Errorf("run: %d steps and %d mutations in %v, want about 75 in 20s", steps, len(log), took)
		}
		if last := log[len(log)-1].Time; last.After(start.Add(15 * time.Second)) {
			t.Errorf("last mutation: %v after the start, want at most 15s", last.Sub(start))
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := NewScript(New(Config{Clock: time.Now}), ScriptConfig{Seed: 5})
		stop := errors.New("stop")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, stop)
		defer cancel()
		if err := script.Run(ctx, nil); !errors.Is(err, stop) {
			t.Errorf("run: got %v, want the context's cause", err)
		}
	})
}

func TestRunPassesOverWhatBecameImpossible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Clock: time.Now})
		script := NewScript(s, ScriptConfig{Seed: 5, Length: time.Minute, Mix: map[Op]int{OpClose: 1}, Population: Population{Threads: 300, Seed: 1, OpenShare: 0.2}})
		for _, id := range s.openThreads() {
			if err := s.Purge(id); err != nil {
				t.Fatal(err)
			}
		}
		if err := script.Run(t.Context(), func(step Step) {
			if step.Op != OpNone {
				t.Errorf("did %s", step.Op)
			}
		}); err != nil {
			t.Errorf("run: %v", err)
		}
	})
}
