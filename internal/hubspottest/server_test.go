package hubspottest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

var epoch = time.Date(2026, 9, 20, 12, 0, 0, 0, time.UTC)

func fixed() time.Time { return epoch }

// ticking is a clock that moves a second with each look.
func ticking() func() time.Time {
	var mu sync.Mutex
	now := epoch
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

// reply is an answer as a client sees it.
type reply struct {
	status int
	header http.Header
	body   string
	page   listPage
}

type listPage struct {
	Results []map[string]any `json:"results"`
	Paging  struct {
		Next struct {
			After string `json:"after"`
			Link  string `json:"link"`
		} `json:"next"`
	} `json:"paging"`
	Message string `json:"message"`
}

func (r reply) ids() string {
	var ids []string
	for _, result := range r.page.Results {
		ids = append(ids, fmt.Sprint(result["id"]))
	}
	return strings.Join(ids, " ")
}

// get sends a GET with the token through the in-process transport.
func get(t testing.TB, s *Server, path, query string) reply {
	t.Helper()
	r := request(t, http.MethodGet, path, query)
	response, err := s.Transport().RoundTrip(r)
	if err != nil {
		t.Fatalf("GET %s?%s: %v", path, query, err)
	}
	return read(t, response)
}

func request(t testing.TB, method, path, query string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://api.example"+path+"?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+DefaultToken)
	r.Header.Set("User-Agent", "test/1")
	return r
}

func read(t testing.TB, response *http.Response) reply {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	out := reply{status: response.StatusCode, header: response.Header, body: string(body)}
	// Bodies that are no JSON are judged by their text.
	_ = json.Unmarshal(body, &out.page)
	return out
}

var threadsPath = ThreadsPath(Version202609)

// next is the query for the page after, with the cursor unescaped once and encoded
// once.
func next(t testing.TB, query string, page reply) string {
	t.Helper()
	plain, err := url.QueryUnescape(page.page.Paging.Next.After)
	if err != nil {
		t.Fatalf("unescape cursor %q: %v", page.page.Paging.Next.After, err)
	}
	return query + "&after=" + url.QueryEscape(plain)
}

// walk reads a list to its end and gives the ids of all pages.
func walk(t testing.TB, s *Server, query string) [][]string {
	t.Helper()
	var pages [][]string
	at := query
	for range 10_000 {
		page := get(t, s, threadsPath, at)
		if page.status != http.StatusOK {
			t.Fatalf("walk %s: status %d: %s", at, page.status, page.body)
		}
		pages = append(pages, strings.Fields(page.ids()))
		if page.page.Paging.Next.After == "" {
			return pages
		}
		at = next(t, query, page)
	}
	t.Fatalf("walk %s: no end", query)
	return nil
}

func flat(pages [][]string) string {
	var all []string
	for _, page := range pages {
		all = append(all, page...)
	}
	return strings.Join(all, " ")
}

// five is an account with five threads of fixed ids.
func five(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.Clock == nil {
		cfg.Clock = fixed
	}
	s := New(cfg)
	ago := func(minutes int) time.Time { return epoch.Add(-time.Duration(minutes) * time.Minute) }
	base := Thread{Status: StatusOpen, CreatedAt: ago(1000), Inbox: "424410201", Channel: "1002", ChannelAccount: "9", Contact: "77"}
	one, two, three, four, six := base, base, base, base, base
	one.ID, one.LatestMessage, one.Ticket = 101, ago(10), "555"
	two.ID, two.LatestMessage, two.Status, two.ClosedAt = 102, ago(40), StatusClosed, ago(20)
	three.ID, three.Inbox, three.Contact = 103, "424410202", "88"
	four.ID, four.LatestMessage, four.Spam, four.AssignedTo = 104, ago(30), true, "A-1"
	six.ID, six.LatestMessage, six.Archived = 106, ago(5), true
	s.Put(four, one, six, three, two)
	return s
}

func TestRecordHoldsAnyThread(t *testing.T) {
	var table table
	table.init()
	when := time.Date(2019, 11, 18, 18, 50, 6, 872_000_000, time.UTC)
	for _, want := range []Thread{
		{},
		{ID: 1<<63 - 1, Status: "ARCHIVED", CreatedAt: when, ClosedAt: when, AssignedTo: "X-ü\"", Inbox: "1",
			Channel: "2", ChannelAccount: "3", Contact: "visitor-9f", Ticket: "007", Spam: true,
			LatestMessage: when, LatestReceived: when.Add(1e6), LatestSent: when.Add(2e6)},
		{ID: 1, Contact: "18446744073709551615", Ticket: "9223372036854775807", Archived: true, Purged: true},
	} {
		if got := table.thread(table.record(want)); got != want {
			t.Errorf("unpack(pack(t)): got %+v, want %+v", got, want)
		}
	}
}

func TestThreadReadsAsHubSpotWritesIt(t *testing.T) {
	s := New(Config{Clock: fixed})
	s.Put(Thread{
		ID: 3946, Status: StatusClosed, CreatedAt: epoch.Add(-time.Hour), ClosedAt: epoch.Add(7 * time.Millisecond),
		AssignedTo: "A-2620022", Inbox: "424410201", Channel: "1002", ChannelAccount: "99", Contact: "77", Ticket: "555",
		LatestMessage: epoch, LatestReceived: epoch, LatestSent: epoch.Add(-time.Second),
	})
	want := `{"id":"3946","createdAt":"2026-09-20T11:00:00.000Z","closedAt":"2026-09-20T12:00:00.007Z","status":"CLOSED",` +
		`"originalChannelId":"1002","originalChannelAccountId":"99","inboxId":"424410201","associatedContactId":"77",` +
		`"assignedTo":"A-2620022","latestMessageTimestamp":"2026-09-20T12:00:00.000Z",` +
		`"latestMessageReceivedTimestamp":"2026-09-20T12:00:00.000Z","latestMessageSentTimestamp":"2026-09-20T11:59:59.000Z",` +
		`"threadAssociations":{"associatedTicketId":"555"},"spam":false,"archived":false}`
	if got := get(t, s, threadsPath+"/3946", "association=TICKET"); got.body != want {
		t.Errorf("thread: got  %s\nwant %s", got.body, want)
	}
}

func TestReadersAndWritersSideBySide(t *testing.T) {
	s := New(Config{})
	script := NewScript(s, ScriptConfig{Seed: 1, Population: Population{Threads: 1500, Seed: 1}})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for range 20 {
				get(t, s, threadsPath, "limit=500")
				s.Set(func(b *Behaviour) { b.EmptyTail = !b.EmptyTail })
				s.Log(0)
				s.Requests()
			}
		})
	}
	for range 500 {
		step, _ := script.Next()
		if err := step.Do(); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
	if got := s.Stats().Requests; got != 60 {
		t.Errorf("requests counted: got %d, want 60", got)
	}
}

func TestThreadsAndLen(t *testing.T) {
	s := five(t, Config{})
	threads := s.Threads()
	if len(threads) != 5 || s.Len() != 5 {
		t.Fatalf("threads: got %d and %d, want 5", len(threads), s.Len())
	}
	for i, want := range []thread.ID{101, 102, 103, 104, 106} {
		if threads[i].ID != want {
			t.Errorf("thread %d: got id %s, want %s", i, threads[i].ID, want)
		}
	}
	facts := threads[1].Facts()
	if facts.Status != thread.StatusClosed || facts.StatusText != StatusClosed || facts.ClosedAt.IsZero() {
		t.Errorf("facts of a closed thread: got %+v", facts)
	}
}
