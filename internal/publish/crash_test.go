package publish

import "testing"

// fate is what becomes of the requests that a process had sent when it died.
type fate int

const (
	lostWithIt fate = iota
	arriveAtOnce
	arriveAtTheEnd
)

type crashed struct{}

// script is one quiet run of a state from its first start over several observations;
// it dies at its point number k, and another process takes the state. It tells how
// many points there were.
func script(h *history, k int, f fate) (points int, err error) {
	w := newWorld(2, h, noBug)
	w.quiet = true
	point := func() {
		if points++; points == k {
			panic(crashed{})
		}
	}
	arm := func() {
		w.point = point
		w.primary().state.point = func(string) error { point(); return nil }
	}
	arm()
	for step := range 40 {
		if step%6 == 0 {
			w.pages = append(w.pages, page{arrived: w.now.Wall, threads: []int{step % simThreads, (step + 2) % simThreads}})
		}
		died, err := attempt(w.round)
		if err != nil {
			return points, err
		}
		if died {
			w.point = func() {}
			if err := w.die(f); err != nil {
				return points, err
			}
		}
	}
	w.point = func() {}
	return points, w.heal()
}

func attempt(step func() error) (died bool, err error) {
	defer func() {
		if r := recover(); r == (crashed{}) {
			died = true
		} else if r != nil {
			panic(r)
		}
	}()
	return false, step()
}

func (w *world) die(f fate) error {
	dead := w.primary()
	w.actors = nil
	sent := w.wire
	w.wire = nil
	for _, m := range sent {
		switch {
		case f == arriveAtOnce:
			w.carry(m.request)
		case f == arriveAtTheEnd && m.request.Question == AskAppend:
			defer func() { w.wire = append(w.wire, message{nil, m.request}) }()
		}
	}
	w.start(dead.state.crash())
	if f != arriveAtTheEnd {
		return nil
	}
	// The new process gets as far as it can before anything of the old one arrives.
	for range 30 {
		if err := w.round(); err != nil {
			return err
		}
	}
	return nil
}

// A process may die between any two steps, and inside any of them before or after
// each call of the state.
func TestCrashAtEveryStep(t *testing.T) {
	h := newHistory(t, simRevisions)
	total, err := script(h, 0, lostWithIt)
	if err != nil {
		t.Fatal(err)
	}
	if total < 100 {
		t.Fatalf("the script has %d points, want 100 or more", total)
	}
	for f, name := range []string{"requests lost with it", "requests arrive at once", "requests arrive at the end"} {
		t.Run(name, func(t *testing.T) {
			for k := 1; k <= total; k++ {
				if _, err := script(h, k, fate(f)); err != nil {
					t.Errorf("died at point %d of %d: %v", k, total, err)
				}
			}
		})
	}
}
