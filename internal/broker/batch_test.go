package broker

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var codecs = map[string]Codec{"none": None, "snappy": Snappy, "lz4": LZ4, "zstd": Zstd}

func randomBytes(random *rand.Rand, limit int) []byte {
	if random.IntN(8) == 0 {
		return nil
	}
	b := make([]byte, random.IntN(limit))
	for i := range b {
		b[i] = byte('a' + random.IntN(4))
	}
	return b
}

func randomBatch(random *rand.Rand, codec Codec) RecordBatch {
	batch := RecordBatch{
		Producer: Producer{ID: random.Int64(), Epoch: int16(random.IntN(math.MaxInt16))},
		Sequence: random.Int32(),
		Time:     time.UnixMilli(1_700_000_000_000 + random.Int64N(1e9)),
		Codec:    codec,
	}
	for range 1 + random.IntN(200) {
		record := Record{Key: randomBytes(random, 40), Value: randomBytes(random, 400)}
		for range random.IntN(4) {
			record.Headers = append(record.Headers, Header{Key: strconv.Itoa(random.IntN(1000)), Value: randomBytes(random, 20)})
		}
		batch.Records = append(batch.Records, record)
	}
	return batch
}

// asFetched is what a reader must see of a batch at a base offset.
func asFetched(b RecordBatch, base int64) []FetchedRecord {
	records := make([]FetchedRecord, len(b.Records))
	for i, r := range b.Records {
		records[i] = FetchedRecord{
			Offset: base + int64(i), Key: r.Key, Value: r.Value, Headers: r.Headers,
			Producer: b.Producer, Time: b.Time,
		}
	}
	return records
}

func forEachCodec(t *testing.T, law func(t *testing.T, batch RecordBatch)) {
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				random := rand.New(rand.NewPCG(seed, uint64(codec)))
				law(t, randomBatch(random, codec))
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func TestDecodedBatchIsTheEncodedOne(t *testing.T) {
	forEachCodec(t, func(t *testing.T, batch RecordBatch) {
		var got Fetched
		if err := decodeBatches(AppendBatch(nil, batch), 0, &got); err != nil {
			t.Fatal(err)
		}
		if want := asFetched(batch, 0); !reflect.DeepEqual(got.Records, want) {
			t.Errorf("records: got %v, want %v", got.Records, want)
		}
		if want := int64(len(batch.Records)); got.Next != want {
			t.Errorf("next offset: got %d, want %d", got.Next, want)
		}
	})
}

func TestEncodingIsDeterministicAndAppends(t *testing.T) {
	forEachCodec(t, func(t *testing.T, batch RecordBatch) {
		first := AppendBatch(nil, batch)
		second := AppendBatch([]byte("before"), batch)
		if !bytes.Equal(second, append([]byte("before"), first...)) {
			t.Error("the same batch gave other bytes behind a prefix")
		}
	})
}

func TestKafkaGoReadsTheBatch(t *testing.T) {
	forEachCodec(t, func(t *testing.T, batch RecordBatch) {
		var set protocol.RecordSet
		if _, err := set.ReadFrom(sized(AppendBatch(nil, batch))); err != nil {
			t.Fatal(err)
		}
		for i, want := range batch.Records {
			got, err := set.Records.ReadRecord()
			if err != nil {
				t.Fatalf("record %d: %v", i, err)
			}
			if !bytes.Equal(readAll(got.Key), want.Key) || !bytes.Equal(readAll(got.Value), want.Value) ||
				got.Offset != int64(i) || !got.Time.Equal(batch.Time) || len(got.Headers) != len(want.Headers) {
				t.Fatalf("record %d: got %+v, want %+v", i, got, want)
			}
		}
		if _, err := set.Records.ReadRecord(); err != io.EOF {
			t.Errorf("after the last record: got %v, want EOF", err)
		}
	})
}

func readAll(b protocol.Bytes) []byte {
	all, _ := protocol.ReadAll(b)
	return all
}

func TestFranzGoReadsTheBatch(t *testing.T) {
	forEachCodec(t, func(t *testing.T, batch RecordBatch) {
		encoded := AppendBatch(nil, batch)
		header := kmsg.NewRecordBatch()
		if err := header.ReadFrom(encoded); err != nil {
			t.Fatal(err)
		}
		if header.ProducerID != batch.Producer.ID || header.ProducerEpoch != batch.Producer.Epoch ||
			header.FirstSequence != batch.Sequence || header.NumRecords != int32(len(batch.Records)) {
			t.Errorf("header: got %+v, want %+v", header, batch)
		}
		part := kmsg.NewFetchResponseTopicPartition()
		part.RecordBatches = encoded
		part.HighWatermark = int64(len(batch.Records))
		processed, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{}, &part, kgo.DefaultDecompressor(), nil)
		if processed.Err != nil || len(processed.Records) != len(batch.Records) {
			t.Fatalf("records: got %d and %v, want %d", len(processed.Records), processed.Err, len(batch.Records))
		}
		for i, want := range batch.Records {
			got := processed.Records[i]
			if !bytes.Equal(got.Key, want.Key) || !bytes.Equal(got.Value, want.Value) ||
				(got.Value == nil) != (want.Value == nil) || !got.Timestamp.Equal(batch.Time) {
				t.Fatalf("record %d: got %+v, want %+v", i, got, want)
			}
			for j, header := range want.Headers {
				if got.Headers[j].Key != header.Key || !bytes.Equal(got.Headers[j].Value, header.Value) {
					t.Fatalf("record %d, header %d: got %v, want %v", i, j, got.Headers[j], header)
				}
			}
		}
	})
}

