// Package telemetry owns what an operator sees of a running service from outside:
// metrics, health and the log's form. It knows no stage: the pipeline tells it
// what happens in plain numbers and texts, and it never influences what happens.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Config says what is served where.
type Config struct {
	Version string // of this binary
	Listen  string // host:port; empty: nothing is served
	// Health tells what each account is doing, by label. It is called for every
	// probe and every scrape, by several goroutines.
	Health func() map[string]Health
	Logger *slog.Logger
	// Listening is told the address once it is bound; may be nil.
	Listening func(net.Addr)
}

// Health is what an account is doing.
type Health struct {
	Ready  bool   `json:"ready"`            // changes of HubSpot reach Kafka
	State  string `json:"state"`            // one of few words: it is a label of a metric
	Reason string `json:"reason,omitempty"` // for people
}

// Telemetry holds the metrics of one service on a registry of its own.
type Telemetry struct {
	config   Config
	registry *prometheus.Registry
	metrics  metrics
	figures  *figures
}

// New registers every metric. It serves nothing before Run.
func New(config Config) *Telemetry {
	t := &Telemetry{config: config, registry: prometheus.NewRegistry(), metrics: newMetrics(), figures: newFigures(config.Health)}
	t.registry.MustRegister(t.metrics.all()...)
	t.registry.MustRegister(t.figures, buildInfo(config.Version),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return t
}

func buildInfo(version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "threadcast_build_info",
		Help:        "1; the labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": runtime.Version()},
	}, func() float64 { return 1 })
}

// Limits of the server. Scrapes and probes are small; whoever is slower than this
// does not come from a monitoring system.
const (
	requestTime  = 10 * time.Second
	idleTime     = 2 * time.Minute
	maxHeader    = 16 << 10
	shutdownTime = 2 * time.Second
)

// Run serves until the context ends and then lets requests in progress finish, for
// two seconds at most. It returns nil when the context ended, and otherwise why it
// cannot serve. Without an address it only waits.
func (t *Telemetry) Run(ctx context.Context) error {
	if t.config.Listen == "" {
		<-ctx.Done()
		return nil
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", t.config.Listen)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("listen on %s: %w", t.config.Listen, err)
	}
	server := &http.Server{
		Handler: t.Handler(), ReadTimeout: requestTime, WriteTimeout: requestTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(t.config.Logger.Handler(), slog.LevelDebug),
	}
	t.config.Logger.Info("serving metrics and health", "address", listener.Addr().String())
	if t.config.Listening != nil {
		t.config.Listening(listener.Addr())
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if server.Shutdown(ending) != nil {
		_ = server.Close() // requests that did not finish in time are cut
	}
	<-served
	return nil
}
