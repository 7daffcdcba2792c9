package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
)

// consume hands each record of the topics to visit, from their beginning until the
// context ends: what a consumer does who knows Kafka and the contract, and nothing of
// threadcast. visit is called by one goroutine.
func consume(ctx context.Context, brokers, topics []string, visit func(*kgo.Record)) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.MetadataMinAge(100*time.Millisecond), // the topics are new
	)
	if err != nil {
		return fmt.Errorf("make a consumer: %w", err)
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("consume: %w", err)
		}
		fetches.EachRecord(visit)
	}
}

// ends are the offsets behind the newest records of all partitions.
func ends(ctx context.Context, brokers, topics []string) (map[event.Partition]int64, error) {
	client, err := broker.Open(broker.Config{Brokers: brokers, ClientID: "threadcast-demo"})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	found, err := client.Topics(ctx, topics)
	if err != nil {
		return nil, err
	}
	offsets := map[event.Partition]int64{}
	for name, topic := range found {
		if !topic.Exists {
			return nil, errors.Join(fmt.Errorf("topic %s is gone", name), topic.Err)
		}
		for number := range int32(topic.Partitions) {
			_, end, err := client.Offsets(ctx, name, number)
			if err != nil {
				return nil, fmt.Errorf("find the end of %s/%d: %w", name, number, err)
			}
			offsets[event.Partition{Topic: name, Number: number}] = end
		}
	}
	return offsets, nil
}
