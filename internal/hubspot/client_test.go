package hubspot

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/threadcast/threadcast/internal/quota"
	"github.com/threadcast/threadcast/internal/thread"
)

const testToken = "pat-na1-secret"

// reply is what the fake answers; a nil reply means that it never does.
type reply struct {
	status int
	header map[string]string
	body   string
	err    error
	broken error // after the body
}

// fake answers by a function of the request and its number, and keeps them all.
// It is the wrapper that lets nothing but GET pass.
type fake struct {
	t      *testing.T
	answer func(n int, r *http.Request) *reply

	mu       sync.Mutex
	requests []*http.Request
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || r.Body != nil {
		f.t.Errorf("%s %s was sent; only GET may be", r.Method, r.URL)
	}
	if r.URL.Host != "hubspot.test" {
		f.t.Errorf("request to %s", r.URL.Host)
	}
	f.mu.Lock()
	f.requests = append(f.requests, r)
	n := len(f.requests)
	f.mu.Unlock()
	answer := f.answer(n, r)
	if answer == nil {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if answer.err != nil {
		return nil, answer.err
	}
	header := http.Header{}
	for name, value := range answer.header {
		header.Set(name, value)
	}
	var body io.Reader = strings.NewReader(answer.body)
	if answer.broken != nil {
		body = io.MultiReader(body, brokenReader{answer.broken})
	}
	return &http.Response{StatusCode: answer.status, Header: header, Body: io.NopCloser(body), Request: r}, nil
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.requests)
}

// connect makes a client of the fake, within a synctest bubble.
func connect(t *testing.T, answer func(n int, r *http.Request) *reply, change func(*Config)) (*Client, *fake) {
	t.Helper()
	governor, err := quota.New(quota.Options{DailyShare: 1, BurstShare: 1, MaxCallsPerSecond: 100})
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, answer: answer}
	config := Config{
		BaseURL: "http://hubspot.test", Version: "2026-09-beta", HTTP: f, Clock: thread.NewClock(), Governor: governor,
		Token:     EnvToken("T", func(string) (string, bool) { return testToken, true }),
		UserAgent: "threadcast/test", Kinds: thread.DefaultKinds, Jitter: func() float64 { return 0.5 },
	}
	if change != nil {
		change(&config)
	}
	client, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, f
}

func ok(body string) *reply { return &reply{status: 200, body: body} }

func bad(status int, body string) *reply { return &reply{status: status, body: body} }

func page(next string, ids ...int) string {
	objects := make([]string, len(ids))
	for i, id := range ids {
		objects[i] = realThread(id)
	}
	body := `{"results":[` + strings.Join(objects, ",") + `]`
	if next != "" {
		cursor, _ := json.Marshal(next)
		body += `,"paging":{"next":{"after":` + string(cursor) + `,"link":"https://evil.test/"}}`
	}
	return body + "}"
}

func TestListAsks(t *testing.T) {
	tests := map[string]struct {
		query thread.Query
		want  string
	}{
		"from the start":             {thread.Query{}, "association=TICKET&limit=500"},
		"one inbox":                  {thread.Query{Chain: "12"}, "association=TICKET&inboxId=12&limit=500"},
		"archived":                   {thread.Query{Archived: true}, "archived=true&association=TICKET&limit=500"},
		"plain cursor":               {thread.Query{Cursor: "NTI1Cg=="}, "after=NTI1Cg%3D%3D&association=TICKET&limit=500"},
		"escaped cursor":             {thread.Query{Cursor: "NTI1Cg%3D%3D"}, "after=NTI1Cg%3D%3D&association=TICKET&limit=500"},
		"cursor with a percent sign": {thread.Query{Cursor: "50%off+x"}, "after=50%25off%2Bx&association=TICKET&limit=500"},
		"by newest message": {thread.Query{Since: at},
			"association=TICKET&latestMessageTimestampAfter=2026-08-18T18%3A50%3A06.872Z&limit=500&sort=latestMessageTimestamp"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, f := connect(t, func(int, *http.Request) *reply { return ok(page("")) }, nil)
				if _, err := client.List(t.Context(), test.query); err != nil {
					t.Fatal(err)
				}
				r := f.requests[0]
				if got := r.URL.RawQuery; got != test.want {
					t.Errorf("query %s, want %s", got, test.want)
				}
				if got, want := r.URL.Path, "/conversations/conversations/2026-09-beta/threads"; got != want {
					t.Errorf("path %s, want %s", got, want)
				}
				for name, want := range map[string]string{"Authorization": "Bearer " + testToken, "User-Agent": "threadcast/test", "Accept-Encoding": "gzip"} {
					if got := r.Header.Get(name); got != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
			})
		})
	}
}

func TestListPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []thread.Instant
		client, _ := connect(t, func(n int, r *http.Request) *reply {
			time.Sleep(300 * time.Millisecond)
			if n == 1 {
				return bad(502, "<html>")
			}
			return &reply{status: 200, body: page("next%3D", 7, 9, 12), header: map[string]string{"Date": "Sat, 01 Jan 2000 00:00:03 GMT"}}
		}, nil)
		query := thread.Query{Lane: thread.LaneFull, Chain: "12", Cursor: "c", After: 6, OnSend: func(at thread.Instant) { sent = append(sent, at) }}
		got, err := client.List(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		if got.Lane != thread.LaneFull || got.Chain != "12" || got.Cursor != "c" || got.Next != "next%3D" || !got.More || got.After != 6 || !got.Ascending {
			t.Errorf("page %+v", got)
		}
		if len(got.Items) != 3 || got.Items[2].ID != 12 || string(got.Items[0].Raw) != realThread(7) {
			t.Errorf("items %v", got.Items)
		}
		if len(sent) != 2 || got.Sent != sent[1] || got.Arrived.Mono-got.Sent.Mono != 300*time.Millisecond {
			t.Errorf("sent %v and arrived %v, OnSend heard %v; want those of the second attempt", got.Sent, got.Arrived, sent)
		}
		if got.ServerTime.Unix() != 946684803 || !got.Newest.IsZero() {
			t.Errorf("server time %v, newest %v", got.ServerTime, got.Newest)
		}
	})
}

func TestAscending(t *testing.T) {
	tests := map[string]struct {
		after thread.ID
		since time.Time
		ids   []int
		want  bool
	}{
		"ascending":                {5, time.Time{}, []int{6, 8}, true},
		"empty":                    {5, time.Time{}, nil, true},
		"one twice":                {5, time.Time{}, []int{6, 6}, false},
		"not beyond the last page": {6, time.Time{}, []int{6, 8}, false},
		"by newest message":        {0, at, []int{6, 8}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, _ := connect(t, func(int, *http.Request) *reply { return ok(page("", test.ids...)) }, nil)
				got, err := client.List(t.Context(), thread.Query{After: test.after, Since: test.since})
				if err != nil || got.Ascending != test.want || got.More {
					t.Errorf("ascending %v, %v; want %v", got.Ascending, err, test.want)
				}
			})
		})
	}
}

func TestNewestMessageOfAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := connect(t, func(int, *http.Request) *reply {
			return ok(`{"results":[{"id":"1","latestMessageTimestamp":"2026-08-18T18:50:06.872Z"},{"id":"2"},{"id":"3","latestMessageTimestamp":7}]}`)
		}, nil)
		got, err := client.List(t.Context(), thread.Query{Since: at.Add(-time.Hour)})
		if err != nil || !got.Newest.Equal(at) {
			t.Errorf("newest %v, %v; want %v", got.Newest, err, at)
		}
	})
}

func TestEmptyPageGoesOnAndLoopIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := connect(t, func(int, *http.Request) *reply { return ok(page("a%3D")) }, nil)
		got, err := client.List(t.Context(), thread.Query{})
		if err != nil || !got.More || got.Next != "a%3D" {
			t.Errorf("page %+v, %v; want one more after the empty one", got, err)
		}
		for _, cursor := range []string{"a%3D", "a="} {
			if _, err := client.List(t.Context(), thread.Query{Cursor: cursor}); !errors.Is(err, thread.ErrCursor) {
				t.Errorf("err %v after %q, want ErrCursor", err, cursor)
			}
		}
	})
}

