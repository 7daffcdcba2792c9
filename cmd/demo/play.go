package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/oracle"
	"github.com/threadcast/threadcast/internal/pipeline"
)

const (
	// discoveryPatience is how long the threads of the start may take to reach Kafka.
	discoveryPatience = 2 * time.Minute
	// farewell is the part of --for that stopping and checking take.
	farewell = 300 * time.Millisecond
	// leastPlay is how long things happen even where --for is spent on the start.
	leastPlay = time.Second
	// lookEvery is how often something is looked at that tells nobody when it is so.
	lookEvery = 20 * time.Millisecond
	// judgeEvery is how often all records are checked while something is missing.
	judgeEvery = 500 * time.Millisecond
)

// errEnough ends a demo that has no end of its own.
var errEnough = fmt.Errorf("%d records were read, the check keeps no more", mostRecords)

// show is one run of the demo.
type show struct {
	surroundings
	opt      options
	began    time.Time
	dir      string // of configuration and state
	names    names
	hubspot  *inbox
	cluster  cluster
	cfg      *config.Config
	view     view
	audience *audience
}

// play runs the demo. Its error says what is wrong: with the surroundings, or with
// what reached the consumer.
func play(ctx context.Context, s surroundings, o options) (err error) {
	ctx, playing, release := heed(ctx, s.signals)
	defer release()
	p := &show{surroundings: s, opt: o, began: time.Now(), view: newView(s.stdout, o.json)}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.open(playing); err != nil {
		return err
	}
	p.view.tell(p.opening())
	return p.run(ctx, playing)
}

// open builds the scene, from the left to the right.
func (p *show) open(ctx context.Context) (err error) {
	if p.dir, err = os.MkdirTemp("", "threadcast-demo-"); err != nil {
		return err
	}
	if p.names, err = newNames(len(p.opt.brokers) > 0); err != nil {
		return err
	}
	p.opt.inbox.account = p.names.Account
	if p.hubspot, err = openInbox(ctx, p.opt.inbox); err != nil {
		return err
	}
	if p.cluster, err = openCluster(p.opt.brokers); err != nil {
		return err
	}
	if p.cfg, err = writeConfig(p.dir, p.hubspot, p.cluster, p.names); err != nil {
		return err
	}
	p.audience = newAudience(p.hubspot.server, p.hubspot.listed(), p.view, p.rig.steal)
	return createTopics(ctx, p.cfg)
}

func (p *show) close() error {
	var errs []error
	p.cluster.close()
	if p.hubspot != nil {
		errs = append(errs, p.hubspot.close())
	}
	if p.dir != "" {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	return errors.Join(errs...)
}

// run starts the service and the consumer and directs the play.
func (p *show) run(ctx, playing context.Context) error {
	service, err := newProduct(p.cfg, p.surroundings)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	playing, stop := context.WithCancelCause(playing)
	defer context.AfterFunc(ctx, func() { stop(context.Cause(ctx)) })()
	consuming, stopConsuming := context.WithCancel(ctx)
	served := make(chan struct{})
	group.Go(func() error {
		return consume(consuming, p.cluster.brokers, p.cfg.Kafka.TopicNames(), p.audience.take)
	})
	group.Go(func() error {
		defer close(served)
		return service.Run(ctx)
	})
	group.Go(func() error {
		defer stopConsuming()
		defer service.Drain()
		if err := p.direct(ctx, playing, stop); err != nil {
			return err
		}
		service.Drain()
		<-served
		return p.catchUp(ctx)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return p.judge()
}

// direct lets the threads of the start come, then things happen, then everything
// settle.
func (p *show) direct(ctx, playing context.Context, stop context.CancelCauseFunc) error {
	if err := p.discover(playing); err != nil {
		return err
	}
	if p.opt.length > 0 {
		quiet := min(max(p.opt.length/5, fullEvery*5/4), 4*time.Second)
		p.hubspot.opt.quiet = quiet
		p.hubspot.opt.length = max(quiet+leastPlay, p.opt.length-time.Since(p.began)-farewell)
	}
	err := p.hubspot.play(playing, func() {
		if p.audience.full() {
			stop(errEnough)
		}
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errInterrupted), errors.Is(err, errEnough):
		p.view.tell(notice{kind: "stopping", text: fmt.Sprintf("\n%v: nothing changes any more, the last changes are waited for", err)})
		rest(ctx, spacing(p.opt.inbox.threads)/2)
	case err != nil:
		return err
	}
	return p.settle(ctx)
}

// discover waits until the threads of the start are on Kafka.
func (p *show) discover(playing context.Context) error {
	late := time.NewTimer(discoveryPatience)
	defer late.Stop()
	select {
	case <-p.audience.discovered:
	case <-playing.Done():
		return fmt.Errorf("%w before the threads of the start were on Kafka: nothing was checked", context.Cause(playing))
	case <-late.C:
		return fmt.Errorf("after %v not all threads of the start are on Kafka", discoveryPatience)
	}
	start, _ := p.audience.counted()
	p.view.tell(p.discovery(start))
	return nil
}

// settle waits until nothing is missing, at most as long as the rig's patience: a busy
// machine is slow, not wrong.
func (p *show) settle(ctx context.Context) error {
	for late := time.Now().Add(p.rig.patience); time.Now().Before(late); {
		if report := p.report(); report.Lost == 0 && report.Unsettled == 0 {
			return nil
		}
		if !rest(ctx, judgeEvery) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// catchUp waits until the consumer has read to the ends of the topics.
func (p *show) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, kafkaPatience, fmt.Errorf("the consumer did not reach the end of the topics in %v", kafkaPatience))
	defer cancel()
	goal, err := ends(ctx, p.cluster.brokers, p.cfg.Kafka.TopicNames())
	if err != nil {
		return err
	}
	for !p.audience.reached(goal) {
		if !rest(ctx, lookEvery) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// report compares what the consumer read with the fake's log.
func (p *show) report() oracle.Report {
	return oracle.Check(p.audience.kept(), p.hubspot.server, oracle.Options{
		Kinds: p.cfg.Kafka.Kinds, MustSee: mustSee(p.opt.inbox.threads), From: p.began,
	})
}

// judge tells the summary; its error is what is wrong.
func (p *show) judge() error {
	s := p.summary(p.report())
	p.view.tell(s.notice())
	if err := s.report.Err(); err != nil {
		return &pipeline.Failure{Code: pipeline.CodeInvariant, Err: fmt.Errorf("a promise was broken: %w", err)}
	}
	return nil
}

// rest sleeps; false if the context ended before.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
