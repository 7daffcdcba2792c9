package hubspottest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPathsAndErrors has a line for each rule of paths, methods, tokens and GETs
// of one thread.
func TestPathsAndErrors(t *testing.T) {
	beta := Behaviour{Versions: []string{Version202609Beta}, AccountVersions: []string{VersionV3}}
	for _, test := range []struct {
		name, method, path, query string
		behaviour                 Behaviour
		status                    int
		want                      string // part of the body
	}{
		{name: "beta", path: "/conversations/conversations/2026-09-beta/threads", status: 200, want: `"id":"101"`},
		{name: "2026-09", path: "/conversations/conversations/2026-09/threads", status: 200, want: `"id":"101"`},
		{name: "v3", path: "/conversations/v3/conversations/threads", status: 200, want: `"id":"101"`},
		{name: "v3 in the dated form", path: "/conversations/conversations/v3/threads", status: 404, want: "resource not found"},
		{name: "the guide's slip", path: "/conversations/2026-09/conversations/threads", status: 404, want: "resource not found"},
		{name: "no such version", path: ThreadsPath("2026-03"), status: 404, want: "resource not found"},
		{name: "version that is off", path: ThreadsPath(VersionV3), behaviour: beta, status: 404, want: "resource not found"},
		{name: "version that is off, as HTML", path: ThreadsPath(VersionV3), behaviour: Behaviour{Versions: []string{}, HTMLNotFound: true}, status: 404, want: "<html>"},
		{name: "inboxes", path: InboxesPath(VersionV3), status: 200, want: `"total":4,"results":[{"id":"424410201","name":"Support","type":"HELP_DESK","archived":false`},
		{name: "inboxes, paged", path: InboxesPath(Version202609), query: "limit=3&after=bzMK", status: 400, want: "not a cursor"},
		{name: "inboxes, archived", path: InboxesPath(Version202609), query: "archived=true", status: 200, want: `"total":0,"results":[]`},
		{name: "account", path: AccountPath(Version202609), status: 200, want: `{"portalId":12345,"accountType":"STANDARD","timeZone":"UTC"`},
		{name: "account v3", path: AccountPath(VersionV3), behaviour: beta, status: 200, want: `"utcOffset":"+00:00","utcOffsetMilliseconds":0`},
		{name: "account version that is off", path: AccountPath(Version202609), behaviour: beta, status: 404, want: "resource not found"},
		{name: "account without its scope", path: AccountPath(VersionV3), behaviour: Behaviour{AccountRefused: true}, status: 403, want: `"requiredGranularScopes":["oauth"]`},
		{name: "threads without their scope", path: threadsPath, behaviour: Behaviour{MissingScopes: true}, status: 403, want: `"category":"MISSING_SCOPES","errors":[{`},
		{name: "expired token", path: threadsPath, behaviour: Behaviour{Expired: true}, status: 401, want: `"category":"EXPIRED_AUTHENTICATION","context":{"expire time":`},
		{name: "other token", path: threadsPath, behaviour: Behaviour{Tokens: []string{"new"}}, status: 401, want: `"category":"INVALID_AUTHENTICATION"`},
		{name: "one thread", path: threadsPath + "/102", status: 200, want: `{"id":"102",`},
		{name: "unknown thread", path: threadsPath + "/999", status: 404, want: `"category":"OBJECT_NOT_FOUND"`},
		{name: "archived thread", path: threadsPath + "/106", status: 404, want: `"category":"OBJECT_NOT_FOUND"`},
		{name: "archived thread, asked for so", path: threadsPath + "/106", query: "archived=true", status: 200, want: `"archived":true`},
		{name: "live thread asked for as archived", path: threadsPath + "/101", query: "archived=true", status: 404, want: `"category":"OBJECT_NOT_FOUND"`},
		{name: "thread id that is none", path: threadsPath + "/x", status: 400, want: "not a thread id: x"},
		{name: "patch", method: "PATCH", path: threadsPath + "/101", status: 405, want: "method not allowed"},
		{name: "delete", method: "DELETE", path: threadsPath + "/101", status: 405, want: "method not allowed"},
		{name: "head", method: "HEAD", path: threadsPath, status: 405, want: "method not allowed"},
		{name: "post to a list", method: "POST", path: threadsPath, status: 405, want: "method not allowed"},
		{name: "post for a token", method: "POST", path: "/oauth/2026-09/token", status: 400, want: `"error":"invalid_grant"`},
		{name: "get for a token", path: "/oauth/2026-09/token", status: 404, want: "resource not found"},
		{name: "root", path: "/", status: 404, want: "resource not found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.method == "" {
				test.method = http.MethodGet
			}
			s := five(t, Config{Behaviour: test.behaviour})
			response, err := s.Transport().RoundTrip(request(t, test.method, test.path, test.query))
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, response)
			if got.status != test.status || !strings.Contains(got.body, test.want) {
				t.Errorf("%s %s?%s: got %d %s, want %d with %s", test.method, test.path, test.query, got.status, got.body, test.status, test.want)
			}
			writes := 0
			if test.status == 405 {
				writes = 1
			}
			if stats := s.Stats(); stats.Writes != writes || stats.Statuses[test.status] != 1 {
				t.Errorf("counted: got %+v, want %d writes and one %d", stats, writes, test.status)
			}
		})
	}
}

