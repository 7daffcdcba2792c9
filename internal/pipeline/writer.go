package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/publish"
	"github.com/threadcast/threadcast/internal/thread"
)

// writer is the half of an account that publishes.
type writer struct {
	account     *account
	bound       chan struct{} // closed once the state knows its account
	placed      chan struct{} // closed once the partition counts are known
	established chan struct{} // closed once the first session stands
	once        sync.Once
	drained     chan struct{}

	mu        sync.Mutex
	publisher *publish.Publisher
	trouble   string
}

func newWriter(a *account) *writer {
	w := &writer{
		account: a, bound: make(chan struct{}), placed: make(chan struct{}), established: make(chan struct{}), drained: make(chan struct{}),
	}
	if a.store.Account() != "" {
		close(w.bound)
	}
	return w
}

// run publishes until it is drained. Kafka being away is waited out.
func (w *writer) run(ctx context.Context) error {
	if !w.await(ctx, w.bound) {
		return ctx.Err()
	}
	cluster, topics, err := w.connect(ctx)
	if err != nil || cluster == "" {
		return err
	}
	err = patiently(ctx, func() error { return w.account.store.SetTopics(topics.partitions) })
	if err != nil {
		return err
	}
	close(w.placed)
	publisher := publish.NewPublisher(w.config(cluster, topics), w.account.store, w.account.store, w.account.broker, w.account.clock)
	w.mu.Lock()
	w.publisher, w.trouble = publisher, ""
	w.mu.Unlock()
	finished := make(chan struct{})
	defer close(finished)
	go func() {
		select {
		case <-w.drained:
			publisher.Drain()
		case <-finished:
		}
	}()
	return publisher.Run(ctx)
}

// await waits for a channel to close; false if there is nothing to wait for any more.
func (w *writer) await(ctx context.Context, ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	case <-ctx.Done():
	case <-w.drained:
	}
	return false
}

// connect looks for the cluster and its topics until both are there. An empty cluster
// without an error means that the account was drained before.
func (w *writer) connect(ctx context.Context) (cluster string, t topics, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-w.drained:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		cluster, t, err = w.look(ctx)
		var final *Failure
		if err == nil || errors.As(err, &final) {
			for _, warning := range t.warnings {
				w.account.logger.Warn(warning)
			}
			return cluster, t, err
		}
		if ctx.Err() == nil && w.troubled(broker.Sentence(err)) {
			w.account.logger.Warn("Kafka is not ready, waiting for it", "err", err, "remedy", broker.Sentence(err))
		}
		if err := pause(ctx, retryEvery); err != nil {
			return "", t, w.unlessDrained(err)
		}
	}
}

// troubled notes why Kafka is not ready, and tells whether that is news.
func (w *writer) troubled(sentence string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	news := w.trouble != sentence
	w.trouble = sentence
	return news
}

// unlessDrained is no error if there is nothing to publish for any more.
func (w *writer) unlessDrained(err error) error {
	select {
	case <-w.drained:
		return nil
	default:
		return err
	}
}

func (w *writer) look(ctx context.Context) (string, topics, error) {
	cluster, err := w.account.broker.ClusterID(ctx)
	if err != nil {
		return "", topics{}, err
	}
	t, err := findTopics(ctx, w.account.broker, w.account.kafka)
	return cluster, t, err
}

func (w *writer) config(cluster string, t topics) publish.Config {
	a := w.account
	return publish.Config{
		TransactionalID: a.kafka.TransactionalID(a.store.Account()), Cluster: cluster, Instance: a.instance,
		HeartbeatEvery: a.kafka.HeartbeatEvery, BatchBytes: t.batchBytes, Compacted: t.compacted, Horizon: a.sweep.horizon,
		Transient: func(err error) bool { return errors.Is(err, thread.ErrTemporary) },
		Random:    rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Observer: publish.Observer{
			Published: func(kind thread.Kind, n int, delay time.Duration) { a.metrics.Published(kind.String(), n, delay) },
			Retried: func(err error) {
				a.metrics.PublishRetried()
				a.logger.Debug("Kafka request is repeated", "err", err)
			},
			Established: w.begun,
			Fenced:      a.metrics.Fenced,
			Watermark:   func(p event.Partition, t time.Time) { a.metrics.Watermark(p.Topic, p.Number, t) },
		},
	}
}

// begun is told that a session stands.
func (w *writer) begun(producer broker.Producer, reconciled int) {
	w.account.metrics.Reconciled(reconciled)
	w.account.logger.Info("publishing session established", "producer_id", producer.ID, "epoch", producer.Epoch, "found_on_topics", reconciled)
	w.once.Do(func() { close(w.established) })
}

// wake says that the outbox may hold more.
func (w *writer) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.publisher != nil {
		w.publisher.Wake()
	}
}

// drain says that nothing will be appended any more. It is called once.
func (w *writer) drain() { close(w.drained) }

// ready says whether events reach Kafka, and if not, why.
func (w *writer) ready() (bool, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.publisher == nil {
		return false, fmt.Sprintf("waiting for Kafka: %s", w.trouble)
	}
	state := w.publisher.State()
	return state.Ready, state.Reason
}
