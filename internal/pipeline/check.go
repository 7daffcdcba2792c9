package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/hubspot"
	"github.com/threadcast/threadcast/internal/store"
	"github.com/threadcast/threadcast/internal/thread"
)

// Finding is one line of a check.
type Finding struct {
	Account string // empty: of the service
	What    string
	Detail  string // what was found
	Warning bool   // it works, but should be seen to
	Err     error  // it does not work
	Remedy  string // what to do
	Code    int    // exit code that belongs to Err
}

// CheckOptions are what a check needs beside the configuration.
type CheckOptions struct {
	Version string
	HTTP    http.RoundTripper
}

// checkTime bounds each part of a check.
const checkTime = 20 * time.Second

// Check tries everything that a run needs and hands each finding to report: per
// account three GETs of HubSpot at most, metadata and configurations of Kafka, and a
// producer id under a transactional id of its own. It writes no record, topic or
// state.
func Check(ctx context.Context, cfg *config.Config, opt CheckOptions, report func(Finding)) {
	kafka := &checkKafka{cfg: cfg, report: report}
	kafka.open(ctx)
	defer kafka.close()
	for _, account := range cfg.Accounts {
		c := &checkAccount{cfg: cfg, account: account, opt: opt, report: func(f Finding) {
			f.Account = account.Label
			report(f)
		}}
		c.state()
		c.hubspot(ctx)
		kafka.producer(ctx, account.Label, c.id)
	}
}

// checkAccount checks one account.
type checkAccount struct {
	cfg     *config.Config
	account config.Account
	opt     CheckOptions
	report  func(Finding)
	id      string // of the account at HubSpot, empty if unknown
}

func (c *checkAccount) state() {
	f := Finding{What: "state"}
	s, err := store.Open(store.Config{Dir: c.cfg.State.Dir, Label: c.account.Label, Existing: true})
	switch {
	case errors.Is(err, store.ErrMissing):
		f.Detail = fmt.Sprintf("none yet in %s, the first run makes it", c.cfg.State.Dir)
	case errors.Is(err, store.ErrLocked):
		f.Detail = fmt.Sprintf("in use: %v", err)
	case err != nil:
		f.Err, f.Code = err, ExitCode(err)
	default:
		defer s.Close()
		c.id = s.Account()
		f.Detail = fmt.Sprintf("%s: account %s, %d threads, %d events wait to be published", s.Path(), s.Account(), s.Stats().Threads, s.Stats().Outbox)
		if lost := s.Session().Lost; lost != "" {
			f.Err, f.Code = errors.New(lost), CodeState
			f.Remedy = "restore a backup of the state, or start anew with `threadcast run --new " + c.account.Label + "`"
		}
		c.topics(s)
	}
	c.report(f)
}

// topics compares nothing with Kafka, which may be away; it only knows the topics that
// the state was made for.
func (c *checkAccount) topics(s *store.Store) {
	for name, count := range s.Topics() {
		if !slices.Contains(c.cfg.Kafka.TopicNames(), name) {
			c.report(Finding{What: "state", Warning: true, Detail: fmt.Sprintf("remembers topic %s with %d partitions, which is no longer configured", name, count)})
		}
	}
}

func (c *checkAccount) hubspot(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	client, _, err := newSource(c.account, sourceParts{
		clock: thread.NewClock(), kinds: c.cfg.Kafka.Kinds, version: c.opt.Version, transport: c.opt.HTTP,
		logger: slog.New(slog.DiscardHandler), attempts: 1,
	})
	if err != nil {
		c.report(Finding{What: "hubspot", Err: err, Code: ExitCode(err)})
		return
	}
	defer client.Close()
	if !c.identity(ctx, client) {
		return
	}
	chain := ""
	if len(c.account.HubSpot.Inboxes) > 0 {
		chain = c.account.HubSpot.Inboxes[0]
	}
	page, err := client.List(ctx, thread.Query{Lane: thread.LaneFull, Chain: chain, OnSend: func(thread.Instant) {}})
	f := Finding{What: "threads"}
	if err != nil {
		f.Err, f.Code = err, ExitCode(err)
	} else {
		f.Detail = fmt.Sprintf("the token may read conversations, API version %s, %d threads on the first page", client.Version(), len(page.Items))
	}
	c.report(f)
}