func TestRequestsAreRemembered(t *testing.T) {
	s := five(t, Config{RequestLog: 3, Clock: ticking()})
	for range 5 {
		get(t, s, threadsPath, "limit=1")
	}
	get(t, s, threadsPath+"/102", "archived=true")
	requests := s.Requests()
	last := requests[len(requests)-1]
	if len(requests) != 3 || last.Endpoint != EndpointThread || last.Path != threadsPath+"/102" || last.Status != 404 ||
		last.Values().Get("archived") != "true" || last.UserAgent != "test/1" || !last.Time.After(requests[0].Time) {
		t.Errorf("requests: got %+v", requests)
	}
	if stats := s.Stats(); stats.Requests != 6 || stats.Endpoints[EndpointThreads] != 5 || stats.DailyUsed != 6 {
		t.Errorf("stats: got %+v", stats)
	}
}

func TestInboxesArePaged(t *testing.T) {
	s := New(Config{Clock: fixed})
	first := get(t, s, InboxesPath(Version202609), "limit=3")
	second := get(t, s, InboxesPath(Version202609), next(t, "limit=3", first))
	if first.ids() != "424410201 424410202 424410203" || second.ids() != "424410204" || second.page.Paging.Next.After != "" {
		t.Errorf("inboxes: got %q and %q", first.ids(), second.ids())
	}
	s.SetInboxes([]Inbox{{ID: "1", Name: `a "b"`, Archived: true}})
	if got := get(t, s, InboxesPath(VersionV3), "archived=true"); got.page.Results[0]["name"] != `a "b"` || got.page.Results[0]["archivedAt"] == nil {
		t.Errorf("archived inboxes: got %s", got.body)
	}
}

func TestAccountTellsItsZone(t *testing.T) {
	s := New(Config{Clock: fixed, Account: "42", Location: time.FixedZone("America/St_Johns", -int((2*time.Hour+30*time.Minute)/time.Second))})
	got := get(t, s, AccountPath(Version202609), "").body
	want := `{"portalId":42,"accountType":"STANDARD","timeZone":"America/St_Johns","companyCurrency":"EUR",` +
		`"additionalCurrencies":[],"utcOffset":"-02:30","utcOffsetMilliseconds":-9000000,"uiDomain":"app.hubspot.com","dataHostingLocation":"na1"}`
	if got != want {
		t.Errorf("account: got  %s\nwant %s", got, want)
	}
}

