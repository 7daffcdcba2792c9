package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/kafkatest"
	"github.com/threadcast/threadcast/internal/pipeline"
	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// fixture is a service with one account, a fake HubSpot and a broker.
type fixture struct {
	t       *testing.T
	hubspot *hubspottest.Server
	brokers []string
	cfg     *config.Config
	account string
	dir     string
	token   string
	logs    *logs
}

// logs keeps what was logged, for failures and for what must not be in it.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// setup makes a fixture; each has an account and topics of its own, so that tests can
// share a real broker.
func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{t: t, brokers: kafkatest.Brokers(t), dir: t.TempDir(), logs: &logs{}}
	f.account = fmt.Sprint(1_000_000 + rand.IntN(1_000_000_000))
	f.hubspot = hubspottest.New(hubspottest.Config{Account: f.account})
	f.token = filepath.Join(f.dir, "token.txt")
	f.write(f.token, hubspottest.DefaultToken)
	f.cfg = f.load("")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", f.logs)
		}
		if strings.Contains(f.logs.String(), hubspottest.DefaultToken) {
			t.Error("the token is in the log")
		}
	})
	return f
}

func (f *fixture) write(path, content string) {
	f.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// load reads a configuration like a user's; more is appended to it.
func (f *fixture) load(more string) *config.Config {
	f.t.Helper()
	path := filepath.Join(f.dir, "threadcast.yaml")
	f.write(path, fmt.Sprintf(`
accounts:
  acme:
    hubspot: {base_url: "http://127.0.0.1:1", api_version: 2026-09-beta, auth: {token_file: token.txt}}
    quota: {daily_share: 1, burst_share: 1, max_calls_per_second: 200}
    lanes: {recent: {every: 100ms}, full: {every: 200ms}}
state: {dir: ./state}
kafka: {brokers: [%q], topic_prefix: %s, partitions: 3, replication_factor: 1, create_topics: true, transactional_id_prefix: %s}
http: {listen: ""}
%s`, strings.Join(f.brokers, ","), kafkatest.Name("threads"), kafkatest.Name("tx"), more))
	cfg, _, err := config.Load(path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return cfg
}

// running is a service on its way.
type running struct {
	f       *fixture
	service *pipeline.Service
	cancel  context.CancelFunc
	done    chan struct{}
	err     error
}

func (f *fixture) start(change ...func(*pipeline.Options)) *running {
	f.t.Helper()
	opt := pipeline.Options{
		Version: "test", HTTP: f.hubspot.Transport(),
		Logger: slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&opt)
	}
	service, err := pipeline.New(f.cfg, opt)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{f: f, service: service, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = service.Run(ctx)
	}()
	f.t.Cleanup(r.kill)
	return r
}

// kill ends the service without draining it.
func (r *running) kill() {
	r.cancel()
	<-r.done
}

// drain ends the service as a first signal does.
func (r *running) drain() {
	r.f.t.Helper()
	r.service.Drain()
	if err := r.wait(); err != nil {
		r.f.t.Fatalf("drained: %v", err)
	}
}

func (r *running) wait() error {
	r.f.t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(patience):
		r.f.t.Fatalf("the service still runs after %v: %+v", patience, r.service.Health())
		return nil
	}
}

