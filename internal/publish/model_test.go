package publish

import (
	"flag"
	"fmt"
	"testing"
)

var (
	schedules = flag.Int("schedules", defaultSchedules, "random schedules of the publishing model")
	firstSeed = flag.Uint64("seed", 1, "seed of the first schedule")
)

const (
	simMoves     = 250
	simRevisions = 12
)

func runSchedule(seed uint64, h *history, bug planted, count *tally) (err error) {
	defer func() {
		if r := recover(); r != nil && bug != noBug {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	w := newWorld(seed, h, bug)
	defer func() { count.add(w.count) }()
	if err := w.run(simMoves); err != nil {
		return err
	}
	return w.heal()
}

// Whatever is lost, late, repeated, refused or killed: each event is on its topic
// once, in order, and heartbeats tell the truth.
func TestModel(t *testing.T) {
	h := newHistory(t, simRevisions)
	var count tally
	for i := range *schedules {
		seed := *firstSeed + uint64(i)
		if err := runSchedule(seed, h, noBug, &count); err != nil {
			t.Fatalf("%v\nrepeat it with: go test ./internal/publish -run TestModel -schedules 1 -seed %d", err, seed)
		}
	}
	t.Logf("%+v", count)
}

// A model that catches nothing proves nothing.
func TestModelCatchesPlantedBugs(t *testing.T) {
	h := newHistory(t, simRevisions)
	const within = 400
	for name, bug := range map[string]planted{
		"no barrier": noBarrier, "no scan": noScan, "acknowledged before published": ackBeforePublish,
		"a new sequence on repetition": newSequence, "no causal rule": noCausalRule,
		"recovery without the current producer": recoverFromNothing, "watermark without horizon": noHorizon,
		"heartbeat without promise": noPromise, "events counted wrong": countTwice,
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(within) {
				if err := runSchedule(seed, h, bug, &tally{}); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Errorf("not caught within %d schedules", within)
		})
	}
}
