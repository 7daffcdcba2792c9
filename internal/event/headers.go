package event

import (
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// Header is a header of a Kafka record.
type Header struct {
	Key   string
	Value []byte
}

// typeNames are the ce_type values; the names of the bodies.
var typeNames = map[threadcastv1.Kind]string{
	threadcastv1.Kind_KIND_LIFECYCLE:  "threadcast.v1.LifecycleChanged",
	threadcastv1.Kind_KIND_STATUS:     "threadcast.v1.StatusChanged",
	threadcastv1.Kind_KIND_ASSIGNMENT: "threadcast.v1.AssignmentChanged",
	threadcastv1.Kind_KIND_CLOSURE:    "threadcast.v1.ClosureChanged",
	threadcastv1.Kind_KIND_ACTIVITY:   "threadcast.v1.ActivityChanged",
	threadcastv1.Kind_KIND_HEARTBEAT:  "threadcast.v1.Heartbeat",
}

// Headers are the CloudEvents 1.0 headers (Kafka protocol binding, binary mode) of
// a record, as a function of its value alone.
func Headers(value []byte) ([]Header, error) {
	e, err := scanEnvelope(value)
	if err != nil {
		return nil, err
	}
	name, ok := typeNames[e.kind]
	if !ok {
		return nil, fmt.Errorf("headers of event %s: unknown kind %d", e.eventID, e.kind)
	}
	at := e.occurred
	if at.IsZero() {
		at = e.observed
	}
	headers := make([]Header, 0, 8)
	headers = append(headers,
		Header{"ce_specversion", []byte("1.0")},
		Header{"ce_id", e.eventID},
		Header{"ce_type", []byte(name)},
		Header{"ce_source", append([]byte("/hubspot/"), e.account...)},
	)
	if e.kind != threadcastv1.Kind_KIND_HEARTBEAT {
		headers = append(headers,
			Header{"ce_subject", e.thread},
			Header{"ce_sequence", sequence(e.revision)})
	}
	return append(headers,
		Header{"ce_time", at.AppendFormat(nil, "2006-01-02T15:04:05.000Z")},
		Header{"content-type", []byte("application/protobuf")},
	), nil
}

// sequence pads the revision, so that it sorts as text.
func sequence(revision uint64) []byte {
	digits := strconv.AppendUint(nil, revision, 10)
	padded := []byte("00000000000000000000")
	copy(padded[len(padded)-len(digits):], digits)
	return padded
}

// envelope is the part of an event that headers need.
type envelope struct {
	eventID, account, thread []byte
	revision                 uint64
	kind                     threadcastv1.Kind
	occurred, observed       time.Time
}

// scanEnvelope reads the top-level fields without decoding the snapshots, which
// are most of an event.
func scanEnvelope(value []byte) (envelope, error) {
	var e envelope
	for len(value) > 0 {
		number, wire, n := protowire.ConsumeTag(value)
		if n < 0 {
			return e, fmt.Errorf("read event: %w", protowire.ParseError(n))
		}
		value = value[n:]
		size := protowire.ConsumeFieldValue(number, wire, value)
		if size < 0 {
			return e, fmt.Errorf("read event: %w", protowire.ParseError(size))
		}
		e.take(number, wire, value[:size])
		value = value[size:]
	}
	if len(e.eventID) == 0 {
		return e, fmt.Errorf("read event: no event id")
	}
	return e, nil
}

func (e *envelope) take(number protowire.Number, wire protowire.Type, field []byte) {
	switch wire {
	case protowire.VarintType:
		n, _ := protowire.ConsumeVarint(field)
		switch number {
		case 5:
			e.revision = n
		case 6:
			e.kind = threadcastv1.Kind(n)
		}
	case protowire.BytesType:
		bytes, _ := protowire.ConsumeBytes(field)
		switch number {
		case 1:
			e.eventID = bytes
		case 2:
			e.account = bytes
		case 4:
			e.thread = bytes
		case 12:
			e.occurred = scanTime(bytes)
		case 14:
			e.observed = scanTime(bytes)
		}
	}
}

func scanTime(value []byte) time.Time {
	var seconds, nanos int64
	for len(value) > 0 {
		number, _, n := protowire.ConsumeTag(value)
		if n < 0 {
			break
		}
		v, size := protowire.ConsumeVarint(value[n:])
		if size < 0 {
			break
		}
		switch number {
		case 1:
			seconds = int64(v)
		case 2:
			nanos = int64(v)
		}
		value = value[n+size:]
	}
	return time.Unix(seconds, nanos).UTC()
}
