package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	fetchapi "github.com/segmentio/kafka-go/protocol/fetch"
)

// Fetched is a piece of a partition.
type Fetched struct {
	// Records from the offset that was asked for, ascending, with gaps where
	// compaction removed some or a control record was.
	Records []FetchedRecord
	// Next is where to go on: behind the last batch by its header, so that
	// batches which compaction emptied are passed. The offset that was asked for
	// if nothing came, which is usual.
	Next int64
	// Start is the first offset that the partition still has.
	Start int64
	// HighWatermark as the leader states it; a fresh leader may state one that is
	// older than records already acknowledged.
	HighWatermark int64
}

// FetchedRecord is a record as the log has it. Its bytes share memory with the
// other records of the same answer.
type FetchedRecord struct {
	Offset     int64
	Key, Value []byte // nil: Kafka's null
	Headers    []Header
	Producer   Producer // that wrote its batch; -1 and -1: none
	// Time is the broker's for a topic with LogAppendTime, else the producer's.
	Time time.Time
}

const (
	// fetchWait is how long a broker holds an answer that would be empty: short
	// for a scan, long enough not to spin.
	fetchWait = 100 * time.Millisecond
	// fetchSize bounds an answer; a larger batch comes alone.
	fetchSize = 4 << 20
	// largestAnswer bounds what is read at all: Kafka's default for the largest
	// batch is 1 MiB, the largest request 100 MiB.
	largestAnswer = 128 << 20
	// statesLogStart is the first version of Fetch whose answer has the log start.
	statesLogStart int16 = 5

	versionThrottle = 1
	versionStable   = 4
	versionSession  = 7
	versionReplica  = 11
)

// Fetch reads a partition from offset. An empty answer is normal, so whoever
// waits for a certain offset repeats until Next is past it. OffsetOutOfRange says
// that retention took the offset away, or that the partition never had it.
// Control batches are passed; records of open or aborted transactions of others
// are not told apart.
func (c *Client) Fetch(ctx context.Context, topic string, partition int32, offset int64) (Fetched, error) {
	fetched, err := c.fetch(ctx, topic, partition, offset)
	if err != nil {
		c.forget(topic)
		return Fetched{}, fmt.Errorf("fetch %s/%d from offset %d: %w", topic, partition, offset, err)
	}
	return fetched, nil
}

func (c *Client) fetch(ctx context.Context, topic string, partition int32, offset int64) (Fetched, error) {
	node, err := c.leader(ctx, topic, partition)
	if err != nil {
		return Fetched{}, err
	}
	value, err := c.exchange(ctx, &exchange{
		node: node, request: fetchRequest(topic, partition, offset), least: statesLogStart, read: readFetch,
	})
	if err != nil {
		return Fetched{}, err
	}
	part := value.(partitionAnswer)
	if part.partition != partition || part.topic != topic {
		return Fetched{}, errNoAnswer
	}
	if err := refusal(part.code, ""); err != nil {
		return Fetched{}, err
	}
	fetched := Fetched{Next: offset, Start: part.start, HighWatermark: part.watermark}
	err = decodeBatches(part.batches, offset, &fetched)
	return fetched, err
}

func fetchRequest(topic string, partition int32, offset int64) *fetchapi.Request {
	return &fetchapi.Request{
		ReplicaID:    -1, // a consumer
		MaxWaitTime:  int32(fetchWait.Milliseconds()),
		MinBytes:     1,
		MaxBytes:     fetchSize,
		SessionEpoch: -1, // no session
		Topics: []fetchapi.RequestTopic{{
			Topic: topic,
			Partitions: []fetchapi.RequestPartition{{
				Partition:          partition,
				CurrentLeaderEpoch: -1, // not known
				FetchOffset:        offset,
				LogStartOffset:     -1, // for followers only
				PartitionMaxBytes:  fetchSize,
			}},
		}},
	}
}

// partitionAnswer is the part of a Fetch answer about the one partition that was
// asked for.
type partitionAnswer struct {
	topic     string
	partition int32
	code      int16
	watermark int64
	start     int64
	batches   []byte
}

var errShort = errors.New("the answer ends too early")

// readFetch reads an answer of Fetch, versions 5 to 11. (kafka-go's own decoding
// drops the last offset delta, the maximum timestamp and the producer.)
func readFetch(r io.Reader, number int32, version int16) (any, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(size[:])
	if length > largestAnswer {
		return nil, fmt.Errorf("answer of %d bytes to a fetch, at most %d are read", length, largestAnswer)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return parseFetch(&cursor{rest: body}, number, version)
}

func parseFetch(in *cursor, number int32, version int16) (partitionAnswer, error) {
	var part partitionAnswer
	got := in.int32()
	if version >= versionThrottle {
		in.int32()
	}
	if version >= versionSession {
		part.code = in.int16()
		in.int32()
	}
	switch {
	case in.short:
		return part, errShort
	case got != number:
		return part, fmt.Errorf("answer to request %d, not to %d", got, number)
	case part.code != 0:
		return part, Code(part.code)
	}
	if in.int32() != 1 {
		return part, errNoAnswer
	}
	part.topic = string(in.bytes(int(in.int16())))
	if in.int32() != 1 {
		return part, errNoAnswer
	}
	parsePartition(in, version, &part)
	if in.short {
		return part, errShort
	}
	return part, nil
}

func parsePartition(in *cursor, version int16, part *partitionAnswer) {
	part.partition = in.int32()
	part.code = in.int16()
	part.watermark = in.int64()
	if version >= versionStable {
		in.int64()
	}
	if version >= statesLogStart {
		part.start = in.int64()
	}
	if version >= versionStable {
		const aborted = 16 // producer id and first offset
		for range max(in.int32(), 0) {
			if in.bytes(aborted); in.short {
				return
			}
		}
	}
	if version >= versionReplica {
		in.int32()
	}
	part.batches = in.bytes(int(max(in.int32(), 0)))
}
