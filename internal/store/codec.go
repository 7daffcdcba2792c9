package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/thread"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const sumSize = 4

// seal ends a value with the checksum over its key and itself.
func seal(key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, checksum(key, value))
}

// open checks and removes the checksum.
func open(key, sealed []byte) ([]byte, error) {
	if len(sealed) < sumSize {
		return nil, errChecksum
	}
	value := sealed[:len(sealed)-sumSize]
	if checksum(key, value) != binary.BigEndian.Uint32(sealed[len(value):]) {
		return nil, errChecksum
	}
	return value, nil
}

var (
	errChecksum = errors.New("checksum does not match")
	errLost     = errors.New("is there, but cannot be found")
)

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

func sealJSON(key []byte, v any) ([]byte, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return seal(key, value), nil
}

func openJSON(key, sealed []byte, v any) error {
	value, err := open(key, sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(value, v)
}

// place is a partition by the number that the file gives its topic.
type place struct {
	topic     uint16
	partition int32
}

const placeSize = 6

func appendPlace(dst []byte, p place) []byte {
	dst = binary.BigEndian.AppendUint16(dst, p.topic)
	return binary.BigEndian.AppendUint32(dst, uint32(p.partition))
}

func readPlace(b []byte) place {
	return place{binary.BigEndian.Uint16(b), int32(binary.BigEndian.Uint32(b[2:]))}
}

func threadKey(id thread.ID) []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }

func placeKey(p place) []byte { return appendPlace(make([]byte, 0, placeSize), p) }

func entryKey(p place, number uint64) []byte {
	return binary.BigEndian.AppendUint64(appendPlace(make([]byte, 0, placeSize+8), p), number)
}

// threadRecord is the value of a thread: a fixed header, so that the array in
// memory is filled without decoding snapshots, the partitions that its last
// revision went to, and the snapshot.
type threadRecord struct {
	hash        uint64
	observation uint64    // of its last revision, zero if none
	changedAt   time.Time // sending of the reading that last changed it
	oldSince    time.Time // see doubted; zero if no reading is in doubt
	touched     []place   // by that revision
	snapshot    []byte
}

const threadHeader = 8 + 8 + 8 + 8 + 2

func (r threadRecord) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, r.hash)
	dst = binary.BigEndian.AppendUint64(dst, r.observation)
	dst = binary.BigEndian.AppendUint64(dst, uint64(unixMilli(r.changedAt)))
	dst = binary.BigEndian.AppendUint64(dst, uint64(unixMilli(r.oldSince)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.touched)))
	for _, p := range r.touched {
		dst = appendPlace(dst, p)
	}
	return append(dst, r.snapshot...)
}

func readThread(value []byte) (threadRecord, error) {
	if len(value) < threadHeader {
		return threadRecord{}, errShort
	}
	r := threadRecord{
		hash:        binary.BigEndian.Uint64(value),
		observation: binary.BigEndian.Uint64(value[8:]),
		changedAt:   fromUnixMilli(int64(binary.BigEndian.Uint64(value[16:]))),
		oldSince:    fromUnixMilli(int64(binary.BigEndian.Uint64(value[24:]))),
	}
	places, rest, err := readPlaces(value[32:])
	r.touched, r.snapshot = places, rest
	return r, err
}

var errShort = errors.New("value is too short")

func readPlaces(b []byte) ([]place, []byte, error) {
	if len(b) < 2 {
		return nil, nil, errShort
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if len(b) < n*placeSize {
		return nil, nil, errShort
	}
	var places []place
	for range n {
		places = append(places, readPlace(b))
		b = b[placeSize:]
	}
	return places, b, nil
}

// entryRecord is the value of an outbox entry.
type entryRecord struct {
	observation, previous uint64
	touched               []place // by the previous observation
	observedAt            time.Time
	eventID               string
	key, value            []byte
}

func (r entryRecord) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, r.observation)
	dst = binary.BigEndian.AppendUint64(dst, r.previous)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.observedAt.UnixNano()))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.touched)))
	for _, p := range r.touched {
		dst = appendPlace(dst, p)
	}
	dst = appendBytes(dst, []byte(r.eventID))
	dst = appendBytes(dst, r.key)
	return append(dst, r.value...)
}

// readEntry copies nothing: key and value are parts of b.
func readEntry(b []byte) (entryRecord, error) {
	if len(b) < 24 {
		return entryRecord{}, errShort
	}
	r := entryRecord{
		observation: binary.BigEndian.Uint64(b),
		previous:    binary.BigEndian.Uint64(b[8:]),
		observedAt:  time.Unix(0, int64(binary.BigEndian.Uint64(b[16:]))).UTC(),
	}
	var err error
	if r.touched, b, err = readPlaces(b[24:]); err != nil {
		return r, err
	}
	var id []byte
	if id, b, err = readBytes(b); err != nil {
		return r, err
	}
	r.eventID = string(id)
	r.key, r.value, err = readBytes(b)
	return r, err
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b)))
	return append(dst, b...)
}

func readBytes(b []byte) (value, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, errShort
	}
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; len(b) < n {
		return nil, nil, errShort
	}
	return b[:n], b[n:], nil
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromUnixMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// partitionRecord is the value of a partition.
type partitionRecord struct {
	Next      uint64    `json:"next"`
	Entry     uint64    `json:"entry"`
	Offset    int64     `json:"offset"`
	EventID   string    `json:"event_id,omitempty"`
	Events    uint64    `json:"events"`
	Watermark time.Time `json:"watermark,omitzero"`
}

func (r partitionRecord) position() event.Position {
	return event.Position{Entry: r.Entry, Offset: r.Offset, EventID: r.EventID, Events: r.Events, Watermark: r.Watermark}
}

func (r *partitionRecord) set(p event.Position) {
	r.Entry, r.Offset, r.EventID, r.Events, r.Watermark = p.Entry, p.Offset, p.EventID, p.Events, p.Watermark
}

// corrupt names what could not be read.
func corrupt(bucket, key string, err error) error {
	return fmt.Errorf("%s %s: %w: %w", bucket, key, ErrCorrupt, err)
}
