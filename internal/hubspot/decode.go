package hubspot

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-faster/jx"

	"github.com/threadcast/threadcast/internal/thread"
)

// Decode reads one thread object as HubSpot writes it, without counting drift.
func Decode(raw []byte) (thread.Facts, error) { return (*Drift)(nil).Decode(raw) }

// Decode reads one thread object as HubSpot writes it. Ids may be texts or
// numbers, times RFC 3339 or milliseconds since 1970; of a key given twice the
// last one counts; what is absent or null is absent. A required field that is
// absent is in Facts.Missing. Without a status, or with a value of another type,
// the thread is not understood and there is an error. Unknown fields and statuses
// are counted in d, which may be nil.
func (d *Drift) Decode(raw []byte) (thread.Facts, error) {
	facts := thread.Facts{Presence: thread.PresenceListed, Missing: required()}
	if err := whole(raw); err != nil {
		return thread.Facts{}, fmt.Errorf("decode thread: %w", err)
	}
	err := jx.DecodeBytes(raw).ObjBytes(func(decoder *jx.Decoder, key []byte) error {
		known, err := decodeField(decoder, key, &facts)
		if err != nil {
			return &fieldError{string(key), err}
		}
		if !known {
			d.count(DriftField, string(key))
			return decoder.Skip()
		}
		return nil
	})
	switch {
	case err != nil:
		return thread.Facts{}, decodeError(err)
	case facts.StatusText == "":
		return thread.Facts{}, errors.New("decode thread: it has no status")
	}
	if facts.Status == thread.StatusUnknown {
		d.count(DriftStatus, facts.StatusText)
	}
	if facts.Status == thread.StatusOpen {
		facts.ClosedAt = time.Time{} // documented as set only while closed
	}
	return facts, nil
}

// required are the fields that HubSpot's specification requires, beside id and
// status, without which nothing is understood, and archived, which old versions
// lack.
func required() thread.FieldSet {
	var set thread.FieldSet
	for _, field := range [...]thread.Field{
		thread.FieldCreatedAt, thread.FieldInbox, thread.FieldChannel,
		thread.FieldChannelAccount, thread.FieldContact, thread.FieldSpam,
	} {
		set = set.With(field)
	}
	return set
}

// decodeField reads the value of one member; false if its name is unknown.
func decodeField(d *jx.Decoder, key []byte, facts *thread.Facts) (known bool, err error) {
	missing := &facts.Missing
	switch string(key) {
	case "id":
		err = d.Skip()
	case "status":
		err = decodeStatus(d, facts)
	case "createdAt":
		err = need(d, missing, thread.FieldCreatedAt, &facts.CreatedAt, moment)
	case "inboxId":
		err = need(d, missing, thread.FieldInbox, &facts.Inbox, identifier)
	case "originalChannelId":
		err = need(d, missing, thread.FieldChannel, &facts.Channel, identifier)
	case "originalChannelAccountId":
		err = need(d, missing, thread.FieldChannelAccount, &facts.ChannelAccount, identifier)
	case "associatedContactId":
		err = need(d, missing, thread.FieldContact, &facts.Contact, identifier)
	case "spam":
		err = need(d, missing, thread.FieldSpam, &facts.Spam, (*jx.Decoder).Bool)
	case "archived":
		_, err = optional(d, &facts.Archived, (*jx.Decoder).Bool)
	case "assignedTo":
		var actor string
		_, err = optional(d, &actor, identifier)
		facts.AssignedTo = thread.Actor(actor)
	case "closedAt":
		_, err = optional(d, &facts.ClosedAt, moment)
	case "latestMessageTimestamp":
		_, err = optional(d, &facts.LatestMessage, moment)
	case "latestMessageReceivedTimestamp":
		_, err = optional(d, &facts.LatestReceived, moment)
	case "latestMessageSentTimestamp":
		_, err = optional(d, &facts.LatestSent, moment)
	case "threadAssociations":
		_, err = optional(d, &facts.Ticket, ticket)
	default:
		return false, nil
	}
	return true, err
}

// optional reads a value, or its zero if it is null; false then.
func optional[T any](d *jx.Decoder, into *T, read func(*jx.Decoder) (T, error)) (bool, error) {
	var zero T
	if *into = zero; d.Next() == jx.Null {
		return false, d.Null()
	}
	value, err := read(d)
	if err == nil {
		*into = value
	}
	return true, err
}

// need reads a required value, which is missing if it is null.
func need[T any](d *jx.Decoder, missing *thread.FieldSet, field thread.Field, into *T, read func(*jx.Decoder) (T, error)) error {
	there, err := optional(d, into, read)
	*missing = missing.With(field)
	if there {
		*missing &^= thread.FieldSet(0).With(field)
	}
	return err
}

// decodeStatus accepts any text; one that is not known stays a text.
func decodeStatus(d *jx.Decoder, facts *thread.Facts) error {
	text, err := text(d)
	if err != nil {
		return err
	}
	facts.Status, facts.StatusText = thread.ParseStatus(text), text
	return nil
}

// text reads a string and makes it safe for protobuf, databases and terminals.
func text(d *jx.Decoder) (string, error) {
	if d.Next() != jx.String {
		return "", wrongType(d)
	}
	text, err := d.Str()
	if err != nil {
		return "", err
	}
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "\uFFFD")
	}
	return thread.CapText(text), nil
}

// identifier reads an id, a text or a whole number, to the last digit.
func identifier(d *jx.Decoder) (string, error) {
	if d.Next() != jx.Number {
		return text(d)
	}
	number, err := d.Raw()
	if err != nil {
		return "", err
	}
	for _, c := range number {
		if c < '0' || c > '9' {
			return "", fmt.Errorf("%s is no id", thread.CapText(string(number)))
		}
	}
	return thread.CapText(string(number)), nil
}

// moment reads a time: RFC 3339, or milliseconds since 1970.
func moment(d *jx.Decoder) (time.Time, error) {
	var at time.Time
	if d.Next() == jx.Number {
		number, err := d.Raw()
		if err != nil {
			return time.Time{}, err
		}
		millis, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			return time.Time{}, errors.New("a number that is no time in milliseconds")
		}
		at = time.UnixMilli(millis).UTC()
	} else {
		text, err := text(d)
		if err != nil {
			return time.Time{}, err
		}
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return time.Time{}, errors.New("a text that is no time")
		}
		at = at.UTC()
	}
	if year := at.Year(); year < 1 || year > 9999 {
		return time.Time{}, errors.New("a time outside the years 1 to 9999")
	}
	return at, nil
}

// ticket reads the ticket out of a thread's associations; "" if there is none.
func ticket(d *jx.Decoder) (string, error) {
	var id string
	if d.Next() != jx.Object {
		return "", wrongType(d)
	}
	err := d.ObjBytes(func(d *jx.Decoder, key []byte) error {
		if string(key) != "associatedTicketId" {
			return d.Skip()
		}
		_, err := optional(d, &id, identifier)
		return err
	})
	return id, err
}

func wrongType(d *jx.Decoder) error {
	return fmt.Errorf("is of the unexpected type %s", d.Next())
}

// fieldError is a member that is not understood.
type fieldError struct {
	name string
	err  error
}

func (e *fieldError) Error() string { return e.name + ": " + e.err.Error() }

func (e *fieldError) Unwrap() error { return e.err }

// decodeError leaves out what the decoder wraps around a field's error.
func decodeError(err error) error {
	var field *fieldError
	if errors.As(err, &field) {
		return fmt.Errorf("decode thread: field %w", field)
	}
	return fmt.Errorf("decode thread: %w", err)
}