// until waits for a condition.
func (f *fixture) until(what string, holds func() bool) {
	f.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// events are all events on the topics, heartbeats left out, by topic in their order.
// A topic that is not there yet has none.
func (f *fixture) events() []*threadcastv1.ThreadEvent {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	var events []*threadcastv1.ThreadEvent
	for _, topic := range f.cfg.Kafka.TopicNames() {
		records, err := kafkatest.Read(ctx, topic, kgo.SeedBrokers(f.brokers...))
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if err != nil {
			f.t.Fatal(err)
		}
		for _, record := range records {
			m, err := event.Decode(record.Value)
			if err != nil {
				f.t.Fatal(err)
			}
			if m.Kind != threadcastv1.Kind_KIND_HEARTBEAT {
				events = append(events, m)
			}
		}
	}
	return events
}

// ids are the ids of all events; one that is there twice fails the test.
func (f *fixture) ids() map[string]*threadcastv1.ThreadEvent {
	f.t.Helper()
	ids := map[string]*threadcastv1.ThreadEvent{}
	for _, m := range f.events() {
		if ids[m.EventId] != nil {
			f.t.Fatalf("event %s is there twice", m.EventId)
		}
		ids[m.EventId] = m
	}
	return ids
}

func (f *fixture) published(n int) {
	f.t.Helper()
	f.until(fmt.Sprintf("%d events", n), func() bool { return len(f.events()) >= n })
	if got := len(f.ids()); got != n {
		f.t.Fatalf("%d events, want %d", got, n)
	}
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code int, texts ...string) {
	t.Helper()
	if got := pipeline.ExitCode(err); got != code {
		t.Fatalf("exit code %d, want %d: %v", got, code, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}

func TestChangesReachTheirTopics(t *testing.T) {
	f := setup(t)
	id := f.hubspot.Open(hubspottest.Opening{})
	r := f.start()
	f.published(2) // discovered, open
	f.must(f.hubspot.Assign(id, "A-1"))
	f.published(3)
	f.must(f.hubspot.Close(id))
	f.published(5) // status, closure
	f.must(f.hubspot.Reopen(id))
	f.published(7)
	r.drain()
	ids := f.ids()
	for suffix, kind := range map[string]threadcastv1.Kind{
		"1.1": threadcastv1.Kind_KIND_LIFECYCLE, "1.2": threadcastv1.Kind_KIND_STATUS, "2.3": threadcastv1.Kind_KIND_ASSIGNMENT,
		"3.2": threadcastv1.Kind_KIND_STATUS, "3.4": threadcastv1.Kind_KIND_CLOSURE, "4.2": threadcastv1.Kind_KIND_STATUS, "4.4": threadcastv1.Kind_KIND_CLOSURE,
	} {
		m := ids[fmt.Sprintf("%s.1.%d.%s", f.account, id, suffix)]
		if m.GetKind() != kind {
			t.Errorf("event %s is %v, want %v", suffix, m, kind)
		}
	}
	if mutations := f.hubspot.Stats().Writes; mutations != 0 {
		t.Errorf("%d requests were not GET", mutations)
	}
	if unknown := f.hubspot.Stats().Property; unknown != 0 {
		t.Errorf("%d requests asked for properties", unknown)
	}
}

func TestRestartGoesOnWhereItStopped(t *testing.T) {
	f := setup(t)
	id := f.hubspot.Open(hubspottest.Opening{})
	r := f.start()
	f.published(2)
	r.kill()
	f.must(f.hubspot.Assign(id, "A-1"))
	r = f.start()
	f.published(3)
	r.drain()
}

func TestUnreachableKafkaIsWaitedFor(t *testing.T) {
	f := setup(t)
	real := f.cfg.Kafka.Brokers
	id := f.hubspot.Open(hubspottest.Opening{})
	f.start().drainOnce(2)
	f.cfg.Kafka.Brokers = []string{"127.0.0.1:1"}
	f.must(f.hubspot.Assign(id, "A-1"))
	r := f.start()
	f.until("the change is in the outbox", func() bool { return strings.Contains(f.logs.String(), "Kafka is not ready") })
	if h := r.service.Health()["acme"]; h.Ready {
		t.Errorf("ready without Kafka: %+v", h)
	}
	r.drain()
	f.cfg.Kafka.Brokers = real
	r = f.start()
	f.published(3)
	r.drain()
}

// drainOnce waits for events and ends the service.
func (r *running) drainOnce(events int) {
	r.f.t.Helper()
	r.f.published(events)
	r.drain()
}

func TestLostStateStopsAndNewStartsANewGeneration(t *testing.T) {
	f := setup(t)
	id := f.hubspot.Open(hubspottest.Opening{})
	f.start().drainOnce(2)
	f.must(os.RemoveAll(f.cfg.State.Dir))
	wantCode(t, f.start().wait(), pipeline.CodeState, "--new")
	wantCode(t, f.start().wait(), pipeline.CodeState, "--new") // and it stays so
	r := f.start(func(o *pipeline.Options) { o.New = []string{"acme"} })
	f.published(4)
	r.drain()
	if f.ids()[fmt.Sprintf("%s.2.%d.1.2", f.account, id)] == nil {
		t.Errorf("no event of generation 2: %v", f.ids())
	}
}

func TestForeignAccountStops(t *testing.T) {
	f := setup(t)
	f.hubspot.Open(hubspottest.Opening{})
	f.start().drainOnce(2)
	f.hubspot = hubspottest.New(hubspottest.Config{Account: "77"})
	wantCode(t, f.start().wait(), pipeline.CodeState, f.account, "77")
}

func TestAnotherAccountIDThanConfiguredStops(t *testing.T) {
	f := setup(t)
	f.cfg.Accounts[0].HubSpot.AccountID = "77"
	wantCode(t, f.start().wait(), pipeline.CodeConfig, f.account, "77")
}

func TestAccountIDOfTheConfigurationServesWhereHubSpotDoesNotTell(t *testing.T) {
	f := setup(t)
	f.hubspot.Set(func(b *hubspottest.Behaviour) { b.AccountRefused = true })
	wantCode(t, f.start().wait(), pipeline.CodeConfig, "account_id")
	f.cfg.Accounts[0].HubSpot.AccountID = f.account
	f.hubspot.Open(hubspottest.Opening{})
	f.start().drainOnce(2)
}

func TestSecondProcessOnOneStateStops(t *testing.T) {
	f := setup(t)
	f.hubspot.Open(hubspottest.Opening{})
	f.start()
	f.published(2)
	wantCode(t, f.start().wait(), pipeline.CodeLocked, "process")
}

func TestAnotherClusterStops(t *testing.T) {
	f := setup(t)
	f.hubspot.Open(hubspottest.Opening{})
	f.start().drainOnce(2)
	other := kafkatest.Start(t)
	f.cfg.Kafka.Brokers = other.ListenAddrs()
	wantCode(t, f.start().wait(), pipeline.CodeState, "--new")
}

func TestMissingTopicsStopWithTheCommand(t *testing.T) {
	f := setup(t)
	f.cfg.Kafka.CreateTopics = false
	wantCode(t, f.start().wait(), pipeline.CodeConfig, "kafka-topics.sh", f.cfg.Kafka.TopicNames()[0])
	created, err := pipeline.CreateTopics(t.Context(), f.cfg)
	if err != nil || len(created) != 4 {
		t.Fatalf("created %v: %v", created, err)
	}
	f.hubspot.Open(hubspottest.Opening{})
	f.start().drainOnce(2)
}

func TestRefusedTokenStopsAtTheStart(t *testing.T) {
	f := setup(t)
	f.write(f.token, "pat-na1-wrong")
	wantCode(t, f.start().wait(), pipeline.CodeAuth, "token")
	f.write(f.token, "")
	wantCode(t, f.start().wait(), pipeline.CodeAuth, "token.txt")
}

func TestMissingScopeStopsAtTheStart(t *testing.T) {
	f := setup(t)
	f.hubspot.Set(func(b *hubspottest.Behaviour) { b.MissingScopes = true })
	f.cfg.Accounts[0].HubSpot.AccountID = f.account
	wantCode(t, f.start().wait(), pipeline.CodeAuth, "conversations.read")
}

func TestTokenRefusedWhileRunningIsWaitedFor(t *testing.T) {
	f := setup(t)
	id := f.hubspot.Open(hubspottest.Opening{})
	r := f.start()
	f.published(2)
	f.hubspot.Set(func(b *hubspottest.Behaviour) { b.Tokens = []string{"pat-na1-rotated"} })
	f.until("the account is parked", func() bool { return r.service.Health()["acme"].State == "parked" })
	f.must(f.hubspot.Assign(id, "A-1"))
	f.write(f.token, "pat-na1-rotated\n")
	f.published(3)
	r.drain()
}

func TestOneAccountInTroubleLeavesTheOthersRunning(t *testing.T) {
	f := setup(t)
	f.cfg.Accounts = append(f.cfg.Accounts, f.cfg.Accounts[0])
	f.cfg.Accounts[1].Label = "broken"
	f.cfg.Accounts[1].HubSpot.Auth.TokenFile = filepath.Join(f.dir, "none.txt")
	id := f.hubspot.Open(hubspottest.Opening{})
	r := f.start()
	f.published(2)
	f.until("the other account has stopped", func() bool { return r.service.Health()["broken"].State == "stopped" })
	f.must(f.hubspot.Assign(id, "A-1"))
	f.published(3)
	r.service.Drain()
	wantCode(t, r.wait(), pipeline.CodeAuth, "account broken", "none.txt")
}

func TestFailFastEndsWithTheFirstAccount(t *testing.T) {
	f := setup(t)
	f.cfg.Accounts = append(f.cfg.Accounts, f.cfg.Accounts[0])
	f.cfg.Accounts[1].Label = "broken"
	f.cfg.Accounts[1].HubSpot.Auth.TokenFile = filepath.Join(f.dir, "none.txt")
	r := f.start(func(o *pipeline.Options) { o.FailFast = true })
	wantCode(t, r.wait(), pipeline.CodeAuth, "account broken")
}

// A page that cannot be understood commits nothing, and what comes after it is found.
func TestNonsenseFromHubSpotLosesNothing(t *testing.T) {
	for name, fault := range map[string]hubspottest.Response{
		"login page": hubspottest.Page(200), "bad gateway": hubspottest.Page(502), "empty object": hubspottest.JSON("{}"),
		"truncated": hubspottest.Truncated(), "wrong types": hubspottest.WrongTypes(), "redirect": hubspottest.Redirect("http://127.0.0.1:1/"),
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t) // parallel from here on
			id := f.hubspot.Open(hubspottest.Opening{})
			r := f.start()
			f.published(2)
			f.hubspot.Set(func(b *hubspottest.Behaviour) { b.Fault = hubspottest.On("threads", hubspottest.Times(2, fault)) })
			f.must(f.hubspot.Assign(id, "A-1"))
			f.published(3)
			r.drain()
		})
	}
}

