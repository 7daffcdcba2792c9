package config_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/thread"
)

// agreed is the file whose names are a contract: it loads for as long as this
// program exists.
const agreed = `accounts:
  acme:                                 # a label, [a-z0-9_]
    hubspot:
      base_url: http://127.0.0.1:18080  # default https://api.hubapi.com
      api_version: 2026-09-beta         # or 2026-09, v3, auto
      auth: {token_file: token.txt}     # or token_env: HUBSPOT_TOKEN
      account_id: "12345"               # required only where HubSpot will not tell it
      inboxes: []                       # empty: all
    quota: {daily_share: 0.5, burst_share: 0.5, max_calls_per_second: 18}
    lanes:
      recent: {every: 1s}               # shortest time between two starts of its cycle
      full: {every: 5s}
    first_run: publish                  # or record: keep silently what is there, publish from now on
state: {dir: ./state}
kafka:
  brokers: ["127.0.0.1:9092"]
  topic_prefix: hubspot.threads
  topics: {}                            # status: another.name; kinds may share a topic
  create_topics: true                   # otherwise a missing topic stops the start with the command that creates it
  partitions: 3
  replication_factor: 1
  transactional_id_prefix: threadcast
  delivery: fenced
  heartbeat_every: 5m
http: {listen: 127.0.0.1:9464}          # /metrics /healthz /readyz
log: {level: info, format: text}
`

// least has no more than what is required.
const least = "accounts: {acme: {hubspot: {auth: {token_env: TOKEN}}}}\nkafka: {brokers: ['k:9092']}\n"

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "threadcast.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustLoad(t *testing.T, text string, environ ...string) *config.Config {
	t.Helper()
	loaded, _, err := config.Load(write(t, text), environ)
	if err != nil {
		t.Fatalf("Load: %v\nof\n%s", err, text)
	}
	return loaded
}

func problems(t *testing.T, text string, environ ...string) []config.Problem {
	t.Helper()
	_, _, err := config.Load(write(t, text), environ)
	var wrong *config.Error
	if !errors.As(err, &wrong) {
		t.Fatalf("Load: %v, want a *config.Error\nof\n%s", err, text)
	}
	if wrong.ExitCode() != 78 {
		t.Errorf("exit code %d, want 78", wrong.ExitCode())
	}
	return wrong.Problems
}

func TestTheAgreedFileLoads(t *testing.T) {
	path := write(t, agreed)
	loaded, warnings, err := config.Load(path, nil)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("Load: %v, warnings %v", err, warnings)
	}
	dir := filepath.Dir(path)
	want := &config.Config{
		File: path,
		Accounts: []config.Account{{
			Label: "acme",
			HubSpot: config.HubSpot{
				BaseURL: "http://127.0.0.1:18080", APIVersion: "2026-09-beta", AccountID: "12345",
				Auth: config.Auth{TokenFile: filepath.Join(dir, "token.txt")},
			},
			Quota:       config.Quota{DailyShare: 0.5, BurstShare: 0.5, MaxCallsPerSecond: 18, DailyLimit: 250_000},
			Lanes:       config.Lanes{Recent: config.Lane{Every: time.Second}, Full: config.Lane{Every: 5 * time.Second}},
			ListsMayLag: 2 * time.Minute,
			FirstRun:    config.FirstRunPublish,
		}},
		State: config.State{Dir: filepath.Join(dir, "state")},
		Kafka: config.Kafka{
			Brokers: []string{"127.0.0.1:9092"}, TopicPrefix: "hubspot.threads", Kinds: thread.DefaultKinds,
			CreateTopics: true, Partitions: 3, ReplicationFactor: 1, TransactionalIDPrefix: "threadcast",
			Delivery: config.DeliveryFenced, HeartbeatEvery: 5 * time.Minute,
		},
		HTTP: config.HTTP{Listen: "127.0.0.1:9464"},
		Log:  config.Log{Level: slog.LevelInfo, Format: "text"},
	}
	if !reflect.DeepEqual(loaded, want) {
		t.Errorf("loaded\n %+v\nwant\n %+v", loaded, want)
	}
}

func TestExamplesLoad(t *testing.T) {
	for _, text := range []string{config.Example, config.Starter, least} {
		mustLoad(t, text, "HUBSPOT_TOKEN=x")
	}
	example, starter := mustLoad(t, config.Example), mustLoad(t, config.Starter)
	example.Kafka.CreateTopics, example.Kafka.ReplicationFactor = true, 1
	example.File, example.State = starter.File, starter.State
	if !reflect.DeepEqual(example, starter) {
		t.Errorf("the example does not show the defaults\n got %+v\nwant %+v", example, starter)
	}
}

