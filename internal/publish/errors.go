package publish

import (
	"errors"
	"fmt"
	"time"
)

// Why an account stops. Each comes inside a Stop.
var (
	// ErrFenced: another instance has taken over. Final: a supervisor that starts
	// this one again would only fence the other.
	ErrFenced = errors.New("another instance has taken over")
	// ErrLostState: the topics hold records of an account whose state is new.
	ErrLostState = errors.New("the state that belongs to the topics is missing")
	// ErrForeignCluster: the state belongs to another Kafka cluster.
	ErrForeignCluster = errors.New("the state belongs to another Kafka cluster")
	// ErrForeignRecord: the topics hold an event of the account that this state
	// knows nothing of.
	ErrForeignRecord = errors.New("the topics hold an event that this state did not write")
	// ErrRecreated: a partition no longer holds what was acknowledged.
	ErrRecreated = errors.New("a partition no longer holds what was published")
	// ErrHole: a partition holds fewer or more events than were counted.
	ErrHole = errors.New("the count of events in a partition is wrong")
	// ErrOutbox: the outbox holds what must never be published.
	ErrOutbox = errors.New("the outbox holds what does not belong to this state")
)

// Exit codes of a Stop.
const (
	codeInvariant = 70
	codeState     = 74
	codeFenced    = 75
)

// Stop is an error that ends the publishing of an account for good: trying again
// changes nothing, a person has to decide.
type Stop struct {
	Code   int    // exit code of the process, if it ends for this
	Reason string // what was found, and what to do
	Err    error  // one of the errors above
}

// Error is the whole message.
func (s *Stop) Error() string { return fmt.Sprintf("%v: %s", s.Err, s.Reason) }

// Unwrap gives the kind of the stop.
func (s *Stop) Unwrap() error { return s.Err }

// ExitCode is the exit code that belongs to the error.
func (s *Stop) ExitCode() int { return s.Code }

const (
	wayOut = "Restore a backup of the state (a copy of its file, made while threadcast was stopped), or start anew on purpose " +
		"with `threadcast run --new LABEL`: its events count from revision 1 again, in the next generation"
	oneOnly = "Exactly one instance may run for an account: find out which one has the right state and stop the others"
)

func lost(evidence string) *Stop {
	return &Stop{Code: codeState, Err: ErrLostState, Reason: evidence + ". Either another threadcast is running for this account " +
		"(look for that first, and stop one of the two), or its state is lost. " + wayOut + "."}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
