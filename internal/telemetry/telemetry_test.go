package telemetry_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/telemetry"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func healthy() map[string]telemetry.Health {
	return map[string]telemetry.Health{
		"acme": {Ready: true, State: "running"},
		"beta": {State: "parked", Reason: "HubSpot refuses the token <1>"},
	}
}

// busy is a telemetry to which everything has happened once.
func busy(health func() map[string]telemetry.Health) *telemetry.Telemetry {
	t := telemetry.New(telemetry.Config{Version: "1.2.3", Health: health, Logger: quiet()})
	a := t.Account("acme")
	now := time.Unix(1_700_000_000, 0)
	a.Attempt("threads", "none", 250*time.Millisecond, 1000, 2*time.Second)
	a.Page("full", 500)
	a.Cycle("full", now, now.Add(5*time.Second))
	a.Commit(3 * time.Millisecond)
	a.StoreError()
	a.Published("status", 2, 40*time.Millisecond)
	a.PublishRetried()
	a.Reconciled(3)
	a.Fenced()
	a.Watermark("hubspot.threads.status.v1", 2, now)
	a.Poll(func() telemetry.Figures {
		return telemetry.Figures{
			CallsToday: 1, DailyLimit: 2, CallRate: 3.5, CallsWaiting: 4, Refusals: 5, ParkedUntil: now, Threads: 7,
			OutboxEntries: 8, OutboxOldest: now, StaleReads: 10, Rereads: 11, NotUnderstood: 12, ClockSteps: 13,
		}
	})
	return t
}

func get(t *testing.T, handler http.Handler, target string) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, target, nil))
	return answer.Code, answer.Body.String()
}

func TestMetricsShowWhatHappened(t *testing.T) {
	code, body := get(t, busy(healthy).Handler(), "/metrics")
	if code != http.StatusOK {
		t.Fatalf("GET /metrics: %d %s", code, body)
	}
	for _, line := range []string{
		`threadcast_hubspot_calls_total{account="acme",endpoint="threads",result="none"} 1`,
		`threadcast_hubspot_call_duration_seconds_count{account="acme",endpoint="threads"} 1`,
		`threadcast_hubspot_received_bytes_total{account="acme"} 1000`,
		`threadcast_hubspot_clock_skew_seconds{account="acme"} 2`,
		`threadcast_sweep_pages_total{account="acme",lane="full"} 1`,
		`threadcast_sweep_threads_total{account="acme",lane="full"} 500`,
		`threadcast_sweep_cycles_total{account="acme",lane="full"} 1`,
		`threadcast_sweep_cycle_completed_timestamp_seconds{account="acme",lane="full"} 1.700000005e+09`,
		`threadcast_sweep_cycle_duration_seconds{account="acme",lane="full"} 5`,
		`threadcast_sweep_stale_reads_total{account="acme"} 10`,
		`threadcast_sweep_rereads_total{account="acme"} 11`,
		`threadcast_store_commit_duration_seconds_count{account="acme"} 1`,
		`threadcast_store_errors_total{account="acme"} 1`,
		`threadcast_store_threads{account="acme"} 7`,
		`threadcast_store_outbox_entries{account="acme"} 8`,
		`threadcast_store_outbox_oldest_timestamp_seconds{account="acme"} 1.7e+09`,
		`threadcast_store_not_understood_total{account="acme"} 12`,
		`threadcast_store_clock_steps_total{account="acme"} 13`,
		`threadcast_publish_events_total{account="acme",kind="status"} 2`,
		`threadcast_publish_ack_delay_seconds_count{account="acme"} 2`,
		`threadcast_publish_ack_delay_seconds_bucket{account="acme",le="0.05"} 2`,
		`threadcast_publish_retries_total{account="acme"} 1`,
		`threadcast_publish_reconciled_total{account="acme"} 3`,
		`threadcast_publish_fenced_total{account="acme"} 1`,
		`threadcast_publish_watermark_timestamp_seconds{account="acme",partition="2",topic="hubspot.threads.status.v1"} 1.7e+09`,
		`threadcast_quota_calls_today{account="acme"} 1`,
		`threadcast_quota_daily_limit{account="acme"} 2`,
		`threadcast_quota_call_rate{account="acme"} 3.5`,
		`threadcast_quota_waiting_calls{account="acme"} 4`,
		`threadcast_quota_refusals_total{account="acme"} 5`,
		`threadcast_quota_parked_until_timestamp_seconds{account="acme"} 1.7e+09`,
		`threadcast_account_up{account="acme",state="running"} 1`,
		`threadcast_account_up{account="beta",state="parked"} 0`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if !strings.Contains(body, `version="1.2.3"`) || !strings.Contains(body, "\ngo_goroutines ") {
		t.Error("no build info or no figures of the runtime")
	}
	if t.Failed() {
		t.Logf("got\n%s", body)
	}
}

func TestTroubleIsZeroFromTheStart(t *testing.T) {
	tele := telemetry.New(telemetry.Config{Health: healthy, Logger: quiet()})
	tele.Account("acme")
	_, body := get(t, tele.Handler(), "/metrics")
	for _, name := range []string{"store_errors_total", "publish_retries_total", "publish_reconciled_total", "publish_fenced_total"} {
		if !strings.Contains(body, "threadcast_"+name+`{account="acme"} 0`) {
			t.Errorf("%s is not there at zero", name)
		}
	}
}

func TestPollEnds(t *testing.T) {
	tele := busy(healthy)
	tele.Account("acme").Poll(nil)
	if _, body := get(t, tele.Handler(), "/metrics"); strings.Contains(body, "threadcast_store_threads{") {
		t.Error("figures of an account that has ended are still shown")
	}
}

func TestReadiness(t *testing.T) {
	handler := busy(healthy).Handler()
	for target, want := range map[string]int{
		"/readyz": 200, "/readyz?account=acme": 200, "/readyz?account=beta": 503, "/readyz?account=gamma": 404,
		"/healthz": 200, "/": 200, "/debug/pprof/": 404,
	} {
		if code, body := get(t, handler, target); code != want {
			t.Errorf("GET %s: %d, want %d: %s", target, code, want, body)
		}
	}
	_, body := get(t, handler, "/readyz")
	var got map[string]telemetry.Health
	if err := json.Unmarshal([]byte(body), &got); err != nil || got["beta"] != healthy()["beta"] || !got["acme"].Ready {
		t.Errorf("GET /readyz: %s, %v", body, err)
	}
	none := busy(func() map[string]telemetry.Health { return map[string]telemetry.Health{"acme": {State: "starting"}} })
	if code, _ := get(t, none.Handler(), "/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("GET /readyz with no account ready: %d, want 503", code)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/readyz", nil))
	if answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /readyz: %d, want 405", answer.Code)
	}
}

