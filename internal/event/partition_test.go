package event_test

import (
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/threadcast/threadcast/internal/event"
)

// Keys are placed as franz-go's Kafka-compatible partitioner places them, which
// follows the Java client.
func TestPartitionOfAgreesWithKafkaClients(t *testing.T) {
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		key := make([]byte, 1+r.IntN(40))
		for i := range key {
			key[i] = byte(r.Uint32())
		}
		n := 1 + r.IntN(64)
		want := partitioner.Partition(&kgo.Record{Key: key}, n)
		if got := event.PartitionOf(key, int32(n)); int(got) != want {
			t.Fatalf("key %x among %d: partition %d, want %d", key, n, got, want)
		}
	}
}
