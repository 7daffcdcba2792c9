package event

import (
	"fmt"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// MaxSize is the most that the value of an event can take, in bytes: texts are
// capped when they are decoded. A topic must take records of this size.
const MaxSize = 16 << 10

// Record is an event in the form in which it is stored and published.
type Record struct {
	Kind       thread.Kind // zero: heartbeat
	EventID    string
	Key, Value []byte
}

// Encoder makes records of one account and generation. It is not safe for
// concurrent use: it reuses its buffers.
type Encoder struct {
	account    string
	generation uint32
	validator  protovalidate.Validator
	// snapshotsSeen is withoutSnapshots.
	snapshotsSeen []protovalidate.ValidationOption
}

// NewEncoder makes an encoder. It fails only if the contract's rules do not
// compile.
func NewEncoder(account string, generation uint32) (*Encoder, error) {
	validator, err := protovalidate.New(
		protovalidate.WithDisableLazy(),
		protovalidate.WithFailFast(),
		protovalidate.WithMessages(&threadcastv1.ThreadEvent{}),
	)
	if err != nil {
		return nil, fmt.Errorf("compile the rules of the contract: %w", err)
	}
	return &Encoder{account: account, generation: generation, validator: validator, snapshotsSeen: withoutSnapshots()}, nil
}

// Revision appends the records of a revision to dst, in the order of their kinds.
// An event that breaks the contract is an error, and nothing of it may be stored.
func (e *Encoder) Revision(dst []Record, before, after thread.Snapshot, change thread.Change, window thread.Window) ([]Record, error) {
	r := Revision{
		Account: e.account, Generation: e.generation, Before: before, After: after,
		Fields: change.Fields, Kinds: change.Kinds, Window: window,
	}
	key := Key(e.account, after.ID.String())
	m := r.envelope()
	var seen []protovalidate.ValidationOption
	for kind := range change.Kinds.All() {
		r.complete(m, kind)
		value, err := e.encode(m, seen...)
		if err != nil {
			return dst, fmt.Errorf("revision %d of thread %d: %w", after.Revision, after.ID, err)
		}
		dst = append(dst, Record{Kind: kind, EventID: m.EventId, Key: key, Value: value})
		seen = e.snapshotsSeen
	}
	return dst, nil
}

// withoutSnapshots leaves the insides of before and after out of a validation: the
// events of a revision share them, and the first one has proven them.
func withoutSnapshots() []protovalidate.ValidationOption {
	fields := (&threadcastv1.ThreadEvent{}).ProtoReflect().Descriptor().Fields()
	before, after := fields.ByName("before"), fields.ByName("after")
	return []protovalidate.ValidationOption{protovalidate.WithFilter(protovalidate.FilterFunc(
		func(_ protoreflect.Message, d protoreflect.Descriptor) bool { return d != before && d != after },
	))}
}

// Heartbeat is what an instance says of itself and of one partition.
type Heartbeat struct {
	StateID, InstanceID, Host string
	StartedAt                 time.Time
	ProducerID                int64
	Epoch                     int16
	Partition                 Partition
	Sequence                  int32 // of the record, as Kafka counts
	At                        time.Time

	// Barrier marks the first record of an epoch, which has none of these.
	Barrier   bool
	Watermark time.Time
	Events    uint64
	Held      uint32
}

// Heartbeat makes the record of a heartbeat or barrier.
func (e *Encoder) Heartbeat(h Heartbeat) (Record, error) {
	body := &threadcastv1.Heartbeat{
		StateId: h.StateID, InstanceId: h.InstanceID, Host: thread.CapText(h.Host), StartedAt: timestamppb.New(h.StartedAt),
		ProducerId: h.ProducerID, ProducerEpoch: int32(h.Epoch), Barrier: h.Barrier,
	}
	if !h.Barrier {
		body.Watermark, body.Events, body.Held = timestamppb.New(h.Watermark), proto.Uint64(h.Events), h.Held
	}
	m := &threadcastv1.ThreadEvent{
		EventId: fmt.Sprintf("%s.%d.hb.%d.%d.%s.%d.%d", e.account, e.generation, h.ProducerID, h.Epoch,
			h.Partition.Topic, h.Partition.Number, h.Sequence),
		AccountId: e.account, Generation: e.generation, Kind: threadcastv1.Kind_KIND_HEARTBEAT,
		ObservedAt: timestamppb.New(h.At),
		Body:       &threadcastv1.ThreadEvent_Heartbeat{Heartbeat: body},
	}
	value, err := e.encode(m)
	if err != nil {
		return Record{}, fmt.Errorf("heartbeat for %s/%d: %w", h.Partition.Topic, h.Partition.Number, err)
	}
	return Record{EventID: m.EventId, Key: Key(e.account, "0"), Value: value}, nil
}

func (e *Encoder) encode(m *threadcastv1.ThreadEvent, options ...protovalidate.ValidationOption) ([]byte, error) {
	if err := e.validator.Validate(m, options...); err != nil {
		return nil, fmt.Errorf("validate event %s: %w", m.EventId, err)
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("marshal event %s: %w", m.EventId, err)
	}
	if len(value) > MaxSize {
		return nil, fmt.Errorf("event %s has %d bytes, more than %d", m.EventId, len(value), MaxSize)
	}
	return value, nil
}

// Key is the record key of a thread: "account:thread"; thread "0" for heartbeats.
func Key(account, threadID string) []byte {
	key := make([]byte, 0, len(account)+1+len(threadID))
	key = append(key, account...)
	key = append(key, ':')
	return append(key, threadID...)
}

// Decode reads a record's value. Unknown fields are kept; an unknown body leaves
// Body nil.
func Decode(value []byte) (*threadcastv1.ThreadEvent, error) {
	m := &threadcastv1.ThreadEvent{}
	if err := proto.Unmarshal(value, m); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	if m.EventId == "" || m.AccountId == "" {
		return nil, fmt.Errorf("decode event: not a ThreadEvent: no event id or account id")
	}
	return m, nil
}

// AppendSnapshot appends the stored form of a snapshot.
func (e *Encoder) AppendSnapshot(dst []byte, s thread.Snapshot) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, ToSnapshot(e.account, e.generation, s))
}

// ParseSnapshot reads what AppendSnapshot wrote.
func ParseSnapshot(value []byte) (thread.Snapshot, error) {
	m := &threadcastv1.ThreadSnapshot{}
	if err := proto.Unmarshal(value, m); err != nil {
		return thread.Snapshot{}, fmt.Errorf("decode snapshot: %w", err)
	}
	return FromSnapshot(m)
}