// What is printed is what is in force.
func TestPrintLoadsToTheSame(t *testing.T) {
	for name, text := range map[string]string{
		"agreed": agreed, "example": config.Example, "least": least,
		"everything": `
defaults: {quota: {daily_limit: 7}, lists_may_lag: 0s}
accounts:
  b: {hubspot: {auth: {token_file: "a \"b\" \\c"}, inboxes: [12, "34"], account_id: 11}}
  a_1: {hubspot: {auth: {token_env: T}, base_url: "https://h:1/p/"}, lanes: {full: {every: 90m}}, first_run: record}
kafka:
  brokers: "k-1:9092, [::1]:9093"
  kinds: [activity, status]
  topics: {status: x.y, activity: x.y}
http: {listen: ""}
log: {level: debug, format: json}
`} {
		loaded := mustLoad(t, text)
		var printed bytes.Buffer
		if err := loaded.Print(&printed); err != nil {
			t.Fatal(err)
		}
		again := mustLoad(t, printed.String())
		again.File = loaded.File
		if !reflect.DeepEqual(again, loaded) {
			t.Errorf("%s: printed\n%s\nloads to\n %+v\nwant\n %+v", name, &printed, again, loaded)
		}
	}
}

func TestDefaultsAreForAllAccounts(t *testing.T) {
	loaded := mustLoad(t, `
defaults:
  hubspot: {auth: {token_file: shared}, base_url: https://proxy.example}
  quota: {daily_share: 0.25, burst_share: 0.75}
  lanes: {recent: {every: 3s}}
accounts:
  a:
  b: {quota: {daily_share: 0.1}, hubspot: {auth: {token_env: B}}}
kafka: {brokers: [k:1]}
`, "THREADCAST_ACCOUNTS__C__FIRST_RUN=record", "THREADCAST_DEFAULTS__LANES__FULL__EVERY=7s")
	if len(loaded.Accounts) != 3 {
		t.Fatalf("accounts %+v, want a, b, c", loaded.Accounts)
	}
	a, b, c := loaded.Accounts[0], loaded.Accounts[1], loaded.Accounts[2]
	for _, account := range loaded.Accounts {
		if account.HubSpot.BaseURL != "https://proxy.example" || account.Quota.BurstShare != 0.75 ||
			account.Lanes.Recent.Every != 3*time.Second || account.Lanes.Full.Every != 7*time.Second {
			t.Errorf("account %s did not take the defaults: %+v", account.Label, account)
		}
	}
	if a.Quota.DailyShare != 0.25 || b.Quota.DailyShare != 0.1 {
		t.Errorf("daily shares %v, %v, want 0.25, 0.1", a.Quota.DailyShare, b.Quota.DailyShare)
	}
	if b.HubSpot.Auth != (config.Auth{TokenEnv: "B"}) {
		t.Errorf("the own way to the token did not replace the default: %+v", b.HubSpot.Auth)
	}
	if c.FirstRun != config.FirstRunRecord || filepath.Base(c.HubSpot.Auth.TokenFile) != "shared" {
		t.Errorf("account of the environment alone: %+v", c)
	}
}

func TestEverythingFromTheEnvironment(t *testing.T) {
	loaded, warnings, err := config.Load("", []string{
		"THREADCAST_ACCOUNTS__ACME__HUBSPOT__AUTH__TOKEN_FILE=/run/token",
		"THREADCAST_ACCOUNTS__ACME__HUBSPOT__INBOXES=1, 2",
		"THREADCAST_ACCOUNTS__A__B__HUBSPOT__AUTH__TOKEN_FILE=/run/other",
		"THREADCAST_KAFKA__BROKERS=a:1,b:2",
		"THREADCAST_KAFKA__TOPICS__STATUS=changes",
		"THREADCAST_KAFKA__KINDS=status,closure",
		"THREADCAST_KAFKA__CREATE_TOPICS=true",
		"THREADCAST_HTTP__LISTEN=",
		"THREADCAST_STATE__DIR=/var/lib/threadcast",
		"THREADCAST_SERVICE_HOST=10.0.0.1", // Kubernetes sets such
		"OTHER__THING=1",
	})
	if err != nil || len(warnings) != 0 {
		t.Fatalf("Load: %v, warnings %v", err, warnings)
	}
	if len(loaded.Accounts) != 2 || loaded.Accounts[0].Label != "a__b" || loaded.Accounts[1].HubSpot.Auth.TokenFile != "/run/token" {
		t.Errorf("accounts %+v", loaded.Accounts)
	}
	if got := loaded.Accounts[1].HubSpot.Inboxes; !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("inboxes %q", got)
	}
	if !slices.Equal(loaded.Kafka.Brokers, []string{"a:1", "b:2"}) || !loaded.Kafka.CreateTopics || loaded.HTTP.Listen != "" || loaded.File != "" {
		t.Errorf("loaded %+v", loaded)
	}
	if got := loaded.Kafka.TopicNames(); !slices.Equal(got, []string{"changes", "hubspot.threads.closure.v1"}) {
		t.Errorf("topics %q", got)
	}
}

