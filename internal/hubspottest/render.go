package hubspottest

import (
	"encoding/json"
	"strconv"
	"time"
)

// appendThread renders a thread as HubSpot does: about 480 bytes, optional fields
// left out when empty.
func (t *table) appendThread(dst []byte, rec *record, tickets bool, extra string) []byte {
	quoted := t.lexicon.quoted
	dst = append(dst, `{"id":"`...)
	dst = strconv.AppendUint(dst, rec.id, 10)
	dst = append(dst, '"')
	dst = appendTime(dst, `,"createdAt":"`, rec.created)
	dst = appendTime(dst, `,"closedAt":"`, rec.closed)
	dst = append(dst, `,"status":`...)
	dst = append(dst, quoted[rec.status]...)
	dst = append(dst, `,"originalChannelId":`...)
	dst = append(dst, quoted[rec.channel]...)
	dst = append(dst, `,"originalChannelAccountId":`...)
	dst = append(dst, quoted[rec.channelAccount]...)
	dst = append(dst, `,"inboxId":`...)
	dst = append(dst, quoted[rec.inbox]...)
	dst = append(dst, `,"associatedContactId":`...)
	dst = t.appendWide(dst, rec.contact)
	if rec.assigned != wordNone {
		dst = append(dst, `,"assignedTo":`...)
		dst = append(dst, quoted[rec.assigned]...)
	}
	dst = appendTime(dst, `,"latestMessageTimestamp":"`, rec.latest)
	dst = appendTime(dst, `,"latestMessageReceivedTimestamp":"`, rec.received)
	dst = appendTime(dst, `,"latestMessageSentTimestamp":"`, rec.sent)
	if tickets && rec.ticket != 0 {
		dst = append(dst, `,"threadAssociations":{"associatedTicketId":`...)
		dst = t.appendWide(dst, rec.ticket)
		dst = append(dst, '}')
	}
	dst = append(dst, `,"spam":`...)
	dst = strconv.AppendBool(dst, rec.has(flagSpam))
	dst = append(dst, `,"archived":`...)
	dst = strconv.AppendBool(dst, rec.has(flagArchived))
	dst = append(dst, extra...)
	return append(dst, '}')
}

// appendWide renders a wide text in quotes.
func (t *table) appendWide(dst []byte, w wide) []byte {
	switch {
	case w == 0:
		return append(dst, `""`...)
	case w&wideWord != 0:
		return append(dst, t.lexicon.quoted[w&^wideWord]...)
	}
	dst = append(dst, '"')
	dst = strconv.AppendUint(dst, uint64(w), 10)
	return append(dst, '"')
}

// appendTime renders a time after its name, nothing for an absent one.
func appendTime(dst []byte, name string, ms int64) []byte {
	if ms == 0 {
		return dst
	}
	year, month, day := time.UnixMilli(ms).UTC().Date()
	dst = append(dst, name...)
	dst = appendPair(dst, year/100)
	dst = append(appendPair(dst, year%100), '-')
	dst = append(appendPair(dst, int(month)), '-')
	dst = append(appendPair(dst, day), 'T')
	clock := int(ms % 86_400_000)
	if clock < 0 {
		clock += 86_400_000
	}
	dst = append(appendPair(dst, clock/3_600_000), ':')
	dst = append(appendPair(dst, clock/60_000%60), ':')
	dst = append(appendPair(dst, clock/1000%60), '.', byte('0'+clock/100%10))
	return append(appendPair(dst, clock%100), 'Z', '"')
}

// appendPair renders two digits.
func appendPair(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

// appendJSON renders a text in quotes.
func appendJSON(dst []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("hubspottest: a string does not marshal: " + err.Error())
	}
	return append(dst, quoted...)
}

// appendPaging ends the results of a page that has a successor.
func (s *Server) appendPaging(dst []byte, path, after string, b Behaviour) []byte {
	base := b.LinkBase
	if base == "" {
		base = "https://api.hubapi.com"
	}
	dst = append(dst, `,"paging":{"next":{"after":`...)
	dst = appendJSON(dst, after)
	dst = append(dst, `,"link":`...)
	dst = appendJSON(dst, base+path+"?after="+after)
	return append(dst, `}}`...)
}
