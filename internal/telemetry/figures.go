package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Figures are what the stages of an account count by themselves, at one moment.
// Times that are zero, and a store that is not open yet, show as 0.
type Figures struct {
	CallsToday    int // our own
	DailyLimit    int // of them, our share
	CallRate      float64
	CallsWaiting  int
	Refusals      uint64    // 429 answers
	ParkedUntil   time.Time // no call goes before
	Threads       int
	OutboxEntries int // not acknowledged
	OutboxOldest  time.Time
	StaleReads    uint64 // readings that came too late to count
	Rereads       uint64 // readings that had to be verified by a GET
	NotUnderstood uint64 // readings of threads that could not be understood
	ClockSteps    uint64 // times that the wall clock was set
}

// figure is one metric made of Figures.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(Figures) float64
}

func figureTable() []figure {
	one := func(name, help string, kind prometheus.ValueType, read func(Figures) float64) figure {
		return figure{prometheus.NewDesc(prefix+name, help, labels(nil), nil), kind, read}
	}
	const total, present = prometheus.CounterValue, prometheus.GaugeValue
	return []figure{
		one("quota_calls_today", "Our own calls in the account's day, with those that a crash may have left unused.", present, func(f Figures) float64 { return float64(f.CallsToday) }),
		one("quota_daily_limit", "Calls a day that are ours.", present, func(f Figures) float64 { return float64(f.DailyLimit) }),
		one("quota_call_rate", "Calls a second that may go now.", present, func(f Figures) float64 { return f.CallRate }),
		one("quota_waiting_calls", "Calls that wait for their turn.", present, func(f Figures) float64 { return float64(f.CallsWaiting) }),
		one("quota_refusals_total", "Calls that HubSpot refused with 429.", total, func(f Figures) float64 { return float64(f.Refusals) }),
		one("quota_parked_until_timestamp_seconds", "No call goes before; 0 if calls go.", present, func(f Figures) float64 { return seconds(f.ParkedUntil) }),
		one("store_threads", "Threads in the state file.", present, func(f Figures) float64 { return float64(f.Threads) }),
		one("store_outbox_entries", "Events that Kafka has not acknowledged.", present, func(f Figures) float64 { return float64(f.OutboxEntries) }),
		one("store_outbox_oldest_timestamp_seconds", "When the oldest of them was observed; 0 without any.", present, func(f Figures) float64 { return seconds(f.OutboxOldest) }),
		one("store_not_understood_total", "Readings of threads that could not be understood.", total, func(f Figures) float64 { return float64(f.NotUnderstood) }),
		one("store_clock_steps_total", "Times that the wall clock was set while we ran.", total, func(f Figures) float64 { return float64(f.ClockSteps) }),
		one("sweep_stale_reads_total", "Readings that came too late to count.", total, func(f Figures) float64 { return float64(f.StaleReads) }),
		one("sweep_rereads_total", "Readings that had to be verified by reading the thread alone.", total, func(f Figures) float64 { return float64(f.Rereads) }),
	}
}

// figures asks the stages at each scrape.
type figures struct {
	health func() map[string]Health
	table  []figure
	up     *prometheus.Desc

	mu    sync.Mutex
	reads map[string]func() Figures
}

func newFigures(health func() map[string]Health) *figures {
	return &figures{
		health: health,
		table:  figureTable(),
		up:     prometheus.NewDesc(prefix+"account_up", "1 if changes of HubSpot reach Kafka, 0 if not; the state is the account's present one.", labels([]string{"state"}), nil),
		reads:  map[string]func() Figures{},
	}
}

func (f *figures) poll(label string, read func() Figures) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reads[label] = read; read == nil {
		delete(f.reads, label)
	}
}

// Describe is part of prometheus.Collector.
func (f *figures) Describe(descs chan<- *prometheus.Desc) {
	descs <- f.up
	for _, figure := range f.table {
		descs <- figure.desc
	}
}

// Collect is part of prometheus.Collector.
func (f *figures) Collect(out chan<- prometheus.Metric) {
	for label, health := range f.health() {
		var up float64
		if health.Ready {
			up = 1
		}
		out <- prometheus.MustNewConstMetric(f.up, prometheus.GaugeValue, up, label, health.State)
	}
	f.mu.Lock()
	reads := make(map[string]func() Figures, len(f.reads))
	for label, read := range f.reads {
		reads[label] = read
	}
	f.mu.Unlock()
	for label, read := range reads {
		now := read()
		for _, figure := range f.table {
			out <- prometheus.MustNewConstMetric(figure.desc, figure.kind, figure.read(now), label)
		}
	}
}
