package hubspot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-faster/jx"

	"github.com/threadcast/threadcast/internal/quota"
	"github.com/threadcast/threadcast/internal/thread"
)

// Account is what HubSpot tells about the account that the token belongs to.
type Account struct {
	ID        string // the portal id, in digits
	TimeZone  string // an IANA name; "" if not told
	UTCOffset string // "-07:00"; "" if not told
}

// Location is the account's time zone; UTC if HubSpot did not tell it or this
// machine does not know it.
func (a Account) Location() *time.Location {
	if a.TimeZone != "" && a.TimeZone != "Local" {
		if location, err := time.LoadLocation(a.TimeZone); err == nil {
			return location
		}
	}
	offset := strings.TrimPrefix(strings.TrimPrefix(a.UTCOffset, "UTC"), "GMT")
	if at, err := time.Parse("-07:00", offset); err == nil {
		_, seconds := at.Zone()
		return time.FixedZone(offset, seconds)
	}
	return time.UTC
}

// Account asks who the token belongs to. An *Error with ClassScope or status 404
// means that HubSpot will not tell; take the account's id from the configuration.
func (c *Client) Account(ctx context.Context) (Account, error) {
	var account Account
	var last error
	for _, path := range accountPaths() {
		_, err := c.do(ctx, call{
			endpoint: endpointAccount,
			path:     func(paths) string { return path },
			query:    func(int) string { return "" },
			fixed:    true,
			priority: quota.PriorityConfirm,
			understand: func(body []byte) (err error) {
				account, err = decodeAccount(body)
				return err
			},
		})
		if err == nil {
			return account, nil
		}
		last = fmt.Errorf("get account details: %w", err)
		var failure *Error
		if !errors.As(err, &failure) || failure.Status != http.StatusNotFound {
			break
		}
	}
	return Account{}, last
}

// Inbox is one of the account's inboxes.
type Inbox struct {
	ID       string
	Name     string
	Type     string // INBOX or HELP_DESK
	Archived bool
}

// maxInboxPages caps the walk through an account's inboxes.
const maxInboxPages = 1000

// Inboxes lists all inboxes of the account.
func (c *Client) Inboxes(ctx context.Context) ([]Inbox, error) {
	var inboxes []Inbox
	seen := map[string]bool{"": true}
	for cursor := ""; ; {
		page, next, err := c.inboxPage(ctx, cursor)
		if err != nil {
			return nil, fmt.Errorf("list inboxes after %q: %w", cursor, err)
		}
		inboxes = append(inboxes, page...)
		if next == "" {
			return inboxes, nil
		}
		cursor = cursorParameter(next)
		if seen[cursor] || len(seen) > maxInboxPages {
			return nil, fmt.Errorf("list inboxes after %q: %w", next, errLoop)
		}
		seen[cursor] = true
	}
}

func (c *Client) inboxPage(ctx context.Context, cursor string) (inboxes []Inbox, next string, err error) {
	values := url.Values{}
	if cursor != "" {
		values.Set("after", cursor)
	}
	_, err = c.do(ctx, call{
		endpoint: endpointInboxes,
		path:     func(p paths) string { return p.inboxes },
		query:    func(int) string { return values.Encode() },
		cursor:   cursor != "",
		priority: quota.PriorityConfirm,
		understand: func(body []byte) error {
			var items []thread.Item
			var err error
			if items, next, err = split(body, c.seed, 16); err != nil {
				return err
			}
			inboxes, err = decodeInboxes(items)
			return err
		},
	})
	return inboxes, next, err
}

func decodeInboxes(items []thread.Item) ([]Inbox, error) {
	inboxes := make([]Inbox, 0, len(items))
	for _, item := range items {
		inbox := Inbox{ID: item.ID.String()}
		err := jx.DecodeBytes(item.Raw).ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
			switch string(key) {
			case "name":
				inbox.Name, err = textOr(d)
			case "type":
				inbox.Type, err = textOr(d)
			case "archived":
				inbox.Archived = d.Next() == jx.Bool
				if !inbox.Archived {
					return d.Skip()
				}
				inbox.Archived, err = d.Bool()
			default:
				err = d.Skip()
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("inbox %s: %w", inbox.ID, err)
		}
		inboxes = append(inboxes, inbox)
	}
	return inboxes, nil
}

func decodeAccount(body []byte) (Account, error) {
	if err := whole(body); err != nil {
		return Account{}, err
	}
	var account Account
	var id thread.ID
	err := jx.DecodeBytes(body).ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "portalId":
			var raw jx.Raw
			if raw, err = d.Raw(); err == nil {
				id, err = readID(raw)
			}
		case "timeZone":
			account.TimeZone, err = textOr(d)
		case "utcOffset":
			account.UTCOffset, err = textOr(d)
		default:
			err = d.Skip()
		}
		return err
	})
	if err != nil || id == 0 {
		return Account{}, errors.New("no portalId in the account's details")
	}
	account.ID = id.String()
	return account, nil
}

// textOr is a text, or "" where there is something else.
func textOr(d *jx.Decoder) (string, error) {
	if d.Next() != jx.String {
		return "", d.Skip()
	}
	text, err := d.Str()
	return thread.CapText(text), err
}
