package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/threadcast/threadcast/internal/hubspot"
	"github.com/threadcast/threadcast/internal/sweep"
	"github.com/threadcast/threadcast/internal/thread"
)

// transport is how HubSpot is reached.
type transport = http.RoundTripper

// reader is the half of an account that reads HubSpot.
type reader struct {
	account *account
	sweep   *sweep.Sweep
	read    atomic.Bool   // a page was taken in by this process
	cycles  atomic.Uint64 // of the full lane

	mu      sync.Mutex
	reason  string // why nothing is read, empty if it is
	trouble string // why the last page could not be stored, empty if it was
}

func newReader(a *account) *reader {
	r := &reader{account: a, reason: "looking for HubSpot"}
	r.sweep = sweep.New(sweep.Config{
		Recent: a.cfg.Lanes.Recent.Every, Full: a.cfg.Lanes.Full.Every, Inboxes: a.cfg.HubSpot.Inboxes,
		Fingerprint: a.source.Fingerprint, Clock: a.clock, Logger: a.logger,
		OnPage:  func(lane thread.Lane, outcome thread.Outcome) { a.metrics.Page(lane.String(), outcome.Threads) },
		OnCycle: r.cycled,
	}, a.source, r)
	return r
}

// cycled is told that a lane has read all that it reads.
func (r *reader) cycled(lane thread.Lane, started time.Time) {
	a := r.account
	a.metrics.Cycle(lane.String(), started, a.clock().Wall)
	if lane == thread.LaneFull && r.cycles.Add(1) == 1 {
		a.logger.Info("first full cycle since the start is complete", "threads", a.store.Stats().Threads,
			"events_waiting", a.store.Stats().Outbox, "first_run", a.cfg.FirstRun, "api_version", a.source.Version(), "took", a.clock().Wall.Sub(started).Round(time.Millisecond))
	}
}

// run finds out whom the token belongs to and reads until the context ends. A token
// that is refused later is waited for, if it can change.
func (r *reader) run(ctx context.Context) error {
	if err := r.identify(ctx); err != nil {
		return err
	}
	if err := r.recollect(ctx); err != nil {
		return err
	}
	r.waitFor("waiting for Kafka to tell the topics' partitions")
	if !r.placeable(ctx) {
		return ctx.Err()
	}
	for {
		r.waitFor("")
		r.account.enter(stateRunning, "")
		err := r.sweep.Run(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.refused(ctx, err); err != nil {
			return err
		}
	}
}

// identify binds the state to HubSpot's account, and refuses a token of another one.
func (r *reader) identify(ctx context.Context) error {
	a := r.account
	var told hubspot.Account
	err := r.insist(ctx, func() (err error) {
		told, err = a.source.Account(ctx)
		return err
	})
	id := told.ID
	switch {
	case err == nil:
		a.governor.SetLocation(told.Location())
	case ctx.Err() != nil:
		return ctx.Err()
	case untold(err):
		if id = a.cfg.HubSpot.AccountID; id == "" {
			return &Failure{CodeConfig, fmt.Errorf("HubSpot does not tell the account's id to this token: set accounts.%s.hubspot.account_id: %w", a.cfg.Label, err)}
		}
	default:
		return err
	}
	if want := a.cfg.HubSpot.AccountID; want != "" && want != id {
		return &Failure{CodeConfig, fmt.Errorf("the token belongs to account %s, accounts.%s.hubspot.account_id says %s: correct one of them", id, a.cfg.Label, want)}
	}
	fresh := a.store.Account() == ""
	if err := patiently(ctx, func() error { return a.store.Bind(id) }); err != nil {
		return err
	}
	if fresh {
		close(a.publisher.bound)
	}
	a.logger.Info("HubSpot account found", "account_id", id, "location", told.TimeZone)
	return nil
}

// insist repeats a question to HubSpot until it is answered, or refused in a way that
// only a person can mend.
func (r *reader) insist(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		broken := errors.Is(err, thread.ErrState) && !errors.Is(err, thread.ErrTemporary)
		if err == nil || ctx.Err() != nil || broken || errors.Is(err, thread.ErrRefused) || untold(err) {
			return err
		}
		r.account.logger.Warn("HubSpot gives no usable answer, asking again", "wait", refusedPause, "err", err)
		if err := pause(ctx, refusedPause); err != nil {
			return err
		}
	}
}

