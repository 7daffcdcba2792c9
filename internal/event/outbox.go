package event

import "time"

// Partition is one partition of one topic.
type Partition struct {
	Topic  string
	Number int32
}

// Entry is one event that waits to be published, or was.
type Entry struct {
	// Number counts the entries of a partition: 1, 2, 3 ..., never used twice.
	Number uint64
	// Observation is the number of the observation that made the entry.
	Observation uint64
	// PreviousObservation is the thread's observation before that one, zero if
	// there was none; PreviousPartitions are those which it appended to. The entry
	// may leave once none of them holds an unacknowledged entry of an observation
	// up to it.
	PreviousObservation uint64
	PreviousPartitions  []Partition
	// ObservedAt is the event's observed_at.
	ObservedAt time.Time
	EventID    string
	Key, Value []byte
}

// Position says how far a partition is known to hold our records.
type Position struct {
	// Entry is the greatest acknowledged entry number, zero if none.
	Entry uint64
	// Offset and EventID are those of the last acknowledged record, heartbeats
	// included; -1 and empty if none.
	Offset  int64
	EventID string
	// Events counts the acknowledged events, heartbeats not included.
	Events uint64
	// Watermark is the greatest that an acknowledged heartbeat gave.
	Watermark time.Time
}

// Ack says that entries of a partition are on the topic. Entries are usually all
// up to Position.Entry; during recovery single ones between them may be missing.
type Ack struct {
	Partition Partition
	Entries   []uint64
	Position  Position
}

// PartitionState is what the state knows of a partition.
type PartitionState struct {
	Partition
	Position
	Next uint64 // number that the next entry gets
}

// Session is the identity of a state file and of the producer that works for it.
type Session struct {
	Account    string // HubSpot's account id, in digits
	StateID    string // random, of the state file
	Generation uint32
	// Fresh says that no first scan has finished yet; Asked that a producer id was
	// asked for in that time, so that an epoch above zero is no surprise; New that
	// the operator discarded an older state on purpose.
	Fresh, Asked, New bool
	// Lost says why the state that belongs to the topics must be missing; empty if
	// it is not. It outlasts restarts.
	Lost       string
	Cluster    string // Kafka cluster id, empty before the first session
	ProducerID int64  // -1 before the first session
	Epoch      int16
	Partitions []PartitionState
}
