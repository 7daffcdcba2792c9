package thread

import "time"

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

	// Ascending says that ids ascend strictly within the page and from After on,
	// the last id before the page. Only such a page may ever prove an absence.
	Ascending bool
	After     ID
}

// Direct says that the page is the answer to a question about one thread, which
// is not served by a list that may be behind.
func (p Page) Direct() bool { return p.Lane == LaneConfirm }
