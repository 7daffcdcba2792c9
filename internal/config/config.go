// Package config owns the configuration: it reads the YAML file and the
// environment, fills in the defaults, checks every value and prints what is in
// force. It opens no connection and reads no token: whether a token works and a
// topic exists is found out by those who use them.
package config

import (
	"log/slog"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// Config is a complete and checked configuration. All paths in it are absolute.
type Config struct {
	File     string    // absolute; empty: everything came from the environment
	Accounts []Account // at least one, ordered by label
	State    State
	Kafka    Kafka
	HTTP     HTTP
	Log      Log
}

// Account is one HubSpot account (portal) and how it is read.
type Account struct {
	Label       string // names the account in logs, metrics and file names
	HubSpot     HubSpot
	Quota       Quota
	Lanes       Lanes
	ListsMayLag time.Duration // how far behind HubSpot's lists are believed to be at most
	FirstRun    FirstRun
}

// HubSpot says where an account is read and with which right.
type HubSpot struct {
	BaseURL    string // without a trailing slash
	APIVersion string // 2026-09-beta, 2026-09, v3 or auto
	Auth       Auth
	AccountID  string   // digits; empty: HubSpot is asked
	Inboxes    []string // digits; empty: all
}

// Auth says where the token is, in exactly one way. It never holds the token.
type Auth struct {
	TokenFile string // absolute path
	TokenEnv  string // name of an environment variable
}

// Quota is the part of HubSpot's allowance that the account may use.
type Quota struct {
	DailyShare        float64 // above 0, at most 1
	BurstShare        float64 // above 0, at most 1
	MaxCallsPerSecond float64
	DailyLimit        int // calls a day of all apps together, where HubSpot announces none
}

// Lanes are the reading routines.
type Lanes struct {
	Recent, Full Lane
}

// Lane is one reading routine; Every is the shortest time between two starts of
// its cycle.
type Lane struct {
	Every time.Duration
}

// FirstRun says what becomes of the threads that are there when an account is
// read for the first time.
type FirstRun string

// The two ways to begin.
const (
	FirstRunPublish FirstRun = "publish" // each is published as discovered
	FirstRunRecord  FirstRun = "record"  // they are kept silently, changes from then on are published
)

// State says where the state files are, one an account.
type State struct {
	Dir string // absolute
}

// Kafka is the cluster and what is written to it.
type Kafka struct {
	Brokers               []string // host:port
	TopicPrefix           string
	Topics                map[thread.Kind]string // names that differ from prefix.kind.v1
	Kinds                 thread.KindSet
	CreateTopics          bool
	Partitions            int // of topics that are created
	ReplicationFactor     int // of topics that are created
	TransactionalIDPrefix string
	Delivery              string // DeliveryFenced
	HeartbeatEvery        time.Duration
}

// DeliveryFenced is the one way of delivery of this version: every event once,
// under a producer epoch that locks out every other instance.
const DeliveryFenced = "fenced"

// HTTP is the address of metrics and health.
type HTTP struct {
	Listen string // host:port; empty: off
}

// Log says what is logged and how.
type Log struct {
	Level  slog.Level
	Format string // text or json
}

// Topic is the topic of a kind.
func (k Kafka) Topic(kind thread.Kind) string {
	if name := k.Topics[kind]; name != "" {
		return name
	}
	return k.TopicPrefix + "." + kind.String() + ".v1"
}

// TopicNames are the topics of the enabled kinds, each once, in the order of the
// kinds' numbers.
func (k Kafka) TopicNames() []string {
	var names []string
	seen := map[string]bool{}
	for kind := range k.Kinds.All() {
		if name := k.Topic(kind); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// TransactionalID is the transactional id of an account: whoever uses it locks
// out everybody else who does.
func (k Kafka) TransactionalID(accountID string) string {
	return k.TransactionalIDPrefix + "." + accountID
}

// CheckTransactionalID is the transactional id that `check` tries the broker
// with; it disturbs no running service.
func (k Kafka) CheckTransactionalID(accountID string) string {
	return k.TransactionalIDPrefix + ".check." + accountID
}
