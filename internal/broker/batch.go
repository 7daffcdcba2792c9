package broker

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
	"time"

	"github.com/segmentio/kafka-go/compress"
)

// Codec is how the records of a batch are compressed; the numbers are Kafka's.
type Codec int8

// The codecs that AppendBatch writes.
const (
	None   Codec = 0
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

// Header is a record header.
type Header struct {
	Key   string
	Value []byte
}

// Record is what a batch holds. A nil Key or Value is Kafka's null, an empty
// one is not.
type Record struct {
	Key, Value []byte
	Headers    []Header
}

// RecordBatch is what one partition gets in one piece: all of it is appended or
// nothing. It has at least one record.
type RecordBatch struct {
	Producer Producer  // NoProducer: without idempotence
	Sequence int32     // of the first record; see NextSequence
	Time     time.Time // of every record, in milliseconds; a topic with LogAppendTime replaces it
	Codec    Codec
	Records  []Record
}

// NextSequence is the sequence after a batch of n records: 2147483647 is
// followed by 0.
func NextSequence(sequence int32, n int) int32 {
	return int32((int64(sequence) + int64(n)) & 0x7fffffff)
}

// Where the fields of a record batch of format 2 are (Kafka's DefaultRecordBatch).
const (
	atBaseOffset      = 0
	atLength          = 8
	atLeaderEpoch     = 12
	atMagic           = 16
	atChecksum        = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57
	batchHeaderSize   = 61

	batchMagic = 2
)

// Attributes of a batch.
const (
	codecMask     = 0x07
	logAppendTime = 0x08
	controlBatch  = 0x20
)

// AppendBatch appends a record batch of format 2 to dst, ready for Batch.Bytes.
// It allocates only to grow dst (a codec has its own buffers). The same batch
// gives the same bytes, which is what makes a repetition recognisable; the
// compressors are deterministic too, but whoever repeats should keep the bytes.
// Without records it returns dst as it was.
func AppendBatch(dst []byte, b RecordBatch) []byte {
	if len(b.Records) == 0 {
		return dst
	}
	start := len(dst)
	var header [batchHeaderSize]byte
	dst = append(dst, header[:]...)
	for i := range b.Records {
		dst = appendRecord(dst, i, &b.Records[i])
	}
	dst, codec := compressFrom(dst, start+batchHeaderSize, b.Codec)
	putBatchHeader(dst[start:], b, codec)
	return dst
}

func putBatchHeader(batch []byte, b RecordBatch, codec Codec) {
	time := uint64(b.Time.UnixMilli())
	big := binary.BigEndian
	big.PutUint32(batch[atLength:], uint32(len(batch)-atLeaderEpoch))
	big.PutUint32(batch[atLeaderEpoch:], 0xffffffff) // the broker sets it
	batch[atMagic] = batchMagic
	big.PutUint16(batch[atAttributes:], uint16(codec))
	big.PutUint32(batch[atLastOffsetDelta:], uint32(len(b.Records)-1))
	big.PutUint64(batch[atBaseTimestamp:], time)
	big.PutUint64(batch[atMaxTimestamp:], time)
	big.PutUint64(batch[atProducerID:], uint64(b.Producer.ID))
	big.PutUint16(batch[atProducerEpoch:], uint16(b.Producer.Epoch))
	big.PutUint32(batch[atBaseSequence:], uint32(b.Sequence))
	big.PutUint32(batch[atCount:], uint32(len(b.Records)))
	big.PutUint32(batch[atChecksum:], checksum(batch))
}

// checksum is the CRC-32C of a batch, from its attributes to its end.
func checksum(batch []byte) uint32 {
	return crc32.Checksum(batch[atAttributes:], crc32.MakeTable(crc32.Castagnoli))
}

func appendRecord(dst []byte, index int, r *Record) []byte {
	dst = binary.AppendVarint(dst, int64(recordSize(index, r)))
	dst = append(dst, 0, 0) // attributes: none are defined; timestamp delta: one time a batch
	dst = binary.AppendVarint(dst, int64(index))
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	dst = binary.AppendVarint(dst, int64(len(r.Headers)))
	for i := range r.Headers {
		dst = binary.AppendVarint(dst, int64(len(r.Headers[i].Key)))
		dst = append(dst, r.Headers[i].Key...)
		dst = appendBytes(dst, r.Headers[i].Value)
	}
	return dst
}

func recordSize(index int, r *Record) int {
	size := 2 + varintSize(index) + bytesSize(r.Key) + bytesSize(r.Value) + varintSize(len(r.Headers))
	for i := range r.Headers {
		key := len(r.Headers[i].Key)
		size += varintSize(key) + key + bytesSize(r.Headers[i].Value)
	}
	return size
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // -1, zigzag
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(len(b)) + len(b)
}

// varintSize is the length of a number that is not negative, zigzag.
func varintSize(n int) int {
	return (bits.Len64(uint64(n)<<1|1) + 6) / 7
}

// compressFrom replaces dst[from:] by its compressed form and says which codec
// it has now: a codec that is unknown or refuses leaves the records as they are.
func compressFrom(dst []byte, from int, codec Codec) ([]byte, Codec) {
	implementation := compress.Compression(codec).Codec()
	if implementation == nil {
		return dst, None
	}
	end := len(dst)
	sink := &appender{dst}
	writer := implementation.NewWriter(sink)
	_, err := writer.Write(dst[from:end])
	if closed := writer.Close(); err != nil || closed != nil {
		return dst, None
	}
	size := copy(sink.bytes[from:], sink.bytes[end:])
	return sink.bytes[:from+size], codec
}

type appender struct{ bytes []byte }

var _ io.Writer = (*appender)(nil)

func (a *appender) Write(b []byte) (int, error) {
	a.bytes = append(a.bytes, b...)
	return len(b), nil
}