func TestRunServesUntilTheContextEnds(t *testing.T) {
	bound := make(chan net.Addr, 1)
	tele := telemetry.New(telemetry.Config{
		Listen: "127.0.0.1:0", Health: healthy, Logger: quiet(), Listening: func(at net.Addr) { bound <- at },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tele.Run(ctx) }()
	address := (<-bound).String()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || string(body) != "ok\n" {
		t.Errorf("GET /healthz: %q, %v", body, err)
	}

	second := telemetry.New(telemetry.Config{Listen: address, Health: healthy, Logger: quiet()})
	if err := second.Run(ctx); err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("a second one at %s: %v, want an error that names the address", address, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := client.Get("http://" + address + "/healthz"); err == nil {
		t.Error("still serving after the end")
	}
}

func TestRunWithoutAnAddressWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := telemetry.New(telemetry.Config{Health: healthy, Logger: quiet()}).Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

var (
	typeLine = regexp.MustCompile(`(?m)^# TYPE (threadcast_\S+) (\S+)$`)
	nameForm = regexp.MustCompile(`^threadcast_(hubspot|quota|sweep|store|publish|account|build)_[a-z_]+$`)
	docsRow  = regexp.MustCompile("(?m)^\\| `(threadcast_[^`]+)` \\| (\\w+) \\| ([^|]*) \\|")
	label    = regexp.MustCompile(`[{,]([a-z_]+)=`)
)

// Every metric has its line in the reference, with its type and labels, and every
// line a metric.
func TestDocumentationMatches(t *testing.T) {
	_, body := get(t, busy(healthy).Handler(), "/metrics")
	var want, got []string
	for _, match := range typeLine.FindAllStringSubmatch(body, -1) {
		name, kind := match[1], match[2]
		if !nameForm.MatchString(name) || (kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s (%s) is not named threadcast_<stage>_<what>_<unit>, or a counter without _total", name, kind)
		}
		var labels []string
		sample := regexp.MustCompile(`(?m)^` + name + `(_bucket)?\{.*$`).FindString(body)
		for _, found := range label.FindAllStringSubmatch(sample, -1) {
			if found[1] != "le" {
				labels = append(labels, "`"+found[1]+"`")
			}
		}
		slices.Sort(labels)
		want = append(want, name+" "+kind+" "+strings.Join(labels, ", "))
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range docsRow.FindAllStringSubmatch(string(text), -1) {
		labels := strings.Split(match[3], ", ")
		slices.Sort(labels)
		got = append(got, match[1]+" "+match[2]+" "+strings.Join(labels, ", "))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("docs/metrics.md has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
