package config

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// Bounds that have a reason beyond sanity.
const (
	minEvery = 100 * time.Millisecond // below, a lane would only wait for the quota
	maxEvery = 7 * 24 * time.Hour
	// maxHeartbeat: a broker forgets a producer that has been idle for
	// producer.id.expiration.ms, a day by default, and with it the fence.
	maxHeartbeat = time.Hour
	maxListLag   = time.Hour
	// maxRate is the quota's own bound; more is a slip of the keyboard.
	maxRate       = 10_000
	maxDaily      = 1_000_000_000
	maxPartitions = 10_000
	maxReplicas   = 100
)

// Paths that are spoken of elsewhere too.
const (
	keyTokenFile = "hubspot.auth.token_file"
	keyTokenEnv  = "hubspot.auth.token_env"
	keyAccountID = "hubspot.account_id"
	keyBaseURL   = "hubspot.base_url"
)

// accountKeys are the keys of an account, and so those of `defaults`.
func accountKeys() []key[Account] {
	return []key[Account]{
		text(keyBaseURL, "https://api.hubapi.com", "an address such as https://api.hubapi.com",
			func(a *Account) *string { return &a.HubSpot.BaseURL }, readBaseURL),
		word("hubspot.api_version", "auto",
			func(a *Account) *string { return &a.HubSpot.APIVersion }, "2026-09-beta", "2026-09", "v3", "auto"),
		file(keyTokenFile, "", "the path of a file that holds the token and nothing else",
			func(a *Account) *string { return &a.HubSpot.Auth.TokenFile }),
		optional(text(keyTokenEnv, "", "the name of an environment variable, such as HUBSPOT_TOKEN",
			func(a *Account) *string { return &a.HubSpot.Auth.TokenEnv }, readVariableName)),
		optional(text(keyAccountID, "", "the account's number in digits, or nothing",
			func(a *Account) *string { return &a.HubSpot.AccountID }, readAccountID)),
		list("hubspot.inboxes", "", "a list of inbox ids, digits only, such as [\"1234\"]; empty: all",
			func(a *Account) *[]string { return &a.HubSpot.Inboxes }, readNumber),
		quantity("quota.daily_share", "0.5", 1, func(a *Account) *float64 { return &a.Quota.DailyShare }),
		quantity("quota.burst_share", "0.5", 1, func(a *Account) *float64 { return &a.Quota.BurstShare }),
		quantity("quota.max_calls_per_second", "18", maxRate, func(a *Account) *float64 { return &a.Quota.MaxCallsPerSecond }),
		count("quota.daily_limit", "250000", 1, maxDaily, func(a *Account) *int { return &a.Quota.DailyLimit }),
		span("lanes.recent.every", "10s", minEvery, maxEvery, func(a *Account) *time.Duration { return &a.Lanes.Recent.Every }),
		span("lanes.full.every", "30s", minEvery, maxEvery, func(a *Account) *time.Duration { return &a.Lanes.Full.Every }),
		span("lists_may_lag", "2m", 0, maxListLag, func(a *Account) *time.Duration { return &a.ListsMayLag }),
		word("first_run", string(FirstRunPublish),
			func(a *Account) *string { return (*string)(&a.FirstRun) }, string(FirstRunPublish), string(FirstRunRecord)),
	}
}

// serviceKeys are the keys of the service as a whole.
func serviceKeys() []key[Config] {
	keys := []key[Config]{
		file("state.dir", "state", "the path of a directory", func(c *Config) *string { return &c.State.Dir }),
		list("kafka.brokers", "", "a list of host:port, such as [\"kafka-1:9092\", \"kafka-2:9092\"]",
			func(c *Config) *[]string { return &c.Kafka.Brokers }, readBroker),
		text("kafka.topic_prefix", "hubspot.threads", "a topic name's beginning, such as hubspot.threads",
			func(c *Config) *string { return &c.Kafka.TopicPrefix }, readTopic),
	}
	for kind := range thread.KindSet(^thread.KindSet(0)).All() {
		keys = append(keys, topicKey(kind))
	}
	return append(keys,
		kindsKey(),
		flag("kafka.create_topics", "false", func(c *Config) *bool { return &c.Kafka.CreateTopics }),
		count("kafka.partitions", "3", 1, maxPartitions, func(c *Config) *int { return &c.Kafka.Partitions }),
		count("kafka.replication_factor", "3", 1, maxReplicas, func(c *Config) *int { return &c.Kafka.ReplicationFactor }),
		text("kafka.transactional_id_prefix", "threadcast", "one word of letters, digits, dots, dashes and underscores, such as threadcast",
			func(c *Config) *string { return &c.Kafka.TransactionalIDPrefix }, readTransactionalID),
		text("kafka.delivery", DeliveryFenced, DeliveryFenced+", the only mode of this version",
			func(c *Config) *string { return &c.Kafka.Delivery }, readDelivery),
		span("kafka.heartbeat_every", "5m", minEvery, maxHeartbeat, func(c *Config) *time.Duration { return &c.Kafka.HeartbeatEvery }),
		text("http.listen", "127.0.0.1:9464", "host:port, such as 127.0.0.1:9464, or \"\" to switch it off",
			func(c *Config) *string { return &c.HTTP.Listen }, readListen),
		levelKey(),
		word("log.format", "text", func(c *Config) *string { return &c.Log.Format }, "text", "json"),
	)
}

// topicKey maps one kind to a topic.
func topicKey(kind thread.Kind) key[Config] {
	return key[Config]{
		path: "kafka.topics." + kind.String(),
		want: "the name of a topic",
		set: func(c *Config, v value) error {
			raw, err := v.scalar()
			if err != nil || raw == "" {
				return err
			}
			name, err := readTopic(raw)
			if err != nil {
				return err
			}
			if c.Kafka.Topics == nil {
				c.Kafka.Topics = map[thread.Kind]string{}
			}
			c.Kafka.Topics[kind] = name
			return nil
		},
		get: func(c *Config) (any, bool) { name, ok := c.Kafka.Topics[kind]; return name, ok },
	}
}

func kindNames(set thread.KindSet) []string {
	var names []string
	for kind := range set.All() {
		names = append(names, kind.String())
	}
	return names
}

func kindsKey() key[Config] {
	all := strings.Join(kindNames(^thread.KindSet(0)), ", ")
	return key[Config]{
		path:     "kafka.kinds",
		standard: strings.Join(kindNames(thread.DefaultKinds), ","),
		want:     "a list of one or more of " + all,
		set: func(c *Config, v value) error {
			for _, raw := range v.items() {
				kind, err := thread.ParseKind(strings.TrimSpace(raw))
				if err != nil {
					nearest, _ := closest(raw, kindNames(^thread.KindSet(0)))
					return fmt.Errorf("%s is not known, the nearest is %s", echo(raw), nearest)
				}
				c.Kafka.Kinds |= thread.Kinds(kind)
			}
			if c.Kafka.Kinds == 0 {
				return errEmpty
			}
			return nil
		},
		get: func(c *Config) (any, bool) { return kindNames(c.Kafka.Kinds), true },
	}
}

func levelKey() key[Config] {
	level := word("log.level", "info", func(*Config) *string { return new(string) }, "debug", "info", "warn", "error")
	check := level.set
	level.set = func(c *Config, v value) error {
		if err := check(c, v); err != nil {
			return err
		}
		return c.Log.Level.UnmarshalText([]byte(v.text))
	}
	level.get = func(c *Config) (any, bool) { return strings.ToLower(slog.Level(c.Log.Level).String()), true }
	return level
}
