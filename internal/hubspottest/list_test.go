package hubspottest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// TestListRules has a line for each rule of the list of threads.
func TestListRules(t *testing.T) {
	after := func(minutes int) string {
		return "latestMessageTimestampAfter=" + epoch.Add(-time.Duration(minutes)*time.Minute).Format(time.RFC3339)
	}
	byTime := "sort=latestMessageTimestamp&"
	for _, test := range []struct {
		name, query string
		behaviour   Behaviour
		status      int
		want        string // ids, or the message
	}{
		{name: "ids ascend by default", want: "101 102 103 104"},
		{name: "sort by id", query: "sort=id", want: "101 102 103 104"},
		{name: "archived gives only those", query: "archived=true", want: "106"},
		{name: "archived is a boolean", query: "archived=1", status: 400, want: "archived must be true or false, got 1"},
		{name: "one inbox", query: "inboxId=424410202", want: "103"},
		{name: "an inbox without threads", query: "inboxId=99", want: ""},
		{name: "two inboxes", query: "inboxId=424410201&inboxId=424410202", status: 400, want: "Only one inboxId filter is allowed for this query."},
		{name: "two inboxes in one value", query: "inboxId=424410201,424410202", status: 400, want: "Only one inboxId filter is allowed for this query."},
		{name: "inbox is a number", query: "inboxId=support", status: 400, want: "not a number: support"},
		{name: "inbox and contact", query: "inboxId=1&associatedContactId=77&threadStatus=OPEN", status: 400, want: "inboxId and associatedContactId cannot be used together."},
		{name: "contact without status", query: "associatedContactId=77", status: 400, want: "threadStatus is required with associatedContactId."},
		{name: "contact with status", query: "associatedContactId=77&threadStatus=OPEN", want: "101 104"},
		{name: "ticket", query: "associatedTicketId=555", want: "101"},
		{name: "status alone", query: "threadStatus=CLOSED", want: "102"},
		{name: "status alone, ignored", query: "threadStatus=CLOSED", behaviour: Behaviour{StatusAlone: StatusIgnored}, want: "101 102 103 104"},
		{name: "status alone, refused", query: "threadStatus=CLOSED", behaviour: Behaviour{StatusAlone: StatusRefused}, status: 400, want: "threadStatus requires associatedContactId."},
		{name: "unknown status", query: "threadStatus=open", status: 400, want: "threadStatus must be OPEN or CLOSED, got open"},
		{name: "limit 500", query: "limit=500", want: "101 102 103 104"},
		{name: "limit 501", query: "limit=501", status: 400, want: "limit must be a number from 1 to 500, got 501"},
		{name: "limit 0", query: "limit=0", status: 400, want: "limit must be a number from 1 to 500, got 0"},
		{name: "lower limit", query: "limit=101", behaviour: Behaviour{MaxLimit: 100}, status: 400, want: "limit must be a number from 1 to 100, got 101"},
		{name: "association", query: "association=CONTACT", status: 400, want: "association must be TICKET, got CONTACT"},
		{name: "bound alone is ignored", query: after(1), want: "101 102 103 104"},
		{name: "sort alone", query: byTime, status: 400, want: "sort=latestMessageTimestamp requires latestMessageTimestampAfter."},
		{name: "by time, without the silent thread", query: byTime + after(60), want: "102 104 101"},
		{name: "by time, bounded inclusively", query: byTime + after(30), want: "104 101"},
		{name: "by time, bounded exclusively", query: byTime + after(30), behaviour: Behaviour{BoundExclusive: true}, want: "101"},
		{name: "by time, archived", query: byTime + "archived=true&" + after(60), want: "106"},
		{name: "by time, in an inbox", query: byTime + "inboxId=424410202&" + after(60), want: ""},
		{name: "bound is a date-time", query: byTime + "latestMessageTimestampAfter=1700000000000", status: 400, want: "latestMessageTimestampAfter is not a date-time: 1700000000000"},
		{name: "descending", query: "sort=-id", status: 400, want: "sort must be id or latestMessageTimestamp, got -id"},
		{name: "unknown sort", query: "sort=createdAt", status: 400, want: "sort must be id or latestMessageTimestamp, got createdAt"},
		{name: "unknown parameter", query: "status=OPEN&latestMessageTimestampBefore=x", want: "101 102 103 104"},
		{name: "spam hidden", behaviour: Behaviour{HideSpam: true}, want: "101 102 103"},
		{name: "cursor of another list", query: "after=" + url.QueryEscape(cursor{kind: cursorTime}.plain()), status: 400, want: "after is not a cursor of this list: dDAuMAo="},
		{name: "no cursor at all", query: "after=101", status: 400, want: "after is not a cursor of this list: 101"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := five(t, Config{Behaviour: test.behaviour})
			got := get(t, s, threadsPath, test.query)
			if test.status == 0 {
				test.status = http.StatusOK
			}
			text := got.ids()
			if got.status >= 400 {
				text = got.page.Message
			}
			if got.status != test.status || text != test.want {
				t.Errorf("%s: got %d %q, want %d %q", test.query, got.status, text, test.status, test.want)
			}
		})
	}
}

