package telemetry

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves /metrics, /healthz and /readyz.
func (t *Telemetry) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		Registry: t.registry, EnableOpenMetrics: true, ErrorHandling: promhttp.HTTPErrorOnError,
	}))
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", t.ready)
	mux.HandleFunc("GET /{$}", index)
	return mux
}

func index(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "/metrics\n/healthz\n/readyz\n/readyz?account=LABEL\n")
}

// alive answers as long as the process can: a restart helps against nothing that
// this service waits for, so nothing else makes it unhealthy.
func alive(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "ok\n")
}

// ready answers 200 if at least one account is ready: a fault belongs to its
// account, and taking the process out of service for it would stop the others.
// ?account=LABEL asks for one; a label that is not known is 404.
func (t *Telemetry) ready(w http.ResponseWriter, request *http.Request) {
	accounts := t.config.Health()
	if label := request.URL.Query().Get("account"); label != "" {
		health, ok := accounts[label]
		if !ok {
			http.Error(w, "there is no such account", http.StatusNotFound)
			return
		}
		accounts = map[string]Health{label: health}
	}
	code := http.StatusServiceUnavailable
	for _, health := range accounts {
		if health.Ready {
			code = http.StatusOK
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(accounts) // the prober has gone
}
