package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/threadcast/threadcast/internal/config"
)

// set gives the text of a configuration with one key set as given.
func set(path, text string) string {
	values := map[string]string{
		"accounts.acme.hubspot.auth.token_env": "TOKEN",
		"kafka.brokers":                        "[k:9092]",
	}
	if path == "accounts.acme.hubspot.auth.token_file" {
		delete(values, "accounts.acme.hubspot.auth.token_env")
	}
	values[path] = text
	tree := map[string]any{}
	for path, text := range values {
		at, parts := tree, strings.Split(path, ".")
		for _, part := range parts[:len(parts)-1] {
			if at[part] == nil {
				at[part] = map[string]any{}
			}
			at = at[part].(map[string]any)
		}
		at[parts[len(parts)-1]] = text
	}
	var b strings.Builder
	emit(&b, tree, "")
	return b.String()
}

func emit(b *strings.Builder, tree map[string]any, indent string) {
	for name, below := range tree {
		if section, ok := below.(map[string]any); ok {
			fmt.Fprintf(b, "%s%s:\n", indent, name)
			emit(b, section, indent+"  ")
			continue
		}
		fmt.Fprintf(b, "%s%s: %s\n", indent, name, below)
	}
}

// Each row: a key, values that are fine, and values that are not with a part of
// the message.
func TestValues(t *testing.T) {
	const account = "accounts.acme."
	for _, c := range []struct {
		path  string
		fine  []string
		wrong [][2]string
	}{
		{account + "hubspot.base_url",
			[]string{"https://api-eu1.hubapi.com", "http://localhost:1", "http://[::1]:80/prefix/", "HTTPS://x"},
			[][2]string{{`""`, "empty"}, {"api.hubapi.com", "does not begin with"}, {"ftp://x", "does not begin with"}, {"https://", "no host"},
				{"https://u:hunter2@x", "user or password"}, {"https://x/?a=1", "query"}, {"'https://x/#a'", "query or a fragment"},
				{"https://x:99999", "port"}, {"https://x:0", "port"}, {"'https://x:'", "port"}, {"'http://[::1'", "not an address"}, {"[a]", "takes one value"}}},
		{account + "hubspot.api_version", []string{"2026-09-beta", "2026-09", "v3", "auto"},
			[][2]string{{"v4", "nearest is v3"}, {"2026-03", "nearest is 2026-09"}}},
		{account + "hubspot.auth.token_file", []string{"token.txt", "/run/token", "a b"},
			[][2]string{{"~/token", "only a shell"}, {`"a\0b"`, "control character"}, {`""`, "does not say where the token is"}}},
		{account + "hubspot.auth.token_env", []string{"HUBSPOT_TOKEN", "_a1"},
			[][2]string{{"pat-na1-secret", "not the name of an environment variable"}, {"1A", "not the name"}, {"$TOKEN", "not the name"}}},
		{account + "hubspot.account_id", []string{"12345", `"12345"`, `""`},
			[][2]string{{"12x", "not a number in digits"}, {"-1", "not a number"}, {"0", "not a number"}, {"012", "not a number"}, {"1.5", "not a number"}, {"1e3", "not a number"}}},
		{account + "hubspot.inboxes", []string{"[]", "[1, '2']", "3", "'1,2'"},
			[][2]string{{"[a]", "not a number"}, {"[[1]]", "list of plain values"}, {"[{a: 1}]", "list of plain values"}, {"[null]", "list of plain values"}, {"['']", "empty element"}}},
		{account + "quota.daily_share", []string{"1", "0.001"}, [][2]string{{"0", "out of bounds"}, {"1.1", "out of bounds"}, {"-1", "out of bounds"}, {".nan", "not a number"}, {"NaN", "out of bounds"}, {"half", "not a number"}}},
		{account + "quota.burst_share", []string{"1", "0.5"}, [][2]string{{"0", "out of bounds"}, {"2", "out of bounds"}}},
		{account + "quota.max_calls_per_second", []string{"0.5", "190"}, [][2]string{{"0", "out of bounds"}, {"Inf", "out of bounds"}, {"10001", "out of bounds"}}},
		{account + "quota.daily_limit", []string{"1", "1000000"}, [][2]string{{"0", "out of bounds"}, {"1.5", "not a whole number"}, {"99999999999999999999", "out of bounds"}, {"250_000", "not a whole number"}}},
		{account + "lanes.recent.every", []string{"100ms", "1m30s", "24h"}, [][2]string{{"99ms", "out of bounds"}, {"10", "no unit"}, {"1d", "not a duration"}, {"-5s", "out of bounds"}, {"200h", "out of bounds"}}},
		{account + "lanes.full.every", []string{"100ms", "168h"}, [][2]string{{"0", "out of bounds"}}},
		{account + "lists_may_lag", []string{"0", "0s", "1h"}, [][2]string{{"61m", "out of bounds"}, {"-1s", "out of bounds"}}},
		{account + "first_run", []string{"publish", "record"}, [][2]string{{"silent", "not known"}, {"Record", "nearest is record"}}},
		{"state.dir", []string{".", "/x/y"}, [][2]string{{`""`, "is empty"}, {"~/s", "only a shell"}}},
		{"kafka.brokers", []string{"[k:1, '[::1]:2']", "k:1", "'k:1,l:2'"},
			[][2]string{{"[]", "missing"}, {"[k]", "no port"}, {"['kafka://k:1']", "scheme"}, {"['k:0']", "port"}, {"['k:65536']", "port"}, {"[':1']", "not host:port"}, {"['a b:1']", "not host:port"}, {"['k:x']", "port"}, {"['k:1,']", "empty element"}}},
		{"kafka.topic_prefix", []string{"a", "A.b-c_1"}, [][2]string{{`""`, "empty"}, {"a/b", "refuses"}, {"ä", "refuses"}, {strings.Repeat("x", 250), "characters"}, {strings.Repeat("x", 240), "topic of lifecycle"}}},
		{"kafka.topics", []string{"{}", "{status: s}", "{status: s, closure: s}", "{status: }"},
			[][2]string{{"{statu: s}", "nearest is kafka.topics.status"}, {"{status: 'a b'}", "refuses"}, {"{status: .}", "no name"}, {"{status: [a]}", "takes one value"},
				{"x", "is a section"}, {"{status: a.b, closure: a_b}", "differ only in dots"}}},
		{"kafka.kinds", []string{"[status]", "[activity, status]", "status"}, [][2]string{{"[]", "empty"}, {"[statu]", "nearest is status"}}},
		{"kafka.create_topics", []string{"true", "false"}, [][2]string{{"yes", "neither true nor false"}, {"1", "neither true nor false"}}},
		{"kafka.partitions", []string{"1", "10000"}, [][2]string{{"0", "out of bounds"}, {"many", "not a whole number"}}},
		{"kafka.replication_factor", []string{"1", "3"}, [][2]string{{"0", "out of bounds"}, {"-1", "out of bounds"}}},
		{"kafka.transactional_id_prefix", []string{"a.b-c"}, [][2]string{{`""`, "empty"}, {"'a b'", "not allowed"}, {strings.Repeat("x", 201), "at most 200"}}},
		{"kafka.delivery", []string{"fenced"}, [][2]string{{"at_least_once", "not a mode of this version"}}},
		{"kafka.heartbeat_every", []string{"100ms", "1h"}, [][2]string{{"61m", "out of bounds"}, {"1ms", "out of bounds"}}},
		{"http.listen", []string{`""`, ":9464", "0.0.0.0:0", "'[::]:80'"}, [][2]string{{"off", "not host:port"}, {"9464", "not host:port"}, {"x:http", "port"}, {"'a/b:1'", "not host:port"}}},
		{"log.level", []string{"debug", "info", "warn", "error"}, [][2]string{{"warning", "nearest is warn"}, {"INFO", "not known"}}},
		{"log.format", []string{"text", "json"}, [][2]string{{"xml", "not known"}}},
	} {
		for _, text := range c.fine {
			if _, _, err := config.Load(write(t, set(c.path, text)), nil); err != nil {
				t.Errorf("%s: %s is fine, got %v", c.path, text, err)
			}
		}
		for _, wrong := range c.wrong {
			found := problems(t, set(c.path, wrong[0]))
			if len(found) != 1 || !strings.Contains(found[0].String(), wrong[1]) {
				t.Errorf("%s: %s gives %v, want one problem with %q", c.path, wrong[0], found, wrong[1])
			}
			if text := fmt.Sprint(found); strings.Contains(text, "hunter2") || strings.Contains(text, "secret") {
				t.Errorf("%s: a secret is repeated: %s", c.path, text)
			}
		}
	}
}

