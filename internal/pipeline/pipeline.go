// Package pipeline wires the stages in the order of the data: HubSpot, sweep, store,
// publisher, Kafka; one line of them an account. It starts and stops them, decides
// what an error means for its account, and holds what the operator's commands do. All
// stages are known here and nowhere else.
package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/publish"
	"github.com/threadcast/threadcast/internal/telemetry"
	"github.com/threadcast/threadcast/internal/thread"
)

// clientID is how we introduce ourselves to Kafka.
const clientID = "threadcast"

// Options are what a service needs beside its configuration.
type Options struct {
	Version string // of this binary, for HubSpot and the metrics
	// New lists the labels whose state is to be discarded on purpose.
	New []string
	// FailFast ends the process with the first account that stops.
	FailFast bool
	Logger   *slog.Logger
	// HTTP and Dial replace the network; nil: the real one.
	HTTP http.RoundTripper
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Service publishes the accounts of a configuration.
type Service struct {
	cfg       *config.Config
	opt       Options
	telemetry *telemetry.Telemetry
	accounts  []*account
	draining  chan struct{}
	drain     sync.Once
}

// New makes a service. Nothing is opened before Run.
func New(cfg *config.Config, opt Options) (*Service, error) {
	for _, label := range opt.New {
		if !slices.ContainsFunc(cfg.Accounts, func(a config.Account) bool { return a.Label == label }) {
			return nil, &Failure{CodeUsage, fmt.Errorf("--new %s: the configuration has no such account", label)}
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find out the name of this host: %w", err)
	}
	s := &Service{cfg: cfg, opt: opt, draining: make(chan struct{})}
	s.telemetry = telemetry.New(telemetry.Config{Version: opt.Version, Listen: cfg.HTTP.Listen, Health: s.Health, Logger: opt.Logger})
	instance := publish.Instance{ID: rand.Text(), Host: host, StartedAt: time.Now().UTC()}
	for _, a := range cfg.Accounts {
		s.accounts = append(s.accounts, newAccount(s, a, instance, thread.NewClock()))
	}
	return s, nil
}

// Drain is the first signal: reading stops, what is in the outbox is published, and
// Run returns within seconds. A repeated call changes nothing.
func (s *Service) Drain() { s.drain.Do(func() { close(s.draining) }) }

// Run publishes until it is drained, its context ends, or no account is left. The
// error is that of the account that stopped first; ExitCode tells its code.
func (s *Service) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx, cancel) }()

	var mu sync.Mutex
	var first error
	var running sync.WaitGroup
	for _, a := range s.accounts {
		running.Go(func() {
			err := a.run(ctx)
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if first == nil {
				first = err
			}
			if s.opt.FailFast {
				cancel(err)
			}
		})
	}
	running.Wait()
	cancel(errFinished)
	if err := <-served; err != nil && first == nil {
		return err
	}
	return first
}

var errFinished = errors.New("no account is left")

// serve offers metrics and health; a service that cannot be watched does not run.
func (s *Service) serve(ctx context.Context, cancel context.CancelCauseFunc) error {
	err := s.telemetry.Run(ctx)
	if err != nil && ctx.Err() == nil {
		err = &Failure{CodeConfig, fmt.Errorf("serve metrics and health: %w: choose another address with http.listen", err)}
		cancel(err)
		return err
	}
	return nil
}

// Health is what each account is doing, by label.
func (s *Service) Health() map[string]telemetry.Health {
	health := map[string]telemetry.Health{}
	for _, a := range s.accounts {
		health[a.cfg.Label] = a.health()
	}
	return health
}
