package publish

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
)

// simLog is Kafka as far as this package relies on it. Unlike the broker inside the
// process of other tests it keeps epochs for each partition: an older epoch is
// refused only where a newer one was seen.
type simLog struct {
	partitions map[event.Partition]*simPartition
	appends    int // of all partitions, as an order of time

	given     broker.Producer // the coordinator's
	previous  int16           // epoch that was current before a change that named it; -1: none
	forgotten bool            // the coordinator has forgotten the transactional id
	renamed   broker.Producer // who asked then

	weakBarrier bool // planted bug: a barrier fences nobody
}

type simPartition struct {
	records   []broker.FetchedRecord
	order     []int // of each record, when it was appended
	start     int64
	gone      int64 // offset of a record that compaction took; 0: none
	producers map[int64]*simProducer
}

type simProducer struct {
	epoch int16
	last  []simBatch // the newest five
}

type simBatch struct {
	producer    broker.Producer
	first, last int32
	offset      int64
	records     []broker.FetchedRecord
}

func newSimLog(partitions []event.Partition) *simLog {
	l := &simLog{partitions: map[event.Partition]*simPartition{}, given: broker.Producer{ID: 100, Epoch: -1}, previous: -1}
	for _, p := range partitions {
		l.partitions[p] = &simPartition{producers: map[int64]*simProducer{}}
	}
	return l
}

// initProducer answers as the coordinator of a transactional id.
func (l *simLog) initProducer(current broker.Producer) (broker.Producer, error) {
	switch {
	case l.forgotten:
		l.forgotten, l.previous, l.renamed = false, -1, current
		l.given = broker.Producer{ID: l.given.ID + 1, Epoch: 0}
	case current == broker.NoProducer():
		l.given.Epoch++
		l.previous = -1
	case current == l.given:
		l.previous = current.Epoch
		l.given.Epoch++
	case current.ID == l.given.ID && current.Epoch == l.previous: // a repetition
	case current == l.renamed && l.given.Epoch == 0: // kinder than Kafka, which fences here
	default:
		return broker.NoProducer(), broker.ProducerFenced
	}
	return l.given, nil
}

func (l *simLog) append(at event.Partition, bytes []byte) (int64, error) {
	p, b := l.partitions[at], parseBatch(bytes)
	known := p.producers[b.producer.ID]
	if known == nil { // a broker takes any sequence of a producer that it does not know
		known = &simProducer{epoch: b.producer.Epoch}
		p.producers[b.producer.ID] = known
	} else if code := known.check(b, l.weakBarrier); code != nil {
		return -1, code
	}
	for _, old := range known.last {
		if old.producer == b.producer && old.first == b.first && old.last == b.last {
			return old.offset, nil
		}
	}
	b.offset = int64(len(p.records))
	if !l.weakBarrier || !isBarrier(b) {
		if b.producer.Epoch > known.epoch {
			known.last = nil
		}
		known.epoch = b.producer.Epoch
		known.last = append(known.last, b)
		known.last = known.last[max(0, len(known.last)-5):]
	}
	for i, r := range b.records {
		r.Offset, r.Producer = b.offset+int64(i), b.producer
		p.records = append(p.records, r)
		l.appends++
		p.order = append(p.order, l.appends)
	}
	return b.offset, nil
}

func isBarrier(b simBatch) bool {
	if !isHeartbeat(b.records[0]) {
		return false
	}
	e, err := event.Decode(b.records[0].Value)
	return err == nil && e.GetHeartbeat().GetBarrier()
}

func isHeartbeat(r broker.FetchedRecord) bool { return bytes.HasSuffix(r.Key, []byte(":0")) }

// idOf reads the event id from the headers, as a reader may who decodes nothing.
func idOf(r broker.FetchedRecord) string {
	for _, h := range r.Headers {
		if h.Key == "ce_id" {
			return string(h.Value)
		}
	}
	return ""
}

// check is nil for a batch that is next, and for a repetition.
func (known *simProducer) check(b simBatch, weak bool) error {
	if b.producer.Epoch < known.epoch {
		return broker.InvalidProducerEpoch
	}
	if b.producer.Epoch > known.epoch || len(known.last) == 0 {
		if b.first == 0 || weak && b.first == 1 {
			return nil
		}
		return broker.OutOfOrderSequence
	}
	for _, old := range known.last {
		if old.first == b.first && old.last == b.last {
			return nil
		}
	}
	if b.first != broker.NextSequence(known.last[len(known.last)-1].last, 1) {
		return broker.OutOfOrderSequence
	}
	return nil
}

// fetch gives at most a few records, so that scans have several steps.
func (l *simLog) fetch(at event.Partition, offset int64) (broker.Fetched, error) {
	const most = 5
	p := l.partitions[at]
	if offset == LogStart {
		offset = p.start
	}
	end := int64(len(p.records))
	if offset < p.start || offset > end {
		return broker.Fetched{}, broker.OffsetOutOfRange
	}
	records := p.records[offset:min(offset+most, end)]
	next := offset + int64(len(records))
	if p.gone > 0 {
		records = slices.DeleteFunc(slices.Clone(records), func(r broker.FetchedRecord) bool { return r.Offset == p.gone })
	}
	return broker.Fetched{Records: records, Next: next, Start: p.start}, nil
}

// parseBatch reads a batch without compression. (Kafka's record batch, format 2.)
func parseBatch(b []byte) simBatch {
	big := binary.BigEndian
	batch := simBatch{
		producer: broker.Producer{ID: int64(big.Uint64(b[43:])), Epoch: int16(big.Uint16(b[51:]))},
		first:    int32(big.Uint32(b[53:])),
	}
	n := int(big.Uint32(b[57:]))
	batch.last = broker.NextSequence(batch.first, n-1)
	in := simReader(b[61:])
	for range n {
		in.varint()
		in.take(2)
		in.varint()
		record := broker.FetchedRecord{Key: in.bytes(), Value: in.bytes()}
		for range in.varint() {
			record.Headers = append(record.Headers, broker.Header{Key: string(in.bytes()), Value: in.bytes()})
		}
		batch.records = append(batch.records, record)
	}
	if len(in) != 0 {
		panic(errors.New("batch is longer than its records"))
	}
	return batch
}

type simReader []byte

func (r *simReader) varint() int64 {
	n, size := binary.Varint(*r)
	*r = (*r)[size:]
	return n
}

func (r *simReader) take(n int64) []byte {
	if n < 0 {
		return nil
	}
	b := (*r)[:n:n]
	*r = (*r)[n:]
	return b
}

func (r *simReader) bytes() []byte { return r.take(r.varint()) }
