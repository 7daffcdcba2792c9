package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what is counted when it happens. What a stage counts by itself is
// asked for at each scrape; see Figures.
type metrics struct {
	calls         *prometheus.CounterVec
	callDuration  *prometheus.HistogramVec
	received      *prometheus.CounterVec
	skew          *prometheus.GaugeVec
	pages         *prometheus.CounterVec
	threads       *prometheus.CounterVec
	cycles        *prometheus.CounterVec
	cycleEnd      *prometheus.GaugeVec
	cycleDuration *prometheus.GaugeVec
	commit        *prometheus.HistogramVec
	storeErrors   *prometheus.CounterVec
	events        *prometheus.CounterVec
	ackDelay      *prometheus.HistogramVec
	retries       *prometheus.CounterVec
	reconciled    *prometheus.CounterVec
	fenced        *prometheus.CounterVec
	watermark     *prometheus.GaugeVec
}

func newMetrics() metrics {
	return metrics{
		calls:         counter("hubspot_calls_total", "Calls to HubSpot, by what became of them.", "endpoint", "result"),
		callDuration:  histogram("hubspot_call_duration_seconds", "Time from sending a call to the end of its answer.", []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}, "endpoint"),
		received:      counter("hubspot_received_bytes_total", "Bytes of HubSpot's answers, inflated."),
		skew:          gauge("hubspot_clock_skew_seconds", "How far HubSpot's clock is ahead of ours, to the second."),
		pages:         counter("sweep_pages_total", "Pages that were read and stored.", "lane"),
		threads:       counter("sweep_threads_total", "Threads on pages that were read, changed or not.", "lane"),
		cycles:        counter("sweep_cycles_total", "Completed cycles.", "lane"),
		cycleEnd:      gauge("sweep_cycle_completed_timestamp_seconds", "When the last completed cycle ended.", "lane"),
		cycleDuration: gauge("sweep_cycle_duration_seconds", "How long the last completed cycle took.", "lane"),
		commit:        histogram("store_commit_duration_seconds", "Time to store a page that held changes, encoding and disk included.", []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}),
		storeErrors:   counter("store_errors_total", "Pages that could not be stored."),
		events:        counter("publish_events_total", "Events that Kafka acknowledged.", "kind"),
		ackDelay:      histogram("publish_ack_delay_seconds", "Time from an observation to the acknowledgement of its event.", []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800}),
		retries:       counter("publish_retries_total", "Requests to Kafka that had to be repeated."),
		reconciled:    counter("publish_reconciled_total", "Events that a scan found on the topics although their acknowledgement was never seen."),
		fenced:        counter("publish_fenced_total", "Times that another instance took the account over."),
		watermark:     gauge("publish_watermark_timestamp_seconds", "Watermark of the last heartbeat.", "topic", "partition"),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.calls, m.callDuration, m.received, m.skew, m.pages, m.threads, m.cycles, m.cycleEnd, m.cycleDuration,
		m.commit, m.storeErrors, m.events, m.ackDelay, m.retries, m.reconciled, m.fenced, m.watermark,
	}
}

const prefix = "threadcast_"

// labels are those of a metric: the account comes first, always.
func labels(more []string) []string { return append([]string{"account"}, more...) }

func counter(name, help string, more ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels(more))
}

func gauge(name, help string, more ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, labels(more))
}

func histogram(name, help string, buckets []float64, more ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets}, labels(more))
}

// Account records what happens to one account. Its methods may be called by many
// goroutines at once and never wait for anything.
type Account struct {
	label   string
	metrics metrics
	figures *figures
}

// Account is the recorder of an account; the same label gives the same series.
// Counters that stand for trouble are there from the start, at zero, so that an
// alert can see them rise.
func (t *Telemetry) Account(label string) *Account {
	m := t.metrics
	for _, vector := range []*prometheus.CounterVec{m.storeErrors, m.retries, m.reconciled, m.fenced} {
		vector.WithLabelValues(label)
	}
	return &Account{label: label, metrics: m, figures: t.figures}
}

// Poll names the function that gives the account's figures. It is called at each
// scrape; the last one named counts, nil ends it.
func (a *Account) Poll(read func() Figures) { a.figures.poll(a.label, read) }

// Attempt records one call to HubSpot. The endpoint and the result are each one of
// a few words; skew is zero if it is unknown.
func (a *Account) Attempt(endpoint, result string, took time.Duration, bytes int, skew time.Duration) {
	a.metrics.calls.WithLabelValues(a.label, endpoint, result).Inc()
	a.metrics.callDuration.WithLabelValues(a.label, endpoint).Observe(took.Seconds())
	a.metrics.received.WithLabelValues(a.label).Add(float64(max(bytes, 0)))
	a.metrics.skew.WithLabelValues(a.label).Set(skew.Seconds())
}

// Page records a page that was stored.
func (a *Account) Page(lane string, threads int) {
	a.metrics.pages.WithLabelValues(a.label, lane).Inc()
	a.metrics.threads.WithLabelValues(a.label, lane).Add(float64(max(threads, 0)))
}

// Cycle records that a cycle of a lane has ended.
func (a *Account) Cycle(lane string, started, ended time.Time) {
	a.metrics.cycles.WithLabelValues(a.label, lane).Inc()
	a.metrics.cycleEnd.WithLabelValues(a.label, lane).Set(seconds(ended))
	a.metrics.cycleDuration.WithLabelValues(a.label, lane).Set(max(ended.Sub(started).Seconds(), 0))
}

// Commit records that a page with changes was stored.
func (a *Account) Commit(took time.Duration) {
	a.metrics.commit.WithLabelValues(a.label).Observe(took.Seconds())
}

// StoreError records that a page could not be stored.
func (a *Account) StoreError() { a.metrics.storeErrors.WithLabelValues(a.label).Inc() }

// Published records that n events of a kind were acknowledged, delay after they
// were observed.
func (a *Account) Published(kind string, n int, delay time.Duration) {
	a.metrics.events.WithLabelValues(a.label, kind).Add(float64(max(n, 0)))
	observer := a.metrics.ackDelay.WithLabelValues(a.label)
	for range n {
		observer.Observe(max(delay.Seconds(), 0))
	}
}

// PublishRetried records a request to Kafka that is going to be repeated.
func (a *Account) PublishRetried() { a.metrics.retries.WithLabelValues(a.label).Inc() }

// Reconciled records n events that a scan found on the topics.
func (a *Account) Reconciled(n int) {
	a.metrics.reconciled.WithLabelValues(a.label).Add(float64(max(n, 0)))
}

// Fenced records that another instance has taken over.
func (a *Account) Fenced() { a.metrics.fenced.WithLabelValues(a.label).Inc() }

// Watermark records the watermark of a partition's last heartbeat.
func (a *Account) Watermark(topic string, partition int32, t time.Time) {
	a.metrics.watermark.WithLabelValues(a.label, topic, strconv.Itoa(int(partition))).Set(seconds(t))
}

// seconds is a moment as metrics have it; zero for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
