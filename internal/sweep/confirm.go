package sweep

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

const (
	// confirmers is how many threads are asked for side by side.
	confirmers = 4
	// maxDoubts bounds the queue; what does not fit is found again by the next cycle,
	// as a reading in doubt leaves no hash.
	maxDoubts = 10_000
	// settle is waited before a thread is asked for, so that the request is certainly
	// sent after the doubtful answer had arrived, by clocks that count milliseconds.
	settle = 2 * time.Millisecond
)

// doubts are the threads that wait to be asked for, first come first served, each
// once.
type doubts struct {
	mu      sync.Mutex
	queue   []thread.ID
	waiting map[thread.ID]*flight
	wake    chan struct{}
}

func (d *doubts) init() {
	d.waiting = map[thread.ID]*flight{}
	d.wake = make(chan struct{}, 1)
}

func (d *doubts) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.waiting)
}

// doubt queues a thread whose reading, sent then, decides nothing.
func (s *Sweep) doubt(id thread.ID, sent thread.Instant) {
	d := &s.doubts
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting[id] != nil || len(d.queue) >= maxDoubts {
		return
	}
	flight := s.flights.begin()
	flight.sent(sent)
	d.waiting[id] = flight
	d.queue = append(d.queue, id)
	d.signal()
}

func (d *doubts) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// next takes the first of the queue, or waits for one.
func (d *doubts) next(ctx context.Context) (thread.ID, error) {
	for {
		d.mu.Lock()
		if len(d.queue) > 0 {
			id := d.queue[0]
			d.queue = d.queue[1:]
			if len(d.queue) > 0 {
				d.signal() // for the next confirmer
			}
			d.mu.Unlock()
			return id, nil
		}
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-d.wake:
		}
	}
}

// settled takes a thread off, so that it can be doubted again.
func (d *doubts) settled(id thread.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting[id].end()
	delete(d.waiting, id)
}

// confirm asks for the threads in doubt, one after another.
func (s *Sweep) confirm(ctx context.Context) error {
	for {
		id, err := s.doubts.next(ctx)
		if err != nil {
			return err
		}
		err = s.ask(ctx, id)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, thread.ErrNotFound):
			// Gone or archived: nothing is concluded from one GET. Invariant G8.
		case err != nil && fatal(err):
			return fmt.Errorf("lane %s: %w", thread.LaneConfirm, err)
		case err != nil:
			s.cfg.Logger.Warn("thread could not be asked for, the next cycle will see it again", "thread", id, "err", err)
		}
	}
}

// ask asks for one thread and takes the answer in.
func (s *Sweep) ask(ctx context.Context, id thread.ID) error {
	flight := s.flights.begin()
	defer flight.end()
	err := sleep(ctx, settle)
	var page thread.Page
	if err == nil {
		page, err = s.source.Get(ctx, id, false, flight.sent)
	}
	s.doubts.settled(id) // from here on it can be doubted again
	if err != nil {
		return err
	}
	return s.take(page, nil)
}
