package thread

import (
	"fmt"
	"iter"
	"math/bits"
)

// Kind is a kind of fact that an event is about. The numbers are those of the
// public contract, and give the order of events within a revision.
type Kind uint8

// The kinds of change.
const (
	KindLifecycle  Kind = 1
	KindStatus     Kind = 2
	KindAssignment Kind = 3
	KindClosure    Kind = 4
	KindActivity   Kind = 5
)

var kindNames = [...]string{
	KindLifecycle: "lifecycle", KindStatus: "status", KindAssignment: "assignment",
	KindClosure: "closure", KindActivity: "activity",
}

// String is the kind's name in configuration and topic names.
func (k Kind) String() string {
	if k >= KindLifecycle && k <= KindActivity {
		return kindNames[k]
	}
	return fmt.Sprintf("kind%d", uint8(k))
}

// ParseKind reads a kind's name.
func ParseKind(name string) (Kind, error) {
	for kind := KindLifecycle; kind <= KindActivity; kind++ {
		if kindNames[kind] == name {
			return kind, nil
		}
	}
	return 0, fmt.Errorf("unknown kind %q", name)
}

// KindSet is a set of kinds, one bit each.
type KindSet uint8

// Kinds makes a set.
func Kinds(kinds ...Kind) KindSet {
	var set KindSet
	for _, kind := range kinds {
		set |= 1 << kind
	}
	return set
}

// DefaultKinds are the kinds that are on unless somebody says otherwise.
var DefaultKinds = Kinds(KindLifecycle, KindStatus, KindAssignment, KindClosure)

// Has says whether the kind is in the set.
func (s KindSet) Has(kind Kind) bool { return s&(1<<kind) != 0 }

// Len is the number of kinds in the set.
func (s KindSet) Len() int { return bits.OnesCount8(uint8(s)) }

// All yields the kinds of the set in the order of their numbers.
func (s KindSet) All() iter.Seq[Kind] {
	return func(yield func(Kind) bool) {
		for kind := KindLifecycle; kind <= KindActivity; kind++ {
			if s.Has(kind) && !yield(kind) {
				return
			}
		}
	}
}

// Field is one of HubSpot's fields of a thread.
type Field uint8

// The fields, in the order of the public contract.
const (
	FieldStatus Field = iota
	FieldStatusText
	FieldCreatedAt
	FieldClosedAt
	FieldAssignedTo
	FieldInbox
	FieldChannel
	FieldChannelAccount
	FieldContact
	FieldTicket
	FieldSpam
	FieldArchived
	FieldPresence
	FieldLatestMessage
	FieldLatestReceived
	FieldLatestSent
	fieldCount
)

// fields gives each field its name in the public contract and the kind that
// covers it; zero rides along.
var fields = [fieldCount]struct {
	name string
	kind Kind
}{
	FieldStatus:         {"status", KindStatus},
	FieldStatusText:     {"status_text", KindStatus},
	FieldCreatedAt:      {"created_at", 0},
	FieldClosedAt:       {"closed_at", KindClosure},
	FieldAssignedTo:     {"assigned_to", KindAssignment},
	FieldInbox:          {"inbox_id", KindLifecycle},
	FieldChannel:        {"original_channel_id", KindLifecycle},
	FieldChannelAccount: {"original_channel_account_id", KindLifecycle},
	FieldContact:        {"associated_contact_id", KindLifecycle},
	FieldTicket:         {"associated_ticket_id", KindLifecycle},
	FieldSpam:           {"spam", KindLifecycle},
	FieldArchived:       {"archived", KindLifecycle},
	FieldPresence:       {"presence", KindLifecycle},
	FieldLatestMessage:  {"latest_message_at", KindActivity},
	FieldLatestReceived: {"latest_message_received_at", KindActivity},
	FieldLatestSent:     {"latest_message_sent_at", KindActivity},
}

// String is the field's name in the public contract.
func (f Field) String() string { return fields[f].name }

// Kind is the kind that covers the field, zero if it rides along.
func (f Field) Kind() Kind { return fields[f].kind }

// FieldSet is a set of fields, one bit each.
type FieldSet uint32

// Has says whether the field is in the set.
func (s FieldSet) Has(field Field) bool { return s&(1<<field) != 0 }

// With is the set with one more field.
func (s FieldSet) With(field Field) FieldSet { return s | 1<<field }

// All yields the fields of the set in the order of their numbers.
func (s FieldSet) All() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for field := range fieldCount {
			if s.Has(field) && !yield(field) {
				return
			}
		}
	}
}

// ParseField reads a field's name in the public contract.
func ParseField(name string) (Field, bool) {
	for field := range fieldCount {
		if fields[field].name == name {
			return field, true
		}
	}
	return 0, false
}
