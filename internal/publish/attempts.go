package publish

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/threadcast/threadcast/internal/broker"
	"github.com/threadcast/threadcast/internal/thread"
)

// verdict is what an answer means for what was asked.
type verdict uint8

const (
	done     verdict = iota
	again            // the same once more; it passes by itself
	slowly           // the same once more, but a person has to act first
	refused          // the same once more, but its content was refused
	tooLarge         // in smaller pieces
	badTime          // the same with another time
	renew            // a new session
	replaced         // somebody else has taken over
	noOffset         // there is nothing at the offset
)

// judge reads Kafka's error codes. An unknown one repeats slowly: nothing is ever
// dropped to make progress. (Kafka's Errors.java.)
func judge(err error) verdict {
	if err == nil {
		return done
	}
	code, ok := broker.CodeOf(err)
	if !ok {
		return again
	}
	switch broker.Code(code) {
	case broker.OutOfOrderSequence, broker.DuplicateSequence, broker.UnknownProducerID:
		return renew
	case broker.InvalidProducerEpoch, broker.ProducerFenced:
		return replaced
	case broker.MessageTooLarge, broker.RecordListTooLarge:
		return tooLarge
	case broker.InvalidTimestamp:
		return badTime
	case broker.OffsetOutOfRange:
		return noOffset
	case broker.TopicAuthorizationFailed, broker.GroupAuthorizationFailed, broker.ClusterAuthorizationFailed,
		broker.TransactionalIDAuthorization, broker.SASLAuthenticationFailed, broker.UnsupportedSASLMechanism:
		return slowly
	}
	if passes(code) {
		return again
	}
	return refused
}

// passes says that Kafka calls the error retriable.
func passes(code int) bool {
	switch code {
	case -1, // unknown server error
		2,             // corrupt message: on its way
		3,             // unknown topic or partition: often just not known yet
		5, 6, 7, 8, 9, // no leader, another leader, timed out, no broker, no replica
		13,         // network
		14, 15, 16, // coordinator loading, not available, another one
		19, 20, // too few replicas, before or after the append
		51,         // concurrent transactions
		56,         // disk of the broker
		72, 74, 75, // listener, leader epochs
		84, 89, // being fixed up, throttled
		100, 103: // topic ids not yet known
		return true
	}
	return false
}

// attempts are the tries of one request. The zero value is the first.
type attempts struct {
	policy *backoff.ExponentialBackOff
	at     time.Duration // process time before which it is not tried again
	failed int
	reason string // of the last failure, for people; empty if there was none
}

// Pauses between two tries.
const (
	shortestPause  = 50 * time.Millisecond
	longestPause   = 5 * time.Second
	shortestPerson = 5 * time.Second // where a person has to act first
	longestPerson  = 30 * time.Second
	refusedPause   = 30 * time.Second
	clockPause     = time.Second
	emptyPause     = 20 * time.Millisecond
	longestEmpty   = time.Second
)

// stopped is a clock for backoff, whose limit on elapsed time is not used.
type stopped struct{}

func (stopped) Now() time.Time { return time.Time{} }

func (a *attempts) wait(now thread.Instant, shortest, longest time.Duration, random *rand.Rand) {
	if a.policy == nil || a.policy.MaxInterval != longest {
		a.policy = &backoff.ExponentialBackOff{
			InitialInterval: shortest, Multiplier: 2, MaxInterval: longest, Stop: backoff.Stop, Clock: stopped{},
		}
		a.policy.Reset()
	}
	pause := a.policy.NextBackOff()
	if random != nil { // half to all of it, from our own stream
		pause = pause/2 + time.Duration(random.Int64N(int64(pause)/2+1))
	}
	a.at = now.Mono + pause
	a.failed++
}

// later notes a failure and when to try again.
func (a *attempts) later(now thread.Instant, v verdict, err error, random *rand.Rand) {
	a.reason = broker.Sentence(err)
	switch v {
	case slowly:
		a.wait(now, shortestPerson, longestPerson, random)
	case refused, tooLarge:
		a.wait(now, refusedPause, refusedPause, random)
	case badTime:
		a.wait(now, clockPause, clockPause, nil)
	default:
		a.wait(now, shortestPause, longestPause, random)
	}
}

// since is the time that went by, by the clock that says more: a process may have
// been stopped, a machine asleep, a wall clock set.
func since(then, now thread.Instant) time.Duration {
	return max(now.Mono-then.Mono, now.Wall.Sub(then.Wall))
}
