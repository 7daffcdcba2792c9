package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/event"
)

// Configuration of the topics that we create, and what we ask of those that we find.
const (
	timestampType = "message.timestamp.type"
	// logAppendTime makes the broker's clock decide how long it remembers a producer,
	// so that no client's clock can end the fencing.
	logAppendTime   = "LogAppendTime"
	maxMessageBytes = "max.message.bytes"
	cleanupPolicy   = "cleanup.policy"
	// batchOverhead is what a batch with one event takes beyond the event's value: the
	// batch header, key and record headers.
	batchOverhead = 4 << 10
)

// specs are the topics that events go to, as they would be created.
func specs(kafka config.Kafka) []broker.TopicSpec {
	var specs []broker.TopicSpec
	for _, name := range kafka.TopicNames() {
		specs = append(specs, broker.TopicSpec{
			Name: name, Partitions: kafka.Partitions, ReplicationFactor: kafka.ReplicationFactor,
			Configs: map[string]string{timestampType: logAppendTime, cleanupPolicy: "delete"},
		})
	}
	return specs
}

// topics are the topics that events go to, as they are.
type topics struct {
	partitions map[string]int32
	batchBytes map[string]int
	compacted  map[string]bool
	warnings   []string
}

// findTopics looks at the topics, and creates those that are missing if it may. A
// Failure is final; other errors pass.
func findTopics(ctx context.Context, client *broker.Client, kafka config.Kafka) (topics, error) {
	names := kafka.TopicNames()
	found, err := client.Topics(ctx, names)
	if err != nil {
		return topics{}, err
	}
	missing, err := missingTopics(found, names)
	if err != nil {
		return topics{}, err
	}
	if len(missing) > 0 {
		if !kafka.CreateTopics {
			return topics{}, &Failure{CodeConfig, missingError(kafka, missing)}
		}
		if err := createTopics(ctx, client, kafka, missing); err != nil {
			return topics{}, err
		}
		if found, err = client.Topics(ctx, names); err != nil {
			return topics{}, err
		}
	}
	t := topics{partitions: map[string]int32{}, batchBytes: map[string]int{}, compacted: map[string]bool{}}
	for name, topic := range found {
		if !topic.Exists {
			return topics{}, fmt.Errorf("look at topic %s: %w", name, topic.Err)
		}
		t.partitions[name] = int32(topic.Partitions)
	}
	return t, t.configure(ctx, client, names)
}

func missingTopics(found map[string]broker.Topic, names []string) ([]string, error) {
	var missing []string
	for _, name := range names {
		topic := found[name]
		switch {
		case topic.Exists:
		case errors.Is(topic.Err, broker.UnknownTopicOrPartition):
			missing = append(missing, name)
		default:
			return nil, fmt.Errorf("look at topic %s: %w", name, topic.Err)
		}
	}
	return missing, nil
}

func createTopics(ctx context.Context, client *broker.Client, kafka config.Kafka, missing []string) error {
	wanted := slices.DeleteFunc(specs(kafka), func(s broker.TopicSpec) bool { return !slices.Contains(missing, s.Name) })
	err := client.CreateTopics(ctx, wanted)
	if permanentlyRefused(err) {
		return &Failure{CodeConfig, fmt.Errorf("the cluster will not create %s with %d partitions and replication factor %d (kafka.partitions, kafka.replication_factor): %s",
			strings.Join(missing, ", "), kafka.Partitions, kafka.ReplicationFactor, broker.Sentence(err))}
	}
	return err
}

// permanentlyRefused says whether the cluster will never create the topics as they are
// configured.
func permanentlyRefused(err error) bool {
	for _, code := range []broker.Code{
		broker.InvalidReplicationFactor, broker.InvalidPartitions, broker.InvalidTopic, broker.InvalidConfig, broker.PolicyViolation,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

func missingError(kafka config.Kafka, missing []string) error {
	return fmt.Errorf("Kafka has no topic %s: run `threadcast topics create`, set kafka.create_topics: true, or create them yourself:\n%s",
		strings.Join(missing, ", "), strings.Join(commands(kafka, missing), "\n"))
}

// commands create the topics with Kafka's own tool.
func commands(kafka config.Kafka, names []string) []string {
	var lines []string
	for _, spec := range specs(kafka) {
		if !slices.Contains(names, spec.Name) {
			continue
		}
		line := fmt.Sprintf("kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions %d --replication-factor %d",
			strings.Join(kafka.Brokers, ","), spec.Name, spec.Partitions, spec.ReplicationFactor)
		for _, key := range slices.Sorted(maps.Keys(spec.Configs)) {
			line += " --config " + key + "=" + spec.Configs[key]
		}
		lines = append(lines, line)
	}
	return lines
}

// configure reads what the topics take. A broker that does not let us read it is
// taken to have Kafka's defaults.
func (t *topics) configure(ctx context.Context, client *broker.Client, names []string) error {
	configs, err := client.TopicConfigs(ctx, names)
	if err != nil {
		t.warnings = append(t.warnings, fmt.Sprintf("the topics' configuration cannot be read, Kafka's defaults are assumed: %s", broker.Sentence(err)))
		return ctx.Err()
	}
	for _, name := range names {
		values := configs[name]
		if limit, err := strconv.Atoi(values[maxMessageBytes]); err == nil {
			if limit < event.MaxSize+batchOverhead {
				return &Failure{CodeConfig, fmt.Errorf("topic %s takes batches of %d bytes, an event may have %d: set its max.message.bytes to %d or more",
					name, limit, event.MaxSize, event.MaxSize+batchOverhead)}
			}
			t.batchBytes[name] = limit
		}
		t.compacted[name] = strings.Contains(values[cleanupPolicy], "compact")
		if t.compacted[name] {
			t.warnings = append(t.warnings, fmt.Sprintf("topic %s is compacted: events of a thread replace each other, its history is lost; set cleanup.policy=delete", name))
		}
		if kind, known := values[timestampType]; known && kind != logAppendTime {
			t.warnings = append(t.warnings, fmt.Sprintf("topic %s has message.timestamp.type=%s: with %s the broker's clock decides how long fencing holds; set it with kafka-configs.sh --alter",
				name, kind, logAppendTime))
		}
	}
	return nil
}

// CreateTopics creates the topics that are missing and returns their names.
func CreateTopics(ctx context.Context, cfg *config.Config) (created []string, err error) {
	client, err := broker.Open(broker.Config{Brokers: cfg.Kafka.Brokers, ClientID: clientID})
	if err != nil {
		return nil, &Failure{CodeConfig, err}
	}
	defer client.Close()
	found, err := client.Topics(ctx, cfg.Kafka.TopicNames())
	if err != nil {
		return nil, unavailable(err)
	}
	missing, err := missingTopics(found, cfg.Kafka.TopicNames())
	if err != nil {
		return nil, unavailable(err)
	}
	if len(missing) == 0 {
		return nil, nil
	}
	if err := createTopics(ctx, client, cfg.Kafka, missing); err != nil {
		return nil, unavailable(err)
	}
	return missing, nil
}

// unavailable gives an error that passes the code of an upstream that is away.
func unavailable(err error) error {
	var failure *Failure
	if errors.As(err, &failure) {
		return err
	}
	return &Failure{CodeUnavailable, fmt.Errorf("%w: %s", err, broker.Sentence(err))}
}
