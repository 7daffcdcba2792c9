package oracle

import (
	"strings"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// view is what the published kinds cover of a thread, by kind; nil for the others.
// Views compare with ==.
type view [thread.KindActivity + 1]any

type lifecycleFacts struct {
	inbox, channel, channelAccount, contact, ticket string
	spam, archived                                  bool
	presence                                        thread.Presence
}

type statusFacts struct {
	status thread.Status
	text   string
}

type assignmentFacts struct{ to thread.Actor }

type closureFacts struct {
	closed bool
	at     time.Time
}

type activityFacts struct{ message, received, sent time.Time }

func viewOf(f thread.Facts, kinds thread.KindSet) view {
	all := view{
		thread.KindLifecycle: lifecycleFacts{
			f.Inbox, f.Channel, f.ChannelAccount, f.Contact, f.Ticket, f.Spam, f.Archived, f.Presence,
		},
		thread.KindStatus:     statusFacts{f.Status, f.StatusText},
		thread.KindAssignment: assignmentFacts{f.AssignedTo},
		thread.KindClosure:    closureFacts{f.Status == thread.StatusClosed, f.ClosedAt},
		thread.KindActivity:   activityFacts{f.LatestMessage, f.LatestReceived, f.LatestSent},
	}
	if f.Status == thread.StatusUnknown {
		all[thread.KindClosure] = nil // such a status leaves open whether the thread is closed
	}
	for kind := range all {
		if !kinds.Has(thread.Kind(kind)) {
			all[kind] = nil
		}
	}
	return all
}

// differing are the kinds in which two views of a thread differ.
func (v view) differing(w view) thread.KindSet {
	var kinds thread.KindSet
	for kind := range v {
		if v[kind] != w[kind] {
			kinds |= thread.Kinds(thread.Kind(kind))
		}
	}
	return kinds
}

// facets are the kinds that there is something to say about at first sight.
func (v view) facets() thread.KindSet {
	var kinds thread.KindSet
	for kind, facts := range v {
		switch facts := facts.(type) {
		case nil:
			continue
		case assignmentFacts:
			if facts.to == "" {
				continue
			}
		case closureFacts:
			if !facts.closed {
				continue
			}
		case activityFacts:
			if facts == (activityFacts{}) {
				continue
			}
		}
		kinds |= thread.Kinds(thread.Kind(kind))
	}
	return kinds
}

func names(kinds thread.KindSet) string {
	var all []string
	for kind := range kinds.All() {
		all = append(all, kind.String())
	}
	return strings.Join(all, ", ")
}
