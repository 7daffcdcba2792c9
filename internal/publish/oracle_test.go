package publish

import (
	"fmt"
	"time"

	"github.com/threadcast/threadcast/internal/event"
)

// heal ends all faults and lets everything come to rest.
func (w *world) heal() error {
	w.quiet = true
	for _, a := range w.actors {
		a.state.point = func(string) error { return nil }
	}
	for len(w.pages) > 0 || !w.atRest() {
		if err := w.round(); err != nil {
			return err
		}
	}
	w.elapse(w.beat + time.Second) // each partition gets a heartbeat, each forerunner an end
	for rounds := 0; ; rounds++ {
		if err := w.round(); err != nil {
			return err
		}
		if w.atRest() && rounds > 3 && w.alone() {
			return w.check()
		}
	}
}

func (w *world) atRest() bool {
	drained, err := w.primary().machine.Drained()
	return err == nil && drained && len(w.wire) == 0 && len(w.primary().answers) == 0
}

// alone says that every machine that was replaced has found out.
func (w *world) alone() bool {
	for _, a := range w.actors[:len(w.actors)-1] {
		if a.stopped == nil {
			return false
		}
	}
	return true
}

const mostRounds = 3000

// round lets everything happen that can happen at this time, then time goes on.
func (w *world) round() error {
	if w.rounds++; w.rounds > mostRounds {
		return fmt.Errorf("not at rest after %d rounds: %s", mostRounds, w.describe())
	}
	if len(w.pages) > 0 {
		w.commit(0)
	}
	for _, a := range w.actors {
		if err := w.due(a); err != nil {
			return err
		}
	}
	for len(w.wire) > 0 {
		w.deliver()
	}
	for _, a := range w.actors {
		for len(a.answers) > 0 && a.stopped == nil {
			if err := w.answer(a); err != nil {
				return err
			}
		}
	}
	if len(w.pages) == 0 && w.atRest() && w.alone() {
		return nil
	}
	step := time.Hour
	for _, a := range w.actors {
		if at, ok := a.machine.Next(w.now); ok && a.stopped == nil {
			step = min(step, at-w.now.Mono)
		}
	}
	w.elapse(step)
	return nil
}

func (w *world) describe() string {
	text := fmt.Sprintf("now %v, %d messages, %d pages", w.now.Mono, len(w.wire), len(w.pages))
	for _, a := range w.actors {
		next, _ := a.machine.Next(w.now)
		text += fmt.Sprintf("\nstopped %v, %d wait, next %v, %+v", a.stopped, a.state.pending(), next, a.machine.State(w.now))
	}
	return text
}

// check walks the log and compares it with what was observed.
func (w *world) check() error {
	seen := map[string]int{} // event id -> when it was appended
	for at, p := range w.log.partitions {
		if err := w.checkPartition(at, p, seen); err != nil {
			return fmt.Errorf("%s/%d: %w", at.Topic, at.Number, err)
		}
	}
	for id := range simThreads {
		if err := w.checkThread(id, seen); err != nil {
			return err
		}
	}
	if w.raised && !w.clockSet && w.count.forks == 0 {
		return fmt.Errorf("an event was stamped later than it was observed, though no clock was set")
	}
	if n := w.primary().state.pending(); n != 0 {
		return fmt.Errorf("%d entries wait, though the machine says that none does", n)
	}
	return nil
}

// checkPartition: once, and heartbeats tell the truth. Invariants G3, G6.
func (w *world) checkPartition(at event.Partition, p *simPartition, seen map[string]int) error {
	var events uint64
	var watermark time.Time
	for i, r := range p.records {
		if isHeartbeat(r) {
			e, err := event.Decode(r.Value)
			if err != nil {
				return err
			}
			beat := e.GetHeartbeat()
			if !beat.Barrier && beat.GetEvents() != events {
				return fmt.Errorf("heartbeat at %d counts %d events, there are %d", i, beat.GetEvents(), events)
			}
			if t := beat.GetWatermark().AsTime(); !beat.Barrier && t.After(watermark) {
				watermark = t
			}
			continue
		}
		events++
		id := idOf(r)
		if _, twice := seen[id]; twice {
			return fmt.Errorf("event %s is there twice, again at %d", id, i)
		}
		seen[id] = p.order[i]
		if t, ok := w.observed[id]; !ok || t.Before(watermark) {
			return fmt.Errorf("event %s at %d was observed at %v, a heartbeat before it promises %v", id, i, t, watermark)
		}
	}
	position := w.primary().state.partitions[at].position
	if last := int64(len(p.records)) - 1; position.Offset != last || position.Events != events {
		return fmt.Errorf("position is %+v, the log ends at %d with %d events", position, last, events)
	}
	return nil
}

// checkThread: nothing lost, and every event of a revision after all of the one
// before, in whatever partition. Invariants G1, G2.
func (w *world) checkThread(id int, seen map[string]int) error {
	before := 0
	for n := range w.taken[id] {
		last := before
		for _, e := range w.history.revisions[id][n].events {
			at, ok := seen[e.id]
			if !ok {
				return fmt.Errorf("event %s was lost", e.id)
			}
			if at < before {
				return fmt.Errorf("event %s is before one of revision %d", e.id, n)
			}
			last = max(last, at)
		}
		before = last
	}
	return nil
}
