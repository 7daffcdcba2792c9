package pipeline_test

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/hubspot"
	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/kafkatest"
	"github.com/threadcast/threadcast/internal/publish"
	"github.com/threadcast/threadcast/internal/quota"
	"github.com/threadcast/threadcast/internal/store"
	"github.com/threadcast/threadcast/internal/thread"
)

const benchVersion = "2026-09-beta"

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// bench is a fake portal and a state, without a network between them.
type bench struct {
	b      *testing.B
	server *hubspottest.Server
	source *hubspot.Client
	store  *store.Store
	topics map[thread.Kind]string
	clock  thread.Clock
}

func newBench(b *testing.B, threads int, silent bool) *bench {
	b.Helper()
	limits := hubspottest.Limits{Burst: 1_000_000, Secondly: 100_000, Daily: 1 << 30} // no pacing
	server := hubspottest.New(hubspottest.Config{Behaviour: hubspottest.Behaviour{Limits: limits}})
	server.Populate(hubspottest.Population{Threads: threads, Seed: 1, OpenShare: 0.01})
	clock := thread.NewClock()
	governor, err := quota.New(quota.Options{DailyShare: 1, BurstShare: 1, MaxCallsPerSecond: 10_000})
	if err != nil {
		b.Fatal(err)
	}
	source, err := hubspot.New(hubspot.Config{
		BaseURL: "http://127.0.0.1:1", Version: benchVersion, HTTP: server.Transport(), Clock: clock, Governor: governor,
		Token: hubspot.EnvToken("THREADCAST_BENCH_TOKEN", func(string) (string, bool) { return hubspottest.DefaultToken, true }),
		Kinds: thread.DefaultKinds, Jitter: rand.Float64,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	topics, counts := map[thread.Kind]string{}, map[string]int32{}
	prefix := kafkatest.Name("bench")
	for kind := range thread.DefaultKinds.All() {
		topics[kind] = prefix + "." + kind.String()
		counts[topics[kind]] = 3
	}
	s, err := store.Open(store.Config{
		Dir: b.TempDir(), Label: "acme", Kinds: thread.DefaultKinds, Topics: topics, Decode: hubspot.Decode, Silent: silent,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if err := s.Bind(hubspottest.DefaultAccount); err != nil {
		b.Fatal(err)
	}
	if err := s.SetTopics(counts); err != nil {
		b.Fatal(err)
	}
	return &bench{b: b, server: server, source: source, store: s, topics: topics, clock: clock}
}

// sweep reads all pages and takes them in.
func (x *bench) sweep() (threads int) {
	x.b.Helper()
	q := thread.Query{Lane: thread.LaneFull, OnSend: func(thread.Instant) {}}
	for {
		page, err := x.source.List(context.Background(), q)
		if err != nil {
			x.b.Fatal(err)
		}
		if _, err := x.store.Observe(page, nil); err != nil {
			x.b.Fatal(err)
		}
		threads += len(page.Items)
		if !page.More {
			return threads
		}
		q.Cursor, q.After = page.Next, page.Items[len(page.Items)-1].ID
	}
}

// cursors are those of all pages, for drain.
func (x *bench) cursors() []string {
	x.b.Helper()
	cursors := []string{""}
	q := thread.Query{Lane: thread.LaneFull, OnSend: func(thread.Instant) {}}
	for {
		page, err := x.source.List(context.Background(), q)
		if err != nil {
			x.b.Fatal(err)
		}
		if !page.More {
			return cursors
		}
		q.Cursor, q.After = page.Next, page.Items[len(page.Items)-1].ID
		unescaped, err := url.QueryUnescape(page.Next)
		if err != nil {
			x.b.Fatal(err)
		}
		cursors = append(cursors, unescaped)
	}
}

// drain downloads and inflates the same pages, and does nothing with them.
func (x *bench) drain(cursors []string) {
	x.b.Helper()
	var inflate gzip.Reader
	buffer := make([]byte, 64<<10)
	for _, cursor := range cursors {
		values := url.Values{"association": {"TICKET"}, "limit": {"500"}}
		if cursor != "" {
			values.Set("after", cursor)
		}
		request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:1"+hubspottest.ThreadsPath(benchVersion)+"?"+values.Encode(), nil)
		if err != nil {
			x.b.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+hubspottest.DefaultToken)
		request.Header.Set("Accept-Encoding", "gzip")
		answer, err := x.server.Transport().RoundTrip(request)
		if err != nil || answer.StatusCode != http.StatusOK {
			x.b.Fatalf("page after %q: %v", cursor, err)
		}
		if err := inflate.Reset(answer.Body); err != nil {
			x.b.Fatal(err)
		}
		if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{&inflate}, buffer); err != nil {
			x.b.Fatal(err)
		}
		_ = answer.Body.Close()
	}
}

// BenchmarkSweepUnchanged sweeps 200,000 threads that are as they were, beside
// downloading and inflating the same pages: cpu/drain is the ratio of processor time
// in the same run.
func BenchmarkSweepUnchanged(b *testing.B) {
	x := newBench(b, 200_000, true)
	x.sweep()
	cursors := x.cursors()
	x.drain(cursors)
	var sweeping, draining time.Duration
	threads := 0
	for b.Loop() {
		start := cpu(b)
		threads += x.sweep()
		middle := cpu(b)
		x.drain(cursors)
		sweeping += middle - start
		draining += cpu(b) - middle
	}
	b.ReportMetric(float64(sweeping.Nanoseconds())/float64(threads), "cpu-ns/thread")
	b.ReportMetric(float64(sweeping)/float64(draining), "cpu/drain")
}

// publisher runs a publisher on the in-process broker; told hears of what was
// acknowledged.
func (x *bench) publisher(told func(n int)) *publish.Publisher {
	x.b.Helper()
	cluster := kafkatest.Start(x.b)
	client, err := broker.Open(broker.Config{Brokers: cluster.ListenAddrs(), Dial: cluster.Dial})
	if err != nil {
		x.b.Fatal(err)
	}
	var specs []broker.TopicSpec
	for _, name := range x.topics {
		specs = append(specs, broker.TopicSpec{Name: name, Partitions: 3, ReplicationFactor: 1})
	}
	if err := client.CreateTopics(context.Background(), specs); err != nil {
		x.b.Fatal(err)
	}
	p := publish.NewPublisher(publish.Config{
		TransactionalID: "bench", Cluster: "bench", Instance: publish.Instance{ID: "bench", Host: "bench", StartedAt: time.Now()},
		Observer: publish.Observer{Published: func(_ thread.Kind, n int, _ time.Duration) { told(n) }},
	}, x.store, x.store, client, x.clock)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	x.b.Cleanup(func() {
		cancel()
		<-done
		client.Close()
	})
	return p
}

// BenchmarkFirstPublish reads a portal of 20,000 threads for the first time and
// publishes all of it: HubSpot's pages to acknowledged records, durable and validated.
func BenchmarkFirstPublish(b *testing.B) {
	const threads = 20_000
	events := 0
	for b.Loop() {
		b.StopTimer()
		x := newBench(b, threads, false)
		acknowledged := make(chan int, 1024)
		p := x.publisher(func(n int) { acknowledged <- n })
		b.StartTimer()
		swept := make(chan struct{})
		go func() {
			defer close(swept)
			x.sweep()
		}()
		ticker := time.NewTicker(5 * time.Millisecond)
		for reading := true; reading || x.store.Stats().Outbox > 0; {
			select {
			case n := <-acknowledged:
				events += n
			case <-ticker.C:
				p.Wake()
			case <-swept:
				reading, swept = false, nil
			}
		}
		ticker.Stop()
		for len(acknowledged) > 0 {
			events += <-acknowledged
		}
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkChangeToAck takes in a page with one change and waits until Kafka has
// acknowledged its event: comparing, encoding, two syncs of the disk, produce.
func BenchmarkChangeToAck(b *testing.B) {
	x := newBench(b, 1, true)
	acknowledged := make(chan int, 16)
	p := x.publisher(func(n int) { acknowledged <- n })
	x.sweep()
	id := x.server.Threads()[0].ID
	var delays []time.Duration
	now := x.clock().Mono + time.Hour // beyond the time in which lists are doubted
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		var err error
		if i%2 == 0 {
			err = x.server.Assign(id, "A-1")
		} else {
			err = x.server.Unassign(id)
		}
		if err != nil {
			b.Fatal(err)
		}
		page, err := x.source.Get(context.Background(), id, false, func(thread.Instant) {})
		if err != nil {
			b.Fatal(err)
		}
		now += time.Second
		page.Sent.Mono, page.Arrived.Mono = now, now+time.Millisecond
		b.StartTimer()
		start := time.Now()
		outcome, err := x.store.Observe(page, nil)
		if err != nil || outcome.Events == 0 {
			b.Fatalf("%+v, %v", outcome, err)
		}
		p.Wake()
		for n := 0; n < outcome.Events; {
			n += <-acknowledged
		}
		delays = append(delays, time.Since(start))
	}
	slices.Sort(delays)
	b.ReportMetric(float64(delays[len(delays)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(delays[len(delays)*99/100].Microseconds())/1000, "p99-ms")
}