func TestUnknownKeys(t *testing.T) {
	for key, nearest := range map[string]string{
		"acounts: {}":                                 "accounts",
		"accounts: {a: {hubspt: {}}}":                 "accounts.a.hubspot",
		"accounts: {a: {hubspot: {auth: {toke: x}}}}": "token_file: PATH or token_env: NAME",
		"accounts: {a: {inboxes: []}}":                "accounts.a.hubspot.inboxes",
		"accounts: {a: {lanes: {reecnt: {}}}}":        "accounts.a.lanes.recent",
		"defaults: {quota: {daily_shares: 1}}":        "defaults.quota.daily_share",
		"quota: {}":                                   "accounts.LABEL.quota",
		"kafka: {topic_prefx: x}":                     "kafka.topic_prefix",
		"kafka: {bootstrap: x}":                       "kafka.",
		"log: {levle: x}":                             "log.level",
		"http.listen: x":                              "the parts below each other",
		"accounts: {Acme: {}}":                        "a label of 1 to 64",
		"accounts: {a: {<<: {first_run: record}}}":    "under defaults:",
		"accounts: {1: {first_run: recrd}}":           "nearest is record",
	} {
		found := problems(t, key)
		if !strings.Contains(fmt.Sprint(found), nearest) {
			t.Errorf("%s gives %v, want %q", key, found, nearest)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	for variable, want := range map[string]string{
		"THREADCAST_KAFKA__BROKER=x":                          "THREADCAST_KAFKA__BROKERS",
		"THREADCAST_ACCOUNTS__ACME__HUBSPOT__AUTH__TOKEN=abc": "token_file: PATH or token_env: NAME",
		"THREADCAST_ACCOUNTS__ACME__FIRSTRUN=record":          "THREADCAST_ACCOUNTS__ACME__FIRST_RUN",
		"THREADCAST_ACCOUNTS__ACME__QUOTA=1":                  "is a section",
		"THREADCAST_ACCOUNTS__Ä__FIRST_RUN=record":            "a label of 1 to 64",
		"THREADCAST_ACCOUNTS____FIRST_RUN=record":             "a label of 1 to 64",
		"THREADCAST_LOGS__LEVEL=info":                         "THREADCAST_LOG",
		"THREADCAST___=1":                                     "there is no key",
	} {
		found := problems(t, agreed, variable)
		if len(found) != 1 || !strings.Contains(found[0].String(), want) {
			t.Errorf("%s gives %v, want one problem with %q", variable, found, want)
		}
	}
}

func TestBrokenFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "there is no account",
		"# nothing":                        "there is no account",
		"accounts:\n  - a\n":               "is a section",
		"- a":                              "not a list of keys",
		"a: b: c":                          "not YAML",
		"accounts: {a: {}\n":               "not YAML",
		"\x00":                             "not YAML",
		"log: {level: info}\n---\nlog: {}": "second document",
		"log: {level: info}\nlog: {level: warn}\n":      "second time, first at",
		"log: {level: {a: b}}":                          "takes a value",
		"x: &x [*x]":                                    "unknown key",
		"accounts: &a {b: *a}":                          "unknown key",
		"defaults: &a\naccounts: {x: {quota: {<<: 1}}}": "merged in",
	} {
		if found := fmt.Sprint(problems(t, text)); !strings.Contains(found, want) {
			t.Errorf("%q gives %s, want %q", text, found, want)
		}
	}
}

