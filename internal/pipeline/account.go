package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/hubspot"
	"github.com/threadcast/threadcast/internal/publish"
	"github.com/threadcast/threadcast/internal/quota"
	"github.com/threadcast/threadcast/internal/store"
	"github.com/threadcast/threadcast/internal/telemetry"
	"github.com/threadcast/threadcast/internal/thread"
)

// States of an account, for people and probes.
const (
	stateStarting = "starting" // the state is opened, HubSpot and Kafka are looked for
	stateRunning  = "running"
	stateParked   = "parked"   // HubSpot refuses the token; its file is watched
	stateDraining = "draining" // the outbox is published, nothing is read any more
	stateDone     = "done"     // stopped as it was told to
	stateStopped  = "stopped"  // a person has to act
)

// account is one account on its way from HubSpot to Kafka. A fault of its own stops
// it alone.
type account struct {
	service  *Service
	cfg      config.Account
	kafka    config.Kafka
	instance publish.Instance
	clock    thread.Clock
	logger   *slog.Logger
	metrics  *telemetry.Account

	store     *store.Store
	governor  *quota.Governor
	source    *hubspot.Client
	broker    *broker.Client
	sweep     *reader
	publisher *writer

	mu     sync.Mutex
	state  string
	reason string
}

func newAccount(s *Service, cfg config.Account, instance publish.Instance, clock thread.Clock) *account {
	return &account{
		service: s, cfg: cfg, kafka: s.cfg.Kafka, instance: instance, clock: clock,
		logger: s.opt.Logger.With("account", cfg.Label), metrics: s.telemetry.Account(cfg.Label), state: stateStarting,
	}
}

// run is the account's life. It returns nil when it was told to stop, and otherwise
// why it stopped.
func (a *account) run(ctx context.Context) error {
	err := a.live(ctx)
	if err == nil || ended(ctx, err) {
		a.enter(stateDone, "")
		a.logger.Info("account stopped")
		return nil
	}
	a.enter(stateStopped, err.Error())
	a.logger.Error("account stopped, a person has to act", "code", ExitCode(err), "err", err)
	return fmt.Errorf("account %s: %w", a.cfg.Label, err)
}

// live opens what the account owns, runs its two halves and closes it all.
func (a *account) live(ctx context.Context) (err error) {
	if err := a.openState(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.store.Close()) }()
	if err := a.openSource(); err != nil {
		return err
	}
	defer a.source.Close()
	a.broker, err = broker.Open(broker.Config{Brokers: a.kafka.Brokers, ClientID: clientID, Dial: a.service.opt.Dial})
	if err != nil {
		return &Failure{CodeConfig, err}
	}
	defer a.broker.Close()
	a.metrics.Poll(a.figures)
	defer a.metrics.Poll(nil)

	a.publisher = newWriter(a)
	a.sweep = newReader(a)
	group, ctx := errgroup.WithContext(ctx)
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	group.Go(func() error {
		select {
		case <-a.service.draining:
			a.enter(stateDraining, "")
			stopReading()
		case <-reading.Done():
		}
		return nil
	})
	group.Go(func() error {
		defer stopReading()
		defer a.publisher.drain()
		err := a.sweep.run(reading)
		if reading.Err() != nil && ended(reading, err) {
			return nil
		}
		return err
	})
	group.Go(func() error { return a.publisher.run(ctx) })
	return group.Wait()
}

func (a *account) openState() (err error) {
	topics := map[thread.Kind]string{}
	for kind := range a.kafka.Kinds.All() {
		topics[kind] = a.kafka.Topic(kind)
	}
	a.store, err = store.Open(store.Config{
		Dir: a.service.cfg.State.Dir, Label: a.cfg.Label, Kinds: a.kafka.Kinds, Topics: topics, Decode: hubspot.Decode,
		Inboxes: a.cfg.HubSpot.Inboxes, Silent: a.cfg.FirstRun == config.FirstRunRecord, ListsMayLag: a.cfg.ListsMayLag,
		Discard: a.discards(),
	})
	if err != nil {
		return err
	}
	if a.discards() {
		a.logger.Warn("the state was discarded on purpose and is kept beside; do not leave --new in a unit file, each start discards again",
			"path", a.store.Path())
	}
	a.logger.Info("state opened", "path", a.store.Path(), "threads", a.store.Stats().Threads, "outbox", a.store.Stats().Outbox)
	return nil
}