// kafkaGoBatch is the batch as kafka-go writes it, which knows no producer.
func kafkaGoBatch(w io.Writer, batch RecordBatch) error {
	records := make([]protocol.Record, len(batch.Records))
	for i, r := range batch.Records {
		records[i] = protocol.Record{Time: batch.Time, Key: protocol.NewBytes(r.Key), Value: protocol.NewBytes(r.Value)}
		for _, h := range r.Headers {
			records[i].Headers = append(records[i].Headers, protocol.Header(h))
		}
	}
	set := protocol.RecordSet{Version: 2, Attributes: protocol.Attributes(batch.Codec), Records: protocol.NewRecordReader(records...)}
	_, err := set.WriteTo(w)
	return err
}

func TestBytesAreThoseOfKafkaGo(t *testing.T) {
	for seed := range uint64(60) {
		batch := randomBatch(rand.New(rand.NewPCG(seed, 9)), None)
		batch.Producer, batch.Sequence = NoProducer(), -1
		var want bytes.Buffer
		if err := kafkaGoBatch(&want, batch); err != nil {
			t.Fatal(err)
		}
		if got := AppendBatch(nil, batch); !bytes.Equal(got, want.Bytes()[4:]) {
			t.Fatalf("seed %d: got\n%x, want\n%x", seed, got, want.Bytes()[4:])
		}
	}
}

func TestDecodingStartsAndEndsWhereItShould(t *testing.T) {
	batch := randomBatch(rand.New(rand.NewPCG(7, 7)), None)
	batch.Records = append(batch.Records, batch.Records...)
	n := int64(len(batch.Records))
	one := AppendBatch(nil, batch)
	at := func(base int64) []byte {
		moved := bytes.Clone(one)
		binary.BigEndian.PutUint64(moved, uint64(base))
		return moved
	}
	two := append(at(100), at(100+n)...)

	t.Run("in the middle of a batch", func(t *testing.T) {
		got := Fetched{Next: 101}
		if err := decodeBatches(two, 101, &got); err != nil || got.Records[0].Offset != 101 || got.Next != 100+2*n {
			t.Errorf("got first %d, next %d, %v; want 101, %d", got.Records[0].Offset, got.Next, err, 100+2*n)
		}
	})
	t.Run("the last batch cut off", func(t *testing.T) {
		for cut := len(one); cut < len(two); cut += 97 {
			got := Fetched{Next: 100}
			if err := decodeBatches(two[:cut], 100, &got); err != nil || got.Next != 100+n {
				t.Fatalf("cut at %d: got next %d, %v; want %d", cut, got.Next, err, 100+n)
			}
		}
	})
	t.Run("emptied by the cleaner", func(t *testing.T) {
		empty := at(100)[:batchHeaderSize]
		binary.BigEndian.PutUint32(empty[atLength:], batchHeaderSize-atLeaderEpoch)
		binary.BigEndian.PutUint32(empty[atCount:], 0)
		binary.BigEndian.PutUint32(empty[atChecksum:], checksum(empty))
		got := Fetched{Next: 100}
		if err := decodeBatches(empty, 100, &got); err != nil || len(got.Records) != 0 || got.Next != 100+n {
			t.Errorf("got %d records, next %d, %v; want none, %d", len(got.Records), got.Next, err, 100+n)
		}
	})
	t.Run("a flipped bit", func(t *testing.T) {
		broken := at(100)
		broken[len(broken)/2] ^= 4
		if err := decodeBatches(broken, 100, &Fetched{}); err == nil {
			t.Error("got no error")
		}
	})
	t.Run("the broker's time", func(t *testing.T) {
		stamped, now := at(100), time.UnixMilli(1_800_000_000_123)
		stamped[atAttributes+1] |= logAppendTime
		binary.BigEndian.PutUint64(stamped[atMaxTimestamp:], uint64(now.UnixMilli()))
		binary.BigEndian.PutUint32(stamped[atChecksum:], checksum(stamped))
		var got Fetched
		if err := decodeBatches(stamped, 100, &got); err != nil || !got.Records[1].Time.Equal(now) {
			t.Errorf("got %v, %v; want %v", got.Records[1].Time, err, now)
		}
	})
	t.Run("a control batch", func(t *testing.T) {
		control := at(100)
		control[atAttributes+1] |= controlBatch
		binary.BigEndian.PutUint32(control[atChecksum:], checksum(control))
		got := Fetched{Next: 100}
		if err := decodeBatches(control, 100, &got); err != nil || len(got.Records) != 0 || got.Next != 100+n {
			t.Errorf("got %d records, next %d, %v; want none, %d", len(got.Records), got.Next, err, 100+n)
		}
	})
}