func TestRulesAcrossKeys(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"both ways to the token": {"accounts: {a: {hubspot: {auth: {token_env: T, token_file: f}}}}", "has both"},
		"no way to the token":    {"accounts: {a: {}}", "does not say where the token is"},
		"no account":             {"kafka: {brokers: [k:1]}", "there is no account"},
		"no broker":              {"accounts: {a: {hubspot: {auth: {token_env: T}}}}", "kafka.brokers: is missing"},
		"one account twice": {"accounts: {a: {hubspot: {account_id: 1, auth: {token_env: A}}}, b: {hubspot: {account_id: 1, auth: {token_env: B}}}}",
			"is 1, as is that of account a"},
		"an account id for all": {"defaults: {hubspot: {account_id: 1, auth: {token_env: A}}}\naccounts: {a: , b: }", "is 1, as is that of account a"},
	} {
		if found := fmt.Sprint(problems(t, c.text)); !strings.Contains(found, c.want) {
			t.Errorf("%s: %s, want %q", name, found, c.want)
		}
	}
}

func TestAWrongDefaultIsOneProblem(t *testing.T) {
	found := problems(t, "defaults: {first_run: x}\naccounts: {a: {hubspot: {auth: {token_env: T}}}, b: {hubspot: {auth: {token_env: U}}}}\nkafka: {brokers: [k:1]}")
	if len(found) != 1 || found[0].Key != "defaults.first_run" {
		t.Errorf("problems %v, want one of defaults.first_run", found)
	}
}

func TestWarnings(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		environ []string
		want    string
	}{
		"nothing odd":           {least, []string{"TOKEN=x"}, ""},
		"variable is not set":   {least, nil, "TOKEN is not set"},
		"unencrypted":           {set("accounts.acme.hubspot.base_url", "http://hubspot:80"), []string{"TOKEN=x"}, "unencrypted"},
		"loopback":              {set("accounts.acme.hubspot.base_url", "http://127.1.2.3:80"), []string{"TOKEN=x"}, ""},
		"topic of a kind off":   {set("kafka.topics.activity", "a"), []string{"TOKEN=x"}, "not among kafka.kinds"},
		"single underscores":    {least, []string{"TOKEN=x", "THREADCAST_LOG_LEVEL=debug"}, "THREADCAST_LOG__LEVEL is meant"},
		"of an account":         {least, []string{"TOKEN=x", "THREADCAST_ACCOUNTS_ACME_FIRST_RUN=record"}, "THREADCAST_ACCOUNTS__ACME__FIRST_RUN is meant"},
		"one token, two labels": {"defaults: {hubspot: {auth: {token_env: T}}}\naccounts: {a: , b: }\nkafka: {brokers: [k:1]}", []string{"T=x"}, "uses the token of account a"},
	} {
		_, warnings, err := config.Load(write(t, c.text), c.environ)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if (c.want == "") != (len(warnings) == 0) || c.want != "" && !strings.Contains(warnings[0].String(), c.want) {
			t.Errorf("%s: warnings %v, want %q", name, warnings, c.want)
		}
	}
}
