package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/describeconfigs"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// TopicSpec is a topic to create. Configs are Kafka's topic settings by name.
type TopicSpec struct {
	Name              string
	Partitions        int
	ReplicationFactor int
	Configs           map[string]string
}

// topicPoll is the time between two looks at topics that were just created.
const topicPoll = 20 * time.Millisecond

// CreateTopics creates topics and waits until each of their partitions is served
// by its leader. A topic that exists is left as it is and is no error; the others'
// errors are joined, each with the topic's name.
func (c *Client) CreateTopics(ctx context.Context, specs []TopicSpec) error {
	if len(specs) == 0 {
		return nil
	}
	cluster, err := ask[*metadata.Response](ctx, c, anyNode, &metadata.Request{TopicNames: []string{}})
	if err != nil {
		return fmt.Errorf("create topics: find the controller: %w", err)
	}
	answer, err := ask[*createtopics.Response](ctx, c, cluster.ControllerID, &createtopics.Request{
		Topics:    creations(specs),
		TimeoutMs: int32((c.timeout * 3 / 4).Milliseconds()),
	})
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	var created []string
	var refused []error
	for _, topic := range answer.Topics {
		switch Code(topic.ErrorCode) {
		case 0:
			created = append(created, topic.Name)
		case TopicAlreadyExists:
		default:
			refused = append(refused, fmt.Errorf("create topic %q: %w", topic.Name, refusal(topic.ErrorCode, topic.ErrorMessage)))
		}
	}
	return errors.Join(append(refused, c.awaitLeaders(ctx, created))...)
}

func creations(specs []TopicSpec) []createtopics.RequestTopic {
	topics := make([]createtopics.RequestTopic, len(specs))
	for i, spec := range specs {
		topics[i] = createtopics.RequestTopic{
			Name:              spec.Name,
			NumPartitions:     int32(spec.Partitions),
			ReplicationFactor: int16(spec.ReplicationFactor),
		}
		for name, value := range spec.Configs {
			topics[i].Configs = append(topics[i].Configs, createtopics.RequestConfig{Name: name, Value: value})
		}
	}
	return topics
}

// awaitLeaders waits for topics to be served: nodes learn of them a moment after
// the controller, and a leader takes up its duty a moment after others name it.
func (c *Client) awaitLeaders(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ticker := time.NewTicker(topicPoll)
	defer ticker.Stop()
	for {
		missing := c.served(ctx, names)
		if missing == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the leaders of new topics: %w (%w)", ctx.Err(), missing)
		case <-ticker.C:
		}
	}
}

// served is nil if every partition's leader answers for it.
func (c *Client) served(ctx context.Context, names []string) error {
	topics, err := c.lookUp(ctx, names)
	if err != nil {
		return err
	}
	for name, topic := range topics {
		if topic.Err != nil {
			return fmt.Errorf("topic %q: %w", name, topic.Err)
		}
		for partition := range topic.Partitions {
			if _, err := c.offset(ctx, name, int32(partition), logStart); err != nil {
				return fmt.Errorf("partition %d of topic %q: %w", partition, name, err)
			}
		}
	}
	return nil
}

const topicResource int8 = 2

// TopicConfigs gives all settings of each topic by name, as they are in force. A
// missing topic is UnknownTopicOrPartition; reading settings needs the right to
// describe them.
func (c *Client) TopicConfigs(ctx context.Context, names []string) (map[string]map[string]string, error) {
	if len(names) == 0 {
		return map[string]map[string]string{}, nil
	}
	request := &describeconfigs.Request{}
	for _, name := range names {
		request.Resources = append(request.Resources, describeconfigs.RequestResource{
			ResourceType: topicResource, ResourceName: name,
		})
	}
	answer, err := ask[*describeconfigs.Response](ctx, c, anyNode, request)
	if err != nil {
		return nil, fmt.Errorf("read the settings of %d topics: %w", len(names), err)
	}
	settings := make(map[string]map[string]string, len(names))
	for _, resource := range answer.Resources {
		if err := refusal(resource.ErrorCode, resource.ErrorMessage); err != nil {
			return nil, fmt.Errorf("read the settings of topic %q: %w", resource.ResourceName, err)
		}
		entries := make(map[string]string, len(resource.ConfigEntries))
		for _, entry := range resource.ConfigEntries {
			entries[entry.ConfigName] = entry.ConfigValue
		}
		settings[resource.ResourceName] = entries
	}
	return settings, nil
}

// Kafka's names for the ends of a log where a timestamp is asked for.
const (
	logStart int64 = -2
	logEnd   int64 = -1
)

// Offsets gives the first offset that a partition has and the one that the next
// record will get, as its leader states them: a fresh leader may state an end
// that is older than records already acknowledged, so no recovery may rest on it.
func (c *Client) Offsets(ctx context.Context, topic string, partition int32) (start, end int64, err error) {
	if start, err = c.offset(ctx, topic, partition, logStart); err == nil {
		end, err = c.offset(ctx, topic, partition, logEnd)
	}
	if err != nil {
		c.forget(topic)
		return 0, 0, fmt.Errorf("ask for the offsets of %s/%d: %w", topic, partition, err)
	}
	return start, end, nil
}

func (c *Client) offset(ctx context.Context, topic string, partition int32, which int64) (int64, error) {
	node, err := c.leader(ctx, topic, partition)
	if err != nil {
		return 0, err
	}
	answer, err := ask[*listoffsets.Response](ctx, c, node, &listoffsets.Request{
		ReplicaID: -1,
		Topics: []listoffsets.RequestTopic{{
			Topic: topic,
			Partitions: []listoffsets.RequestPartition{{
				Partition: partition, CurrentLeaderEpoch: -1, Timestamp: which,
			}},
		}},
	})
	if err != nil {
		return 0, err
	}
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return 0, errNoAnswer
	}
	found := answer.Topics[0].Partitions[0]
	return found.Offset, refusal(found.ErrorCode, "")
}