func TestNonsenseAtTheStartIsWaitedOut(t *testing.T) {
	f := setup(t)
	f.hubspot.Open(hubspottest.Opening{})
	f.hubspot.Set(func(b *hubspottest.Behaviour) {
		b.Fault = hubspottest.On("account", hubspottest.Times(4, hubspottest.JSON("{}")))
	})
	f.start().drainOnce(2)
}

// A first signal ends the service soon, even if Kafka answers nothing at all.
func TestDrainDoesNotWaitForASilentKafka(t *testing.T) {
	f := setup(t)
	f.hubspot.Open(hubspottest.Opening{})
	f.start().drainOnce(2)
	silent := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r := f.start(func(o *pipeline.Options) { o.Dial = silent })
	f.until("the account reads", func() bool { return strings.Count(f.logs.String(), "HubSpot account found") == 2 })
	began := time.Now()
	r.drain()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("draining took %v", took)
	}
}

func TestUnknownStatusIsKeptAsText(t *testing.T) {
	f := setup(t)
	id := f.hubspot.Open(hubspottest.Opening{})
	r := f.start()
	f.published(2)
	f.must(f.hubspot.Edit(id, func(th *hubspottest.Thread) { th.Status = "SNOOZED" }))
	f.published(3)
	r.drain()
	m := f.ids()[fmt.Sprintf("%s.1.%d.2.2", f.account, id)]
	if b := m.GetStatusChanged(); b.GetTo() != threadcastv1.Status_STATUS_UNKNOWN || b.GetToText() != "SNOOZED" {
		t.Errorf("unknown status became %v", m)
	}
}

