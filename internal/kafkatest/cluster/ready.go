package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	readyPoll  = 100 * time.Millisecond
	readyLimit = 3 * time.Second // for one look
	// warmUp is the transactional id that is asked for to see the coordinator at
	// work; it belongs to nobody.
	warmUp = "threadcast-warm-up"
)

// awaitReady looks until all is well, a node ends or the context does.
func (c *Cluster) awaitReady(ctx context.Context) error {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		last := c.look(ctx)
		if last == nil {
			return nil
		}
		for _, n := range c.nodes {
			if err := n.failure(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), last)
		case <-ticker.C:
		}
	}
}

func (c *Cluster) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	for _, n := range c.nodes { // each must know all the others
		if err := knowsAll(ctx, n.address, len(c.nodes)); err != nil {
			return fmt.Errorf("node %d: %w", n.id, err)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrInitProducerIDRequest()
	request.TransactionalID = kmsg.StringPtr(warmUp)
	request.TransactionTimeoutMillis = 10_000
	request.ProducerID, request.ProducerEpoch = -1, -1
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("ask for a producer id: %w", err)
	}
	return kerr.ErrorForCode(answer.ErrorCode)
}

func knowsAll(ctx context.Context, address string, nodes int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	answer, err := client.SeedBrokers()[0].Request(ctx, request)
	if err != nil {
		return err
	}
	if known := len(answer.(*kmsg.MetadataResponse).Brokers); known != nodes {
		return fmt.Errorf("knows %d of %d nodes", known, nodes)
	}
	return nil
}