func TestOptionalFieldsAreLeftOut(t *testing.T) {
	s := five(t, Config{})
	plain := get(t, s, threadsPath, "").page.Results
	for _, name := range []string{"threadAssociations", "assignedTo", "closedAt", "latestMessageSentTimestamp"} {
		if _, ok := plain[0][name]; ok {
			t.Errorf("thread 101 without association: has %s", name)
		}
	}
	with := get(t, s, threadsPath, "association=TICKET").page.Results
	if got := fmt.Sprint(with[0]["threadAssociations"]); got != "map[associatedTicketId:555]" {
		t.Errorf("thread 101 with association: got %s", got)
	}
	if _, ok := with[1]["threadAssociations"]; ok {
		t.Error("thread 102 has no ticket, but threadAssociations")
	}
	if body := get(t, s, threadsPath, "").body; strings.Contains(body, "total") || strings.Contains(body, "null") {
		t.Errorf("a page has neither total nor null: %s", body)
	}
}

func TestTimesReadBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		want := time.UnixMilli(rng.Int64N(8e12) - 4e12).UTC()
		text := string(appendTime(nil, "", want.UnixMilli()))
		got, err := time.Parse("2006-01-02T15:04:05.000Z", strings.TrimSuffix(text, `"`))
		if err != nil || !got.Equal(want) {
			t.Fatalf("time %v: rendered as %s, %v", want, text, err)
		}
	}
}

func TestThreadsWithNewFields(t *testing.T) {
	s := five(t, Config{Behaviour: Behaviour{Extra: `,"mood":{"now":"fine"}`}})
	for _, path := range []string{threadsPath, threadsPath + "/101"} {
		if got := get(t, s, path, "").body; !strings.Contains(got, `"archived":false,"mood":{"now":"fine"}}`) {
			t.Errorf("%s: got %s, want the extra member", path, got)
		}
	}
}

func TestParametersAreCounted(t *testing.T) {
	s := five(t, Config{})
	get(t, s, threadsPath, "status=OPEN&limit=5&property=id")
	get(t, s, threadsPath+"/101", "status=OPEN&archived=false&property=id")
	get(t, s, InboxesPath(Version202609), "limit=5&x=1")
	stats := s.Stats()
	if stats.Unknown["status"] != 2 || stats.Unknown["x"] != 1 || len(stats.Unknown) != 2 || stats.Property != 2 {
		t.Errorf("parameters: got unknown %v and property %d, want status 2, x 1 and 2", stats.Unknown, stats.Property)
	}
}

func TestWalkSeesEveryThreadOnce(t *testing.T) {
	for _, test := range []struct {
		name      string
		behaviour Behaviour
		pages     int
	}{
		{"by last id", Behaviour{}, 3},
		{"by offset", Behaviour{OffsetCursors: true}, 3},
		{"plain cursors", Behaviour{PlainCursors: true}, 3},
		{"empty pages", Behaviour{EmptyEvery: 2}, 5},
		{"empty pages by offset", Behaviour{EmptyEvery: 2, OffsetCursors: true}, 5},
		{"empty tail", Behaviour{EmptyTail: true}, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := New(Config{Clock: fixed, Behaviour: test.behaviour})
			var want []string
			for range 250 {
				want = append(want, s.Open(Opening{}).String())
			}
			pages := walk(t, s, "archived=false")
			if got := flat(pages); got != strings.Join(want, " ") {
				t.Errorf("ids: got %s", got)
			}
			if len(pages) != test.pages {
				t.Errorf("pages: got %d, want %d", len(pages), test.pages)
			}
			if got := flat(walk(t, s, "limit=7&sort=latestMessageTimestamp&latestMessageTimestampAfter=2020-01-01T00:00:00Z")); got != strings.Join(want, " ") {
				t.Errorf("ids by time: got %s", got)
			}
		})
	}
}

func TestCursorIsEncodedAlready(t *testing.T) {
	s := five(t, Config{})
	first := get(t, s, threadsPath, "limit=2")
	after := first.page.Paging.Next.After
	if want := (cursor{kind: cursorID, id: 102}).String(); after != want || !strings.HasSuffix(after, "%3D") {
		t.Fatalf("cursor: got %q, want %q, which ends in %%3D", after, want)
	}
	if got := get(t, s, threadsPath, next(t, "limit=2", first)); got.ids() != "103 104" || got.page.Paging.Next.After != "" {
		t.Errorf("unescaped once: got %q and cursor %q, want the last page", got.ids(), got.page.Paging.Next.After)
	}
	twice := get(t, s, threadsPath, "limit=2&after="+url.QueryEscape(after))
	if twice.ids() != first.ids() || twice.page.Paging.Next.After != after {
		t.Errorf("encoded twice: got %q, want page one again, %q", twice.ids(), first.ids())
	}
}

func TestCursorsReadBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		for _, want := range []cursor{
			{kind: cursorID, id: rng.Uint64() >> 1},
			{kind: cursorTime, id: rng.Uint64() >> 1, at: rng.Int64(), emptied: true},
			{kind: cursorOffset, offset: rng.IntN(1e9)},
		} {
			got, refused := readCursor(want.plain(), want.kind)
			if refused != nil || got != want || !strings.Contains(want.String(), "%3D") {
				t.Fatalf("cursor %+v: read back as %+v, refused %v", want, got, refused != nil)
			}
		}
	}
}

func TestThreadThatMovesIsSeenTwice(t *testing.T) {
	s := five(t, Config{})
	query := "limit=2&sort=latestMessageTimestamp&latestMessageTimestampAfter=2020-01-01T00:00:00Z"
	first := get(t, s, threadsPath, query)
	if err := s.Receive(102); err != nil {
		t.Fatal(err)
	}
	second := get(t, s, threadsPath, next(t, query, first))
	if first.ids() != "102 104" || second.ids() != "101 102" {
		t.Errorf("pages: got %q and %q, want 102 on both", first.ids(), second.ids())
	}
}

func TestRowLeavesWhilePaging(t *testing.T) {
	for _, test := range []struct {
		offset bool
		want   string
	}{{false, "103 104"}, {true, "104"}} {
		s := five(t, Config{Behaviour: Behaviour{OffsetCursors: test.offset}})
		first := get(t, s, threadsPath, "limit=2")
		if err := s.Archive(101); err != nil {
			t.Fatal(err)
		}
		if got := get(t, s, threadsPath, next(t, "limit=2", first)); got.ids() != test.want {
			t.Errorf("offset cursors %t: second page got %q, want %q", test.offset, got.ids(), test.want)
		}
	}
}

// TestCachedPagesAreTrue compares a server that keeps pages with one that does
// not, under the same script and reads.
func TestCachedPagesAreTrue(t *testing.T) {
	for seed := range uint64(2) {
		cached, fresh := New(Config{Clock: fixed}), New(Config{Clock: fixed, PageCache: -1})
		small := New(Config{Clock: fixed, PageCache: 90_000})
		servers := []*Server{cached, fresh, small}
		var scripts []*Script
		for _, s := range servers {
			scripts = append(scripts, NewScript(s, ScriptConfig{Seed: seed, Population: Population{Threads: 900, Seed: seed}}))
		}
		for round := range 9 {
			for _, query := range []string{"limit=100", "limit=50&inboxId=424410202&association=TICKET", "limit=20&threadStatus=OPEN", "archived=true"} {
				want := flat(walk(t, fresh, query))
				if got := flat(walk(t, cached, query)); got != want {
					t.Fatalf("seed %d round %d %s: got %s\nwant %s", seed, round, query, got, want)
				}
				if a, b, c := get(t, cached, threadsPath, query), get(t, fresh, threadsPath, query), get(t, small, threadsPath, query); a.body != b.body || c.body != b.body {
					t.Fatalf("seed %d round %d %s: first pages differ", seed, round, query)
				}
			}
			for range round % 4 {
				for _, script := range scripts {
					step, _ := script.Next()
					if err := step.Do(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if round == 4 {
				low := Thread{ID: thread.ID(10 + round), Status: StatusOpen, Inbox: "424410202"}
				cached.Put(low)
				fresh.Put(low)
				small.Put(low)
			}
		}
		if len(small.pages.pages) == 0 || small.pages.size > 90_000 || len(cached.pages.pages) < 10 {
			t.Errorf("seed %d: caches hold %d bytes and %d pages", seed, small.pages.size, len(cached.pages.pages))
		}
	}
}

func TestPutBelowShiftsTheTimeIndex(t *testing.T) {
	s := five(t, Config{})
	s.Put(Thread{ID: 7, Status: StatusOpen, LatestMessage: epoch.Add(-20 * time.Minute)})
	query := "sort=latestMessageTimestamp&latestMessageTimestampAfter=2020-01-01T00:00:00Z"
	if got := get(t, s, threadsPath, query); got.ids() != "102 104 7 101" {
		t.Errorf("by time: got %q, want 102 104 7 101", got.ids())
	}
}

func TestTimeIndexIsCompacted(t *testing.T) {
	clock := ticking()
	s := five(t, Config{Clock: clock})
	for range 5000 {
		if err := s.Receive(103); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.table.byTime); got > 2*5+1024 {
		t.Errorf("entries of the time index: got %d, want at most %d", got, 2*5+1024)
	}
	query := "sort=latestMessageTimestamp&latestMessageTimestampAfter=2020-01-01T00:00:00Z"
	if got := get(t, s, threadsPath, query); got.ids() != "102 104 101 103" {
		t.Errorf("by time: got %q, want 102 104 101 103", got.ids())
	}
}