func TestRecordPublishesOnlyWhatHappensFromNowOn(t *testing.T) {
	f := setup(t)
	f.cfg.Accounts[0].FirstRun = config.FirstRunRecord
	id := f.hubspot.Open(hubspottest.Opening{})
	r := f.start()
	f.until("the first cycle", func() bool { return f.hubspot.Stats().Endpoints["threads"] > 6 })
	f.must(f.hubspot.Assign(id, "A-1"))
	f.published(3) // lifecycle, status and assignment of revision 1
	r.drain()
	for _, m := range f.events() {
		if m.Revision != 1 || m.Before == nil || m.GetBefore().GetRevision() != 0 {
			t.Errorf("first change of a thread that was kept silently: %v", m)
		}
	}
}

func TestDrainPublishesWhatWasFound(t *testing.T) {
	f := setup(t)
	f.hubspot.Populate(hubspottest.Population{Threads: 3000, Seed: 1, OpenShare: 0.5})
	r := f.start()
	f.until("the first events", func() bool { return strings.Contains(f.logs.String(), "session established") })
	began := time.Now()
	r.drain()
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("draining took %v", took)
	}
	outbox, err := pipeline.CheckState(f.cfg, "acme")
	if err != nil || !strings.Contains(outbox, " 0 events wait") {
		t.Errorf("after draining: %s, %v", outbox, err)
	}
}

func TestSharedTopicKeepsTheOrderOfKinds(t *testing.T) {
	f := setup(t)
	f.cfg.Kafka.Topics = map[thread.Kind]string{}
	for kind := range f.cfg.Kafka.Kinds.All() {
		f.cfg.Kafka.Topics[kind] = f.cfg.Kafka.TopicPrefix + ".all"
	}
	id := f.hubspot.Open(hubspottest.Opening{})
	r := f.start()
	f.published(2)
	f.must(f.hubspot.Close(id))
	f.published(4)
	r.drain()
	var got []string
	for _, m := range f.events() {
		got = append(got, strings.TrimPrefix(m.EventId, fmt.Sprintf("%s.1.%d.", f.account, id)))
	}
	if want := "1.1 1.2 2.2 2.4"; strings.Join(got, " ") != want {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestUnknownLabelOfNewIsRefused(t *testing.T) {
	f := setup(t)
	_, err := pipeline.New(f.cfg, pipeline.Options{Logger: slog.New(slog.DiscardHandler), New: []string{"nobody"}})
	wantCode(t, err, pipeline.CodeUsage, "nobody")
}
