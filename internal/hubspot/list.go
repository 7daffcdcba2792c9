package hubspot

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-faster/jx"

	"github.com/threadcast/threadcast/internal/quota"
	"github.com/threadcast/threadcast/internal/thread"
)

// The endpoints, as metrics and logs name them.
const (
	endpointThreads = "threads"
	endpointThread  = "thread"
	endpointInboxes = "inboxes"
	endpointAccount = "account"
)

// errLoop is a page whose next page is itself.
var errLoop = fmt.Errorf("the next page is this one again: %w", thread.ErrCursor)

// List asks for a page of threads. Its items are split, not decoded.
// thread.ErrCursor means that the cursor is refused, or that the page's next page
// is itself. See the package comment for what is retried.
func (c *Client) List(ctx context.Context, query thread.Query) (thread.Page, error) {
	page := thread.Page{Lane: query.Lane, Chain: query.Chain, Cursor: query.Cursor, After: query.After}
	question := call{
		endpoint: endpointThreads,
		path:     func(p paths) string { return p.threads },
		query:    func(limit int) string { return listParameters(query, limit).Encode() },
		limit:    MaxPageSize,
		cursor:   query.Cursor != "",
		priority: priorityOf(query.Lane),
		onSend:   query.OnSend,
		size:     &c.listSize,
		understand: func(body []byte) (err error) {
			page.Items, page.Next, err = split(body, c.seed, int(c.pageSize.Load()))
			return err
		},
	}
	e, err := c.do(ctx, question)
	if err != nil {
		return thread.Page{}, fmt.Errorf("list threads after %q: %w", query.Cursor, err)
	}
	page.Sent, page.Arrived, page.More = e.sent, e.arrived, page.Next != ""
	if page.More && cursorParameter(page.Next) == cursorParameter(query.Cursor) {
		return thread.Page{}, fmt.Errorf("list threads after %q: %w", query.Cursor, errLoop)
	}
	page.ServerTime = e.date
	if !query.Since.IsZero() {
		page.Newest = newest(page.Items)
	}
	page.Ascending = query.Since.IsZero() && ascending(query.After, page.Items)
	return page, nil
}

// Fingerprint names what a cursor of the query depends on: host, path, filter,
// order and page size. A position that was made under another one proves nothing.
func (c *Client) Fingerprint(query thread.Query) string {
	query.Cursor = ""
	parameters := listParameters(query, int(c.pageSize.Load()))
	parameters.Del("latestMessageTimestampAfter")
	paths, _ := c.version.current()
	return c.base.Host + c.base.Path + paths.threads + "?" + parameters.Encode()
}

// listParameters are the parameters of a list. Property is never sent: what it
// leaves out would look like a change.
func listParameters(q thread.Query, limit int) url.Values {
	values := url.Values{}
	values.Set("association", "TICKET") // always, or tickets come and go
	values.Set("limit", strconv.Itoa(limit))
	if q.Cursor != "" {
		values.Set("after", cursorParameter(q.Cursor))
	}
	if q.Chain != "" {
		values.Set("inboxId", q.Chain)
	}
	if q.Archived {
		values.Set("archived", "true")
	}
	if !q.Since.IsZero() {
		// HubSpot ignores the bound without the sort and refuses the sort without
		// the bound.
		values.Set("sort", "latestMessageTimestamp")
		values.Set("latestMessageTimestampAfter", q.Since.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	return values
}

// cursorParameter is a cursor before it is encoded for a URL. HubSpot gives some
// out percent-encoded already; encoded twice they would lead back to page one.
func cursorParameter(cursor string) string {
	if !strings.Contains(cursor, "%") {
		return cursor
	}
	if plain, err := url.PathUnescape(cursor); err == nil {
		return plain
	}
	return cursor
}

// ascending says that ids ascend strictly from the last one before the page on.
func ascending(after thread.ID, items []thread.Item) bool {
	for _, item := range items {
		if item.ID <= after {
			return false
		}
		after = item.ID
	}
	return true
}

// newest is the newest message among the threads; a thread that does not tell it
// does not count.
func newest(items []thread.Item) time.Time {
	var newest time.Time
	for _, item := range items {
		_ = jx.DecodeBytes(item.Raw).ObjBytes(func(d *jx.Decoder, key []byte) error {
			if string(key) != "latestMessageTimestamp" {
				return d.Skip()
			}
			at, err := moment(d)
			if at.After(newest) {
				newest = at
			}
			return err
		})
	}
	return newest
}

func priorityOf(lane thread.Lane) quota.Priority {
	switch lane {
	case thread.LaneConfirm:
		return quota.PriorityConfirm
	case thread.LaneRecent:
		return quota.PriorityRecent
	}
	return quota.PriorityFull
}

// Get asks for one thread. The page has that one item, and its evidence is
// direct. thread.ErrNotFound is HubSpot's word, a 404 with the category
// OBJECT_NOT_FOUND, that there is no such thread, or, with archived, none in the
// trash; no other 404 is. The page then has no item, but says when it was sent and
// had arrived.
func (c *Client) Get(ctx context.Context, id thread.ID, archived bool, onSend func(thread.Instant)) (thread.Page, error) {
	page := thread.Page{Lane: thread.LaneConfirm}
	values := url.Values{"association": {"TICKET"}}
	if archived {
		values.Set("archived", "true")
	}
	e, err := c.do(ctx, call{
		endpoint: endpointThread,
		path:     func(p paths) string { return p.threads + "/" + id.String() },
		query:    func(int) string { return values.Encode() },
		object:   true,
		priority: quota.PriorityConfirm,
		onSend:   onSend,
		understand: func(body []byte) error {
			item, err := splitOne(body, c.seed)
			if err == nil && item.ID != id {
				err = fmt.Errorf("it is thread %s", item.ID)
			}
			page.Items = []thread.Item{item}
			return err
		},
	})
	page.Sent, page.Arrived, page.ServerTime = e.sent, e.arrived, e.date
	if err != nil {
		page.Items = nil
		return page, fmt.Errorf("get thread %s: %w", id, err)
	}
	return page, nil
}
