// Package thread owns the facts about HubSpot conversation threads: what a
// reading says, what is remembered of a thread, how two readings differ and what
// follows from a difference. It is pure: no clock, no I/O, standard library only.
package thread

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// ID is HubSpot's id of a thread: a positive number, written in digits.
type ID uint64

// ErrBadID says that a text is not a thread id.
var ErrBadID = errors.New("not a thread id: want digits without a leading zero")

// ParseID reads an id as HubSpot writes it. Only the canonical form is an id, so
// that text and number name the same thread in keys, event ids and state.
func ParseID(text string) (ID, error) {
	if text == "" || text[0] < '1' || text[0] > '9' {
		return 0, ErrBadID
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, ErrBadID
	}
	return ID(n), nil
}

// String is the id as HubSpot writes it.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Status of a thread. The numbers are those of the public contract.
type Status uint8

// HubSpot documents OPEN and CLOSED; anything else is kept as text.
const (
	StatusOpen    Status = 1
	StatusClosed  Status = 2
	StatusUnknown Status = 3
)

// ParseStatus reads a status as HubSpot writes it. A value that it does not know
// is StatusUnknown, never one of the others.
func ParseStatus(text string) Status {
	switch text {
	case "OPEN":
		return StatusOpen
	case "CLOSED":
		return StatusClosed
	}
	return StatusUnknown
}

// Presence says where a thread is to be found. The numbers are those of the
// public contract.
type Presence uint8

// Where a thread can be.
const (
	PresenceListed       Presence = 1
	PresenceUnlisted     Presence = 2
	PresenceOutOfInboxes Presence = 3
	PresenceDeleted      Presence = 4
)

// Actor is the id of somebody who takes part in conversations, whole, with its
// prefix; empty is nobody.
type Actor string

// ActorKind is what an actor id's prefix says. The numbers are those of the
// public contract.
type ActorKind uint8

// The prefixes that HubSpot's reference and clients know.
const (
	ActorAgent       ActorKind = 1
	ActorBot         ActorKind = 2
	ActorVisitor     ActorKind = 3
	ActorIntegration ActorKind = 4
	ActorAIAgent     ActorKind = 5
	ActorSystem      ActorKind = 6
	ActorEmail       ActorKind = 7
	ActorUnknown     ActorKind = 8
)

var actorPrefixes = [...]string{
	ActorAgent: "A-", ActorBot: "B-", ActorVisitor: "V-", ActorIntegration: "I-",
	ActorAIAgent: "L-", ActorSystem: "S-", ActorEmail: "E-",
}

// Kind is what the prefix says; zero for nobody.
func (a Actor) Kind() ActorKind {
	if a == "" {
		return 0
	}
	for kind, prefix := range actorPrefixes {
		if prefix != "" && strings.HasPrefix(string(a), prefix) {
			return ActorKind(kind)
		}
	}
	return ActorUnknown
}

// Lane is the reading routine that a reading comes from. The numbers are those of
// the public contract.
type Lane uint8

// The lanes.
const (
	LaneRecent   Lane = 1
	LaneDay      Lane = 2
	LaneWeek     Lane = 3
	LaneOpen     Lane = 4
	LaneFull     Lane = 5
	LaneArchived Lane = 6
	LaneConfirm  Lane = 7
	LaneHistory  Lane = 8
	LaneResync   Lane = 9
)

var laneNames = [...]string{
	"none", "recent", "day", "week", "open", "full", "archived", "confirm", "history", "resync",
}

// String is the lane's name in configuration, logs and metrics.
func (l Lane) String() string {
	if int(l) < len(laneNames) {
		return laneNames[l]
	}
	return "lane" + strconv.Itoa(int(l))
}

// Facts is what one reading of HubSpot says about a thread. Texts are valid UTF-8
// of at most MaxText bytes; times are UTC without a monotonic part, zero if absent.
type Facts struct {
	Status         Status
	StatusText     string
	CreatedAt      time.Time
	ClosedAt       time.Time
	AssignedTo     Actor
	Inbox          string
	Channel        string
	ChannelAccount string
	Contact        string
	Ticket         string
	Spam           bool
	Archived       bool
	Presence       Presence
	LatestMessage  time.Time
	LatestReceived time.Time
	LatestSent     time.Time

	// Missing names the required fields that the reading lacked. Their value is
	// unknown, not empty: what was known before stays.
	Missing FieldSet
}

// MaxText is the cap in bytes on every text of a thread, so that an event never
// exceeds 16 KiB.
const MaxText = 320

// CapText makes a text valid UTF-8 and cuts it at MaxText bytes, on a rune
// boundary.
func CapText(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= MaxText {
		return text
	}
	cut := MaxText
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut]
}

// TimeSource says where an exact time comes from. The numbers are those of the
// public contract.
type TimeSource uint8

// Where an exact time can come from.
const (
	SourceObserved  TimeSource = 1
	SourceCreatedAt TimeSource = 2
	SourceClosedAt  TimeSource = 3
	SourceHistory   TimeSource = 4
)

// Since bounds the time at which a state began. Exact is zero unless Source is
// other than SourceObserved; Earliest is zero if unknown.
type Since struct {
	Earliest, Latest, Exact time.Time
	Source                  TimeSource
	ChangedBy               Actor
}

// Position says how far the events of one kind have come: how many there were,
// and the revision of the newest.
type Position struct {
	Sequence, Revision uint64
}

// Snapshot is all that is remembered of a thread. The zero Snapshot is a thread
// never seen. Snapshots compare with ==.
type Snapshot struct {
	ID       ID
	Revision uint64
	Facts

	StatusSince     Since
	AssignmentSince Since
	Closures        uint32
	Reopenings      uint32
	Assignments     uint32
	Positions       [KindActivity + 1]Position // by kind; 0 is unused
}

// Known says whether the thread was seen before.
func (s Snapshot) Known() bool { return s.Status != 0 }

// Closed says whether the last thing known about the thread's closure is that it
// was closed. It outlasts a status that is neither OPEN nor CLOSED.
func (s Snapshot) Closed() bool { return s.Closures > s.Reopenings }