func FuzzDecodeBatches(f *testing.F) {
	for name := range codecs {
		f.Add(AppendBatch(nil, randomBatch(rand.New(rand.NewPCG(1, 2)), codecs[name])))
	}
	f.Fuzz(func(t *testing.T, batches []byte) {
		if len(batches) >= batchHeaderSize { // let it past the checksum
			binary.BigEndian.PutUint32(batches[atLength:], uint32(len(batches)-atLeaderEpoch))
			binary.BigEndian.PutUint32(batches[atChecksum:], checksum(batches))
		}
		got := Fetched{Next: 5}
		_ = decodeBatches(batches, 5, &got)
		if got.Next < 5 {
			t.Errorf("next offset went back to %d", got.Next)
		}
		_, _ = parseFetch(&cursor{rest: batches}, 1, 11)
	})
}

func TestNextSequence(t *testing.T) {
	for _, c := range []struct{ from, n, want int32 }{
		{0, 1, 1}, {5, 7, 12}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 3, 1}, {math.MaxInt32, 0, math.MaxInt32},
	} {
		if got := NextSequence(c.from, int(c.n)); got != c.want {
			t.Errorf("%d + %d: got %d, want %d", c.from, c.n, got, c.want)
		}
	}
}

func TestAppendBatchAllocatesNothing(t *testing.T) {
	batch := randomBatch(rand.New(rand.NewPCG(1, 1)), None)
	dst := AppendBatch(nil, batch)
	if n := testing.AllocsPerRun(100, func() { dst = AppendBatch(dst[:0], batch) }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

func benchmarkBatch() RecordBatch {
	batch := RecordBatch{Producer: Producer{ID: 1, Epoch: 1}, Time: time.UnixMilli(1_700_000_000_000)}
	for i := range 500 {
		batch.Records = append(batch.Records, Record{
			Key:   []byte("12345:" + strconv.Itoa(i)),
			Value: bytes.Repeat([]byte("snapshot of a thread "), 20),
			Headers: []Header{
				{"ce_id", []byte("12345.1.987654.3.2")}, {"ce_type", []byte("threadcast.v1.StatusChanged")},
				{"ce_source", []byte("/hubspot/12345")}, {"content-type", []byte("application/protobuf")},
			},
		})
	}
	return batch
}

func BenchmarkEncode(b *testing.B) {
	batch := benchmarkBatch()
	for _, name := range []string{"none", "snappy", "lz4", "zstd"} {
		batch.Codec = codecs[name]
		b.Run("own/"+name, func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendBatch(dst[:0], batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Records)), "ns/record")
		})
		b.Run("kafka-go/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := kafkaGoBatch(io.Discard, batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Records)), "ns/record")
		})
	}
}