func (a *account) discards() bool {
	for _, label := range a.service.opt.New {
		if label == a.cfg.Label {
			return true
		}
	}
	return false
}

// openSource makes the client that reads HubSpot, and its quota.
func (a *account) openSource() (err error) {
	a.source, a.governor, err = newSource(a.cfg, sourceParts{
		clock: a.clock, ledger: a.store, kinds: a.kafka.Kinds, version: a.service.opt.Version, transport: a.service.opt.HTTP,
		logger: a.logger, observe: a.attempted,
	})
	return err
}

// sourceParts are what a client needs beside its account's configuration.
type sourceParts struct {
	clock     thread.Clock
	ledger    quota.Ledger
	kinds     thread.KindSet
	version   string
	transport transport
	logger    *slog.Logger
	observe   func(hubspot.Attempt)
	attempts  int
}

func newSource(cfg config.Account, parts sourceParts) (*hubspot.Client, *quota.Governor, error) {
	governor, err := quota.New(quota.Options{
		DailyShare: cfg.Quota.DailyShare, BurstShare: cfg.Quota.BurstShare, MaxCallsPerSecond: cfg.Quota.MaxCallsPerSecond,
		DailyLimit: cfg.Quota.DailyLimit, Ledger: parts.ledger,
	})
	if err != nil {
		return nil, nil, &Failure{CodeConfig, err}
	}
	token := hubspot.EnvToken(cfg.HubSpot.Auth.TokenEnv, os.LookupEnv)
	if cfg.HubSpot.Auth.TokenFile != "" {
		token = hubspot.FileToken(cfg.HubSpot.Auth.TokenFile, parts.clock)
	}
	client, err := hubspot.New(hubspot.Config{
		BaseURL: cfg.HubSpot.BaseURL, Version: cfg.HubSpot.APIVersion, HTTP: parts.transport, Clock: parts.clock, Governor: governor,
		Token: token, UserAgent: "threadcast/" + parts.version, Kinds: parts.kinds, Logger: parts.logger,
		Jitter: rand.Float64, Attempts: parts.attempts, Observe: parts.observe,
	})
	if err != nil {
		return nil, nil, &Failure{CodeConfig, err}
	}
	return client, governor, nil
}

// attempted records one call to HubSpot.
func (a *account) attempted(call hubspot.Attempt) {
	result := "ok"
	if call.Class != 0 {
		result = call.Class.String()
	}
	a.metrics.Attempt(call.Endpoint, result, call.Took, call.Bytes, call.Skew)
}

// figures are what the stages count by themselves.
func (a *account) figures() telemetry.Figures {
	state, stats := a.governor.State(quota.Moment(a.clock())), a.store.Stats()
	oldest, err := a.store.Oldest()
	if err != nil {
		a.logger.Warn("the oldest event of the outbox cannot be read", "err", err)
	}
	return telemetry.Figures{
		CallsToday: state.CallsToday, DailyLimit: state.LimitToday, CallRate: state.Rate, CallsWaiting: state.Waiting,
		Refusals: state.Refusals, ParkedUntil: state.ParkedUntil, Threads: stats.Threads, OutboxEntries: stats.Outbox, OutboxOldest: oldest,
		StaleReads: stats.Stale, Rereads: stats.Rereads, NotUnderstood: stats.NotUnderstood, ClockSteps: stats.ClockSet,
	}
}

func (a *account) enter(state, reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state, a.reason = state, reason
}

// health is what the account is doing, and whether that is what it should be doing.
func (a *account) health() telemetry.Health {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := telemetry.Health{State: a.state, Reason: a.reason}
	if a.state != stateRunning {
		return h
	}
	reading, waiting := a.sweep.ready()
	writing, trouble := a.publisher.ready()
	h.Ready, h.Reason = reading && writing, trouble
	if h.Reason == "" {
		h.Reason = waiting
	}
	return h
}

// retryEvery is the pace at which an upstream that is away is looked for.
const retryEvery = 2 * time.Second

// patiently repeats what fails only for now: a full disk.
func patiently(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, thread.ErrTemporary) {
			return err
		}
		if err := pause(ctx, retryEvery); err != nil {
			return err
		}
	}
}

// pause waits, unless the context ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
