package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/kafkatest"
)

func TestRepetitionAfterALostAnswer(t *testing.T) {
	faults := kafkatest.NewFaultDialer(1, 100*time.Millisecond, nil)
	brokers := kafkatest.Brokers(t)
	client := open(t, broker.Config{Brokers: brokers, Dial: faults.Dial})
	topic := topicOn(t, client, 1)
	p := producer(t, client, kafkatest.Name("transactional"), broker.NoProducer())
	sequence := int32(0)
	for _, fault := range []kafkatest.Fault{kafkatest.LostRequest, kafkatest.LostAnswer, kafkatest.LateRequest} {
		faults.Next(kafkatest.ProduceRequest, fault)
		batch := records(p, sequence, int(sequence), 2)
		lost := produce(t, client, topic, 0, batch)
		if _, ok := broker.CodeOf(lost.Err); lost.Err == nil || ok {
			t.Fatalf("fault %d: got %+v, want an error without a code", fault, lost)
		}
		if sentence := broker.Sentence(lost.Err); sentence == "" {
			t.Errorf("fault %d: no sentence for %v", fault, lost.Err)
		}
		wantOffset(t, fmt.Sprintf("again after fault %d", fault), produce(t, client, topic, 0, batch), int64(sequence))
		sequence += 2
	}
	faults.Wait()
	if got := kafkatest.ReadAll(t, brokers, topic); len(got) != 6 {
		t.Errorf("got %d records, want 6", len(got))
	}
}

func TestABlackHoleEndsWithTheContext(t *testing.T) {
	faults := kafkatest.NewFaultDialer(1, 0, nil)
	client := open(t, broker.Config{Brokers: kafkatest.Brokers(t), Dial: faults.Dial, RequestTimeout: 20 * time.Second})
	topic := topicOn(t, client, 1)
	faults.Next(kafkatest.ProduceRequest, kafkatest.BlackHole)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	got := client.Produce(ctx, []broker.Batch{{Topic: topic, Bytes: records(broker.NoProducer(), -1, 0, 1)}})[0]
	if !errors.Is(got.Err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %v, want the deadline", got.Err, time.Since(start))
	}
	wantOffset(t, "afterwards", produce(t, client, topic, 0, records(broker.NoProducer(), -1, 0, 1)), 0)
}

func TestRandomFaultsLoseAndRepeatNothing(t *testing.T) {
	brokers := kafkatest.Brokers(t)
	for seed := range uint64(3) {
		faults := kafkatest.NewFaultDialer(seed, 20*time.Millisecond, nil)
		client := open(t, broker.Config{Brokers: brokers, Dial: faults.Dial, RequestTimeout: 500 * time.Millisecond})
		healthy := open(t, broker.Config{Brokers: brokers})
		topic := topicOn(t, healthy, 2)
		p := producer(t, healthy, kafkatest.Name("transactional"), broker.NoProducer())
		faults.Random(kafkatest.ProduceRequest, kafkatest.Shares{
			kafkatest.LostRequest: 100, kafkatest.LostAnswer: 150, kafkatest.LateRequest: 100, kafkatest.SlowAnswer: 50, kafkatest.BlackHole: 20,
		})
		const rounds = 30
		for round := range int32(rounds) {
			pending := []broker.Batch{
				{Topic: topic, Partition: 0, Bytes: records(p, round, int(round), 1)},
				{Topic: topic, Partition: 1, Bytes: records(p, round, int(round), 1)},
			}
			for attempts := 0; len(pending) > 0; attempts++ {
				if attempts == 50 {
					t.Fatalf("seed %d, round %d: still not through", seed, round)
				}
				var again []broker.Batch
				for i, got := range client.Produce(t.Context(), pending) {
					if got.Err != nil {
						again = append(again, pending[i])
					} else {
						wantOffset(t, fmt.Sprintf("seed %d", seed), got, int64(round))
					}
				}
				pending = again
			}
		}
		faults.Wait()
		read := kafkatest.ReadAll(t, brokers, topic)
		if len(read) != 2*rounds {
			t.Fatalf("seed %d: got %d records, want %d", seed, len(read), 2*rounds)
		}
		for i, r := range read {
			if want := strconv.Itoa(i % rounds); string(r.Value) != want {
				t.Fatalf("seed %d: record %d is %s, want %s", seed, i, r.Value, want)
			}
		}
	}
}

func TestMovedLeaderIsFoundAtOnce(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Nodes(3), kafkatest.Topic("moving", 6, nil))
	client := open(t, broker.Config{Brokers: cluster.ListenAddrs()})
	for round := range 5 {
		sequence := int32(round)
		batches := make([]broker.Batch, 6)
		for i := range batches {
			batches[i] = broker.Batch{Topic: "moving", Partition: int32(i), Bytes: records(broker.Producer{ID: 4, Epoch: 0}, sequence, 0, 1)}
		}
		moved := time.Now()
		for attempts := 0; len(batches) > 0; attempts++ {
			if attempts > 2 {
				t.Fatalf("round %d: %d batches still refused after %d attempts", round, len(batches), attempts)
			}
			var again []broker.Batch
			for i, got := range client.Produce(t.Context(), batches) {
				if got.Err != nil {
					wantCode(t, "moved", got.Err, broker.NotLeader)
					again = append(again, batches[i])
				}
			}
			batches = again
		}
		if took := time.Since(moved); took > time.Second {
			t.Errorf("round %d took %v", round, took)
		}
		cluster.ShufflePartitionLeaders()
	}
	if got := cluster.ReadAll(t, "moving"); len(got) != 30 {
		t.Errorf("got %d records, want 30", len(got))
	}
}

func TestRestartedClusterIsFoundAgain(t *testing.T) {
	first := kafkatest.Start(t, kafkatest.Topic("t", 1, nil))
	address := first.ListenAddrs()[0]
	client := open(t, broker.Config{Brokers: []string{address}})
	wantOffset(t, "before", produce(t, client, "t", 0, records(broker.NoProducer(), -1, 0, 1)), 0)
	first.Close()
	down := produce(t, client, "t", 0, records(broker.NoProducer(), -1, 0, 1))
	if down.Err == nil {
		t.Fatal("a stopped cluster took a batch")
	}
	_, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	kafkatest.Start(t, kafkatest.Topic("t", 1, nil), kafkatest.Port(number))
	for attempts := 0; ; attempts++ {
		got := produce(t, client, "t", 0, records(broker.NoProducer(), -1, 0, 1))
		if got.Err == nil {
			break
		}
		if attempts == 3 {
			t.Fatalf("after %d attempts: %v", attempts, got.Err)
		}
	}
}
