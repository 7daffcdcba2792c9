package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
)

// Producer is who writes a batch, as the broker knows it: of an id only the
// newest epoch may write to a partition that has seen it.
type Producer struct {
	ID    int64
	Epoch int16
}

// NoProducer is no producer: a batch without idempotence, or the first question
// of a process for an id. (A function, as Go has no constant structs.)
func NoProducer() Producer { return Producer{ID: -1, Epoch: -1} }

const (
	// transactionTimeout is asked for and never used: no transaction is begun.
	// It must be within the broker's transaction.max.timeout.ms.
	transactionTimeout = time.Minute

	transactionCoordinator int8 = 1
	// sendsProducer is the first version of InitProducerId that carries the
	// current id and epoch (Kafka 2.5).
	sendsProducer int16 = 3
)

// InitProducer asks the coordinator of a transactional id for a producer. With
// NoProducer it always succeeds and fences whoever holds the id: so only at
// process start. With the current producer the epoch grows by one, unless that
// producer was replaced: then the answer is ProducerFenced or
// InvalidProducerEpoch, and nothing changes. Once epochs are used up or the id
// was forgotten, another producer id comes back. NotCoordinator,
// CoordinatorLoading and CoordinatorNotAvailable are usual for seconds after a
// broker starts.
func (c *Client) InitProducer(ctx context.Context, transactionalID string, current Producer) (Producer, error) {
	producer, err := c.initProducer(ctx, transactionalID, current)
	if err != nil {
		return NoProducer(), fmt.Errorf("ask for a producer id for %q: %w", transactionalID, err)
	}
	return producer, nil
}

func (c *Client) initProducer(ctx context.Context, transactionalID string, current Producer) (Producer, error) {
	found, err := ask[*findcoordinator.Response](ctx, c, anyNode, &findcoordinator.Request{
		Key: transactionalID, KeyType: transactionCoordinator,
	})
	if err != nil {
		return Producer{}, err
	}
	if err := refusal(found.ErrorCode, found.ErrorMessage); err != nil {
		return Producer{}, fmt.Errorf("find its coordinator: %w", err)
	}
	request := &initproducerid.Request{
		TransactionalID:      transactionalID,
		TransactionTimeoutMs: int32(transactionTimeout.Milliseconds()),
		ProducerID:           current.ID,
		ProducerEpoch:        current.Epoch,
	}
	value, err := c.exchange(ctx, &exchange{
		node: found.NodeID, request: request, least: sendsProducer, read: readAnswer(request.ApiKey()),
	})
	if err != nil {
		return Producer{}, err
	}
	given := value.(*initproducerid.Response)
	return Producer{ID: given.ProducerID, Epoch: given.ProducerEpoch}, refusal(given.ErrorCode, "")
}
