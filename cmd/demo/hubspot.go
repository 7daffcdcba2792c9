package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/threadcast/threadcast/internal/hubspottest"
)

// serve is `demo hubspot`: the fake alone, until it is over or interrupted.
func serve(ctx context.Context, s surroundings, o hubspotOptions) (err error) {
	_, playing, release := heed(ctx, s.signals)
	defer release()
	hubspot, err := openInbox(playing, o.inboxOptions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hubspot.close()) }()
	l := &ledger{server: hubspot.server, view: newView(s.stdout, o.json)}
	l.view.tell(served(hubspot))
	err = hubspot.play(playing, l.write)
	l.view.tell(l.end())
	if errors.Is(err, errInterrupted) {
		return nil
	}
	return err
}

func served(h *inbox) notice {
	text := fmt.Sprintf(`fake HubSpot: account %s, %d threads, about %g things happen a second

  base_url  %s
  token     %s
  threads   GET %s%s
`, h.opt.account, h.opt.threads, h.opt.rate, h.url, h.opt.token, h.url, hubspottest.ThreadsPath(hubspottest.Version202609Beta))
	if h.opt.length == 0 {
		text += "\nCtrl-C ends it.\n"
	}
	text += "\n" + fmt.Sprintf("%-12s  %-11s  %-18s  %s", "time", "thread", "what", "from -> to")
	return notice{"serving", text, map[string]any{
		"base_url": h.url, "account": h.opt.account, "threads": h.opt.threads, "rate": h.opt.rate, "seed": h.opt.seed,
	}}
}

// ledger writes mutations down.
type ledger struct {
	server *hubspottest.Server
	view   view
	last   uint64 // sequence of the newest that was written
}

// write writes what is new.
func (l *ledger) write() {
	for _, m := range l.server.Log(l.last) {
		l.last = m.Sequence
		l.view.tell(notice{"mutation", mutationLine(m), mutationFields(m)})
	}
}

func (l *ledger) end() notice {
	calls := l.server.Stats().Requests
	return notice{"end", fmt.Sprintf("\n%d things happened, %d calls were answered", l.last, calls), map[string]any{"mutations": l.last, "calls": calls}}
}

func mutationLine(m hubspottest.Mutation) string {
	var from, to string
	switch before, after := m.Before, m.After; {
	case m.Op == hubspottest.OpOpen:
		to = "inbox " + after.Inbox
	case before.Status != after.Status:
		from, to = before.Status, after.Status
	case before.AssignedTo != after.AssignedTo:
		from, to = orNobody(string(before.AssignedTo)), orNobody(string(after.AssignedTo))
	case before.Inbox != after.Inbox:
		from, to = "inbox "+before.Inbox, "inbox "+after.Inbox
	case before.Ticket != after.Ticket:
		from, to = before.Ticket, after.Ticket
	}
	if from != "" {
		from += " -> "
	}
	line := fmt.Sprintf("%s  %-11s  %-18s  %s", m.Time.Local().Format(clockFormat), m.Thread, m.Op, from+to)
	return strings.TrimRight(line, " ")
}

func orNobody(text string) string {
	if text == "" {
		return "nobody"
	}
	return text
}

func mutationFields(m hubspottest.Mutation) map[string]any {
	fields := map[string]any{
		"sequence": m.Sequence, "time": m.Time.UTC(), "thread_id": m.Thread.String(), "op": m.Op.String(), "after": threadFields(m.After),
	}
	if m.Before != (hubspottest.Thread{}) {
		fields["before"] = threadFields(m.Before)
	}
	return fields
}

// threadFields are a thread's fields under HubSpot's names; what HubSpot leaves out is
// left out here too.
func threadFields(t hubspottest.Thread) map[string]any {
	fields := map[string]any{"id": t.ID.String(), "spam": t.Spam, "archived": t.Archived, "purged": t.Purged}
	for name, text := range map[string]string{
		"status": t.Status, "assignedTo": string(t.AssignedTo), "inboxId": t.Inbox, "originalChannelId": t.Channel,
		"originalChannelAccountId": t.ChannelAccount, "associatedContactId": t.Contact, "associatedTicketId": t.Ticket,
	} {
		if text != "" {
			fields[name] = text
		}
	}
	for name, moment := range map[string]time.Time{
		"createdAt": t.CreatedAt, "closedAt": t.ClosedAt, "latestMessageTimestamp": t.LatestMessage,
		"latestMessageReceivedTimestamp": t.LatestReceived, "latestMessageSentTimestamp": t.LatestSent,
	} {
		if !moment.IsZero() {
			fields[name] = moment.UTC()
		}
	}
	return fields
}
