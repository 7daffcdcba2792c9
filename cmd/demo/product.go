package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/kafkatest"
	"github.com/threadcast/threadcast/internal/pipeline"
	"github.com/threadcast/threadcast/internal/telemetry"
)

// How often the product reads the inbox here: far more often than a real portal's
// quota would be spent on.
const (
	recentEvery = 500 * time.Millisecond
	fullEvery   = time.Second
	pageThreads = 500                    // that HubSpot lists in one answer
	pageTime    = 100 * time.Millisecond // that a page takes, paced and busy
)

// spacing is the shortest time between two mutations of one thread: some cycles of the
// full lane, so that each is seen by itself even where the machine is busy. What
// happens twice between two readings is not promised to show twice.
func spacing(threads int) time.Duration {
	pages := time.Duration(threads/pageThreads + 1)
	return 4 * (fullEvery + pages*pageTime)
}

// mustSee is how long something must have stood to be missed if it does not show.
func mustSee(threads int) time.Duration { return spacing(threads) * 3 / 4 }

// configuration is the product's file for the demo, as a template.
const configuration = `accounts:
  demo:
    hubspot:
      base_url: {{.HubSpot}}
      auth: {token_file: token.txt}
    quota: {burst_share: 0.9}
    lanes:
      recent: {every: {{.Recent}}}
      full: {every: {{.Full}}}
state: {dir: state}
kafka:
  brokers: [{{range $i, $b := .Brokers}}{{if $i}}, {{end}}"{{$b}}"{{end}}]
  topic_prefix: {{.TopicPrefix}}
  create_topics: true
  partitions: 3
  replication_factor: 1
  transactional_id_prefix: {{.TransactionalIDPrefix}}
  heartbeat_every: 5s
http: {listen: ""}
log: {level: warn}
`

// names are what a run must not share with another one on the same cluster.
type names struct {
	Account, TopicPrefix, TransactionalIDPrefix string
}

// newNames are the usual ones in a broker of our own, and names of this run alone in
// somebody else's.
func newNames(shared bool) (names, error) {
	if !shared {
		return names{hubspottest.DefaultAccount, "hubspot.threads", "threadcast"}, nil
	}
	account, err := rand.Int(rand.Reader, big.NewInt(900_000_000))
	if err != nil {
		return names{}, fmt.Errorf("draw an account id: %w", err)
	}
	prefix := "demo-" + strings.ToLower(rand.Text()[:8])
	return names{fmt.Sprint(100_000_000 + account.Int64()), prefix, prefix}, nil
}

// cluster is where the events go.
type cluster struct {
	brokers []string
	inside  *kafkatest.Broker // nil: somebody else's
}

func openCluster(brokers []string) (cluster, error) {
	if len(brokers) > 0 {
		return cluster{brokers: brokers}, nil
	}
	inside, err := kafkatest.New()
	if err != nil {
		return cluster{}, err
	}
	return cluster{brokers: inside.ListenAddrs(), inside: inside}, nil
}

func (c cluster) close() {
	if c.inside != nil {
		c.inside.Close()
	}
}

// where tells a person.
func (c cluster) where() string {
	if c.inside != nil {
		return c.brokers[0] + ", inside this process"
	}
	return strings.Join(c.brokers, ", ")
}

// writeConfig writes the product's file and the token into a directory, and loads it
// as the product does.
func writeConfig(dir string, hubspot *inbox, c cluster, n names) (*config.Config, error) {
	file, err := template.New("demo.yaml").Parse(configuration)
	if err != nil {
		return nil, fmt.Errorf("read the template of the configuration: %w", err)
	}
	var text strings.Builder
	err = file.Execute(&text, struct {
		names
		HubSpot      string
		Brokers      []string
		Recent, Full time.Duration
	}{n, hubspot.url, c.brokers, recentEvery, fullEvery})
	if err != nil {
		return nil, fmt.Errorf("fill in the configuration: %w", err)
	}
	path := filepath.Join(dir, "demo.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "token.txt"), []byte(hubspot.opt.token+"\n"), 0o600); err != nil {
		return nil, err
	}
	cfg, _, err := config.Load(path, nil)
	if err != nil {
		return nil, &pipeline.Failure{Code: pipeline.CodeConfig, Err: err}
	}
	return cfg, nil
}

// newProduct is the service. It logs what a person has to know to stderr.
func newProduct(cfg *config.Config, s surroundings) (*pipeline.Service, error) {
	return pipeline.New(cfg, pipeline.Options{
		Version: "demo", FailFast: true, Logger: telemetry.NewLogger(s.stderr, cfg.Log.Level, cfg.Log.Format),
	})
}

// createTopics makes the topics before anybody asks for them, as an operator would.
func createTopics(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	_, err := pipeline.CreateTopics(ctx, cfg)
	return err
}

// kafkaPatience is how long the demo waits for an answer of a cluster.
const kafkaPatience = 15 * time.Second
