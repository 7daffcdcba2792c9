package broker_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/kafkatest"
)

func open(t *testing.T, config broker.Config) *broker.Client {
	t.Helper()
	client, err := broker.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// topicOn makes a topic as the service does and returns its name.
func topicOn(t *testing.T, client *broker.Client, partitions int, configs ...string) string {
	t.Helper()
	spec := broker.TopicSpec{
		Name: kafkatest.Name("broker"), Partitions: partitions, ReplicationFactor: 1,
		Configs: map[string]string{"message.timestamp.type": "LogAppendTime"},
	}
	for i := 0; i < len(configs); i += 2 {
		spec.Configs[configs[i]] = configs[i+1]
	}
	if err := client.CreateTopics(t.Context(), []broker.TopicSpec{spec}); err != nil {
		t.Fatal(err)
	}
	return spec.Name
}

// records makes a batch of n records whose values are numbered from first.
func records(p broker.Producer, sequence int32, first, n int) []byte {
	batch := broker.RecordBatch{Producer: p, Sequence: sequence, Time: time.UnixMilli(1_700_000_000_000)}
	for i := range n {
		batch.Records = append(batch.Records, broker.Record{
			Key: []byte("key"), Value: []byte(strconv.Itoa(first + i)), Headers: []broker.Header{{Key: "h", Value: []byte("v")}},
		})
	}
	return broker.AppendBatch(nil, batch)
}

func produce(t *testing.T, c *broker.Client, topic string, partition int32, batch []byte) broker.Produced {
	t.Helper()
	return c.Produce(t.Context(), []broker.Batch{{Topic: topic, Partition: partition, Bytes: batch}})[0]
}

func wantOffset(t *testing.T, what string, got broker.Produced, offset int64) {
	t.Helper()
	if got.Err != nil || got.Offset != offset {
		t.Fatalf("%s: got offset %d, %v; want %d", what, got.Offset, got.Err, offset)
	}
}

func wantCode(t *testing.T, what string, err error, codes ...broker.Code) {
	t.Helper()
	code, ok := broker.CodeOf(err)
	for _, want := range codes {
		if ok && code == int(want) {
			return
		}
	}
	t.Fatalf("%s: got %v, want one of %v", what, err, codes)
}

// producer asks until the coordinator is up, which takes a fresh broker seconds.
func producer(t *testing.T, c *broker.Client, id string, current broker.Producer) broker.Producer {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		given, err := c.InitProducer(t.Context(), id, current)
		switch code, _ := broker.CodeOf(err); broker.Code(code) {
		case broker.NotCoordinator, broker.CoordinatorLoading, broker.CoordinatorNotAvailable:
			<-ticker.C
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return given
	}
}

func scan(t *testing.T, c *broker.Client, topic string, partition int32, from, end int64) (values []string) {
	t.Helper()
	for next := from; next < end; {
		got, err := c.Fetch(t.Context(), topic, partition, next)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got.Records {
			values = append(values, string(r.Value))
		}
		next = got.Next
	}
	return values
}

func TestProducerEpochs(t *testing.T) {
	client := open(t, broker.Config{Brokers: kafkatest.Brokers(t)})
	id := kafkatest.Name("transactional")
	first := producer(t, client, id, broker.NoProducer())
	if first.ID < 0 || first.Epoch != 0 {
		t.Fatalf("first: got %+v, want epoch 0 of some id", first)
	}
	restarted := producer(t, client, id, broker.NoProducer())
	if restarted.ID != first.ID || restarted.Epoch != 1 {
		t.Fatalf("after a restart: got %+v, want epoch 1 of id %d", restarted, first.ID)
	}
	raised := producer(t, client, id, restarted)
	if raised.ID != first.ID || raised.Epoch != 2 {
		t.Fatalf("with the current one: got %+v, want epoch 2 of id %d", raised, first.ID)
	}
	if again := producer(t, client, id, restarted); again != raised {
		t.Fatalf("asked again as after a lost answer: got %+v, want %+v", again, raised)
	}
	_, err := client.InitProducer(t.Context(), id, first)
	wantCode(t, "with a replaced one", err, broker.ProducerFenced, broker.InvalidProducerEpoch)
	if !strings.Contains(err.Error(), id) {
		t.Errorf("the error does not name %q: %v", id, err)
	}
}

func TestFencing(t *testing.T) {
	client := open(t, broker.Config{Brokers: kafkatest.Brokers(t)})
	topic, id := topicOn(t, client, 1), kafkatest.Name("transactional")
	old := producer(t, client, id, broker.NoProducer())
	wantOffset(t, "first batch", produce(t, client, topic, 0, records(old, 0, 0, 3)), 0)
	wantOffset(t, "second batch", produce(t, client, topic, 0, records(old, 3, 3, 2)), 3)
	wantOffset(t, "second batch again", produce(t, client, topic, 0, records(old, 3, 3, 2)), 3)
	wantCode(t, "a gap", produce(t, client, topic, 0, records(old, 7, 7, 1)).Err, broker.OutOfOrderSequence)

	newer := producer(t, client, id, old)
	wantCode(t, "new epoch, sequence 5", produce(t, client, topic, 0, records(newer, 5, 5, 1)).Err, broker.OutOfOrderSequence)
	wantOffset(t, "barrier", produce(t, client, topic, 0, records(newer, 0, 100, 1)), 5)
	wantOffset(t, "barrier again", produce(t, client, topic, 0, records(newer, 0, 100, 1)), 5)
	wantCode(t, "old epoch", produce(t, client, topic, 0, records(old, 5, 5, 1)).Err, broker.InvalidProducerEpoch)
	wantCode(t, "repetition of the old epoch", produce(t, client, topic, 0, records(old, 3, 3, 2)).Err, broker.InvalidProducerEpoch)

	got := fmt.Sprint(scan(t, client, topic, 0, 0, 6))
	if want := "[0 1 2 3 4 100]"; got != want {
		t.Errorf("scan: got %s, want %s", got, want)
	}
}

func TestLargestEpochFencesUnasked(t *testing.T) {
	client := open(t, broker.Config{Brokers: kafkatest.Brokers(t)})
	topic := topicOn(t, client, 1)
	lost := producer(t, client, kafkatest.Name("transactional"), broker.NoProducer())
	wantOffset(t, "before", produce(t, client, topic, 0, records(lost, 0, 0, 1)), 0)
	last := broker.Producer{ID: lost.ID, Epoch: 32767}
	wantOffset(t, "epoch 32767", produce(t, client, topic, 0, records(last, 0, 1, 1)), 1)
	wantCode(t, "after it", produce(t, client, topic, 0, records(lost, 1, 2, 1)).Err, broker.InvalidProducerEpoch)
}

func TestFetchTellsWhatTheHeaderSays(t *testing.T) {
	client := open(t, broker.Config{Brokers: kafkatest.Brokers(t)})
	topic := topicOn(t, client, 1)
	p := producer(t, client, kafkatest.Name("transactional"), broker.NoProducer())
	stamped := time.UnixMilli(1_700_000_000_000)
	if kafkatest.Real() { // the broker inside the process knows no LogAppendTime
		stamped = time.Now().Add(-time.Minute)
	}
	produced := produce(t, client, topic, 0, records(p, 0, 0, 3))
	wantOffset(t, "batch", produced, 0)
	if kafkatest.Real() == produced.LogAppendTime.Before(stamped) {
		t.Errorf("log append time of the answer: got %v, want it after %v on a real broker only", produced.LogAppendTime, stamped)
	}
	got, err := client.Fetch(t.Context(), topic, 0, 1)
	if err != nil || len(got.Records) != 2 || got.Next != 3 || got.Start != 0 || got.HighWatermark != 3 {
		t.Fatalf("got %+v, %v; want 2 records, next 3, start 0, watermark 3", got, err)
	}
	r := got.Records[0]
	if r.Offset != 1 || string(r.Value) != "1" || r.Producer != p || r.Time.Before(stamped) || r.Headers[0].Key != "h" {
		t.Errorf("got %+v, want offset 1 by %+v, not before %v", r, p, stamped)
	}
	end, err := client.Fetch(t.Context(), topic, 0, 3)
	if err != nil || len(end.Records) != 0 || end.Next != 3 {
		t.Errorf("at the end: got %+v, %v; want nothing, next 3", end, err)
	}
	_, err = client.Fetch(t.Context(), topic, 0, 4)
	wantCode(t, "behind the end", err, broker.OffsetOutOfRange)
	start, stop, err := client.Offsets(t.Context(), topic, 0)
	if start != 0 || stop != 3 || err != nil {
		t.Errorf("offsets: got %d to %d, %v; want 0 to 3", start, stop, err)
	}
}

func TestEveryCodecIsAcceptedAndRecognised(t *testing.T) {
	brokers := kafkatest.Brokers(t)
	client := open(t, broker.Config{Brokers: brokers})
	topic := topicOn(t, client, 1)
	p := producer(t, client, kafkatest.Name("transactional"), broker.NoProducer())
	value := bytes.Repeat([]byte("a thread of ours "), 50)
	for i, codec := range []broker.Codec{broker.None, broker.Snappy, broker.LZ4, broker.Zstd} {
		batch := broker.RecordBatch{Producer: p, Sequence: int32(i * 20), Time: time.Now(), Codec: codec}
		for range 20 {
			batch.Records = append(batch.Records, broker.Record{Key: []byte("k"), Value: value})
		}
		encoded := broker.AppendBatch(nil, batch)
		wantOffset(t, fmt.Sprintf("codec %d", codec), produce(t, client, topic, 0, encoded), int64(i*20))
		wantOffset(t, fmt.Sprintf("codec %d again", codec), produce(t, client, topic, 0, encoded), int64(i*20))
	}
	read := kafkatest.ReadAll(t, brokers, topic)
	if len(read) != 80 || len(scan(t, client, topic, 0, 0, 80)) != 80 {
		t.Fatalf("got %d records, want 80", len(read))
	}
	for _, r := range read {
		if !bytes.Equal(r.Value, value) {
			t.Fatalf("offset %d: got %q", r.Offset, r.Value)
		}
	}
}

func TestEachBatchHasItsOwnResult(t *testing.T) {
	client := open(t, broker.Config{Brokers: kafkatest.Brokers(t)})
	topic := topicOn(t, client, 3)
	missing := kafkatest.Name("missing")
	p := producer(t, client, kafkatest.Name("transactional"), broker.NoProducer())
	batch := func(topic string, partition int32, sequence int32) broker.Batch {
		return broker.Batch{Topic: topic, Partition: partition, Bytes: records(p, sequence, 0, 2)}
	}
	got := client.Produce(t.Context(), []broker.Batch{
		batch(topic, 2, 0), batch(missing, 0, 0), batch(topic, 0, 0), batch(topic, 3, 0), batch(topic, 1, 4), batch(topic, 0, 2),
	})
	wantOffset(t, "partition 2", got[0], 0)
	wantCode(t, "missing topic", got[1].Err, broker.UnknownTopicOrPartition)
	wantOffset(t, "partition 0", got[2], 0)
	wantCode(t, "missing partition", got[3].Err, broker.UnknownTopicOrPartition)
	if got[5].Err == nil {
		t.Error("a second batch for partition 0 was accepted")
	}
	if end := scan(t, client, topic, 0, 0, 2); len(end) != 2 {
		t.Errorf("partition 0 has %d records, want 2", len(end))
	}
	_, err := client.Fetch(t.Context(), missing, 0, 0)
	wantCode(t, "fetch of a missing topic", err, broker.UnknownTopicOrPartition)
	if sentence := broker.Sentence(err); !strings.Contains(sentence, "topics create") {
		t.Errorf("sentence: got %q, want the command that creates topics", sentence)
	}
}

func TestTopics(t *testing.T) {
	client := open(t, broker.Config{Brokers: kafkatest.Brokers(t)})
	topic, missing := topicOn(t, client, 3, "cleanup.policy", "compact"), kafkatest.Name("missing")
	topics, err := client.Topics(t.Context(), []string{topic, missing})
	if err != nil || !topics[topic].Exists || topics[topic].Partitions != 3 || topics[missing].Exists {
		t.Fatalf("got %+v, %v", topics, err)
	}
	wantCode(t, "missing topic", topics[missing].Err, broker.UnknownTopicOrPartition)
	configs, err := client.TopicConfigs(t.Context(), []string{topic})
	if err != nil || configs[topic]["message.timestamp.type"] != "LogAppendTime" || configs[topic]["cleanup.policy"] != "compact" {
		t.Errorf("got %v, %v", configs, err)
	}
	_, err = client.TopicConfigs(t.Context(), []string{missing})
	wantCode(t, "settings of a missing topic", err, broker.UnknownTopicOrPartition)
	err = client.CreateTopics(t.Context(), []broker.TopicSpec{{Name: topic, Partitions: 3, ReplicationFactor: 1}})
	if err != nil {
		t.Errorf("create an existing topic: got %v", err)
	}
	err = client.CreateTopics(t.Context(), []broker.TopicSpec{{Name: kafkatest.Name("x"), Partitions: 1, ReplicationFactor: 9}})
	wantCode(t, "nine replicas", err, broker.InvalidReplicationFactor)
	if id, err := client.ClusterID(t.Context()); err != nil || id == "" {
		t.Errorf("cluster id: got %q, %v", id, err)
	}
	if got, err := client.Topics(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("no names: got %v, %v", got, err)
	}
}

func TestScanPassesWhatCompactionRemoved(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Topic("t", 1, map[string]string{
		"cleanup.policy": "compact", "retention.ms": "-1",
	}))
	client := open(t, broker.Config{Brokers: cluster.ListenAddrs()})
	first := broker.AppendBatch(nil, broker.RecordBatch{
		Producer: broker.NoProducer(), Sequence: -1, Time: time.Now(),
		Records: []broker.Record{{Key: []byte("another key"), Value: []byte("first")}},
	})
	wantOffset(t, "first", produce(t, client, "t", 0, first), 0)
	for i := range 9 {
		wantOffset(t, "batch", produce(t, client, "t", 0, records(broker.NoProducer(), -1, 2*i, 2)), int64(1+2*i))
	}
	cluster.Compact()
	if got := fmt.Sprint(scan(t, client, "t", 0, 0, 19)); got != "[first 15 16 17]" {
		t.Errorf("got %s, want the newest of each key, and the last batch, which is never cleaned", got)
	}
}

