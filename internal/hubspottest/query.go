package hubspottest

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// listParameters are those that the list of threads knows.
var listParameters = [...]string{
	"after", "limit", "archived", "inboxId", "associatedContactId", "associatedTicketId",
	"threadStatus", "association", "latestMessageTimestampAfter", "sort", "property",
}

// threadParameters are those that one thread's GET knows.
var threadParameters = [...]string{"archived", "association", "property"}

// listQuery is what a request for a list asks for; comparable, as it is part of
// the key of rendered pages.
type listQuery struct {
	limit    int
	archived bool
	tickets  bool
	filter   filter
	byTime   bool
	since    int64 // with byTime: latest message at or after
	after    cursor
}

// filter holds texts that must be equal; empty texts filter nothing.
type filter struct {
	inbox, contact, ticket, status string
}

// parseList reads the parameters of the list of threads, with HubSpot's refusals.
func parseList(query url.Values, b Behaviour) (listQuery, *answer) {
	var q listQuery
	var problem *answer
	highest := 500
	if b.MaxLimit > 0 {
		highest = b.MaxLimit
	}
	if q.limit, problem = readLimit(query, highest); problem != nil {
		return q, problem
	}
	if q.archived, problem = readBool(query, "archived"); problem != nil {
		return q, problem
	}
	if q.tickets, problem = readAssociation(query); problem != nil {
		return q, problem
	}
	if q.filter, problem = readFilter(query, b); problem != nil {
		return q, problem
	}
	if problem = q.readSort(query, b); problem != nil {
		return q, problem
	}
	kind := cursorID
	switch {
	case q.byTime:
		kind = cursorTime
	case b.OffsetCursors:
		kind = cursorOffset
	}
	q.after = cursor{kind: kind}
	if after := query.Get("after"); after != "" {
		q.after, problem = readCursor(after, kind)
	}
	return q, problem
}

// readAssociation says whether tickets are asked for.
func readAssociation(query url.Values) (bool, *answer) {
	for _, value := range query["association"] {
		if value != "TICKET" {
			return false, invalid("association must be TICKET, got " + value)
		}
	}
	return query.Has("association"), nil
}

// readFilter reads the filters: one inbox only, not together with a contact, and a
// contact only with a status.
func readFilter(query url.Values, b Behaviour) (filter, *answer) {
	inboxes := splitAll(query["inboxId"])
	f := filter{
		contact: query.Get("associatedContactId"),
		ticket:  query.Get("associatedTicketId"),
		status:  query.Get("threadStatus"),
	}
	switch {
	case len(inboxes) > 1:
		return f, invalid("Only one inboxId filter is allowed for this query.")
	case len(inboxes) == 1 && f.contact != "":
		return f, invalid("inboxId and associatedContactId cannot be used together.")
	case f.contact != "" && f.status == "":
		return f, invalid("threadStatus is required with associatedContactId.")
	case f.status != "" && f.status != StatusOpen && f.status != StatusClosed:
		return f, invalid("threadStatus must be OPEN or CLOSED, got " + f.status)
	}
	if len(inboxes) == 1 {
		f.inbox = inboxes[0]
	}
	for _, id := range []string{f.inbox, f.contact, f.ticket} {
		if _, err := strconv.ParseUint(id, 10, 63); id != "" && err != nil {
			return f, invalid("not a number: " + id)
		}
	}
	if f.status != "" && f.contact == "" {
		switch b.StatusAlone {
		case StatusIgnored:
			f.status = ""
		case StatusRefused:
			return f, invalid("threadStatus requires associatedContactId.")
		}
	}
	return f, nil
}

// readSort reads the order: by id, or by latest message together with its bound.
// The bound alone is silently ignored. Descending order, which HubSpot has for one
// contact's threads only, is always refused here.
func (q *listQuery) readSort(query url.Values, b Behaviour) *answer {
	bound := query.Get("latestMessageTimestampAfter")
	if bound != "" {
		at, err := time.Parse(time.RFC3339Nano, bound)
		if err != nil {
			return invalid("latestMessageTimestampAfter is not a date-time: " + bound)
		}
		q.since = at.UnixMilli()
		if b.BoundExclusive || at.After(time.UnixMilli(q.since)) {
			q.since++
		}
	}
	switch sorts := splitAll(query["sort"]); {
	case len(sorts) == 0, slices.Equal(sorts, []string{"id"}):
		q.since = 0
	case !slices.Equal(sorts, []string{"latestMessageTimestamp"}):
		return invalid("sort must be id or latestMessageTimestamp, got " + strings.Join(sorts, ","))
	case bound == "":
		return invalid("sort=latestMessageTimestamp requires latestMessageTimestampAfter.")
	default:
		q.byTime = true
	}
	return nil
}

// splitAll is the values of an array parameter, in either way of writing it.
func splitAll(values []string) []string {
	var all []string
	for _, value := range values {
		if value != "" {
			all = append(all, strings.Split(value, ",")...)
		}
	}
	return all
}
