package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/kafkatest"
	"github.com/threadcast/threadcast/internal/oracle"
	"github.com/threadcast/threadcast/internal/thread"
)

// patience bounds every wait of these tests, poll is how often they look.
const (
	patience = 60 * time.Second
	poll     = 20 * time.Millisecond
)

// stage is what the program is played on: a fake HubSpot and a broker that this
// process serves, and a directory. Where the program finds them stands in variables.
type stage struct {
	dir       string
	hubspot   *hubspottest.Server
	prefix    string // of the topics
	variables map[string]string
	brokers   []string
}

// newAccount is a fake HubSpot with an account that no other test has on a shared
// broker.
func newAccount(threads int) *hubspottest.Server {
	server := hubspottest.New(hubspottest.Config{
		Account:    strconv.FormatUint(1+rand.Uint64N(1<<40), 10),
		RequestLog: 1_000_000,
		Behaviour:  hubspottest.Behaviour{Limits: plenty()},
	})
	server.Populate(hubspottest.Population{Threads: threads, Seed: 1, OpenShare: 0.3})
	return server
}

// plenty is more than any account has: tests wait for nothing but the service itself.
func plenty() hubspottest.Limits {
	return hubspottest.Limits{Burst: 2000, Secondly: 1000, Daily: 100_000_000}
}

// newStage sets the stage, but starts nothing of ours. The lanes are as fast as they
// may be.
func newStage(t *testing.T, threads int) *stage {
	t.Helper()
	s := &stage{
		dir: t.TempDir(), hubspot: newAccount(threads), prefix: kafkatest.Name("cli"), brokers: kafkatest.Brokers(t),
	}
	served := httptest.NewServer(s.hubspot)
	t.Cleanup(served.Close)
	s.variables = map[string]string{
		"THREADCAST_ACCOUNTS__ACME__HUBSPOT__BASE_URL":        served.URL,
		"THREADCAST_ACCOUNTS__ACME__HUBSPOT__AUTH__TOKEN_ENV": "HUBSPOT_TOKEN",
		"HUBSPOT_TOKEN": hubspottest.DefaultToken,
		"THREADCAST_ACCOUNTS__ACME__QUOTA__BURST_SHARE":          "1",
		"THREADCAST_ACCOUNTS__ACME__QUOTA__MAX_CALLS_PER_SECOND": "200",
		"THREADCAST_ACCOUNTS__ACME__LANES__RECENT__EVERY":        "100ms",
		"THREADCAST_ACCOUNTS__ACME__LANES__FULL__EVERY":          "100ms",
		"THREADCAST_STATE__DIR":                                  filepath.Join(s.dir, "state"),
		"THREADCAST_KAFKA__BROKERS":                              strings.Join(s.brokers, ","),
		"THREADCAST_KAFKA__TOPIC_PREFIX":                         s.prefix,
		"THREADCAST_KAFKA__TRANSACTIONAL_ID_PREFIX":              s.prefix,
		"THREADCAST_KAFKA__CREATE_TOPICS":                        "true",
		"THREADCAST_KAFKA__REPLICATION_FACTOR":                   "1",
		"THREADCAST_KAFKA__HEARTBEAT_EVERY":                      "300ms",
		"THREADCAST_HTTP__LISTEN":                                "",
	}
	return s
}

func (s *stage) environ() []string {
	environ := os.Environ()
	for name, value := range s.variables {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// process is a running program: the test binary, which plays it.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr *lockedBuffer
	ended  chan error
}

// lockedBuffer is read while a process still writes.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs the program beside the test. A process that is left at the end of the
// test is killed.
func (s *stage) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command("threadcast", args...), stderr: &lockedBuffer{}, ended: make(chan error, 1)}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = s.dir, s.environ(), p.stderr, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start threadcast %v: %v", args, err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// kill ends the process as a crash does, and proves that it was running until then.
func (p *process) kill() {
	p.t.Helper()
	select {
	case err := <-p.ended:
		p.t.Fatalf("threadcast ended by itself: %v\n%s", err, p.stderr)
	default:
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) signal(signal syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatalf("send %v: %v\n%s", signal, err, p.stderr)
	}
}

// exit waits for the end and returns the exit code, and how long it took.
func (p *process) exit() (code int, took time.Duration) {
	p.t.Helper()
	began := time.Now()
	select {
	case err := <-p.ended:
		return exitCode(p.t, err), time.Since(began)
	case <-time.After(patience):
		p.t.Fatalf("threadcast did not end within %v\n%s", patience, p.stderr)
	}
	return 0, 0
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run threadcast: %v", err)
	}
	if exit != nil {
		return exit.ExitCode()
	}
	return 0
}

// await looks until something is so.
func await(ctx context.Context, what string, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		switch done, err := so(); {
		case err != nil:
			return fmt.Errorf("wait for %s: %w", what, err)
		case done:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-ticker.C:
		}
	}
}

// topics are those that events go to.
func topics(prefix string) []string {
	var names []string
	for kind := range thread.DefaultKinds.All() {
		names = append(names, prefix+"."+kind.String()+".v1")
	}
	return names
}

// published are all records of the topics, read by another client than ours.
func published(ctx context.Context, brokers []string, prefix string) ([]*kgo.Record, error) {
	var all []*kgo.Record
	for _, topic := range topics(prefix) {
		records, err := kafkatest.Read(ctx, topic, kgo.SeedBrokers(brokers...))
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read back topic %s: %w", topic, err)
		}
		all = append(all, records...)
	}
	return all, nil
}

// awaitPublished waits until the events of a generation show every thread as HubSpot
// has it.
func awaitPublished(ctx context.Context, brokers []string, prefix string, generation uint32, server *hubspottest.Server) error {
	now := time.Now() // what was before need not be there
	return await(ctx, "the threads to be published", func() (bool, error) {
		records, err := published(ctx, brokers, prefix)
		records = slices.DeleteFunc(records, func(record *kgo.Record) bool {
			m, err := event.Decode(record.Value)
			return err != nil || m.Generation != generation
		})
		report := oracle.Check(records, server, oracle.Options{From: now, MustSee: patience})
		return err == nil && report.Unsettled+report.Lost == 0, err
	})
}

// sweeps are the moments at which the full lane began to read, as HubSpot saw it; all
// threads fit on one page.
func sweeps(server *hubspottest.Server) []time.Time {
	var times []time.Time
	for _, r := range server.Requests() {
		if r.Endpoint == hubspottest.EndpointThreads && r.Status == 200 && !r.Values().Has("sort") {
			times = append(times, r.Time)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}