func TestGzipWhenAsked(t *testing.T) {
	s := five(t, Config{})
	plain := get(t, s, threadsPath, "")
	for range 2 { // the second is a kept page
		r := request(t, http.MethodGet, threadsPath, "")
		r.Header.Set("Accept-Encoding", "gzip")
		response, err := s.Transport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		zip, err := gzip.NewReader(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(zip)
		if err != nil || string(body) != plain.body || response.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("gzip: got %q, %v, %s", response.Header.Get("Content-Encoding"), err, body)
		}
	}
	if plain.header.Get("Content-Encoding") != "" {
		t.Errorf("not asked for: got encoding %q", plain.header.Get("Content-Encoding"))
	}
	if got, want := plain.header.Get("Date"), epoch.Format(http.TimeFormat); got != want {
		t.Errorf("Date: got %q, want the clock's %q", got, want)
	}
}

func TestLatencyMakesAnswersLateAndOutdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := five(t, Config{Clock: time.Now, Behaviour: Behaviour{
			Latency: func(*http.Request) (before, after time.Duration) { return 2 * time.Second, 3 * time.Second },
		}})
		start := time.Now()
		go func() {
			time.Sleep(4 * time.Second)
			if err := s.Close(101); err != nil {
				t.Error(err)
			}
		}()
		got := get(t, s, threadsPath+"/101", "")
		if took := time.Since(start); took != 5*time.Second || s.Requests()[0].Took != took {
			t.Errorf("answer took %v, recorded %v, want 5s", took, s.Requests()[0].Took)
		}
		if !strings.Contains(got.body, StatusOpen) {
			t.Errorf("answer: got %s, want the state after two seconds", got.body)
		}
		s.Set(func(b *Behaviour) { b.Fault = Nth(1, Response{Delay: time.Hour}) })
		start = time.Now()
		if get(t, s, threadsPath, ""); time.Since(start) != time.Hour+5*time.Second {
			t.Errorf("delayed answer took %v, want an hour and 5s", time.Since(start))
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("too long"))
		defer cancel()
		_, err := s.Transport().RoundTrip(request(t, http.MethodGet, threadsPath, "").WithContext(ctx))
		if err == nil || err.Error() != "too long" {
			t.Errorf("given up: got %v, want the context's cause", err)
		}
		if last := s.Requests()[2]; last.Status != 0 {
			t.Errorf("given up: recorded status %d, want 0", last.Status)
		}
	})
}

