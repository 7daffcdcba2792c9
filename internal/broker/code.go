package broker

import (
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// Code is an error number of the Kafka protocol, as an error. Every answer of a
// broker that is not a success has one in its chain.
type Code int16

// The codes that callers tell apart (Kafka's Errors.java).
const (
	UnknownServerError           Code = -1
	OffsetOutOfRange             Code = 1
	UnknownTopicOrPartition      Code = 3
	LeaderNotAvailable           Code = 5
	NotLeader                    Code = 6
	RequestTimedOut              Code = 7
	BrokerNotAvailable           Code = 8
	MessageTooLarge              Code = 10
	CoordinatorLoading           Code = 14
	CoordinatorNotAvailable      Code = 15
	NotCoordinator               Code = 16
	InvalidTopic                 Code = 17
	RecordListTooLarge           Code = 18
	NotEnoughReplicas            Code = 19
	NotEnoughReplicasAfterAppend Code = 20
	TopicAuthorizationFailed     Code = 29
	GroupAuthorizationFailed     Code = 30
	ClusterAuthorizationFailed   Code = 31
	InvalidTimestamp             Code = 32
	UnsupportedSASLMechanism     Code = 33
	UnsupportedVersion           Code = 35
	TopicAlreadyExists           Code = 36
	InvalidPartitions            Code = 37
	InvalidReplicationFactor     Code = 38
	InvalidConfig                Code = 40
	PolicyViolation              Code = 44
	OutOfOrderSequence           Code = 45
	DuplicateSequence            Code = 46
	InvalidProducerEpoch         Code = 47
	TransactionalIDAuthorization Code = 53
	StorageError                 Code = 56
	SASLAuthenticationFailed     Code = 58
	UnknownProducerID            Code = 59
	InvalidRecord                Code = 87
	ThrottlingQuotaExceeded      Code = 89
	ProducerFenced               Code = 90
)

// Error is the number and its name.
func (c Code) Error() string {
	if title := kafka.Error(c).Title(); title != "" {
		return fmt.Sprintf("Kafka error %d (%s)", int16(c), title)
	}
	return fmt.Sprintf("Kafka error %d", int16(c))
}

// CodeOf finds the error number of the Kafka protocol anywhere in the chain of
// err. Without one the request may or may not have been carried out: the
// connection, the time or the context ended first.
func CodeOf(err error) (code int, ok bool) {
	var own Code
	if errors.As(err, &own) {
		return int(own), true
	}
	var theirs kafka.Error
	if errors.As(err, &theirs) {
		return int(theirs), true
	}
	return 0, false
}

// refusal is the error of an answer: nil for code 0, else the code with what the
// broker says about it.
func refusal(code int16, message string) error {
	switch {
	case code == 0:
		return nil
	case message == "":
		return Code(code)
	}
	return fmt.Errorf("%w: %s", Code(code), message)
}