func TestLimitFallsBack(t *testing.T) {
	tests := map[string]string{
		"named":   `{"status":"error","category":"VALIDATION_ERROR","message":"limit must not exceed 100"}`,
		"unnamed": `{"status":"error","message":"Bad request"}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, f := connect(t, func(_ int, r *http.Request) *reply {
					if r.URL.Query().Get("limit") != "100" {
						return bad(400, body)
					}
					return ok(page("", 1))
				}, nil)
				for range 2 {
					if _, err := client.List(t.Context(), thread.Query{}); err != nil {
						t.Fatal(err)
					}
				}
				if f.count() != 3 {
					t.Errorf("%d requests, want 3: the smaller limit is remembered", f.count())
				}
			})
		})
	}
}

func TestBodies(t *testing.T) {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = io.WriteString(writer, page("", 1, 2))
	_ = writer.Close()
	var bomb bytes.Buffer
	writer = gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 2 {
		_, _ = writer.Write(zeros)
	}
	_ = writer.Close()
	flipped := bytes.Clone(packed.Bytes())
	flipped[len(flipped)-6] ^= 1
	zip := map[string]string{"Content-Encoding": "gzip"}
	tests := map[string]struct {
		reply reply
		want  string // "": understood
	}{
		"gzip":              {reply{status: 200, header: zip, body: packed.String()}, ""},
		"plain":             {reply{status: 200, body: page("", 1, 2)}, ""},
		"bomb":              {reply{status: 200, header: zip, body: bomb.String()}, "body of more than"},
		"endless":           {reply{status: 200, body: strings.Repeat(" ", 2<<20)}, "body of more than"},
		"truncated gzip":    {reply{status: 200, header: zip, body: packed.String()[:packed.Len()-9]}, "unexpected EOF"},
		"wrong checksum":    {reply{status: 200, header: zip, body: string(flipped)}, "checksum"},
		"no gzip at all":    {reply{status: 200, header: zip, body: page("")}, "invalid header"},
		"other encoding":    {reply{status: 200, header: map[string]string{"Content-Encoding": "br"}, body: "x"}, "not asked for"},
		"short body":        {reply{status: 200, body: page("", 1)[:40], broken: io.ErrUnexpectedEOF}, "unexpected EOF"},
		"truncated JSON":    {reply{status: 200, body: page("", 1)[:40]}, "broken JSON"},
		"login page":        {reply{status: 200, body: "<html><form></form></html>"}, "HTML instead of JSON"},
		"no results":        {reply{status: 200, body: "{}"}, "no results"},
		"nothing":           {reply{status: 204}, "no JSON"},
		"thread with no id": {reply{status: 200, body: `{"results":[{"status":"OPEN"}]}`}, "has no id"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, f := connect(t, func(int, *http.Request) *reply { return &test.reply }, nil)
				client.bodies.limit = 1 << 20
				got, err := client.List(t.Context(), thread.Query{})
				if test.want == "" {
					if err != nil || len(got.Items) != 2 {
						t.Errorf("%d items, %v", len(got.Items), err)
					}
					return
				}
				var failure *Error
				if !errors.As(err, &failure) || failure.Class != ClassAnswer || !strings.Contains(err.Error(), test.want) {
					t.Errorf("err %v, want class answer and %q", err, test.want)
				}
				if got.Items != nil || f.count() != maxMalformed {
					t.Errorf("%d items used, %d requests", len(got.Items), f.count())
				}
			})
		})
	}
}

func TestVersions(t *testing.T) {
	only := func(version string) func(int, *http.Request) *reply {
		return func(_ int, r *http.Request) *reply {
			if strings.Contains(r.URL.Path, version) {
				return ok(page("", 1))
			}
			return bad(404, `{"status":"error","category":"OBJECT_NOT_FOUND","message":"no route"}`)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		client, f := connect(t, only("/v3/"), func(c *Config) { c.Version = VersionAuto })
		for range 2 {
			if _, err := client.List(t.Context(), thread.Query{}); err != nil {
				t.Fatal(err)
			}
		}
		if f.count() != 4 {
			t.Errorf("%d requests, want 4: the version is remembered", f.count())
		}
		if got, want := client.Fingerprint(thread.Query{Chain: "7", Cursor: "x", After: 3}), "hubspot.test/conversations/v3/conversations/threads?association=TICKET&inboxId=7&limit=500"; got != want {
			t.Errorf("fingerprint %s, want %s", got, want)
		}
		none, f := connect(t, only("nowhere"), func(c *Config) { c.Version = VersionAuto })
		_, err := none.List(t.Context(), thread.Query{})
		var failure *Error
		if !errors.As(err, &failure) || failure.Class != ClassConfig || !strings.Contains(err.Error(), "api_version") || f.count() != 3 {
			t.Errorf("err %v after %d requests, want class config after 3", err, f.count())
		}
		fixed, f := connect(t, only("/v3/"), nil)
		if _, err := fixed.List(t.Context(), thread.Query{}); !errors.As(err, &failure) || failure.Class != ClassConfig || f.count() != 1 {
			t.Errorf("err %v after %d requests, want class config after 1", err, f.count())
		}
	})
}

func TestRedirectsAreRefused(t *testing.T) {
	leaked := make(chan string, 1)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked <- r.Header.Get("Authorization") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusFound)
	}))
	defer server.Close()
	client, _ := connect(t, nil, func(c *Config) { c.BaseURL, c.HTTP = server.URL, nil })
	defer client.Close()
	_, err := client.List(t.Context(), thread.Query{})
	var failure *Error
	if !errors.As(err, &failure) || failure.Class != ClassConfig || !strings.Contains(err.Error(), "redirects are not followed") {
		t.Errorf("err %v, want class config", err)
	}
	if len(leaked) != 0 {
		t.Errorf("the redirect was followed, with %q", <-leaked)
	}
}

func TestOwnTransportInflates(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		writer := gzip.NewWriter(w)
		_, _ = io.WriteString(writer, page("", 1, 2, 3))
		_ = writer.Close()
	}))
	defer server.Close()
	client, _ := connect(t, nil, func(c *Config) { c.BaseURL, c.HTTP = server.URL+"/prefix/", nil })
	defer client.Close()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 3 {
				if got, err := client.List(t.Context(), thread.Query{}); err != nil || len(got.Items) != 3 {
					t.Errorf("%d items, %v", len(got.Items), err)
				}
			}
		})
	}
	wait.Wait()
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no host":         func(c *Config) { c.BaseURL = "http://" },
		"other scheme":    func(c *Config) { c.BaseURL = "ftp://x" },
		"token in URL":    func(c *Config) { c.BaseURL = "https://u:p@x" },
		"unknown version": func(c *Config) { c.Version = "v4" },
		"huge page":       func(c *Config) { c.PageSize = 501 },
		"no token":        func(c *Config) { c.Token = nil },
	} {
		good, _ := connect(t, nil, nil)
		config := good.config
		change(&config)
		if _, err := New(config); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestCancelledContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		client, _ := connect(t, func(int, *http.Request) *reply { return nil }, nil)
		go func() {
			time.Sleep(time.Second)
			cancel(stop)
		}()
		start := time.Now()
		if _, err := client.List(ctx, thread.Query{}); !errors.Is(err, stop) || time.Since(start) != time.Second {
			t.Errorf("err %v after %v, want the cause after a second", err, time.Since(start))
		}
	})
}

type brokenLedger struct{ err error }

func (l brokenLedger) Reserve(string, int) (int, error) { return 0, l.err }

func governorWith(t *testing.T, err error) *quota.Governor {
	t.Helper()
	governor, failure := quota.New(quota.Options{DailyShare: 1, BurstShare: 1, MaxCallsPerSecond: 10, Ledger: brokenLedger{err}})
	if failure != nil {
		t.Fatal(failure)
	}
	return governor
}
