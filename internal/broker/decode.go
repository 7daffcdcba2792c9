package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go/compress"
)

// largestBatch bounds a batch once it is unpacked: 16 MiB would hold a thousand
// of our largest events, others may write larger ones.
const largestBatch = 128 << 20

// cursor reads big-endian numbers and pieces from bytes; what goes past the end
// is zero and sets short.
type cursor struct {
	rest  []byte
	short bool
}

func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > len(c.rest) {
		c.rest, c.short = nil, true
		return nil
	}
	piece := c.rest[:n:n]
	c.rest = c.rest[n:]
	return piece
}

func (c *cursor) int16() int16 {
	if b := c.bytes(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) int32() int32 {
	if b := c.bytes(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (c *cursor) int64() int64 {
	if b := c.bytes(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (c *cursor) varint() int64 {
	n, size := binary.Varint(c.rest)
	if size <= 0 {
		c.rest, c.short = nil, true
		return 0
	}
	c.rest = c.rest[size:]
	return n
}

// text is bytes after their length, -1 for null.
func (c *cursor) text() []byte {
	n := c.varint()
	if n == -1 && !c.short {
		return nil
	}
	if n < 0 || n > int64(len(c.rest)) {
		c.rest, c.short = nil, true
		return nil
	}
	return c.bytes(int(n))
}

// batchHeader is what a batch says about all its records.
type batchHeader struct {
	base       int64
	next       int64 // the offset after the batch, even if its records are gone
	attributes int16
	baseTime   int64
	maxTime    int64
	producer   Producer
	count      int32
}

// decodeBatches adds the records of whole batches to out and moves its Next
// behind them. A broker may cut the last batch off: that one is left for the next
// fetch. Records before offset are dropped, as a batch is sent whole.
func decodeBatches(batches []byte, offset int64, out *Fetched) error {
	for whole := true; len(batches) >= batchHeaderSize; {
		var batch []byte
		if batch, batches, whole = cutBatch(batches); !whole {
			return nil
		}
		header, err := readHeader(batch)
		if err != nil {
			return fmt.Errorf("batch at offset %d: %w", int64(binary.BigEndian.Uint64(batch)), err)
		}
		if header.attributes&controlBatch == 0 {
			if out.Records, err = decodeRecords(out.Records, header, batch, offset); err != nil {
				return fmt.Errorf("batch at offset %d: %w", header.base, err)
			}
		}
		out.Next = max(out.Next, header.next)
	}
	return nil
}

// cutBatch takes the first batch off; not whole if its end is missing.
func cutBatch(batches []byte) (batch, rest []byte, whole bool) {
	size := int64(binary.BigEndian.Uint32(batches[atLength:])) + atLeaderEpoch
	if size > int64(len(batches)) {
		return nil, batches, false
	}
	return batches[:size:size], batches[size:], true
}

func readHeader(batch []byte) (batchHeader, error) {
	if len(batch) < batchHeaderSize || batch[atMagic] != batchMagic {
		// Formats 0 and 1 are those of brokers before 0.11.
		return batchHeader{}, fmt.Errorf("not of record format %d", batchMagic)
	}
	big := binary.BigEndian
	if stored, computed := big.Uint32(batch[atChecksum:]), checksum(batch); stored != computed {
		return batchHeader{}, fmt.Errorf("checksum is %08x, computed %08x", stored, computed)
	}
	base, last := int64(big.Uint64(batch)), int32(big.Uint32(batch[atLastOffsetDelta:]))
	if last < 0 {
		return batchHeader{}, fmt.Errorf("its last offset delta is %d", last)
	}
	return batchHeader{
		base:       base,
		next:       base + int64(last) + 1,
		attributes: int16(big.Uint16(batch[atAttributes:])),
		baseTime:   int64(big.Uint64(batch[atBaseTimestamp:])),
		maxTime:    int64(big.Uint64(batch[atMaxTimestamp:])),
		producer: Producer{
			ID:    int64(big.Uint64(batch[atProducerID:])),
			Epoch: int16(big.Uint16(batch[atProducerEpoch:])),
		},
		count: int32(big.Uint32(batch[atCount:])),
	}, nil
}

func decodeRecords(records []FetchedRecord, header batchHeader, batch []byte, from int64) ([]FetchedRecord, error) {
	body, err := unpack(batch[batchHeaderSize:], compress.Compression(header.attributes&codecMask))
	if err != nil {
		return records, err
	}
	in := &cursor{rest: body}
	for i := range header.count {
		record, err := decodeRecord(in, header)
		if err != nil {
			return records, fmt.Errorf("record %d of %d: %w", i, header.count, err)
		}
		if record.Offset >= from {
			records = append(records, record)
		}
	}
	return records, nil
}

func unpack(body []byte, compression compress.Compression) ([]byte, error) {
	if compression == compress.None {
		return body, nil
	}
	codec := compression.Codec()
	if codec == nil {
		return nil, fmt.Errorf("unknown compression %d", compression)
	}
	reader := codec.NewReader(bytes.NewReader(body))
	defer reader.Close()
	unpacked, err := io.ReadAll(io.LimitReader(reader, largestBatch+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("unpack %s: %w", codec.Name(), err)
	case len(unpacked) > largestBatch:
		return nil, fmt.Errorf("more than %d bytes unpacked", largestBatch)
	}
	return unpacked, nil
}

func decodeRecord(in *cursor, header batchHeader) (FetchedRecord, error) {
	size := in.varint()
	if size < 0 || size > int64(len(in.rest)) {
		return FetchedRecord{}, errShort
	}
	in = &cursor{rest: in.bytes(int(size))}
	in.bytes(1) // attributes: none are defined
	timestamp := header.baseTime + in.varint()
	if header.attributes&logAppendTime != 0 {
		timestamp = header.maxTime
	}
	record := FetchedRecord{
		Offset:   header.base + in.varint(),
		Key:      in.text(),
		Value:    in.text(),
		Headers:  decodeHeaders(in),
		Producer: header.producer,
		Time:     time.UnixMilli(timestamp),
	}
	if in.short {
		return FetchedRecord{}, errShort
	}
	return record, nil
}

func decodeHeaders(in *cursor) []Header {
	count := in.varint()
	if count <= 0 || count > int64(len(in.rest)) { // each takes two bytes at least
		in.short = in.short || count != 0
		return nil
	}
	headers := make([]Header, 0, count)
	for range count {
		headers = append(headers, Header{Key: string(in.text()), Value: in.text()})
	}
	return headers
}
