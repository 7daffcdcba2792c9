package kafkatest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/threadcast/threadcast/internal/kafkatest"
)

func write(ctx context.Context, topic string, n int, opts ...kgo.Opt) error {
	client, err := kgo.NewClient(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	for i := range n {
		record := &kgo.Record{Topic: topic, Partition: int32(i % 3), Value: []byte(strconv.Itoa(i))}
		if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

func TestReadAllIsOrderedAndComplete(t *testing.T) {
	brokers, topic := kafkatest.Brokers(t), kafkatest.Name("read")
	create(t, brokers, topic)
	if got := kafkatest.ReadAll(t, brokers, topic); len(got) != 0 {
		t.Fatalf("an empty topic: got %d records", len(got))
	}
	if err := write(t.Context(), topic, 10, kgo.SeedBrokers(brokers...)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range kafkatest.ReadAll(t, brokers, topic) {
		got = append(got, string(r.Value))
	}
	if want := []string{"0", "3", "6", "9", "1", "4", "7", "2", "5", "8"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func create(t *testing.T, brokers []string, name string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 3, 1
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(t.Context(), client)
	if err == nil {
		err = kerr.ErrorForCode(answer.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadOfAMissingTopicIsAnError(t *testing.T) {
	_, err := kafkatest.Read(t.Context(), kafkatest.Name("missing"), kgo.SeedBrokers(kafkatest.Brokers(t)...))
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("got %v, want an unknown topic", err)
	}
}

func TestVirtualNetworkWorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, err := kafkatest.New(kafkatest.Virtual(), kafkatest.Nodes(3), kafkatest.Topic("t", 3, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		if err := write(t.Context(), "t", 3, kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(cluster.Dial)); err != nil {
			t.Fatal(err)
		}
		if got := cluster.ReadAll(t, "t"); len(got) != 3 {
			t.Errorf("got %d records, want 3", len(got))
		}
	})
}

// echo answers each frame with itself, over pipes; what it got is in the channel.
func echo(t *testing.T) (dial func(context.Context, string, string) (net.Conn, error), got chan []byte) {
	got = make(chan []byte, 100)
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for {
				frame := make([]byte, 10)
				if _, err := io.ReadFull(server, frame); err != nil {
					return
				}
				got <- frame
				if _, err := server.Write(frame); err != nil {
					return
				}
			}
		}()
		t.Cleanup(func() { client.Close() })
		return client, nil
	}, got
}

func frame(key int16) []byte {
	b := binary.BigEndian.AppendUint32(nil, 6)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	return append(b, "body"...)
}

func TestEachFaultDoesWhatItSays(t *testing.T) {
	cases := map[kafkatest.Fault]struct {
		arrives, written, answered bool
	}{
		kafkatest.Healthy:     {arrives: true, written: true, answered: true},
		kafkatest.LostRequest: {},
		kafkatest.LostAnswer:  {arrives: true, written: true},
		kafkatest.LateRequest: {arrives: true, written: true},
		kafkatest.SlowAnswer:  {arrives: true, written: true, answered: true},
		kafkatest.BlackHole:   {written: true},
	}
	for fault, want := range cases {
		t.Run(strconv.Itoa(int(fault)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial, got := echo(t)
				faults := kafkatest.NewFaultDialer(1, time.Minute, dial)
				faults.Next(kafkatest.ProduceRequest, fault)
				conn, _ := faults.Dial(t.Context(), "tcp", "x:1")
				other := frame(3)
				roundTrip(t, conn, other)
				<-got
				began := time.Now()
				_ = conn.SetDeadline(began.Add(time.Hour))
				produce := frame(kafkatest.ProduceRequest)
				_, err1 := conn.Write(produce[:3]) // frames may come in pieces
				_, err2 := conn.Write(produce[3:])
				if written := err1 == nil && err2 == nil; written != want.written {
					t.Errorf("written: got %v and %v, want %t", err1, err2, want.written)
				}
				_, err := io.ReadFull(conn, make([]byte, len(produce)))
				if answered := err == nil; answered != want.answered {
					t.Errorf("answered: got %v, want %t", err, want.answered)
				}
				if slow := time.Since(began) == time.Minute; slow != (fault == kafkatest.SlowAnswer) {
					t.Errorf("took %v", time.Since(began))
				}
				conn.Close()
				faults.Wait()
				synctest.Wait()
				if arrived := len(got) == 1; arrived != want.arrives {
					t.Errorf("arrived: got %t, want %t", arrived, want.arrives)
				}
				if hits := faults.Hits(fault); hits < 1 {
					t.Errorf("counted %d times", hits)
				}
			})
		})
	}
}

func roundTrip(t *testing.T, conn net.Conn, frame []byte) {
	t.Helper()
	if _, err := conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, frame); err != nil {
		t.Fatal(err)
	}
}

func TestASeedGivesTheSameFaults(t *testing.T) {
	run := func(seed uint64) (hits []int) {
		dial, got := echo(t)
		faults := kafkatest.NewFaultDialer(seed, 0, dial)
		faults.Random(kafkatest.AnyRequest, kafkatest.Shares{kafkatest.LostRequest: 300, kafkatest.LostAnswer: 300})
		for range 50 {
			conn, _ := faults.Dial(t.Context(), "tcp", "x:1")
			_, _ = conn.Write(frame(0))
			_, _ = io.ReadFull(conn, make([]byte, 10))
			conn.Close()
			for len(got) > 0 {
				<-got
			}
			hits = append(hits, faults.Hits(kafkatest.LostRequest), faults.Hits(kafkatest.LostAnswer))
		}
		return hits
	}
	first := run(7)
	if again := run(7); !slices.Equal(first, again) {
		t.Errorf("seed 7: got %v, then %v", first, again)
	}
	if other := run(8); slices.Equal(first, other) {
		t.Error("seeds 7 and 8 gave the same")
	}
	if first[98] == 0 || first[99] == 0 || first[98]+first[99] == 50 {
		t.Errorf("got %v, want some of each", first[98:])
	}
}
