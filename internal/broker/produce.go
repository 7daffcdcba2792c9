package broker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
)

// Batch is a record batch on its way to a partition; Bytes come from AppendBatch.
type Batch struct {
	Topic     string
	Partition int32
	Bytes     []byte
}

// Produced is what became of a batch.
type Produced struct {
	// Offset of the first record; of a repetition the one it got at first.
	Offset int64
	// LogAppendTime is the broker's time; zero where the topic keeps the producer's.
	LogAppendTime time.Time
	// Throttle is how long the broker asks to be left alone; it delays its next
	// answer by that itself.
	Throttle time.Duration
	// Err without a Code means that the batch may or may not have been appended.
	Err error
}

const (
	acksAll int16 = -1
	// keepsBatches is the first version of Produce that takes batches of format 2.
	keepsBatches int16 = 3
)

var (
	errTwice    = errors.New("two batches for one partition in one call")
	errNoAnswer = errors.New("the broker's answer leaves this partition out")
)

// Produce sends batches, one request a leader, leaders side by side, and waits
// for all in-sync replicas. One result a batch, in the same order. It never sends
// anything twice, and once it has returned, nothing is sent any more: Bytes may
// be used again. It looks up the leaders again after an error, so that the next
// call finds a moved leader at once. A call has at most one batch for a partition.
func (c *Client) Produce(ctx context.Context, batches []Batch) []Produced {
	results := make([]Produced, len(batches))
	groups := c.groupByLeader(ctx, batches, results)
	var wait sync.WaitGroup
	for node, indexes := range groups {
		wait.Go(func() { c.produceTo(ctx, node, batches, indexes, results) })
	}
	wait.Wait()
	for i, batch := range batches {
		if err := results[i].Err; err != nil {
			c.forget(batch.Topic)
			results[i].Err = fmt.Errorf("produce to %s/%d: %w", batch.Topic, batch.Partition, err)
		}
	}
	return results
}

// groupByLeader gives the indexes of the batches of each node; a batch that
// cannot be sent has its error in results.
func (c *Client) groupByLeader(ctx context.Context, batches []Batch, results []Produced) map[int32][]int {
	leaders, reasons, err := c.leadersOf(ctx, topicsOf(batches))
	groups := map[int32][]int{}
	seen := make(map[partitionKey]bool, len(batches))
	for i, batch := range batches {
		node, reason := leaderIn(leaders[batch.Topic], batch.Partition)
		key := partitionKey{batch.Topic, batch.Partition}
		switch {
		case err != nil:
			results[i].Err = err
		case seen[key]:
			results[i].Err = errTwice
		case reasons[batch.Topic] != nil:
			results[i].Err = reasons[batch.Topic]
		case reason != nil:
			results[i].Err = reason
		default:
			groups[node] = append(groups[node], i)
		}
		seen[key] = true
	}
	return groups
}

type partitionKey struct {
	topic     string
	partition int32
}

func topicsOf(batches []Batch) []string {
	names := make([]string, len(batches))
	for i, batch := range batches {
		names[i] = batch.Topic
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// produceTo sends one node its batches and writes only the results of these.
func (c *Client) produceTo(ctx context.Context, node int32, batches []Batch, indexes []int, results []Produced) {
	request := &rawproduce.Request{
		Acks: acksAll,
		// The broker gives up waiting for its replicas before we give up waiting
		// for the broker: its answer says more than our silence.
		Timeout: int32((c.timeout * 3 / 4).Milliseconds()),
		Topics:  requestTopics(batches, indexes),
	}
	value, err := c.exchange(ctx, &exchange{
		node: node, request: request, least: keepsBatches, read: readAnswer(protocol.Produce),
	})
	if err != nil {
		for _, i := range indexes {
			results[i].Err = err
		}
		return
	}
	answered := readProduced(value.(*produce.Response))
	for _, i := range indexes {
		result, ok := answered[partitionKey{batches[i].Topic, batches[i].Partition}]
		if !ok {
			result.Err = errNoAnswer
		}
		results[i] = result
	}
}

func requestTopics(batches []Batch, indexes []int) []rawproduce.RequestTopic {
	var topics []rawproduce.RequestTopic
	at := map[string]int{}
	for _, i := range indexes {
		batch := batches[i]
		index, ok := at[batch.Topic]
		if !ok {
			index = len(topics)
			at[batch.Topic] = index
			topics = append(topics, rawproduce.RequestTopic{Topic: batch.Topic})
		}
		topics[index].Partitions = append(topics[index].Partitions, rawproduce.RequestPartition{
			Partition: batch.Partition,
			RecordSet: protocol.RawRecordSet{Reader: sized(batch.Bytes)},
		})
	}
	return topics
}

// sized is a record set on the wire: its size, then its batches.
func sized(batch []byte) io.Reader {
	size := binary.BigEndian.AppendUint32(nil, uint32(len(batch)))
	return io.MultiReader(bytes.NewReader(size), bytes.NewReader(batch))
}

func readProduced(answer *produce.Response) map[partitionKey]Produced {
	results := map[partitionKey]Produced{}
	throttle := time.Duration(answer.ThrottleTimeMs) * time.Millisecond
	for _, topic := range answer.Topics {
		for _, p := range topic.Partitions {
			result := Produced{Offset: p.BaseOffset, Throttle: throttle, Err: refusal(p.ErrorCode, p.ErrorMessage)}
			if p.LogAppendTime >= 0 {
				result.LogAppendTime = time.UnixMilli(p.LogAppendTime)
			}
			results[partitionKey{topic.Topic, p.Partition}] = result
		}
	}
	return results
}
