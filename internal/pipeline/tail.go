package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/event"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// Record is an event as it lies on its topic. Event is nil where the value is none,
// and Err says why.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time
	Key       string
	Event     *threadcastv1.ThreadEvent
	Err       error
}

// TailOptions say what Tail reads.
type TailOptions struct {
	Topics    []string // empty: all that events go to
	FromStart bool     // from the oldest record; otherwise from now on
	Follow    bool     // go on at the end; otherwise stop at what was the end at the start
}

// tailEvery is how long an empty partition rests.
const tailEvery = 50 * time.Millisecond

// Tail reads topics with a client of our own and hands each record to visit: each
// partition in order, partitions as their records come. It joins no consumer group
// and commits nothing. visit is called by one goroutine at a time; its error ends the
// tail.
func Tail(ctx context.Context, cfg *config.Config, opt TailOptions, visit func(Record) error) error {
	client, err := broker.Open(broker.Config{Brokers: cfg.Kafka.Brokers, ClientID: clientID + "-tail"})
	if err != nil {
		return &Failure{CodeConfig, err}
	}
	defer client.Close()
	names := opt.Topics
	if len(names) == 0 {
		names = cfg.Kafka.TopicNames()
	}
	found, err := client.Topics(ctx, names)
	if err != nil {
		return unavailable(err)
	}
	if missing, err := missingTopics(found, names); err != nil || len(missing) > 0 {
		return &Failure{CodeConfig, errors.Join(err, fmt.Errorf("Kafka has no topic %s: `threadcast run` with kafka.create_topics: true makes it, or `threadcast topics create`", strings.Join(missing, ", ")))}
	}
	t := &tail{client: client, opt: opt, visit: visit}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range slices.Sorted(slices.Values(names)) {
		for partition := range found[name].Partitions {
			group.Go(func() error { return t.partition(ctx, name, int32(partition)) })
		}
	}
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

type tail struct {
	client *broker.Client
	opt    TailOptions

	mu    sync.Mutex
	visit func(Record) error
}

func (t *tail) partition(ctx context.Context, topic string, partition int32) error {
	start, end, err := t.client.Offsets(ctx, topic, partition)
	if err != nil {
		return unavailable(fmt.Errorf("find the ends of %s/%d: %w", topic, partition, err))
	}
	next := end
	if t.opt.FromStart {
		next = start
	}
	for t.opt.Follow || next < end {
		fetched, err := t.client.Fetch(ctx, topic, partition, next)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, broker.OffsetOutOfRange):
			if next, _, err = t.client.Offsets(ctx, topic, partition); err != nil {
				return unavailable(err)
			}
			continue
		case err != nil && !t.opt.Follow:
			return unavailable(fmt.Errorf("read %s/%d: %w", topic, partition, err))
		}
		if err := t.deliver(topic, partition, fetched); err != nil {
			return err
		}
		if err != nil || fetched.Next <= next {
			if err := pause(ctx, tailEvery); err != nil {
				return err
			}
		}
		next = max(next, fetched.Next)
	}
	return nil
}

func (t *tail) deliver(topic string, partition int32, fetched broker.Fetched) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range fetched.Records {
		m, err := event.Decode(r.Value)
		record := Record{
			Topic: topic, Partition: partition, Offset: r.Offset, Time: r.Time, Key: string(r.Key), Event: m, Err: err,
		}
		if err := t.visit(record); err != nil {
			return err
		}
	}
	return nil
}