func TestTheEnvironmentGoesBeforeTheFile(t *testing.T) {
	loaded := mustLoad(t, agreed,
		"THREADCAST_ACCOUNTS__ACME__QUOTA__DAILY_SHARE=0.125",
		"THREADCAST_ACCOUNTS__ACME__HUBSPOT__AUTH__TOKEN_FILE=other.txt",
		"THREADCAST_LOG__LEVEL=warn")
	account := loaded.Accounts[0]
	if account.Quota.DailyShare != 0.125 || account.Quota.BurstShare != 0.5 || loaded.Log.Level != slog.LevelWarn {
		t.Errorf("loaded %+v", loaded)
	}
	if want := filepath.Join(filepath.Dir(loaded.File), "other.txt"); account.HubSpot.Auth.TokenFile != want {
		t.Errorf("token file %q, want %q", account.HubSpot.Auth.TokenFile, want)
	}
}

func TestIdsKeepTheirText(t *testing.T) {
	loaded := mustLoad(t, "accounts: {a: {hubspot: {auth: {token_env: T}, account_id: 9007199254740993, inboxes: [18446744073709551615, '7']}}}\nkafka: {brokers: [k:1]}")
	hubspot := loaded.Accounts[0].HubSpot
	if hubspot.AccountID != "9007199254740993" || !slices.Equal(hubspot.Inboxes, []string{"18446744073709551615", "7"}) {
		t.Errorf("ids %+v", hubspot)
	}
}

func TestTopicsAndTransactionalIDs(t *testing.T) {
	kafka := mustLoad(t, least+"  # comment\n", "THREADCAST_KAFKA__TOPICS__CLOSURE=hubspot.threads.status.v1").Kafka
	if got := kafka.Topic(thread.KindStatus); got != "hubspot.threads.status.v1" {
		t.Errorf("topic of status %q", got)
	}
	want := []string{"hubspot.threads.lifecycle.v1", "hubspot.threads.status.v1", "hubspot.threads.assignment.v1"}
	if got := kafka.TopicNames(); !slices.Equal(got, want) {
		t.Errorf("topics %q, want %q", got, want)
	}
	if got := kafka.TransactionalID("12"); got != "threadcast.12" {
		t.Errorf("transactional id %q", got)
	}
	if got := kafka.CheckTransactionalID("12"); got != "threadcast.check.12" {
		t.Errorf("transactional id of check %q", got)
	}
}

func TestMissingFileShowsHowToWriteOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, _, err := config.Load(path, nil)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "accounts:") {
		t.Errorf("Load: %v, want the path and an example", err)
	}
	if _, _, err := config.Load(t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("Load of a directory: %v", err)
	}
	if _, _, err := config.Load(write(t, strings.Repeat("#", 2<<20)), nil); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("Load of a huge file: %v", err)
	}
}

func TestAllProblemsAtOnceInTheOrderOfTheFile(t *testing.T) {
	got := problems(t, `accounts:
  acme:
    hubspot: {auth: {token_env: T}, base_ur: x}
    quota: {daily_share: 50%}
  beta:
    hubspot: {auth: {token_env: T}}
    lanes: {recent: {every: 5}}
kafka:
  brokers: [localhost]
  partitions: 0
`, "THREADCAST_KAFKA__PARTITION=3")
	var lines []string
	for _, problem := range got {
		lines = append(lines, problem.String()[max(0, strings.Index(problem.String(), "threadcast.yaml")):])
	}
	want := []string{
		"environment variable THREADCAST_KAFKA__PARTITION: there is no key kafka.partition, the nearest is THREADCAST_KAFKA__PARTITIONS",
		"threadcast.yaml:3: accounts.acme.hubspot.base_ur: unknown key, the nearest is accounts.acme.hubspot.base_url",
		"threadcast.yaml:4: accounts.acme.quota.daily_share: \"50%\" is not a number; write a number above 0 and at most 1, such as 0.5",
		"threadcast.yaml:7: accounts.beta.lanes.recent.every: \"5\" has no unit (ms, s, m, h); write a duration from 100ms to 168h, such as 10s",
		"threadcast.yaml:9: kafka.brokers: \"localhost\" has no port; write a list of host:port, such as [\"kafka-1:9092\", \"kafka-2:9092\"]",
		"threadcast.yaml:10: kafka.partitions: \"0\" is out of bounds; write a whole number from 1 to 10000",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("problems\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}
