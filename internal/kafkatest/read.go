package kafkatest

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// readLimit bounds the reading of a topic.
	readLimit = 30 * time.Second
	// readWait is how long a broker holds an empty answer.
	readWait = 100 * time.Millisecond
)

// ReadAll returns the records that a topic holds now, by partition, then by
// offset; it fails the test if they do not come within half a minute.
func ReadAll(t testing.TB, brokers []string, topic string) []*kgo.Record {
	t.Helper()
	return readAll(t, topic, kgo.SeedBrokers(brokers...))
}

// ReadAll is ReadAll for a cluster inside the process.
func (b *Broker) ReadAll(t testing.TB, topic string) []*kgo.Record {
	t.Helper()
	return readAll(t, topic, kgo.SeedBrokers(b.ListenAddrs()...), kgo.Dialer(b.dial))
}

func (b *Broker) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return b.Dial(ctx, network, address)
}

func readAll(t testing.TB, topic string, opts ...kgo.Opt) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readLimit)
	defer cancel()
	records, err := Read(ctx, topic, opts...)
	if err != nil {
		t.Fatalf("read back topic %q: %v", topic, err)
	}
	return records
}

// Read is ReadAll with a context and options of franz-go's client.
func Read(ctx context.Context, topic string, opts ...kgo.Opt) ([]*kgo.Record, error) {
	client, err := kgo.NewClient(append(opts, kgo.FetchMaxWait(readWait), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	partitions, err := partitionsOf(ctx, client, topic)
	if err != nil {
		return nil, fmt.Errorf("ask for its partitions: %w", err)
	}
	const start, end = -2, -1 // Kafka's names for the ends of a log
	starts, err := offsetsOf(ctx, client, topic, partitions, start)
	if err != nil {
		return nil, fmt.Errorf("ask for its start: %w", err)
	}
	ends, err := offsetsOf(ctx, client, topic, partitions, end)
	if err != nil {
		return nil, fmt.Errorf("ask for its end: %w", err)
	}
	records, err := readTo(ctx, client, topic, starts, ends)
	slices.SortFunc(records, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return records, err
}

func readTo(ctx context.Context, client *kgo.Client, topic string, starts, ends map[int32]int64) ([]*kgo.Record, error) {
	from := map[int32]kgo.Offset{}
	for partition, start := range starts {
		if start < ends[partition] {
			from[partition] = kgo.NewOffset().At(start)
		}
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	var records []*kgo.Record
	for open := len(from); open > 0; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return records, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= ends[r.Partition] {
				return
			}
			if r.Offset == ends[r.Partition]-1 {
				open--
			}
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
		})
	}
	return records, nil
}

func partitionsOf(ctx context.Context, client *kgo.Client, topic string) ([]int32, error) {
	request := kmsg.NewPtrMetadataRequest()
	wanted := kmsg.NewMetadataRequestTopic()
	wanted.Topic = kmsg.StringPtr(topic)
	request.Topics = append(request.Topics, wanted)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	var partitions []int32
	for _, found := range answer.Topics {
		if err := kerr.ErrorForCode(found.ErrorCode); err != nil {
			return nil, err
		}
		for _, partition := range found.Partitions {
			partitions = append(partitions, partition.Partition)
		}
	}
	return partitions, nil
}

func offsetsOf(ctx context.Context, client *kgo.Client, topic string, partitions []int32, which int64) (map[int32]int64, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	wanted := kmsg.NewListOffsetsRequestTopic()
	wanted.Topic = topic
	for _, number := range partitions {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition = number
		partition.Timestamp = which
		wanted.Partitions = append(wanted.Partitions, partition)
	}
	request.Topics = append(request.Topics, wanted)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	offsets := map[int32]int64{}
	for _, found := range answer.Topics {
		for _, partition := range found.Partitions {
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				return nil, fmt.Errorf("partition %d: %w", partition.Partition, err)
			}
			offsets[partition.Partition] = partition.Offset
		}
	}
	return offsets, nil
}
