package hubspottest

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// The statuses that HubSpot documents.
const (
	StatusOpen   = "OPEN"
	StatusClosed = "CLOSED"
)

// Thread is one conversation thread as HubSpot has it. Empty texts and zero times
// are fields that the answer leaves out. Times are UTC with milliseconds. Threads
// compare with ==.
type Thread struct {
	ID             thread.ID
	Status         string
	CreatedAt      time.Time
	ClosedAt       time.Time // only while closed
	AssignedTo     thread.Actor
	Inbox          string
	Channel        string
	ChannelAccount string
	Contact        string // a contact's or a visitor's id
	Ticket         string
	Spam           bool
	Archived       bool
	Purged         bool // gone for good: no request finds it
	LatestMessage  time.Time
	LatestReceived time.Time
	LatestSent     time.Time
}

// Facts is what a perfect reading of the thread says.
func (t Thread) Facts() thread.Facts {
	presence := thread.PresenceListed
	if t.Purged {
		presence = thread.PresenceDeleted
	}
	return thread.Facts{
		Status: thread.ParseStatus(t.Status), StatusText: t.Status,
		CreatedAt: t.CreatedAt, ClosedAt: t.ClosedAt, AssignedTo: t.AssignedTo,
		Inbox: t.Inbox, Channel: t.Channel, ChannelAccount: t.ChannelAccount,
		Contact: t.Contact, Ticket: t.Ticket, Spam: t.Spam, Archived: t.Archived,
		Presence: presence, LatestMessage: t.LatestMessage,
		LatestReceived: t.LatestReceived, LatestSent: t.LatestSent,
	}
}

// record is a Thread of 88 bytes without pointers, so that a million of them cost
// neither memory nor garbage collection. Times are Unix milliseconds, zero if
// absent.
type record struct {
	id                                      uint64
	created, closed, latest, received, sent int64
	contact, ticket                         wide
	status, assigned, inbox                 word
	channel, channelAccount                 uint16 // words: few of them exist
	flags                                   flag
}

type flag uint8

const (
	flagSpam flag = 1 << iota
	flagArchived
	flagPurged
)

func (r *record) has(f flag) bool { return r.flags&f != 0 }

func (r *record) mark(f flag, on bool) {
	r.flags &^= f
	if on {
		r.flags |= f
	}
}

// word is the number of a text that many threads share; 0 is the empty text.
type word uint32

// wide is a text that is nearly always a number of its own: the number, or, with
// the top bit set, a word. 0 is the empty text.
type wide uint64

const wideWord wide = 1 << 63

// The words that every table begins with.
const (
	wordNone word = iota
	wordOpen
	wordClosed
)

// lexicon numbers texts and keeps them as JSON too.
type lexicon struct {
	texts  []string
	quoted []string
	words  map[string]word
}

func newLexicon() lexicon {
	l := lexicon{words: make(map[string]word)}
	for _, text := range []string{"", StatusOpen, StatusClosed} {
		l.word(text)
	}
	return l
}

// word is the text's number, a new one if needed.
func (l *lexicon) word(text string) word {
	if w, ok := l.words[text]; ok {
		return w
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("hubspottest: a string does not marshal: " + err.Error())
	}
	w := word(len(l.texts))
	l.texts = append(l.texts, text)
	l.quoted = append(l.quoted, string(quoted))
	l.words[text] = w
	return w
}

// short is word for the fields that have 16 bits for it.
func (l *lexicon) short(text string) uint16 {
	w := l.word(text)
	if w > 0xFFFF {
		panic("hubspottest: more than 65,535 texts before channel " + text)
	}
	return uint16(w)
}

func (l *lexicon) wide(text string) wide {
	n, err := strconv.ParseUint(text, 10, 63)
	if err == nil && n > 0 && text[0] != '0' {
		return wide(n)
	}
	if text == "" {
		return 0
	}
	return wideWord | wide(l.word(text))
}

func (l *lexicon) text(w wide) string {
	switch {
	case w == 0:
		return ""
	case w&wideWord != 0:
		return l.texts[w&^wideWord]
	}
	return strconv.FormatUint(uint64(w), 10)
}

// record packs a thread.
func (t *table) record(from Thread) record {
	rec := record{
		id:      uint64(from.ID),
		created: millis(from.CreatedAt), closed: millis(from.ClosedAt),
		latest: millis(from.LatestMessage), received: millis(from.LatestReceived), sent: millis(from.LatestSent),
		contact: t.lexicon.wide(from.Contact), ticket: t.lexicon.wide(from.Ticket),
		status: t.lexicon.word(from.Status), assigned: t.lexicon.word(string(from.AssignedTo)),
		inbox: t.lexicon.word(from.Inbox), channel: t.lexicon.short(from.Channel),
		channelAccount: t.lexicon.short(from.ChannelAccount),
	}
	rec.mark(flagSpam, from.Spam)
	rec.mark(flagArchived, from.Archived)
	rec.mark(flagPurged, from.Purged)
	return rec
}

// thread unpacks a record.
func (t *table) thread(rec record) Thread {
	texts := t.lexicon.texts
	return Thread{
		ID: thread.ID(rec.id), Status: texts[rec.status],
		CreatedAt: moment(rec.created), ClosedAt: moment(rec.closed),
		AssignedTo: thread.Actor(texts[rec.assigned]), Inbox: texts[rec.inbox],
		Channel: texts[rec.channel], ChannelAccount: texts[rec.channelAccount],
		Contact: t.lexicon.text(rec.contact), Ticket: t.lexicon.text(rec.ticket),
		Spam: rec.has(flagSpam), Archived: rec.has(flagArchived), Purged: rec.has(flagPurged),
		LatestMessage: moment(rec.latest), LatestReceived: moment(rec.received), LatestSent: moment(rec.sent),
	}
}

// millis is a time in Unix milliseconds, zero for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// moment is the time of millis.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
