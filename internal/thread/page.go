package thread

import (
	"errors"
	"time"
)

// Instant is a moment as the process knows it: by the wall clock, for people and
// events, and by the monotonic clock since the process started, for order. Wall
// clocks jump; order is only ever decided by Mono.
type Instant struct {
	Wall time.Time
	Mono time.Duration
}

// Clock tells the present moment.
type Clock func() Instant

// NewClock starts a clock whose monotonic part counts from now.
func NewClock() Clock {
	start := time.Now()
	return func() Instant {
		now := time.Now()
		return Instant{Wall: now.Round(0).UTC(), Mono: now.Sub(start)}
	}
}

// Item is one thread of a page, not yet decoded.
type Item struct {
	ID   ID
	Hash uint64 // of Raw, seeded with the decoder's version and the enabled kinds
	Raw  []byte // the thread's JSON object; valid as long as its page
}

// Page is one answer of HubSpot, split but not decoded: the unit of observation.
type Page struct {
	Lane  Lane
	Chain string // inbox that the chain is limited to; empty: all
	Items []Item

	// Sent and Arrived bound the moments that the page can speak of.
	Sent, Arrived Instant

	// Cursor asked for this page, Next asks for the one after; More is false on
	// the last page only.
	Cursor, Next string
	More         bool

	// Newest is the newest message among the page's threads; only where the page is
	// sorted by it. ServerTime is HubSpot's Date header, zero if it sent none.
	Newest, ServerTime time.Time

	// Cycle is set on the last page of a full cycle that one process has read from its
	// first page on: when that page was sent. A thread that was not read since then is
	// not in the list.
	Cycle Instant

	// Ascending says that ids ascend strictly within the page and from After on,
	// the last id before the page. Only such a page may ever prove an absence.
	Ascending bool
	After     ID
}

// Direct says that the page is the answer to a question about one thread, which
// is not served by a list that may be behind.
func (p Page) Direct() bool { return p.Lane == LaneConfirm }

// Query asks for one page of a list.
type Query struct {
	Lane   Lane
	Chain  string // inbox id; empty: all inboxes
	Cursor string // Next of the page before; empty: the first page
	After  ID     // last id before the page, in lists by id
	// Since sorts by the newest message and asks for messages from then on; zero
	// sorts by id.
	Since    time.Time
	Archived bool
	// OnSend is told when an attempt is about to be sent; the page can only speak of
	// the time after the last of them.
	OnSend func(Instant)
}

// LaneState is how far a chain of a lane has come. It is saved with the pages that
// it speaks of.
type LaneState struct {
	// Fingerprint names the path, filter and limit that the cursor was made with.
	// A cursor of another fingerprint means nothing.
	Fingerprint string `json:"fingerprint"`
	// Cursor and After ask for the next page; empty and zero: a new cycle.
	Cursor string `json:"cursor,omitempty"`
	After  ID     `json:"after,omitempty"`
	// Cycles counts the completed cycles.
	Cycles uint64 `json:"cycles"`
	// Whole says that the last completed cycle was read by one process, which took
	// note of the threads that it did not show.
	Whole bool `json:"whole,omitempty"`
	// CycleStart is when the first request of the current or last cycle was sent,
	// PreviousStart that of the last whole cycle before it.
	CycleStart    time.Time `json:"cycle_start,omitzero"`
	PreviousStart time.Time `json:"previous_start,omitzero"`
	// Watermark is where a lane sorted by time has come to, on HubSpot's clock.
	Watermark time.Time `json:"watermark,omitzero"`
}

// Bound is the earliest moment at which a thread can have been read for the last time,
// unless the state has noted another with it: each was read in the last whole cycle, or
// since.
func (s LaneState) Bound() time.Time {
	if s.PreviousStart.IsZero() {
		return s.CycleStart
	}
	return s.PreviousStart
}

// Outcome says what a page brought.
type Outcome struct {
	Threads   int  // on the page
	Differing int  // whose bytes are not those last decoded
	Revisions int  // made
	Events    int  // appended to the outbox
	Reread    []ID // to be asked for by GET: this reading alone decides nothing
	// Problems are the threads that could not be understood, and why. They keep what
	// was known of them; the rest of the page counts.
	Problems []Problem
}

// Problem is a thread that could not be understood.
type Problem struct {
	ID  ID
	Err error
}

// Errors that a stage branches on, whoever makes them.
var (
	// ErrTemporary says that the same call will succeed once something passes that
	// needs no decision: a full disk, a source that answers nonsense.
	ErrTemporary = errors.New("temporary")
	// ErrState says that the account's state could not be read or written. Unless it is
	// temporary, nothing may go on.
	ErrState = errors.New("state")
	// ErrRefused says that HubSpot refuses the token, its scope or the request as
	// such. Only a person can help.
	ErrRefused = errors.New("refused by HubSpot")
	// ErrNotFound says that HubSpot knows no such thread, in HubSpot's own words.
	ErrNotFound = errors.New("thread not found")
	// ErrCursor says that a cursor leads nowhere: it repeats, or is refused. The
	// cycle is incomplete and must start anew.
	ErrCursor = errors.New("cursor unusable")
)
