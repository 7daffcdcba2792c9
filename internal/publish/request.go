package publish

import (
	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/event"
)

// Question is what a request asks of Kafka.
type Question uint8

// The questions.
const (
	// AskProducer is InitProducer with Current.
	AskProducer Question = iota + 1
	// AskAppend appends Bytes to Partition.
	AskAppend
	// AskRecords reads Partition from Offset.
	AskRecords
)

// LogStart is the offset that stands for the first one that a partition still has.
const LogStart int64 = -2

// Request is one thing to ask of Kafka. Each is answered once, by a Response with
// its ID; requests may be carried out side by side, in any order.
type Request struct {
	ID        uint64
	Question  Question
	Current   broker.Producer
	Partition event.Partition
	Bytes     []byte // not to be changed, nor kept beyond the answer
	Offset    int64
	// Repeated says that the same was asked before without success: what waits for
	// its answer should not wait together with others.
	Repeated bool
}

// Response is the answer to a request, or the error instead of one. An error without
// a Kafka code means that the request may or may not have been carried out.
type Response struct {
	ID       uint64
	Producer broker.Producer // to AskProducer
	Offset   int64           // to AskAppend: of the first record
	Fetched  broker.Fetched  // to AskRecords; Start is where it began if LogStart was asked for
	Err      error
}

// inquiry is a request that waits for its answer.
type inquiry struct {
	question  Question
	partition *partition
}

// request puts a request among those that are due. Answers to requests of an earlier
// session find no inquiry and are ignored: its batches are the scan's to find.
func (m *Machine) request(r Request, p *partition) uint64 {
	m.requests++
	r.ID = m.requests
	if p != nil {
		r.Partition = p.Partition
	}
	m.inquiries[r.ID] = inquiry{r.Question, p}
	m.due = append(m.due, r)
	return r.ID
}
