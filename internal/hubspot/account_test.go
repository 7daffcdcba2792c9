package hubspot

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

func TestGet(t *testing.T) {
	gone := `{"status":"error","message":"Thread 7 not found","correlationId":"c-1","category":"OBJECT_NOT_FOUND"}`
	tests := map[string]struct {
		reply    *reply
		archived bool
		found    bool
		notFound bool
	}{
		"there":              {ok(realThread(7)), false, true, false},
		"archived":           {ok(realThread(7)), true, true, false},
		"gone":               {bad(404, gone), false, false, true},
		"404 without a word": {bad(404, ""), false, false, false},
		"404 web page":       {bad(404, "<html>OBJECT_NOT_FOUND</html>"), false, false, false},
		"404 other category": {bad(404, `{"category":"NO_ROUTE"}`), false, false, false},
		"another thread":     {ok(realThread(8)), false, false, false},
		"200 empty":          {ok("{}"), false, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, f := connect(t, func(int, *http.Request) *reply { return test.reply }, nil)
				time.Sleep(time.Second)
				got, err := client.Get(t.Context(), 7, test.archived, nil)
				if errors.Is(err, thread.ErrNotFound) != test.notFound || (err == nil) != test.found {
					t.Errorf("err %v", err)
				}
				if (len(got.Items) == 1) != test.found || got.Sent.Mono < time.Second || got.Ascending || got.More || !got.Direct() {
					t.Errorf("page %+v", got)
				}
				want := "/conversations/conversations/2026-09-beta/threads/7?association=TICKET"
				if test.archived {
					want = "/conversations/conversations/2026-09-beta/threads/7?archived=true&association=TICKET"
				}
				if got := f.requests[0].URL.RequestURI(); got != want {
					t.Errorf("asked for %s, want %s", got, want)
				}
			})
		})
	}
}

func TestInboxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := connect(t, func(_ int, r *http.Request) *reply {
			switch r.URL.Query().Get("after") {
			case "":
				return ok(`{"total":2,"results":[{"id":"11","name":"Support","type":"INBOX","archived":false}],"paging":{"next":{"after":"p2%3D"}}}`)
			case "p2=":
				return ok(`{"results":[],"paging":{"next":{"after":"p3"}}}`)
			}
			return ok(`{"results":[{"id":12,"name":null,"type":"HELP_DESK","archived":true,"more":{}}]}`)
		}, nil)
		got, err := client.Inboxes(t.Context())
		want := []Inbox{{"11", "Support", "INBOX", false}, {"12", "", "HELP_DESK", true}}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("inboxes %v, %v; want %v", got, err, want)
		}
		loop, _ := connect(t, func(int, *http.Request) *reply { return ok(page("x")) }, nil)
		if _, err := loop.Inboxes(t.Context()); !errors.Is(err, thread.ErrCursor) {
			t.Errorf("err %v, want ErrCursor", err)
		}
	})
}

func TestAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, f := connect(t, func(_ int, r *http.Request) *reply {
			if r.URL.Path != "/account-info/v3/details" {
				return bad(404, "nothing here")
			}
			return ok(`{"portalId":9007199254740993,"timeZone":"UTC","utcOffset":"-07:00","uiDomain":"app.hubspot.com"}`)
		}, nil)
		got, err := client.Account(t.Context())
		if want := (Account{"9007199254740993", "UTC", "-07:00"}); err != nil || got != want || f.count() != 2 {
			t.Errorf("account %+v, %v; want %+v", got, err, want)
		}
		hidden, _ := connect(t, func(int, *http.Request) *reply { return bad(403, `{"category":"MISSING_SCOPES"}`) }, nil)
		var failure *Error
		if _, err := hidden.Account(t.Context()); !errors.As(err, &failure) || failure.Class != ClassScope || !strings.Contains(err.Error(), "account_id") {
			t.Errorf("err %v, want class scope and account_id", err)
		}
		empty, _ := connect(t, func(int, *http.Request) *reply { return ok(`{}`) }, nil)
		if _, err := empty.Account(t.Context()); !errors.As(err, &failure) || failure.Class != ClassAnswer {
			t.Errorf("err %v, want class answer", err)
		}
	})
	if got := (Account{UTCOffset: "-07:00"}).Location(); at.In(got).Format("-0700") != "-0700" {
		t.Errorf("location %v", got)
	}
	if got := (Account{TimeZone: "Mars/Olympus"}).Location(); got != time.UTC {
		t.Errorf("location %v, want UTC", got)
	}
}
