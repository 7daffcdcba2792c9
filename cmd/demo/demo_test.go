package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/thread"
)

// outcome is what a process leaves behind.
type outcome struct {
	code           int
	stdout, stderr string
}

func execute(t *testing.T, rig rigging, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), nil, args, &stdout, &stderr, rig)
	return outcome{code, stdout.String(), stderr.String()}
}

func patient() rigging { return rigging{patience: 30 * time.Second} }

// objects decodes NDJSON.
func objects(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("line %q is not JSON: %v", line, err)
		}
		all = append(all, object)
	}
	return all
}

func TestDemoEndsByItselfWithCheckedTotals(t *testing.T) {
	t.Parallel()
	began := time.Now()
	got := execute(t, patient(), "--for", "3s", "--rate", "10")
	if got.code != 0 {
		t.Fatalf("exit code %d, want 0; stderr:\n%s\nstdout:\n%s", got.code, got.stderr, got.stdout)
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("ended after %v, want about 3 s", took)
	}
	for _, want := range []string{
		"discovered 193 threads", "from -> to", "OPEN -> CLOSED", "events on Kafka", "p50", "calls to HubSpot",
		"0 lost, 0 invented, 0 duplicate, 0 out of order",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("stdout lacks %q:\n%s", want, got.stdout)
		}
	}
	if strings.Contains(got.stdout, "\x1b") {
		t.Error("stdout is coloured though it is no terminal")
	}
	if got.stderr != "" {
		t.Errorf("stderr is not silent:\n%s", got.stderr)
	}
}

func TestDemoForMachines(t *testing.T) {
	t.Parallel()
	got := execute(t, patient(), "--for", "3s", "--rate", "10", "--threads", "30", "--json")
	if got.code != 0 {
		t.Fatalf("exit code %d, want 0; stderr:\n%s", got.code, got.stderr)
	}
	all := objects(t, got.stdout)
	counts := map[string]int{}
	delays := 0
	for _, object := range all {
		kind, _ := object["type"].(string)
		counts[kind]++
		if _, known := object["delay_ms"].(float64); known && kind == "event" {
			delays++
		}
		if whole, ok := object["event"].(map[string]any); kind == "event" && (!ok || whole["thread_id"] != object["thread_id"]) {
			t.Errorf("event without itself: %v", object)
		}
	}
	if counts["start"] != 1 || counts["discovered"] != 1 || counts["summary"] != 1 || counts["event"] == 0 || delays == 0 {
		t.Errorf("types %v with %d delays, want one start, discovered and summary, and events with delays", counts, delays)
	}
	last := all[len(all)-1]
	checked, _ := last["checked"].(map[string]any)
	if last["type"] != "summary" || last["ok"] != true || checked["lost"] != 0.0 {
		t.Errorf("last line %v, want a summary that is ok", last)
	}
}

// A thread that loses an event between Kafka and the check is a broken promise.
func TestDemoFindsAStolenEvent(t *testing.T) {
	t.Parallel()
	var stolen atomic.Bool
	steal := func(r *kgo.Record) bool {
		m, err := event.Decode(r.Value)
		return err == nil && m.Revision > 1 && stolen.CompareAndSwap(false, true)
	}
	got := execute(t, rigging{patience: 100 * time.Millisecond, steal: steal}, "--for", "3s", "--rate", "10", "--threads", "30")
	if !stolen.Load() {
		t.Fatal("there was nothing to steal")
	}
	if got.code != 70 || !strings.Contains(got.stderr, "a promise was broken") || strings.Contains(got.stdout, ": 0 lost") {
		t.Errorf("exit code %d, want 70 and why; stderr:\n%s\nstdout:\n%s", got.code, got.stderr, got.stdout)
	}
}

func TestWhatCannotBeDecodedIsKeptForTheCheck(t *testing.T) {
	t.Parallel()
	a := newAudience(hubspottest.New(hubspottest.Config{}), 1, newView(io.Discard, false), nil)
	a.take(&kgo.Record{Topic: "t", Value: []byte("no event")})
	if got := len(a.kept()); got != 1 {
		t.Errorf("%d records kept, want 1", got)
	}
}

func TestFirstSignalEndsThePlayWithASummary(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	signals := make(chan os.Signal, 2)
	code := make(chan int, 1)
	go func() {
		defer writer.Close()
		code <- run(t.Context(), signals, []string{"--json", "--threads", "30", "--rate", "10"}, writer, io.Discard, patient())
	}()
	last, interrupted := "", false
	lines := bufio.NewScanner(reader)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		last = lines.Text()
		if !interrupted && strings.Contains(last, `"delay_ms"`) {
			interrupted = true
			signals <- syscall.SIGINT
			signals <- syscall.SIGINT // the same once more, as timeout(1) sends it
		}
	}
	if got := <-code; got != 0 {
		t.Errorf("exit code %d, want 0", got)
	}
	if !strings.Contains(last, `"ok":true`) {
		t.Errorf("last line %s, want a summary that is ok", last)
	}
}