func TestOffsetsThatRetentionRemoved(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Topic("t", 1, nil))
	client := open(t, broker.Config{Brokers: cluster.ListenAddrs()})
	wantOffset(t, "batch", produce(t, client, "t", 0, records(broker.NoProducer(), -1, 0, 5)), 0)
	wantOffset(t, "batch", produce(t, client, "t", 0, records(broker.NoProducer(), -1, 5, 5)), 5)
	if err := cluster.DeleteRecords("t", 0, 5); err != nil {
		t.Fatal(err)
	}
	_, err := client.Fetch(t.Context(), "t", 0, 2)
	wantCode(t, "removed", err, broker.OffsetOutOfRange)
	start, end, err := client.Offsets(t.Context(), "t", 0)
	if start != 5 || end != 10 || err != nil {
		t.Fatalf("offsets: got %d to %d, %v; want 5 to 10", start, end, err)
	}
	if got, err := client.Fetch(t.Context(), "t", 0, start); err != nil || got.Start != 5 || got.Next != 10 {
		t.Errorf("from the start: got %+v, %v; want start 5, next 10", got, err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, err := kafkatest.New(kafkatest.Virtual(), kafkatest.Topic("t", 2, nil))
		if err != nil {
			t.Fatal(err)
		}
		client, err := broker.Open(broker.Config{Brokers: cluster.ListenAddrs(), Dial: cluster.Dial})
		if err != nil {
			t.Fatal(err)
		}
		got := client.Produce(t.Context(), []broker.Batch{
			{Topic: "t", Partition: 0, Bytes: records(broker.NoProducer(), -1, 0, 1)},
			{Topic: "t", Partition: 1, Bytes: records(broker.NoProducer(), -1, 0, 1)},
		})
		wantOffset(t, "partition 0", got[0], 0)
		wantOffset(t, "partition 1", got[1], 0)
		if n := len(cluster.ReadAll(t, "t")); n != 2 {
			t.Errorf("got %d records, want 2", n)
		}
		client.Close()
		if _, err := client.ClusterID(t.Context()); err == nil {
			t.Error("a closed client answered")
		}
		cluster.Close()
	})
}

func TestOpenRefusesBadBrokers(t *testing.T) {
	for _, brokers := range [][]string{nil, {""}, {"kafka"}, {"kafka:"}, {":9092"}, {"a:1,,b:2"}} {
		if client, err := broker.Open(broker.Config{Brokers: brokers}); err == nil {
			client.Close()
			t.Errorf("%q: got no error", brokers)
		}
	}
	client := open(t, broker.Config{Brokers: []string{"127.0.0.1:1, 127.0.0.1:2", "127.0.0.1:3"}})
	_, err := client.ClusterID(t.Context())
	if sentence := broker.Sentence(err); !strings.Contains(sentence, "Nothing listens") {
		t.Errorf("got %q for %v", sentence, err)
	}
}

func BenchmarkProduceOne(b *testing.B) {
	cluster := kafkatest.Start(b, kafkatest.Topic("t", 1, nil))
	client, err := broker.Open(broker.Config{Brokers: cluster.ListenAddrs()})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	batch := []broker.Batch{{Topic: "t", Bytes: records(broker.NoProducer(), -1, 0, 1)}}
	for b.Loop() {
		if got := client.Produce(b.Context(), batch)[0]; got.Err != nil {
			b.Fatal(got.Err)
		}
	}
}