// recollect asks for a page before a saved position is looked at: which version of the
// API answers, and which page size it takes, decides whether the position can be used.
func (r *reader) recollect(ctx context.Context) error {
	for _, chain := range append([]string{""}, r.account.cfg.HubSpot.Inboxes...) {
		if r.Lane(thread.LaneFull, chain).Cursor == "" {
			continue
		}
		return r.insist(ctx, func() error {
			_, err := r.account.source.List(ctx, thread.Query{Lane: thread.LaneFull, Chain: chain, OnSend: func(thread.Instant) {}})
			return err
		})
	}
	return nil
}

// untold says whether HubSpot answers, but will not tell who the token belongs to.
func untold(err error) bool {
	var failure *hubspot.Error
	return errors.As(err, &failure) && (failure.Class == hubspot.ClassScope || failure.Status == http.StatusNotFound)
}

// placeable waits until events can be placed: until the partition counts are known,
// and, for a state that is new, until its first scan has shown that nothing of the
// account is on the topics yet. Later starts read on while Kafka is away.
func (r *reader) placeable(ctx context.Context) bool {
	a := r.account
	ready := a.publisher.established
	if !a.store.Session().Fresh {
		known := a.store.Topics()
		ready = nil
		for _, name := range a.kafka.TopicNames() {
			if known[name] == 0 {
				ready = a.publisher.placed
			}
		}
	}
	if ready == nil {
		return true
	}
	return a.publisher.await(ctx, ready)
}

// refused deals with what stopped the sweep: nil once reading may go on. What HubSpot
// refuses from the start is for a person; what it refuses after it has answered may
// pass, or be mended by another token.
func (r *reader) refused(ctx context.Context, err error) error {
	var failure *hubspot.Error
	if !errors.As(err, &failure) || !r.read.Load() {
		return err
	}
	a := r.account
	switch failure.Class {
	case hubspot.ClassAuth, hubspot.ClassScope:
		a.enter(stateParked, failure.Error())
		a.logger.Error("HubSpot refuses the token, reading waits for another one", "err", err)
		if waiting := a.source.WaitToken(ctx, failure.Token); waiting != nil {
			return fmt.Errorf("%w: %w", err, waiting)
		}
		a.logger.Info("token changed, reading goes on")
		return nil
	case hubspot.ClassConfig:
		a.enter(stateParked, failure.Error())
		a.logger.Error("HubSpot refuses what it answered before, reading pauses", "pause", refusedPause, "err", err)
		return pause(ctx, refusedPause)
	}
	return err
}

// refusedPause is waited after a refusal that may pass.
const refusedPause = 5 * time.Second

// Observe hands a page to the store and wakes the publisher.
func (r *reader) Observe(page thread.Page, state *thread.LaneState) (thread.Outcome, error) {
	began := r.account.clock()
	outcome, err := r.account.store.Observe(page, state)
	r.storing(err)
	if err != nil {
		return outcome, err
	}
	r.read.Store(true)
	if outcome.Events > 0 {
		r.account.publisher.wake()
	}
	if outcome.Differing > 0 {
		r.account.metrics.Commit(r.account.clock().Mono - began.Mono)
	}
	return outcome, nil
}

// storing notes whether pages can be stored.
func (r *reader) storing(err error) {
	trouble := ""
	if err != nil {
		r.account.metrics.StoreError()
		trouble = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = trouble
}

// Lane is how far a chain of a lane has come.
func (r *reader) Lane(lane thread.Lane, chain string) thread.LaneState {
	return r.account.store.Lane(lane, chain)
}

func (r *reader) horizon() time.Time { return r.sweep.Horizon() }

func (r *reader) waitFor(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = reason
}

// ready says whether what HubSpot tells is stored, and if not, or not yet, why.
func (r *reader) ready() (bool, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trouble != "" {
		return false, r.trouble
	}
	return true, r.reason
}
