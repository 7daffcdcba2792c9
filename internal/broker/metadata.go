package broker

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go/protocol/metadata"
)

// noLeader is the leader of a partition that has none at the moment.
const noLeader int32 = -1

// Topic is what the cluster says about a topic.
type Topic struct {
	Exists     bool
	Partitions int
	// Leaders holds a node a partition; -1 while it has none.
	Leaders []int32
	// Err is why the topic cannot be looked at: without the right to describe it
	// a topic is TopicAuthorizationFailed, or, on some brokers, missing.
	Err error
}

// ClusterID is the identity that the cluster gave itself.
func (c *Client) ClusterID(ctx context.Context) (string, error) {
	answer, err := ask[*metadata.Response](ctx, c, anyNode, &metadata.Request{TopicNames: []string{}})
	if err != nil {
		return "", fmt.Errorf("ask Kafka for its cluster id: %w", err)
	}
	return answer.ClusterID, nil
}

// Topics looks at topics, with one entry for each name. It creates none.
func (c *Client) Topics(ctx context.Context, names []string) (map[string]Topic, error) {
	if len(names) == 0 {
		return map[string]Topic{}, nil
	}
	topics, err := c.lookUp(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("look at %d topics: %w", len(names), err)
	}
	return topics, nil
}

// lookUp asks for topics and remembers the leaders. No name would mean all.
func (c *Client) lookUp(ctx context.Context, names []string) (map[string]Topic, error) {
	answer, err := ask[*metadata.Response](ctx, c, anyNode, &metadata.Request{TopicNames: names})
	if err != nil {
		return nil, err
	}
	topics := make(map[string]Topic, len(names))
	for _, name := range names {
		topics[name] = Topic{Err: UnknownTopicOrPartition}
	}
	for _, t := range answer.Topics {
		topics[t.Name] = topicOf(t)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, topic := range topics {
		if topic.Exists {
			c.leaders[name] = topic.Leaders
		}
	}
	return topics, nil
}

func topicOf(t metadata.ResponseTopic) Topic {
	topic := Topic{Partitions: len(t.Partitions)}
	switch code := Code(t.ErrorCode); code {
	case 0, LeaderNotAvailable:
		topic.Exists = true
	default:
		topic.Err = code
	}
	topic.Leaders = make([]int32, len(t.Partitions))
	for i := range topic.Leaders {
		topic.Leaders[i] = noLeader
	}
	for _, p := range t.Partitions {
		if index := int(p.PartitionIndex); index >= 0 && index < len(topic.Leaders) {
			topic.Leaders[index] = p.LeaderID
		}
	}
	return topic
}

// leadersOf gives the leaders of topics, asking the cluster for what is not
// remembered. A topic that it has no leaders for is left out, with the reason in
// the second map.
func (c *Client) leadersOf(ctx context.Context, names []string) (map[string][]int32, map[string]error, error) {
	known, missing := c.remembered(names)
	if len(missing) == 0 {
		return known, nil, nil
	}
	topics, err := c.lookUp(ctx, missing)
	if err != nil {
		return nil, nil, err
	}
	reasons := map[string]error{}
	for name, topic := range topics {
		if topic.Exists {
			known[name] = topic.Leaders
		} else {
			reasons[name] = topic.Err
		}
	}
	return known, reasons, nil
}

func (c *Client) remembered(names []string) (known map[string][]int32, missing []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known = make(map[string][]int32, len(names))
	for _, name := range names {
		leaders, ok := c.leaders[name]
		if !ok {
			missing = append(missing, name)
			continue
		}
		known[name] = leaders
	}
	return known, missing
}

// forget makes the next request for a topic look up its leaders.
func (c *Client) forget(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.leaders, topic)
}

// leader is the node that leads a partition now.
func (c *Client) leader(ctx context.Context, topic string, partition int32) (int32, error) {
	leaders, reasons, err := c.leadersOf(ctx, []string{topic})
	if err != nil {
		return noLeader, err
	}
	if err := reasons[topic]; err != nil {
		return noLeader, err
	}
	return leaderIn(leaders[topic], partition)
}

func leaderIn(leaders []int32, partition int32) (int32, error) {
	switch {
	case partition < 0 || int(partition) >= len(leaders):
		return noLeader, UnknownTopicOrPartition
	case leaders[partition] < 0:
		return noLeader, LeaderNotAvailable
	}
	return leaders[partition], nil
}
