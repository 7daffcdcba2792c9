package hubspottest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// HubSpot's ids of the channels that exist everywhere.
const (
	channelChat      = "1000"
	channelMessenger = "1001"
	channelEmail     = "1002"
)

// Inbox is a conversations inbox or a help desk.
type Inbox struct {
	ID       string
	Name     string
	HelpDesk bool
	Archived bool
}

// DefaultInboxes are the inboxes of an account that names none.
func DefaultInboxes() []Inbox {
	return []Inbox{
		{ID: "424410201", Name: "Support", HelpDesk: true},
		{ID: "424410202", Name: "Sales"},
		{ID: "424410203", Name: "Billing"},
		{ID: "424410204", Name: "Returns"},
	}
}

// Inboxes is a copy of the account's inboxes.
func (s *Server) Inboxes() []Inbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.inboxes)
}

// SetInboxes replaces the account's inboxes. Threads stay where they are.
func (s *Server) SetInboxes(inboxes []Inbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inboxes = slices.Clone(inboxes)
}

func (s *Server) hasInbox(id string) bool {
	return slices.ContainsFunc(s.inboxes, func(i Inbox) bool { return i.ID == id })
}

// channelAccount is the account of a channel that serves an inbox.
func channelAccount(inbox, channel string) string {
	if len(channel) == 0 {
		return inbox
	}
	return inbox + channel[len(channel)-1:]
}

// listInboxes answers the list of inboxes: pages by offset, and a total.
func (s *Server) listInboxes(r *http.Request, b Behaviour) answer {
	query := r.URL.Query()
	limit, problem := readLimit(query, 500)
	if problem != nil {
		return *problem
	}
	archived, problem := readBool(query, "archived")
	if problem != nil {
		return *problem
	}
	found := slices.DeleteFunc(s.Inboxes(), func(i Inbox) bool { return i.Archived != archived })
	from := cursor{}
	if after := query.Get("after"); after != "" {
		if from, problem = readCursor(after, cursorOffset); problem != nil {
			return *problem
		}
	}
	total := len(found)
	found = found[min(from.offset, total):]
	body := []byte(`{"total":` + strconv.Itoa(total) + `,"results":[`)
	for i, inbox := range found[:min(limit, len(found))] {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendInbox(body, inbox)
	}
	body = append(body, ']')
	if len(found) > limit {
		next := cursor{kind: cursorOffset, offset: from.offset + limit}
		body = s.appendPaging(body, r.URL.Path, next.String(), b)
	}
	return jsonAnswer(http.StatusOK, append(body, '}'))
}

func appendInbox(dst []byte, i Inbox) []byte {
	kind := "INBOX"
	if i.HelpDesk {
		kind = "HELP_DESK"
	}
	dst = append(dst, `{"id":`...)
	dst = appendJSON(dst, i.ID)
	dst = append(dst, `,"name":`...)
	dst = appendJSON(dst, i.Name)
	dst = append(dst, `,"type":"`+kind+`","archived":`...)
	dst = strconv.AppendBool(dst, i.Archived)
	if i.Archived {
		dst = append(dst, `,"archivedAt":"2024-06-03T08:00:00.000Z"`...)
	}
	return append(dst, `,"createdAt":"2021-02-01T09:30:00.000Z","updatedAt":"2024-06-03T08:00:00.000Z"}`...)
}

// accountDetails answers who the account is.
func (s *Server) accountDetails() answer {
	_, offset := s.clock().In(s.location).Zone()
	sign, minutes := "+", offset/60
	if offset < 0 {
		sign, minutes = "-", -minutes
	}
	clock := time.Date(2000, 1, 1, 0, minutes, 0, 0, time.UTC).Format("15:04")
	body := []byte(`{"portalId":` + s.account + `,"accountType":"STANDARD","timeZone":`)
	body = appendJSON(body, s.location.String())
	body = append(body, `,"companyCurrency":"EUR","additionalCurrencies":[],"utcOffset":"`+sign+clock+
		`","utcOffsetMilliseconds":`+strconv.Itoa(offset*1000)+
		`,"uiDomain":"app.hubspot.com","dataHostingLocation":"na1"}`...)
	return jsonAnswer(http.StatusOK, body)
}

// readLimit is the limit parameter, 100 if absent.
func readLimit(query url.Values, highest int) (int, *answer) {
	text := query.Get("limit")
	if text == "" {
		return min(100, highest), nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 || int(n) > highest {
		return 0, invalid("limit must be a number from 1 to " + strconv.Itoa(highest) + ", got " + text)
	}
	return int(n), nil
}

// readBool is a boolean parameter, false if absent.
func readBool(query url.Values, name string) (bool, *answer) {
	switch text := query.Get(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, invalid(name + " must be true or false, got " + text)
	}
}