func TestWrongFlagsAreErrorsOfUsage(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"too short":              {"--for", "1s"},
		"no duration":            {"--for", "20"},
		"unknown flag":           {"--fro", "20s"},
		"unknown command":        {"hubpot"},
		"no threads":             {"--threads", "0"},
		"too many threads":       {"--threads", "20001"},
		"too fast":               {"--rate", "11"},
		"no rate":                {"--rate", "0"},
		"a rate that is none":    {"--rate", "NaN"},
		"broker without port":    {"--brokers", "kafka"},
		"hubspot: account":       {"hubspot", "--account", "acme"},
		"hubspot: listen":        {"hubspot", "--listen", "18080"},
		"hubspot: plan":          {"hubspot", "--plan", "gold"},
		"hubspot: quiet all day": {"hubspot", "--for", "2s", "--quiet", "2s"},
		"hubspot: empty token":   {"hubspot", "--token", ""},
		"hubspot: argument":      {"hubspot", "here"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := execute(t, patient(), args...)
			if got.code != 2 || !strings.HasPrefix(got.stderr, "demo: ") || got.stdout != "" {
				t.Errorf("demo %v: exit code %d, stdout %q, stderr %q; want 2 and a message on stderr alone", args, got.code, got.stdout, got.stderr)
			}
		})
	}
}

func TestBrokerThatIsAway(t *testing.T) {
	t.Parallel()
	got := execute(t, patient(), "--brokers", "127.0.0.1:1", "--for", "5s")
	if got.code != 69 || !strings.Contains(got.stderr, "127.0.0.1:1") {
		t.Errorf("exit code %d, stderr %q; want 69 and the address", got.code, got.stderr)
	}
}

// `demo hubspot` answers with the token that it was given, and writes down what happens.
func TestHubSpotAlone(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	signals := make(chan os.Signal, 1)
	code := make(chan int, 1)
	go func() {
		defer writer.Close()
		code <- run(t.Context(), signals, []string{
			"hubspot", "--listen", "127.0.0.1:0", "--token", "secret", "--account", "777", "--threads", "40", "--rate", "50", "--json",
		}, writer, io.Discard, patient())
	}()
	lines := bufio.NewScanner(reader)
	next := func() map[string]any {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("the output ended: %v", lines.Err())
		}
		return objects(t, lines.Text())[0]
	}
	serving := next()
	if serving["account"] != "777" {
		t.Errorf("first line %v, want account 777", serving)
	}
	base, _ := serving["base_url"].(string)
	for token, want := range map[string]int{"secret": http.StatusOK, "other": http.StatusUnauthorized} {
		if got := status(t, base+hubspottest.ThreadsPath(hubspottest.VersionV3)+"?limit=1", token); got != want {
			t.Errorf("token %s: status %d, want %d", token, got, want)
		}
	}
	for number := 1.0; number <= 3; number++ {
		m := next()
		after, _ := m["after"].(map[string]any)
		if m["type"] != "mutation" || m["sequence"] != number || after["id"] != m["thread_id"] {
			t.Errorf("line %v, want mutation %v with its thread", m, number)
		}
	}
	signals <- syscall.SIGTERM
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	if got := <-code; got != 0 || !strings.Contains(last, `"type":"end"`) {
		t.Errorf("exit code %d, last line %s; want 0 and an end", got, last)
	}
}

func status(t *testing.T, url, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func TestCauseIsTheNewestMutationThatFits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	server := hubspottest.New(hubspottest.Config{Clock: func() time.Time { return now }})
	at := func(second int) time.Time { return time.Date(2026, 10, 1, 12, 0, second, 0, time.UTC) }
	id := server.Open(hubspottest.Opening{})
	steps := []func() error{
		func() error { return server.Assign(id, "A-1") },
		func() error { return server.Close(id) },
		func() error { return server.Assign(id, "A-2") },
	}
	for i, step := range steps {
		now = at(10 * (i + 1))
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	truth := newTruth(server)
	tests := map[string]struct {
		kind   thread.Kind
		unseen bool
		read   time.Time
		want   hubspottest.Op
	}{
		"discovered":                         {thread.KindLifecycle, true, at(5), hubspottest.OpOpen},
		"status at first sight":              {thread.KindStatus, true, at(5), hubspottest.OpOpen},
		"assigned":                           {thread.KindAssignment, false, at(15), hubspottest.OpAssign},
		"assigned, whatever came in between": {thread.KindAssignment, false, at(25), hubspottest.OpAssign},
		"reassigned":                         {thread.KindAssignment, false, at(35), hubspottest.OpReassign},
		"closed":                             {thread.KindClosure, false, at(35), hubspottest.OpClose},
		"closed later than it was read":      {thread.KindStatus, false, at(15), hubspottest.OpNone},
	}
	for name, tt := range tests {
		if got, _ := truth.cause(id, tt.kind, tt.unseen, tt.read); got.Op != tt.want {
			t.Errorf("%s: cause %s, want %s", name, got.Op, tt.want)
		}
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	var all []time.Duration
	for n := 100; n >= 0; n-- {
		all = append(all, time.Duration(n)*time.Millisecond)
	}
	want := delays{101, 50 * time.Millisecond, 95 * time.Millisecond, 100 * time.Millisecond}
	if got := measure(all); got != want {
		t.Errorf("measure: %+v, want %+v", got, want)
	}
	if got := measure(nil); got != (delays{}) {
		t.Errorf("measure of nothing: %+v", got)
	}
}

func TestSharedTopics(t *testing.T) {
	t.Parallel()
	for want, topics := range map[string][]string{
		"hubspot.threads.{status,closure}.v1": {"hubspot.threads.status.v1", "hubspot.threads.closure.v1"},
		"a.status.v1, elsewhere":              {"a.status.v1", "elsewhere"},
	} {
		if got := shared(topics); got != want {
			t.Errorf("shared %v: %s, want %s", topics, got, want)
		}
	}
}
