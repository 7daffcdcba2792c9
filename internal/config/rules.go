package config

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/threadcast/threadcast/internal/thread"
)

// check finds what no key alone can see. Where a key is wrong by itself, its
// field is empty here and is not complained about twice.
func (l *loader) check(config *Config) {
	if len(config.Accounts) == 0 && !l.complained("accounts") {
		l.problem(origin{}, "accounts", "there is no account", "one, for example:\n\n"+Starter)
	}
	for i := range config.Accounts {
		l.checkAccount(&config.Accounts[i])
	}
	l.checkIdentities(config.Accounts)
	if config.State.Dir == "" && !l.complained("state.dir") {
		l.problem(l.origins["state.dir"], "state.dir", "is empty", "the path of a directory")
	}
	if len(config.Kafka.Brokers) == 0 && !l.complained("kafka.brokers") {
		l.problem(l.origins["kafka.brokers"], "kafka.brokers", "is missing", "a list of host:port, such as [\"kafka-1:9092\"]")
	}
	l.checkTopics(config.Kafka)
}

// complained says whether there is a problem with a key already, or below it.
func (l *loader) complained(path string) bool {
	for _, problem := range l.problems {
		if problem.Key == path || strings.HasPrefix(problem.Key, path+".") {
			return true
		}
	}
	return false
}

// place is where a key of an account stands, its own or the one of `defaults`.
func (l *loader) place(label, path string) (origin, string) {
	own, shared := "accounts."+label+"."+path, "defaults."+path
	if at, ok := l.origins[own]; ok {
		return at, own
	}
	if at, ok := l.origins[shared]; ok {
		return at, shared
	}
	return l.origins["accounts."+label], own
}

func (l *loader) checkAccount(account *Account) {
	prefix := "accounts." + account.Label
	auth := account.HubSpot.Auth
	wrong := l.complained(prefix+".hubspot.auth") || l.complained("defaults.hubspot.auth")
	switch {
	case wrong:
	case auth.TokenFile != "" && auth.TokenEnv != "":
		at, _ := l.place(account.Label, keyTokenEnv)
		l.problem(at, prefix+".hubspot.auth", "has both token_file and token_env", "one of them")
	case auth.TokenFile == "" && auth.TokenEnv == "":
		at, _ := l.place(account.Label, "hubspot.auth")
		l.problem(at, prefix+".hubspot.auth", "does not say where the token is", "token_file: PATH or token_env: NAME")
	case auth.TokenEnv != "" && l.environ[auth.TokenEnv] == "":
		at, key := l.place(account.Label, keyTokenEnv)
		l.warn(at, key, "the environment variable %s is not set", auth.TokenEnv)
	}
	if address, err := url.Parse(account.HubSpot.BaseURL); err == nil && address.Scheme == "http" && !loopback(address.Hostname()) {
		at, key := l.place(account.Label, keyBaseURL)
		l.warn(at, key, "the token will travel to %s unencrypted; write https:// unless this network is yours alone", address.Hostname())
	}
}

// checkIdentities refuses two labels for one account: they would share a
// transactional id and lock each other out for ever.
func (l *loader) checkIdentities(accounts []Account) {
	byID, byToken := map[string]string{}, map[string]string{}
	for _, account := range accounts {
		id := account.HubSpot.AccountID
		at, key := l.place(account.Label, keyAccountID)
		if first, ok := byID[id]; ok && id != "" {
			l.problem(at, key, fmt.Sprintf("is %s, as is that of account %s", id, first), "each account once")
			continue
		}
		byID[id] = account.Label
		auth := account.HubSpot.Auth
		token := fmt.Sprintf("%s %s %s", account.HubSpot.BaseURL, auth.TokenFile, auth.TokenEnv)
		if first, ok := byToken[token]; ok && auth != (Auth{}) && id == "" {
			at, key := l.place(account.Label, "hubspot.auth")
			l.warn(at, key, "account %s uses the token of account %s; the same HubSpot account cannot be read under two labels", account.Label, first)
		}
		byToken[token] = account.Label
	}
}

// checkTopics applies Kafka's rules to the names that come out in the end. Kafka
// refuses to create a topic whose name differs from another's only in dots and
// underscores, as its metrics could not tell them apart.
func (l *loader) checkTopics(kafka Kafka) {
	if l.complained("kafka.topic_prefix") || l.complained("kafka.topics") || l.complained("kafka.kinds") {
		return
	}
	metric := map[string]thread.Kind{}
	for kind := range kafka.Kinds.All() {
		name, key := kafka.Topic(kind), "kafka.topics."+kind.String()
		if kafka.Topics[kind] == "" {
			key = "kafka.topic_prefix"
		}
		if _, err := readTopic(name); err != nil {
			l.problem(l.origins[key], key, fmt.Sprintf("the topic of %s %v", kind, err), "a shorter name")
			return
		}
		alike := strings.ReplaceAll(name, ".", "_")
		if other, ok := metric[alike]; ok && kafka.Topic(other) != name {
			l.problem(l.origins[key], key, fmt.Sprintf("%s and %s differ only in dots and underscores, which Kafka refuses", kafka.Topic(other), name), "another name")
		}
		metric[alike] = kind
	}
	for kind := range kafka.Topics {
		if key := "kafka.topics." + kind.String(); !kafka.Kinds.Has(kind) {
			l.warn(l.origins[key], key, "has no effect: %s is not among kafka.kinds", kind)
		}
	}
}
