package publish

import (
	"context"
	"sync"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/thread"
)

// Publisher carries out what the Machine asks for: requests side by side, answers
// and time in one goroutine.
type Publisher struct {
	transactionalID string
	log             Log
	clock           thread.Clock
	wake            chan struct{}
	drain           chan struct{}
	draining        sync.Once
	answers         chan []Response
	calls           sync.WaitGroup

	mu      sync.Mutex // guards the machine
	machine *Machine
}

const (
	// drainTime bounds a drain, so that a process ends within five seconds of its
	// first signal; the last part of it is for the batches in flight.
	drainTime  = 4500 * time.Millisecond
	drainBuild = 3500 * time.Millisecond
	// callTime bounds a call that the log itself does not end.
	callTime = 45 * time.Second
)

// NewPublisher makes a publisher for one run. The state must not be used by another.
func NewPublisher(cfg Config, ledger Ledger, outbox Outbox, log Log, clock thread.Clock) *Publisher {
	return &Publisher{
		transactionalID: cfg.TransactionalID, log: log, clock: clock, machine: New(cfg, ledger, outbox),
		wake: make(chan struct{}, 1), drain: make(chan struct{}), answers: make(chan []Response),
	}
}

// Wake says that the outbox may hold more. It never blocks.
func (p *Publisher) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Drain makes Run publish what is in the outbox now, save the acknowledgements and
// return nil, within five seconds; what Kafka did not take by then stays in the
// outbox. Nothing must be appended any more. A repeated call changes nothing.
func (p *Publisher) Drain() { p.draining.Do(func() { close(p.drain) }) }

// State tells what is going on.
func (p *Publisher) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine.State(p.clock())
}

// Run publishes until the context ends, Drain has been carried out, or a person has
// to act: a Stop, or an error of the state. It leaves no goroutine behind. It is
// called once.
func (p *Publisher) Run(ctx context.Context) error {
	calling, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		p.discard()
	}()
	drain := p.drain
	var end drainEnd
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		requests, wait, err := p.step(&end)
		if err != nil || end.over {
			return p.finish(err)
		}
		p.send(calling, requests)
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return p.finish(context.Cause(ctx))
		case <-drain:
			drain = nil
			end.begin(p.clock())
		case <-p.wake:
			p.woken()
		case answers := <-p.answers:
			err = p.answer(answers)
		case <-timer.C:
		}
		if err != nil {
			return p.finish(err)
		}
	}
}

// finish saves what was acknowledged, whatever ended the run.
func (p *Publisher) finish(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if flushed := p.machine.Flush(); err == nil {
		err = flushed
	}
	return err
}

// discard waits for the calls that are still out; their answers are the next
// session's to find.
func (p *Publisher) discard() {
	finished := make(chan struct{})
	go func() {
		p.calls.Wait()
		close(finished)
	}()
	for {
		select {
		case <-p.answers:
		case <-finished:
			return
		}
	}
}

// drainEnd is how far a drain has come.
type drainEnd struct {
	begun        bool
	build, limit time.Duration // process times at which it stops building, and ends
	over         bool
}

func (d *drainEnd) begin(now thread.Instant) {
	d.begun, d.build, d.limit = true, now.Mono+drainBuild, now.Mono+drainTime
}

// step lets the machine say what is due, and how long nothing else will be.
func (p *Publisher) step(end *drainEnd) (requests []Request, wait time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock()
	if end.begun {
		if err := p.stepDrain(now, end); err != nil || end.over {
			return nil, 0, err
		}
	}
	if requests, err = p.machine.Due(now); err != nil {
		return nil, 0, err
	}
	const longest = time.Minute
	wait = longest
	if at, ok := p.machine.Next(now); ok {
		wait = min(wait, at-now.Mono)
	}
	if end.begun {
		const look = 10 * time.Millisecond // a drain ends by a state, not by an event
		wait = min(wait, look)
	}
	return requests, wait, nil
}

func (p *Publisher) stepDrain(now thread.Instant, end *drainEnd) error {
	p.machine.Wake() // the last page may have been committed just before
	drained, err := p.machine.Drained()
	if now.Mono >= end.build {
		p.machine.Drain()
		drained = drained || !p.machine.InFlight()
	}
	end.over = drained || now.Mono >= end.limit
	return err
}

func (p *Publisher) woken() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.machine.Wake()
}

func (p *Publisher) answer(answers []Response) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock()
	for _, answer := range answers {
		if err := p.machine.Answer(now, answer); err != nil {
			return err
		}
	}
	return nil
}

// send carries requests out. Batches go together, one request a leader; what failed
// before goes alone, so that a dead leader holds up only itself.
func (p *Publisher) send(ctx context.Context, requests []Request) {
	var together []Request
	for _, r := range requests {
		switch {
		case r.Question == AskProducer:
			p.call(ctx, func(ctx context.Context) []Response { return p.askProducer(ctx, r) })
		case r.Question == AskRecords:
			p.call(ctx, func(ctx context.Context) []Response { return p.askRecords(ctx, r) })
		case r.Repeated:
			p.call(ctx, func(ctx context.Context) []Response { return p.askAppends(ctx, []Request{r}) })
		default:
			together = append(together, r)
		}
	}
	if len(together) > 0 {
		p.call(ctx, func(ctx context.Context) []Response { return p.askAppends(ctx, together) })
	}
}

func (p *Publisher) call(ctx context.Context, ask func(context.Context) []Response) {
	p.calls.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		p.answers <- ask(ctx)
	})
}

func (p *Publisher) askProducer(ctx context.Context, r Request) []Response {
	producer, err := p.log.InitProducer(ctx, p.transactionalID, r.Current)
	return []Response{{ID: r.ID, Producer: producer, Err: err}}
}

func (p *Publisher) askAppends(ctx context.Context, requests []Request) []Response {
	batches := make([]broker.Batch, len(requests))
	for i, r := range requests {
		batches[i] = broker.Batch{Topic: r.Partition.Topic, Partition: r.Partition.Number, Bytes: r.Bytes}
	}
	responses := make([]Response, len(requests))
	for i, produced := range p.log.Produce(ctx, batches) {
		responses[i] = Response{ID: requests[i].ID, Offset: produced.Offset, Err: produced.Err}
	}
	return responses
}

func (p *Publisher) askRecords(ctx context.Context, r Request) []Response {
	offset := r.Offset
	if offset == LogStart {
		start, _, err := p.log.Offsets(ctx, r.Partition.Topic, r.Partition.Number)
		if err != nil {
			return []Response{{ID: r.ID, Err: err}}
		}
		offset = start
	}
	fetched, err := p.log.Fetch(ctx, r.Partition.Topic, r.Partition.Number, offset)
	if r.Offset == LogStart {
		fetched.Start = offset
	}
	return []Response{{ID: r.ID, Fetched: fetched, Err: err}}
}