func TestServedOverHTTP(t *testing.T) {
	s := five(t, Config{})
	server := httptest.NewServer(s)
	defer server.Close()
	client := server.Client()
	ask := func() (int, string, error) {
		r := request(t, http.MethodGet, threadsPath, "limit=500")
		r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(server.URL, "http://")
		response, err := client.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return response.StatusCode, string(body), err
	}
	want := get(t, s, threadsPath, "limit=500").body
	if status, body, err := ask(); status != 200 || body != want || err != nil {
		t.Errorf("page: got %d %v %s", status, err, body)
	}
	s.Set(func(b *Behaviour) { b.Fault = Always(Response{Cut: 20}) })
	if status, body, err := ask(); status != 200 || err == nil || len(body) > 20 {
		t.Errorf("cut: got %d %q %v, want an error after at most 20 bytes", status, body, err)
	}
	s.Set(func(b *Behaviour) { b.Fault = Always(Response{Drop: true}) })
	if _, _, err := ask(); err == nil {
		t.Error("dropped: got an answer")
	}
	s.Set(func(b *Behaviour) { b.Fault = Always(Huge(5 << 20)) })
	if _, body, err := ask(); len(body) != len(want)+5<<20 || err != nil {
		t.Errorf("huge: got %d bytes, %v", len(body), err)
	}
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name     string
		response Response
		status   int
		want     string // part of the body
		header   []string
	}{
		{name: "HTML 502", response: Page(502), status: 502, want: "<title>Bad Gateway</title>"},
		{name: "HTML 520", response: Page(520), status: 520, want: "<html>"},
		{name: "login page", response: Page(200), status: 200, want: "<html>"},
		{name: "no results", response: JSON("{}"), status: 200, want: "{}"},
		{name: "migrating", response: Migrating(24 * time.Hour), status: 477, want: "MIGRATION", header: []string{"Retry-After", "86400"}},
		{name: "503", response: Trouble(503, "SERVICE_UNAVAILABLE", "later"), status: 503, want: `"message":"later"`},
		{name: "429", response: TooMany("DAILY", -1), status: 429, want: `"policyName":"DAILY"`, header: []string{"Retry-After", ""}},
		{name: "429 with a wait", response: TooMany("SECONDLY", time.Second), status: 429, want: `"errorType":"RATE_LIMIT"`, header: []string{"Retry-After", "1"}},
		{name: "redirect", response: Redirect("http://169.254.169.254/"), status: 302, header: []string{"Location", "http://169.254.169.254/"}},
		{name: "truncated", response: Truncated(), status: 200, want: `{"results":[{"id":"103"`},
		{name: "wrong types", response: WrongTypes(), status: 200, want: `{"id":103,"createdAt":1789845600000,`},
		{name: "repeated cursor", response: RepeatedCursor(), status: 200, want: `"after":"` + cursor{kind: cursorID, id: 102}.String() + `"`},
		{name: "huge", response: Huge(100), status: 200, want: strings.Repeat(" ", 100)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := five(t, Config{Behaviour: Behaviour{Fault: On(EndpointThreads, Nth(2, test.response))}})
			first := get(t, s, threadsPath, "limit=2")
			query := strings.Replace(next(t, "limit=2", first), "limit=2", "limit=1", 1)
			got := get(t, s, threadsPath, query)
			if got.status != test.status || !strings.Contains(got.body, test.want) {
				t.Errorf("got %d %s, want %d with %s", got.status, got.body, test.status, test.want)
			}
			if test.header != nil && got.header.Get(test.header[0]) != test.header[1] {
				t.Errorf("%s: got %q, want %q", test.header[0], got.header.Get(test.header[0]), test.header[1])
			}
			if after := get(t, s, threadsPath, query); after.ids() != "103" || after.status != 200 {
				t.Errorf("the request after: got %d %q, want thread 103", after.status, after.ids())
			}
			if got := s.Stats().Statuses[test.status]; got == 0 {
				t.Errorf("status %d was not counted", test.status)
			}
		})
	}
}

func TestFaultsByCount(t *testing.T) {
	s := five(t, Config{Behaviour: Behaviour{Fault: Times(2, Page(502))}})
	var statuses []int
	for range 3 {
		statuses = append(statuses, get(t, s, threadsPath, "").status)
	}
	s.Set(func(b *Behaviour) { b.Fault = On(EndpointInboxes, Always(Page(520))) })
	statuses = append(statuses, get(t, s, threadsPath, "").status, get(t, s, InboxesPath(VersionV3), "").status)
	if want := []int{502, 502, 200, 200, 520}; !slices.Equal(statuses, want) {
		t.Errorf("statuses: got %v, want %v", statuses, want)
	}
}

func TestBrokenConnections(t *testing.T) {
	s := five(t, Config{Behaviour: Behaviour{Fault: Always(Response{Drop: true})}})
	if _, err := s.Transport().RoundTrip(request(t, http.MethodGet, threadsPath, "")); !errors.Is(err, ErrDropped) {
		t.Errorf("dropped: got %v, want ErrDropped", err)
	}
	s.Set(func(b *Behaviour) { b.Fault = Always(Response{Cut: 33}) })
	response, err := s.Transport().RoundTrip(request(t, http.MethodGet, threadsPath, ""))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if len(body) != 33 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: got %d bytes and %v, want 33 and an unexpected EOF", len(body), err)
	}
}

func TestHugeBodyIsAGzipBomb(t *testing.T) {
	const size = 64 << 20
	s := five(t, Config{Behaviour: Behaviour{Fault: Always(Huge(size))}})
	r := request(t, http.MethodGet, threadsPath, "")
	r.Header.Set("Accept-Encoding", "gzip")
	response, err := s.Transport().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, zip)
	if err != nil || n < size || len(packed) > size/500 {
		t.Errorf("bomb: %d bytes became %d, %v; want at least %d from at most %d", len(packed), n, err, size, size/500)
	}
}