// identity finds out whom the token belongs to; false if nothing else can be asked.
func (c *checkAccount) identity(ctx context.Context, client *hubspot.Client) bool {
	told, err := client.Account(ctx)
	f := Finding{What: "account"}
	configured := c.account.HubSpot.AccountID
	switch {
	case err == nil && configured != "" && configured != told.ID:
		f.Err, f.Code = fmt.Errorf("the token belongs to account %s, hubspot.account_id says %s", told.ID, configured), CodeConfig
	case err == nil && c.id != "" && c.id != told.ID:
		f.Err, f.Code = fmt.Errorf("the token belongs to account %s, the state to %s", told.ID, c.id), CodeState
	case err == nil:
		c.id = told.ID
		f.Detail = fmt.Sprintf("the token belongs to account %s, %s", told.ID, told.Location())
	case untold(err) && configured != "":
		c.id = configured
		f.Detail = fmt.Sprintf("HubSpot does not tell, %s by the configuration", configured)
	case untold(err):
		f.Err, f.Code = err, CodeConfig
		f.Remedy = "set hubspot.account_id: HubSpot does not tell it to this token"
	default:
		f.Err, f.Code = err, ExitCode(err)
	}
	c.report(f)
	return f.Err == nil || f.Code == CodeConfig || f.Code == CodeState
}

// checkKafka checks the cluster.
type checkKafka struct {
	cfg    *config.Config
	report func(Finding)
	client *broker.Client
}

func (c *checkKafka) open(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	client, err := broker.Open(broker.Config{Brokers: c.cfg.Kafka.Brokers, ClientID: clientID + "-check", RequestTimeout: checkTime / 2})
	if err != nil {
		c.report(Finding{What: "brokers", Err: err, Code: CodeConfig})
		return
	}
	id, err := client.ClusterID(ctx)
	if err != nil {
		client.Close()
		c.report(Finding{What: "brokers", Err: err, Remedy: broker.Sentence(err), Code: CodeUnavailable})
		return
	}
	c.client = client
	c.report(Finding{What: "brokers", Detail: fmt.Sprintf("%s answer, cluster %s", strings.Join(c.cfg.Kafka.Brokers, ", "), id)})
	c.topics(ctx)
}

func (c *checkKafka) close() {
	if c.client != nil {
		c.client.Close()
	}
}

func (c *checkKafka) topics(ctx context.Context) {
	kafka := c.cfg.Kafka
	f := Finding{What: "topics"}
	found, err := c.client.Topics(ctx, kafka.TopicNames())
	if err != nil {
		f.Err, f.Remedy, f.Code = err, broker.Sentence(err), CodeUnavailable
		c.report(f)
		return
	}
	missing, err := missingTopics(found, kafka.TopicNames())
	switch {
	case err != nil:
		f.Err, f.Remedy, f.Code = err, broker.Sentence(err), CodeConfig
	case len(missing) > 0 && !kafka.CreateTopics:
		f.Err, f.Code = missingError(kafka, missing), CodeConfig
	case len(missing) > 0:
		f.Detail = fmt.Sprintf("%s will be created by the first run", strings.Join(missing, ", "))
	default:
		c.configured(ctx, &f, found)
	}
	c.report(f)
}

func (c *checkKafka) configured(ctx context.Context, f *Finding, found map[string]broker.Topic) {
	names := c.cfg.Kafka.TopicNames()
	t := topics{batchBytes: map[string]int{}, compacted: map[string]bool{}}
	if err := t.configure(ctx, c.client, names); err != nil {
		f.Err, f.Code = err, ExitCode(err)
		return
	}
	for _, warning := range t.warnings {
		c.report(Finding{What: "topics", Warning: true, Detail: warning})
	}
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s (%d)", name, found[name].Partitions))
	}
	f.Detail = "topics and partitions: " + strings.Join(parts, ", ")
}

// producer asks for a producer id, the right to which fencing depends on, under a
// transactional id that no service uses.
func (c *checkKafka) producer(ctx context.Context, label, account string) {
	if c.client == nil || account == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	id := c.cfg.Kafka.CheckTransactionalID(account)
	f := Finding{Account: label, What: "fencing", Detail: fmt.Sprintf("the broker gives producer ids for transactional id %s", id)}
	if _, err := c.client.InitProducer(ctx, id, broker.NoProducer()); err != nil {
		f.Detail, f.Err, f.Remedy, f.Code = "", err, broker.Sentence(err), CodeUnavailable
		if errors.Is(err, broker.TransactionalIDAuthorization) || errors.Is(err, broker.ClusterAuthorizationFailed) {
			f.Code = CodeConfig
		}
	}
	c.report(f)
}

// CheckState proves the invariants of an account's state, which must not be in use.
func CheckState(cfg *config.Config, label string) (detail string, err error) {
	s, err := store.Open(store.Config{Dir: cfg.State.Dir, Label: label, Existing: true})
	if err != nil {
		return "", err
	}
	defer s.Close()
	if err := s.Check(); err != nil {
		return "", &Failure{CodeState, fmt.Errorf("%s: %w", s.Path(), err)}
	}
	stats, session := s.Stats(), s.Session()
	return fmt.Sprintf("%s: sound; account %s, generation %d, %d threads, %d observations, %d events wait to be published, producer %d epoch %d",
		s.Path(), session.Account, session.Generation, stats.Threads, stats.Observations, stats.Outbox, session.ProducerID, session.Epoch), nil
}
